//! Static zones: tables of a question and what the zone says, in zone-file text.

use callsign::dns::{Key, Name, Rtype};
use callsign::zones::{Lookup, Role, RrSet, Zone, Zones};
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::base::{ParseRecordData, ParsedName};
use domain::dep::octseq::Parser;
use domain::rdata::AllRecordData;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// The example of RFC 4592 §2.2.1, with data for the records that it leaves open.
const RFC_4592: &str = r#"
$ORIGIN example.
@                  3600 SOA  ns.example.com. hostmaster ( 1 7200 900 604800 300 )
                   3600 NS   ns.example.com.
                   3600 NS   ns.example.net.
*                  3600 TXT  "this is a wildcard"
*                  3600 MX   10 host1.example.
sub.*              3600 TXT  "this is not a wildcard"
host1              3600 A    192.0.2.1
_ssh._tcp.host1    3600 SRV  0 100 22 host1
_ssh._tcp.host2    3600 SRV  0 100 22 host2
subdel             3600 NS   ns.example.com.
subdel             3600 NS   ns.example.net.
"#;

#[test]
fn wildcards_as_rfc_4592_has_them() {
    check(
        "example.",
        RFC_4592,
        &[
            // synthesized from the wildcard
            ("host3.example. MX", "answer 3600 MX 10 host1.example."),
            ("host3.example. A", "nodata"),
            ("foo.bar.example. TXT", "answer 3600 TXT \"this is a wildcard\""),
            ("HOST3.Example. mx", "answer 3600 MX 10 host1.example."),
            ("host3.example. ANY", "exists"),
            // not synthesized: the name exists
            ("host1.example. MX", "nodata"),
            ("sub.*.example. MX", "nodata"),
            ("sub.*.example. TXT", "answer 3600 TXT \"this is not a wildcard\""),
            ("*.example. MX", "answer 3600 MX 10 host1.example."),
            // not synthesized: a closer encloser exists
            ("_telnet._tcp.host1.example. SRV", "nxdomain"),
            ("ghost.*.example. MX", "nxdomain"),
            ("x.host1.example. TXT", "nxdomain"),
            ("x.host2.example. TXT", "nxdomain"),
            // empty non-terminals exist and are no wildcard's
            ("_tcp.host1.example. TXT", "nodata"),
            ("host2.example. TXT", "nodata"),
            ("_tcp.host2.example. ANY", "nodata"),
            // delegated
            ("host.subdel.example. A", "referral subdel.example. 3600 NS ns.example.com. | NS ns.example.net."),
            ("subdel.example. MX", "referral subdel.example. 3600 NS ns.example.com. | NS ns.example.net."),
        ],
    );
}

#[test]
fn a_wildcard_that_is_only_an_empty_name_gives_no_data() {
    check(
        "example.",
        &zone("a.* TXT below\nwww.*.b A 192.0.2.1\n*.c TXT no\n"),
        &[
            ("x.example. TXT", "nodata"),
            ("x.b.example. A", "nodata"),
            ("x.y.b.example. A", "nodata"),
            ("*.b.example. A", "nodata"),
            ("www.*.b.example. A", "answer 300 A 192.0.2.1"),
            ("c.example. TXT", "nodata"),
            ("x.c.example. TXT", "answer 300 TXT \"no\""),
        ],
    );
}

#[test]
fn plain_names() {
    let text = zone(
        "@ TXT apex\n@ MX 10 @\nwww A 192.0.2.1\nWWW A 192.0.2.2\nwww AAAA 2001:db8::1\na.b.c A 192.0.2.3\n\
         alias CNAME WWW.Elsewhere.Test.\n*.w CNAME @\nraw TYPE65280 \\# 3 010203\n$ORIGIN deep\nx CNAME y\n",
    );
    check(
        "example.",
        &text,
        &[
            ("example. SOA", "answer 300 SOA ns.example. hostmaster.example. 1 7200 900 604800 60"),
            ("example. NS", "answer 300 NS ns.example."),
            ("example. MX", "answer 300 MX 10 example."),
            ("example. A", "nodata"),
            ("example. ANY", "exists"),
            ("example. DS", "nodata"),
            ("www.example. A", "answer 300 A 192.0.2.1 | A 192.0.2.2"),
            ("wWw.eXample. AAAA", "answer 300 AAAA 2001:db8::1"),
            ("www.example. TXT", "nodata"),
            ("www.example. NS", "nodata"),
            ("x.www.example. A", "nxdomain"),
            ("ww.example. A", "nxdomain"),
            ("wwww.example. A", "nxdomain"),
            ("c.example. A", "nodata"),
            ("b.c.example. A", "nodata"),
            ("a.b.c.example. A", "answer 300 A 192.0.2.3"),
            ("d.b.c.example. A", "nxdomain"),
            ("alias.example. A", "cname 300 CNAME WWW.Elsewhere.Test. to WWW.Elsewhere.Test."),
            ("alias.example. CNAME", "answer 300 CNAME WWW.Elsewhere.Test."),
            ("alias.example. ANY", "exists"),
            ("x.alias.example. A", "nxdomain"),
            ("q.w.example. A", "cname 300 CNAME example. to example."),
            ("raw.example. TYPE65280", "answer 300 TYPE65280 \\# 3 01 02 03"),
            ("x.deep.example. A", "cname 300 CNAME y.deep.example. to y.deep.example."),
            ("other. A", "nxdomain"),
            (". NS", "nxdomain"),
        ],
    );
}

