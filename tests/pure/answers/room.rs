//! The quotas of a namespace and of all together: whose registrations are admitted, and that nothing else matters.

use std::collections::{BTreeMap, BTreeSet};

use callsign::registration::Reason;
use callsign::report::{self, Paging};
use callsign::snapshot::ZoneSettings;
use callsign::source::{Change, Phase, Pod};
use domain::base::iana::Rtype;
use proptest::prelude::*;

use super::world::{World, endpoint, registering, settings};
use crate::harness::seeds::{config, seeds_of};

/// A Pod whose age is its number, with this many registrations.
fn tenant(number: usize, registrations: usize) -> Pod {
    let fields: String = (0..registrations).map(|port| format!("interface=a.I{number} port={} ", port + 1)).collect();
    let mut pod = endpoint(&format!("pod-{number}"), &format!("10.244.1.{}", number + 1), &fields);
    pod.status.start_time = Some(number as i64);
    pod
}

/// The same in another namespace with its own network.
fn tenant_of(namespace: &str, number: usize, registrations: usize) -> Pod {
    let mut pod = tenant(number, registrations);
    (pod.namespace, pod.uid) = (namespace.into(), format!("uid-{namespace}-{number}").into());
    let network = namespace.bytes().fold(0, u8::wrapping_add);
    pod.status.pod_ips = [std::net::IpAddr::from([10, 244, network, number as u8 + 1])].into_iter().collect();
    pod
}

/// What a Pod costs. It does not depend on other Pods.
fn cost(pod: Pod) -> u64 {
    World::of([pod]).snapshot().tally.bytes
}

fn with_room(namespace: u64, all: u64, pods: impl IntoIterator<Item = Pod>) -> World {
    World::with(ZoneSettings { namespace_bytes_max: namespace, bytes_max: all, ..settings() }, pods)
}

/// For each Pod `pod-<number>`, how many registrations are published, and why it is kept out if it is.
fn shares(world: &World, namespace: &str, pods: usize) -> Vec<(usize, Option<Reason>)> {
    let bad = report::refusals(world.snapshot(), &Paging::ALL).items;
    let of = |number: usize| {
        let answered = world.data(&format!("a.i{number}.{namespace}.Z"), Rtype::SRV).1.len();
        let is_its = |one: &&report::RefusalRow| one.namespace == namespace && one.pod == format!("pod-{number}");
        (answered, bad.iter().find(is_its).map(|one| one.reason))
    };
    (0..pods).map(of).collect()
}

#[test]
fn the_oldest_pods_of_a_full_namespace_stay() {
    let each = cost(tenant(0, 2));
    let (is_in, is_out) = ((2, None), (0, Some(Reason::NamespaceFull)));
    for (max, expected) in [
        (3 * each, [is_in, is_in, is_in]),
        (3 * each - 1, [is_in, is_in, is_out]),
        (2 * each, [is_in, is_in, is_out]),
        (2 * each - 1, [is_in, is_out, is_out]),
        (each - 1, [is_out, is_out, is_out]),
    ] {
        let pods = || (0..3).map(|number| tenant(number, 2));
        assert_eq!(shares(&with_room(max, u64::MAX, pods()), "default", 3), expected, "{max}: in one list");
        let mut world = with_room(max, u64::MAX, []);
        pods().rev().for_each(|pod| world.apply(pod));
        assert_eq!(shares(&world, "default", 3), expected, "{max}: the youngest first");
        assert_eq!(world.snapshot().tally.bytes, 3 * each, "what is kept out counts");
    }
}

#[test]
fn a_full_namespace_recovers_when_its_pods_go() {
    let each = cost(tenant(0, 2));
    let mut world = with_room(2 * each, u64::MAX, (0..4).map(|number| tenant(number, 2)));
    let (is_in, is_out) = ((2, None), (0, Some(Reason::NamespaceFull)));
    assert_eq!(shares(&world, "default", 4), [is_in, is_in, is_out, is_out]);
    assert_eq!(world.snapshot().tally.refused[&Reason::NamespaceFull], 2, "a refusal an annotation");
    let pod = &report::pods(world.snapshot(), &Default::default(), &Paging::ALL).items[2];
    assert_eq!((pod.registrations.len(), pod.refused[0].message.as_str()), (0, "namespace full"));
    // A service that only this Pod registers does not exist, and neither does the Pod's name.
    assert_eq!(world.verdict("a.i3.default.Z", Rtype::SRV), "NXDOMAIN");
    assert_eq!(world.verdict("pod-3.default.pod.Z", Rtype::A), "NXDOMAIN");
    for (what, expected) in [
        ("gone", [(0, None), is_in, is_in, is_out]),
        ("more", [(0, None), (3, None), is_out, is_out]),
        ("fewer", [(0, None), (1, None), is_in, is_out]),
        ("finished", [(0, None), (1, None), is_out, is_in]),
        ("back, and old", [is_in, (1, None), is_out, is_out]),
    ] {
        match what {
            "gone" => {
                world.send(Change::Remove("uid-pod-0".into()));
                world.publish();
            }
            "more" => world.apply(Pod { resource_version: 2, ..tenant(1, 3) }),
            "fewer" => world.apply(Pod { resource_version: 3, ..tenant(1, 1) }),
            // A finished Pod makes no names, and gives way to one that would.
            "finished" => {
                let mut finished = Pod { resource_version: 4, ..tenant(2, 2) };
                finished.status.phase = Phase::Succeeded;
                world.apply(finished);
            }
            _ => world.apply(Pod { resource_version: 5, ..tenant(0, 2) }),
        }
        assert_eq!(shares(&world, "default", 4), expected, "{what}");
    }
}

