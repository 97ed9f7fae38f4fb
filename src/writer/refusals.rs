//! Logs refused registrations: enough to find them, and no more per second than a person can read.

use std::collections::HashSet;
use std::time::Duration;

use crate::index::{Difference, PodChange};
use crate::snapshot::{PodRecord, PodSlot, Refused, Snapshot};

/// How long a Pod waits for its next line. A Pod that changes faster cannot fill the log.
const WINDOW: Duration = Duration::from_secs(1);

/// The most lines in one window, over all Pods.
const LINES_MAX: usize = 100;

/// The Pods with a line in this window, and the number of refusals without one.
#[derive(Default)]
pub(super) struct RefusalLog {
    since: Duration,
    logged: HashSet<PodSlot>,
    left_out: usize,
}

impl RefusalLog {
    /// At the end of each window, logs how many refusals had no line.
    pub fn end_window(&mut self, now: Duration) {
        if now.saturating_sub(self.since) < WINDOW {
            return;
        }
        if self.left_out > 0 {
            let left_out = self.left_out;
            tracing::warn!(left_out, "more registrations refused: `callsign ls --bad` lists them");
        }
        *self = RefusalLog { since: now, ..RefusalLog::default() };
    }

    /// Logs one line for each Pod with a newly refused registration. Counts its other new refusals.
    pub fn report(&mut self, difference: &Difference) {
        difference.pods.iter().for_each(|(slot, change)| self.report_pod(*slot, change));
    }

    /// The same for every Pod of the first lists.
    pub fn report_all(&mut self, snapshot: &Snapshot) {
        for (slot, pod) in (0..).zip(snapshot.pods.iter()) {
            self.report_pod(slot, &PodChange { before: None, after: pod.clone(), services: Vec::new() });
        }
    }

    fn report_pod(&mut self, slot: PodSlot, change: &PodChange) {
        let is_due = |refused: &Refused| refused.reason.is_logged(refused.key.as_ref());
        let mut refused = change.new_refusals().filter(is_due);
        if let (Some(pod), Some(first)) = (&change.after, refused.next()) {
            self.log_refusal(slot, pod, &first, refused.count());
        }
    }

    fn log_refusal(&mut self, slot: PodSlot, pod: &PodRecord, refused: &Refused, others: usize) {
        self.left_out += others;
        if self.logged.len() >= LINES_MAX || !self.logged.insert(slot) {
            self.left_out += 1;
            return;
        }
        let (namespace, name, profile) = (&*pod.namespace, pod.name(), &*refused.profile);
        let key = refused.key.as_ref().map(ToString::to_string).unwrap_or_default();
        let (offset, reason) = (refused.offset, refused.reason);
        tracing::warn!(?namespace, pod = ?name, ?profile, offset, key, %reason, "registration refused");
    }
}
