//! The integration tests' harness: the real program, a real API server, real DNS clients, CoreDNS.
//!
//! Nothing here is a mock. Everything listens on loopback, waits for a bounded time, and ends with the test process.

pub(crate) mod ask;
pub(crate) mod cluster;
pub(crate) mod container;
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

/// How often [`eventually`] checks: well below the second within which an answer must show a change.
const POLL: Duration = Duration::from_millis(20);

/// Checks until `check` returns `Ok`, and returns how long that took. Panics with the last error after `within`.
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

/// [`eventually`] within the second that a Pod's change may take to reach DNS.
#[track_caller]
pub(crate) fn within_a_second(check: impl FnMut() -> Result<(), String>) -> Duration {
    eventually(Duration::from_secs(1), check)
}