#[test]
fn delegations() {
    let text = zone(
        "sub NS ns.sub\nsub NS NS2.Sub\nsub NS ns.other\nsub NS ns.example.net.\nsub NS none.sub\nsub DS 1 8 2 00\n\
         ns.sub A 192.0.2.1\nns.sub AAAA 2001:db8::1\nns2.sub A 192.0.2.2\nsub A 192.0.2.9\nsub TXT hidden\n\
         deeper.sub NS ns.sub\nns.other A 192.0.2.3\nns.other TXT t\n\
         sibling NS ns.cousin\ncousin NS ns.cousin\nns.cousin A 192.0.2.4\n",
    );
    let sub = "referral sub.example. 300 NS ns.sub.example. | NS NS2.Sub.example. | NS ns.other.example. | NS ns.example.net. \
               | NS none.sub.example. + ns.sub.example. A 192.0.2.1, AAAA 2001:db8::1 + NS2.Sub.example. A 192.0.2.2 \
               + (ns.other.example. A 192.0.2.3)";
    check(
        "example.",
        &text,
        &[
            ("sub.example. A", sub),
            ("sub.example. NS", sub),
            ("sub.example. SOA", sub),
            ("sub.example. ANY", sub),
            ("sub.example. CNAME", sub),
            ("www.sub.example. A", sub),
            ("ns.sub.example. A", sub),
            ("a.b.c.sub.example. TXT", sub),
            ("x.deeper.sub.example. DS", sub),
            ("sub.example. DS", "answer 300 DS 1 8 2 00"),
            ("sibling.example. DS", "nodata"),
            (
                "sibling.example. A",
                "referral sibling.example. 300 NS ns.cousin.example. + (ns.cousin.example. A 192.0.2.4)",
            ),
            (
                "cousin.example. A",
                "referral cousin.example. 300 NS ns.cousin.example. + ns.cousin.example. A 192.0.2.4",
            ),
            ("ns.other.example. A", "answer 300 A 192.0.2.3"),
            ("other.example. A", "nodata"),
        ],
    );
}

#[test]
fn dname_as_rfc_6672_has_it() {
    let text = zone(
        "d DNAME target.test.\nd A 192.0.2.1\nself DNAME x.self\nroot DNAME .\ndeep DNAME @\nafter A 192.0.2.2\nd-e A 192.0.2.3\n",
    );
    let label = "x".repeat(63);
    let fits = format!("{label}.{label}.{label}.{}.d.example. A", "x".repeat(48));
    let long = format!("{label}.{label}.{label}.{}.d.example. A", "x".repeat(50));
    let fitting =
        format!("dname d.example. 300 DNAME target.test. to {label}.{label}.{label}.{}.target.test.", "x".repeat(48));
    check(
        "example.",
        &text,
        &[
            ("www.d.example. A", "dname d.example. 300 DNAME target.test. to www.target.test."),
            ("Www.B.D.Example. CNAME", "dname d.example. 300 DNAME target.test. to Www.B.target.test."),
            ("www.d.example. DNAME", "dname d.example. 300 DNAME target.test. to www.target.test."),
            ("www.d.example. DS", "dname d.example. 300 DNAME target.test. to www.target.test."),
            ("d.example. DNAME", "answer 300 DNAME target.test."),
            ("d.example. A", "answer 300 A 192.0.2.1"),
            ("d.example. TXT", "nodata"),
            ("a.self.example. A", "dname self.example. 300 DNAME x.self.example. to a.x.self.example."),
            ("a.b.root.example. A", "dname root.example. 300 DNAME . to a.b."),
            ("a.deep.example. A", "dname deep.example. 300 DNAME example. to a.example."),
            ("d-e.example. A", "answer 300 A 192.0.2.3"),
            ("after.example. A", "answer 300 A 192.0.2.2"),
            (&fits, &fitting),
            (&long, "dname d.example. 300 DNAME target.test. too long"),
        ],
    );
    let apex = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns.test.\n@ 300 DNAME test.\n";
    check(
        "example.",
        apex,
        &[
            ("a.example. A", "dname example. 300 DNAME test. to a.test."),
            ("example. NS", "answer 300 NS ns.test."),
            ("example. A", "nodata"),
        ],
    );
}

