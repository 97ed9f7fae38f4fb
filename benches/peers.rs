//! Callsign beside its peers in one run: CoreDNS's `kubernetes` plugin on the same API server, and a UDP echo.
//!
//! `cargo bench --bench peers` measures all of [`SECTIONS`]; words behind `--` choose some of them. Both sides of a
//! table alternate, since two runs on a shared machine are not comparable. benches/README.md says what each number means.

#[allow(dead_code, reason = "the benchmark uses a part of it")]
#[path = "../tests/harness/mod.rs"]
mod harness;

mod peers {
    pub(crate) mod change;
    pub(crate) mod coredns;
    pub(crate) mod echo;
    pub(crate) mod events;
    pub(crate) mod load;
    pub(crate) mod memory;
    pub(crate) mod process;
    #[path = "../../tests/budget/provider.rs"]
    pub(crate) mod provider;
    pub(crate) mod report;
    pub(crate) mod wire;
    pub(crate) mod world;
}

use harness::cluster::Cluster;
use peers::coredns::Reader;
use peers::{change, echo, events, load, memory, report, world};

/// What can be measured, in the order in which it is.
const SECTIONS: [&str; 4] = ["change", "events", "load", "memory"];

fn main() {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [first, address, len] = words.as_slice()
        && first == echo::COMMAND
    {
        return echo::serve(address, len);
    }
    if let Some(word) = words.iter().find(|word| !SECTIONS.contains(&word.as_str())) {
        eprintln!("{word:?} is none of {SECTIONS:?}");
        std::process::exit(2);
    }
    let is_wanted = |section: &str| words.is_empty() || words.iter().any(|word| word == section);

    report::machine();
    let cluster = Cluster::shared();
    let reader = Reader::create(cluster);
    if ["change", "events", "load"].into_iter().any(is_wanted) {
        world::write_small(cluster);
    }
    if is_wanted("change") {
        change::measure(cluster, &reader);
    }
    if is_wanted("events") {
        events::measure(cluster);
    }
    if is_wanted("load") {
        load::measure(cluster, &reader);
    }
    if is_wanted("memory") {
        world::write_large(cluster);
        memory::measure(cluster, &reader);
    }
}
