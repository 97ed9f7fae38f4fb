//! Problems of other servers' users, line by line, as far as an answer can show them.
//!
//! Elsewhere: truncation, subsets and limits (consul#1931, #375, #788, #3850, #3948, haproxy#341, #1421, #789,
//! coredns#5362, #4449, #5366) in `sizes`; nothing partial while Pods sync (coredns#6518, CoreDNS' start-up wait) in
//! `first_sync`; serials in `lifecycle`; the stub's cache (coredns#7091, #2434) and relists in `tests/cluster`.

use domain::base::iana::Rtype;

use crate::harness::ask::Reply;

use super::site::{Z, ask, data, dns, negative_soa};

/// SRV, with enough room for all of its additional section.
fn srv(name: &str) -> Reply {
    ask(name, Rtype::SRV).edns(1232).udp(dns())
}

#[test]
fn no_txt_in_the_additional_section() {
    // consul#4081, aspire#4494: it shrinks the set and breaks clients.
    for name in ["_rpc._tcp.org.acme.greeter.default.Z", "org.acme.greeter.default.Z", "headless.testns.Z"] {
        let reply = srv(name);
        let types: Vec<_> = reply.additional.iter().filter_map(|record| record.split(' ').nth(3)).collect();
        assert!(!types.is_empty() && types.iter().all(|rtype| ["A", "AAAA"].contains(rtype)), "{types:?}");
    }
}

#[test]
fn no_weight_is_zero() {
    // coredns#3930: for HAProxy weight 0 means down. Weight 0 is not published, and a weight that is too large is capped.
    let weights = data(&srv("_rpc._tcp.org.acme.weights.odd.Z").answer);
    assert_eq!(weights, ["0 1 3 10-244-0-93.p.Z", "0 65535 2 10-244-0-93.p.Z"]);
}

#[test]
fn ports_differ_among_the_pods_of_a_service() {
    // kubernetes/dns#184, nacos-coredns-plugin#1
    let records = data(&srv("org.acme.greeter.default.Z").answer);
    let ports: Vec<_> = records.iter().filter_map(|record| record.split(' ').nth(2)).collect();
    assert_eq!(ports, ["20880", "50051"]);
}

#[test]
fn each_endpoint_has_its_metadata() {
    // consul#8733, #2709, coredns#5062
    let texts = data(&ask("_rpc._tcp.org.acme.greeter.default.Z", Rtype::TXT).udp(dns()).answer);
    let expected = [
        r#""pod=greeter-0" "addr=10.244.0.81:50051" "interface=org.acme.Greeter" "group=gray" "version=1.0.0" "methods=hello,bye" "weight=7" "zone=a""#,
        r#""pod=greeter-1" "addr=10.244.0.82:20880" "interface=org.acme.Greeter" "group=blue" "version=1.0.0""#,
    ];
    assert_eq!(texts, expected);
}

#[test]
fn pods_that_end_are_no_endpoints_but_can_be_resolved() {
    // kubernetes/dns#332, external-dns#878: an endpoint goes at deletionTimestamp, and another Pod may have the address of a
    // finished one.
    let addresses = data(&ask("org.acme.greeter.default.Z", Rtype::A).udp(dns()).answer);
    assert_eq!(addresses, ["10.244.0.81", "10.244.0.82"], "greeter-2 is not ready, 3 terminating, 4 finished");
    for (name, expected) in [
        ("10-244-0-83.p.Z", "10.244.0.83"),
        ("10-244-0-84.p.Z", "10.244.0.84"),
        ("greeter-3.default.pod.Z", "10.244.0.84"),
    ] {
        assert_eq!(data(&ask(name, Rtype::A).udp(dns()).answer), [expected], "{name}");
    }
    let pointers = data(&ask("81.0.244.10.in-addr.arpa.", Rtype::PTR).udp(dns()).answer);
    assert_eq!(pointers, ["greeter-0.default.pod.Z"], "not the finished one");
}

#[test]
fn a_service_that_starts_is_nodata_and_not_nxdomain() {
    // kubernetes#92559, #74092: an NXDOMAIN that is cached for 30 s breaks peers at their start.
    for (name, rtype) in [
        ("org.acme.starting.default.Z", Rtype::A),
        ("org.acme.starting.default.Z", Rtype::SRV),
        ("_tri._tcp.org.acme.starting.default.Z", Rtype::SRV),
        ("_rpc._tcp.org.acme.starting.default.Z", Rtype::TXT),
        ("_tcp.org.acme.starting.default.Z", Rtype::SRV),
    ] {
        let reply = ask(name, rtype).udp(dns());
        assert_eq!((reply.rcode.as_str(), negative_soa(&reply)), ("NOERROR", (Z, 5)), "{name} {rtype}");
    }
}

#[test]
fn no_ttl_is_long() {
    // grpc#12295, grpc-go#1663: clients find new Pods only once old answers expire.
    let reply = srv("_rpc._tcp.org.acme.greeter.default.Z");
    let all = reply.answer.iter().chain(&reply.additional);
    assert!(all.clone().count() == 5 && all.clone().all(|record| record.split(' ').nth(1) == Some("5")), "{reply:?}");
}

#[test]
fn an_existing_name_is_never_nxdomain_for_any_type() {
    // CoreDNS' `kubernetes`, by its source: NXDOMAIN at `_tcp.<service>`, addresses at an SRV owner, NXDOMAIN for an
    // unknown type.
    for (name, rtype) in [
        ("_tcp.org.acme.greeter.default.Z", Rtype::A),
        ("_rpc._tcp.org.acme.greeter.default.Z", Rtype::A),
        ("_tri._tcp.org.acme.greeter.default.Z", Rtype::AAAA),
        ("org.acme.greeter.default.Z", Rtype::from_int(1000)),
        ("_rpc._tcp.org.acme.greeter.default.Z", Rtype::from_int(1000)),
        ("10-244-0-81.p.Z", Rtype::from_int(65280)),
        ("greeter-0.default.pod.Z", Rtype::HINFO),
        ("81.0.244.10.in-addr.arpa.", Rtype::A),
    ] {
        let reply = ask(name, rtype).udp(dns());
        negative_soa(&reply);
        assert_eq!(reply.rcode, "NOERROR", "{name} {rtype}");
    }
}
