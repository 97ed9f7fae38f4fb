//! Listen addresses. `[::]` means the same for every transport.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

/// An address to listen on, and the address families that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    address: SocketAddr,
    /// Whether the address is `[::]` and serves IPv4 too.
    is_dual: bool,
}

/// Listens on the address as the only one of its transport.
impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Listen {
        Listen::among(address, &[])
    }
}

impl Listen {
    /// Listens on an address. `all` holds every address of its transport, TCP or UDP.
    ///
    /// `[::]` serves both families, unless another listener has an IPv4 address at the same port: then that one serves IPv4.
    pub fn among(address: SocketAddr, all: &[SocketAddr]) -> Listen {
        let is_wildcard = address.is_ipv6() && address.ip().is_unspecified();
        let has_rival =
            address.port() != 0 && all.iter().any(|other| other.is_ipv4() && other.port() == address.port());
        Listen { address, is_dual: is_wildcard && !has_rival }
    }

    /// The same listener on a host without IPv6: `0.0.0.0` replaces a `[::]` that serves both families.
    #[must_use]
    pub fn without_ipv6(self) -> Listen {
        if !self.is_dual {
            return self;
        }
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.address.port()).into()
    }

    /// The address to bind.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether this listener serves packets to this address of the host.
    pub fn serves(&self, ip: IpAddr) -> bool {
        let own = self.address.ip();
        own == ip || (own.is_unspecified() && (own.is_ipv4() == ip.is_ipv4() || self.is_dual))
    }

    /// Makes a socket for the address, not yet bound.
    ///
    /// # Errors
    /// The host has no IPv6, or the process may open no more sockets.
    pub fn socket(&self, kind: Type) -> io::Result<Socket> {
        let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
        let socket = Socket::new(Domain::for_address(self.address), kind, Some(protocol)).map_err(explain)?;
        if self.address.is_ipv6() {
            socket.set_only_v6(!self.is_dual)?; // the system's default may be either
        }
        Ok(socket)
    }
}

/// Whether this host supports IPv6.
pub fn has_ipv6() -> bool {
    !Socket::new(Domain::IPV6, Type::DGRAM, None).is_err_and(|error| lacks_family(&error))
}

fn lacks_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn explain(error: io::Error) -> io::Error {
    if !lacks_family(&error) {
        return error;
    }
    io::Error::new(io::ErrorKind::Unsupported, "this host has no IPv6; leave the address out, or write an IPv4 address")
}

/// A client's address in canonical form: a `[::]` socket reports an IPv4 client as `::ffff:a.b.c.d`.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(six) => match six.ip().to_ipv4_mapped() {
            Some(four) => SocketAddr::new(four.into(), six.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_addresses_a_listener_serves() {
        const ALL: [&str; 5] = ["127.0.0.1", "10.0.0.1", "10.0.0.2", "::1", "fd00::1"];
        for (address, others, expected) in [
            ("[::]:53", &[][..], &ALL[..]),
            ("[::]:53", &["0.0.0.0:53"], &["::1", "fd00::1"]),
            ("[::]:53", &["10.0.0.1:53"], &["::1", "fd00::1"]),
            ("[::]:53", &["10.0.0.1:54", "[::1]:54"], &ALL),
            ("[::]:0", &["0.0.0.0:0"], &ALL),
            ("0.0.0.0:53", &["[::]:53"], &["127.0.0.1", "10.0.0.1", "10.0.0.2"]),
            ("10.0.0.1:53", &["[::]:53"], &["10.0.0.1"]),
            ("[fd00::1]:53", &[], &["fd00::1"]),
        ] {
            let all: Vec<SocketAddr> = others.iter().map(|at| at.parse().unwrap()).collect();
            let listen = Listen::among(address.parse().unwrap(), &all);
            let served = ALL.into_iter().filter(|ip| listen.serves(ip.parse().unwrap()));
            assert_eq!(served.collect::<Vec<_>>(), expected, "{address} beside {others:?}");
        }
    }

    #[test]
    fn a_host_without_ipv6_listens_on_the_wildcard_of_ipv4() {
        for (address, others, expected) in [
            ("[::]:53", &[][..], "0.0.0.0:53"),
            ("[::]:53", &["0.0.0.0:53"], "[::]:53"),
            ("[::1]:53", &[], "[::1]:53"),
            ("10.0.0.1:53", &[], "10.0.0.1:53"),
        ] {
            let all: Vec<SocketAddr> = others.iter().map(|at| at.parse().unwrap()).collect();
            let listen = Listen::among(address.parse().unwrap(), &all).without_ipv6();
            assert_eq!(listen.address().to_string(), expected, "{address} beside {others:?}");
        }
    }

    #[test]
    fn a_mapped_client_is_an_ipv4_client() {
        for (address, expected) in [
            ("[::ffff:10.0.0.1]:5", "10.0.0.1:5"),
            ("[::10.0.0.1]:5", "[::10.0.0.1]:5"),
            ("[fe80::1%7]:5", "[fe80::1%7]:5"),
            ("10.0.0.1:5", "10.0.0.1:5"),
        ] {
            assert_eq!(canonical(address.parse().unwrap()), expected.parse().unwrap(), "{address}");
        }
    }
}
