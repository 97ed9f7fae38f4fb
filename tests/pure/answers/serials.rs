//! The serial moves if and only if an answer changes. Each case says whether it does.

use callsign::snapshot::{TxtKeys, ZoneSettings};
use callsign::source::{Change, Phase, Pod};

use super::pods;
use super::world::{World, endpoint, registering, settings};

/// A zone in which two profiles have sent these Pods.
fn world_of(app: Vec<Pod>, dubbo: Vec<Pod>) -> World {
    let mut world = World::of_profiles(settings(), &["app", "dubbo"]);
    world.list_of("app", app);
    world.list_of("dubbo", dubbo);
    world.publish();
    world
}

/// Whether a profile's change moves the serial.
#[track_caller]
fn moves(world: &mut World, profile: &str, change: Change) -> bool {
    let before = world.snapshot().serial;
    world.send_of(profile, change);
    assert!(world.publish(), "the change is not taken in");
    world.snapshot().serial != before
}

fn apply(pod: Pod, version: u64) -> Change {
    Change::Apply(Box::new(Pod { resource_version: version, ..pod }))
}

fn remove() -> Change {
    Change::Remove("uid-one".into())
}

fn one(fields: &str) -> Pod {
    endpoint("one", "10.244.0.1", fields)
}

#[test]
fn a_profile_that_repeats_anothers_records_moves_no_serial() {
    let (rpc, tri) = ("interface=a.A port=1", "interface=a.A protocol=tri port=1");
    let mut world = world_of(vec![one(tri)], vec![one(rpc)]);
    assert!(!moves(&mut world, "dubbo", remove()), "`_rpc` and `_tri` are answered as before");
    let mut world = world_of(vec![one(tri)], vec![one(rpc)]);
    assert!(moves(&mut world, "app", remove()), "there is no `_tri` any more");
}

#[test]
fn a_smaller_weight_at_the_same_place_changes_only_txt() {
    let (heavy, light) = ("interface=a.A port=1 weight=9", "interface=a.A protocol=tri port=1 weight=3 zone=z");
    let mut world = world_of(vec![one(heavy)], vec![one("interface=a.A port=1 weight=3 group=g")]);
    assert!(moves(&mut world, "dubbo", remove()), "a service with a group is gone");
    let mut world = world_of(vec![one(heavy), endpoint("two", "10.244.0.2", light)], vec![one(light)]);
    assert!(moves(&mut world, "dubbo", remove()), "`zone=z` is gone");
    let mut world = world_of(vec![one(heavy)], vec![one("interface=a.A protocol=tri port=1 weight=3")]);
    let lighter = one("interface=a.A protocol=tri port=1 weight=2");
    assert!(moves(&mut world, "dubbo", apply(lighter, 2)), "`_tri` has another weight");
}

#[test]
fn an_instance_that_lists_its_groups_in_another_order_is_another_answer() {
    let (xy, yx) = (
        "interface=a.A port=1 group=x interface=a.A port=1 group=y",
        "interface=a.A port=1 group=y interface=a.A port=1 group=x",
    );
    let mut world = world_of(vec![one(xy)], vec![]);
    let name = "one-1._rpc._tcp.a.a.default.Z";
    let before = world.data(name, domain::base::iana::Rtype::TXT);
    assert!(moves(&mut world, "app", apply(one(yx), 2)));
    assert_ne!(world.data(name, domain::base::iana::Rtype::TXT), before);
    // The order of two protocols does not show either, if both publish the same.
    let registers = |protocol: &str| format!("interface=a.A port=1 protocol={protocol} ");
    let (dubbo, tri) = (registers("dubbo"), registers("tri"));
    let mut world = world_of(vec![one(&(dubbo.clone() + &tri))], vec![]);
    assert!(!moves(&mut world, "app", apply(one(&(tri + &dubbo)), 2)));
    // Apart from ports, the order does not matter.
    let (ab, ba) = ("interface=a.A port=1 interface=b.B port=2", "interface=b.B port=2 interface=a.A port=1");
    let mut world = world_of(vec![one(ab)], vec![]);
    assert!(!moves(&mut world, "app", apply(one(ba), 2)));
}

