//! The counters of the HTTP side.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::limits::ExceededLimit;
use crate::metrics::{Counts, Families};

/// The numbers that requests and streams count.
#[derive(Debug, Default)]
pub struct HttpCounters {
    refused: Counts<{ ExceededLimit::ALL.len() }>,
    events_sent: AtomicU64,
    slow_readers: AtomicU64,
}

impl HttpCounters {
    /// Counts a request that exceeded a limit.
    pub(crate) fn refused(&self, limit: ExceededLimit) {
        self.refused.add(limit as usize);
    }

    /// Counts an event that was sent to a subscriber.
    pub(crate) fn event_sent(&self) {
        self.events_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a client that was dropped because it read too slowly.
    pub(crate) fn slow_reader(&self) {
        self.slow_readers.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of clients that were dropped because they read too slowly.
    #[cfg(test)]
    pub(crate) fn slow_readers(&self) -> u64 {
        self.slow_readers.load(Ordering::Relaxed)
    }
}

impl Collector for HttpCounters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        families.counters(
            "http_refused_total",
            "HTTP requests that were refused with 429 or 503 because they exceed a limit",
            self.refused.samples("reason", ExceededLimit::ALL.map(ExceededLimit::label)),
        )?;
        let sent = self.events_sent.load(Ordering::Relaxed);
        families.counter("events_sent_total", "Events that were sent to subscribers", sent)?;
        let slow = self.slow_readers.load(Ordering::Relaxed);
        families.counter("slow_readers_total", "HTTP clients that were dropped because they read too slowly", slow)
    }
}
