//! Any sequence of changes ends in the same zone as its last state alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use callsign::source::{Change, Phase, Pod};
use domain::base::iana::Rtype;
use proptest::prelude::*;

use super::world::{World, endpoint, settings, source};
use crate::harness::seeds::{config, seeds_of};

/// A step of a watch.
#[derive(Clone, Debug)]
enum Step {
    Apply(State),
    Remove(usize),
    /// A list of some of the Pods, and whether it is whole.
    List(Vec<State>, bool),
}

/// A Pod's state. A few uids share names, addresses and ports.
#[derive(Clone, Debug)]
struct State {
    uid: usize,
    address: u8,
    port: u16,
    start: i64,
    phase: usize,
    is_ready: bool,
    is_terminating: bool,
    is_host: bool,
    services: Vec<(usize, usize)>,
}

const UIDS: usize = 5;
const NOTHING: Vec<String> = Vec::new();
const INTERFACES: [&str; 4] = ["a.B", "A.b", "a.v-1", "c.b"];
const GROUPS: [&str; 3] = ["", "x", "-odd"];

fn state() -> impl Strategy<Value = State> {
    let place = (0..UIDS, 1u8..4, 1u16..3, 0i64..3);
    let health = (
        prop_oneof![4 => Just(0usize), 1 => 1usize..4],
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    let services = prop::collection::vec((0..INTERFACES.len(), 0..GROUPS.len()), 0..4);
    (place, health, services).prop_map(
        |((uid, address, port, start), (phase, is_ready, is_terminating, is_host), services)| State {
            uid,
            address,
            port,
            start,
            phase,
            is_ready,
            is_terminating,
            is_host,
            services,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => state().prop_map(Step::Apply),
        2 => (0..UIDS).prop_map(Step::Remove),
        1 => (prop::collection::vec(state(), 0..4), any::<bool>()).prop_map(|(list, is_whole)| Step::List(list, is_whole)),
    ]
}

/// Two uids share the name `pod-0`, and two `pod-1`.
fn pod(state: &State, version: u64) -> Pod {
    let fields: Vec<String> = state
        .services
        .iter()
        .map(|(interface, group)| {
            format!("interface={} protocol=tri port={} group={}", INTERFACES[*interface], state.port, GROUPS[*group])
        })
        .collect();
    let addresses = format!("10.244.0.{},fd00::{}", state.address, state.address);
    let mut pod = endpoint(&format!("pod-{}", state.uid / 2), &addresses, &fields.join(" "));
    pod.uid = format!("uid-{}", state.uid).into();
    pod.resource_version = version;
    pod.status.phase = [Phase::Running, Phase::Succeeded, Phase::Failed, Phase::Pending][state.phase];
    pod.status.ready = state.is_ready;
    pod.status.terminating = state.is_terminating;
    pod.status.host_network = state.is_host;
    pod.status.start_time = Some(state.start);
    pod
}

/// The answers that differ between two zones.
fn difference(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let differs = |(name, text): (&String, &String)| {
        let other = other.get(name).map(String::as_str).unwrap_or_default();
        (text != other).then(|| format!("{name}: {text} / {other}"))
    };
    one.iter().filter_map(differs).collect()
}

/// Every answer that could differ.
fn zone_text(world: &World) -> BTreeMap<String, String> {
    let mut names = vec!["default.Z".to_owned(), "b._dns-sd._udp.default.Z".to_owned()];
    for address in 1..4 {
        names.push(format!("10-244-0-{address}.p.Z"));
        names.push(format!("{address}.0.244.10.in-addr.arpa."));
    }
    names.extend(
        ["pod-0.default.pod.Z", "pod-1.default.pod.Z", "pod-2.default.pod.Z", "default.pod.Z"].map(str::to_owned),
    );
    let mut services = Vec::new();
    for selectors in ["", ".g-x", ".g--none", ".v--none", ".v--none.g-x"] {
        services.push(format!("a.b{selectors}.default.Z"));
        names.push(format!("b{selectors}.default.Z"));
    }
    for interface in INTERFACES {
        for group in GROUPS {
            let group = (!group.is_empty()).then_some(group);
            services.push(format!("{}.default.Z", callsign::name::Alias::of(group, interface, None).label()));
        }
    }
    for service in services {
        names.extend([
            format!("_tri._tcp.{service}"),
            format!("_rpc._tcp.{service}"),
            format!("_http._tcp.{service}"),
            service,
        ]);
    }
    let mut text = BTreeMap::new();
    for name in names {
        for rtype in [Rtype::SRV, Rtype::TXT, Rtype::A, Rtype::AAAA, Rtype::PTR] {
            let (rcode, data) = world.data(&name, rtype);
            text.insert(format!("{name} {rtype}"), format!("{rcode} {data:?}"));
        }
    }
    text
}

proptest! {
    #![proptest_config(config(24, seeds_of!("pure/answers/sequences")))]

    #[test]
    fn any_sequence_of_changes_ends_in_the_zone_of_the_last_state(
        steps in prop::collection::vec(step(), 1..24),
        room in prop_oneof![600u64..6_000, Just(u64::MAX)],
        all in prop_oneof![600u64..6_000, Just(u64::MAX)],
    ) {
        let settings = || callsign::snapshot::ZoneSettings { namespace_bytes_max: room, bytes_max: all, ..settings() };
        let mut world = World::with(settings(), []);
        let mut model: BTreeMap<Arc<str>, Pod> = BTreeMap::new();
        let mut version = 1;
        let mut committed = model.clone();
        for step in steps {
            let serial = world.snapshot().serial;
            let before = zone_text(&world);
            match step {
                Step::Apply(state) => {
                    version += 1;
                    let pod = pod(&state, version);
                    model.insert(pod.uid.clone(), pod.clone());
                    world.apply(pod);
                    committed = model.clone();
                }
                Step::Remove(uid) => {
                    let uid: Arc<str> = format!("uid-{uid}").into();
                    model.remove(&uid);
                    world.send(Change::Remove(uid));
                    world.publish();
                    committed = model.clone();
                }
                Step::List(states, is_whole) => {
                    let mut listed = BTreeMap::new();
                    world.send(Change::Begin);
                    for state in states {
                        version += 1;
                        let pod = pod(&state, version);
                        listed.insert(pod.uid.clone(), pod.clone());
                        world.send(Change::Apply(Box::new(pod)));
                    }
                    world.publish();
                    prop_assert_eq!(difference(&zone_text(&world), &before), NOTHING, "half a list was seen");
                    // A list that broke off is followed by a whole one.
                    if !is_whole {
                        world.send(Change::Abort);
                        world.publish();
                        prop_assert_eq!(difference(&zone_text(&world), &before), NOTHING, "a list that broke off was seen");
                        world.send(Change::Begin);
                        for pod in listed.values() {
                            world.send(Change::Apply(Box::new(pod.clone())));
                        }
                    }
                    world.send(Change::Commit);
                    world.publish();
                    model = listed;
                    committed = model.clone();
                }
            }
            let after = zone_text(&world);
            let rebuilt = World::with(settings(), committed.values().cloned());
            prop_assert_eq!(difference(&after, &zone_text(&rebuilt)), NOTHING);
            let has_moved = world.snapshot().serial != serial;
            prop_assert!(has_moved || before == after, "an answer moved without the serial");
            // A Pod is admitted a moment after another gave room, so the answer may not change.
            let is_bounded = room.min(all) < u64::MAX;
            prop_assert!(!has_moved || before != after || is_bounded, "the serial moved for nothing");
        }
        let counted = World::with(settings(), committed.values().cloned());
        let mut tally = world.snapshot().tally.clone();
        tally.refused.retain(|_, count| *count > 0); // past refusals stay counted, for metrics
        prop_assert_eq!(&tally, &counted.snapshot().tally);
        let has_room = |pod: &&Arc<callsign::snapshot::PodRecord>| !pod.registrations.is_empty();
        prop_assert!(world.snapshot().pods().filter(has_room).map(|pod| pod.cost()).sum::<u64>() <= room.min(all));
    }
}

#[test]
fn before_every_source_has_synced_only_static_zones_are_served() {
    use callsign::index::{Index, Now};
    use callsign::registration::decode_value;
    let now = |millis| Now { monotonic: std::time::Duration::from_millis(millis), wall_eighths: 1 };
    let zones = Arc::new(callsign::zones::Zones::none(settings().origin));
    let mut index = Index::new(Arc::new(settings()), zones.clone(), vec![source("app"), source("dubbo")]);
    assert!(index.publish(now(1)).is_some_and(|(snapshot, _)| !snapshot.is_synced));
    let pod = endpoint("one", "10.244.0.1", "interface=a.A port=1");
    let decoded = pod.text.value.as_deref().map(decode_value);
    index.apply(&source("app"), Change::Begin);
    index.apply_decoded(&source("app"), Change::Apply(Box::new(pod)), decoded);
    assert!(index.publish(now(2)).is_none(), "half a list");
    index.apply(&source("app"), Change::Commit);
    assert!(index.publish(now(3)).is_none(), "one of two lists");
    index.set_zones(zones);
    assert!(index.publish(now(4)).is_some_and(|(snapshot, _)| !snapshot.is_synced));
    for change in [Change::Begin, Change::Commit] {
        index.apply(&source("dubbo"), change);
    }
    let (snapshot, difference) = index.publish(now(5)).unwrap();
    assert_eq!((snapshot.is_synced, snapshot.tally.pods, snapshot.tally.endpoints), (true, 1, 1));
    assert!(!difference.is_visible(), "nothing was visible before");
}