#[test]
fn a_pod_that_replaces_one_with_its_name_and_records_moves_no_serial() {
    let fields = "interface=a.A port=1";
    let mut world = world_of(vec![one(fields)], vec![]);
    let successor = Pod { uid: "uid-two".into(), ..one(fields) };
    assert!(!moves(&mut world, "app", apply(successor.clone(), 2)));
    assert!(!moves(&mut world, "app", remove()));
    let other = Pod { uid: "uid-three".into(), ..registering(successor, "interface=a.A port=2") };
    assert!(moves(&mut world, "app", apply(other, 3)));
}

#[test]
fn of_two_pods_of_one_name_the_newer_one_bears_it_even_if_nothing_else_changed() {
    let rival = Pod { uid: "uid-rival".into(), ..one("interface=b.B port=2") };
    let mut world = world_of(vec![one("interface=a.A port=1")], vec![]);
    world.send_of("app", apply(one("interface=a.A port=1"), 9));
    world.publish();
    assert!(!moves(&mut world, "app", apply(rival, 7)), "the current Pod is at version 9");
}

#[test]
fn methods_that_do_not_fit_into_txt_move_no_serial() {
    let long = |last: &str| {
        let value = "v".repeat(4000);
        format!("interface=a.A port=1 release={value} zone={}{last}", "z".repeat(200))
    };
    let mut world = world_of(vec![one(&long("1"))], vec![]);
    assert!(!moves(&mut world, "app", apply(one(&long("2")), 2)));
}

#[test]
fn a_reverse_name_outside_our_reverse_zones_moves_no_serial() {
    let pod = |is_host| {
        let mut pod = endpoint("one", "192.0.2.9", "interface=a.A port=1");
        pod.status.host_network = is_host;
        pod
    };
    let mut world = world_of(vec![pod(false)], vec![]);
    assert!(!moves(&mut world, "app", apply(pod(true), 2)));
}

#[test]
fn metadata_that_is_not_published_moves_no_serial() {
    let secret = |value: &str| one(&format!("interface=a.A port=1 other={value}"));
    let mut world = world_of(vec![secret("1")], vec![]);
    assert!(!moves(&mut world, "app", apply(secret("2"), 2)));
    let all = ZoneSettings { txt_keys: TxtKeys::All, ..settings() };
    let mut world = World::with(all, [secret("1")]);
    assert!(moves(&mut world, "app", apply(secret("2"), 2)));
}

#[test]
fn a_zone_without_pods_has_a_serial() {
    assert_eq!(World::of([]).snapshot().serial, 8, "the first sync changes every answer");
}

#[test]
fn the_serial_moves_only_if_an_answer_changes() {
    let mut world = World::of([pods::one()]);
    let (serial, revision) = (world.snapshot().serial, world.snapshot().revision);
    world.apply(pods::changed(|_| ()));
    assert_eq!((world.snapshot().serial, world.snapshot().revision), (serial, revision), "a new version alone");
    world.apply(Pod { resource_version: 3, ..registering(pods::one(), "interface=a.B port=1 pid=8") });
    assert_eq!(world.snapshot().serial, serial, "metadata that is not published");
    assert!(world.snapshot().revision > revision);
    world.apply(Pod { resource_version: 4, ..registering(pods::one(), "interface=a.B port=1 zone=b") });
    assert!(world.snapshot().serial > serial, "metadata that is");
    let serial = world.snapshot().serial;
    let mut quiet = endpoint("quiet", "10.244.0.7", "port=1");
    quiet.resource_version = 5;
    world.apply(quiet);
    assert_eq!(world.snapshot().serial, serial, "a bad registration");
    assert_eq!(pods::bad(&world).len(), 1);
}

#[test]
fn the_serial_stays_for_another_endpoint_that_is_not_ready() {
    let waiting = |name: &str, address: &str, fields: &str| {
        let mut pod = endpoint(name, address, fields);
        pod.status.ready = false;
        pod
    };
    // Apart from its Pod's own names, a registration that is not ready adds a name or nothing.
    let mut world = World::of([pods::one(), waiting("two", "10.244.0.2", "interface=x.Y port=1")]);
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
fn the_serial_stays_if_a_pod_with_the_same_records_replaces_another() {
    let quiet = |uid: &str, version| {
        let mut pod = Pod { uid: uid.into(), resource_version: version, ..pods::one() };
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
