//! All metrics of the process. A query costs one addition to one atomic counter.
//!
//! Counters live here. The numbers of the zone and of the sources are read at the scrape.
//!
//! The output is Prometheus text format 0.0.4, which every scraper and `promtool check metrics` read. The library
//! itself writes OpenMetrics, which names a counter's family without the `_total` of its samples.

mod families;
mod labels;
mod queries;
mod scrape;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::dns::{Rcode, Rtype};
use crate::snapshot::Snapshot;
use families::Families;
pub use labels::{DropReason, ExceededLimit, Transport};
use queries::Queries;
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
    counters: Arc<Counters>,
    event_lag: Histogram,
    registry: Registry,
}

/// Counts one open connection until it is dropped.
#[derive(Debug)]
pub struct OpenConnection<'m>(Option<&'m AtomicI64>);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The numbers that this process counts itself.
#[derive(Debug, Default)]
struct Counters {
    build: [(&'static str, &'static str); 2],
    queries: Queries,
    truncated: [AtomicU64; Transport::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
    http_refused: [AtomicU64; ExceededLimit::ALL.len()],
    connections: [AtomicI64; Transport::ALL.len()],
    certificates_read: AtomicU64,
    certificates_refused: AtomicU64,
    events_sent: AtomicU64,
    slow_readers: AtomicU64,
    panics: AtomicU64,
    states_written: AtomicU64,
    states_failed: AtomicU64,
    is_state_failing: AtomicBool,
}

impl Metrics {
    /// Returns metrics at zero. `version` and `commit` are those of the program.
    pub fn new(version: &'static str, commit: &'static str) -> Metrics {
        let counters = Arc::new(Counters { build: [("version", version), ("commit", commit)], ..Counters::default() });
        let event_lag = Histogram::new(EVENT_LAG_BUCKETS);
        let mut registry = Registry::with_prefix(PREFIX);
        let help = "Seconds from the receipt of an event's bytes to the zone that shows it, after the first sync";
        registry.register("event_lag_seconds", help, event_lag.clone());
        registry.register_collector(Box::new(counters.clone()));
        Metrics { counters, event_lag, registry }
    }

    /// Counts a reply. The type is the question's; 0 stands for a question that could not be parsed.
    pub fn query(&self, rtype: Rtype, transport: Transport, rcode: Rcode) {
        self.counters.queries.count(rtype, transport, rcode);
    }

    /// Counts a truncated reply: one that leaves out records of its answer section.
    pub fn truncated(&self, transport: Transport) {
        if let Some(count) = self.counters.truncated.get(transport as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a message or a connection that got no reply.
    pub fn dropped(&self, reason: DropReason) {
        if let Some(count) = self.counters.dropped.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an HTTP request that exceeded a limit.
    pub fn http_refused(&self, limit: ExceededLimit) {
        if let Some(count) = self.counters.http_refused.get(limit as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an accepted connection until the returned guard is dropped.
    pub fn open(&self, transport: Transport) -> OpenConnection<'_> {
        let count = self.counters.connections.get(transport as usize);
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        OpenConnection(count)
    }

    /// Counts a changed certificate: it is served from now on, or it was refused.
    pub fn certificate_read(&self, is_served: bool) {
        let count = if is_served { &self.counters.certificates_read } else { &self.counters.certificates_refused };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a write of the zone to the state folder. Returns whether the outcome differs from the previous write's.
    pub fn state_written(&self, is_written: bool) -> bool {
        let count = if is_written { &self.counters.states_written } else { &self.counters.states_failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.counters.is_state_failing.swap(!is_written, Ordering::Relaxed) == is_written
    }

    /// Counts an event that was sent to a subscriber.
    pub fn event_sent(&self) {
        self.counters.events_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an HTTP client that was dropped because it read too slowly.
    pub fn slow_reader(&self) {
        self.counters.slow_readers.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of HTTP clients that were dropped because they read too slowly.
    pub fn slow_readers(&self) -> u64 {
        self.counters.slow_readers.load(Ordering::Relaxed)
    }

    /// Counts a query whose processing panicked.
    pub fn panicked(&self) {
        self.counters.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of queries whose processing panicked.
    pub fn panics(&self) -> u64 {
        self.counters.panics.load(Ordering::Relaxed)
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

impl Collector for Counters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        families.gauges("build_info", "The version and the commit of the program", [(self.build, 1_u32)])?;
        families.counters("queries_total", "Replies to queries", self.queries.samples())?;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let truncated = Transport::ALL.iter().zip(&self.truncated);
        families.counters(
            "truncated_total",
            "Truncated replies: records of the answer section are left out",
            truncated.map(|(transport, count)| ([("transport", transport.to_string())], load(count))),
        )?;
        let dropped = DropReason::ALL.iter().zip(&self.dropped);
        families.counters(
            "dropped_total",
            "Messages and connections that got no reply",
            dropped.map(|(reason, count)| ([("reason", reason.label())], load(count))),
        )?;
        let refused = ExceededLimit::ALL.iter().zip(&self.http_refused);
        families.counters(
            "http_refused_total",
            "HTTP requests that were refused with 429 or 503 because they exceed a limit",
            refused.map(|(reason, count)| ([("reason", reason.label())], load(count))),
        )?;
        families.counter("events_sent_total", "Events that were sent to subscribers", load(&self.events_sent))?;
        let slow = load(&self.slow_readers);
        families.counter("slow_readers_total", "HTTP clients that were dropped because they read too slowly", slow)?;
        let panics = load(&self.panics);
        families.counter("panics_total", "Queries whose processing panicked, by a bug of this program", panics)?;
        let lost = load(&LOG_LINES_LOST);
        families.counter("log_lines_lost_total", "Log lines that could not be written", lost)?;
        let certificates = [("served", &self.certificates_read), ("refused", &self.certificates_refused)];
        families.counters(
            "certificate_reloads_total",
            "Reloads of a changed certificate and key",
            certificates.map(|(result, count)| ([("result", result)], load(count))),
        )?;
        let states = [("written", &self.states_written), ("failed", &self.states_failed)];
        families.counters(
            "state_writes_total",
            "Writes of the zone to --state-dir",
            states.map(|(result, count)| ([("result", result)], load(count))),
        )?;
        let connections =
            Transport::ALL.iter().zip(&self.connections).filter(|(transport, _)| **transport != Transport::Udp);
        families.gauges(
            "connections",
            "Open connections of DNS clients",
            connections
                .map(|(transport, count)| ([("transport", transport.to_string())], count.load(Ordering::Relaxed))),
        )
    }
}

#[cfg(test)]
mod tests;
