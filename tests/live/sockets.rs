//! Zonemaster's NAMESERVER04 on wildcard addresses: a reply must come from the queried address, or clients drop it (pdns#221,
//! AdGuardHome#1257). The tests query over connected sockets, which accept replies only from that address.
//!
//! `[::]` means both families, for every transport.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use domain::base::iana::Rtype;
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp};
use seccompiler::{SeccompCondition, SeccompFilter, SeccompRule};

use super::family::other_loopback;
use crate::harness::dig::{dig, kdig};
use crate::harness::process::{free_address, free_port, http_get, scratch};
use crate::harness::server::Server;
use crate::harness::tls::{Authority, Mounted, SERVER_NAME};

use super::clients::{Client, NAME};
use super::site::{PATIENCE, SITE, Z, ask, data, manifests, text};

/// Loopback addresses of both families.
fn loopback() -> [String; 4] {
    let other = other_loopback().to_string();
    ["127.0.0.1", "127.0.0.2", "127.9.8.7", &other].map(str::to_owned)
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// The unspecified IPv6 address at a free port.
fn anywhere() -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, free_port()).into()
}

/// Whether a server answers at an address over UDP and TCP.
#[track_caller]
fn answers(address: SocketAddr) {
    for reply in [ask("Z", Rtype::NS).udp(address), ask("Z", Rtype::NS).tcp(address)] {
        assert_eq!(data(&reply.answer), ["ns.Z"], "{address}");
    }
}

#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    let port = free_port();
    let (four, six) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    // Both at one port: the IPv6 listener must not take over IPv4.
    let server =
        Server::start(&["--manifests", manifests(), "--ns", "ns=192.0.2.53", "--listen", &four, "--listen", &six]);
    for address in &loopback() {
        let address = at(address, port);
        answers(address);
        for transport in ["+notcp", "+tcp"] {
            // dig reports a reply from another address, and gives up.
            let reply = dig(address, &[transport, "NS", Z]);
            assert_eq!(reply.data(), [format!("ns.{Z}")], "{}", reply.text);
        }
    }
    drop(server);
}

#[test]
fn ipv6_is_served_like_ipv4() {
    for (name, rtype) in [("Z", Rtype::SOA), ("headless.testns.Z", Rtype::AAAA), ("nope.Z", Rtype::A)] {
        let (four, six) = (ask(name, rtype).udp(SITE.server.dns), ask(name, rtype).udp(SITE.six));
        assert_eq!((four.rcode, data(&four.answer)), (six.rcode, data(&six.answer)), "{name} {rtype}");
    }
}

#[test]
fn every_listener_on_the_unspecified_address_serves_both_families() {
    let authority = Authority::new();
    let (certificate, key, _) = authority.issue();
    let mounted = Mounted::new(&certificate, &key);
    let [dns, http, tls, https, quic] = [(); 5].map(|()| anywhere());
    let (certificate, key) = (mounted.file("tls.crt"), mounted.file("tls.key"));
    let [over_tls, over_https, over_quic] = [tls, https, quic].map(|at| at.to_string());
    let args = ["--listen-tls", &over_tls, "--listen-https", &over_https, "--listen-quic", &over_quic];
    let files = ["--tls-cert", &certificate, "--tls-key", &key, "--manifests", manifests(), "--ns", "ns=192.0.2.53"];
    let program = [env!("CARGO_BIN_EXE_callsign")];
    let mut server = Server::launch_at(dns, http, &program, &[&args[..], &files].concat());
    server.http = at("127.0.0.1", http.port());
    server.wait_for("/readyz");
    let (ca, name) = (format!("+tls-ca={}", text(&authority.file)), format!("+tls-hostname={SERVER_NAME}"));
    for address in &loopback() {
        answers(at(address, dns.port()));
        let page = http_get(at(address, http.port()), "/readyz").expect("a page");
        assert_eq!(page.0, 200, "{address}");
        for (transport, port) in [("+tls", tls.port()), ("+https", https.port()), ("+quic", quic.port())] {
            let reply = kdig(at(address, port), &[&ca, &name, transport, "NS", Z]);
            assert_eq!(reply.data(), [format!("ns.{Z}")], "{address} {transport}: {}", reply.text);
        }
    }
    drop(server);
}

