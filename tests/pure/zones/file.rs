//! The content that a zone file may have, and the error for one that cannot be served.

use super::{check, name, zone};
use callsign::zones::{Role, Zone};

#[test]
fn the_reader_accepts_what_rfc_1035_allows() {
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
        &[("a. A", "answer 5 A 192.0.2.1"), ("b. A", "nxdomain"), (". NS", "answer 5 NS a.")],
    );
}

#[test]
fn a_file_that_cannot_be_served_names_its_place_and_reason() {
    // after the five lines of `zone`
    let table = [
        ("a A 1.2.3\n", "6:5: expected an IPv4 address"),
        ("a A\nb A 192.0.2.1\n", "6:4: a field is missing"),
        ("a A 192.0.2.1 x\n", "6:15: more fields than the type has"),
        ("$INCLUDE\"\"\\", "6:11: a backslash at the end of a line"),
        ("a TXT (x\n", "6:7: a parenthesis that is not closed"),
        ("a TXT \"open\n", "6:7: a quote that is not closed in its line"),
        ("a 1h30 A 192.0.2.1\n", "6:3: expected a TTL: seconds, or numbers with the units w, d, h, m and s"),
        ("a 5 IN 6 A 192.0.2.1\n", "6:8: a second TTL"),
        ("a IN IN A 192.0.2.1\n", "6:6: a second class"),
        ("a TTL A 192.0.2.1\n", "6:3: expected a record type"),
        ("a NS b..c\n", "6:6: not a domain name: it has an empty label"),
        ("a..b A 192.0.2.1\n", "6:1: not a domain name: it has an empty label"),
        ("\n\na A \\# 3 010203\n", "8:5: not the data of a A record: a field is missing"),
        ("a CNAME \\# 2 c00c\n", "6:9: not the data of a CNAME record: a compressed name"),
        ("a CH TXT x\n", "6:3: a class other than IN"),
        ("\n$INCLUDE /etc/hostname\n", "7:10: $INCLUDE needs a folder of zone files"),
        ("$SOMETHING 1\n", "6:1: an unknown directive; write $ORIGIN, $TTL, $INCLUDE or $GENERATE"),
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
    ];
    check_faults(Role::Own, &table.map(|(lines, fault)| (zone(lines), fault)));
    let whole_files = [
        ("", "no SOA at the origin"),
        ("a A 192.0.2.1\n", "no SOA at the origin"),
        ("@ SOA a b 1 2 3 4 5\n", "no NS at the origin"),
        (" A 192.0.2.1\n", "1:2: a line that begins with a space needs an owner before it"),
        (")\n", "1:1: a parenthesis that was not opened"),
    ];
    check_faults(Role::Own, &whole_files.map(|(text, fault)| (text.to_owned(), fault)));
}

#[test]
fn the_pod_zones_file_only_adds_names() {
    let table = [
        (
            "* A 192.0.2.1\n",
            "6:1: *.example. is a wildcard, or below one: the Pod zone must not have wildcards, because the names of Pods come and go below them",
        ),
        (
            "x.*.a A 192.0.2.1\n",
            "6:1: x.*.a.example. is a wildcard, or below one: the Pod zone must not have wildcards, because the names of Pods come and go below them",
        ),
        (
            "a DNAME b\n",
            "6:1: a DNAME at a.example.: the Pod zone must not have DNAMEs, because the names of Pods come and go below them",
        ),
        (
            "@ DNAME test.\n",
            "6:1: a DNAME at example.: the Pod zone must not have DNAMEs, because the names of Pods come and go below them",
        ),
        (
            "a NS b\n",
            "6:1: an NS at a.example.: the Pod zone must not have NS below its origin, because the names of Pods come and go below them",
        ),
        ("@ CNAME b\n", "6:1: a CNAME beside other records at example."),
    ];
    check_faults(Role::Overlay, &table.map(|(lines, fault)| (zone(lines), fault)));
    check_faults(Role::Overlay, &[("a A 192.0.2.1\n".to_owned(), "no SOA at the origin")]);

    let text = "@ 5 SOA a b 1 2 3 4 5\n_x._tcp.greeter.default TXT more\n";
    let zone = Zone::parse(text.as_bytes(), &name("example."), Role::Overlay).unwrap();
    assert!(zone.ns().is_none());
    for (owner, owned) in
        [("example.", true), ("_X._tcp.greeter.default.example.", true), ("greeter.default.example.", false)]
    {
        assert_eq!(zone.owns(name(owner).key().as_bytes()), owned, "{owner}");
    }
    let owners: Vec<String> = zone.owners().map(|(_, owner)| owner.to_string()).collect();
    assert_eq!(owners, ["example.", "_x._tcp.greeter.default.example."]);
}

/// Reads every text of a table, and reports all faults that differ.
fn check_faults(role: Role, table: &[(String, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .map(|(text, expected)| (text, expected, fault(text, role)))
        .filter(|(_, expected, is)| is != *expected)
        .map(|(text, expected, is)| format!("{text}\n   is {is}\n  not {expected}"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn fault(text: &str, role: Role) -> String {
    Zone::parse(text.as_bytes(), &name("example."), role).err().map_or("no fault".into(), |fault| fault.to_string())
}
