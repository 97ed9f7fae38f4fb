//! One interface with 20,000 endpoints, and one Pod with 1,000 interfaces. Both are ordinary inputs, and browsing shows
//! them.

use std::collections::HashMap;

use callsign::source::{Change, Pod};
use domain::base::iana::Rtype;

use super::world::{World, endpoint, whole};
use crate::harness::ask::{Ask, Reply, flag};

const ENDPOINTS: usize = 20_000;

/// Every fourth endpoint has the protocol `tri`.
fn pods() -> impl Iterator<Item = Pod> {
    (0..ENDPOINTS).map(|n| {
        let protocol = if n % 4 == 0 { "tri" } else { "dubbo" };
        let address = format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
        endpoint(&format!("pod-{n}"), &address, &format!("interface=a.B protocol={protocol} port=20880"))
    })
}

fn target(line: &str) -> u32 {
    let label = line.split_whitespace().last().and_then(|target| target.split('.').next()).unwrap();
    u32::from_be_bytes(label.split('-').map(|octet| octet.parse().unwrap()).collect::<Vec<u8>>().try_into().unwrap())
}

fn targets(reply: &Reply) -> Vec<u32> {
    reply.answer.iter().map(|line| target(line)).collect()
}

#[test]
fn a_set_of_20_000() {
    let mut world = World::of(pods());
    let sizes = |world: &World, name: &str, rtype| {
        let ask = Ask::new(&whole(name), rtype);
        let [udp, tcp] = [world.udp(&ask.edns(1232)), world.ask(&whole(name), rtype)];
        assert!(udp.has(flag::TC) && !tcp.has(flag::TC), "{name}");
        [udp.answer.len(), tcp.answer.len()]
    };
    let srv = sizes(&world, "_rpc._tcp.a.b.default.Z", Rtype::SRV);
    assert!(srv[0] >= 13 && srv[1] >= 700, "{srv:?}");
    let a = sizes(&world, "a.b.default.Z", Rtype::A);
    assert!(a[0] >= 70 && a[1] >= 4_000, "{a:?}");
    let tri = world.ask(&whole("_tri._tcp.a.b.default.Z"), Rtype::SRV);
    assert!(targets(&tri).iter().all(|address| address % 4 == 0), "only endpoints with the protocol");
    assert_eq!(world.verdict("a.b.default.Z", Rtype::AAAA), "NODATA");

    // One endpoint goes and comes back, and no other moves.
    let first = world.ask(&whole("_rpc._tcp.a.b.default.Z"), Rtype::SRV).answer;
    let gone = targets(&world.ask(&whole("_rpc._tcp.a.b.default.Z"), Rtype::SRV))[0] as usize & 0xff_ffff;
    let pod = pods().nth(gone).unwrap();
    world.send(Change::Remove(pod.uid.clone()));
    assert!(world.publish());
    assert!(!world.ask(&whole("_rpc._tcp.a.b.default.Z"), Rtype::SRV).answer.contains(&first[0]));
    world.apply(pod);
    assert_eq!(world.ask(&whole("_rpc._tcp.a.b.default.Z"), Rtype::SRV).answer, first);
    clients_begin_all_over_it(world);
}

/// Each client gets another first record, whichever part of the set it asks for.
fn clients_begin_all_over_it(mut world: World) {
    const CLIENTS: u32 = 500;
    for (name, records) in [("_rpc", ENDPOINTS), ("_tri", ENDPOINTS / 4), ("_dubbo", ENDPOINTS * 3 / 4)] {
        let ask = Ask::new(&whole(&format!("{name}._tcp.a.b.default.Z")), Rtype::SRV);
        let mut begun: HashMap<u32, usize> = HashMap::new();
        for client in 0..CLIENTS {
            world.client = std::net::Ipv4Addr::from(0x0a01_0000 + client).into();
            *begun.entry(targets(&world.udp(&ask))[0]).or_default() += 1;
        }
        // If n clients choose among m records, n²/2m pairs match by chance.
        let together = CLIENTS as usize - begun.len();
        let expected = (CLIENTS * CLIENTS) as usize / (2 * records);
        assert!(together <= 2 * expected + 15, "{name}: {together} of {CLIENTS} begin where another does");
        assert!(begun.values().all(|clients| *clients <= 5), "{name}");
    }
}

