//! The zone's memory and the allocations of a query. Both are counted, so the speed of the machine does not matter.

use callsign::name::Service;
use callsign::server::Transport;
use callsign::snapshot::{OwnValues, PodRecord, Registered, Set, Template};

use crate::ALLOCATOR;
use crate::allocated;
use crate::harness::alone::alone;
use crate::harness::budget::extremes::{LARGE, client};
use crate::harness::budget::pods::service_name;
use crate::harness::budget::provider::{INTERFACES, Provider};
use crate::harness::budget::query::query;
use crate::harness::budget::zone::Zone;

/// The highest number of bytes per registration that are requested from the allocator: a twentieth above the last
/// count.
const BYTES_MAX: usize = 300;

#[test]
fn the_zone_and_its_answers_stay_within_their_budgets() {
    let _alone = alone();
    sizes_of_parts();
    for pods in [2_000, 10_000] {
        let before = allocated();
        let zone = Zone::of_pods(pods);
        let bytes = (allocated() - before) / (pods * INTERFACES);
        assert!(bytes <= BYTES_MAX, "{bytes} bytes a registration with {pods} Pods");
        assert!(bytes > BYTES_MAX / 2, "{bytes} bytes a registration: lower the bound");
        answers(&zone);
    }
    what_a_query_allocates_does_not_grow_with_the_zone();
    a_pod_that_writes_something_new_each_time_costs_what_its_last_says();
}

/// A value that no Pod registers any more leaves every stock. So the peak of 5,000 versions equals that of the next
/// 5,000, within a twentieth.
fn a_pod_that_writes_something_new_each_time_costs_what_its_last_says() {
    const VERSIONS: usize = 10_000;
    /// Each stock may keep about a thousand values until a sweep.
    const KIB_MAX: usize = 4 * 1024;
    let mut zone = Zone::empty();
    zone.list([]);
    let provider = Provider::recorded();
    let before = allocated();
    let mut peaks = [0; 2];
    for version in 0..VERSIONS {
        zone.write_anew(&provider, version, 4);
        let peak = &mut peaks[version * 2 / VERSIONS];
        *peak = (allocated() - before).max(*peak);
    }
    eprintln!("{VERSIONS} annotations of one Pod: at most {} KiB, then {} KiB", peaks[0] / 1024, peaks[1] / 1024);
    assert_eq!(zone.snapshot.service_count(), 4, "it has its last ones");
    assert!(peaks[1] <= peaks[0] + peaks[0] / 20 && peaks[0] <= KIB_MAX * 1024, "{peaks:?}");
}

/// No reply allocates, because its buffer exists.
fn answers(zone: &Zone) {
    let responder = zone.responder();
    let service = service_name(7, 3);
    let plain = service.trim_start_matches("_rpc._tcp.");
    let mut reply = Vec::with_capacity(4096);
    for (what, name, rtype, rcode) in [
        ("SRV", &*service, 33, 0),
        ("SRV of a protocol", &service.replace("_rpc", "_dubbo"), 33, 0),
        ("TXT", &service, 16, 0),
        ("A of a service", plain, 1, 0),
        ("AAAA of a service", plain, 28, 0),
        ("a name that is not there", "x7.shop-7.rpc.cluster.local.", 33, 3),
        ("a name between, of one service", "ikurento.user7.UserProvider3.shop-7.rpc.cluster.local.", 33, 0),
        ("a name between, of many services", "UserProvider3.shop-7.rpc.cluster.local.", 33, 0),
        ("a target", "10-244-0-30.p.rpc.cluster.local.", 1, 0),
        ("a name in no zone", "example.org.", 1, 5),
    ] {
        let query = query(name, rtype, true);
        let before = ALLOCATOR.stats();
        for _ in 0..3 {
            reply.clear();
            responder.respond(&zone.snapshot, &query, client(), Transport::Udp, &mut reply);
        }
        let after = ALLOCATOR.stats();
        assert_eq!(reply.get(3).map(|flags| flags & 15), Some(rcode), "{what}: {name}");
        let allocations = after.allocations + after.reallocations - before.allocations - before.reallocations;
        assert_eq!(allocations, 0, "{what}: allocations for three replies");
    }
}

/// A query for a large set costs no more than what fits into its reply, over UDP and over TCP.
fn what_a_query_allocates_does_not_grow_with_the_zone() {
    let [few, many] = [(500, 500), (6_000, 1_500)].map(|(interfaces, endpoints)| {
        let zone = Zone::of_extremes(interfaces, endpoints);
        let responder = zone.responder();
        let mut reply = Vec::with_capacity(1 << 16);
        let [large, long] = LARGE.map(|interface| format!("{interface}.large.rpc.cluster.local."));
        let asked = [
            ("browsing", "b._dns-sd._udp.wide.rpc.cluster.local.".to_owned(), 12),
            ("protocols", format!("_services._dns-sd._udp.{large}"), 12),
            ("instances", format!("_rpc._tcp.{large}"), 12),
            ("instances that do not fit", format!("_rpc._tcp.{long}"), 12),
            ("TXT", format!("_rpc._tcp.{large}"), 16),
            ("SRV", format!("_rpc._tcp.{large}"), 33),
            ("A", large, 1),
        ];
        asked.map(|(what, name, rtype)| {
            let query = query(&name, rtype, true);
            let before = ALLOCATOR.stats();
            responder.respond(&zone.snapshot, &query, client(), Transport::Udp, &mut reply);
            let after = ALLOCATOR.stats();
            assert!(reply.len() > 40, "{what}");
            reply.clear();
            (what, after.allocations + after.reallocations - before.allocations - before.reallocations)
        })
    });
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        eprintln!("{what}: {few} allocations in a small zone, {many} in a large one");
        assert!(many <= few + 2 && many <= 64, "{what}: {few} allocations in a small zone, {many} in a large one");
    }
}

/// What a registration owns, and what it shares: the sizes in ARCHITECTURE.md's table.
fn sizes_of_parts() {
    assert_eq!([size_of::<PodRecord>(), size_of::<Registered>(), size_of::<OwnValues>()], [160, 32, 32]);
    assert_eq!([size_of::<Service>(), size_of::<Template>(), size_of::<Set>()], [104, 48, 80]);
}
