//! Waits for a bounded time until something holds.

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