#[test]
fn a_pod_costs_the_same_whether_it_is_published_or_not() {
    let pod = || tenant(0, 40);
    let published = cost(pod());
    type Change = fn(&mut Pod);
    let changes: [(&str, Change); 5] = [
        ("not ready", |pod| pod.status.ready = false),
        ("Pending, without an address", |pod| {
            (pod.status.phase, pod.status.start_time) = (Phase::Pending, None);
            pod.status.pod_ips.clear();
        }),
        ("finished", |pod| pod.status.phase = Phase::Failed),
        ("terminating", |pod| pod.status.terminating = true),
        ("of the host's network", |pod| pod.status.host_network = true),
    ];
    for (what, change) in changes {
        let mut pod = pod();
        change(&mut pod);
        assert_eq!(cost(pod), published, "{what}");
    }
    assert!(published > 40 * cost(tenant(0, 0)) / 4, "its registrations are what it costs");
    let long = cost(registering(tenant(0, 0), &format!("interface=a.{} port=1", "l".repeat(1000))));
    let short = cost(registering(tenant(0, 0), "interface=a.l port=1"));
    assert!(long >= short + 990, "names count: {short}, {long}");
}

#[test]
fn above_the_total_quota_the_largest_namespace_loses_its_newest_pods() {
    let each = cost(tenant_of("one", 0, 2));
    let pods = |ones: usize, twos: usize| {
        let ones = (0..ones).map(|number| tenant_of("one", number, 2));
        ones.chain((0..twos).map(|number| tenant_of("two", number, 2)))
    };
    for ((ones, twos), max, expected) in [
        ((3, 2), 5 * each, (3, 2)),
        ((3, 2), 5 * each - 1, (2, 2)),
        ((3, 2), 4 * each - 1, (2, 1)), // of two that use the same, the later by name gives way
        ((5, 1), 4 * each, (3, 1)),
        ((5, 1), 2 * each, (1, 1)),
        ((5, 1), each, (1, 0)),
        ((5, 1), each - 1, (0, 0)),
    ] {
        let world = with_room(max, max, pods(ones, twos));
        let count = |namespace: &str, pods: usize| {
            let shares = shares(&world, namespace, pods);
            let has_room = shares.iter().take_while(|share| **share == (2, None)).count();
            let is_full = |share: &(usize, Option<Reason>)| {
                matches!(share, (0, Some(Reason::ServerFull | Reason::NamespaceFull)))
            };
            assert!(shares[has_room..].iter().all(is_full), "{ones}, {twos} of {max}: {shares:?}");
            has_room
        };
        assert_eq!((count("one", ones), count("two", twos)), expected, "{ones}, {twos} of {max}");
    }
    let world = with_room(u64::MAX, 4 * each, pods(5, 1));
    assert_eq!(shares(&world, "one", 5)[3..], [(0, Some(Reason::ServerFull)); 2]);
    assert_eq!(world.snapshot().tally.refused[&Reason::ServerFull], 2);
    assert_eq!((world.snapshot().tally.bytes, world.snapshot().tally.namespace_bytes), (6 * each, 5 * each));
}

#[test]
fn a_full_namespace_harms_no_other_and_its_refused_pods_hold_no_address() {
    let victim =
        || Pod { namespace: "victim".into(), ..endpoint("server-0", "10.244.0.1", "interface=a.Bank port=50051") };
    let mut thief = registering(victim(), "interface=a.Thief port=50051");
    (thief.name, thief.uid, thief.namespace) = ("pod-9".into(), "uid-thief".into(), "default".into());
    thief.status.start_time = Some(9);
    let each = cost(tenant(0, 3));
    let world = with_room(2 * each, u64::MAX, [tenant(0, 3), tenant(1, 3), thief, victim()]);
    assert_eq!(world.data("a.bank.victim.Z", Rtype::SRV).1, ["0 100 50051 10-244-0-1.p.Z"]);
    assert_eq!((world.snapshot().tally.refused[&Reason::NamespaceFull], world.snapshot().tally.conflicts), (1, 0));
}

