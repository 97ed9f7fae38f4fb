//! Several profiles of one Pod, and Pods that were written for others.

use std::sync::Arc;
use std::time::Duration;

use callsign::index::Index;
use callsign::registration::{ContainerPort, PRESETS, PodParts, ProfileText, Reason};
use callsign::report::{self, Paging};
use callsign::source::{Change, Pod, WatchProfile};
use callsign::state;
use callsign::zones::Zones;
use domain::base::iana::Rtype;

use super::pods::pods_named;
use super::world::{World, ZONE, endpoint, pod, settings, source};

const NAME: &str = "_rpc._tcp.a.b.default.Z";

fn weighing(weight: &str) -> Pod {
    endpoint("one", "10.244.0.1", &format!("interface=a.B port=1 {weight}"))
}

#[test]
fn of_two_profiles_the_first_one_of_the_configuration_counts() {
    for order in [["zeta", "alpha"], ["alpha", "zeta"]] {
        let mut world = World::of_profiles(settings(), &["zeta", "alpha"]);
        for profile in order {
            world.list_of(profile, [weighing(if profile == "zeta" { "weight=9" } else { "weight=7" })]);
        }
        world.publish();
        assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 9 1 10-244-0-1.p.Z"], "{order:?}");

        let version = |pod: Pod, resource_version| Pod { resource_version, ..pod };
        world.list_of("zeta", [version(weighing("enabled=false"), 2)]);
        world.publish();
        assert_eq!(world.verdict(NAME, Rtype::SRV), "NODATA", "{order:?}: it says not to publish");

        world.list_of("zeta", [version(weighing("weight=9 interface=a.B port=1 weight=8"), 3)]);
        world.publish();
        assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 8 1 10-244-0-1.p.Z"], "{order:?}: its last one");

        world.list_of("zeta", []);
        world.publish();
        assert_eq!(world.data(NAME, Rtype::SRV).1, ["0 7 1 10-244-0-1.p.Z"], "{order:?}: the other one is left");
    }
}

/// Of a dual-stack Pod, one registration names one address, and an equal one has them all.
#[test]
fn equal_registrations_are_one_endpoint_at_each_address() {
    let dual = |fields: &str| endpoint("one", "10.244.0.1,fd00::1", fields);
    let (named, other) = ("interface=a.B port=1 ip=10.244.0.1", "interface=a.B port=1 ip=fd00::1");
    let own = "interface=a.B port=1 weight=9";
    let v4 = |weight: u16| format!("0 {weight} 1 10-244-0-1.p.Z");
    let v6 = |weight: u16| format!("0 {weight} 1 fd00-0-0-0-0-0-0-1.p.Z");
    for (case, first, second, srv, addresses) in [
        ("the first profile counts at its address", format!("{named} weight=5"), own.to_owned(), vec![v4(5), v6(9)], 2),
        ("the first profile counts at both", own.to_owned(), format!("{named} weight=5"), vec![v4(9)], 2),
        ("it says not to publish there", format!("{named} enabled=false"), own.to_owned(), vec![v6(9)], 1),
        ("it says not to publish", format!("{own} enabled=false"), named.to_owned(), vec![], 0),
        ("each address is named", format!("{named} {other} weight=5"), own.to_owned(), vec![v4(100), v6(5)], 2),
        ("the last of one profile counts", format!("{named} {own} enabled=false"), String::new(), vec![], 0),
        ("it counts at its address alone", format!("{own} {named} weight=5"), String::new(), vec![v4(5), v6(9)], 2),
        (
            "another port",
            "interface=a.B port=2 ip=10.244.0.1".to_owned(),
            own.to_owned(),
            vec!["0 100 2 10-244-0-1.p.Z".to_owned(), v4(9)],
            2,
        ),
    ] {
        let mut world = World::of_profiles(settings(), &["micro", "labels"]);
        world.list_of("micro", [dual(&first)]);
        world.list_of("labels", [dual(&second)]);
        world.publish();
        assert_eq!(world.data(NAME, Rtype::SRV).1, srv, "{case}");
        assert_eq!(world.data(NAME, Rtype::TXT).1.len(), srv.len(), "{case}: a TXT record for each");
        let found = [Rtype::A, Rtype::AAAA].map(|rtype| world.data("a.b.default.Z", rtype).1.len());
        assert_eq!(found.iter().sum::<usize>(), addresses, "{case}");
    }
}

