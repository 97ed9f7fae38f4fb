//! The defaults of the options, and one limit.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub const DEFAULT_ZONE: &str = "rpc.cluster.local.";

/// A port that needs no root, on the loopback alone.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5354);

pub const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8053);

/// The TTL of every record, in seconds.
pub const DEFAULT_TTL: u32 = 5;

/// In seconds: three missed bookmarks.
pub const DEFAULT_STALE_AFTER: u32 = 180;

/// Seconds that a start waits for the cluster before it serves a saved zone.
pub const DEFAULT_STATE_WAIT: u32 = 5;

/// The age in seconds after which a saved zone is no longer served.
pub const DEFAULT_STATE_MAX_AGE: u32 = 86_400;

/// Seconds for which the server goes on answering after SIGTERM.
pub const DEFAULT_LAME_DUCK: u32 = 5;

/// The metadata keys that TXT records show besides the named fields.
pub const DEFAULT_TXT_KEYS: [&str; 7] = ["weight", "serialization", "release", "region", "zone", "environment", "tag"];

/// The most bytes that all Pods may take. The sum in ARCHITECTURE.md ("Bytes") fits the memory limit of `deploy/`.
pub const DEFAULT_BYTES_MAX: u64 = 576 * 1024 * 1024;

/// The most bytes that the Pods of one namespace may take. 100,000 ordinary Pods fit. If all Pods take more than
/// [`DEFAULT_BYTES_MAX`], the largest namespace gives way first.
pub const DEFAULT_NAMESPACE_BYTES_MAX: u64 = 544 * 1024 * 1024;

pub const DEFAULT_LOG_LEVEL: &str = "info";

/// The longest NSID, in bytes. With the longest question it leaves room for EDE in the smallest UDP reply of 512
/// bytes.
pub const NSID_LEN_MAX: usize = 128;
