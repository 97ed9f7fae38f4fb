//! The behaviour that CoreDNS' `forward` and `cache` need from a server. `tests/cluster` has CoreDNS itself, and `stream` tests
//! that an idle connection outlives its 10 s.

use domain::base::iana::Rtype;

use crate::harness::ask::{Reply, flag};
use crate::harness::exchange::exchange_udp;

use super::site::{SITE, Z, ask, data, dns, extended_error, negative_soa, provoke};

#[test]
fn the_health_probe_is_refused_and_never_silent() {
    for server in [dns(), SITE.six] {
        let probe = ask(".", Rtype::NS).flags(flag::RD);
        for reply in [probe.udp(server), probe.tcp(server)] {
            assert_eq!(reply.rcode, "REFUSED");
            assert!(!reply.has(flag::AA) && reply.answer.is_empty());
        }
        let reply = ask(".", Rtype::NS).flags(flag::RD).edns(1232).udp(server);
        assert_eq!((reply.rcode.as_str(), extended_error(&reply)), ("REFUSED", Some(20)));
    }
}

#[test]
fn one_query_one_reply_with_its_id() {
    for id in [1_u16, 0x1234, 0xfffe] {
        let mut query = ask("org.acme.greeter.default.Z", Rtype::A).to_wire();
        query[..2].copy_from_slice(&id.to_be_bytes());
        // `provoke` fails on a second reply.
        Reply::read(&query, provoke(dns(), &query).expect("a reply"));
    }
}

#[test]
fn every_negative_answer_can_be_cached() {
    // Without an SOA a cache keeps no negative answer. Its TTL and MINIMUM are 5 s, so clients find a starting service soon.
    for (name, rtype) in [
        ("nope.default.Z", Rtype::A),
        ("org.acme.starting.default.Z", Rtype::SRV),
        ("Z", Rtype::A),
        ("default.Z", Rtype::SRV),
    ] {
        let reply = ask(name, rtype).udp(dns());
        assert_eq!(negative_soa(&reply), (Z, 5), "{name} {rtype}");
        let soa = data(&reply.authority);
        assert!(soa[0].starts_with("ns.Z hostmaster.Z ") && soa[0].ends_with(" 5"), "{soa:?}");
    }
}

#[test]
fn no_ttl_of_any_section_is_above_five() {
    // CoreDNS' cache uses the smallest TTL of all sections.
    for (name, rtype) in [
        ("Z", Rtype::NS),
        ("Z", Rtype::SOA),
        ("_rpc._tcp.org.acme.greeter.default.Z", Rtype::SRV),
        ("dns-version.Z", Rtype::TXT),
    ] {
        let reply = ask(name, rtype).udp(dns());
        for record in reply.answer.iter().chain(&reply.authority).chain(&reply.additional) {
            assert_eq!(record.split(' ').nth(1), Some("5"), "{record}");
        }
    }
}

#[test]
fn a_burst_from_one_client_is_answered_whole() {
    // All Pods of a node arrive from one address, CoreDNS'.
    let answers = (0..500).filter(|_| {
        let query = ask("_rpc._tcp.org.acme.greeter.default.Z", Rtype::SRV).to_wire();
        exchange_udp(dns(), &query).is_ok()
    });
    assert_eq!(answers.count(), 500);
}
