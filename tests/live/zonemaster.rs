//! Zonemaster's tests of a name server, as far as they apply to one server, and dnsviz's faults that Zonemaster does not check
//! for: whole tables of questions must be free of them.

use domain::base::iana::{Class, Rtype};

use crate::harness::ask::{Edns, Reply, flag};
use crate::harness::dig::{dig, kdig};
use crate::harness::exchange::exchange_udp;
use crate::harness::process::output;

use super::site::{SITE, Z, ask, data, dns, negative_soa, options};
use super::sizes::LARGE;

#[test]
fn nameserver01_is_no_resolver() {
    for name in ["example.org.", "a.root-servers.net.", "xn--nameservertest.iis.se."] {
        let reply = ask(name, Rtype::A).flags(flag::RD).udp(dns());
        assert!(!reply.has(flag::RA));
        assert_eq!(reply.rcode, "REFUSED", "{name}");
    }
}

#[test]
fn nameserver02_edns() {
    let reply = ask("Z", Rtype::SOA).edns(512).udp(dns());
    assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("NOERROR", 1));
    assert_eq!(reply.edns, Some(Edns { size: 1232, ..Edns::default() }));
}

#[test]
fn nameserver03_no_transfer() {
    for zone in [Z, "static.test.", "244.10.in-addr.arpa."] {
        for rtype in [Rtype::AXFR, Rtype::IXFR] {
            for reply in [ask(zone, rtype).udp(dns()), ask(zone, rtype).tcp(dns())] {
                assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("REFUSED", 0), "{zone} {rtype}");
            }
        }
        // dig gives IXFR the client's SOA in the authority section (RFC 1995 §3).
        let (at, port) = (format!("@{}", dns().ip()), dns().port().to_string());
        for (transport, rtype, says) in [
            ("+tcp", "AXFR", "Transfer failed"),
            ("+tcp", "IXFR=1", "Transfer failed"),
            ("+notcp", "IXFR=1", "MSG SIZE"),
        ] {
            let text = output("dig", [&at, "-p", &port, "+tries=1", transport, rtype, zone]);
            assert!(text.contains(says) && !text.contains("SOA"), "{text}");
        }
    }
}

// nameserver04, the reply's source address: `sockets`.

#[test]
fn nameserver05_aaaa() {
    let a = ask("Z", Rtype::A).udp(dns());
    let aaaa = ask("Z", Rtype::AAAA).udp(dns());
    assert_eq!((negative_soa(&a), negative_soa(&aaaa)), ((Z, 5), (Z, 5)));
    let name = "greeter-1.default.pod.Z";
    assert_eq!(data(&ask(name, Rtype::A).udp(dns()).answer), ["10.244.0.82"]);
    assert_eq!(data(&ask(name, Rtype::AAAA).udp(dns()).answer), ["fd00:10:244::82"]);
}

#[test]
fn nameserver07_no_upward_referral() {
    for name in [".", "local.", "cluster.local.", "arpa.", "test."] {
        let reply = ask(name, Rtype::NS).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.answer.len(), reply.authority.len()), ("REFUSED", 0, 0), "{name}");
    }
}

#[test]
fn nameserver08_09_letter_case() {
    let plain = "_rpc._tcp.org.acme.greeter.default.rpc.cluster.local.";
    let mixed = "_rPc._TCP.oRg.aCmE.GREETER.defaulT.RPC.cLuster.LOCAL.";
    let (lower, upper) = (ask(plain, Rtype::SRV).udp(dns()), ask(mixed, Rtype::SRV).udp(dns()));
    // Reading a reply checks that it echoes the question byte for byte. Owners point to the question.
    assert_eq!(data(&lower.answer), data(&upper.answer));
    assert!(upper.answer.iter().all(|record| record.starts_with(mixed)), "{upper:?}");
    let missing = ask("NoPe.DEFAULT.Rpc.Cluster.Local.", Rtype::A).udp(dns());
    assert_eq!((missing.rcode.as_str(), negative_soa(&missing).1), ("NXDOMAIN", 5));
    let reply = kdig(dns(), &["+noidn", mixed, "SRV"]);
    assert!(reply.text.contains(mixed), "{}", reply.text);
    assert_eq!(data(&reply.answer), data(&lower.answer), "{}", reply.text);
}

#[test]
fn nameserver10_11_12_edns_of_the_future() {
    let future = |version, flags, given: &[(u16, &[u8])]| Edns { version, flags, ..options(given) };
    for version in [1, 2, 100, 255] {
        let reply = ask("Z", Rtype::SOA).opt(future(version, 0x7fff, &[(65001, b"x")])).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("BADVERS", 0), "{version}");
        assert_eq!(reply.edns, Some(Edns { size: 1232, ..Edns::default() }), "{version}");
    }
    for (flags, given) in [(0, &[(137, b"abc".as_slice())]), (0x7fff, &[(65001, b"".as_slice())])] {
        let reply = ask("Z", Rtype::SOA).opt(future(0, flags, given)).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.answer.len(), reply.has(flag::AA)), ("NOERROR", 1, true));
        assert_eq!(reply.edns, Some(Edns { size: 1232, ..Edns::default() }));
    }
}

