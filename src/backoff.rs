//! The wait after a fault: exponential with full jitter, so that replicas do not retry in step.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The longest wait after the first fault.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait: how late the end of a long outage may be noticed.
const LAST: Duration = Duration::from_secs(10);

/// The longest `Retry-After` of a server that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// The waits between attempts.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { next: FIRST }
    }
}

impl Backoff {
    /// Resets the waits after a success.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The next wait. It is at least `retry_after`, within bounds.
    pub fn wait(&mut self, retry_after: Option<Duration>) -> Duration {
        let most = self.next;
        self.next = (most * 2).min(LAST);
        retry_after.unwrap_or_default().min(RETRY_AFTER_MAX) + jitter(most)
    }
}

/// A random duration from zero to `most`, evenly distributed. Not for secrets.
pub fn jitter(most: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    most.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_bound_and_starts_again() {
        let mut backoff = Backoff::default();
        for most_ms in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            assert_eq!(backoff.next, Duration::from_millis(most_ms));
            assert!(backoff.wait(None) <= Duration::from_millis(most_ms));
        }
        backoff.reset();
        assert!(backoff.wait(None) <= FIRST);
    }

    #[test]
    fn waits_as_long_as_the_server_asks_but_not_for_ever() {
        for (asked, least) in [(0, 0), (3, 3), (30, 30), (86_400, 30)] {
            let wait = Backoff::default().wait(Some(Duration::from_secs(asked)));
            let least = Duration::from_secs(least);
            assert!(wait >= least && wait <= least + FIRST, "{asked} gives {wait:?}");
        }
    }

    #[test]
    fn jitter_spreads() {
        let waits: Vec<Duration> = (0..64).map(|_| jitter(Duration::from_secs(1))).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(1)));
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(500)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(500)));
    }
}
