//! UDP sockets, and the destination address of a datagram.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike, setsockopt, sockopt,
};
use socket2::{Socket, Type};

use crate::server::listen::{Listen, canonical};

/// The receive buffer of each socket in bytes: 4 MiB, which the kernel may cut to its own bound.
const RECEIVE_BUFFER_LEN: usize = 4 << 20;

/// Binds a socket that shares its address with our other sockets. On a wildcard address it reports each datagram's
/// destination address.
///
/// Other processes of the same user can share the address too. They cannot share a TCP listener's, so bind TCP first.
///
/// # Errors
/// The address is taken, is not the host's, or needs a privilege that the process lacks.
pub fn bind(listen: Listen) -> io::Result<Socket> {
    let (socket, address) = (listen.socket(Type::DGRAM)?, listen.address());
    socket.set_recv_buffer_size(RECEIVE_BUFFER_LEN)?;
    if address.ip().is_unspecified() {
        match address.ip() {
            IpAddr::V4(_) => setsockopt(&socket.as_fd(), sockopt::Ipv4PacketInfo, &true)?,
            // It reports IPv4 destinations too, as ::ffff:a.b.c.d.
            IpAddr::V6(_) => setsockopt(&socket.as_fd(), sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A client's address in the system's form.
pub(super) trait PeerAddress: SockaddrLike + Copy {
    /// The address in the standard library's form, canonical.
    fn get(&self) -> SocketAddr;
}

impl PeerAddress for SockaddrIn {
    fn get(&self) -> SocketAddr {
        SocketAddrV4::from(*self).into()
    }
}

impl PeerAddress for SockaddrIn6 {
    fn get(&self) -> SocketAddr {
        canonical(SocketAddrV6::from(*self).into())
    }
}

/// A datagram's destination address, if the socket reports it. The reply comes from it: a client drops a reply from any
/// other address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DestinationAddress {
    Unknown,
    V4(Ipv4Addr),
    /// The address and its interface, which a link-local address needs.
    V6(Ipv6Addr, u32),
}

impl DestinationAddress {
    /// A buffer for a datagram's control messages.
    pub(super) fn space() -> Vec<u8> {
        nix::cmsg_space!(libc::in6_pktinfo)
    }

    /// The destination address of a datagram.
    pub(super) fn of<S>(message: &RecvMsg<'_, '_, S>) -> DestinationAddress {
        message.cmsgs().into_iter().flatten().fold(DestinationAddress::Unknown, |local, control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                DestinationAddress::V4(u32::from_be(info.ipi_addr.s_addr).into())
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                address
                    .to_ipv4_mapped()
                    .map_or(DestinationAddress::V6(address, info.ipi6_ifindex), DestinationAddress::V4)
            }
            _ => local,
        })
    }

    /// Calls `send` with the control message that makes this the reply's source address.
    pub(super) fn with_control<T>(self, send: impl FnOnce(&[ControlMessage<'_>]) -> T) -> T {
        match self {
            DestinationAddress::Unknown => send(&[]),
            DestinationAddress::V4(address) => {
                let ours = libc::in_addr { s_addr: u32::from(address).to_be() };
                let unset = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: ours, ipi_addr: unset };
                send(&[ControlMessage::Ipv4PacketInfo(&info)])
            }
            DestinationAddress::V6(address, interface) => {
                let ours = libc::in6_addr { s6_addr: address.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: ours, ipi6_ifindex: interface };
                send(&[ControlMessage::Ipv6PacketInfo(&info)])
            }
        }
    }
}
