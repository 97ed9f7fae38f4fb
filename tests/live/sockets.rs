//! Zonemaster's NAMESERVER04 on wildcard addresses: a reply comes from the address that was asked, or it is lost
//! (pdns#221, AdGuardHome#1257). The questions go out by connected sockets, which take a reply from nowhere else.

use std::net::SocketAddr;

use domain::base::iana::Rtype;

use crate::harness::dig::dig;
use crate::harness::process::free_port;
use crate::harness::server::Server;

use super::site::{SITE, Z, ask, data, manifests};

#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    let port = free_port();
    let (four, six) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    // Both at one port: the one for IPv6 must not take IPv4's place.
    let server =
        Server::start(&["--manifests", manifests(), "--ns", "ns=192.0.2.53", "--listen", &four, "--listen", &six]);
    for address in ["127.0.0.1", "127.0.0.2", "127.9.8.7", "::1"] {
        let address = SocketAddr::new(address.parse().expect("an address"), port);
        for reply in [ask("Z", Rtype::NS).udp(address), ask("Z", Rtype::NS).tcp(address)] {
            assert_eq!(data(&reply.answer), ["ns.Z"], "{address}");
        }
        for transport in ["+notcp", "+tcp"] {
            // dig says so if a reply comes from elsewhere, and gives up.
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
