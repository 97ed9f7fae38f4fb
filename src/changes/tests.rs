use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::*;
use crate::api::WatchedEndpoint;
use crate::dns::Name;
use crate::index::{Index, Now};
use crate::registration::ProfileText;
use crate::snapshot::{TxtKeys, ZoneSettings};
use crate::source::{Change, Phase, Pod, PodStatus, SourceId};
use crate::zones::Zones;

fn source() -> SourceId {
    SourceId { cluster: "test".into(), profile: "app".into(), namespace: None }
}

/// The writer without its task.
struct World {
    index: Index,
    snapshot: Arc<Snapshot>,
    changes: Arc<Changes>,
}

impl World {
    fn of(pods: impl IntoIterator<Item = Pod>) -> World {
        let mut world = World::empty();
        let pods = pods.into_iter().map(|pod| Change::Apply(Box::new(pod)));
        world.publish([Change::Begin].into_iter().chain(pods).chain([Change::Commit]));
        world
    }

    fn empty() -> World {
        let origin: Name = "rpc.cluster.local.".parse().expect("a name");
        let settings = Arc::new(ZoneSettings {
            ttl: 5,
            negative_ttl: 5,
            ns: Vec::new(),
            ns_addresses: Default::default(),
            rname: origin.clone(),
            reverse: Default::default(),
            txt_keys: TxtKeys::Only(vec!["zone".to_owned()]),
            publish_not_ready: false,
            trust_addresses: false,
            namespace_bytes_max: u64::MAX,
            bytes_max: u64::MAX,
            key: origin.key(),
            labels: origin.label_count(),
            origin: origin.clone(),
        });
        let zones = Arc::new(Zones::none(origin));
        let snapshot = Arc::new(Snapshot::empty(settings.clone(), zones.clone()));
        let index = Index::new(settings, zones, vec![source()]);
        World { index, snapshot, changes: Arc::new(Changes::new(0xab)) }
    }

    fn publish(&mut self, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(|change| self.index.apply(&source(), change));
        let now = Now { monotonic: std::time::Duration::ZERO, wall_eighths: 1 };
        let Some((snapshot, difference)) = self.index.publish(now) else { return };
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        self.changes.publish(&before, &self.snapshot, &difference);
    }

    fn apply(&mut self, pod: Pod) {
        self.publish([Change::Apply(Box::new(pod))]);
    }

    fn remove(&mut self, name: &str) {
        self.publish([Change::Remove(uid(name))]);
    }

    /// A subscriber that knows the current set.
    fn subscriber(&self, filter: Filter) -> ChangeSubscription {
        let mut subscription = self.changes.subscribe(filter).expect("a subscription");
        subscription.start_from(self.snapshot.revision);
        subscription
    }
}

fn uid(name: &str) -> Arc<str> {
    format!("uid-{name}").into()
}

fn interface(interface: &str) -> Filter {
    Filter { interface: Some(interface.to_owned()), ..Filter::default() }
}

/// A ready Pod at `10.0.0.<address>` that registers `interface=a port=1 interface=b …`.
fn pod(name: &str, address: u8, version: u64, fields: &str) -> Pod {
    let pairs = fields.split_whitespace().filter_map(|field| field.split_once('='));
    let pairs: Vec<_> = pairs.map(|(k, v)| serde_json::json!({ "k": k, "v": v })).collect();
    Pod {
        namespace: "default".into(),
        name: name.into(),
        uid: uid(name),
        resource_version: version,
        status: PodStatus {
            phase: Phase::Running,
            ready: true,
            pod_ips: vec![[10, 0, 0, address].into()].into(),
            start_time: Some(1),
            ..PodStatus::default()
        },
        text: ProfileText::of_value(BASE64_STANDARD.encode(serde_json::to_vec(&pairs).expect("JSON"))),
    }
}

fn unready(mut pod: Pod) -> Pod {
    pod.status.ready = false;
    pod
}

/// `+added ~changed -removed`, each as `pod:port`.
fn described(news: Result<Option<WatchedChange>, Gap>) -> String {
    let Some(WatchedChange { added, changed, removed }) = news.expect("no gap") else { return String::new() };
    let words = |sign: char, list: Vec<WatchedEndpoint>| {
        list.into_iter().map(move |one| format!("{sign}{}:{}", one.pod, one.port)).collect::<Vec<_>>()
    };
    [words('+', added), words('~', changed), words('-', removed)].concat().join(" ")
}