#[test]
fn the_reader_takes_what_rfc_1035_allows() {
    let text = "; a comment\r\n$TTL 60\r\n@ IN SOA @ @ (\r\n  7 ; serial\r\n  1 2 3\r\n  4294967295 )\r\n\tIN NS @\r\n\
                big 2147483648 A 192.0.2.1\r\nmixed 30 A 192.0.2.1\r\nmixed 20 A 192.0.2.2\r\nmixed 25 A 192.0.2.1\r\n\
                mx MX 1 Mail\r\nmx MX 1 mail\r\nodd\\.dot TXT \"a;b\" c\\034\r\nq\\@ A 192.0.2.7\r\nlast A 192.0.2.9";
    check(
        "example.",
        text,
        &[
            ("example. SOA", "answer 60 SOA example. example. 7 1 2 3 4294967295"),
            ("example. NS", "answer 60 NS example."),
            ("big.example. A", "answer 0 A 192.0.2.1"),
            ("mixed.example. A", "answer 20 A 192.0.2.1 | A 192.0.2.2"),
            ("mx.example. MX", "answer 60 MX 1 Mail.example."),
            ("odd\\.dot.example. TXT", "answer 60 TXT \"a;b\" \"c\\\"\""),
            ("q\\@.example. A", "answer 60 A 192.0.2.7"),
            ("last.example. A", "answer 60 A 192.0.2.9"),
        ],
    );
    let zone = Zone::parse(text.as_bytes(), &name("example."), Role::Own).unwrap();
    let soa = zone.soa();
    assert_eq!((soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum, soa.ttl), (7, 1, 2, 3, 0, 60));
    assert_eq!((soa.mname.to_string(), soa.rname.to_string()), ("example.".into(), "example.".into()));
    check(
        ".",
        "@ 5 SOA a. b. 1 2 3 4 5\n@ 5 NS a.\na A 192.0.2.1\n",
        &[("a. A", "answer 3600 A 192.0.2.1"), ("b. A", "nxdomain"), (". NS", "answer 5 NS a.")],
    );
}

#[test]
fn addresses_for_the_additional_section() {
    let text = zone(
        "ns A 192.0.2.1\nns AAAA 2001:db8::1\nsix AAAA 2001:db8::6\nsub NS ns.sub\nns.sub A 192.0.2.2\n* A 192.0.2.3\nc CNAME ns\n",
    );
    let zone = Zone::parse(text.as_bytes(), &name("example."), Role::Own).unwrap();
    for (target, expected) in [
        ("NS.example.", "A 192.0.2.1, AAAA 2001:db8::1"),
        ("six.example.", "AAAA 2001:db8::6"),
        ("ns.sub.example.", ""),
        ("sub.example.", ""),
        ("wild.example.", ""),
        ("c.example.", ""),
        ("example.", ""),
        ("ns.test.", ""),
    ] {
        let (a, aaaa) = zone.addresses(&name(target).key());
        assert_eq!(addresses(a, aaaa), expected, "{target}");
    }
}

