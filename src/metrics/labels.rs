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
pub enum DropReason {
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

impl DropReason {
    /// In the order of the counters.
    pub(super) const ALL: [DropReason; 9] = [
        DropReason::NotAQuery,
        DropReason::Receive,
        DropReason::Send,
        DropReason::RateLimit,
        DropReason::Accept,
        DropReason::ClientFull,
        DropReason::Silent,
        DropReason::NotAllowed,
        DropReason::Handshake,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            DropReason::NotAQuery => "not-a-query",
            DropReason::Receive => "receive",
            DropReason::Send => "send",
            DropReason::RateLimit => "rate-limit",
            DropReason::Accept => "accept",
            DropReason::ClientFull => "client-full",
            DropReason::Silent => "silent",
            DropReason::NotAllowed => "not-allowed",
            DropReason::Handshake => "handshake",
        }
    }
}

/// The HTTP limit that a request exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceededLimit {
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

impl ExceededLimit {
    /// In the order of the counters.
    pub(super) const ALL: [ExceededLimit; 8] = [
        ExceededLimit::Lists,
        ExceededLimit::ClientLists,
        ExceededLimit::UnreadLists,
        ExceededLimit::Subscriptions,
        ExceededLimit::ClientSubscriptions,
        ExceededLimit::Interfaces,
        ExceededLimit::StreamConnections,
        ExceededLimit::ClientStreamConnections,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            ExceededLimit::Lists => "lists",
            ExceededLimit::ClientLists => "client-lists",
            ExceededLimit::UnreadLists => "unread-lists",
            ExceededLimit::Subscriptions => "subscriptions",
            ExceededLimit::ClientSubscriptions => "client-subscriptions",
            ExceededLimit::Interfaces => "interfaces",
            ExceededLimit::StreamConnections => "stream-connections",
            ExceededLimit::ClientStreamConnections => "client-stream-connections",
        }
    }
}