#[test]
fn a_pod_with_1_000_interfaces() {
    let fields: Vec<String> = (0..1_000).map(|n| format!("interface=org.acme.Service{n} port=20880")).collect();
    let mut world = World::of([endpoint("wide", "10.244.0.1", &fields.join(" "))]);
    let all_have = |world: &World, port: u16| {
        for n in 0..1_000 {
            let (_, data) = world.data(&format!("_rpc._tcp.org.acme.service{n}.default.Z"), Rtype::SRV);
            assert_eq!(data, [format!("0 100 {port} 10-244-0-1.p.Z")], "{n}");
        }
    };
    all_have(&world, 20880);
    assert_eq!(world.data("b._dns-sd._udp.default.Z", Rtype::PTR).1.len(), 1_000);
    let moved = fields.join(" ").replace("20880", "20881");
    world.apply(Pod { resource_version: 2, ..endpoint("wide", "10.244.0.1", &moved) });
    all_have(&world, 20881);
    world.send(Change::Remove("uid-wide".into()));
    world.publish();
    assert_eq!(world.verdict("_rpc._tcp.org.acme.service7.default.Z", Rtype::SRV), "NXDOMAIN");
    assert_eq!(world.verdict("default.Z", Rtype::SRV), "NXDOMAIN");
}

/// The targets of a set's PTR records, in the order of the answer.
fn pointers(reply: &Reply) -> Vec<String> {
    reply.answer.iter().map(|line| line.split_whitespace().last().unwrap().to_owned()).collect()
}

/// Interfaces, aliases without a natural name, and protocols: each set has its order, starts elsewhere for each client,
/// and is cut where the next record does not fit.
#[test]
fn browsed_names_are_turned_and_cut_like_any_set() {
    let natural = (0..200).map(|n| format!("interface=org.acme.Service{n} port=1"));
    let nameless = (0..30).map(|n| format!("interface=_nameless{n} port=1"));
    let protocols = (0..200).map(|n| format!("interface=org.acme.Service7 port=2 protocol=p{n}"));
    let fields: Vec<String> = natural.chain(nameless).chain(protocols).collect();
    let mut world = World::of([endpoint("wide", "10.244.0.1", &fields.join(" "))]);
    for (name, count) in
        [("b._dns-sd._udp.default.Z", 230), ("_services._dns-sd._udp.org.acme.service7.default.Z", 201)]
    {
        let ask = Ask::new(&whole(name), Rtype::PTR).edns(1232);
        world.client = [10, 1, 0, 0].into();
        let order = pointers(&world.ask(&whole(name), Rtype::PTR));
        assert_eq!(order.len(), count, "{name}");
        let mut begun = std::collections::BTreeSet::new();
        for client in 0..50 {
            world.client = [10, 1, 1, client].into();
            let whole_set = world.ask(&whole(name), Rtype::PTR);
            let own = pointers(&whole_set);
            let start = order.iter().position(|name| *name == own[0]).unwrap();
            let turned: Vec<_> = order[start..].iter().chain(&order[..start]).cloned().collect();
            assert_eq!(own, turned, "{name}: one order, from another start");
            begun.insert(start);
            let udp = world.udp(&ask);
            let fitting = pointers(&udp);
            assert!(udp.has(flag::TC) && own.starts_with(&fitting), "{name}");
            let next_len = 12 + own[fitting.len()].len() + 1;
            assert!(udp.wire.len() + next_len > 1232, "{name}: {} bytes, and {next_len} had room", udp.wire.len());
        }
        assert!(begun.len() >= 25, "{name}: 50 clients begin at {} places", begun.len());
    }
}

/// A protocol of one endpoint among thousands, and instances whose names do not fit.
#[test]
fn a_rare_protocol_of_a_large_set_is_found() {
    let long = format!("{0}.{0}.{0}.long", "a".repeat(60));
    let pods = (0..2_000).map(|n| {
        let protocol = if n == 1_234 { "tri" } else { "dubbo" };
        let address = format!("10.0.{}.{}", n >> 8, n & 255);
        let fields = format!("interface=a.B protocol={protocol} port=20880 interface={long} port=20880");
        endpoint(&format!("pod-with-a-name-{n:0>20}"), &address, &fields)
    });
    let mut world = World::of(pods);
    for client in 0..20 {
        world.client = [10, 1, 1, client].into();
        assert_eq!(world.data("_tri._tcp.a.b.default.Z", Rtype::SRV).1, ["0 100 20880 10-0-4-210.p.Z"]);
        assert_eq!(world.verdict(&format!("_rpc._tcp.{long}.default.Z"), Rtype::PTR), "NODATA");
        assert_eq!(world.verdict(&format!("_rpc._tcp.{long}.default.Z"), Rtype::SRV), "DATA");
    }
}
