//! Lists and watches: what each of them adds and removes, and when it is published.

use std::sync::Arc;

use callsign::answer::Freshness;
use callsign::source::{Change, Pod};
use domain::base::iana::Rtype;

use super::pods::{NAME, changed, one};
use super::world::{World, endpoint, registering, settings, whole};
use crate::harness::ask::Ask;

#[test]
fn a_relist_that_finds_a_pod_replaced_removes_nothing_before_its_commit() {
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
fn a_closed_list_publishes_its_pods_and_removes_none() {
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
fn a_relist_is_published_whole_or_not_at_all() {
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
    let now = |millis| Now { monotonic: std::time::Duration::from_millis(millis), wall_eighths: 1 };
    let zones = Arc::new(callsign::zones::Zones::none(settings().origin));
    let mut index = Index::new(Arc::new(settings()), zones, vec![source("app"), source("dubbo")]);
    let pod = |fields: &str| Box::new(registering(one(), fields));
    for (profile, fields) in [("app", "interface=a.A port=1"), ("dubbo", "interface=b.B port=2")] {
        for change in [Change::Begin, Change::Apply(pod(fields)), Change::Commit] {
            index.apply(&source(profile), change);
        }
    }
    let (snapshot, _) = index.publish(now(1)).unwrap();
    assert_eq!((snapshot.tally.pods, snapshot.tally.endpoints, snapshot.service_count()), (1, 2, 2));
    index.apply(&source("app"), Change::Remove("uid-one".into()));
    let (snapshot, difference) = index.publish(now(2)).unwrap();
    assert_eq!((snapshot.tally.pods, snapshot.tally.endpoints, snapshot.service_count()), (1, 1, 1));
    let sets = difference.services.values().map(|change| (change.before.is_some(), change.after.is_some()));
    assert_eq!(sets.collect::<Vec<_>>(), [(true, false)], "the service of the profile that is gone, and no other");
    index.apply(&source("dubbo"), Change::Remove("uid-one".into()));
    let (snapshot, _) = index.publish(now(3)).unwrap();
    assert_eq!((snapshot.tally.pods, snapshot.tally.endpoints, snapshot.service_count()), (0, 0, 0));
}
