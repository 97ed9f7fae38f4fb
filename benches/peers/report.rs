//! Prints Markdown tables of figures, and the machine that they were measured on.

use std::fs;
use std::process::Command;

use k8s_openapi::jiff::Timestamp;

use crate::harness::cluster::binaries;
use crate::harness::process::output;

/// Sorted measurements of one thing; at least one.
#[derive(Clone, Debug)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// Sorts measurements.
    pub(crate) fn new(values: &[f64]) -> Sample {
        assert!(!values.is_empty(), "nothing was measured");
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        Sample(values)
    }

    /// The smallest measurement that is not below this share of all (nearest rank).
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// The median: the measurement at half of all.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The largest.
    pub(crate) fn worst(&self) -> f64 {
        self.quantile(1.0)
    }

    /// `median (smallest–largest)`, each with this many decimals.
    pub(crate) fn spread(&self, decimals: usize) -> String {
        let (median, least, most) = (self.median(), self.quantile(0.0), self.worst());
        format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
    }
}

/// Prints a table.
pub(crate) fn table(title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule = head.iter().map(|_| "---".to_owned()).collect();
    println!("\n### {title}\n");
    for row in [head, rule].into_iter().chain(rows) {
        println!("| {} |", row.join(" | "));
    }
}

/// Prints date, machine and versions.
pub(crate) fn machine() {
    let bin = binaries();
    let first_line = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
    let read = |path: &str| first_line(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}")));
    let cpu = fs::read_to_string("/proc/cpuinfo").expect("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().expect("a number of cores");
    assert!(cores.get() >= 2, "the server and the load need a core each");
    let gib = read("/proc/meminfo").split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());

    println!("{}", Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"));
    println!();
    println!(
        "- machine: {cores} × {}, {:.0} GiB",
        model.trim_start_matches([':', '\t', ' ']),
        gib.unwrap_or_default() / 1048576.0
    );
    println!("- Linux {}, load average at the start {}", read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    println!("- {}", first_line(&output(env!("CARGO_BIN_EXE_callsign"), ["--version"])));
    println!("- {}", first_line(&output(bin.join("coredns"), ["-version"])));
    println!(
        "- kube-apiserver {}",
        api_server_version(&first_line(&output(bin.join("kube-apiserver"), ["--version"])))
    );
    println!("- {}", first_line(&output(bin.join("etcd"), ["--version"])));
    println!("- dnsperf {}", version("dnsperf", "-h", "Version "));
    println!(
        "- NSD {}, Knot {}",
        version("nsd", "-v", "NSD version "),
        version("knotd", "-V", "knotd (Knot DNS), version ")
    );
}

/// The version that the program prints, or that of its module if it was built from the module and prints none.
fn api_server_version(said: &str) -> &str {
    const MODULE: &str = include_str!("../../tests/cluster/go.mod");
    let required = MODULE.lines().find_map(|line| line.strip_prefix("require k8s.io/kubernetes "));
    required.filter(|_| said.contains("$Format")).unwrap_or(said)
}

/// The text that a program prints after these words. dnsperf prints it after its usage, and exits with an error.
fn version(program: &str, argument: &str, before: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| line.strip_prefix(before)).unwrap_or("of an unknown version").to_owned()
}
