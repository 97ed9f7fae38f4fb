//! What one Pod can and cannot do to others by what it writes into its own annotation.

use callsign::registration::Reason;
use callsign::report::{self, Paging};
use callsign::snapshot::ZoneSettings;
use callsign::source::{Change, Phase, Pod};
use domain::base::iana::Rtype;
use proptest::prelude::*;

use super::world::{World, endpoint, registering, settings};
use crate::seeds::{config, seeds_of};

/// A Pod of the namespace `victim`, and the question that it answers.
fn victim() -> Pod {
    let pod =
        endpoint("server-0", "10.244.0.1,fd00::1", "interface=org.acme.Bank group=g protocol=tri port=50051 zone=a");
    Pod { namespace: "victim".into(), ..pod }
}

/// Every name that the victim has, as it is answered.
fn answers(world: &World) -> Vec<String> {
    let alias = callsign::name::Alias::of(Some("g"), "org.acme.Bank", None).label();
    let mut answers = Vec::new();
    for name in [
        "org.acme.bank.victim.Z",
        "_tri._tcp.org.acme.bank.victim.Z",
        "_rpc._tcp.org.acme.bank.g-g.victim.Z",
        "_rpc._tcp.org.acme.bank.v--none.g-g.victim.Z",
        &format!("_rpc._tcp.{alias}.victim.Z"),
        "server-0-50051._tri._tcp.org.acme.bank.victim.Z",
        "10-244-0-1.p.Z",
        "server-0.victim.pod.Z",
        "1.0.244.10.in-addr.arpa.",
        "b._dns-sd._udp.victim.Z",
        "_services._dns-sd._udp.org.acme.bank.victim.Z",
        // And what is not there.
        "org.acme.victim.Z",
        "bank.victim.Z",
        "other.victim.Z",
        "victim.pod.Z",
        "victim.Z",
        "p.Z",
    ] {
        for rtype in [Rtype::SRV, Rtype::TXT, Rtype::A, Rtype::AAAA, Rtype::PTR] {
            answers.push(format!("{name} {rtype} {:?}", world.data(name, rtype)));
        }
    }
    answers
}

#[test]
fn what_a_pod_writes_changes_no_answer_of_another_namespace() {
    let alone = answers(&World::of([victim()]));
    assert!(alone.iter().any(|line| line.contains("0 100 50051")), "{alone:?}");
    let many = "interface=org.acme.Bank port=50051 ".repeat(1_025);
    for fields in [
        "interface=org.acme.Bank group=g protocol=tri port=50051",
        "interface=org.acme.Bank group=g protocol=tri port=50051 ip=10.244.0.1",
        "interface=org.acme.Bank group=g protocol=tri port=50051 ip=fd00::1",
        "interface=org.acme.Bank group=g protocol=tri port=50051 ip=::ffff:10.244.0.1",
        "interface=org.acme.Bank.victim port=50051",
        "interface=org.acme.Bank.g-g.victim port=50051",
        "interface=victim port=50051",
        "interface=org.acme.Bank port=50051 namespace=victim pod=server-0 addr=10.244.0.1:50051",
        "interface=../victim/org.acme.Bank port=50051",
        "interface=org.acme.Bank.victim.rpc.cluster.local. port=50051",
        "interface=_tri._tcp.org.acme.Bank.victim port=50051",
        "interface=server-0.victim.pod port=50051",
        "interface=10-244-0-1.p port=50051",
        "interface=p port=50051",
        "interface=pod port=50051",
        "interface=b._dns-sd._udp.victim port=50051",
        "interface=* port=50051",
        "interface=*.victim port=50051",
        many.as_str(),
        "port=1 interface= x=",
    ] {
        // It started later, so that it would win an address, and its uid is the larger one.
        let mut hostile = endpoint("zzz", "10.244.0.66", fields);
        (hostile.namespace, hostile.status.start_time) = ("attacker".into(), Some(9));
        for pods in [[victim(), hostile.clone()], [hostile.clone(), victim()]] {
            assert_eq!(answers(&World::of(pods)), alone, "{fields:.80}");
        }
        let mut world = World::of([victim()]);
        world.apply(hostile.clone());
        world.apply(registering(hostile.clone(), "interface=x port=1"));
        world.send(Change::Remove(hostile.uid.clone()));
        world.publish();
        assert_eq!(answers(&world), alone, "{fields:.80}: come and gone");
    }
}

