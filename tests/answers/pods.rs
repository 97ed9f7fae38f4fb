//! Which Pods are in the zone.

use std::sync::Arc;

use callsign::answer::Freshness;
use callsign::report::{self, Bad, Paging, PodFilter};
use callsign::source::{Change, Phase, Pod};
use domain::base::iana::Rtype;

use super::world::{World, endpoint, pod, registering, settings, whole};
use crate::ask::Ask;

const NAME: &str = "_rpc._tcp.a.b.default.Z";

fn one() -> Pod {
    endpoint("one", "10.244.0.1", "interface=a.B port=1")
}

/// The Pod `one` with a change.
fn changed(change: impl FnOnce(&mut Pod)) -> Pod {
    let mut pod = one();
    pod.resource_version = 2;
    change(&mut pod);
    pod
}

#[test]
fn what_a_pods_state_does_to_its_names() {
    for (what, change, service, target) in [
        ("as it is", (|_| ()) as fn(&mut Pod), "DATA", "DATA"),
        ("not ready", |pod| pod.status.ready = false, "NODATA", "DATA"),
        ("terminating", |pod| pod.status.terminating = true, "NODATA", "DATA"),
        ("pending", |pod| pod.status.phase = Phase::Pending, "NODATA", "DATA"),
        ("unknown", |pod| pod.status.phase = Phase::Unknown, "NODATA", "DATA"),
        ("succeeded", |pod| pod.status.phase = Phase::Succeeded, "NXDOMAIN", "NXDOMAIN"),
        ("failed", |pod| pod.status.phase = Phase::Failed, "NXDOMAIN", "NXDOMAIN"),
        ("no address", |pod| pod.status.pod_ips.clear(), "NODATA", "NXDOMAIN"),
        ("no annotation", |pod| pod.annotation = None, "NXDOMAIN", "NXDOMAIN"),
        ("host network", |pod| pod.status.host_network = true, "DATA", "DATA"),
    ] {
        let mut world = World::of([one()]);
        world.apply(changed(change));
        assert_eq!(world.verdict(NAME, Rtype::SRV), service, "{what}");
        assert_eq!(world.verdict("10-244-0-1.p.Z", Rtype::A), target, "{what}");
        let reverse = if what == "host network" { "NXDOMAIN" } else { target };
        assert_eq!(world.verdict("1.0.244.10.in-addr.arpa.", Rtype::PTR), reverse, "{what}");
        world.apply(Pod { resource_version: 3, ..one() });
        assert_eq!(world.verdict(NAME, Rtype::SRV), "DATA", "{what}, and back");
        world.send(Change::Remove("uid-one".into()));
        world.publish();
        for name in [NAME, "10-244-0-1.p.Z", "one.default.pod.Z", "default.Z", "1.0.244.10.in-addr.arpa."] {
            assert_eq!(world.verdict(name, Rtype::HINFO), "NXDOMAIN", "{name} after {what}");
        }
    }
}

#[test]
fn readiness_can_be_lifted_and_nothing_else() {
    let settings = callsign::snapshot::ZoneSettings { publish_not_ready: true, ..settings() };
    for (pod, verdict) in [
        (changed(|pod| pod.status.ready = false), "DATA"),
        (changed(|pod| pod.status.terminating = true), "NODATA"),
        (changed(|pod| pod.status.phase = Phase::Pending), "NODATA"),
    ] {
        assert_eq!(World::with(settings.clone(), [pod]).verdict(NAME, Rtype::SRV), verdict);
    }
}

