//! Sends queries over UDP and TCP.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::ask::{Ask, Reply, flag};

/// After this time without a reply there is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most that a client without EDNS accepts over UDP (RFC 1035 §4.2.1).
const UDP_LEN: usize = 512;

impl Ask {
    /// Asks over UDP and reads the reply strictly. The reply must not exceed the client's limit.
    #[track_caller]
    pub(crate) fn udp(&self, server: SocketAddr) -> Reply {
        let query = self.to_wire();
        let wire = exchange_udp(server, &query).unwrap_or_else(|error| panic!("{self:?} over UDP: {error}"));
        let reply = Reply::read(&query, wire);
        let (len, limit) =
            (reply.wire.len(), self.edns.as_ref().map_or(UDP_LEN, |edns| usize::from(edns.size).max(UDP_LEN)));
        assert!(len <= limit, "{len} bytes to a client that accepts {limit}: {self:?}");
        reply
    }

    /// Asks over TCP and reads the reply strictly.
    #[track_caller]
    pub(crate) fn tcp(&self, server: SocketAddr) -> Reply {
        let query = self.to_wire();
        let wire = exchange_tcp(server, &query).unwrap_or_else(|error| panic!("{self:?} over TCP: {error}"));
        let reply = Reply::read(&query, wire);
        assert!(!reply.has(flag::TC), "TC over TCP: {reply:?}");
        reply
    }
}

/// Sends bytes over UDP from a new port. The reply must come from the address that they were sent to.
pub(crate) fn exchange_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let here: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(here)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(query)?;
    let mut reply = vec![0; 65_535];
    let len = socket.recv(&mut reply)?;
    reply.truncate(len);
    Ok(reply)
}

/// Sends bytes as one message over a new TCP connection.
pub(crate) fn exchange_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let len = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), query].concat())?;
    read_message(&mut stream)
}

/// Reads one message, after its length, from a TCP connection.
pub(crate) fn read_message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}
