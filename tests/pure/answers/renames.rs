//! A Pod gets another name or namespace under the same uid, as in an edited manifest. All its names follow.

use callsign::source::{Change, Pod};
use domain::base::iana::Rtype;

use super::world::{World, endpoint, settings};

const FIELDS: &str = "interface=a.A protocol=tri port=1";

fn pod(namespace: &str, name: &str, version: u64) -> Pod {
    let pod = endpoint(name, "10.244.0.1", FIELDS);
    Pod { namespace: namespace.into(), uid: "uid-one".into(), resource_version: version, ..pod }
}

/// Every name that the Pod has under a name and a namespace, with its answer.
fn said(world: &World, namespace: &str, name: &str) -> Vec<(String, Vec<String>)> {
    let owned = [
        (format!("{name}.{namespace}.pod.Z"), Rtype::A),
        (format!("_tri._tcp.a.a.{namespace}.Z"), Rtype::SRV),
        (format!("_tri._tcp.a.a.{namespace}.Z"), Rtype::TXT),
        (format!("_rpc._tcp.a.a.{namespace}.Z"), Rtype::PTR),
        (format!("{name}-1._tri._tcp.a.a.{namespace}.Z"), Rtype::SRV),
        (format!("b._dns-sd._udp.{namespace}.Z"), Rtype::PTR),
        (format!("x-{}.{namespace}.Z", callsign::name::Alias::of(None, "a.A", None)), Rtype::A),
        ("1.0.244.10.in-addr.arpa.".to_owned(), Rtype::PTR),
    ];
    owned.map(|(owner, rtype)| world.data(&owner, rtype)).to_vec()
}

fn assert_follows(world: &World, (namespace, name): (&str, &str), earlier: (&str, &str)) {
    let fresh = World::of([pod(namespace, name, 1)]);
    assert_eq!(said(world, namespace, name), said(&fresh, namespace, name));
    assert_eq!(said(world, earlier.0, earlier.1), said(&fresh, earlier.0, earlier.1), "nothing is left of {earlier:?}");
    let mut tally = world.snapshot().tally.clone();
    tally.refused.retain(|_, count| *count > 0); // past refusals stay counted, for metrics
    assert_eq!(tally, fresh.snapshot().tally);
}

#[test]
fn all_names_of_a_renamed_pod_follow_by_an_event_and_by_a_list() {
    let moves = [("default", "two"), ("n2", "two"), ("n3", "one"), ("default", "one")];
    for by_list in [false, true] {
        let mut world = World::of([pod("default", "one", 1)]);
        let mut earlier = ("default", "one");
        for (version, now) in (2..).zip(moves) {
            let serial = world.snapshot().serial;
            let change = Change::Apply(Box::new(pod(now.0, now.1, version)));
            if by_list {
                world.send(Change::Begin);
                world.send(change);
                world.publish();
                assert_eq!(world.snapshot().serial, serial, "half a list renames no Pod");
                world.send(Change::Commit);
            } else {
                world.send(change);
            }
            world.publish();
            assert_ne!(world.snapshot().serial, serial);
            assert_follows(&world, now, earlier);
            earlier = now;
        }
    }
}

#[test]
fn the_registrations_of_another_profile_move_with_a_renamed_pod() {
    let mut world = World::of_profiles(settings(), &["app", "dubbo"]);
    let other = endpoint("one", "10.244.0.1", "interface=b.B port=2");
    world.list_of("app", [pod("default", "one", 1)]);
    world.list_of("dubbo", [Pod { uid: "uid-one".into(), ..other.clone() }]);
    world.publish();
    world.send_of("app", Change::Apply(Box::new(pod("n2", "two", 2))));
    world.publish();
    assert_eq!(world.data("two-2._rpc._tcp.b.b.n2.Z", Rtype::SRV).1, ["0 100 2 10-244-0-1.p.Z"]);
    assert_eq!(world.verdict("b.b.default.Z", Rtype::SRV), "NXDOMAIN");
    // An older version renames no Pod.
    world.send_of("dubbo", Change::Apply(Box::new(Pod { uid: "uid-one".into(), ..other })));
    world.publish();
    assert_eq!(world.verdict("b.b.n2.Z", Rtype::SRV), "DATA");
}

#[test]
fn a_pod_that_gives_up_a_name_leaves_it_to_the_other_pod_of_that_name() {
    let rival = |version| {
        let fields = "interface=c.C port=9";
        Pod { uid: "uid-rival".into(), resource_version: version, ..endpoint("one", "10.244.0.2", fields) }
    };
    let mut world = World::of([rival(1), pod("default", "one", 2)]);
    assert_eq!(world.verdict("c.c.default.Z", Rtype::SRV), "NXDOMAIN", "the newer Pod of the name replaces the older");
    world.apply(pod("default", "two", 3));
    assert_eq!(world.verdict("c.c.default.Z", Rtype::SRV), "DATA");
    assert_eq!(world.data("one.default.pod.Z", Rtype::A).1, ["10.244.0.2"]);
    world.apply(pod("default", "one", 4));
    assert_eq!(world.verdict("c.c.default.Z", Rtype::SRV), "NXDOMAIN");
    assert_eq!(world.data("one.default.pod.Z", Rtype::A).1, ["10.244.0.1"]);
    world.apply(rival(5));
    assert_eq!(world.data("one.default.pod.Z", Rtype::A).1, ["10.244.0.2"]);
}

#[test]
fn a_name_that_dns_cannot_read_refuses_the_pod_until_it_has_another_one() {
    let mut world = World::of([pod("default", "one", 1)]);
    world.apply(pod("default", "One_1", 2));
    assert_eq!(world.verdict("a.a.default.Z", Rtype::SRV), "NXDOMAIN");
    assert_eq!(world.snapshot().pods().flat_map(|pod| pod.refusals()).count(), 1);
    world.apply(pod("n2", "two", 3));
    assert_follows(&world, ("n2", "two"), ("default", "one"));
}

#[test]
fn a_moved_pod_counts_in_its_new_namespace() {
    let filler = Pod { uid: "uid-filler".into(), ..endpoint("filler", "10.244.0.3", "interface=f.F port=3") };
    let pods = [Pod { namespace: "n2".into(), ..filler }, pod("default", "one", 1)];
    let mut settings = settings();
    settings.namespace_bytes_max = World::of(pods.clone()).snapshot().tally.bytes - 1; // room for only one of the two
    let mut world = World::with(settings, pods);
    assert_eq!(world.snapshot().tally.endpoints, 2);
    for (version, namespace, endpoints) in [(2, "n2", 1), (3, "default", 2), (4, "n2", 1), (5, "n3", 2)] {
        world.apply(pod(namespace, "one", version));
        assert_eq!(world.snapshot().tally.endpoints, endpoints, "in {namespace}");
    }
}