#[test]
fn what_cannot_be_served_names_its_place_and_reason() {
    // after the five lines of `zone`
    for (lines, expected) in [
        ("a A 1.2.3\n", "6:10: invalid IPv4 address"),
        ("a A\nb A 192.0.2.1\n", "6:4: a field is missing"),
        ("a A 192.0.2.1 x\n", "6:15: more fields than the type has, or a parenthesis that is not closed"),
        ("a TXT \"open\n", "7:1: the file ends within a record"),
        ("a 1h A 192.0.2.1\n", "6:5: expected a record type; a TTL is a plain number of seconds"),
        ("a NS b..c\n", "6:1: not the data of a NS record"),
        ("a..b A 192.0.2.1\n", "6:1: not an owner name: it has an empty label"),
        ("\n\na A \\# 3 010203\n", "8:1: not the data of a A record"),
        ("a CNAME \\# 2 c00c\n", "6:1: not the data of a CNAME record"),
        ("a CH TXT x\n", "6:9: different class: CH != IN"),
        ("\n$INCLUDE /etc/hostname\n", "7:1: $INCLUDE is refused: a zone is one file"),
        ("$GENERATE 1-9 a A 192.0.2.1\n", "6:11: unknown control: $GENERATE"),
        (
            "a RRSIG A 8 2 300 20300101000000 20200101000000 1 example. AAAA\n",
            "6:1: TYPE46 belongs to a signed zone, and signed zones are not served",
        ),
        ("a TYPE255 \\# 0\n", "6:1: ANY is not a type of data"),
        ("www.test. A 192.0.2.1\n", "6:1: www.test. is outside the zone"),
        ("@ SOA a b 2 2 3 4 5\n", "6:1: more than one SOA at example."),
        ("a SOA a b 2 2 3 4 5\n", "6:1: an SOA at a.example., which is not the origin"),
        ("@ CNAME a\n", "6:1: a CNAME beside other records at example."),
        ("a CNAME b\nb A 192.0.2.1\na A 192.0.2.1\n", "8:1: a CNAME beside other records at a.example."),
        ("a CNAME b\nA CNAME c\n", "7:1: more than one CNAME at a.example."),
        ("a DNAME b\na DNAME c\n", "7:1: more than one DNAME at a.example."),
        ("a DNAME b\na CNAME c\n", "7:1: a CNAME beside other records at a.example."),
        ("a DNAME b\nx.y.a A 192.0.2.1\n", "7:1: x.y.a.example. is below the DNAME at a.example."),
        ("a DNAME b\na NS c\n", "6:1: a DNAME beside NS at a.example., which is not the origin"),
        ("*.a NS b\n", "6:1: a NS at the wildcard *.a.example."),
        ("* DNAME b\n", "6:1: a DNAME at the wildcard *.example."),
        ("@ DNAME b.test.\n", "5:1: ns.example. is below the DNAME at example."),
    ] {
        assert_eq!(fault(&zone(lines), Role::Own), expected, "{lines}");
    }
    for (text, expected) in [
        ("", "no SOA at the origin"),
        ("a A 192.0.2.1\n", "no SOA at the origin"),
        ("@ SOA a b 1 2 3 4 5\n", "no NS at the origin"),
        (" A 192.0.2.1\n", "1:2: a line that begins with a space needs an owner before it"),
        (")\n", "1:1: a parenthesis that was not opened"),
    ] {
        assert_eq!(fault(text, Role::Own), expected, "{text}");
    }
}

#[test]
fn the_pod_zones_file_only_adds_names() {
    for (lines, expected) in [
        (
            "* A 192.0.2.1\n",
            "6:1: *.example. is a wildcard, or below one: the Pod zone has none, since Pods' names come and go under it",
        ),
        (
            "x.*.a A 192.0.2.1\n",
            "6:1: x.*.a.example. is a wildcard, or below one: the Pod zone has none, since Pods' names come and go under it",
        ),
        ("a DNAME b\n", "6:1: a DNAME at a.example.: the Pod zone has none, since Pods' names come and go under it"),
        ("@ DNAME test.\n", "6:1: a DNAME at example.: the Pod zone has none, since Pods' names come and go under it"),
        (
            "a NS b\n",
            "6:1: an NS at a.example.: the Pod zone has none below its origin, since Pods' names come and go under it",
        ),
        ("@ CNAME b\n", "6:1: a CNAME beside other records at example."),
    ] {
        assert_eq!(fault(&zone(lines), Role::Overlay), expected, "{lines}");
    }
    assert_eq!(fault("a A 192.0.2.1\n", Role::Overlay), "no SOA at the origin");

    let text = "@ 5 SOA a b 1 2 3 4 5\n_x._tcp.greeter.default TXT more\n";
    let zone = Zone::parse(text.as_bytes(), &name("example."), Role::Overlay).unwrap();
    assert!(zone.ns().is_none());
    for (owner, owned) in
        [("example.", true), ("_X._tcp.greeter.default.example.", true), ("greeter.default.example.", false)]
    {
        assert_eq!(zone.owns(&name(owner).key()), owned, "{owner}");
    }
    let owners: Vec<String> = zone.owners().map(|(_, owner)| owner.to_string()).collect();
    assert_eq!(owners, ["example.", "_x._tcp.greeter.default.example."]);
}