#[test]
fn switched_off_registrations_make_their_names_exist() {
    for fields in ["enabled=false", "disabled=true", "weight=0"] {
        let off = || endpoint("one", "10.244.0.1", &format!("interface=a.B port=1 protocol=tri {fields}"));
        let mut world = World::of([off()]);
        for name in [NAME, "a.b.default.Z", "_tri._tcp.a.b.default.Z"] {
            assert_eq!(world.verdict(name, Rtype::SRV), "NODATA", "{name} {fields}");
        }
        assert_eq!(world.verdict("_dubbo._tcp.a.b.default.Z", Rtype::SRV), "NXDOMAIN", "{fields}");
        assert_eq!(world.verdict("one-1._rpc._tcp.a.b.default.Z", Rtype::SRV), "NXDOMAIN", "{fields}");
        for name in ["10-244-0-1.p.Z", "one.default.pod.Z"] {
            assert_eq!(world.verdict(name, Rtype::A), "DATA", "{name} {fields}");
        }
        world.apply(Pod { resource_version: 2, ..one() });
        assert_eq!(world.verdict(NAME, Rtype::SRV), "DATA", "{fields}, and on");
        world.apply(Pod { resource_version: 3, ..off() });
        assert_eq!(world.verdict(NAME, Rtype::SRV), "NODATA", "{fields}, and off");
        let mut over = off();
        (over.resource_version, over.status.phase) = (4, Phase::Succeeded);
        world.apply(over);
        assert_eq!(world.verdict(NAME, Rtype::SRV), "NXDOMAIN", "{fields}, and finished");
    }
}

fn bad(world: &World) -> Vec<Bad> {
    report::bad(world.snapshot(), &Paging::ALL).items
}

fn pods_named(world: &World, name: Option<&str>) -> Vec<report::Pod> {
    let filter = PodFilter { name: name.map(str::to_owned), namespace: None };
    report::pods(world.snapshot(), &filter, &Paging::ALL).items
}

