//! The reasons to send no reply.

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
