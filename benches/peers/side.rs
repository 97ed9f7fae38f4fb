//! One server under load: what dnsperf counts, and the CPU time that the server's process takes meanwhile.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::batch;
use super::process::cpu_time;
use super::report::Sample;
use crate::harness::process::output;

/// The server's core; it alone runs there of what is measured, and before whatever else this machine does.
pub(crate) const SERVER: [&str; 6] = ["taskset", "-c", "0", "chrt", "-r", "50"];

/// The load generator's core.
pub(crate) const LOAD: [&str; 6] = ["taskset", "-c", "1", "chrt", "-r", "50"];

/// How long a round lasts, in seconds: CPU time is counted in hundredths of one.
pub(crate) const ROUND_SECONDS: &str = "3";

/// Sockets, or connections, that the load comes from.
pub(crate) const CLIENTS: &str = "8";

/// Queries under way at once: dnsperf's default, which keeps every server here busy.
const OUTSTANDING: &str = "100";

/// Who asks, and how.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// dnsperf by datagrams.
    Udp,
    /// dnsperf by connections.
    Tcp,
    /// The generator that batches.
    Batches,
}

/// One server and what was measured of it, a number a round.
pub(crate) struct Side {
    name: String,
    /// Whom dnsperf asks.
    target: SocketAddr,
    /// Whose CPU time counts.
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
    /// The server of this process, asked with this file.
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

    /// Asks for a round.
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

    /// What was sent, completed and lost, and replies a second.
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

    /// What [`Side::row`] tells.
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

    /// Queries that were answered in all rounds, and those that were sent.
    pub(crate) fn answered(&self) -> (u64, u64) {
        (self.queries - self.lost, self.queries)
    }

    /// CPU time a query, in µs: the median of its rounds.
    pub(crate) fn cpu(&self) -> f64 {
        Sample::new(&self.cpu_micros).median()
    }
}

/// The number behind a label in what dnsperf prints.
fn figure(text: &str, label: &str) -> f64 {
    let number = text.lines().find_map(|line| line.trim().strip_prefix(label)?.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {label:?} in\n{text}"))
}
