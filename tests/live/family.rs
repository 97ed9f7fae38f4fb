//! The other family of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// The IPv6 loopback address. On a machine without IPv6 it is another IPv4 address, so that only the family is untested.
pub(crate) fn other_loopback() -> IpAddr {
    match UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => Ipv6Addr::LOCALHOST.into(),
        Err(_) => Ipv4Addr::new(127, 0, 0, 6).into(),
    }
}
