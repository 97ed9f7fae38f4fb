//! Every metric in one struct. What a query costs here is one addition to one atomic number.
//!
//! Counters live here; what the zone and the sources know of themselves is read from them at the scrape.
//!
//! The text is Prometheus' own format 0.0.4, which every scraper and `promtool check metrics` read, and not the
//! OpenMetrics that the library writes by itself: there a counter's family lacks the `_total` of its samples.

mod families;
mod labels;
mod queries;
mod state;

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
pub use labels::{Beyond, Dropped, Transport};
use queries::Queries;
pub use state::SourceStats;
use state::State;

/// The media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What every name starts with.
const PREFIX: &str = "callsign";

/// Seconds from an event's receipt to the snapshot that shows it: from what one change should take to what nobody
/// should wait for.
const EVENT_LAG_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Lines of the log that could not be written. They are the process's, as the log is.
pub static LOG_LINES_LOST: AtomicU64 = AtomicU64::new(0);

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    counters: Arc<Counters>,
    event_lag: Histogram,
    registry: Registry,
}

/// A connection that counts.
#[derive(Debug)]
pub struct Open<'m>(Option<&'m AtomicI64>);

impl Drop for Open<'_> {
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
    dropped: [AtomicU64; Dropped::ALL.len()],
    http_refused: [AtomicU64; Beyond::ALL.len()],
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
    /// Metrics that all stand at zero, of a program of this version and commit.
    pub fn new(version: &'static str, commit: &'static str) -> Metrics {
        let counters = Arc::new(Counters { build: [("version", version), ("commit", commit)], ..Counters::default() });
        let event_lag = Histogram::new(EVENT_LAG_BUCKETS);
        let mut registry = Registry::with_prefix(PREFIX);
        let help = "Seconds from the receipt of an event's bytes to the zone that shows it, after the first sync";
        registry.register("event_lag_seconds", help, event_lag.clone());
        registry.register_collector(Box::new(counters.clone()));
        Metrics { counters, event_lag, registry }
    }

    /// Counts a reply to a question of this type; type 0, which nobody can ask for, stands for one that was not
    /// readable.
    pub fn query(&self, rtype: Rtype, transport: Transport, rcode: Rcode) {
        self.counters.queries.count(rtype, transport, rcode);
    }

    /// Counts a reply that left out records of its answer.
    pub fn cut(&self, transport: Transport) {
        if let Some(count) = self.counters.truncated.get(transport as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts what got no reply.
    pub fn dropped(&self, reason: Dropped) {
        if let Some(count) = self.counters.dropped.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an HTTP request that a bound was reached for.
    pub fn http_refused(&self, beyond: Beyond) {
        if let Some(count) = self.counters.http_refused.get(beyond as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection was taken, and counts until this is dropped.
    pub fn open(&self, transport: Transport) -> Open<'_> {
        let count = self.counters.connections.get(transport as usize);
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Open(count)
    }

    /// A changed certificate and its key were read, and are served from now on or were refused.
    pub fn certificate_read(&self, is_served: bool) {
        let count = if is_served { &self.counters.certificates_read } else { &self.counters.certificates_refused };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The zone was written to the state's folder, or was not; whether that is otherwise than the last time.
    pub fn state_written(&self, is_written: bool) -> bool {
        let count = if is_written { &self.counters.states_written } else { &self.counters.states_failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.counters.is_state_failing.swap(!is_written, Ordering::Relaxed) == is_written
    }

    /// A subscriber was sent an event.
    pub fn event_sent(&self) {
        self.counters.events_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// An HTTP reader was dropped because it did not keep up.
    pub fn slow_reader(&self) {
        self.counters.slow_readers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many HTTP readers were dropped because they did not keep up.
    pub fn slow_readers(&self) -> u64 {
        self.counters.slow_readers.load(Ordering::Relaxed)
    }

    /// A query was given up in the middle, by a mistake of ours.
    pub fn panicked(&self) {
        self.counters.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// How many queries were given up in the middle.
    pub fn panics(&self) -> u64 {
        self.counters.panics.load(Ordering::Relaxed)
    }

    /// How long an event took from its receipt to the published snapshot.
    pub fn observe_event_lag(&self, lag: Duration) {
        self.event_lag.observe(lag.as_secs_f64());
    }

    /// All metrics as text, of [`CONTENT_TYPE`].
    pub fn encode(&self, snapshot: &Snapshot, sources: &[SourceStats], subscribers: usize) -> String {
        self.encode_with(State::new(snapshot, sources, subscribers))
    }

    fn encode_with(&self, state: State) -> String {
        let mut scraped = Registry::with_prefix(PREFIX);
        scraped.register_collector(Box::new(state));
        let mut text = String::new();
        // A String takes everything.
        let result = encode_registry(&mut text, &self.registry).and_then(|()| encode_registry(&mut text, &scraped));
        debug_assert!(result.is_ok());
        text
    }
}

impl Collector for Counters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        families.gauges("build_info", "What this program was built from", [(self.build, 1_u32)])?;
        families.counters("queries_total", "Queries that were answered", self.queries.samples())?;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let truncated = Transport::ALL.iter().zip(&self.truncated);
        families.counters(
            "truncated_total",
            "Replies that left out records of their answer",
            truncated.map(|(transport, count)| ([("transport", transport.to_string())], load(count))),
        )?;
        let dropped = Dropped::ALL.iter().zip(&self.dropped);
        families.counters(
            "dropped_total",
            "Messages and connections that got no reply",
            dropped.map(|(reason, count)| ([("reason", reason.label())], load(count))),
        )?;
        let refused = Beyond::ALL.iter().zip(&self.http_refused);
        families.counters(
            "http_refused_total",
            "HTTP requests that were refused with 429 or 503 since a bound was reached",
            refused.map(|(reason, count)| ([("reason", reason.label())], load(count))),
        )?;
        families.counter("events_sent_total", "Events that subscribers were sent", load(&self.events_sent))?;
        let slow = load(&self.slow_readers);
        families.counter("slow_readers_total", "HTTP readers that were dropped because they did not keep up", slow)?;
        let panics = load(&self.panics);
        families.counter(
            "panics_total",
            "Queries that were given up in the middle, by a mistake of this program",
            panics,
        )?;
        let lost = load(&LOG_LINES_LOST);
        families.counter("log_lines_lost_total", "Lines of the log that could not be written", lost)?;
        let certificates = [("served", &self.certificates_read), ("refused", &self.certificates_refused)];
        families.counters(
            "certificate_reloads_total",
            "Certificates and keys that were read because they had changed",
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
            "Connections of DNS clients that are open",
            connections
                .map(|(transport, count)| ([("transport", transport.to_string())], count.load(Ordering::Relaxed))),
        )
    }
}

#[cfg(test)]
mod tests;