fn has_heard(subscription: &ChangeSubscription) -> bool {
    subscription.touched.has_changed().expect("a sender")
}

#[test]
fn a_change_wakes_only_the_touched_subscribers() {
    let first = || pod("one", 1, 1, "interface=a.B port=1 zone=x hidden=1 interface=c.D port=2");
    let two = |address, fields: &str| pod("one", address, 2, fields);
    for (what, pod, heard, news) in [
        ("nothing", two(1, "interface=a.B port=1 zone=x hidden=1 interface=c.D port=2"), false, ""),
        ("another service", two(1, "interface=a.B port=1 zone=x hidden=1"), false, ""),
        ("metadata in DNS", two(1, "interface=a.B port=1 zone=y hidden=1 interface=c.D port=2"), true, "~one:1"),
        ("metadata not in DNS", two(1, "interface=a.B port=1 zone=x hidden=2 interface=c.D port=2"), true, "~one:1"),
        ("its weight", two(1, "interface=a.B port=1 zone=x hidden=1 weight=7 interface=c.D port=2"), true, "~one:1"),
        ("its address", two(2, "interface=a.B port=1 zone=x hidden=1 interface=c.D port=2"), true, "+one:1 -one:1"),
        ("its port", two(1, "interface=a.B port=3 zone=x hidden=1 interface=c.D port=2"), true, "+one:3 -one:1"),
        ("its readiness", unready(two(1, "interface=a.B port=1 zone=x hidden=1")), true, "-one:1"),
        ("the order", two(1, "interface=c.D port=2 interface=a.B port=1 zone=x hidden=1"), false, ""),
    ] {
        let mut world = World::of([first()]);
        let mut subscriber = world.subscriber(interface("A.b"));
        world.apply(pod);
        assert_eq!(has_heard(&subscriber), heard, "{what}");
        assert_eq!(described(subscriber.take_changes()), news, "{what}");
        assert_eq!(
            (has_heard(&subscriber), described(subscriber.take_changes())),
            (false, String::new()),
            "{what}: told once"
        );
    }
}

#[test]
fn a_second_address_is_a_change() {
    let mut world = World::of([pod("one", 1, 1, "interface=a.B port=1")]);
    let mut subscriber = world.subscriber(interface("a.B"));
    let mut dual = pod("one", 1, 2, "interface=a.B port=1");
    dual.status.pod_ips.push("fd00::1".parse().expect("an address"));
    world.apply(dual);
    assert_eq!(described(subscriber.take_changes()), "~one:1", "the first address is what it is recognised by");
}

#[test]
fn a_subscriber_before_the_first_list_starts_with_it() {
    let mut world = World::empty();
    let mut early = world.changes.subscribe(interface("a.B")).expect("a subscription");
    world.publish([Change::Begin, Change::Apply(Box::new(pod("one", 1, 1, "interface=a.B port=1")))]);
    assert_eq!((has_heard(&early), early.take_changes()), (false, Ok(None)), "half a list is none");
    world.publish([Change::Commit]);
    assert_eq!((has_heard(&early), early.take_changes()), (true, Err(Gap)));
    early.start_from(world.snapshot.revision);
    world.apply(pod("two", 2, 2, "interface=a.B port=1"));
    assert_eq!(described(early.take_changes()), "+two:1");
}

#[test]
fn selectors_decide_which_subscribers_wake() {
    let mut world = World::of([]);
    let with = |group: Option<&str>, version: Option<&str>, namespace: Option<&str>| {
        let text = |value: Option<&str>| value.map(str::to_owned);
        Filter { group: text(group), version: text(version), namespace: text(namespace), ..interface("a.B") }
    };
    let cases = [
        (with(None, None, None), true),
        (with(Some("g"), None, None), true),
        (with(Some("g"), Some("1"), Some("default")), true),
        (with(Some("h"), None, None), false),
        (with(Some(""), None, None), false),
        (with(None, Some("2"), None), false),
        (with(None, None, Some("other")), false),
        (interface("a.C"), false),
    ];
    let mut subscribers: Vec<_> = cases.iter().map(|(filter, _)| world.subscriber(filter.clone())).collect();
    world.apply(pod("one", 1, 1, "interface=a.B port=1 group=g version=1"));
    for ((filter, heard), subscriber) in cases.iter().zip(&mut subscribers) {
        assert_eq!(has_heard(subscriber), *heard, "{filter:?}");
        assert_eq!(described(subscriber.take_changes()), if *heard { "+one:1" } else { "" }, "{filter:?}");
    }
}

