//! How often a keeper checks its Pod.
//!
//! The first check comes 1 s after the write. Each wait is twice the one before, up to 20 s for two minutes and up to
//! 5 minutes after that. If two checks in a row have to write, the waits grow up to 10 minutes, so that two writers
//! who undo each other's work do not keep the API server busy.
//!
//! So 20,000 processes send 20,000 / 300 s = 67 GETs a second, spread at random, and at most 1,000 a second in the two
//! minutes after all of them start together.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::jitter;

/// The time from a write to the first check. A kubelet that has made a new sandbox may report the new address some
/// seconds after the process starts.
const LOOK_FIRST: Duration = Duration::from_secs(1);

/// How long checks are dense: by then a kubelet has reported the address of a new sandbox.
const DENSE_TIME: Duration = Duration::from_secs(120);

/// The longest time between two dense checks.
const LOOK_DENSE: Duration = Duration::from_secs(20);

/// The longest time between two later checks.
const LOOK_LAST: Duration = Duration::from_secs(300);

/// The longest time between two checks that both had to write.
const CONTESTED_LAST: Duration = Duration::from_secs(600);

/// The pace of the checks.
pub(super) struct CheckInterval {
    since: Instant,
    /// The time until the next check.
    pub(super) wait: Duration,
    /// The last check had to write.
    has_written: bool,
}

impl CheckInterval {
    pub(super) fn start() -> CheckInterval {
        CheckInterval { since: Instant::now(), wait: LOOK_FIRST, has_written: false }
    }

    /// Sets the next wait after a check.
    pub(super) fn next(&mut self, has_written: bool) {
        let longest = if has_written {
            CONTESTED_LAST
        } else if self.since.elapsed() < DENSE_TIME {
            LOOK_DENSE
        } else {
            LOOK_LAST
        };
        // The first such write may be the only one, as after a restore of etcd.
        let wait = if has_written && !self.has_written { self.wait.min(LOOK_DENSE) } else { self.wait };
        self.wait = (wait * 2).min(longest);
        self.has_written = has_written;
    }
}

/// A random time of about this length: processes that start together must not check together.
pub(super) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.75) + jitter(wait / 2)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn checks_become_rare_and_rarer_while_writes_are_undone() {
        let mut interval = CheckInterval::start();
        let mut waits = Vec::new();
        let mut after = async |has_written: bool, count: usize| {
            waits.clear();
            for _ in 0..count {
                waits.push(interval.wait.as_secs());
                sleep(interval.wait).await;
                interval.next(has_written);
            }
            waits.clone()
        };
        // Dense for 120 s; then 20,000 processes send 67 GETs a second.
        assert_eq!(after(false, 14).await, [1, 2, 4, 8, 16, 20, 20, 20, 20, 20, 40, 80, 160, 300]);
        assert_eq!(after(true, 7).await, [300, 40, 80, 160, 320, 600, 600]);
        assert_eq!(after(false, 2).await, [600, 300], "as soon as a look finds all as it should be");
        for _ in 0..100 {
            assert!((15..=25).contains(&jittered(LOOK_DENSE).as_secs()));
        }
    }
}
