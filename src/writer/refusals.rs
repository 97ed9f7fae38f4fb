//! Logs refused registrations: enough to find them, and no more per second than a person can read.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::index::Difference;
use crate::registration::Reason;
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
    pub fn report(&mut self, before: &Snapshot, after: &Snapshot, difference: &Difference) {
        for slot in &difference.pods {
            let Some(pod) = after.pod(*slot) else { continue };
            let old = before.pod(*slot).filter(|old| is_same(old, pod));
            let known = old.map(|old| old.refusals().collect::<Vec<_>>()).unwrap_or_default();
            let known: BTreeSet<_> = known.iter().map(identity).collect();
            let mut refused = pod.refusals().filter(|refused| !known.contains(&identity(refused)));
            if let Some(first) = refused.next() {
                self.log_refusal(*slot, pod, &first, refused.count());
            }
        }
    }

    fn log_refusal(&mut self, slot: PodSlot, pod: &PodRecord, refused: &Refused, others: usize) {
        self.left_out += others;
        if self.logged.len() >= LINES_MAX || !self.logged.insert(slot) {
            self.left_out += 1;
            return;
        }
        let (namespace, name, profile) = (&*pod.namespace, pod.name(), &*refused.profile);
        let (offset, key, reason) = (refused.offset, refused.key.unwrap_or_default(), refused.reason);
        tracing::warn!(?namespace, pod = ?name, ?profile, offset, key, %reason, "registration refused");
    }
}

fn identity(refused: &Refused) -> (&str, usize, Option<&'static str>, Reason) {
    (&refused.profile, refused.offset, refused.key, refused.reason)
}

fn is_same(old: &PodRecord, new: &PodRecord) -> bool {
    old.uid() == new.uid() && old.cluster == new.cluster
}