#[test]
fn a_listener_on_an_ipv4_address_precedes_the_unspecified_one() {
    let port = free_port();
    let (four, six) = (format!("127.0.0.1:{port}"), format!("[::]:{port}"));
    let server =
        Server::start(&["--manifests", manifests(), "--ns", "ns=192.0.2.53", "--listen", &six, "--listen", &four]);
    answers(at("127.0.0.1", port));
    if other_loopback().is_ipv6() {
        answers(at("::1", port));
    }
    assert!(http_get(at("127.0.0.2", port), "/").is_err(), "no listener there");
    drop(server);
}

#[test]
fn a_client_over_ipv4_is_the_same_client_at_either_wildcard() {
    let args = ["--manifests", manifests(), "--log-queries", "--allow", "127.0.0.2"];
    let set = ask(NAME, Rtype::SRV);
    let wildcards: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let answers = wildcards.map(|wildcard| {
        let port = free_port();
        let program = [env!("CARGO_BIN_EXE_callsign")];
        let mut server = Server::launch_at((wildcard, port).into(), free_address(), &program, &args);
        server.wait_for("/readyz");
        server.dns = at("127.0.0.1", port);
        let other = Client::at("127.0.0.3", &server).ask(&set);
        assert_eq!([other.rcode, set.tcp(server.dns).rcode], ["REFUSED"; 2], "{wildcard}");
        let allowed = Client::at("127.0.0.2", &server).ask(&set);
        assert_eq!(allowed.rcode, "NOERROR", "{wildcard}");
        let log = server.log();
        let clients = ["client=127.0.0.1:", "client=127.0.0.2:", "client=127.0.0.3:"];
        assert!(clients.iter().all(|client| log.contains(client)) && !log.contains("::ffff:"), "{log}");
        allowed.answer
    });
    assert!(answers[0].len() > 1 && answers[0] == answers[1], "each client has its turn: {answers:?}");
}

/// A command line that runs a program without IPv6 sockets, as on a host that was booted without IPv6.
fn without_ipv6(program: &str) -> [String; 4] {
    let family = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::AF_INET6 as u64);
    let rule = SeccompRule::new(vec![family.expect("a condition")]).expect("a rule");
    let rules = BTreeMap::from([(libc::SYS_socket, vec![rule])]);
    let refused = SeccompAction::Errno(libc::EAFNOSUPPORT as u32);
    let arch = std::env::consts::ARCH.try_into().expect("an architecture that is known");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch).expect("a filter");
    let filter: BpfProgram = filter.try_into().expect("a program");
    let file = scratch("filter").join("no-ipv6.bpf");
    let bytes = filter.iter().flat_map(|step| {
        let [code, k] = [step.code.to_ne_bytes().to_vec(), step.k.to_ne_bytes().to_vec()];
        [code, vec![step.jt, step.jf], k].concat()
    });
    fs::write(&file, bytes.collect::<Vec<_>>()).expect("write a filter");
    let script = format!("exec bwrap --die-with-parent --dev-bind / / --seccomp 9 -- \"$@\" 9<{}", text(&file));
    ["sh".into(), "-c".into(), script, program.into()]
}

#[test]
fn a_host_without_ipv6_serves_ipv4_on_the_unspecified_address() {
    let (dns, http) = (anywhere(), anywhere());
    let [sh, c, script, program] = &without_ipv6(env!("CARGO_BIN_EXE_callsign"));
    let command = [sh.as_str(), c, script, program, program];
    let mut server = Server::launch_at(dns, http, &command, &["--manifests", manifests(), "--ns", "ns=192.0.2.53"]);
    server.http = at("127.0.0.1", http.port());
    server.wait_for("/readyz");
    answers(at("127.0.0.1", dns.port()));
    answers(at("127.0.0.2", dns.port()));
    let log = server.log();
    assert!(log.contains("this host has no IPv6; listening on 0.0.0.0 in place of [::]"), "{log}");
}

#[test]
fn a_host_without_ipv6_refuses_its_other_addresses() {
    let [sh, c, script, program] = &without_ipv6(env!("CARGO_BIN_EXE_callsign"));
    let command = [sh.as_str(), c, script, program, program];
    let six = at("::1", free_port());
    for (dns, http, what) in [(six, free_address(), "TCP"), (free_address(), six, "--http")] {
        let mut server = Server::launch_at(dns, http, &command, &["--manifests", manifests()]);
        assert!(server.ended(PATIENCE).is_some_and(|status| !status.success()), "{what}");
        let log = server.log();
        let expected = format!(
            "cannot listen on {six} ({what}): this host has no IPv6; leave the address out, or write an IPv4 address"
        );
        assert!(log.contains(&expected), "{log}");
    }
}
