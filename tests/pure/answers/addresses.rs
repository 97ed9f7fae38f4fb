//! Which addresses a Pod may publish, and which of several Pods holds an address and port.

use callsign::snapshot::ZoneSettings;
use callsign::source::{Change, Phase};
use domain::base::iana::Rtype;

use super::pods::{NAME, bad, one, pods_named};
use super::world::{World, endpoint, settings};

#[test]
fn a_pod_publishes_only_its_own_addresses() {
    let foreign = || endpoint("thief", "10.244.0.9", "interface=a.B port=1 ip=10.244.0.1");
    let own = || endpoint("own", "10.244.0.9,fd00::9", "interface=a.B port=1 ip=fd00::9");
    let world = World::of([foreign()]);
    assert_eq!(world.verdict(NAME, Rtype::SRV), "NXDOMAIN");
    assert_eq!(bad(&world)[0].message, "ip: foreign address");
    assert_eq!(World::of([own()]).data(NAME, Rtype::SRV).1, ["0 100 1 fd00-0-0-0-0-0-0-9.p.Z"]);
    let trusting = ZoneSettings { trust_addresses: true, ..settings() };
    let world = World::with(trusting.clone(), [foreign()]);
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-1.p.Z"]);
    assert_eq!(world.verdict("1.0.244.10.in-addr.arpa.", Rtype::PTR), "NXDOMAIN");
    let world = World::with(trusting, [foreign(), one()]);
    let shown = pods_named(&world, Some("thief"));
    let withheld = shown[0].registrations[0].withheld.as_deref().unwrap_or_default();
    assert_eq!(withheld, "lost to another Pod: default/one holds the address and port");
    let mut waiting = foreign();
    waiting.status.pod_ips.clear();
    assert_eq!(World::of([waiting]).verdict(NAME, Rtype::SRV), "NODATA");
}

#[test]
fn pods_on_the_host_network_share_its_address() {
    let on_host = |name: &str, port: u16| {
        let mut pod = endpoint(name, "192.0.2.7", &format!("interface=a.B port={port}"));
        pod.status.host_network = true;
        pod.status.host_ips = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()].into();
        pod
    };
    let mut world = World::of([on_host("one", 1), on_host("two", 2), on_host("three", 2)]);
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 192-0-2-7.p.Z", "0 100 2 192-0-2-7.p.Z"]);
    assert_eq!(world.data(NAME, Rtype::TXT).1.len(), 3);
    world.send(Change::Remove("uid-two".into()));
    world.publish();
    assert_eq!(world.data(NAME, Rtype::SRV).1.len(), 2);
    assert_eq!(world.data("192-0-2-7.p.Z", Rtype::A).1, ["192.0.2.7"]);
}

#[test]
fn of_two_pods_at_one_address_and_port_the_later_holds_it() {
    let named = |name: &str, start: i64| {
        let mut pod = endpoint(name, "10.244.0.1", &format!("interface=a.B port=1 version={name}"));
        pod.status.start_time = Some(start);
        pod
    };
    let mut world = World::of([named("old", 1), named("new", 2)]);
    let pods = |world: &World| world.data("_rpc._tcp.a.b.default.Z", Rtype::TXT).1.join(" ");
    assert!(pods(&world).contains("pod=new") && !pods(&world).contains("pod=old"));
    assert_eq!(world.snapshot().tally.conflicts, 1);
    assert_eq!(world.verdict("_rpc._tcp.a.b.v-old.default.Z", Rtype::SRV), "NODATA");
    assert_eq!(world.data("1.0.244.10.in-addr.arpa.", Rtype::PTR).1.len(), 2);
    world.send(Change::Remove("uid-new".into()));
    world.publish();
    assert!(pods(&world).contains("pod=old"));
    assert_eq!(world.snapshot().tally.conflicts, 0);
    world.apply(named("new", 2));
    let mut finished = named("new", 2);
    finished.status.phase = Phase::Succeeded;
    finished.resource_version = 9;
    world.apply(finished);
    assert!(pods(&world).contains("pod=old"), "a finished Pod holds nothing");
}

#[test]
fn a_disabled_registration_claims_no_address_and_port() {
    let trusting = ZoneSettings { trust_addresses: true, ..settings() };
    let relay = |name: &str, start: i64, version: u64, fields: &str| {
        let fields = format!("interface=a.B port=1 ip=192.0.2.9 version={name} {fields}");
        let mut pod = endpoint(name, "10.244.0.1", &fields);
        (pod.resource_version, pod.status.start_time) = (version, Some(start));
        pod
    };
    for off in ["enabled=false", "disabled=true", "weight=0"] {
        let mut world = World::with(trusting.clone(), [relay("old", 1, 1, ""), relay("new", 2, 1, off)]);
        let holds = |world: &World| {
            ["old", "new"].map(|name| world.verdict(&format!("_rpc._tcp.a.b.v-{name}.default.Z"), Rtype::SRV))
        };
        assert_eq!(holds(&world), ["DATA", "NODATA"], "{off}");
        assert_eq!(world.snapshot().tally.conflicts, 0, "{off}");
        world.apply(relay("new", 2, 2, ""));
        assert_eq!(holds(&world), ["NODATA", "DATA"], "{off}, and on");
        world.apply(relay("new", 2, 3, off));
        assert_eq!(holds(&world), ["DATA", "NODATA"], "{off}, and off");
        world.apply(relay("old", 1, 4, off));
        assert_eq!(holds(&world), ["NODATA", "NODATA"], "{off}, both");
    }
}
