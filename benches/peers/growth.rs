//! CPU time a query and memory, from a thousand Pods to a hundred thousand.

use std::fs;

use super::nameserver::{NameServer, write_zone};
use super::plot::{self, Line};
use super::process::own_memory;
use super::questions::Questions;
use super::report::table;
use super::side::{Load, ROUND_SECONDS, SERVER, Side};
use super::zone::ZoneServer;
use crate::budget::zone::{INTERFACES, REPLICAS, service_name};

/// Pods of each zone.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// Rounds of each server, in turn.
const ROUNDS: usize = 3;

/// Where the plot goes.
const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/growth.svg");

const NAMES: [&str; 3] = ["callsign", "NSD", "Knot"];

/// Measures, prints the table and draws the plot.
pub(crate) fn measure() {
    let mut rows = Vec::new();
    let mut lines = NAMES.map(|name| Line { name, cpu: Vec::new(), memory: Vec::new() });
    for pods in SIZES {
        let services = pods / REPLICAS * INTERFACES;
        let name = |n: usize| service_name(n / INTERFACES, n % INTERFACES);
        let callsign = ZoneServer::start(&SERVER, pods);
        let zone = write_zone(callsign.dns, (0..services).map(name));
        let (nsd, knot) = (NameServer::nsd(&SERVER, &zone), NameServer::knot(&SERVER, &zone));
        let questions = Questions::write(services, true, name);
        let peers = [(callsign.dns, callsign.id()), (nsd.dns, nsd.id()), (knot.dns, knot.id())];
        let replies = peers.map(|(dns, _)| questions.check(dns));
        let mut sides: Vec<Side> = NAMES
            .iter()
            .zip(peers)
            .map(|(name, (dns, pid))| Side::new(name, dns, pid, &questions.file, Load::Udp))
            .collect();
        for _ in 0..ROUNDS {
            sides.iter_mut().for_each(Side::round);
        }
        for (((side, (_, pid)), replies), line) in sides.iter().zip(peers).zip(replies).zip(&mut lines) {
            let mib = own_memory(pid) as f64 / 1_048_576.0;
            line.cpu.push((pods as f64, side.cpu()));
            line.memory.push((pods as f64, mib));
            let figures = [replies.len.to_string(), format!("{mib:.1}")];
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
