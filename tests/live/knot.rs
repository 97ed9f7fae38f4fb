//! Knot DNS's tests of itself. `sizes` has its sizes, and `rfc8906` has each flag alone too.

use domain::base::iana::Rtype;

use crate::harness::ask::flag;
use crate::harness::dig::kdig;
use crate::harness::process::scratch;
use crate::harness::server::Server;

use super::site::{NSID, Z, ask, data, dns, extended_error, manifests, negative_soa, options, provoke, text};

#[test]
fn basic_flags() {
    // Each flag alone, on every kind of answer: the reply echoes RD and no other.
    let kinds = [("Z", Rtype::SOA), ("Z", Rtype::MX), ("nope.default.Z", Rtype::A), ("example.org.", Rtype::A)];
    let each = [flag::RD, flag::CD, flag::TC, flag::AD, flag::RA, flag::Z, flag::AA];
    for (name, rtype) in kinds {
        let plain = ask(name, rtype).udp(dns());
        for sent in each {
            let reply = ask(name, rtype).flags(sent).udp(dns());
            let kept = sent & flag::RD;
            assert_eq!(reply.flags, plain.flags | kept, "{sent:#06x} to {name} {rtype}");
        }
    }
}

#[test]
fn edns_version() {
    let reply = kdig(dns(), &["+edns=0", Z, "SOA"]);
    assert_eq!(reply.status, "NOERROR", "{}", reply.text);
    assert!(reply.edns.iter().any(|line| line.contains("Version: 0")), "{}", reply.text);
    let reply = kdig(dns(), &["+edns=1", Z, "SOA"]);
    assert_eq!(reply.status, "BADVERS", "{}", reply.text);
    assert!(reply.edns.iter().any(|line| line.contains("Version: 0")), "{}", reply.text);
    assert!(reply.answer.is_empty() && reply.authority.is_empty(), "{}", reply.text);
}

#[test]
fn edns_ede() {
    // `first_sync` tests EDE 14, for a zone that is not loaded yet.
    for (name, rcode, code) in [
        ("example.org.", "REFUSED", Some(20)),
        (".", "REFUSED", Some(20)),
        ("Z", "NOERROR", None),
        ("nope.Z", "NXDOMAIN", None),
    ] {
        let reply = ask(name, Rtype::A).edns(1232).udp(dns());
        assert_eq!((reply.rcode.as_str(), extended_error(&reply)), (rcode, code), "{name}");
        let plain = ask(name, Rtype::A).udp(dns());
        assert_eq!((plain.rcode.as_str(), plain.edns), (rcode, None), "{name}: EDE without OPT");
    }
    let reply = kdig(dns(), &["+edns", "example.org.", "A"]);
    assert!(reply.edns.iter().any(|line| line.contains("EDE: 20 (Not Authoritative)")), "{}", reply.text);
}

#[test]
fn edns_nsid() {
    let asked = ask("Z", Rtype::SOA).opt(options(&[(3, &[])])).udp(dns());
    assert_eq!(asked.edns.expect("OPT").options, [(3, NSID.as_bytes().to_vec())]);
    let not_asked = ask("Z", Rtype::SOA).edns(1232).udp(dns());
    assert_eq!(not_asked.edns.expect("OPT").options, []);
    let reply = kdig(dns(), &["+nsid", Z, "SOA"]);
    assert!(reply.edns.iter().any(|line| line.contains(NSID)), "{}", reply.text);
}

#[test]
fn security_dnsheader() {
    for len in 1..=16 {
        let reply = provoke(dns(), &vec![0; len]);
        let expected = (len >= 12).then(|| [0, flag::QR | 1, 0, 0, 0, 0].map(u16::to_be_bytes).concat());
        assert_eq!(reply, expected, "{len} zero bytes: no header is silence, no question FORMERR");
    }
}

#[test]
fn basic_query() {
    for (name, rtype, rcode, is_ours, soa) in [
        ("example.org.", Rtype::A, "REFUSED", false, None),
        ("cluster.local.", Rtype::SOA, "REFUSED", false, None),
        ("xrpc.cluster.local.", Rtype::SOA, "REFUSED", false, None),
        ("1.0.0.127.in-addr.arpa.", Rtype::PTR, "REFUSED", false, None),
        ("nope.default.Z", Rtype::A, "NXDOMAIN", true, Some((Z, 5))),
        ("org.acme.greeter.default.Z", Rtype::MX, "NOERROR", true, Some((Z, 5))),
        // The file's TTL is 300 and its MINIMUM 60.
        ("nope.static.test.", Rtype::A, "NXDOMAIN", true, Some(("static.test.", 60))),
        ("www.static.test.", Rtype::AAAA, "NOERROR", true, Some(("static.test.", 60))),
    ] {
        let reply = ask(name, rtype).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.has(flag::AA)), (rcode, is_ours), "{name} {rtype}");
        match soa {
            Some(expected) => assert_eq!(negative_soa(&reply), expected, "{name} {rtype}"),
            None => assert!(reply.answer.is_empty() && reply.authority.is_empty(), "{reply:?}"),
        }
    }
}

