//! DNS over UDP: one task a socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use nix::libc;
use nix::sys::socket::{
    self, ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::Responder;
use crate::metrics::{Dropped, Transport};

/// The largest query that is read: a question, an OPT record with options, and a signature take a fraction of it.
const QUERY_LEN_MAX: usize = 4096;

/// How many datagrams one wake-up answers before other tasks have their turn.
const BATCH_MAX: usize = 64;

/// What the kernel may hold for us while we are busy: 4 MiB, which it may cut to its own bound.
const RECEIVE_BUFFER_LEN: usize = 4 << 20;

/// Binds a socket that tells, on a wildcard address, which address a datagram came to.
///
/// # Errors
/// What the system says: the address is taken, not ours, or needs a right that the process lacks.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // so that 0.0.0.0 and [::] can stand side by side
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER_LEN)?;
    if address.ip().is_unspecified() {
        match address.ip() {
            IpAddr::V4(_) => setsockopt(&socket.as_fd(), sockopt::Ipv4PacketInfo, &true)?,
            IpAddr::V6(_) => setsockopt(&socket.as_fd(), sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Answers datagrams until the task is dropped.
pub async fn serve(socket: UdpSocket, responder: Arc<Responder>) {
    let mut query = vec![0; QUERY_LEN_MAX];
    let mut reply = Vec::with_capacity(crate::wire::UDP_LEN_MAX);
    loop {
        if let Err(error) = socket.readable().await {
            tracing::error!(%error, "the UDP socket cannot be waited for");
            return;
        }
        for _ in 0..BATCH_MAX {
            let received = socket.try_io(Interest::READABLE, || receive(&socket, &mut query));
            let datagram = match received {
                Ok(datagram) => datagram,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    responder.metrics.dropped(Dropped::Receive); // an ICMP error of an earlier reply, say
                    continue;
                }
            };
            reply.clear();
            if responder.respond(&query[..datagram.len], datagram.client, Transport::Udp, &mut reply)
                && socket.try_io(Interest::WRITABLE, || send(&socket, &reply, &datagram)).is_err()
            {
                responder.metrics.dropped(Dropped::Send); // no room in the socket, or no way back: the client asks again
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Who sent a datagram, and where to.
struct Datagram {
    len: usize,
    client: SocketAddr,
    storage: SockaddrStorage,
    local: Local,
}

/// The address that a datagram came to, where the socket tells.
enum Local {
    Unknown,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let mut local = Local::Unknown;
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => local = Local::V4(info),
            ControlMessageOwned::Ipv6PacketInfo(info) => local = Local::V6(info),
            _ => {}
        }
    }
    let storage = message.address.ok_or(io::ErrorKind::InvalidData)?;
    let client = socket_address(&storage).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Datagram { len: message.bytes, client, storage, local })
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(address) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((address.ip(), address.port())));
    }
    storage.as_sockaddr_in6().map(|address| SocketAddr::from((address.ip(), address.port())))
}

/// Replies from the address that was asked: a client drops what comes from another one.
fn send(socket: &UdpSocket, reply: &[u8], datagram: &Datagram) -> io::Result<usize> {
    let parts = [IoSlice::new(reply)];
    let v4;
    let v6;
    let control = match &datagram.local {
        Local::Unknown => None,
        Local::V4(info) => {
            let unset = libc::in_addr { s_addr: Ipv4Addr::UNSPECIFIED.to_bits() };
            v4 = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: info.ipi_addr, ipi_addr: unset };
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Local::V6(info) => {
            v6 = *info;
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
    };
    let control = control.as_slice();
    Ok(sendmsg(socket.as_raw_fd(), &parts, control, socket::MsgFlags::MSG_DONTWAIT, Some(&datagram.storage))?)
}