/// The Pod's age is its number, and it registers so many.
fn tenant(number: usize, registrations: usize) -> Pod {
    let fields: String = (0..registrations).map(|port| format!("interface=a.I{number} port={} ", port + 1)).collect();
    let mut pod = endpoint(&format!("pod-{number}"), &format!("10.244.1.{}", number + 1), &fields);
    pod.status.start_time = Some(number as i64);
    pod
}

fn with_room(max: usize, pods: impl IntoIterator<Item = Pod>) -> World {
    World::with(ZoneSettings { namespace_registrations_max: max, ..settings() }, pods)
}

/// How many of each Pod's registrations are answered, and how many are refused for want of room.
fn shares(world: &World, pods: usize) -> Vec<(usize, usize)> {
    let bad = report::bad(world.snapshot(), &Paging::ALL).items;
    let of = |number: usize| {
        let answered = world.data(&format!("a.i{number}.default.Z"), Rtype::SRV).1.len();
        let is_full = |one: &&report::Bad| one.pod == format!("pod-{number}") && one.reason == Reason::NamespaceFull;
        (answered, bad.iter().filter(is_full).count())
    };
    (0..pods).map(of).collect()
}

#[test]
fn a_full_namespaces_oldest_pods_keep_theirs() {
    for (max, registered, expected) in [
        (6, vec![2, 2, 2], vec![(2, 0), (2, 0), (2, 0)]),
        (5, vec![2, 2, 2], vec![(2, 0), (2, 0), (1, 1)]),
        (4, vec![2, 2, 2], vec![(2, 0), (2, 0), (0, 2)]),
        (3, vec![2, 2, 2], vec![(2, 0), (1, 1), (0, 2)]),
        (1, vec![3, 1, 0, 2], vec![(1, 2), (0, 1), (0, 0), (0, 2)]),
    ] {
        let pods = || registered.iter().enumerate().map(|(number, count)| tenant(number, *count));
        assert_eq!(shares(&with_room(max, pods()), registered.len()), expected, "{max}: in one list");
        let mut world = with_room(max, []);
        pods().rev().for_each(|pod| world.apply(pod));
        assert_eq!(shares(&world, registered.len()), expected, "{max}: the youngest first");
    }
}

#[test]
fn a_full_namespace_recovers_when_others_go() {
    let mut world = with_room(4, (0..4).map(|number| tenant(number, 2)));
    assert_eq!(shares(&world, 4), [(2, 0), (2, 0), (0, 2), (0, 2)]);
    assert_eq!(world.snapshot().tally.refused[&Reason::NamespaceFull], 4);
    let pod = &report::pods(world.snapshot(), &Default::default(), &Paging::ALL).items[2];
    let why = "namespace full: older Pods have all registrations that a namespace may have";
    assert_eq!(pod.registrations[0].withheld.as_deref(), Some(why));
    // A service that nobody else registers is not there, nor is its Pod.
    assert_eq!(world.verdict("a.i3.default.Z", Rtype::SRV), "NXDOMAIN");
    assert_eq!(world.verdict("pod-3.default.pod.Z", Rtype::A), "NXDOMAIN");
    for (what, expected) in [
        ("gone", [(0, 0), (2, 0), (2, 0), (0, 2)]),
        ("fewer", [(0, 0), (1, 0), (2, 0), (1, 1)]),
        ("finished", [(0, 0), (1, 0), (0, 0), (2, 0)]),
        ("back, and old", [(2, 0), (1, 0), (0, 0), (1, 1)]),
    ] {
        match what {
            "gone" => {
                world.send(Change::Remove("uid-pod-0".into()));
                world.publish();
            }
            "fewer" => world.apply(Pod { resource_version: 2, ..tenant(1, 1) }),
            "finished" => {
                let mut finished = Pod { resource_version: 2, ..tenant(2, 2) };
                finished.status.phase = Phase::Succeeded;
                world.apply(finished);
            }
            _ => world.apply(Pod { resource_version: 3, ..tenant(0, 2) }),
        }
        assert_eq!(shares(&world, 4), expected, "{what}");
    }
}

