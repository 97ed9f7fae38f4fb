//! Labels that this process counts by: transports, and reasons to drop or refuse.

use std::fmt;

/// The transport of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTP/2 or HTTP/3 (RFC 8484).
    Https,
    /// DNS over QUIC (RFC 9250).
    Quic,
}

impl Transport {
    /// In the order of the counters.
    pub(super) const ALL: [Transport; 5] =
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic];
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
    /// The message is a response, is too short for any reply, or breaks a rule of DNS over QUIC.
    NotAQuery,
    /// Reading a datagram from the socket failed.
    Receive,
    /// Sending the reply failed.
    Send,
    /// The client's network is over its rate of UDP replies.
    RateLimit,
    /// Accepting the connection failed.
    Accept,
    /// The client already has its maximum number of connections.
    ClientFull,
    /// The listener was full, and this connection had been silent the longest.
    Silent,
    /// The client's address is in no allowed network.
    NotAllowed,
    /// The TLS or QUIC handshake failed or took too long.
    Handshake,
}

impl Dropped {
    /// In the order of the counters.
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

/// The HTTP limit that a request exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Concurrent lists of all clients.
    Lists,
    /// Concurrent lists of one client.
    ClientLists,
    /// Bytes of lists that their clients have not read.
    UnreadLists,
    /// Subscriptions of all clients.
    Subscriptions,
    /// Subscriptions of one client.
    ClientSubscriptions,
    /// Interfaces of one stream.
    Interfaces,
    /// Connections that carry streams, of all clients.
    StreamConnections,
    /// Connections that carry streams, of one client.
    ClientStreamConnections,
}

impl Beyond {
    /// In the order of the counters.
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
