//! Before the first sync: there is no API server, and clients get an answer that says so at once.

use std::fs;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;

use crate::harness::ask::{Reply, flag};
use crate::harness::dig::dig;
use crate::harness::process::{free_port, scratch};
use crate::harness::server::Server;

use super::site::{ask, data, extended_error, manifests, text, zones};

/// EDE's Not Ready (RFC 8914 §4.15).
const NOT_READY: u16 = 14;

/// How long a reply may take: the timeout of CoreDNS' probe. No question waits for the sync.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A server whose API server's port is closed.
fn unsynced(more: &[&str]) -> Server {
    let file = scratch("kubeconfig").join("config");
    let port = free_port();
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: none\n\
         clusters: [{{name: none, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
         users: [{{name: none, user: {{}}}}]\n\
         contexts: [{{name: none, context: {{cluster: none, user: none}}}}]\n"
    );
    fs::write(&file, config).expect("write a kubeconfig");
    let mut args = vec!["--kubeconfig", text(&file), "--all-namespaces", "--zones", zones()];
    args.extend(["--reverse", "10.244.0.0/16", "--ns", "ns=192.0.2.53"]);
    args.extend(more);
    let mut server = Server::launch(&[env!("CARGO_BIN_EXE_callsign")], &args);
    server.wait_for("/livez");
    server
}

#[track_caller]
fn at_once(question: impl FnOnce() -> Reply) -> Reply {
    let start = Instant::now();
    let reply = question();
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    reply
}

#[test]
fn before_the_first_sync_our_names_are_servfail_and_others_refused() {
    // The same with manifests that were read: one source that has not synced is enough, or the set would be partial.
    for server in [unsynced(&[]), unsynced(&["--manifests", manifests()])] {
        for (name, rtype) in [
            ("Z", Rtype::SOA),
            ("Z", Rtype::NS),
            ("_rpc._tcp.org.acme.greeter.default.Z", Rtype::SRV),
            ("org.acme.greeter.default.Z", Rtype::A),
            ("10-244-0-81.p.Z", Rtype::A),
            ("nope.Z", Rtype::A),
            ("81.0.244.10.in-addr.arpa.", Rtype::PTR),
            ("_rpc._tcp.org.acme.greeter.default.Z", Rtype::ANY),
        ] {
            let reply = at_once(|| ask(name, rtype).edns(1232).udp(server.dns));
            assert_eq!((reply.rcode.as_str(), extended_error(&reply)), ("SERVFAIL", Some(NOT_READY)), "{name} {rtype}");
            assert!(!reply.has(flag::AA) && reply.answer.is_empty() && reply.authority.is_empty(), "{reply:?}");
            let reply = at_once(|| ask(name, rtype).tcp(server.dns));
            assert_eq!((reply.rcode.as_str(), reply.edns), ("SERVFAIL", None), "{name} {rtype}");
        }
        for (name, rtype) in [(".", Rtype::NS), ("example.org.", Rtype::A)] {
            let reply = at_once(|| ask(name, rtype).flags(flag::RD).udp(server.dns));
            assert_eq!(reply.rcode, "REFUSED", "{name}");
        }
        let reply = dig(server.dns, &["+nocookie", "SRV", "_rpc._tcp.org.acme.greeter.default.rpc.cluster.local."]);
        assert!(reply.edns.iter().any(|line| line.contains("EDE: 14 (Not Ready)")), "{}", reply.text);
        assert_eq!((server.get("/readyz").0, server.get("/livez").0), (503, 200));
        assert_eq!(server.get("/v1/interfaces").0, 503, "no partial list");
    }
}

#[test]
fn static_zones_are_served_meanwhile() {
    let server = unsynced(&[]);
    for (name, rtype, expected) in [
        ("www.static.test.", Rtype::A, vec!["192.0.2.80"]),
        ("alias.static.test.", Rtype::A, vec!["192.0.2.80", "www.static.test."]),
        // Into the Pods' zone, which is not known yet: only the alias.
        ("service.static.test.", Rtype::SRV, vec!["_rpc._tcp.org.acme.greeter.default.Z"]),
    ] {
        let reply = at_once(|| ask(name, rtype).udp(server.dns));
        assert_eq!(
            (reply.rcode.as_str(), data(&reply.answer)),
            ("NOERROR", expected.iter().map(|one| (*one).to_owned()).collect())
        );
    }
    let reply = at_once(|| ask("nope.static.test.", Rtype::A).udp(server.dns));
    assert_eq!((reply.rcode.as_str(), reply.authority.len()), ("NXDOMAIN", 1));
}

#[test]
fn the_health_probe_is_answered_before_and_after_the_first_sync() {
    // CoreDNS' forward asks this twice a second while it considers us down.
    let server = unsynced(&[]);
    for _ in 0..10 {
        let reply = at_once(|| ask(".", Rtype::NS).flags(flag::RD).udp(server.dns));
        assert_eq!(reply.rcode, "REFUSED");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
