//! CPU time a query and memory, from a thousand Pods to a hundred thousand.

use std::fs;

use super::coredns::{CoreDns, Reader};
use super::echo::Echo;
use super::nameserver::{NameServer, write_zone};
use super::plot::{self, Line};
use super::process::own_memory;
use super::questions::{Questions, edns};
use super::report::table;
use super::side::{Load, ROUND_SECONDS, SERVER, Side};
use super::world;
use super::zone::ZoneServer;
use crate::harness::budget::pods::{REPLICAS, service_name};
use crate::harness::budget::provider::INTERFACES;
use crate::harness::cluster::Cluster;

/// Pods of each zone.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// Rounds of each server, in turn.
const ROUNDS: usize = 3;

/// The file of the plot.
const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/growth.svg");

const NAMES: [&str; 5] = ["callsign", "NSD", "Knot", "CoreDNS `kubernetes`", "UDP echo"];

/// Measures, prints the table and draws the plot.
pub(crate) fn measure(cluster: &'static Cluster, reader: &Reader) {
    let mut rows = Vec::new();
    let mut lines = NAMES.map(|name| Line { name, cpu: Vec::new(), memory: Vec::new() });
    for pods in SIZES {
        let services = pods / REPLICAS * INTERFACES;
        let name = |n: usize| service_name(n / INTERFACES, n % INTERFACES);
        let namespace = format!("growth-{pods}");
        world::write_services(cluster, &namespace, pods);
        let callsign = ZoneServer::start(&SERVER, pods);
        let zone = write_zone(callsign.dns, (0..services).map(name));
        let (nsd, knot) = (NameServer::nsd(&SERVER, &zone), NameServer::knot(&SERVER, &zone));
        let coredns = CoreDns::start(reader, &SERVER, &namespace);
        let our = Questions::write(services, edns(Vec::new()), name);
        let coredns_name = |n| world::coredns_name(&world::large_service(n), &namespace);
        let their = Questions::write(services, edns(Vec::new()), coredns_name);
        let [first, second, third] = [callsign.dns, nsd.dns, knot.dns].map(|dns| our.check(dns).len);
        let echo = Echo::start(&SERVER, first);
        let lens = [first, second, third, their.check(coredns.dns).len, first];
        let peers = [
            (callsign.dns, callsign.id(), &our),
            (nsd.dns, nsd.id(), &our),
            (knot.dns, knot.id(), &our),
            (coredns.dns, coredns.id(), &their),
            (echo.dns, echo.id(), &our),
        ];
        let sides = NAMES.iter().zip(peers);
        let mut sides: Vec<Side> =
            sides.map(|(name, (dns, pid, questions))| Side::new(name, dns, pid, &questions.file, Load::Udp)).collect();
        for _ in 0..ROUNDS {
            sides.iter_mut().for_each(Side::round);
        }
        for (((side, (_, pid, _)), len), line) in sides.iter().zip(peers).zip(lens).zip(&mut lines) {
            let mib = own_memory(pid) as f64 / 1_048_576.0;
            line.cpu.push((pods as f64, side.cpu()));
            line.memory.push((pods as f64, mib));
            let figures = [len.to_string(), format!("{mib:.1}")];
            rows.push([vec![pods.to_string()], side.row(), figures.to_vec()].concat());
        }
        fs::remove_file(zone).expect("remove the zone file");
    }
    table(
        &format!(
            "Growth: Pods of {INTERFACES} interfaces, {REPLICAS} a service; 90 % SRV, 10 % TXT, 5 % of all for names that \
             are not there, EDNS 1232; median of {ROUNDS} rounds of {ROUND_SECONDS} s (least–most)"
        ),
        &[&["Pods"], &Side::HEAD[..], &["reply bytes", "MiB"]].concat(),
        rows.into_iter(),
    );
    fs::write(PLOT, plot::svg(&lines)).expect("write the plot");
    eprintln!("wrote {PLOT}");
}