#[test]
fn nameserver13_a_cut_answer_keeps_opt() {
    let wanted = Edns { size: 512, flags: 0x8000, ..Edns::default() };
    let dnskey = ask("Z", Rtype::DNSKEY).opt(wanted.clone()).udp(dns());
    assert_eq!((dnskey.rcode.as_str(), dnskey.has(flag::TC)), ("NOERROR", false));
    assert_eq!(dnskey.edns.map(|edns| edns.flags), Some(0x8000));
    let srv = ask("_tri._tcp.thirty.default.Z", Rtype::SRV).opt(wanted).udp(LARGE.0.dns);
    assert!(srv.has(flag::TC) && srv.wire.len() <= 512 && !srv.answer.is_empty(), "{srv:?}");
    assert_eq!(srv.edns.map(|edns| edns.flags), Some(0x8000));
}

#[test]
fn nameserver15_no_version() {
    for name in ["version.bind.", "version.server.", "hostname.bind.", "id.server.", "Z"] {
        for class in [Class::CH, Class::HS, Class::NONE, Class::ANY, Class::from_int(0)] {
            let reply = ask(name, Rtype::TXT).class(class).udp(dns());
            assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("REFUSED", 0), "{name} {class}");
        }
    }
    let reply = dig(dns(), &["CH", "TXT", "version.bind"]);
    assert_eq!(reply.status, "REFUSED", "{}", reply.text);
}

/// Names that exist, names that do not, and names outside our zones.
const NAMES: [&str; 9] = [
    "Z",
    "ns.Z",
    "_rpc._tcp.org.acme.greeter.default.Z",
    "_tcp.org.acme.greeter.default.Z",
    "10-244-0-81.p.Z",
    "nope.Z",
    "a.b.nope.default.Z",
    "81.0.244.10.in-addr.arpa.",
    "www.static.test.",
];

#[test]
fn dnsviz_no_difference_by_edns_flags_or_transport() {
    // ERROR_WITH_EDNS, _EDNS_FLAG, _EDNS_OPTION, _REQUEST_FLAG, EDNS_IGNORED, GRATUITOUS_OPT, GRATUITOUS_COOKIE,
    // NOT_AUTHORITATIVE, SERVER_UNRESPONSIVE_UDP and _TCP: the answer is always the same.
    for name in NAMES {
        for rtype in [Rtype::A, Rtype::SRV, Rtype::TXT, Rtype::SOA, Rtype::PTR] {
            let question = ask(name, rtype);
            let plain = question.udp(dns());
            assert!(plain.has(flag::AA) && plain.edns.is_none(), "{name} {rtype}");
            let cookie: &[(u16, &[u8])] = &[(10, b"12345678")];
            let others = [
                question.tcp(dns()),
                question.udp(SITE.six),
                question.clone().edns(1232).udp(dns()),
                question.clone().opt(Edns { flags: 0xffff, ..options(cookie) }).udp(dns()),
                question.clone().flags(flag::AD | flag::CD).udp(dns()),
            ];
            for other in others {
                assert_eq!(plain.rcode, other.rcode, "{name} {rtype}");
                assert_eq!(data(&plain.answer), data(&other.answer), "{name} {rtype}");
                assert_eq!(data(&plain.authority), data(&other.authority), "{name} {rtype}");
                assert!(other.edns.iter().all(|edns| edns.options.is_empty()), "{name} {rtype}");
            }
        }
    }
}

#[test]
fn dnsviz_negatives_are_consistent() {
    // INCONSISTENT_NXDOMAIN: a missing name has no type. _ANCESTOR: and no name below it (RFC 8020).
    for name in ["nope.Z", "nope.default.Z", "_nope._tcp.org.acme.greeter.default.Z", "10-9-9-9.p.Z"] {
        for name in [name.to_owned(), format!("x.{name}"), format!("_rpc._tcp.x.{name}")] {
            for rtype in [Rtype::A, Rtype::SRV, Rtype::TXT, Rtype::SOA, Rtype::NS, Rtype::ANY, Rtype::from_int(1000)] {
                let reply = ask(&name, rtype).udp(dns());
                // MISSING_SOA_FOR_NXDOMAIN, SOA_NOT_OWNER_FOR_NXDOMAIN.
                assert_eq!((reply.rcode.as_str(), negative_soa(&reply)), ("NXDOMAIN", (Z, 5)), "{name} {rtype}");
            }
        }
    }
}

#[test]
fn dnsviz_malformed_cookies_are_no_cookies() {
    // MALFORMED_COOKIE_WITHOUT_FORMERR is for servers with cookies. Without cookies the option counts as unknown.
    for len in [1, 7, 8, 9, 15, 16, 40, 41] {
        let reply = ask("Z", Rtype::SOA).opt(options(&[(10, &vec![1; len])])).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("NOERROR", 1), "a cookie of {len} bytes");
        assert_eq!(reply.edns.expect("OPT").options, []);
    }
}

#[test]
fn dnsviz_name_servers_have_addresses() {
    // NO_NS_ADDRESSES_FOR_IPV4 and 6, NS_NAME_NOT_IN_CHILD.
    let reply = ask("Z", Rtype::NS).udp(dns());
    assert_eq!(data(&reply.answer), ["ns.Z"]);
    assert_eq!(data(&reply.additional), ["192.0.2.53", "2001:db8::53"]);
    assert_eq!(data(&ask("ns.Z", Rtype::A).udp(dns()).answer), ["192.0.2.53"]);
    assert_eq!(data(&ask("ns.Z", Rtype::AAAA).udp(dns()).answer), ["2001:db8::53"]);
}

#[test]
fn an_id_is_echoed_whatever_it_is() {
    for id in [0_u16, 1, 0x8000, 0xffff] {
        let mut query = ask("Z", Rtype::SOA).to_wire();
        query[..2].copy_from_slice(&id.to_be_bytes());
        Reply::read(&query, exchange_udp(dns(), &query).expect("a reply"));
    }
}
