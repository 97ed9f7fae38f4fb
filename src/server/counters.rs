//! The counters of the servers: queries, and messages and connections without a reply.

mod queries;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::{DropReason, Transport};
use crate::dns::{Rcode, Rtype};
use crate::metrics::{Counts, Families};
use queries::Queries;

/// The numbers that the servers count. A query costs one addition to one atomic counter.
#[derive(Debug, Default)]
pub struct ServerCounters {
    queries: Queries,
    truncated: Counts<{ Transport::ALL.len() }>,
    dropped: Counts<{ DropReason::ALL.len() }>,
    connections: Counts<{ Transport::ALL.len() }>,
    certificates_read: AtomicU64,
    certificates_refused: AtomicU64,
    panics: AtomicU64,
}

/// Counts one open connection until it is dropped.
#[derive(Debug)]
pub struct OpenConnection<'c>(&'c ServerCounters, Transport);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connections.subtract(self.1 as usize);
    }
}

impl ServerCounters {
    /// Counts a reply. The type is the question's; 0 stands for a question that could not be parsed.
    pub fn query(&self, rtype: Rtype, transport: Transport, rcode: Rcode) {
        self.queries.count(rtype, transport, rcode);
    }

    /// Counts a truncated reply: one that leaves out records of its answer section.
    pub fn truncated(&self, transport: Transport) {
        self.truncated.add(transport as usize);
    }

    /// Counts a message or a connection that got no reply.
    pub fn dropped(&self, reason: DropReason) {
        self.dropped.add(reason as usize);
    }

    /// Counts an accepted connection until the returned guard is dropped.
    pub fn open(&self, transport: Transport) -> OpenConnection<'_> {
        self.connections.add(transport as usize);
        OpenConnection(self, transport)
    }

    /// Counts a changed certificate: it is served from now on, or it was refused.
    pub fn certificate_read(&self, is_served: bool) {
        let count = if is_served { &self.certificates_read } else { &self.certificates_refused };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a query whose processing panicked.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of queries whose processing panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

impl Collector for ServerCounters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        families.counters("queries_total", "Replies to queries", self.queries.samples())?;
        families.counters(
            "truncated_total",
            "Truncated replies: records of the answer section are left out",
            self.truncated.samples("transport", Transport::ALL.map(Transport::label)),
        )?;
        families.counters(
            "dropped_total",
            "Messages and connections that got no reply",
            self.dropped.samples("reason", DropReason::ALL.map(DropReason::label)),
        )?;
        families.counter(
            "panics_total",
            "Queries whose processing panicked, by a bug of this program",
            self.panics(),
        )?;
        let certificates = [("served", &self.certificates_read), ("refused", &self.certificates_refused)];
        families.counters(
            "certificate_reloads_total",
            "Reloads of a changed certificate and key",
            certificates.map(|(result, count)| ([("result", result)], load(count))),
        )?;
        let connections = self.connections.samples("transport", Transport::ALL.map(Transport::label));
        let connections = Transport::ALL.into_iter().zip(connections);
        families.gauges(
            "connections",
            "Open connections of DNS clients",
            connections.filter(|(transport, _)| *transport != Transport::Udp).map(|(_, sample)| sample),
        )
    }
}
