//! CPU time a query, and replies a second: over UDP with EDNS and without, over TCP, and through a forwarding CoreDNS.

use std::net::SocketAddr;
use std::path::Path;

use super::coredns::{CoreDns, Reader};
use super::echo::Echo;
use super::nameserver::{NameServer, write_zone};
use super::questions::{Questions, edns};
use super::report::table;
use super::side::{CLIENTS, LOAD, Load, ROUND_SECONDS, SERVER, Side};
use super::world::{ENDPOINTS, SMALL, SMALL_SERVICES, callsign_name, coredns_name, small_service};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

/// Rounds of each server, in turn.
pub(crate) const ROUNDS: usize = 5;

/// A server: its name, its address and its process id.
pub(crate) type Peer = (&'static str, SocketAddr, u32);

/// Measures and prints the tables.
pub(crate) fn measure(cluster: &'static Cluster, reader: &Reader) {
    let program: Vec<&str> = SERVER.into_iter().chain([env!("CARGO_BIN_EXE_callsign")]).collect();
    let mut callsign = Server::launch(&program, &["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"]);
    callsign.wait_for("/readyz");
    let coredns = CoreDns::start(reader, &SERVER, SMALL);
    let zone = write_zone(callsign.dns, (0..SMALL_SERVICES).map(|n| callsign_name(&small_service(n))));
    let (nsd, knot) = (NameServer::nsd(&SERVER, &zone), NameServer::knot(&SERVER, &zone));

    let ours: [Peer; 3] =
        [("callsign", callsign.dns, callsign.id()), ("NSD", nsd.dns, nsd.id()), ("Knot", knot.dns, knot.id())];
    let coredns = ("CoreDNS `kubernetes`", coredns.dns, coredns.id());
    for with_edns in [true, false] {
        udp(&ours, coredns, with_edns);
    }
    batches(&ours, &callsign);
    tcp(&ours, coredns);
    forwarded(&ours);
}

/// The questions to callsign and to CoreDNS.
pub(crate) fn questions(with_edns: bool) -> [Questions; 2] {
    let edns = if with_edns { edns(Vec::new()) } else { None };
    let (ours, theirs) = (|n| callsign_name(&small_service(n)), |n| coredns_name(&small_service(n), SMALL));
    [Questions::write(SMALL_SERVICES, edns.clone(), ours), Questions::write(SMALL_SERVICES, edns, theirs)]
}

fn udp(ours: &[Peer], coredns: Peer, with_edns: bool) {
    let [our, their] = questions(with_edns);
    let replies: Vec<_> = ours.iter().map(|(_, dns, _)| our.check(*dns)).chain([their.check(coredns.1)]).collect();
    let echo = Echo::start(&SERVER, replies[0].len);
    let mut sides: Vec<Side> = ours.iter().map(|peer| side(peer, &our.file, Load::Udp)).collect();
    sides.push(side(&coredns, &their.file, Load::Udp));
    sides.push(side(&("UDP echo, recvmmsg and sendmmsg", echo.dns, echo.id()), &our.file, Load::Udp));
    rounds(&mut sides);
    let lens = replies.iter().map(|replies| [replies.len.to_string(), format!("{:.1}", replies.cut)]);
    let lens = lens.chain([[replies[0].len.to_string(), "0.0".to_owned()]]);
    let edns = if with_edns { "EDNS 1232" } else { "without EDNS" };
    table(
        &title(&format!("Load over UDP, {edns}, from {CLIENTS} sockets"), ROUNDS),
        &[&Side::HEAD[..], &["reply bytes", "cut, %"]].concat(),
        sides.iter().zip(lens).map(|(side, lens)| [side.row(), lens.to_vec()].concat()),
    );
}

/// The same with the generator that batches. Its counts must agree with the server's.
fn batches(ours: &[Peer], callsign: &Server) {
    let [our, _] = questions(true);
    let echo = Echo::start(&SERVER, our.check(callsign.dns).len);
    let mut sides: Vec<Side> = ours.iter().map(|peer| side(peer, &our.file, Load::Batches)).collect();
    sides.push(side(&("UDP echo, recvmmsg and sendmmsg", echo.dns, echo.id()), &our.file, Load::Batches));
    let before = queries(callsign);
    rounds(&mut sides);
    let (counted, (answered, sent)) = (queries(callsign) - before, sides[0].answered());
    assert!((answered..=sent).contains(&counted), "callsign counts {counted}, the generator {answered} to {sent}");
    let what = format!("Load over UDP, EDNS 1232, from {CLIENTS} sockets by the generator that batches");
    table(&title(&what, ROUNDS), &Side::HEAD, sides.iter().map(Side::row));
}

/// The number of answered queries, by callsign's metric.
fn queries(callsign: &Server) -> u64 {
    let (_, text) = callsign.get("/metrics");
    let samples = text.lines().filter(|line| line.starts_with("callsign_queries_total{"));
    samples.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a count")).sum()
}

fn tcp(ours: &[Peer], coredns: Peer) {
    let [our, their] = questions(true);
    let mut sides: Vec<Side> = ours.iter().map(|peer| side(peer, &our.file, Load::Tcp)).collect();
    sides.push(side(&coredns, &their.file, Load::Tcp));
    rounds(&mut sides);
    table(&title(&format!("Load over {CLIENTS} TCP connections"), ROUNDS), &Side::HEAD, sides.iter().map(Side::row));
}

/// CoreDNS shares the load's core. The CPU time is that of the server behind it.
fn forwarded(ours: &[Peer]) {
    let [our, _] = questions(true);
    for (mode, forces_tcp) in [("UDP", false), ("`force_tcp`", true)] {
        let coredns: Vec<_> = ours.iter().map(|(_, dns, _)| CoreDns::forward(&LOAD, *dns, forces_tcp)).collect();
        let sides = ours.iter().zip(&coredns);
        let mut sides: Vec<Side> =
            sides.map(|((name, _, pid), coredns)| side(&(name, coredns.dns, *pid), &our.file, Load::Udp)).collect();
        rounds(&mut sides);
        let what = title(
            &format!("Load through CoreDNS `forward`, {mode} (the CPU time is that of the server behind it)"),
            ROUNDS,
        );
        table(&what, &Side::HEAD, sides.iter().map(Side::row));
    }
}

pub(crate) fn side((name, dns, pid): &Peer, file: &Path, load: Load) -> Side {
    Side::new(name, *dns, *pid, file, load)
}

pub(crate) fn rounds(sides: &mut [Side]) {
    for _ in 0..ROUNDS {
        sides.iter_mut().for_each(Side::round);
    }
}

pub(crate) fn title(what: &str, rounds: usize) -> String {
    format!(
        "{what}: 90 % SRV with {ENDPOINTS} endpoints, 10 % TXT, over {SMALL_SERVICES} names, and 5 % of all for names that \
         are not there; median of {rounds} rounds of {ROUND_SECONDS} s (least–most)"
    )
}
