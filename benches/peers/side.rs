//! One server under load: dnsperf's counts, and the CPU time of the server's process meanwhile.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::batch;
use super::process::cpu_time;
use super::report::Sample;
use crate::harness::process::output;

/// The server's core. The server shares it with no other measured process, and runs ahead of all other processes.
pub(crate) const SERVER: [&str; 6] = ["taskset", "-c", "0", "chrt", "-r", "50"];

/// The load generator's core.
pub(crate) const LOAD: [&str; 6] = ["taskset", "-c", "1", "chrt", "-r", "50"];

/// The length of a round in seconds. CPU time is counted in hundredths of a second.
pub(crate) const ROUND_SECONDS: &str = "3";

/// The number of sockets or connections of the load.
pub(crate) const CLIENTS: &str = "8";

/// The most outstanding queries: dnsperf's default, which keeps every server here busy.
const OUTSTANDING: &str = "100";

/// The load generator and its transport.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// dnsperf over UDP.
    Udp,
    /// dnsperf over TCP.
    Tcp,
    /// The generator that batches, over UDP.
    Batches,
}

/// One server and its measurements, one number for each round.
pub(crate) struct Side {
    name: String,
    /// The address that dnsperf queries.
    target: SocketAddr,
    /// The process whose CPU time counts.
    pid: u32,
    file: PathBuf,
    load: Load,
    replies_per_second: Vec<f64>,
    user_micros: Vec<f64>,
    system_micros: Vec<f64>,
    cpu_micros: Vec<f64>,
    queries: u64,
    lost: u64,
}

impl Side {
    /// The server of this process. The load sends the messages of this file.
    pub(crate) fn new(name: &str, target: SocketAddr, pid: u32, file: &Path, load: Load) -> Side {
        Side {
            name: name.to_owned(),
            target,
            pid,
            file: file.to_owned(),
            load,
            replies_per_second: Vec::new(),
            user_micros: Vec::new(),
            system_micros: Vec::new(),
            cpu_micros: Vec::new(),
            queries: 0,
            lost: 0,
        }
    }

    /// Runs one round.
    pub(crate) fn round(&mut self) {
        let before = cpu_time(self.pid);
        let counts = match self.load {
            Load::Udp => self.dnsperf("udp"),
            Load::Tcp => self.dnsperf("tcp"),
            Load::Batches => self.batches(),
        };
        let after = cpu_time(self.pid);
        let [sent, completed, lost, per_second] = counts;
        assert!(completed > 0.0, "{} answered nothing", self.name);
        self.replies_per_second.push(per_second);
        let micros = |seconds: f64| seconds * 1e6 / completed;
        let (user, system) = (after.user - before.user, after.system - before.system);
        self.user_micros.push(micros(user));
        self.system_micros.push(micros(system));
        self.cpu_micros.push(micros(user + system));
        self.queries += sent as u64;
        self.lost += lost as u64;
    }

    /// The sent, completed and lost queries, and replies a second.
    fn dnsperf(&self, mode: &str) -> [f64; 4] {
        let (ip, port) = (self.target.ip().to_string(), self.target.port().to_string());
        let file = self.file.to_str().expect("a path of UTF-8");
        let [taskset, load @ ..] = LOAD;
        let dnsperf = ["dnsperf", "-m", mode, "-s", &ip, "-p", &port, "-B", "-d", file];
        let amount = ["-l", ROUND_SECONDS, "-c", CLIENTS, "-q", OUTSTANDING, "-t", "1"];
        let text = output(taskset, load.iter().chain(&dnsperf).chain(&amount));
        assert!(text.contains("NOERROR") && !text.contains("SERVFAIL"), "{} failed:\n{text}", self.name);
        ["Queries sent:", "Queries completed:", "Queries lost:", "Queries per second:"]
            .map(|label| figure(&text, label))
    }

    /// The same by the generator that batches.
    fn batches(&self) -> [f64; 4] {
        let program = std::env::current_exe().expect("this program");
        let [taskset, load @ ..] = LOAD.map(str::to_owned);
        let own = [program.display().to_string(), batch::COMMAND.to_owned(), self.target.to_string()];
        let amount = [self.file.display().to_string(), ROUND_SECONDS.to_owned()];
        let text = output(taskset, load.into_iter().chain(own).chain(amount));
        let numbers: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [sent, completed, lost, seconds] = numbers[..] else { panic!("not four numbers: {text}") };
        [sent, completed, lost, completed / seconds]
    }

    /// The columns of [`Side::row`].
    pub(crate) const HEAD: [&str; 7] =
        ["server", "CPU µs/query", "user µs", "system µs", "replies/s", "queries", "lost"];

    /// A row of the table.
    pub(crate) fn row(&self) -> Vec<String> {
        let spread = |values: &[f64], decimals| Sample::new(values).spread(decimals);
        vec![
            self.name.clone(),
            spread(&self.cpu_micros, 2),
            spread(&self.user_micros, 2),
            spread(&self.system_micros, 2),
            spread(&self.replies_per_second, 0),
            self.queries.to_string(),
            self.lost.to_string(),
        ]
    }

    /// The answered queries of all rounds, and the sent ones.
    pub(crate) fn answered(&self) -> (u64, u64) {
        (self.queries - self.lost, self.queries)
    }

    /// CPU time a query, in µs: the median of its rounds.
    pub(crate) fn cpu(&self) -> f64 {
        Sample::new(&self.cpu_micros).median()
    }
}

/// The number after a label in dnsperf's output.
fn figure(text: &str, label: &str) -> f64 {
    let number = text.lines().find_map(|line| line.trim().strip_prefix(label)?.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {label:?} in\n{text}"))
}