#[test]
fn a_full_namespace_is_no_others_matter_and_what_is_refused_holds_no_address() {
    let mut pods: Vec<Pod> = (0..3).map(|number| tenant(number, 3)).collect();
    // Its address is that of another namespace's Pod, and what it would claim there is beyond the room.
    pods[2].status.pod_ips = victim().status.pod_ips;
    (pods[2].annotation, pods[2].status.start_time) =
        (registering(victim(), "interface=a.Thief port=50051").annotation, Some(9));
    let world = with_room(6, pods.into_iter().chain([victim()]));
    assert_eq!(world.data("_tri._tcp.org.acme.bank.victim.Z", Rtype::SRV).1, ["0 100 50051 10-244-0-1.p.Z"]);
    assert_eq!((world.snapshot().tally.refused[&Reason::NamespaceFull], world.snapshot().tally.conflicts), (1, 0));
}

proptest! {
    #![proptest_config(config(64, seeds_of!("answers/hostile")))]

    /// However it came to be, a namespace is shared out as counting from the oldest Pod on would have it.
    #[test]
    fn shares_are_what_counting_gives(
        max in 1usize..12,
        steps in prop::collection::vec((0usize..8, 0usize..5), 1..40),
    ) {
        let mut world = with_room(max, []);
        let mut registered = [0; 8];
        for (version, (number, count)) in (1..).zip(steps) {
            registered[number] = count;
            world.apply(Pod { resource_version: version, ..tenant(number, count) });
            let mut room = max;
            let expected = registered.map(|count| {
                let admitted = count.min(room);
                room -= admitted;
                (admitted, count - admitted)
            });
            prop_assert_eq!(shares(&world, 8), expected);
        }
    }
}

/// As many methods as a value holds, which all registrations of one instance repeat: they are read once at the most, or a
/// query would take seconds.
#[test]
fn what_is_too_long_to_be_told_costs_a_query_nothing() {
    let methods: Vec<String> = (0..30_000).map(|n| format!("{n:x}")).collect();
    let methods = format!("methods={}", methods.join(","));
    let of_groups = |methods: &str| {
        let fields = format!("{methods} zone=somewhere port=1 interface=a.B group=x interface=a.B group=y");
        let world = World::of([endpoint("p", "10.0.0.1", &fields)]);
        for name in ["p-1._rpc._tcp.a.b.default.Z", "_rpc._tcp.a.b.g-x.default.Z", "_rpc._tcp.a.b.default.Z"] {
            for _ in 0..100 {
                world.data(name, Rtype::TXT);
            }
        }
        world.data("p-1._rpc._tcp.a.b.default.Z", Rtype::TXT).1
    };
    let told = of_groups(&methods);
    assert_eq!(told, [r#""pod=p" "addr=10.0.0.1:1" "interface=a.B" "group=x,y" "truncated=2""#]);
    let told = of_groups("methods=one,two");
    assert_eq!(told, [r#""pod=p" "addr=10.0.0.1:1" "interface=a.B" "group=x,y" "methods=one,two" "zone=somewhere""#]);
    // What all registrations share is read once.
    let methods: Vec<String> = (0..200).map(|n| format!("method-{n}")).collect();
    let versions: String = (0..40).map(|n| format!("interface=a.B version={n} ")).collect();
    let world = World::of([endpoint("p", "10.0.0.1", &format!("methods={} port=1 {versions}", methods.join(",")))]);
    let told = world.data("p-1._rpc._tcp.a.b.default.Z", Rtype::TXT).1;
    assert!(told[0].contains("\"methods=method-0,") && !told[0].contains("truncated"), "{told:?}");
    // Other values that are too long.
    for key in ["interface", "group", "version", "application", "zone"] {
        let long = "l".repeat(100_000);
        let others = ["interface", "group"].iter().filter(|other| **other != key).map(|other| format!("{other}=o "));
        let fields = format!("{}{key}={long} port=1", others.collect::<String>());
        let world = World::of([endpoint("p", "10.0.0.1", &fields)]);
        let service = world.data("b._dns-sd._udp.default.Z", Rtype::PTR).1;
        let told = world.data(&format!("_rpc._tcp.{}", service[0]), Rtype::TXT).1;
        assert!(told.len() == 1 && told[0].contains(r#""truncated="#) && !told[0].contains("lll"), "{key}: {told:?}");
    }
}
