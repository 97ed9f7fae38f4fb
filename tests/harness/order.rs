//! Since when the way to the API server has been in order, and what a server must therefore know.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How late a change may show while every watch is in order, and how long after the last of them came back: the bound on
/// convergence. A quiet machine needs a tenth of a second.
pub(crate) const LAG_MAX: Duration = Duration::from_secs(5);

/// How long after the server's own bound an answer may still be unmarked: what was on its way arrives, and the server looks
/// at its age twice a second.
const MARK_LAG_MAX: Duration = Duration::from_secs(3);

/// The watches of one server by their selectors.
#[derive(Default)]
pub(crate) struct Order(Mutex<Lanes>);

#[derive(Default)]
struct Lanes {
    /// Since when nothing that the server is answered can prove that its zone is whole.
    blind_since: Option<Instant>,
    /// A watch, and since when it has brought all that there is; none while something is wrong with it.
    since: BTreeMap<String, Option<Instant>>,
    floor: Option<Instant>,
}

impl Order {
    /// From now on a watch brings all that there is.
    pub(crate) fn restore(&self, lane: &str, now: Instant) {
        let mut lanes = self.0.lock().expect("nobody failed");
        lanes.since.entry(lane.to_owned()).or_default().get_or_insert(now);
    }

    /// From now on it may not. To be said before it is so.
    pub(crate) fn disturb(&self, lane: &str, now: Instant) {
        let mut lanes = self.0.lock().expect("nobody failed");
        lanes.raise_floor(now);
        lanes.since.insert(lane.to_owned(), None);
    }

    /// The same of every watch.
    pub(crate) fn disturb_all(&self, now: Instant) {
        let mut lanes = self.0.lock().expect("nobody failed");
        lanes.raise_floor(now);
        lanes.since.values_mut().for_each(|since| *since = None);
    }

    /// From now on no answer to the server proves that its zone is whole, or may do so again.
    pub(crate) fn set_blind(&self, is_blind: bool, now: Instant) {
        self.0.lock().expect("nobody failed").blind_since = is_blind.then_some(now);
    }

    /// Since when an answer must say that it is stale, where the server says so of what is this old.
    pub(crate) fn stale_since(&self, stale_after: Duration) -> Option<Instant> {
        Some(self.0.lock().expect("nobody failed").blind_since? + stale_after + MARK_LAG_MAX)
    }

    /// Since when all watches are in order.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.lock().expect("nobody failed").since()
    }

    /// Whatever was acknowledged before this moment must be seen by a question asked now: none while that is not known.
    pub(crate) fn floor(&self, now: Instant) -> Option<Instant> {
        let mut lanes = self.0.lock().expect("nobody failed");
        lanes.raise_floor(now);
        lanes.floor
    }
}

impl Lanes {
    /// Since when every lane has been in order: the latest of them.
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
