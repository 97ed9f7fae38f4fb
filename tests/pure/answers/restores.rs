//! etcd is restored from an older state: versions fall, and what was sent in the lost time no longer counts.

use callsign::source::{Change, Pod};
use domain::base::iana::Rtype;

use super::world::{World, endpoint, settings};

const A: &str = "a.a.default.Z";
const B: &str = "b.b.default.Z";

/// A Pod that registers `a.A` in one profile and `b.B` in the other.
fn told_by(profile: &str, version: u64, is_ready: bool) -> Pod {
    let fields = if profile == "app" { "interface=a.A port=1" } else { "interface=b.B port=2" };
    let mut pod = Pod { resource_version: version, ..endpoint("one", "10.244.0.1", fields) };
    pod.status.ready = is_ready;
    pod
}

fn apply(world: &mut World, profile: &str, version: u64, is_ready: bool) {
    world.send_of(profile, Change::Apply(Box::new(told_by(profile, version, is_ready))));
    world.publish();
}

fn list(world: &mut World, profile: &str, told: Option<(u64, bool)>) {
    world.list_of(profile, told.map(|(version, is_ready)| told_by(profile, version, is_ready)));
    world.publish();
}

/// Both profiles have sent the Pod at a version, ready.
fn world_at(version: u64) -> World {
    let mut world = World::of_profiles(settings(), &["app", "dubbo"]);
    list(&mut world, "app", Some((version, true)));
    list(&mut world, "dubbo", Some((version, true)));
    world
}

#[test]
fn a_status_that_only_a_released_source_sent_is_no_newer_than_the_others() {
    let mut world = world_at(100);
    apply(&mut world, "app", 200, false);
    world.send_of("app", Change::Remove("uid-one".into()));
    world.publish();
    assert_eq!(world.verdict(B, Rtype::SRV), "NODATA", "the newest status stays until a source sends another");
    apply(&mut world, "dubbo", 99, true);
    assert_eq!(world.verdict(B, Rtype::SRV), "NODATA", "a watch never goes back behind itself");
    apply(&mut world, "dubbo", 101, true);
    assert_eq!(world.verdict(B, Rtype::SRV), "DATA");
}

#[test]
fn a_list_replaces_any_state_that_was_sent_before_it_began() {
    for (first, second) in [("app", "dubbo"), ("dubbo", "app")] {
        let mut world = world_at(100);
        apply(&mut world, first, 200, true);
        // One profile's lists break off for ever. The other's sends the state since the restore.
        for _ in 0..3 {
            world.send_of(first, Change::Begin);
            world.send_of(first, Change::Abort);
        }
        list(&mut world, second, Some((50, false)));
        assert_eq!(world.verdict(A, Rtype::SRV), "NODATA", "{second} lists after {first}");
        apply(&mut world, second, 51, true);
        assert_eq!(world.verdict(A, Rtype::SRV), "DATA", "{second} goes on from its list");
        list(&mut world, first, Some((51, true)));
        assert_eq!((world.verdict(A, Rtype::SRV), world.verdict(B, Rtype::SRV)), ("DATA", "DATA"));
    }
}

#[test]
fn a_source_with_the_pod_only_from_its_list_settles_its_status() {
    let mut world = World::of_profiles(settings(), &["app", "dubbo"]);
    list(&mut world, "app", Some((200, false)));
    list(&mut world, "dubbo", None);
    list(&mut world, "dubbo", Some((50, true)));
    assert_eq!(world.verdict(B, Rtype::SRV), "DATA");
    list(&mut world, "app", None);
    assert_eq!(world.verdict(B, Rtype::SRV), "DATA");
    apply(&mut world, "dubbo", 51, false);
    assert_eq!(world.verdict(B, Rtype::SRV), "NODATA");
}

#[test]
fn an_event_during_a_list_is_newer_than_the_list() {
    let mut world = world_at(100);
    world.send_of("app", Change::Begin);
    apply(&mut world, "dubbo", 102, false);
    world.send_of("app", Change::Apply(Box::new(told_by("app", 101, true))));
    world.send_of("app", Change::Commit);
    world.publish();
    assert_eq!(world.verdict(A, Rtype::SRV), "NODATA");
}

#[test]
fn a_whole_list_is_published_while_another_profiles_lists_break_off_for_ever() {
    let mut world = world_at(100);
    world.send_of("app", Change::Begin);
    world.send_of("app", Change::Apply(Box::new(told_by("app", 101, false))));
    world.send_of("app", Change::Abort);
    world.publish();
    assert_eq!(world.verdict(B, Rtype::SRV), "DATA", "half a list shows nothing");
    list(&mut world, "dubbo", Some((102, false)));
    assert_eq!(world.verdict(B, Rtype::SRV), "NODATA");
    world.send_of("app", Change::Begin);
    world.send_of("app", Change::Apply(Box::new(told_by("app", 103, true))));
    world.send_of("app", Change::Abort);
    list(&mut world, "dubbo", None);
    assert_eq!(world.verdict(B, Rtype::SRV), "NXDOMAIN", "what the whole list leaves out is gone");
}
