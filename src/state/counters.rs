//! The counters of the saved zone.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::metrics::Families;

/// Counts the writes of the zone to the state folder.
#[derive(Debug, Default)]
pub struct StateCounters {
    written: AtomicU64,
    failed: AtomicU64,
    is_failing: AtomicBool,
}

impl StateCounters {
    /// Counts a write. Returns whether its outcome differs from the previous write's.
    pub(crate) fn state_written(&self, is_written: bool) -> bool {
        let count = if is_written { &self.written } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.is_failing.swap(!is_written, Ordering::Relaxed) == is_written
    }
}

impl Collector for StateCounters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let states = [("written", &self.written), ("failed", &self.failed)];
        Families(&mut encoder).counters(
            "state_writes_total",
            "Writes of the zone to --state-dir",
            states.map(|(result, count)| ([("result", result)], count.load(Ordering::Relaxed))),
        )
    }
}
