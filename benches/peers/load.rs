//! CPU time a query, and replies a second.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::coredns::{CoreDns, Reader};
use super::echo::Echo;
use super::process::cpu_time;
use super::report::{Sample, table};
use super::wire::{srv_ports, srv_query};
use super::world::{ENDPOINTS, PORT, SMALL_SERVICES, callsign_name, coredns_name, small_service};
use crate::harness::ask::exchange_udp;
use crate::harness::cluster::Cluster;
use crate::harness::process::{output, scratch};
use crate::harness::server::Server;

/// The server's core; it alone runs there of what is measured.
const SERVER: [&str; 3] = ["taskset", "-c", "0"];

/// The load generator's core.
const LOAD: [&str; 3] = ["taskset", "-c", "1"];

/// Rounds of each server, in turn.
const ROUNDS: usize = 5;

/// How long a round lasts, in seconds: CPU time is counted in hundredths of one.
const ROUND_SECONDS: &str = "5";

/// Sockets that the load comes from.
const CLIENTS: &str = "8";

/// Queries under way at once: dnsperf's default, which keeps every server here busy.
const OUTSTANDING: &str = "100";

/// How long the echo may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// Measures and prints the table.
pub(crate) fn measure(cluster: &'static Cluster, reader: &Reader) {
    let mut program: Vec<&str> = SERVER.to_vec();
    program.push(env!("CARGO_BIN_EXE_callsign"));
    let mut callsign = Server::launch(&program, &["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"]);
    callsign.wait_for("/readyz");
    let coredns = CoreDns::start(reader, &SERVER, None);

    let ours = Questions::write("callsign", callsign_name);
    let theirs = Questions::write("coredns", coredns_name);
    let our_len = ours.check(callsign.dns);
    let their_len = theirs.check(coredns.dns);
    let echo = Echo::start(&SERVER, our_len);
    wait_for(echo.dns);

    let mut sides = [
        Side::new("callsign", callsign.dns, callsign.id(), &ours, our_len),
        Side::new("CoreDNS `kubernetes`", coredns.dns, coredns.id(), &theirs, their_len),
        Side::new("UDP echo, recvmmsg and sendmmsg", echo.dns, echo.id(), &ours, our_len),
    ];
    for _ in 0..ROUNDS {
        sides.iter_mut().for_each(Side::round);
    }
    table(
        &format!(
            "Load: SRV with {ENDPOINTS} endpoints over {SMALL_SERVICES} names, EDNS 1232; median of {ROUNDS} rounds of \
             {ROUND_SECONDS} s (least–most)"
        ),
        &["server", "reply bytes", "replies/s", "CPU µs/query", "user µs", "system µs", "queries", "lost"],
        sides.iter().map(Side::row),
    );
}

/// A question a service, as a file for dnsperf.
struct Questions {
    queries: Vec<Vec<u8>>,
    file: PathBuf,
}

impl Questions {
    fn write(side: &str, name: fn(&str) -> String) -> Questions {
        let queries: Vec<Vec<u8>> = (0..SMALL_SERVICES).map(|n| srv_query(&name(&small_service(n)))).collect();
        // As over TCP: each message behind its length.
        let framed = queries.iter().flat_map(|query| {
            let len = u16::try_from(query.len()).expect("a short query").to_be_bytes();
            [&len, query.as_slice()].concat()
        });
        let file = scratch(side).join("queries");
        fs::write(&file, framed.collect::<Vec<u8>>()).expect("write the questions");
        Questions { queries, file }
    }

    /// Asks each once and sees that its answer is whole; returns the mean length of the replies.
    fn check(&self, server: SocketAddr) -> usize {
        let lens = self.queries.iter().map(|query| {
            let reply = exchange_udp(server, query).expect("an answer");
            assert_eq!(srv_ports(query, &reply), Some(vec![PORT; ENDPOINTS]), "an answer of {server}");
            let glue = u16::from_be_bytes([reply[10], reply[11]]);
            assert!(usize::from(glue) >= ENDPOINTS, "an answer of {server} without glue");
            reply.len()
        });
        lens.sum::<usize>() / self.queries.len()
    }
}

fn wait_for(server: SocketAddr) {
    let start = Instant::now();
    while exchange_udp(server, &[0; 12]).is_err() {
        assert!(start.elapsed() < START_PATIENCE, "{server} does not answer");
        sleep(Duration::from_millis(20));
    }
}

/// One server and what was measured of it, a number a round.
struct Side<'q> {
    name: &'static str,
    server: SocketAddr,
    pid: u32,
    file: &'q Path,
    reply_len: usize,
    replies_per_second: Vec<f64>,
    user_micros: Vec<f64>,
    system_micros: Vec<f64>,
    cpu_micros: Vec<f64>,
    queries: u64,
    lost: u64,
}

impl<'q> Side<'q> {
    fn new(name: &'static str, server: SocketAddr, pid: u32, questions: &'q Questions, reply_len: usize) -> Side<'q> {
        Side {
            name,
            server,
            pid,
            file: &questions.file,
            reply_len,
            replies_per_second: Vec::new(),
            user_micros: Vec::new(),
            system_micros: Vec::new(),
            cpu_micros: Vec::new(),
            queries: 0,
            lost: 0,
        }
    }

    fn round(&mut self) {
        let (ip, port) = (self.server.ip().to_string(), self.server.port().to_string());
        let file = self.file.to_str().expect("a path of UTF-8");
        let [taskset, load @ ..] = LOAD;
        let dnsperf = ["dnsperf", "-s", &ip, "-p", &port, "-B", "-d", file];
        let amount = ["-l", ROUND_SECONDS, "-c", CLIENTS, "-q", OUTSTANDING, "-t", "1"];
        let before = cpu_time(self.pid);
        let text = output(taskset, load.iter().chain(&dnsperf).chain(&amount));
        let after = cpu_time(self.pid);

        let completed = figure(&text, "Queries completed:");
        assert!(completed > 0.0, "{} answered nothing:\n{text}", self.name);
        assert!(text.contains("NOERROR") && !text.contains("SERVFAIL"), "{} failed:\n{text}", self.name);
        self.replies_per_second.push(figure(&text, "Queries per second:"));
        let micros = |seconds: f64| seconds * 1e6 / completed;
        let (user, system) = (after.user - before.user, after.system - before.system);
        self.user_micros.push(micros(user));
        self.system_micros.push(micros(system));
        self.cpu_micros.push(micros(user + system));
        self.queries += figure(&text, "Queries sent:") as u64;
        self.lost += figure(&text, "Queries lost:") as u64;
    }

    fn row(&self) -> Vec<String> {
        let spread = |values: &[f64], decimals| Sample::new(values).spread(decimals);
        vec![
            self.name.to_owned(),
            self.reply_len.to_string(),
            spread(&self.replies_per_second, 0),
            spread(&self.cpu_micros, 2),
            spread(&self.user_micros, 2),
            spread(&self.system_micros, 2),
            self.queries.to_string(),
            self.lost.to_string(),
        ]
    }
}

/// The number behind a label in what dnsperf prints.
fn figure(text: &str, label: &str) -> f64 {
    let number = text.lines().find_map(|line| line.trim().strip_prefix(label)?.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {label:?} in\n{text}"))
}
