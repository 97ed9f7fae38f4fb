//! Bytes: a strict parser of questions and a composer of replies.
//!
//! The parser takes what a query may be and nothing else (RFC 1035 §4.1, RFC 6891 §6.1, RFC 9619): it follows no
//! compression pointer, allocates nothing, and reads each byte once. The composer knows before it writes a record how much
//! room is left, because the OPT record and the glue are counted first (RFC 2181 §9, and `design` of the schema: OPT is
//! never what is dropped, and glue goes with its target or not at all).

mod compose;
mod query;
mod reply;
mod tail;

pub use query::{CLIENT_COOKIE_LEN, Cookie, Edns, Malformed, Query, Received, SERVER_COOKIE_LEN, Signature, parse};
pub use reply::{Limits, Outcome, reply};
pub use tail::Own;

/// The largest UDP reply, whatever the client offers: no fragments on any common path (DNS flag day 2020).
pub const UDP_LEN_MAX: usize = 1232;

/// The largest UDP reply to a client without EDNS (RFC 1035 §4.2.1), and the least that EDNS can offer (RFC 6891 §6.2.3).
pub const UDP_LEN_MIN: usize = 512;

/// The largest message over TCP (RFC 1035 §4.2.2).
pub const TCP_LEN_MAX: usize = 65535;

/// The length of a message's header.
pub const HEADER_LEN: usize = 12;
