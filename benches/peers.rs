//! Compares callsign with its peers in one run: CoreDNS's `kubernetes` plugin on the same API server, NSD and Knot with the
//! same records, and a UDP echo.
//!
//! `cargo bench --bench peers` measures all of [`SECTIONS`]. Words after `--` select some of them, and a number sets the Pods
//! of `sync`, `charts` and `churn`. The servers of a table take turns, because two runs on a shared machine are not comparable.
//! benches/README.md says what each number means.

#[allow(dead_code, reason = "the tests of `cluster` do more with an API server and replies")]
#[path = "../tests/harness"]
mod harness {
    pub(crate) mod annotation;
    pub(crate) mod ask;
    pub(crate) mod budget {
        pub(crate) mod pods;
        pub(crate) mod provider;
        pub(crate) mod responder;
        pub(crate) mod zone;
    }
    pub(crate) mod charts;
    pub(crate) mod cluster;
    pub(crate) mod control_plane;
    pub(crate) mod dig;
    pub(crate) mod exchange;
    pub(crate) mod kubelet;
    mod metric;
    pub(crate) mod process;
    pub(crate) mod proxy;
    pub(crate) mod server;
}

mod peers {
    pub(crate) mod bare;
    pub(crate) mod batch;
    pub(crate) mod builds;
    pub(crate) mod change;
    pub(crate) mod charts;
    pub(crate) mod churn;
    pub(crate) mod coredns;
    pub(crate) mod echo;
    pub(crate) mod events;
    pub(crate) mod growth;
    pub(crate) mod guards;
    pub(crate) mod load;
    pub(crate) mod memory;
    pub(crate) mod nameserver;
    pub(crate) mod plot;
    pub(crate) mod process;
    pub(crate) mod questions;
    pub(crate) mod report;
    pub(crate) mod side;
    pub(crate) mod sync;
    pub(crate) mod wire;
    pub(crate) mod world;
    pub(crate) mod zone;
}

/// The image's allocator, because the sections `growth` and `sync` run callsign's parts in this program.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use harness::cluster::Cluster;
use peers::coredns::Reader;
use peers::{
    batch, builds, change, charts, churn, echo, events, growth, guards, load, memory, report, sync, world, zone,
};

/// The sections, in the order in which they run.
const SECTIONS: [&str; 10] =
    ["change", "events", "load", "builds", "guards", "memory", "sync", "charts", "churn", "growth"];

fn main() {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [first, address, len] = words.as_slice()
        && first == echo::COMMAND
    {
        return echo::serve(address, len);
    }
    if let [first, server, file, seconds] = words.as_slice()
        && first == batch::COMMAND
    {
        return batch::ask(server, file, seconds);
    }
    if let [first, address, pods] = words.as_slice()
        && first == zone::COMMAND
    {
        return zone::serve(address, pods);
    }
    if let [first, way, pods, kubeconfig] = words.as_slice()
        && first == sync::COMMAND
    {
        return sync::client_main(way, pods, kubeconfig);
    }
    let (numbers, words): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.parse::<usize>().is_ok());
    let sync_pods = numbers.first().and_then(|number| number.parse().ok());
    if let Some(word) = words.iter().find(|word| !SECTIONS.contains(&word.as_str())) {
        eprintln!("{word:?} is not one of {SECTIONS:?}");
        std::process::exit(2);
    }
    let other_build = std::env::var_os(builds::OTHER).map(|path| path.to_string_lossy().into_owned());
    if other_build.is_none() && words.iter().any(|word| word == "builds") {
        eprintln!("set {} to the other build's program", builds::OTHER);
        std::process::exit(2);
    }
    let is_wanted = |section: &str| words.is_empty() || words.iter().any(|word| word == section);

    report::machine();
    let cluster = Cluster::shared();
    let reader = Reader::create(cluster);
    if ["change", "events", "load", "builds", "guards"].into_iter().any(is_wanted) {
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
    if let Some(other) = other_build.filter(|_| is_wanted("builds")) {
        builds::measure(cluster, &other);
    }
    if is_wanted("guards") {
        guards::measure(cluster);
    }
    if is_wanted("memory") {
        world::write_large(cluster);
        memory::measure(cluster, &reader);
    }
    let sync_pods = sync_pods.unwrap_or(world::LARGE_PODS);
    if ["sync", "churn"].into_iter().any(is_wanted) {
        world::write_sync(cluster, sync_pods);
    }
    if is_wanted("sync") {
        sync::measure(cluster, sync_pods);
    }
    if is_wanted("charts") {
        charts::measure(cluster, sync_pods);
    }
    if is_wanted("churn") {
        churn::measure(cluster, sync_pods, is_wanted("change"));
    }
    if is_wanted("growth") {
        growth::measure(cluster, &reader);
    }
}
