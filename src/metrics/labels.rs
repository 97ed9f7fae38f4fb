//! The values of labels that this process counts by.

use std::fmt;

/// What carried a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
    /// A stream under TLS (RFC 7858).
    Tls,
    /// HTTP/2 or HTTP/3 (RFC 8484).
    Https,
    /// QUIC (RFC 9250).
    Quic,
}

impl Transport {
    /// All of them, in the order of their counters.
    pub(super) const ALL: [Transport; 5] =
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic];

    /// Whether nobody on the way can read it.
    pub fn is_encrypted(self) -> bool {
        !matches!(self, Transport::Udp | Transport::Tcp)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Https => "https",
            Transport::Quic => "quic",
        })
    }
}

/// Why a message or a connection got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It was a response, or too short to be answered at all.
    NotAQuery,
    /// A datagram could not be read from its socket.
    Receive,
    /// The reply could not be sent.
    Send,
    /// A network's replies by UDP are beyond its rate.
    RateLimit,
    /// A connection could not be taken.
    Accept,
    /// A client has its share of connections already.
    ClientFull,
    /// All places were taken, and this connection was silent the longest.
    Silent,
    /// A connection came from where none may.
    NotAllowed,
    /// A connection did not come to an agreement on keys, or not in time.
    Handshake,
}

impl Dropped {
    /// All of them, in the order of their counters.
    pub(super) const ALL: [Dropped; 9] = [
        Dropped::NotAQuery,
        Dropped::Receive,
        Dropped::Send,
        Dropped::RateLimit,
        Dropped::Accept,
        Dropped::ClientFull,
        Dropped::Silent,
        Dropped::NotAllowed,
        Dropped::Handshake,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Dropped::NotAQuery => "not-a-query",
            Dropped::Receive => "receive",
            Dropped::Send => "send",
            Dropped::RateLimit => "rate-limit",
            Dropped::Accept => "accept",
            Dropped::ClientFull => "client-full",
            Dropped::Silent => "silent",
            Dropped::NotAllowed => "not-allowed",
            Dropped::Handshake => "handshake",
        }
    }
}

/// Which bound of the HTTP side a request was refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The lists of all clients.
    Lists,
    /// The lists of one client.
    ClientLists,
    /// The bytes of lists that their clients have not read.
    UnreadLists,
    /// The subscriptions of all clients.
    Subscriptions,
    /// The subscriptions of one client.
    ClientSubscriptions,
    /// The interfaces of one stream.
    Interfaces,
    /// The connections of all clients that carry streams.
    StreamConnections,
    /// The connections of one client that carry streams.
    ClientStreamConnections,
}

impl Beyond {
    /// All of them, in the order of their counters.
    pub(super) const ALL: [Beyond; 8] = [
        Beyond::Lists,
        Beyond::ClientLists,
        Beyond::UnreadLists,
        Beyond::Subscriptions,
        Beyond::ClientSubscriptions,
        Beyond::Interfaces,
        Beyond::StreamConnections,
        Beyond::ClientStreamConnections,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Beyond::Lists => "lists",
            Beyond::ClientLists => "client-lists",
            Beyond::UnreadLists => "unread-lists",
            Beyond::Subscriptions => "subscriptions",
            Beyond::ClientSubscriptions => "client-subscriptions",
            Beyond::Interfaces => "interfaces",
            Beyond::StreamConnections => "stream-connections",
            Beyond::ClientStreamConnections => "client-stream-connections",
        }
    }
}
