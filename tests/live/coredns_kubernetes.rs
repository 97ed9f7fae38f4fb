//! The Kubernetes DNS specification and the tests of CoreDNS' `kubernetes`. Where they ask for a headless Service, these ask
//! for a SERVICE name.

use domain::base::iana::Rtype;

use crate::harness::ask::flag;
use crate::harness::dig::dig;

use super::site::{SITE, Z, ask, data, dns, negative_soa, whole};

/// The expected answer.
#[derive(Debug)]
enum Expected {
    /// These records, by their data.
    Data(&'static [&'static str]),
    /// None of the type, with this zone's SOA.
    NoData(&'static str),
    /// No such name, with this zone's SOA.
    NxDomain(&'static str),
}
use Expected::{Data, NoData, NxDomain};

fn check(rows: &[(&str, Rtype, Expected)]) {
    for (name, rtype, expected) in rows {
        let reply = ask(name, *rtype).udp(dns());
        let rcode = if matches!(expected, NxDomain(_)) { "NXDOMAIN" } else { "NOERROR" };
        assert_eq!((reply.rcode.as_str(), reply.has(flag::AA)), (rcode, true), "{name} {rtype}: {reply:?}");
        match expected {
            Data(records) => assert_eq!(data(&reply.answer), *records, "{name} {rtype}"),
            NoData(zone) | NxDomain(zone) => {
                assert_eq!(negative_soa(&reply), (*zone, 5), "{name} {rtype}");
            }
        }
    }
}

const REVERSE: &str = "244.10.in-addr.arpa.";
const HEADLESS: &str = "_http._tcp.headless.testns.Z";

#[test]
fn coredns_names_that_exist() {
    check(&[
        // Specification 2.2: the version is our schema's, because we do not claim the Kubernetes schema.
        ("dns-version.Z", Rtype::TXT, Data(&["\"1.0.0\""])),
        // 2.4.1
        ("headless.testns.Z", Rtype::A, Data(&["172.0.0.2", "172.0.0.3", "172.0.0.4", "172.0.0.5"])),
        ("headless.testns.Z", Rtype::AAAA, Data(&["5678:abcd::1", "5678:abcd::2"])),
        // 2.4.2: here each endpoint has a port.
        (
            "_rpc._tcp.org.acme.greeter.default.Z",
            Rtype::SRV,
            Data(&["0 100 20880 10-244-0-82.p.Z", "0 7 50051 10-244-0-81.p.Z"]),
        ),
        // An endpoint's target.
        ("172-0-0-2.p.Z", Rtype::A, Data(&["172.0.0.2"])),
        ("5678-abcd-0-0-0-0-0-1.p.Z", Rtype::AAAA, Data(&["5678:abcd::1"])),
        ("10-244-0-82.p.Z", Rtype::A, Data(&["10.244.0.82"])),
        ("10-244-0-82.p.Z", Rtype::AAAA, Data(&["fd00:10:244::82"])),
        // 2.4.3
        ("81.0.244.10.in-addr.arpa.", Rtype::PTR, Data(&["greeter-0.default.pod.Z"])),
        (
            "2.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa.",
            Rtype::PTR,
            Data(&["greeter-1.default.pod.Z"]),
        ),
        // An address seen in two Pods.
        ("95.0.244.10.in-addr.arpa.", Rtype::PTR, Data(&["twin-0.odd.pod.Z", "twin-1.odd.pod.Z"])),
        ("org.acme.twin.odd.Z", Rtype::SRV, Data(&["0 100 1 10-244-0-95.p.Z", "0 100 2 10-244-0-95.p.Z"])),
        // A Pod's name of more than 63 characters is no label: the target's label replaces it.
        ("90.0.244.10.in-addr.arpa.", Rtype::PTR, Data(&["10-244-0-90.odd.pod.Z"])),
        ("10-244-0-90.odd.pod.Z", Rtype::A, Data(&["10.244.0.90"])),
        ("_rpc._tcp.org.acme.long.odd.Z", Rtype::PTR, Data(&["10-244-0-90-1._rpc._tcp.org.acme.long.odd.Z"])),
        ("10-244-0-90-1._rpc._tcp.org.acme.long.odd.Z", Rtype::SRV, Data(&["0 100 1 10-244-0-90.p.Z"])),
        // The apex.
        ("Z", Rtype::NS, Data(&["ns.Z"])),
        (REVERSE, Rtype::NS, Data(&["ns.Z"])),
    ]);
}

#[test]
fn coredns_names_that_do_not_exist() {
    check(&[
        // No ready endpoint: NXDOMAIN there, NODATA here.
        ("org.acme.starting.default.Z", Rtype::A, NoData(Z)),
        ("_tri._tcp.org.acme.starting.default.Z", Rtype::SRV, NoData(Z)),
        ("starting-0.default.pod.Z", Rtype::A, Data(&["10.244.0.85"])),
        // Finished: gone with all its names.
        ("org.acme.ended.default.Z", Rtype::A, NxDomain(Z)),
        ("ended-0.default.pod.Z", Rtype::A, NxDomain(Z)),
        ("86.0.244.10.in-addr.arpa.", Rtype::PTR, NxDomain(REVERSE)),
        // Unknown target, service, namespace, protocol, port name.
        ("172-0-0-9.p.Z", Rtype::A, NxDomain(Z)),
        ("nope.testns.Z", Rtype::A, NxDomain(Z)),
        ("headless.nope.Z", Rtype::A, NxDomain(Z)),
        ("_tri._tcp.headless.testns.Z", Rtype::SRV, NxDomain(Z)),
        ("_http._udp.headless.testns.Z", Rtype::SRV, NxDomain(Z)),
        ("1-2-3-4.nope.pod.Z", Rtype::A, NxDomain(Z)),
        // Other types at names that exist.
        ("172-0-0-2.p.Z", Rtype::AAAA, NoData(Z)),
        ("headless.testns.Z", Rtype::TXT, NoData(Z)),
        ("headless.testns.Z", Rtype::MX, NoData(Z)),
        ("headless.testns.Z", Rtype::PTR, NoData(Z)),
        (HEADLESS, Rtype::A, NoData(Z)),
        // Empty non-terminals.
        ("testns.Z", Rtype::A, NoData(Z)),
        ("p.Z", Rtype::A, NoData(Z)),
        ("pod.Z", Rtype::A, NoData(Z)),
        ("default.pod.Z", Rtype::A, NoData(Z)),
        ("_tcp.headless.testns.Z", Rtype::SRV, NoData(Z)),
        ("acme.greeter.default.Z", Rtype::A, NoData(Z)),
        ("greeter.default.Z", Rtype::A, NoData(Z)),
        ("com.greeter.default.Z", Rtype::A, NxDomain(Z)),
        ("0.244.10.in-addr.arpa.", Rtype::PTR, NoData(REVERSE)),
        // NS and SOA below the apex.
        ("headless.testns.Z", Rtype::NS, NoData(Z)),
        ("headless.testns.Z", Rtype::SOA, NoData(Z)),
        ("nope.testns.Z", Rtype::NS, NxDomain(Z)),
        ("nope.testns.Z", Rtype::SOA, NxDomain(Z)),
        // Types that the apex does not have.
        ("Z", Rtype::A, NoData(Z)),
        ("Z", Rtype::AAAA, NoData(Z)),
        ("Z", Rtype::SRV, NoData(Z)),
        ("Z", Rtype::HINFO, NoData(Z)),
        // An address in our reverse zones that no Pod has, and one outside of them.
        ("250.0.244.10.in-addr.arpa.", Rtype::PTR, NxDomain(REVERSE)),
        (REVERSE, Rtype::PTR, NoData(REVERSE)),
    ]);
    let reply = ask("1.0.0.10.in-addr.arpa.", Rtype::PTR).udp(dns());
    assert_eq!(reply.rcode, "REFUSED");
}

#[test]
fn srv_goes_with_the_addresses_of_its_targets() {
    for reply in [ask(HEADLESS, Rtype::SRV).tcp(dns()), ask(HEADLESS, Rtype::SRV).edns(1232).udp(dns())] {
        let expected = [
            "0 100 80 172-0-0-2.p.Z",
            "0 100 80 172-0-0-3.p.Z",
            "0 100 80 172-0-0-4.p.Z",
            "0 100 80 172-0-0-5.p.Z",
            "0 100 80 5678-abcd-0-0-0-0-0-1.p.Z",
            "0 100 80 5678-abcd-0-0-0-0-0-2.p.Z",
        ];
        assert_eq!(data(&reply.answer), expected);
        let addresses = ["172.0.0.2", "172.0.0.3", "172.0.0.4", "172.0.0.5", "5678:abcd::1", "5678:abcd::2"];
        assert_eq!(data(&reply.additional), addresses);
        let targets: Vec<_> = reply.answer.iter().filter_map(|line| line.rsplit(' ').next()).collect();
        let owners: Vec<_> = reply.additional.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(targets, owners, "in the answer's order");
    }
    // A dual-stack endpoint: one SRV record, with A and AAAA, A first.
    let reply = ask("_dubbo._tcp.org.acme.greeter.default.Z", Rtype::SRV).udp(dns());
    assert_eq!(data(&reply.answer), ["0 100 20880 10-244-0-82.p.Z"]);
    let types: Vec<_> = reply.additional.iter().filter_map(|line| line.split(' ').nth(3)).collect();
    assert_eq!(types, ["A", "AAAA"]);
}

#[test]
fn letter_case_is_echoed_and_does_not_matter() {
    for (name, rtype, rcode) in [
        ("HEADLESS.TestNS.rpc.CLUSTER.local.", Rtype::A, "NOERROR"),
        ("NOPE.TestNS.rpc.CLUSTER.local.", Rtype::A, "NXDOMAIN"),
    ] {
        let reply = ask(name, rtype).udp(dns());
        let spelled = reply.wire.windows(6).any(|bytes| bytes == b"TestNS");
        assert_eq!((reply.rcode.as_str(), spelled), (rcode, true));
        assert!(reply.answer.iter().all(|record| record.starts_with(name)), "{reply:?}");
    }
}

#[test]
fn opt_is_the_last_record() {
    let wire = ask(HEADLESS, Rtype::SRV).edns(1232).udp(dns()).wire;
    assert_eq!(wire[wire.len() - 11..], [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn owners_are_compressed_and_targets_are_not() {
    let reply = ask("_http._tcp.headless.testns.Z", Rtype::SRV).tcp(dns());
    let pointers = reply.wire.windows(4).filter(|bytes| *bytes == [0xc0, 12, 0, 33]).count();
    assert_eq!(pointers, 6, "each SRV record's owner points to the question");
    let zone = b"\x01p\x03rpc\x07cluster\x05local\x00";
    assert_eq!(
        reply.wire.windows(zone.len()).filter(|bytes| bytes == zone).count(),
        6,
        "each target is spelt out (RFC 2782)"
    );
}

#[test]
fn e2e_whole_names_over_udp_and_tcp() {
    // Kubernetes' own test asks for headless A, SRV, PTR and a host's A, with and without TCP, over both families.
    for (name, rtype, count) in [
        ("headless.testns.Z", "A", 4),
        (HEADLESS, "SRV", 6),
        ("81.0.244.10.in-addr.arpa.", "PTR", 1),
        ("172-0-0-3.p.Z", "A", 1),
    ] {
        for transport in ["+notcp", "+tcp"] {
            for server in [dns(), SITE.six] {
                let reply = dig(server, &[transport, "+noall", "+answer", "+comments", &whole(name), rtype]);
                assert_eq!((reply.status.as_str(), reply.answer.len()), ("NOERROR", count), "{}", reply.text);
            }
        }
    }
}
