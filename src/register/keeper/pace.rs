//! How often a keeper looks at its Pod.
//!
//! 1 s after the write, then after twice the time, up to every 20 s for two minutes and up to every 5 minutes after that. If
//! two looks in a row have to write, the next one comes later, up to every 10 minutes, so that two writers who undo each
//! other's work do not keep the API server busy.
//!
//! So 20,000 processes send 20,000 / 300 s = 67 GETs a second, spread by chance, and at most 1,000 a second in the two minutes
//! after all of them start together.

use std::time::Duration;

use tokio::time::Instant;

use crate::source::kube::jitter;

/// When the first look at the Pod comes after a write: a kubelet that has made the sandbox anew may tell of the new address
/// some seconds after the process starts.
const LOOK_FIRST: Duration = Duration::from_secs(1);

/// How long the looks stay dense: by then a kubelet has told the address of a sandbox that it has made anew.
const DENSE_TIME: Duration = Duration::from_secs(120);

/// The longest time between two looks in that time.
const LOOK_DENSE: Duration = Duration::from_secs(20);

/// The longest time between two looks after that.
const LOOK_LAST: Duration = Duration::from_secs(300);

/// The longest time between two looks that each had to write.
const CONTESTED_LAST: Duration = Duration::from_secs(600);

/// How often the Pod is looked at.
pub(super) struct Pace {
    since: Instant,
    /// The time until the next look.
    pub(super) wait: Duration,
    /// The last look had to write.
    has_written: bool,
}

impl Pace {
    pub(super) fn start() -> Pace {
        Pace { since: Instant::now(), wait: LOOK_FIRST, has_written: false }
    }

    /// After a look.
    pub(super) fn next(&mut self, has_written: bool) {
        let longest = if has_written {
            CONTESTED_LAST
        } else if self.since.elapsed() < DENSE_TIME {
            LOOK_DENSE
        } else {
            LOOK_LAST
        };
        // The first of these writes may be the only one, as after a restore of etcd.
        let wait = if has_written && !self.has_written { self.wait.min(LOOK_DENSE) } else { self.wait };
        self.wait = (wait * 2).min(longest);
        self.has_written = has_written;
    }
}

/// A time of about this length: processes that start together must not look together.
pub(super) fn spread(wait: Duration) -> Duration {
    wait.mul_f64(0.75) + jitter(wait / 2)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_become_rare_and_rarer_where_somebody_undoes_the_writes() {
        let mut pace = Pace::start();
        let mut waits = Vec::new();
        let mut after = async |has_written: bool, count: usize| {
            waits.clear();
            for _ in 0..count {
                waits.push(pace.wait.as_secs());
                sleep(pace.wait).await;
                pace.next(has_written);
            }
            waits.clone()
        };
        // Dense for 120 s; then 20,000 processes send 67 GETs a second.
        assert_eq!(after(false, 14).await, [1, 2, 4, 8, 16, 20, 20, 20, 20, 20, 40, 80, 160, 300]);
        assert_eq!(after(true, 7).await, [300, 40, 80, 160, 320, 600, 600]);
        assert_eq!(after(false, 2).await, [600, 300], "as soon as a look finds all as it should be");
        for _ in 0..100 {
            assert!((15..=25).contains(&spread(LOOK_DENSE).as_secs()));
        }
    }
}
