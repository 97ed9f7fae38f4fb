//! The pure parts, one at a time: decoding an annotation, applying a change, answering a question, composing a reply.
//!
//! `cargo bench --bench pure`, and a word to select: no socket, no kernel, one thread. It measures time, so compare only runs
//! of one machine. tests/measured/budget.rs asserts what does not depend on the machine.

#[path = "../tests/harness/budget"]
mod budget {
    pub(crate) mod changes;
    pub(crate) mod extremes;
    pub(crate) mod pods;
    pub(crate) mod provider;
    pub(crate) mod query;
    pub(crate) mod responder;
    pub(crate) mod zone;
}

use std::hint::black_box;
use std::net::SocketAddr;

use budget::extremes::{LARGE, client};
use budget::pods::{REPLICAS, pod, service_name};
use budget::provider::{INTERFACES, Provider};
use budget::query::query;
use budget::zone::Zone;
use callsign::answer::{self, Freshness, Question};
use callsign::registration;
use callsign::server::Transport;
use callsign::source::Pod;
use callsign::wire::{self, Limits, Received, ServerOptions};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

/// Pods in the zone: those of 2,000 interfaces, and those of the largest expected cluster.
const SIZES: [usize; 2] = [1_600, 100_000];

/// The most services that fit into the longest annotation, with a different text in every field.
const HOSTILE_SERVICES: usize = 800;

/// Pods of a list.
const LISTED: usize = 20_000;

const SRV: u16 = 33;
const TXT: u16 = 16;
const PTR: u16 = 12;

fn decode(criterion: &mut Criterion) {
    let annotation = Provider::recorded().annotation(7, 7, [10, 244, 0, 7].into(), INTERFACES);
    criterion.bench_function("decode/5 registry paths", |bench| {
        bench.iter(|| registration::decode_value(black_box(&annotation)))
    });
}

/// The first list of an empty zone, from parsed Pods to the published snapshot, and the same list again.
fn lists(criterion: &mut Criterion) {
    let provider = Provider::recorded();
    let pods: Vec<Pod> = (0..LISTED).map(|number| pod(&provider, number, true)).collect();
    let mut group = criterion.benchmark_group("list");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("first", LISTED), |bench| {
        let list = |mut zone: Zone| {
            zone.list(pods.iter().cloned());
            zone
        };
        bench.iter_batched(Zone::empty, list, BatchSize::PerIteration);
    });
    let mut zone = Zone::empty();
    zone.list(pods.iter().cloned());
    group.bench_function(BenchmarkId::new("again", LISTED), |bench| bench.iter(|| zone.list(pods.iter().cloned())));
    group.finish();
}

fn zones(criterion: &mut Criterion) {
    for pods in SIZES {
        let mut zone = Zone::of_pods(pods);
        questions(criterion, &zone, pods);
        let provider = Provider::recorded();
        let mut at = 0;
        criterion.bench_with_input(BenchmarkId::new("apply and publish a Pod's change", pods), &(), |bench, ()| {
            bench.iter(|| {
                at += 1;
                zone.apply(pod(&provider, at / 2 * 17 % pods, at % 2 == 0));
            });
        });
    }
}

/// One Pod replaces all its services. Meanwhile no other change is published.
fn hostile(criterion: &mut Criterion) {
    let mut zone = Zone::of_pods(SIZES[0]);
    let provider = Provider::recorded();
    let mut version = 0;
    let id = BenchmarkId::new("a Pod replaces services", HOSTILE_SERVICES);
    criterion.bench_with_input(id, &(), |bench, ()| {
        bench.iter(|| {
            version += 1;
            zone.write_anew(&provider, version, HOSTILE_SERVICES);
        });
    });
    assert!(zone.snapshot.tally.registrations > HOSTILE_SERVICES, "it was read: {:?}", zone.snapshot.tally);
}

