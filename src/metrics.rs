//! All metrics of the process, as text.
//!
//! Each part keeps its own counters (`server::ServerCounters`, `http::HttpCounters`, `state::StateCounters`), and registers them here. The
//! numbers of the zone and of the sources are read at the scrape.
//!
//! The output is Prometheus text format 0.0.4, which every scraper and `promtool check metrics` read. The library
//! itself writes OpenMetrics, which names a counter's family without the `_total` of its samples.

mod counts;
mod families;
mod scrape;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::snapshot::Snapshot;
pub(crate) use counts::Counts;
pub(crate) use families::Families;
use scrape::Scrape;
pub use scrape::SourceStats;

/// The media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The prefix of every metric name.
const PREFIX: &str = "callsign";

/// Seconds from the receipt of an event to the snapshot that shows it. The smallest bucket is what one change should
/// take, the largest is more than anybody should wait.
const EVENT_LAG_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Log lines that could not be written. It is a static because the log is one per process.
pub static LOG_LINES_LOST: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub struct Metrics {
    event_lag: Histogram,
    registry: Registry,
}

impl Metrics {
    /// Returns the metrics that belong to no part. `version` and `commit` are those of the program.
    pub fn new(version: &'static str, commit: &'static str) -> Metrics {
        let event_lag = Histogram::new(EVENT_LAG_BUCKETS);
        let mut registry = Registry::with_prefix(PREFIX);
        let help = "Seconds from the receipt of an event's bytes to the zone that shows it, after the first sync";
        registry.register("event_lag_seconds", help, event_lag.clone());
        registry.register_collector(Box::new(Process { version, commit }));
        Metrics { event_lag, registry }
    }

    /// Adds the counters of a part.
    #[must_use]
    pub fn with(mut self, counters: impl Collector) -> Metrics {
        self.registry.register_collector(Box::new(counters));
        self
    }

    /// Records the time from an event's receipt to the snapshot that shows it.
    pub fn observe_event_lag(&self, lag: Duration) {
        self.event_lag.observe(lag.as_secs_f64());
    }

    /// Writes all metrics as text of the type [`CONTENT_TYPE`].
    pub fn encode(&self, snapshot: &Snapshot, sources: &[SourceStats], subscribers: usize) -> String {
        self.encode_with(Scrape::new(snapshot, sources, subscribers))
    }

    fn encode_with(&self, scrape: Scrape) -> String {
        let mut scraped = Registry::with_prefix(PREFIX);
        scraped.register_collector(Box::new(scrape));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let result = encode_registry(&mut text, &self.registry).and_then(|()| encode_registry(&mut text, &scraped));
        debug_assert!(result.is_ok());
        text
    }
}

/// What concerns the process as a whole.
#[derive(Debug)]
struct Process {
    version: &'static str,
    commit: &'static str,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        let build = [("version", self.version), ("commit", self.commit)];
        families.gauges("build_info", "The version and the commit of the program", [(build, 1_u32)])?;
        let lost = LOG_LINES_LOST.load(Ordering::Relaxed);
        families.counter("log_lines_lost_total", "Log lines that could not be written", lost)
    }
}

#[cfg(test)]
mod tests;
