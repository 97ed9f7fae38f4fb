//! One interface with 20,000 endpoints, and one Pod with 1,000 interfaces: ordinary inputs.

use std::collections::HashMap;

use callsign::source::{Change, Pod};
use domain::base::iana::Rtype;

use super::world::{World, endpoint, whole};
use crate::ask::{Ask, Reply, flag};

const ENDPOINTS: usize = 20_000;

/// Every fourth of them speaks `tri`.
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
    assert!(targets(&tri).iter().all(|address| address % 4 == 0), "only those who speak it");
    assert_eq!(world.verdict("a.b.default.Z", Rtype::AAAA), "NODATA");

    // One of them goes and comes back, and no other is touched.
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

/// Each client's first record is another one, whichever part of the set it asks for.
fn clients_begin_all_over_it(mut world: World) {
    const CLIENTS: u32 = 500;
    for (name, records) in [("_rpc", ENDPOINTS), ("_tri", ENDPOINTS / 4), ("_dubbo", ENDPOINTS * 3 / 4)] {
        let ask = Ask::new(&whole(&format!("{name}._tcp.a.b.default.Z")), Rtype::SRV);
        let mut begun: HashMap<u32, usize> = HashMap::new();
        for client in 0..CLIENTS {
            world.client = std::net::Ipv4Addr::from(0x0a01_0000 + client).into();
            *begun.entry(targets(&world.udp(&ask))[0]).or_default() += 1;
        }
        // Of n clients over m records n²/2m fall together by chance.
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
