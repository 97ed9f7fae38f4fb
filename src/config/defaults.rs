//! The values of options that are not given.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The zone that the Pods' names are in.
pub const DEFAULT_ZONE: &str = "rpc.cluster.local.";

/// Where DNS is served: a port that needs no root, and no one but this host.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5354);

/// Where health, metrics and the API are served.
pub const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8053);

/// TTL of every record, in seconds.
pub const DEFAULT_TTL: u32 = 5;

/// Seconds of silence after which answers are marked stale: three missed bookmarks.
pub const DEFAULT_STALE_AFTER: u32 = 180;

/// Seconds that a start waits for the cluster before it serves a saved zone.
pub const DEFAULT_STATE_WAIT: u32 = 5;

/// Seconds after which a saved zone is not served any more.
pub const DEFAULT_STATE_MAX_AGE: u32 = 86_400;

/// Seconds for which answers go on after SIGTERM.
pub const DEFAULT_LAME_DUCK: u32 = 5;

/// The metadata keys that TXT records show beside the named fields.
pub const DEFAULT_TXT_KEYS: [&str; 7] = ["weight", "serialization", "release", "region", "zone", "environment", "tag"];

/// The most bytes that all Pods may take. With the rest of the sum in ARCHITECTURE.md ("Bytes") it fits the memory limit of
/// `deploy/`.
pub const DEFAULT_BYTES_MAX: u64 = 576 * 1024 * 1024;

/// The most bytes that the Pods of one namespace may take: 100,000 ordinary Pods fit. Where all
/// take more than [`DEFAULT_BYTES_MAX`], the largest namespace gives way first.
pub const DEFAULT_NAMESPACE_BYTES_MAX: u64 = 544 * 1024 * 1024;

/// What is logged.
pub const DEFAULT_LOG_LEVEL: &str = "info";

/// The longest NSID, in bytes: beside the longest question it leaves room for EDE in the 512 bytes of the smallest
/// UDP reply.
pub const NSID_LEN_MAX: usize = 128;
