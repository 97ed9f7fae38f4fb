//! Since when the watches of a server have been complete, and what the server must therefore know.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The bound on convergence: how late an answer may show a change while every watch is complete, and after the last of them
/// came back. A quiet machine needs a tenth of a second.
pub(crate) const LAG_MAX: Duration = Duration::from_secs(5);

/// How long after the server's bound an answer may still be unmarked: bytes in transit arrive, and the server checks its age
/// twice a second.
const MARK_LAG_MAX: Duration = Duration::from_secs(3);

/// The watches of one server by their selectors.
#[derive(Default)]
pub(crate) struct Order(Mutex<Lanes>);

#[derive(Default)]
struct Lanes {
    /// Since when no response to the server can prove that its zone is whole.
    blind_since: Option<Instant>,
    /// Each watch, and since when it is complete. `None` while it has a fault.
    since: BTreeMap<String, Option<Instant>>,
    floor: Option<Instant>,
}

impl Order {
    /// Records that a watch is complete from now on.
    pub(crate) fn restore(&self, lane: &str, now: Instant) {
        let mut lanes = self.0.lock().expect("no panic under the lock");
        lanes.since.entry(lane.to_owned()).or_default().get_or_insert(now);
    }

    /// Records that a watch may be incomplete. The test calls this before it causes the fault.
    pub(crate) fn disturb(&self, lane: &str, now: Instant) {
        let mut lanes = self.0.lock().expect("no panic under the lock");
        lanes.raise_floor(now);
        lanes.since.insert(lane.to_owned(), None);
    }

    /// The same for every watch.
    pub(crate) fn disturb_all(&self, now: Instant) {
        let mut lanes = self.0.lock().expect("no panic under the lock");
        lanes.raise_floor(now);
        lanes.since.values_mut().for_each(|since| *since = None);
    }

    /// Records whether responses to the server can prove, from now on, that its zone is whole.
    pub(crate) fn set_blind(&self, is_blind: bool, now: Instant) {
        self.0.lock().expect("no panic under the lock").blind_since = is_blind.then_some(now);
    }

    /// Since when an answer must be marked stale, if the server marks answers of this age.
    pub(crate) fn stale_since(&self, stale_after: Duration) -> Option<Instant> {
        Some(self.0.lock().expect("no panic under the lock").blind_since? + stale_after + MARK_LAG_MAX)
    }

    /// Since when all watches are complete.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.lock().expect("no panic under the lock").since()
    }

    /// An answer to a question asked now must show every change that was acknowledged before this moment. `None` while that is
    /// unknown.
    pub(crate) fn floor(&self, now: Instant) -> Option<Instant> {
        let mut lanes = self.0.lock().expect("no panic under the lock");
        lanes.raise_floor(now);
        lanes.floor
    }
}

impl Lanes {
    /// Since when every watch has been complete: the latest of them.
    fn since(&self) -> Option<Instant> {
        let all: Option<Vec<Instant>> = self.since.values().copied().collect();
        all?.into_iter().max()
    }

    fn raise_floor(&mut self, now: Instant) {
        let Some(since) = self.since() else { return };
        let Some(seen) = now.checked_sub(LAG_MAX).filter(|seen| *seen >= since) else { return };
        self.floor = self.floor.max(Some(seen));
    }
}
