//! Which Pods are in the zone.

use callsign::registration::ProfileText;
use callsign::report::{self, Paging, PodFilter, RefusalRow};
use callsign::snapshot::ZoneSettings;
use callsign::source::{Change, Phase, Pod};
use domain::base::iana::Rtype;

use super::world::{World, endpoint, pod, settings};

pub(super) const NAME: &str = "_rpc._tcp.a.b.default.Z";

pub(super) fn one() -> Pod {
    endpoint("one", "10.244.0.1", "interface=a.B port=1")
}

/// The Pod `one` with a change.
pub(super) fn changed(change: impl FnOnce(&mut Pod)) -> Pod {
    let mut pod = one();
    pod.resource_version = 2;
    change(&mut pod);
    pod
}

#[test]
fn the_state_of_a_pod_decides_which_of_its_names_exist() {
    for (what, change, service, target) in [
        ("as it is", (|_| ()) as fn(&mut Pod), "DATA", "DATA"),
        ("not ready", |pod| pod.status.ready = false, "NODATA", "DATA"),
        ("terminating", |pod| pod.status.terminating = true, "NODATA", "DATA"),
        ("pending", |pod| pod.status.phase = Phase::Pending, "NODATA", "DATA"),
        ("unknown", |pod| pod.status.phase = Phase::Unknown, "NODATA", "DATA"),
        ("succeeded", |pod| pod.status.phase = Phase::Succeeded, "NXDOMAIN", "NXDOMAIN"),
        ("failed", |pod| pod.status.phase = Phase::Failed, "NXDOMAIN", "NXDOMAIN"),
        ("no address", |pod| pod.status.pod_ips.clear(), "NODATA", "NXDOMAIN"),
        ("no annotation", |pod| pod.text = ProfileText::default(), "NXDOMAIN", "NXDOMAIN"),
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
fn publish_not_ready_publishes_pods_that_are_only_not_ready() {
    let settings = ZoneSettings { publish_not_ready: true, ..settings() };
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

pub(super) fn bad(world: &World) -> Vec<RefusalRow> {
    report::refusals(world.snapshot(), &Paging::ALL).items
}

pub(super) fn pods_named(world: &World, name: Option<&str>) -> Vec<report::PodRow> {
    let filter = PodFilter { name: name.map(str::to_owned), namespace: None };
    report::pods(world.snapshot(), &filter, &Paging::ALL).items
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
fn a_bad_registration_harms_no_other_registration() {
    let mut garbled = pod("bad", "10.244.0.2");
    garbled.text = ProfileText::of_value("5LiN55So55yL5LqG5bCx5piv5LiA5Liq5paH5pys5Y2P6K6u");
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
fn the_consumers_of_each_profile_are_kept() {
    // A regression: decoding one profile's annotation lost the consumers of another's.
    let mut world = World::of_profiles(settings(), &["app", "dubbo"]);
    let consumer = r#"[{"k": "/dubbo/a.B/consumers/consumer%3A%2F%2F10.244.0.1%2Fa.B%3Finterface%3Da.B"}]"#;
    let consumer = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, consumer);
    world.list_of("dubbo", [Pod { text: ProfileText::of_value(consumer), ..one() }]);
    world.list_of("app", [one()]);
    world.publish();
    let consumes = |world: &World| pods_named(world, None)[0].consumes.clone();
    assert_eq!(consumes(&world), ["a.B"]);
    world.send_of("dubbo", Change::Remove("uid-one".into()));
    world.publish();
    assert_eq!(consumes(&world), Vec::<String>::new());
}