#[test]
fn missed_changes_are_one_change() {
    let mut world = World::of([pod("one", 1, 1, "interface=a.B port=1"), pod("two", 2, 1, "interface=a.B port=1")]);
    let mut subscriber = world.subscriber(interface("a.B"));
    world.apply(unready(pod("one", 1, 2, "interface=a.B port=1")));
    world.apply(pod("three", 3, 3, "interface=a.B port=1"));
    world.apply(pod("one", 1, 4, "interface=a.B port=1"));
    world.apply(pod("four", 4, 5, "interface=a.B port=1"));
    world.remove("four");
    world.remove("two");
    assert_eq!(described(subscriber.take_changes()), "+three:1 -two:1");
}

#[test]
fn a_known_id_resumes_the_stream() {
    let mut world = World::of([pod("one", 1, 1, "interface=a.B port=1")]);
    let known = world.snapshot.revision;
    world.apply(pod("two", 2, 1, "interface=a.B port=1"));
    let id = world.changes.id(known);
    assert_eq!(id, format!("00000000000000ab-{known}"));
    assert_eq!(world.changes.revision_of(&id), Some(known));
    for strange in ["", "-", "1", "ab-1", "00000000000000ab-01", "00000000000000ab--1", "00000000000000ac-1", "é-1"] {
        assert_eq!(world.changes.revision_of(strange), None, "{strange}");
    }
    for (revision, is_known, news) in [
        (known, true, "+two:1"),
        (world.snapshot.revision, true, ""),
        (world.snapshot.revision + 1, false, ""),
        (known - 1, false, ""),
    ] {
        let mut subscription = world.changes.subscribe(interface("a.B")).expect("a subscription");
        assert_eq!(subscription.resume(revision, &world.snapshot), is_known, "{revision}");
        if is_known {
            assert_eq!(described(subscription.take_changes()), news, "{revision}");
        }
    }
}

#[test]
fn the_past_is_bounded_and_an_untouched_subscriber_misses_nothing() {
    let many = |version: u64| {
        let fields: String =
            (1..=1000).map(|port| format!("interface=x.Y port={port} weight={} ", version % 9 + 1)).collect();
        pod("large", 9, version, &fields)
    };
    let mut world = World::of([many(0), pod("one", 1, 1, "interface=a.B port=1")]);
    let start = world.snapshot.revision;
    let mut idle = world.subscriber(interface("a.B"));
    let mut slow = world.subscriber(interface("x.Y"));
    (1..=130).for_each(|version| world.apply(many(version)));
    let state = |world: &World| {
        let (places, bytes) = world.changes.state().past.size();
        (bytes, places)
    };
    assert!(state(&world).0 <= past::BYTES_MAX && state(&world).1 < 130, "{:?}", state(&world));
    assert_eq!(slow.take_changes(), Err(Gap));
    assert!(!slow.resume(start, &world.snapshot), "a client that comes back with its id gets the whole set");
    assert!(!has_heard(&idle), "none of it was its own");
    world.apply(pod("two", 2, 2, "interface=a.B port=1"));
    assert_eq!(described(idle.take_changes()), "+two:1");

    // A change that is larger than the past is not kept, and is reported as a gap.
    let mut late = world.subscriber(interface("x.Y"));
    world.publish((0..=134).map(|at| {
        let mut pod = Pod { uid: uid(&format!("l{at}")), name: format!("l{at}").into(), ..many(100) };
        pod.status.pod_ips = vec![[10, 1, 0, at].into()].into();
        Change::Apply(Box::new(pod))
    }));
    assert!(has_heard(&late));
    assert_eq!((late.take_changes(), state(&world)), (Err(Gap), (0, 0)));
}