#[test]
fn basic_zerobyte() {
    // A label is bytes: those after a NUL count, and a dot in a label does not separate.
    for (name, expected) in [
        ("a.static.test.", Some("192.0.2.1")),
        (r"a\000b.static.test.", Some("192.0.2.2")),
        (r"A\000B.static.test.", Some("192.0.2.2")),
        (r"a\000.static.test.", None),
        (r"a\000c.static.test.", None),
        (r"\000a.static.test.", None),
        (r"org.acme.greeter\000.default.Z", None),
        (r"org\.acme.greeter.default.Z", None),
        (r"org.acme.greeter.default\.rpc.cluster.local.", None),
        ("a.mixed.static.test.", Some("192.0.2.3")),
        ("A.MIXED.Static.Test.", Some("192.0.2.3")),
    ] {
        let reply = ask(name, Rtype::A).udp(dns());
        assert_eq!(data(&reply.answer), expected.into_iter().collect::<Vec<_>>(), "{name}");
        if expected.is_none() {
            let is_refused = name.contains(r"default\.rpc");
            assert_eq!(reply.rcode, if is_refused { "REFUSED" } else { "NXDOMAIN" }, "{name}");
        }
    }
}

#[test]
fn odd_zones_are_served_or_refused_and_harm_no_other() {
    // records/huge_rrset, records/empty_rdata, zone/case_sensitivity.
    let folder = scratch("zones");
    let head = "$TTL 60\n@ IN SOA ns a 1 2 3 4 5\n@ IN NS ns\nns IN A 192.0.2.1\n";
    let huge: String = (0..400).map(|n| format!("huge IN TXT \"{n:0>250}\"\n")).collect();
    for (file, text) in [
        ("huge.test.zone", format!("{head}{huge}")),
        ("empty.test.zone", format!("{head}empty IN TXT \"\"\n")),
        ("Case.TEST.zone", format!("{head}WWW IN A 192.0.2.2\nwww IN A 192.0.2.3\n")),
        ("nosoa.test.zone", "www 60 IN A 192.0.2.1\n".to_owned()),
        ("broken.test.zone", format!("{head}www IN A 192.0.2.\n")),
        ("blank.test.zone", String::new()),
        ("good.test.zone", head.to_owned()),
    ] {
        std::fs::write(folder.join(file), text).expect("write");
    }
    let server = Server::start(&["--manifests", manifests(), "--zones", text(&folder)]);
    for (name, rtype, expected) in [
        ("ns.good.test.", Rtype::A, Some(vec!["192.0.2.1"])),
        ("empty.empty.test.", Rtype::TXT, Some(vec!["\"\""])),
        ("www.case.test.", Rtype::A, Some(vec!["192.0.2.2", "192.0.2.3"])),
        ("www.nosoa.test.", Rtype::A, None),
        ("ns.broken.test.", Rtype::A, None),
        ("blank.test.", Rtype::SOA, None),
    ] {
        let reply = ask(name, rtype).udp(server.dns);
        match expected {
            Some(expected) => assert_eq!(data(&reply.answer), expected, "{name}"),
            None => assert_eq!(reply.rcode, "REFUSED", "{name}: not loaded, so none of ours"),
        }
    }
    let reply = ask("huge.huge.test.", Rtype::TXT).tcp(server.dns);
    assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("SERVFAIL", 0), "no message holds 100 kB");
    let reply = ask("huge.huge.test.", Rtype::TXT).udp(server.dns);
    assert!(reply.has(flag::TC) && reply.answer.len() == 1, "{reply:?}");
    let log = server.log();
    for file in ["nosoa.test.zone", "broken.test.zone", "blank.test.zone"] {
        assert!(log.contains(file), "nothing about {file} in\n{log}");
    }
    assert!(log.lines().any(|line| line.contains("broken.test.zone") && line.contains('5')), "its line: {log}");
}