fn questions(criterion: &mut Criterion, zone: &Zone, pods: usize) {
    let responder = zone.responder();
    let kinds = pods / REPLICAS;
    let asked = |rtype| -> Vec<Vec<u8>> {
        let names = (0..4096).map(|at| service_name(at * 613 % kinds, at % INTERFACES));
        names.map(|name| query(&name, rtype, true)).collect()
    };
    let missing: Vec<_> = (0..4096).map(|at| query(&format!("x{at}.shop-1.rpc.cluster.local."), SRV, true)).collect();
    let mut reply = Vec::with_capacity(4096);
    let mut group = criterion.benchmark_group("respond");
    for (what, queries) in [("SRV", asked(SRV)), ("TXT", asked(TXT)), ("NXDOMAIN", missing)] {
        let mut at = 0;
        group.bench_with_input(BenchmarkId::new(what, pods), &(), |bench, ()| {
            bench.iter(|| {
                at += 1;
                reply.clear();
                responder.respond(
                    &zone.snapshot,
                    black_box(&queries[at % queries.len()]),
                    client(),
                    Transport::Udp,
                    &mut reply,
                )
            });
        });
    }
    group.finish();
    steps(criterion, zone, pods, &asked(SRV));
}

/// The same in single steps.
fn steps(criterion: &mut Criterion, zone: &Zone, pods: usize, queries: &[Vec<u8>]) {
    let mut group = criterion.benchmark_group("steps");
    let mut at = 0;
    group.bench_with_input(BenchmarkId::new("parse", pods), &(), |bench, ()| {
        bench.iter(|| {
            at += 1;
            matches!(wire::parse(black_box(&queries[at % queries.len()])), Received::Query(_))
        });
    });
    let parsed = queries.iter().filter_map(|query| match wire::parse(query) {
        Received::Query(query) => Some(query),
        _ => None,
    });
    let parsed: Vec<_> = parsed.collect();
    let question = |at: usize| {
        let query = &parsed[at % parsed.len()];
        let (rtype, class, freshness) = (query.rtype, query.class, Freshness::Fresh);
        Question { name: &query.name, spelling: query.name_wire(), rtype, class, client: client().ip(), freshness }
    };
    group.bench_with_input(BenchmarkId::new("answer", pods), &(), |bench, ()| {
        bench.iter(|| {
            at += 1;
            answer::answer(&zone.snapshot, black_box(&question(at))).rcode
        });
    });
    let answers: Vec<_> = (0..parsed.len()).map(|at| answer::answer(&zone.snapshot, &question(at))).collect();
    let mut reply = Vec::with_capacity(4096);
    group.bench_with_input(BenchmarkId::new("compose", pods), &(), |bench, ()| {
        bench.iter(|| {
            at += 1;
            reply.clear();
            let (query, answer) = (&parsed[at % parsed.len()], &answers[at % parsed.len()]);
            wire::reply(query, answer, &zone.snapshot, Limits::udp(query.edns), ServerOptions::default(), &mut reply)
        });
    });
    group.finish();
}

/// Large sets: a query costs in proportion to its reply, and not to the set. Compare with the last two of each size.
fn extremes(criterion: &mut Criterion) {
    let zone = Zone::of_extremes(LISTED, LISTED);
    let responder = zone.responder();
    let [large, long] = LARGE.map(|interface| format!("{interface}.large.rpc.cluster.local."));
    let asked = [
        ("browse", "b._dns-sd._udp.wide.rpc.cluster.local.".to_owned(), PTR),
        ("protocols", format!("_services._dns-sd._udp.{large}"), PTR),
        ("instances", format!("_rpc._tcp.{large}"), PTR),
        ("instances that do not fit", format!("_rpc._tcp.{long}"), PTR),
        ("TXT", format!("_rpc._tcp.{large}"), TXT),
        ("SRV of a rare protocol", format!("_rare._tcp.{large}"), SRV),
        ("A", large.clone(), 1),
        ("SRV", format!("_rpc._tcp.{large}"), SRV),
        ("SRV of one", "_rpc._tcp.org.acme.shop.Service7.wide.rpc.cluster.local.".to_owned(), SRV),
    ];
    let mut reply = Vec::with_capacity(1 << 16);
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut group = criterion.benchmark_group(format!("extremes/{transport}"));
        for (what, name, rtype) in &asked {
            let query = query(name, *rtype, true);
            group.bench_function(*what, |bench| {
                let mut at = 0_u32;
                bench.iter(|| {
                    at += 1;
                    reply.clear();
                    let client = SocketAddr::from((at.wrapping_mul(0x9e37_79b9).to_be_bytes(), 5353));
                    responder.respond(&zone.snapshot, black_box(&query), client, transport, &mut reply)
                });
            });
            println!("{what}: {} bytes", reply.len());
        }
        group.finish();
    }
}

criterion_group!(benches, decode, lists, zones, hostile, extremes);
criterion_main!(benches);
