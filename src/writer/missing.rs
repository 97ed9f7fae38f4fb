//! Asks the sources for the Pods whose annotations must be read again, until they have sent them.

use std::collections::HashMap;
use std::time::Duration;

use crate::index::Index;
use crate::snapshot::PodSlot;
use crate::source::SourceId;
use crate::source::refetch::RefetchSenders;

/// How often it checks whether any Pods are missing.
const TURN: Duration = Duration::from_millis(100);

/// How long it waits for a Pod before it asks again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sources to ask, and when each missing Pod was last asked for.
pub(super) struct RefetchQueue {
    refetch_senders: RefetchSenders,
    asked: HashMap<(PodSlot, SourceId), Duration>,
    next_turn: Duration,
}

impl RefetchQueue {
    pub fn new(refetch_senders: RefetchSenders) -> RefetchQueue {
        RefetchQueue { refetch_senders, asked: HashMap::new(), next_turn: Duration::ZERO }
    }

    /// Asks for each missing Pod that was not asked for recently.
    pub fn request_missing(&mut self, index: &Index, now: Duration) {
        if now < self.next_turn {
            return;
        }
        self.next_turn = now + TURN;
        let earlier = std::mem::take(&mut self.asked);
        for missing in index.missing() {
            let asked_at = earlier.get(&(missing.slot, missing.source.clone())).copied();
            let is_due = asked_at.is_none_or(|at| now.saturating_sub(at) >= PATIENCE);
            let asked_at =
                if is_due && self.refetch_senders.ask(&missing.source, missing.pod) { Some(now) } else { asked_at };
            if let Some(at) = asked_at {
                self.asked.insert((missing.slot, missing.source), at);
            }
        }
    }
}
