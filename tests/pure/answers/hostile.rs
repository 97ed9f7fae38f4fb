//! What one Pod can and cannot do to others through its own annotation.

use callsign::source::{Change, Pod};
use domain::base::iana::Rtype;

use super::world::{World, endpoint, registering};

/// A Pod in the namespace `victim`, and a question that it answers.
fn victim() -> Pod {
    let pod =
        endpoint("server-0", "10.244.0.1,fd00::1", "interface=org.acme.Bank group=g protocol=tri port=50051 zone=a");
    Pod { namespace: "victim".into(), ..pod }
}

/// Every name of the victim with its answer.
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
        // And names that do not exist.
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
fn a_pods_annotation_changes_no_answer_of_another_namespace() {
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
        // It started later, so it would win an address. Its uid is larger too.
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

/// All registrations of one instance repeat as many methods as an annotation holds. A query must read them at most
/// once, or it would take seconds.
#[test]
fn what_does_not_fit_into_txt_costs_a_query_nothing() {
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
    // A list that all registrations share is read once.
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
