//! The wire format: a strict parser of queries and a composer of replies.
//!
//! The parser accepts well-formed queries and nothing else (RFC 1035 §4.1, RFC 6891 §6.1, RFC 9619). It follows no
//! compression pointer, allocates nothing, and reads each byte once. The composer counts the OPT record and the glue first
//! (RFC 2181 §9), so it knows how much room each record has. A reply always keeps its OPT record. It holds all glue of an
//! SRV target or none.

mod compose;
mod edns;
mod query;
mod reply;

pub use edns::ServerOptions;
pub use query::{CLIENT_COOKIE_LEN, Cookie, Edns, Malformed, Query, Received, SERVER_COOKIE_LEN, Signature, parse};
pub use reply::{Limits, Outcome, reply};

/// The largest UDP reply in bytes, even if the client offers more: no common path fragments it (DNS flag day 2020).
pub const UDP_LEN_MAX: usize = 1232;

/// The largest UDP reply to a client without EDNS (RFC 1035 §4.2.1), and the least that EDNS can offer (RFC 6891 §6.2.3).
pub const UDP_LEN_MIN: usize = 512;

/// The largest message over TCP (RFC 1035 §4.2.2).
pub const TCP_LEN_MAX: usize = 65535;

/// The length of a message's header in bytes.
pub const HEADER_LEN: usize = 12;
