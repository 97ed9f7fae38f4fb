//! Zone files beside the Pods: above them, below them, and in place of some.

use domain::base::iana::Rtype;

use super::world::{World, endpoint, whole};
use crate::harness::ask::{Ask, flag};

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

/// A resolver takes a part of an RRset for the whole, and no record for an absent type.
#[test]
fn an_rrset_that_fits_into_no_message_is_servfail_over_tcp() {
    let record = |owner: &str, len: usize| format!("{owner} 60 TYPE65280 \\# {len} {}\n", "00".repeat(len));
    // Header, question, and what a record has before its data. The query has no EDNS.
    let fits = 65_535 - 12 - 29 - 12;
    let set = |count: usize| (0..count).map(|n| format!("set 60 TXT {n:03}{}\n", "x".repeat(252))).collect::<String>();
    let text = [NS, &record("a", fits), &record("b", fits + 1), &record("c", 65_535), "d 60 CNAME c\n", &set(244)];
    let world = World::beside(&[("long.file.example.org.", &text.concat())], pods());
    let rtype = Rtype::from_int(65280);
    for (name, rtype, rcode, answers) in [
        ("a", rtype, "NOERROR", 1),
        ("b", rtype, "SERVFAIL", 0),
        ("c", rtype, "SERVFAIL", 0),
        ("d", rtype, "SERVFAIL", 0),
        ("d", Rtype::CNAME, "NOERROR", 1),
        ("c", Rtype::A, "NOERROR", 0),
        ("set", Rtype::TXT, "NOERROR", 244),
    ] {
        let name = format!("{name}.long.file.example.org.");
        let reply = world.ask(&name, rtype);
        assert_eq!((&*reply.rcode, reply.answer.len()), (rcode, answers), "{name} {rtype}");
        assert!(!reply.has(flag::TC), "{name} {rtype}");
    }
    let cut = world.udp(&Ask::new("c.long.file.example.org.", rtype));
    assert!(cut.has(flag::TC) && cut.rcode == "NOERROR" && cut.answer.is_empty(), "{}", cut.rcode);
    let world = World::beside(&[("long.file.example.org.", &[NS, &set(245)].concat())], pods());
    let reply = world.ask("set.long.file.example.org.", Rtype::TXT);
    assert_eq!((&*reply.rcode, reply.answer.len()), ("SERVFAIL", 0), "a part of a set");
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
