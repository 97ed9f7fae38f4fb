//! Sockets, and the address that a datagram came to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike, setsockopt, sockopt,
};
use socket2::{Socket, Type};

use crate::server::listen::{Listen, canonical};

/// What the kernel may hold for us while we are busy: 4 MiB a socket, which it may cut to its own bound.
const RECEIVE_BUFFER_LEN: usize = 4 << 20;

/// Binds a socket that others of ours may stand beside, and that tells on a wildcard address which address a datagram
/// came to.
///
/// Sockets of other processes may stand beside it too, if they are the same user's: bind TCP first, which they cannot share.
///
/// # Errors
/// What the system says: the address is taken, not ours, or needs a right that the process lacks.
pub fn bind(listen: Listen) -> io::Result<Socket> {
    let (socket, address) = (listen.socket(Type::DGRAM)?, listen.address());
    socket.set_recv_buffer_size(RECEIVE_BUFFER_LEN)?;
    if address.ip().is_unspecified() {
        match address.ip() {
            IpAddr::V4(_) => setsockopt(&socket.as_fd(), sockopt::Ipv4PacketInfo, &true)?,
            // It tells of IPv4 too, as ::ffff:a.b.c.d.
            IpAddr::V6(_) => setsockopt(&socket.as_fd(), sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A client's address as the system has it.
pub(super) trait Address: SockaddrLike + Copy {
    /// The same as the standard library has it, canonical.
    fn get(&self) -> SocketAddr;
}

impl Address for SockaddrIn {
    fn get(&self) -> SocketAddr {
        SocketAddrV4::from(*self).into()
    }
}

impl Address for SockaddrIn6 {
    fn get(&self) -> SocketAddr {
        canonical(SocketAddrV6::from(*self).into())
    }
}

/// The address that a datagram came to, where the socket tells: a client drops a reply that comes from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    Unknown,
    V4(Ipv4Addr),
    /// With the interface, which a link-local address needs.
    V6(Ipv6Addr, u32),
}

impl Local {
    /// How many bytes a datagram's control messages may take.
    pub(super) fn space() -> Vec<u8> {
        nix::cmsg_space!(libc::in6_pktinfo)
    }

    /// Where a datagram came to.
    pub(super) fn of<S>(message: &RecvMsg<'_, '_, S>) -> Local {
        message.cmsgs().into_iter().flatten().fold(Local::Unknown, |local, control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => Local::V4(u32::from_be(info.ipi_addr.s_addr).into()),
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                address.to_ipv4_mapped().map_or(Local::V6(address, info.ipi6_ifindex), Local::V4)
            }
            _ => local,
        })
    }

    /// Hands the control message that replies from there to a function that sends.
    pub(super) fn with_control<T>(self, send: impl FnOnce(&[ControlMessage<'_>]) -> T) -> T {
        match self {
            Local::Unknown => send(&[]),
            Local::V4(address) => {
                let ours = libc::in_addr { s_addr: u32::from(address).to_be() };
                let unset = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: ours, ipi_addr: unset };
                send(&[ControlMessage::Ipv4PacketInfo(&info)])
            }
            Local::V6(address, interface) => {
                let ours = libc::in6_addr { s6_addr: address.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: ours, ipi6_ifindex: interface };
                send(&[ControlMessage::Ipv6PacketInfo(&info)])
            }
        }
    }
}