#[test]
fn a_folder_of_zones() {
    let folder = Folder::new("folder");
    folder.write("example.org.zone", &zone("www A 192.0.2.1\nsub NS ns\nsub DS 1 8 2 00\n"));
    folder.write("Sub.Example.Org.zone", &zone("www A 192.0.2.2\n"));
    folder.write("other.example.org.zone", &zone(""));
    folder.write("rpc.zone", "@ 5 SOA a b 1 2 3 4 5\n");
    folder.write("a.rpc.zone", &zone(""));
    folder.write("notes.txt", "no zone\n");
    let (zones, errors) = Zones::load(&folder.0, name("RPC."));
    assert!(errors.is_empty(), "{errors:?}");
    for (question, expected) in [
        ("example.org. A", "example.org."),
        ("x.www.EXAMPLE.org. A", "example.org."),
        ("www.sub.example.org. A", "Sub.Example.Org."),
        ("sub.example.org. NS", "Sub.Example.Org."),
        ("sub.example.org. DS", "example.org."),
        ("www.sub.example.org. DS", "Sub.Example.Org."),
        ("other.example.org. DS", "other.example.org."), // the parent does not delegate it
        ("b.a.rpc. A", "a.rpc."),
        ("rpc. A", "none"),
        ("b.rpc. A", "none"),
        ("org. DS", "none"),
        (". NS", "none"),
    ] {
        let (name, qtype) = parse_question(question);
        let found = zones.find(&name.key(), qtype).map_or("none".into(), |zone| zone.origin().to_string());
        assert_eq!(found, expected, "{question}");
    }
    assert_eq!(zones.overlay().unwrap().soa().mname.to_string(), "a.rpc.");
    assert_eq!(zones.hidden_below(&name("rpc.").key()).map(Name::to_string).collect::<Vec<_>>(), ["a.rpc."]);
    assert_eq!(zones.iter().count(), 4);
}

#[test]
fn a_bad_file_leaves_the_old_zone_and_harms_no_other() {
    let folder = Folder::new("reload");
    folder.write("good.zone", &zone("www A 192.0.2.1\n"));
    folder.write("edited.zone", &zone("www A 192.0.2.1\n"));
    folder.write("gone.zone", &zone(""));
    folder.write("rpc.zone", "@ 5 SOA a b 1 2 3 4 5\nx A 192.0.2.1\n");
    let (first, errors) = Zones::load(&folder.0, name("rpc."));
    assert!(errors.is_empty(), "{errors:?}");

    folder.write("edited.zone", &zone("www CNAME x\nwww A 192.0.2.2\n"));
    folder.write("rpc.zone", "* A 192.0.2.1\n");
    folder.write("new.zone", "nonsense\n");
    fs::remove_file(folder.0.join("gone.zone")).unwrap();
    let (second, errors) = first.reload(&folder.0);
    let errors: Vec<String> =
        errors.iter().map(|error| error.to_string().replace(&format!("{}/", folder.0.display()), "")).collect();
    assert_eq!(
        errors,
        [
            "new.zone:1:9: a field is missing",
            "rpc.zone:1:1: *.rpc. is a wildcard, or below one: the Pod zone has none, since Pods' names come and go under it",
            "edited.zone:7:1: a CNAME beside other records at www.edited.",
        ]
    );
    let zone_of = |zones: &Zones, origin: &str| zones.find(&name(origin).key(), Rtype::SOA).cloned();
    for origin in ["good.", "edited."] {
        assert!(Arc::ptr_eq(&zone_of(&first, origin).unwrap(), &zone_of(&second, origin).unwrap()), "{origin}");
    }
    assert!(Arc::ptr_eq(first.overlay().unwrap(), second.overlay().unwrap()));
    assert!(zone_of(&second, "gone.").is_none() && zone_of(&second, "new.").is_none());

    folder.write("edited.zone", &zone("www A 192.0.2.2\n"));
    let (third, _) = second.reload(&folder.0);
    let edited = zone_of(&third, "edited.").unwrap();
    assert_eq!(shown(&edited, "www.edited. A"), "answer 300 A 192.0.2.2");

    let (fourth, errors) = third.reload(&folder.0.join("missing"));
    assert_eq!((errors.len(), fourth.iter().count(), fourth.overlay().is_some()), (1, 2, true), "an unreadable folder");
}

