//! Resident memory with the large world, and with nothing.

use std::thread::sleep;
use std::time::Duration;

use super::coredns::{CoreDns, Reader};
use super::process;
use super::report::table;
use super::world::{ENDPOINTS, LARGE, LARGE_INTERFACES, LARGE_PODS};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

/// How long all servers rest before the measurement: longer than the two minutes after which Go's collector runs in any case,
/// and returns freed memory.
const REST: Duration = Duration::from_secs(180);

/// The registrations of the whole world, and the endpoints of CoreDNS.
const ENTRIES: usize = LARGE_PODS * LARGE_INTERFACES;

/// A namespace and a label's value that nothing has.
const NOTHING: &str = "nothing";

/// Measures and prints the table.
pub(crate) fn measure(cluster: &'static Cluster, reader: &Reader) {
    let callsign = |world| Server::start(&["--kubeconfig", cluster.kubeconfig(), "--namespace", world]);
    let coredns = |world| CoreDns::start(reader, &[], world);
    let empty = (callsign(NOTHING), coredns(NOTHING));
    let full = (callsign(LARGE), coredns(LARGE));
    assert_eq!(gauge(&full.0, "callsign_endpoints"), ENTRIES as f64, "callsign does not have all endpoints");
    assert_eq!(
        gauge(&full.0, "callsign_services"),
        (ENTRIES / ENDPOINTS) as f64,
        "callsign does not have all services"
    );
    eprintln!("resting {} s", REST.as_secs());
    sleep(REST);

    let rows = [
        ("callsign", "registrations", empty.0.id(), full.0.id()),
        ("CoreDNS `kubernetes`", "endpoints", empty.1.id(), full.1.id()),
    ];
    let rows = rows.into_iter().map(|(name, what, empty, full)| {
        let (empty, full) = (process::memory(empty), process::memory(full));
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1_048_576.0);
        let each = full.resident.saturating_sub(empty.resident) / ENTRIES as u64;
        let figures = [mib(empty.resident), mib(full.resident), mib(full.peak), each.to_string()];
        [vec![name.to_owned(), format!("{ENTRIES} {what}")], figures.to_vec()].concat()
    });
    table(
        &format!(
            "Memory: resident MiB with {LARGE_PODS} Pods, {LARGE_INTERFACES} registrations each, {ENDPOINTS} a service"
        ),
        &["", "holds", "empty", "full, at rest", "full, peak so far", "bytes each"],
        rows,
    );
}

/// One of callsign's metrics.
fn gauge(server: &Server, name: &str) -> f64 {
    let (_, text) = server.get("/metrics");
    let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    sample.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}
