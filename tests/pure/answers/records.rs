//! Tests every row of the schema's table of records.

use callsign::registration::ProfileText;
use callsign::source::Pod;
use domain::base::iana::Rtype;

use super::world::{World, endpoint, whole};

fn greeters() -> Vec<Pod> {
    let both = "interface=org.acme.Greeter group=gray version=1.0.0-rc1 protocol=dubbo port=20880 weight=7 \
                method=hello method=bye application=demo zone=a secret-token=x pid=7";
    vec![
        endpoint("greeter-0", "10.244.0.81", both),
        endpoint("greeter-1", "10.244.0.82,fd00::82", "interface=org.acme.Greeter protocol=tri port=50051"),
    ]
}

#[test]
fn every_row_of_the_table() {
    let world = World::of(greeters());
    let alias = "x-lorch5p20t4erj2u08aelpg4d07a9m0a"; // not a service: see below
    assert_eq!(world.verdict(&format!("{alias}.default.Z"), Rtype::A), "NXDOMAIN");
    let one = "0 7 20880 10-244-0-81.p.Z";
    let two = "0 100 50051 10-244-0-82.p.Z";
    let text = r#""pod=greeter-0" "addr=10.244.0.81:20880" "interface=org.acme.Greeter" "group=gray" "version=1.0.0-rc1" "application=demo" "methods=hello,bye" "weight=7" "zone=a""#;
    let other = r#""pod=greeter-1" "addr=10.244.0.82:50051" "interface=org.acme.Greeter""#;
    let greeter = "org.acme.greeter.default.Z";
    for (name, rtype, expected) in [
        (format!("_dubbo._tcp.{greeter}"), Rtype::SRV, vec![one]),
        (format!("_tri._tcp.{greeter}"), Rtype::SRV, vec![two]),
        (format!("_rpc._tcp.{greeter}"), Rtype::SRV, vec![two, one]),
        (greeter.into(), Rtype::SRV, vec![two, one]),
        (format!("_dubbo._tcp.{greeter}"), Rtype::TXT, vec![text]),
        (format!("_rpc._tcp.{greeter}"), Rtype::TXT, vec![text, other]),
        (greeter.into(), Rtype::A, vec!["10.244.0.81", "10.244.0.82"]),
        (greeter.into(), Rtype::AAAA, vec!["fd00::82"]),
        (greeter.into(), Rtype::TXT, vec![]),
        ("_rpc._tcp.org.acme.greeter.g-gray.default.Z".into(), Rtype::SRV, vec![one]),
        ("_rpc._tcp.org.acme.greeter.v-1-0-0--rc1.default.Z".into(), Rtype::SRV, vec![one]),
        ("_rpc._tcp.org.acme.greeter.v-1-0-0--rc1.g-gray.default.Z".into(), Rtype::SRV, vec![one]),
        ("_rpc._tcp.org.acme.greeter.v--none.g--none.default.Z".into(), Rtype::SRV, vec![two]),
        ("_rpc._tcp.org.acme.greeter.g--none.default.Z".into(), Rtype::SRV, vec![two]),
        ("_rpc._tcp.x-roj5ef7gfqkq2nsidracg0h94kcuj8ap.default.Z".into(), Rtype::SRV, vec![two]),
        ("10-244-0-81.p.Z".into(), Rtype::A, vec!["10.244.0.81"]),
        ("10-244-0-82.p.Z".into(), Rtype::A, vec!["10.244.0.82"]),
        ("10-244-0-82.p.Z".into(), Rtype::AAAA, vec!["fd00::82"]),
        ("greeter-1.default.pod.Z".into(), Rtype::A, vec!["10.244.0.82"]),
        ("greeter-1.default.pod.Z".into(), Rtype::AAAA, vec!["fd00::82"]),
        ("81.0.244.10.in-addr.arpa.".into(), Rtype::PTR, vec!["greeter-0.default.pod.Z"]),
        ("b._dns-sd._udp.default.Z".into(), Rtype::PTR, vec!["org.acme.Greeter.default.Z"]),
        ("dns-version.Z".into(), Rtype::TXT, vec![r#""1.0.0""#]),
        ("Z".into(), Rtype::NS, vec!["ns.Z"]),
        ("ns.Z".into(), Rtype::A, vec!["192.0.2.1"]),
        ("ns.Z".into(), Rtype::AAAA, vec!["2001:db8::1"]),
        ("244.10.in-addr.arpa.".into(), Rtype::NS, vec!["ns.Z"]),
    ] {
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(world.data(&name, rtype), ("NOERROR".into(), expected), "{name} {rtype}");
    }
    let reverse = "2.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.";
    assert_eq!(world.data(reverse, Rtype::PTR).1, ["greeter-1.default.pod.Z"]);
    let protocols = world.data("_services._dns-sd._udp.org.acme.greeter.default.Z", Rtype::PTR).1;
    let services = "org.acme.Greeter.default.Z";
    assert_eq!(protocols, ["dubbo", "rpc", "tri"].map(|protocol| format!("_{protocol}._tcp.{services}")));
}

#[test]
fn instances() {
    let several = "interface=a.B protocol=dubbo port=1 group=x method=f weight=3 \
                   interface=a.B protocol=dubbo port=1 group=y version=2 method=g method=f";
    let long = "a-name-of-sixty-three-letters-that-leaves-no-room-for-a-port-xx";
    let world = World::of([
        endpoint("one", "10.244.0.1", several),
        endpoint("two.dotted", "10.244.0.2", "interface=a.B protocol=tri port=2"),
        endpoint(long, "10.244.0.3", "interface=a.B protocol=tri port=3"),
    ]);
    let below =
        |labels: &[&str]| labels.iter().map(|label| format!("{label}._rpc._tcp.a.b.default.Z")).collect::<Vec<_>>();
    let instances = world.data("_rpc._tcp.a.b.default.Z", Rtype::PTR).1;
    assert_eq!(instances, below(&["10-244-0-2-2", "10-244-0-3-3", "one-1"]));
    assert_eq!(world.data("_dubbo._tcp.a.b.default.Z", Rtype::PTR).1, ["one-1._dubbo._tcp.a.b.default.Z"]);
    assert_eq!(world.verdict("a.b.default.Z", Rtype::PTR), "NODATA", "no instance is below the plain name");
    let instance = "one-1._dubbo._tcp.a.b.default.Z";
    assert_eq!(world.data(instance, Rtype::SRV).1, ["0 100 1 10-244-0-1.p.Z"]);
    let text = r#""pod=one" "addr=10.244.0.1:1" "interface=a.B" "group=x,y" "version=2" "methods=f,g" "weight=3""#;
    assert_eq!(world.data(instance, Rtype::TXT).1, [text]);
    assert_eq!(world.data("10-244-0-2-2._tri._tcp.a.b.default.Z", Rtype::SRV).1, ["0 100 2 10-244-0-2.p.Z"]);
    for (name, verdict) in [
        (instance, "NODATA"),
        ("ONE-1._RPC._TCP.A.B.DEFAULT.Z", "NODATA"),
        ("one-2._dubbo._tcp.a.b.default.Z", "NXDOMAIN"),
        ("one-1._tri._tcp.a.b.default.Z", "NXDOMAIN"),
        ("10-244-0-1-1._dubbo._tcp.a.b.default.Z", "NXDOMAIN"),
        ("two.dotted-2._tri._tcp.a.b.default.Z", "NXDOMAIN"),
        ("one-1._dubbo._tcp.a.b.g-x.default.Z", "NXDOMAIN"),
        ("x.one-1._dubbo._tcp.a.b.default.Z", "NXDOMAIN"),
    ] {
        assert_eq!(world.verdict(name, Rtype::A), verdict, "{name}");
    }
}

#[test]
fn every_instance_of_a_ptr_record_exists() {
    // A Pod whose name is no label, with two addresses that it names itself: two instances, for every client.
    let fields = "interface=a.B protocol=tri port=1 ip=10.244.0.1 interface=a.B protocol=tri port=1 ip=fd00::1";
    let mut world = World::of([endpoint("two.dotted", "10.244.0.1,fd00::1", fields)]);
    for host in 1..=8 {
        world.client = [10, 9, 8, host].into();
        let instances = world.data("_tri._tcp.a.b.default.Z", Rtype::PTR).1;
        let labels = ["10-244-0-1-1", "fd00-0-0-0-0-0-0-1-1"];
        assert_eq!(instances, labels.map(|label| format!("{label}._tri._tcp.a.b.default.Z")));
        instances.iter().for_each(|name| assert_eq!(world.verdict(name, Rtype::SRV), "DATA", "{name}"));
    }
    // Two Pods of one host at one port, whose names are no labels: one name, with one pointer to it.
    let on_host = |name: &str| {
        let mut pod = endpoint(name, "192.0.2.7", "interface=a.B port=5");
        pod.status.host_network = true;
        pod
    };
    let world = World::of([on_host("a.b"), on_host("b.c")]);
    assert_eq!(world.data("_rpc._tcp.a.b.default.Z", Rtype::PTR).1, ["192-0-2-7-5._rpc._tcp.a.b.default.Z"]);
}

#[test]
fn a_repeated_registration_is_one() {
    // However it is written: with its address or without, and with the protocol in another letter case.
    let fields = "interface=a.B protocol=tri port=1 zone=a interface=a.B protocol=tri port=1 ip=10.244.0.1 zone=b \
                  interface=a.B protocol=TRI port=1 zone=c";
    let world = World::of([endpoint("one", "10.244.0.1", fields)]);
    let text = r#""pod=one" "addr=10.244.0.1:1" "interface=a.B" "zone=c""#;
    assert_eq!(world.data("_tri._tcp.a.b.default.Z", Rtype::TXT).1, [text]);
    // One that names one of two addresses, and one for both: two registrations, and one record where they agree.
    let fields = "interface=a.B protocol=tri port=1 ip=10.244.0.1 interface=a.B protocol=tri port=1 \
                  interface=a.B protocol=dubbo port=1";
    let world = World::of([endpoint("one", "10.244.0.1,fd00::1", fields)]);
    for protocol in ["tri", "rpc"] {
        assert_eq!(world.data(&format!("_{protocol}._tcp.a.b.default.Z"), Rtype::TXT).1.len(), 1, "{protocol}");
    }
}

#[test]
fn registrations_that_change_places_are_all_kept() {
    // A regression: they share a name and, for a moment, a place. The new one disappeared with the old one.
    let mut world = World::of([]);
    for (version, fields, count) in [
        (1, "interface=a.B port=1", 1),
        (2, "interface=a.B port=1 group=x interface=a.B port=1 group=y", 2),
        (3, "interface=a.B port=1 group=y interface=a.B port=1 group=x", 2),
        (4, "interface=a.B port=1 group=x interface=a.B port=1 interface=a.B port=1 group=y", 3),
    ] {
        world.apply(Pod { resource_version: version, ..endpoint("one", "10.244.0.1", fields) });
        assert_eq!(world.data("_rpc._tcp.a.b.default.Z", Rtype::TXT).1.len(), count, "{fields}");
        assert_eq!(world.data("_rpc._tcp.a.b.g-x.default.Z", Rtype::TXT).1.len(), usize::from(count > 1), "{fields}");
    }
    world.apply(Pod { resource_version: 5, text: ProfileText::default(), ..endpoint("one", "10.244.0.1", "") });
    assert_eq!(world.verdict("_rpc._tcp.a.b.default.Z", Rtype::TXT), "NXDOMAIN");
}

#[test]
fn services_without_a_natural_name_have_every_name_below_their_alias() {
    let world = World::of([endpoint("one", "10.244.0.1", "interface=a.v-1 protocol=tri port=1")]);
    let alias = world.snapshot().services().next().unwrap().service.alias.label();
    let plain = format!("{alias}.default.Z");
    for (name, rtype, expected) in [
        (format!("_tri._tcp.{plain}"), Rtype::SRV, "0 100 1 10-244-0-1.p.Z".to_owned()),
        (format!("_tri._tcp.{plain}"), Rtype::PTR, format!("one-1._tri._tcp.{plain}")),
        (format!("one-1._tri._tcp.{plain}"), Rtype::SRV, "0 100 1 10-244-0-1.p.Z".to_owned()),
        ("b._dns-sd._udp.default.Z".into(), Rtype::PTR, plain.clone()),
        (plain.clone(), Rtype::A, "10.244.0.1".to_owned()),
    ] {
        assert_eq!(world.data(&name, rtype), ("NOERROR".into(), vec![expected]), "{name} {rtype}");
    }
    assert_eq!(world.verdict("a.v-1.default.Z", Rtype::A), "NXDOMAIN");
    assert_eq!(world.snapshot().alias_only_count(), 1);
}

#[test]
fn each_address_and_port_has_one_srv_record() {
    let world = World::of([
        endpoint(
            "one",
            "10.244.0.1",
            "interface=a.B protocol=dubbo port=1 weight=5 interface=a.B protocol=tri port=1 weight=9 \
             interface=a.B protocol=tri port=2 interface=A.b protocol=tri port=2 weight=300",
        ),
        endpoint("two", "10.244.0.2", "interface=a.B protocol=dubbo port=1 weight=70000"),
    ]);
    let name = "_rpc._tcp.a.b.default.Z";
    let expected = ["0 300 2 10-244-0-1.p.Z", "0 65535 1 10-244-0-2.p.Z", "0 9 1 10-244-0-1.p.Z"];
    assert_eq!(world.data(name, Rtype::SRV).1, expected);
    // Two protocols at one port have the same TXT except for their weights. Two spellings are two services.
    assert_eq!(world.data(name, Rtype::TXT).1.len(), 5);
    assert_eq!(world.data("a.b.default.Z", Rtype::A).1, ["10.244.0.1", "10.244.0.2"]);
    let same = endpoint("one", "10.244.0.1", "interface=a.B protocol=dubbo port=1 interface=a.B protocol=tri port=1");
    let world = World::of([same]);
    assert_eq!(world.data(name, Rtype::TXT).1.len(), 1);
    assert_eq!(world.data("_tri._tcp.a.b.default.Z", Rtype::TXT).1.len(), 1);
}

#[test]
fn dual_stack_and_ipv6() {
    let world = World::of([
        endpoint("both", "10.244.0.1,fd00::1", "interface=a.B port=1"),
        endpoint("six", "fd00::2", "interface=a.B port=1"),
        endpoint("turned", "fd00::3,10.244.0.3", "interface=a.B port=1 interface=a.B port=2 ip=10.244.0.3"),
    ]);
    let reply = world.ask(&whole("_rpc._tcp.a.b.default.Z"), Rtype::SRV);
    let mut targets: Vec<&str> = reply.answer.iter().map(|line| line.split_whitespace().last().unwrap()).collect();
    targets.sort();
    let long = |end: u8| format!("fd00-0-0-0-0-0-0-{end}.p.rpc.cluster.local.");
    assert_eq!(targets, ["10-244-0-1.p.rpc.cluster.local.", "10-244-0-3.p.rpc.cluster.local.", &long(2), &long(3)]);
    assert_eq!(reply.additional.len(), 6, "{reply:?}");
    assert_eq!(world.data("a.b.default.Z", Rtype::A).1, ["10.244.0.1", "10.244.0.3"]);
    assert_eq!(world.data("a.b.default.Z", Rtype::AAAA).1, ["fd00::1", "fd00::2", "fd00::3"]);
    assert_eq!(world.data("fd00-0-0-0-0-0-0-3.p.Z", Rtype::A).1, ["10.244.0.3"]);
    assert_eq!(world.data("10-244-0-3.p.Z", Rtype::AAAA).1, Vec::<String>::new());
}

#[test]
fn the_apex() {
    let world = World::of(greeters());
    let soa = world.ask(&whole("Z"), Rtype::SOA);
    let expected =
        "rpc.cluster.local. 5 IN SOA ns.rpc.cluster.local. hostmaster.rpc.cluster.local. 8 7200 1800 86400 5";
    assert_eq!(soa.answer, [expected]);
    let ns = world.ask(&whole("Z"), Rtype::NS);
    assert_eq!(ns.answer, ["rpc.cluster.local. 5 IN NS ns.rpc.cluster.local."]);
    let glue = ["ns.rpc.cluster.local. 5 IN A 192.0.2.1", "ns.rpc.cluster.local. 5 IN AAAA 2001:db8::1"];
    assert_eq!(ns.additional, glue);
    for rtype in [Rtype::A, Rtype::AAAA, Rtype::SRV, Rtype::HINFO, Rtype::from_int(1000)] {
        assert_eq!(world.verdict("Z", rtype), "NODATA", "{rtype}");
    }
    let any = world.ask(&whole("_rpc._tcp.org.acme.greeter.default.Z"), Rtype::ANY);
    assert!(any.answer.len() == 1 && any.answer[0].contains("HINFO"), "{any:?}");
    assert_eq!(world.verdict("_tcp.org.acme.greeter.default.Z", Rtype::ANY), "NODATA");
    assert_eq!(world.verdict("nope.default.Z", Rtype::ANY), "NXDOMAIN");
}
