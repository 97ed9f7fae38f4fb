//! What the log is told of refused registrations: enough to find them, and no more a second than a person can read.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::index::Difference;
use crate::registration::Reason;
use crate::snapshot::{PodRecord, PodSlot, Refused, Snapshot};

/// How long a Pod that has its line waits for the next one: whoever writes faster than that fills no log.
const WINDOW: Duration = Duration::from_secs(1);

/// The most lines in that time, of all Pods.
const LINES_MAX: usize = 100;

/// Who has had a line of late, and what was left out since.
#[derive(Default)]
pub(super) struct RefusalLog {
    since: Duration,
    told: HashSet<PodSlot>,
    left_out: usize,
}

impl RefusalLog {
    /// Tells at the end of each second how much was left out in it.
    pub fn turn(&mut self, now: Duration) {
        if now.saturating_sub(self.since) < WINDOW {
            return;
        }
        if self.left_out > 0 {
            let left_out = self.left_out;
            tracing::warn!(left_out, "more registrations were refused: `callsign ls --bad` lists them");
        }
        *self = RefusalLog { since: now, ..RefusalLog::default() };
    }

    /// One line for each Pod of which a registration is newly refused, and what there is beside that only counted.
    pub fn report(&mut self, before: &Snapshot, after: &Snapshot, difference: &Difference) {
        for slot in &difference.pods {
            let Some(pod) = after.pod(*slot) else { continue };
            let old = before.pod(*slot).filter(|old| is_same(old, pod));
            let known = old.map(|old| old.refusals().collect::<Vec<_>>()).unwrap_or_default();
            let known: BTreeSet<_> = known.iter().map(identity).collect();
            let mut refused = pod.refusals().filter(|refused| !known.contains(&identity(refused)));
            if let Some(first) = refused.next() {
                self.tell(*slot, pod, &first, refused.count());
            }
        }
    }

    fn tell(&mut self, slot: PodSlot, pod: &PodRecord, refused: &Refused, others: usize) {
        self.left_out += others;
        if self.told.len() >= LINES_MAX || !self.told.insert(slot) {
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
