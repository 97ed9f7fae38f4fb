//! What the integration tests stand on: the real program, a real API server, real DNS clients, CoreDNS.
//!
//! Nothing in here is a mock. Everything listens on loopback, waits for a bounded time, and dies with the test process.

pub(crate) mod ask;
pub(crate) mod cluster;
pub(crate) mod control_plane;
pub(crate) mod coredns;
pub(crate) mod dig;
pub(crate) mod faults;
pub(crate) mod http2;
pub(crate) mod kubelet;
pub(crate) mod oracle;
pub(crate) mod order;
pub(crate) mod process;
pub(crate) mod proxies;
pub(crate) mod proxy;
pub(crate) mod quic;
pub(crate) mod server;
pub(crate) mod tenant;
pub(crate) mod tls;

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often [`eventually`] looks: well below the second within which a change must show.
const POLL: Duration = Duration::from_millis(20);

/// Looks until `check` is content and tells how long that took; fails with its last complaint after `within`.
#[track_caller]
pub(crate) fn eventually<E: Display>(within: Duration, mut check: impl FnMut() -> Result<(), E>) -> Duration {
    let start = Instant::now();
    loop {
        let Err(complaint) = check() else { return start.elapsed() };
        let elapsed = start.elapsed();
        assert!(elapsed < within, "not within {within:?}: {complaint}");
        sleep(POLL);
    }
}

/// [`eventually`] within the second that a change in a Pod may take to show in DNS.
#[track_caller]
pub(crate) fn within_a_second(check: impl FnMut() -> Result<(), String>) -> Duration {
    eventually(Duration::from_secs(1), check)
}