#[test]
fn file_names_that_are_no_zones() {
    let folder = Folder::new("names");
    for file in [".zone", "a..b.zone", "example.org.zone", "EXAMPLE.org.zone", &format!("{}.zone", "x".repeat(64))] {
        folder.write(file, &zone(""));
    }
    fs::create_dir(folder.0.join("folder.zone")).unwrap();
    let (zones, errors) = Zones::load(&folder.0, name("rpc."));
    let errors: Vec<String> = errors.iter().map(|error| error.problem.to_string()).collect();
    assert_eq!(zones.iter().map(|zone| zone.origin().to_string()).collect::<Vec<_>>(), ["EXAMPLE.org."]);
    assert_eq!(
        errors,
        [
            "not named after a zone: it has an empty label",
            "not named after a zone: it has an empty label",
            "another file is for example.org. too",
            "not named after a zone: it has a label of more than 63 bytes",
            "not a regular file",
        ]
    );
}

/// A zone's text: five lines of SOA and NS, and these.
fn zone(lines: &str) -> String {
    format!("$TTL 300\n@ SOA ns hostmaster (\n 1 7200 900 604800 60 )\n@ NS ns\nns TXT server\n{lines}")
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn fault(text: &str, role: Role) -> String {
    Zone::parse(text.as_bytes(), &name("example."), role).err().map_or("no fault".into(), |fault| fault.to_string())
}

/// Asks a zone every question of a table, and says all that differ.
fn check(origin: &str, text: &str, table: &[(&str, &str)]) {
    let zone = Zone::parse(text.as_bytes(), &name(origin), Role::Own).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    let wrong: Vec<String> = table
        .iter()
        .filter(|(question, expected)| shown(&zone, question) != *expected)
        .map(|(question, expected)| format!("{question}\n   is {}\n  not {expected}", shown(&zone, question)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn parse_question(question: &str) -> (Name, Rtype) {
    let (owner, qtype) = question.split_once(' ').unwrap();
    let qtype: domain::base::Rtype = qtype.parse().unwrap();
    (name(owner), Rtype(qtype.to_int()))
}

/// What a zone says to `name TYPE`.
fn shown(zone: &Zone, question: &str) -> String {
    let (owner, qtype) = parse_question(question);
    let key: Key = owner.key();
    match zone.lookup(&key, qtype) {
        Lookup::Answer { rrset } => format!("answer {} {}", rrset.ttl, records(rrset)),
        Lookup::Cname { rrset, target } => format!("cname {} {} to {target}", rrset.ttl, records(rrset)),
        Lookup::Dname(dname) => {
            let target = dname.target_of(&owner).map_or("too long".into(), |target| format!("to {target}"));
            format!("dname {} {} {} {target}", dname.owner, dname.rrset.ttl, records(dname.rrset))
        }
        Lookup::Referral(referral) => {
            let mut text = format!("referral {} {} {}", referral.cut, referral.ns.ttl, records(referral.ns));
            for glue in referral.glue() {
                let server = format!("{} {}", glue.owner, addresses(glue.a, glue.aaaa));
                text += &if glue.in_domain { format!(" + {server}") } else { format!(" + ({server})") };
            }
            text
        }
        Lookup::Exists => "exists".into(),
        Lookup::NoData => "nodata".into(),
        Lookup::NxDomain => "nxdomain".into(),
    }
}

fn addresses(a: Option<&RrSet>, aaaa: Option<&RrSet>) -> String {
    a.into_iter().chain(aaaa).map(records).collect::<Vec<_>>().join(", ")
}

/// Records in zone-file text, by the `domain` crate.
fn records(set: &RrSet) -> String {
    let rtype = domain::base::Rtype::from_int(set.rtype.0);
    let of = |rdata: &[u8]| {
        let mut parser = Parser::from_ref(rdata);
        let data: AllRecordData<_, ParsedName<_>> = AllRecordData::parse_rdata(rtype, &mut parser).unwrap().unwrap();
        data.display_zonefile(DisplayKind::Simple).to_string()
    };
    set.records.iter().map(|rdata| format!("{rtype} {}", of(rdata))).collect::<Vec<_>>().join(" | ")
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("callsign-zones-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
