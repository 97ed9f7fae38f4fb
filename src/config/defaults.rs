//! The defaults of the options, and one limit.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use crate::snapshot::{
    DEFAULT_BYTES_MAX, DEFAULT_NAMESPACE_BYTES_MAX, DEFAULT_TTL, DEFAULT_TXT_KEYS, DEFAULT_ZONE,
};

/// A port that needs no root, on the loopback alone.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5354);

pub const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8053);

/// In seconds: three missed bookmarks.
pub const DEFAULT_STALE_AFTER: u32 = 180;

/// Seconds that a start waits for the cluster before it serves a saved zone.
pub const DEFAULT_STATE_WAIT: u32 = 5;

/// The age in seconds after which a saved zone is no longer served.
pub const DEFAULT_STATE_MAX_AGE: u32 = 86_400;

/// Seconds for which the server goes on answering after SIGTERM.
pub const DEFAULT_LAME_DUCK: u32 = 5;

pub const DEFAULT_LOG_LEVEL: &str = "info";

/// The longest NSID, in bytes. With the longest question it leaves room for EDE in the smallest UDP reply of 512
/// bytes.
pub const NSID_LEN_MAX: usize = 128;