/// A regression test: a stream of a thousand interfaces walked through the whole past once for each of them.
#[test]
fn the_missed_changes_of_an_interface_are_found_without_the_rest() {
    let mut world = World::of([pod("one", 1, 1, "interface=a.B port=1")]);
    let start = world.snapshot.revision;
    for at in 0..100 {
        world.apply(pod(&format!("n{at}"), 2 + at, 1, &format!("interface=a.Name{at} port=1")));
    }
    let middle = world.snapshot.revision;
    world.apply(pod("one", 1, 2, "interface=A.b port=1 interface=a.B port=1 interface=a.B port=2"));
    let found = |interface: &str, behind, until| world.changes.state().past.changes_of(interface, behind, until).len();
    for (interface, count) in [("a.B", 1), ("A.B", 1), ("a.name7", 1), ("no.Such", 0)] {
        assert_eq!(found(interface, start, u64::MAX), count, "{interface}");
    }
    assert_eq!((found("a.B", start, middle), found("a.Name7", middle, u64::MAX)), (0, 0));
}

#[test]
fn subscriptions_are_counted_and_leave_nothing() {
    let world = World::of([]);
    let subscribe = || world.changes.subscribe(interface("a.B"));
    let all: Vec<ChangeSubscription> = (0..SUBSCRIPTIONS_MAX).map(|_| subscribe().expect("a subscription")).collect();
    assert_eq!(subscribe().map(|_| ()), Err(TooManySubscriptions));
    assert_eq!((world.changes.subscriptions(), world.changes.state().topics.len()), (SUBSCRIPTIONS_MAX, 1));
    drop(all);
    assert_eq!((world.changes.subscriptions(), world.changes.state().topics.len()), (0, 0));
    assert!(subscribe().is_ok());
}

/// A step of a Pod's life.
#[derive(Clone, Debug)]
enum Step {
    Apply {
        pod: u8,
        address: u8,
        ready: bool,
        fields: &'static str,
    },
    Remove(u8),
    /// The subscriber reads its changes.
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fields = prop::sample::select(vec![
        "interface=a.B port=1",
        "interface=A.b port=1 weight=7",
        "interface=a.B port=1 interface=A.B port=1 weight=3 zone=x",
        "interface=a.B port=2 group=g",
        "interface=a.B port=1 protocol=tri interface=a.B port=2",
        "interface=c.D port=1",
        "",
    ]);
    let apply = (0u8..4, 0u8..3, any::<bool>(), fields).prop_map(|(pod, address, ready, fields)| Step::Apply {
        pod,
        address,
        ready,
        fields,
    });
    let step = prop_oneof![6 => apply, 1 => (0u8..4).prop_map(Step::Remove), 2 => Just(Step::Look)];
    prop::collection::vec(step, 0..40)
}

proptest! {
    /// Whatever happens and however rarely a subscriber reads: its first set plus the changes that it received equal
    /// the current set.
    #[test]
    fn changes_add_up_to_the_set(steps in steps()) {
        let mut world = World::of([]);
        let filter = interface("a.b");
        let mut subscriber = world.subscriber(filter.clone());
        let mut known: BTreeMap<String, WatchedEndpoint> = BTreeMap::new();
        for (version, step) in (1..).zip(steps.into_iter().chain([Step::Look])) {
            match step {
                Step::Apply { pod: name, address, ready, fields } => {
                    let pod = pod(&format!("p{name}"), address, version, fields);
                    world.apply(if ready { pod } else { unready(pod) });
                }
                Step::Remove(name) => world.remove(&format!("p{name}")),
                Step::Look => {
                    let change = subscriber.take_changes().expect("no gap").unwrap_or_default();
                    for gone in change.removed {
                        prop_assert_eq!(known.remove(&format!("{:?}", gone.key())), Some(gone));
                    }
                    for (is_new, endpoint) in change.added.into_iter().map(|one| (true, one))
                        .chain(change.changed.into_iter().map(|one| (false, one)))
                    {
                        let old = known.insert(format!("{:?}", endpoint.key()), endpoint);
                        prop_assert_eq!(old.is_none(), is_new);
                    }
                    let mut known: Vec<WatchedEndpoint> = known.values().cloned().collect();
                    known.sort();
                    prop_assert_eq!(known, WatchedSet::of(&world.snapshot, &filter).endpoints);
                }
            }
        }
    }
}
