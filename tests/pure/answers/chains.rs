//! Chains of aliases within our zones: each record appears once (RFC 2181 §5), and every loop ends.

use callsign::wire::{Edns, Limits};
use domain::base::iana::Rtype;

use super::hickory;
use super::world::World;
use crate::harness::ask::{Ask, Reply};

const A: &str = "@ NS ns.elsewhere.example.
self CNAME Self\none CNAME two\ntwo CNAME one\nenter CNAME one
c1 CNAME c2\nc2 CNAME c3\nc3 CNAME c4\nc4 CNAME c5\nc5 CNAME c6\nc6 CNAME c7\nc7 CNAME c8\nc8 CNAME end\nc0 CNAME c1
l1 CNAME l2\nl2 CNAME l3\nl3 CNAME l4\nl4 CNAME l5\nl5 CNAME l6\nl6 CNAME l7\nl7 CNAME l8\nl8 CNAME l1\nl0 CNAME l1
end A 192.0.2.9\ntree DNAME target\nhost.target A 192.0.2.7\nalias.target CNAME end\nagain.target CNAME host.tree
todname CNAME host.tree\nround DNAME about\nabout DNAME round\ngrow DNAME x.grow\nsame DNAME same
*.any CNAME end\n*.mirror CNAME x.mirror\nother CNAME back.b.test.\nfar CNAME far.b.test.\ndown DNAME b.test.\n";

const B: &str = "@ NS ns.elsewhere.example.\nback CNAME end.a.test.\nfar CNAME far.a.test.\n";

/// The data of each record without the zone `a.test.`. A DNAME's data follows `=`.
fn told(reply: &Reply) -> String {
    let told = |line: &String| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let mark = if fields[3] == "DNAME" { "=" } else { "" };
        format!("{mark}{}", fields[4].strip_suffix(".a.test.").unwrap_or(fields[4]))
    };
    reply.answer.iter().map(told).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_record_of_a_chain_appears_once_and_every_chain_ends() {
    let world = World::beside(&[("a.test.", A), ("b.test.", B)], []);
    let of_eight = "c2 c3 c4 c5 c6 c7 c8 end";
    for (name, rtype, rcode, expected) in [
        ("self", Rtype::A, "NOERROR", "Self"),
        ("SELF", Rtype::A, "NOERROR", "Self"),
        ("self", Rtype::CNAME, "NOERROR", "Self"),
        ("one", Rtype::A, "NOERROR", "two one"),
        ("two", Rtype::TXT, "NOERROR", "one two"),
        ("enter", Rtype::A, "NOERROR", "one two one"),
        ("l1", Rtype::A, "NOERROR", "l2 l3 l4 l5 l6 l7 l8 l1"),
        ("l0", Rtype::A, "NOERROR", "l1 l2 l3 l4 l5 l6 l7 l8"),
        ("c1", Rtype::A, "NOERROR", &format!("{of_eight} 192.0.2.9")),
        ("c0", Rtype::A, "NOERROR", "c1 c2 c3 c4 c5 c6 c7 c8"), // at most 8 links
        ("host.tree", Rtype::A, "NOERROR", "=target host.target 192.0.2.7"),
        ("todname", Rtype::A, "NOERROR", "host.tree =target host.target 192.0.2.7"),
        ("todname", Rtype::CNAME, "NOERROR", "host.tree"),
        // The DNAME applies twice and appears once.
        ("again.tree", Rtype::A, "NOERROR", "=target again.target host.tree host.target 192.0.2.7"),
        ("again.tree", Rtype::CNAME, "NOERROR", "=target again.target"),
        ("alias.tree", Rtype::CNAME, "NOERROR", "=target alias.target"),
        ("nothing.tree", Rtype::CNAME, "NOERROR", "=target nothing.target"),
        ("nothing.tree", Rtype::A, "NXDOMAIN", "=target nothing.target"),
        ("tree", Rtype::DNAME, "NOERROR", "=target"),
        ("tree", Rtype::CNAME, "NOERROR", ""),
        ("x.round", Rtype::A, "NOERROR", "=about x.about =round x.round"),
        ("x.round", Rtype::CNAME, "NOERROR", "=about x.about"),
        ("x.same", Rtype::A, "NOERROR", "=same x.same"),
        (
            "a.grow",
            Rtype::A,
            "NOERROR",
            "=x.grow a.x.grow a.x.x.grow a.x.x.x.grow a.x.x.x.x.grow a.x.x.x.x.x.grow a.x.x.x.x.x.x.grow \
             a.x.x.x.x.x.x.x.grow a.x.x.x.x.x.x.x.x.grow",
        ),
        ("x.any", Rtype::A, "NOERROR", "end 192.0.2.9"),
        ("x.any", Rtype::CNAME, "NOERROR", "end"),
        ("y.mirror", Rtype::A, "NOERROR", "x.mirror x.mirror"), // two records: those of y and of x
        ("x.mirror", Rtype::A, "NOERROR", "x.mirror"),
        ("other", Rtype::A, "NOERROR", "back.b.test. end 192.0.2.9"),
        ("far", Rtype::A, "NOERROR", "far.b.test. far"),
        ("back.down", Rtype::CNAME, "NOERROR", "=b.test. back.b.test."),
        ("far.down", Rtype::A, "NOERROR", "=b.test. far.b.test. far far.b.test."),
    ] {
        let ask = Ask::new(&format!("{name}.a.test."), rtype);
        for limits in [&Limits::udp as &dyn Fn(Option<Edns>) -> Limits, &|_| Limits::tcp()] {
            let ask = ask.clone().edns(1232);
            let query = ask.to_wire();
            for reply in hickory::both(&world, &query, limits).expect("a reply") {
                let reply = Reply::read(&query, reply);
                assert_eq!((reply.rcode.as_str(), told(&reply).as_str()), (rcode, expected), "{name} {rtype}");
                let lines: std::collections::HashSet<_> = reply.answer.iter().collect();
                assert_eq!(lines.len(), reply.answer.len(), "no record twice: {reply:?}");
            }
        }
    }
}