#[test]
fn a_repeated_registration_says_which_one_counts() {
    let place = "the same service, protocol, address and port";
    let of_first = format!("repeated: the profile micro, which comes first, registers {place}");
    let of_later = format!("repeated: a later registration of its profile has {place}");
    for (first, second, expected) in [
        ("interface=a.B port=1", "interface=a.B port=1", [("micro", None), ("labels", Some(&of_first))]),
        ("interface=a.B port=1", "interface=a.B port=1 ip=10.244.0.1", [("micro", None), ("labels", Some(&of_first))]),
        ("interface=a.B port=1 interface=a.B port=1", "", [("micro", Some(&of_later)), ("micro", None)]),
        ("", "interface=a.B port=1 interface=a.B port=1", [("labels", Some(&of_later)), ("labels", None)]),
        ("interface=a.B port=1 ip=10.244.0.1", "interface=a.B port=1", [("micro", None), ("labels", None)]),
    ] {
        let mut world = World::of_profiles(settings(), &["micro", "labels"]);
        world.list_of("micro", [endpoint("one", "10.244.0.1,fd00::1", first)]);
        world.list_of("labels", [endpoint("one", "10.244.0.1,fd00::1", second)]);
        world.publish();
        let pods = pods_named(&world, Some("one"));
        let rows = pods[0].registrations.iter().map(|row| (&*row.profile, row.withheld.as_ref()));
        assert_eq!(rows.collect::<Vec<_>>(), expected, "{first}, {second}");
    }
}

/// A Pod as the profile `labels` sees it.
fn of_chart(name: &str, address: &str, ports: &[(&str, u16)]) -> Pod {
    let labels = [("app.kubernetes.io/instance", "web"), ("app.kubernetes.io/name", "nginx")];
    let labels = labels.iter().map(|(key, value)| (Box::from(*key), Box::from(*value))).collect();
    let ports = ports.iter().map(|(name, number)| ContainerPort { name: (*name).into(), number: *number }).collect();
    let parts = PodParts { labels, ports, ..PodParts::default() };
    Pod { text: ProfileText { value: None, parts: Some(parts.into()) }, ..pod(name, address) }
}

#[test]
fn charts_are_found_by_their_labels() {
    let preset = PRESETS.iter().find(|preset| preset.name == "labels").expect("the preset");
    let mut world = World::reading(settings(), &[WatchProfile::of_preset(preset)]);
    let web = || of_chart("web", "10.244.0.1", &[("http", 8080), ("", 9090)]);
    world.list_of("labels", [web(), of_chart("portless", "10.244.0.2", &[("", 80)])]);
    world.publish();
    assert_eq!(world.data("_http._tcp.nginx.default.Z", Rtype::SRV).1, ["0 100 8080 10-244-0-1.p.Z"]);
    assert_eq!(world.data("_http._tcp.nginx.g-web.default.Z", Rtype::SRV).1, ["0 100 8080 10-244-0-1.p.Z"]);

    // It is counted and shown, and not logged: a cluster has thousands of such Pods.
    let pod = world.snapshot().pods().find(|pod| pod.name() == "portless").expect("the Pod");
    let refused: Vec<_> = pod.refusals().collect();
    assert_eq!(refused.iter().map(|one| one.reason).collect::<Vec<_>>(), [Reason::NoPort]);
    assert!(!refused[0].reason.is_logged(refused[0].key.as_ref()));
    let shown = report::refusals(world.snapshot(), &Paging::ALL).items;
    assert_eq!(shown.iter().map(|row| (&*row.pod, &*row.profile)).collect::<Vec<_>>(), [("portless", "labels")]);
    assert!(shown[0].message.contains("no TCP container port has a name"), "{}", shown[0].message);

    // The same text under a newer version is no change, a container port more is one.
    world.send_of("labels", Change::Apply(Box::new(Pod { resource_version: 2, ..web() })));
    assert!(!world.publish());
    let more = of_chart("web", "10.244.0.1", &[("http", 8080), ("grpc", 9090)]);
    world.send_of("labels", Change::Apply(Box::new(Pod { resource_version: 3, ..more })));
    assert!(world.publish());
    assert_eq!(world.data("_grpc._tcp.nginx.default.Z", Rtype::SRV).1, ["0 100 9090 10-244-0-1.p.Z"]);

    // A saved zone has pairs, whatever the Pods had.
    let folder = std::env::temp_dir().join(format!("callsign-profiles-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let sources = [source("labels")];
    state::save(&folder, world.snapshot(), &sources, 1).unwrap();
    let zones = Arc::new(Zones::none(settings().origin));
    let index = Index::new(Arc::new(settings()), zones, sources.to_vec());
    let loaded = state::load(&folder, index, ZONE, &sources, 1, Duration::from_secs(9));
    std::fs::remove_dir_all(&folder).unwrap();
    world.set_snapshot(loaded.unwrap());
    assert_eq!(world.data("_grpc._tcp.nginx.default.Z", Rtype::SRV).1, ["0 100 9090 10-244-0-1.p.Z"]);
}