/// The two profiles of a Pod are kept out and admitted together. Each annotation is asked for at its own source.
#[test]
fn the_annotations_of_all_profiles_are_refused_and_come_back() {
    let settings = ZoneSettings { namespace_bytes_max: cost(tenant(0, 40)) + cost(tenant(1, 0)), ..settings() };
    let mut world = World::of_profiles(settings, &["app", "dubbo"]);
    let of_dubbo = registering(tenant(1, 0), "interface=a.Dubbo port=1");
    world.list_of("app", [tenant(0, 40), tenant(1, 1)]);
    world.list_of("dubbo", [of_dubbo]);
    world.publish();
    let answered =
        |world: &World| ["a.i1.default.Z", "a.dubbo.default.Z"].map(|name| world.data(name, Rtype::SRV).1.len());
    assert_eq!(answered(&world), [0, 0]);
    assert_eq!(world.snapshot().tally.refused[&Reason::NamespaceFull], 2);
    world.apply(Pod { resource_version: 2, ..tenant(0, 1) });
    assert_eq!(answered(&world), [1, 1]);
    world.apply(Pod { resource_version: 3, ..tenant(0, 40) });
    assert_eq!(answered(&world), [0, 0]);
    world.send_of("dubbo", Change::Remove("uid-pod-1".into()));
    world.apply(Pod { resource_version: 4, ..tenant(0, 1) });
    assert_eq!(answered(&world), [1, 0]);
}

/// The namespaces of the random steps.
const NAMESPACES: [&str; 3] = ["one", "two", "three"];

/// A Pod, by its namespace's index and its number, and its cost.
type Costed = ((usize, usize), u64);

/// The Pods that the rule admits: each namespace's oldest up to its quota. While the total is over its quota, the
/// namespace that uses the most loses its newest.
fn admitted(pods: &BTreeMap<(usize, usize), u64>, namespace_max: u64, max: u64) -> BTreeSet<(usize, usize)> {
    let mut rooms: BTreeMap<&str, Vec<Costed>> = BTreeMap::new();
    let mut full = BTreeSet::new();
    for (pod, cost) in pods {
        let room = rooms.entry(NAMESPACES[pod.0]).or_default();
        if full.contains(&pod.0) || room.iter().map(|(_, cost)| cost).sum::<u64>() + cost > namespace_max {
            full.insert(pod.0);
        } else {
            room.push((*pod, *cost));
        }
    }
    let sum = |room: &Vec<Costed>| room.iter().map(|(_, cost)| cost).sum::<u64>();
    while rooms.values().map(sum).sum::<u64>() > max {
        let most = rooms.iter_mut().max_by_key(|(name, room)| (sum(room), **name));
        most.and_then(|(_, room)| room.pop());
    }
    rooms.into_values().flatten().map(|(pod, _)| pod).collect()
}

proptest! {
    #![proptest_config(config(64, seeds_of!("pure/answers/room")))]

    /// However the state came about, the admitted Pods are those of the rule, and the serial moves with the answers.
    #[test]
    fn the_quotas_follow_the_rule(
        namespace_max in 500u64..40_000,
        max in 500u64..60_000,
        steps in prop::collection::vec((0..NAMESPACES.len(), 0usize..6, 0usize..9, any::<bool>()), 1..40),
    ) {
        let mut world = with_room(namespace_max, max, []);
        let mut costs = BTreeMap::new();
        for (version, (namespace, number, count, is_running)) in (1..).zip(steps) {
            let mut pod = Pod { resource_version: version, ..tenant_of(NAMESPACES[namespace], number, count) };
            if !is_running {
                pod.status.phase = Phase::Pending;
            }
            if count == 8 {
                costs.remove(&(namespace, number));
                world.send(Change::Remove(pod.uid.clone()));
                world.publish();
            } else {
                costs.insert((namespace, number), cost(pod.clone()));
                world.apply(pod);
            }
            let expected = admitted(&costs, namespace_max, max);
            let bad = report::refusals(world.snapshot(), &Paging::ALL).items;
            for (pod, cost) in &costs {
                let is_it = |one: &&report::RefusalRow| {
                    one.namespace == NAMESPACES[pod.0] && one.pod == format!("pod-{}", pod.1)
                };
                // A Pod without an annotation has nothing to refuse.
                let is_full = bad.iter().any(|one| is_it(&one));
                let says_something = *cost > 800;
                prop_assert_eq!(is_full, says_something && !expected.contains(pod), "{:?} of {:?}", pod, costs);
            }
            prop_assert_eq!(world.snapshot().tally.bytes, costs.values().sum::<u64>());
        }
    }
}