#[test]
fn addresses_are_the_pods_own() {
    let foreign = || endpoint("thief", "10.244.0.9", "interface=a.B port=1 ip=10.244.0.1");
    let own = || endpoint("own", "10.244.0.9,fd00::9", "interface=a.B port=1 ip=fd00::9");
    let world = World::of([foreign()]);
    assert_eq!(world.verdict(NAME, Rtype::SRV), "NXDOMAIN");
    assert_eq!(bad(&world)[0].message, "ip: foreign address");
    assert_eq!(World::of([own()]).data(NAME, Rtype::SRV).1, ["0 100 1 fd00-0-0-0-0-0-0-9.p.Z"]);
    let trusting = callsign::snapshot::ZoneSettings { trust_addresses: true, ..settings() };
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
fn a_host_networks_pods_share_its_address() {
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
fn one_address_and_port_is_the_later_pods() {
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
fn a_registration_that_is_switched_off_takes_no_place_from_others() {
    let trusting = callsign::snapshot::ZoneSettings { trust_addresses: true, ..settings() };
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

#[test]
fn a_pod_replaced_under_its_name() {
    let with_uid = |uid: &str, address: &str, version: u64| {
        let pod = endpoint("one", address, "interface=a.B port=1");
        Pod { uid: uid.into(), resource_version: version, ..pod }
    };
    let mut world = World::of([with_uid("u1", "10.244.0.1", 5)]);
    world.apply(with_uid("u2", "10.244.0.2", 6));
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-2.p.Z"]);
    world.send(Change::Remove("u1".into()));
    world.publish();
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-2.p.Z"]);
    assert_eq!(world.data("one.default.pod.Z", Rtype::A).1, ["10.244.0.2"]);
}

#[test]
fn a_relist_that_finds_a_pod_replaced_takes_nothing_away_before_its_commit() {
    // A regression: the old Pod gave way to one that waited for the end of a list, for ever if the list broke off.
    let with_uid = |uid: &str, address: &str, version: u64| {
        let pod = endpoint("one", address, "interface=a.B port=1");
        Pod { uid: uid.into(), resource_version: version, ..pod }
    };
    let mut world = World::of([with_uid("u1", "10.244.0.1", 5)]);
    for end in [Change::Abort, Change::Commit] {
        world.send(Change::Begin);
        world.send(Change::Apply(Box::new(with_uid("u2", "10.244.0.2", 9))));
        assert!(!world.publish());
        assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-1.p.Z"]);
        let is_whole = matches!(end, Change::Commit);
        world.send(end);
        assert_eq!(world.publish(), is_whole);
    }
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-2.p.Z"]);
    // Both are listed. The older one comes back once the newer one is gone.
    let mut world = World::of([with_uid("u1", "10.244.0.1", 5), with_uid("u2", "10.244.0.2", 9)]);
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-2.p.Z"]);
    world.send(Change::Remove("u2".into()));
    world.publish();
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-1.p.Z"]);
}

#[test]
fn a_list_that_is_closed_shows_what_it_told_and_takes_nothing_away() {
    let mut world = World::of([
        endpoint("one", "10.244.0.1", "interface=a.B port=1"),
        endpoint("two", "10.244.0.2", "interface=a.B port=1"),
    ]);
    world.send(Change::Begin);
    world.send(Change::Apply(Box::new(Pod {
        resource_version: 9,
        ..endpoint("one", "10.244.0.1", "interface=a.B port=2")
    })));
    assert!(!world.publish());
    world.send(Change::Close);
    assert!(world.publish());
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-2.p.Z", "0 100 2 10-244-0-1.p.Z"]);
}

#[test]
fn a_bad_registration_harms_nobody() {
    let mut garbled = pod("bad", "10.244.0.2");
    garbled.annotation = Some("5LiN55So55yL5LqG5bCx5piv5LiA5Liq5paH5pys5Y2P6K6u".into());
    let mixed = endpoint("mixed", "10.244.0.3", "interface=a.B port=0 interface=a.B port=1");
    let world = World::of([one(), garbled, mixed]);
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-1.p.Z", "0 100 1 10-244-0-3.p.Z"]);
    let refused: Vec<_> = bad(&world).into_iter().map(|bad| (bad.pod, bad.message)).collect();
    let port = "port: port is not a number from 1 to 65535";
    assert_eq!(refused, [("bad".to_owned(), "bad JSON".to_owned()), ("mixed".to_owned(), port.to_owned())]);
}

#[test]
fn a_pod_that_kubernetes_cannot_have_is_refused() {
    // A regression: a namespace too long for a label made the room for names negative, and the index panicked.
    for (namespace, name) in [("n".repeat(64), "one".to_owned()), ("n".repeat(250), "one".into())]
        .into_iter()
        .chain([("Default".into(), "one".into()), ("a.b".into(), "one".into())])
        .chain([
            ("default".into(), "One".into()),
            ("default".into(), "a..b".into()),
            ("default".into(), "a".repeat(254)),
        ])
    {
        let odd = Pod { namespace: namespace.as_str().into(), name: name.as_str().into(), ..changed(|_| ()) };
        let world = World::of([one(), Pod { uid: "odd".into(), ..odd }]);
        assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-1.p.Z"]);
        assert_eq!(world.snapshot().service_count(), 1);
        let bad = bad(&world);
        assert_eq!(bad.len(), 1, "{namespace} {name}");
        assert_eq!(bad[0].message, "not a valid name of a Pod or namespace");
    }
}

#[test]
fn each_profile_tells_of_its_own_consumers() {
    // A regression: decoding one profile's annotation lost the consumers of another's.
    let mut world = World::of_profiles(settings(), &["app", "dubbo"]);
    let consumer = r#"[{"k": "/dubbo/a.B/consumers/consumer%3A%2F%2F10.244.0.1%2Fa.B%3Finterface%3Da.B"}]"#;
    let consumer = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, consumer);
    world.list_of("dubbo", [Pod { annotation: Some(consumer.into()), ..one() }]);
    world.list_of("app", [one()]);
    world.publish();
    let consumes = |world: &World| pods_named(world, None)[0].consumes.clone();
    assert_eq!(consumes(&world), ["a.B"]);
    world.send_of("dubbo", Change::Remove("uid-one".into()));
    world.publish();
    assert_eq!(consumes(&world), Vec::<String>::new());
}

#[test]
fn a_relist_shows_whole_or_not_at_all() {
    let mut world = World::of([one(), endpoint("two", "10.244.0.2", "interface=a.B port=1")]);
    let before = world.data(NAME, Rtype::SRV);
    world.send(Change::Begin);
    world.send(Change::Apply(Box::new(endpoint("three", "10.244.0.3", "interface=a.B port=1"))));
    assert!(!world.publish());
    world.send(Change::Abort);
    assert!(!world.publish());
    assert_eq!(world.data(NAME, Rtype::SRV), before);
    world.send(Change::Begin);
    world.send(Change::Apply(Box::new(endpoint("three", "10.244.0.3", "interface=a.B port=1"))));
    world.send(Change::Commit);
    world.publish();
    assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 100 1 10-244-0-3.p.Z"]);
}

#[test]
fn a_watch_never_goes_back_and_a_list_may() {
    let mut world = World::of([Pod { resource_version: 5, ..one() }]);
    world.apply(Pod { resource_version: 4, ..changed(|pod| pod.status.ready = false) });
    assert_eq!(world.verdict(NAME, Rtype::SRV), "DATA");
    world.send(Change::Begin);
    world.send(Change::Apply(Box::new(Pod { resource_version: 4, ..changed(|pod| pod.status.ready = false) })));
    world.send(Change::Commit);
    world.publish();
    assert_eq!(world.verdict(NAME, Rtype::SRV), "NODATA");
}

#[test]
fn a_zone_without_pods_has_a_serial() {
    assert_eq!(World::of([]).snapshot().serial, 8, "the first sync changes every answer");
}

#[test]
fn the_serial_moves_only_for_what_dns_shows() {
    let mut world = World::of([one()]);
    let (serial, revision) = (world.snapshot().serial, world.snapshot().revision);
    world.apply(changed(|_| ()));
    assert_eq!((world.snapshot().serial, world.snapshot().revision), (serial, revision), "a new version alone");
    world.apply(Pod { resource_version: 3, ..registering(one(), "interface=a.B port=1 pid=8") });
    assert_eq!(world.snapshot().serial, serial, "metadata that is not published");
    assert!(world.snapshot().revision > revision);
    world.apply(Pod { resource_version: 4, ..registering(one(), "interface=a.B port=1 zone=b") });
    assert!(world.snapshot().serial > serial, "metadata that is");
    let serial = world.snapshot().serial;
    let mut quiet = endpoint("quiet", "10.244.0.7", "port=1");
    quiet.resource_version = 5;
    world.apply(quiet);
    assert_eq!(world.snapshot().serial, serial, "a bad registration");
    assert_eq!(bad(&world).len(), 1);
}

#[test]
fn the_serial_stands_while_one_more_is_not_ready() {
    let waiting = |name: &str, address: &str, fields: &str| {
        let mut pod = endpoint(name, address, fields);
        pod.status.ready = false;
        pod
    };
    // Apart from its Pod's own names, a registration that is not ready adds a name or nothing.
    let mut world = World::of([one(), waiting("two", "10.244.0.2", "interface=x.Y port=1")]);
    for (fields, moves) in [
        ("interface=x.Y port=1 interface=a.B port=1", false),
        ("interface=x.Y port=1 interface=a.B protocol=tri port=1", true),
        ("interface=x.Y port=1 interface=a.B protocol=tri port=1 group=g", true),
        ("interface=x.Y port=1", true),
    ] {
        let serial = world.snapshot().serial;
        let version = u64::from(serial);
        world.apply(Pod { resource_version: version, ..waiting("two", "10.244.0.2", fields) });
        assert_eq!(world.snapshot().serial != serial, moves, "{fields}");
    }
}

#[test]
fn the_serial_stands_where_a_pod_gives_way_to_one_that_looks_the_same() {
    let quiet = |uid: &str, version| {
        let mut pod = Pod { uid: uid.into(), resource_version: version, ..one() };
        pod.status.ready = false;
        pod
    };
    let mut world = World::of([quiet("u1", 1)]);
    let (serial, revision) = (world.snapshot().serial, world.snapshot().revision);
    world.apply(quiet("u2", 2));
    assert_eq!(world.snapshot().serial, serial);
    assert!(world.snapshot().revision > revision);
    // Two at once, and the newer one has finished: neither was ever visible.
    let mut world = World::of([]);
    let serial = world.snapshot().serial;
    let mut over = quiet("u2", 2);
    over.status.phase = Phase::Succeeded;
    [quiet("u1", 1), over].into_iter().for_each(|pod| world.send(Change::Apply(Box::new(pod))));
    world.publish();
    assert_eq!(world.snapshot().serial, serial);
}

#[test]
fn before_the_first_sync_and_after_long_silence() {
    let mut world = World::unsynced(settings());
    let ask = |world: &World, name: &str| {
        let reply = world.udp(&Ask::new(&whole(name), Rtype::SRV).edns(1232));
        let code = reply
            .edns
            .unwrap()
            .options
            .first()
            .map(|(code, data)| (*code, u16::from(data[0]) << 8 | u16::from(data[1])));
        (reply.rcode, code)
    };
    world.send(Change::Begin);
    world.send(Change::Apply(Box::new(one())));
    world.publish();
    for name in [NAME, "nope.Z", "Z", "1.0.244.10.in-addr.arpa."] {
        assert_eq!(ask(&world, name), ("SERVFAIL".into(), Some((15, 14))), "{name}");
    }
    assert_eq!(ask(&world, "example.org."), ("REFUSED".into(), Some((15, 20))));
    assert_eq!(ask(&world, "."), ("REFUSED".into(), Some((15, 20))));
    world.send(Change::Commit);
    world.publish();
    assert_eq!(ask(&world, NAME), ("NOERROR".into(), None));
    world.freshness = Freshness::Stale;
    assert_eq!(ask(&world, NAME), ("NOERROR".into(), Some((15, 3))));
    assert_eq!(ask(&world, "nope.Z"), ("NXDOMAIN".into(), Some((15, 19))));
    world.freshness = Freshness::Expired;
    assert_eq!(ask(&world, NAME), ("SERVFAIL".into(), Some((15, 22))));
    assert_eq!(ask(&world, "."), ("REFUSED".into(), Some((15, 20))));
}

#[test]
fn an_event_of_another_profile_adds_and_removes_its_own() {
    use super::world::source;
    use callsign::index::{Index, Now};
    use callsign::source::Event;
    let now = |millis| Now { monotonic: std::time::Duration::from_millis(millis), wall_eighths: 1 };
    let zones = Arc::new(callsign::zones::Zones::none(settings().origin));
    let mut index = Index::new(Arc::new(settings()), zones, vec![source("app"), source("dubbo")]);
    let pod = |fields: &str| Box::new(registering(one(), fields));
    for (profile, fields) in [("app", "interface=a.A port=1"), ("dubbo", "interface=b.B port=2")] {
        for change in [Change::Begin, Change::Apply(pod(fields)), Change::Commit] {
            index.apply(Event { source: source(profile), change });
        }
    }
    let (snapshot, _) = index.publish(now(1)).unwrap();
    assert_eq!((snapshot.tally.pods, snapshot.tally.endpoints, snapshot.service_count()), (1, 2, 2));
    index.apply(Event { source: source("app"), change: Change::Remove("uid-one".into()) });
    let (snapshot, difference) = index.publish(now(2)).unwrap();
    assert_eq!((snapshot.tally.pods, snapshot.tally.endpoints, snapshot.service_count()), (1, 1, 1));
    assert_eq!(difference.services.len(), 1);
    index.apply(Event { source: source("dubbo"), change: Change::Remove("uid-one".into()) });
    let (snapshot, _) = index.publish(now(3)).unwrap();
    assert_eq!((snapshot.tally.pods, snapshot.tally.endpoints, snapshot.service_count()), (0, 0, 0));
}
