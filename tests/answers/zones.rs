//! Zone files beside the Pods: above them, below them, and in place of some.

use domain::base::iana::Rtype;

use super::world::{World, endpoint, whole};
use crate::ask::Ask;

const NS: &str = "@ 60 NS ns1.example.net.\n";

fn pods() -> [callsign::source::Pod; 1] {
    [endpoint("one", "10.244.0.1", "interface=a.B protocol=tri port=1 interface=a.C port=1")]
}

#[test]
fn the_names_above_a_zone_exist() {
    // An NXDOMAIN for a name says that nothing is below it (RFC 8020). A cache would then deny the zone there.
    let www = format!("{NS}www 60 A 192.0.2.1\n");
    let world = World::beside(
        &[("x.y.Z", &www), ("local.", NS), ("a.b.local.", NS), ("5.5.244.10.in-addr.arpa.", NS), ("arpa.", NS)],
        pods(),
    );
    for (name, verdict) in [
        ("www.x.y.Z", "DATA"),
        ("x.y.Z", "NODATA"),
        ("y.Z", "NODATA"),
        ("w.y.Z", "NXDOMAIN"),
        ("cluster.local.", "NODATA"),
        ("b.local.", "NODATA"),
        ("c.local.", "NXDOMAIN"),
        ("5.244.10.in-addr.arpa.", "NODATA"),
        ("6.244.10.in-addr.arpa.", "NXDOMAIN"),
        ("10.in-addr.arpa.", "NODATA"),
        ("11.in-addr.arpa.", "NXDOMAIN"),
        ("ip6.arpa.", "NODATA"),
    ] {
        assert_eq!(world.verdict(name, Rtype::A), verdict, "{name}");
    }
}

#[test]
fn a_query_for_ds_is_answered_by_the_parent() {
    let parent = format!("{NS}rpc 60 NS ns.rpc\nns.rpc 60 A 192.0.2.1\nrpc 7 DS 1 13 2 aabb\n");
    let reverse = format!("{NS}244 60 NS ns1.example.net.\n");
    let world = World::beside(&[("cluster.local.", &parent), ("10.in-addr.arpa.", &reverse)], pods());
    assert_eq!(world.ask(&whole("Z"), Rtype::DS).answer, ["rpc.cluster.local. 7 IN DS 1 13 2 AABB"]);
    let negative = world.ask("244.10.in-addr.arpa.", Rtype::DS);
    assert!(negative.authority[0].starts_with("10.in-addr.arpa. 30 IN SOA "), "{negative:?}");
    assert_eq!(world.data("Z", Rtype::NS).1, ["ns.Z"], "all else is the child's");
    // A parent that does not delegate the zone does not know it.
    let world = World::beside(&[("cluster.local.", NS)], pods());
    assert!(world.ask(&whole("Z"), Rtype::DS).authority[0].starts_with("rpc.cluster.local. 5 IN SOA "));
}

#[test]
fn a_target_of_several_records_is_added_once() {
    let text = format!("{NS}_s._tcp 60 SRV 0 1 1 h\n_s._tcp 60 SRV 0 1 2 H\nh 60 A 192.0.2.2\n");
    let world = World::beside(&[("example.org.", &text)], pods());
    let reply = world.ask("_s._tcp.example.org.", Rtype::SRV);
    assert_eq!((reply.answer.len(), reply.additional.len()), (2, 1), "{reply:?}");
}

#[test]
fn the_pod_zones_own_file() {
    let text = "@ 60 NS ns9.example.net.\n@ 60 TXT hello\n10-244-0-1.p 60 A 192.0.2.9\nextra.deep 60 A 192.0.2.8\n\
                _rpc._tcp.a.b.default 60 TXT mine\none.default.pod 60 TXT mine\nns 60 A 192.0.2.33\n\
                to-c 60 CNAME a.c.default\nto-nothing 60 CNAME nope.default\n";
    let world = World::beside(&[("Z", text)], pods());
    for (name, rtype, data) in [
        ("Z", Rtype::NS, &["ns.Z", "ns9.example.net."][..]),
        ("Z", Rtype::SOA, &["ns1.example.net. admin.example.net. 16 2 3 4 5"]),
        ("Z", Rtype::TXT, &["\"hello\""]),
        ("ns.Z", Rtype::A, &["192.0.2.33"]),
        ("10-244-0-1.p.Z", Rtype::A, &["192.0.2.9"]),
        ("_rpc._tcp.a.b.default.Z", Rtype::TXT, &["\"mine\""]),
        ("_tri._tcp.a.b.default.Z", Rtype::SRV, &["0 100 1 10-244-0-1.p.Z"]),
        ("one-1._rpc._tcp.a.b.default.Z", Rtype::SRV, &["0 100 1 10-244-0-1.p.Z"]),
        ("to-c.Z", Rtype::A, &["10.244.0.1", "a.c.default.Z"]),
    ] {
        assert_eq!(
            world.data(name, rtype),
            ("NOERROR".into(), data.iter().map(|&line| line.to_owned()).collect()),
            "{name}"
        );
    }
    for (name, verdict) in [
        ("_rpc._tcp.a.b.default.Z", "NODATA"),
        ("one.default.pod.Z", "NODATA"),
        ("10-244-0-1.p.Z", "NODATA"),
        ("deep.Z", "NODATA"),
        ("other.deep.Z", "NXDOMAIN"),
        ("Z", "NODATA"),
    ] {
        assert_eq!(world.verdict(name, Rtype::SRV), verdict, "{name}");
    }
    let glue = world.udp(&Ask::new(&whole("_tri._tcp.a.b.default.Z"), Rtype::SRV)).additional;
    assert_eq!(glue, ["10-244-0-1.p.rpc.cluster.local. 60 IN A 192.0.2.9"], "the address of the target");
    let chain = world.ask(&whole("to-nothing.Z"), Rtype::A);
    assert_eq!((chain.rcode.as_str(), chain.answer.len(), chain.authority.len()), ("NXDOMAIN", 1, 1));
}
