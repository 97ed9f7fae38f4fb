//! What is read at the scrape: how much the zone holds, and how the sources are.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::Families;
use crate::snapshot::{Snapshot, Tally};
use crate::source::SourceId;

/// How a source is at the moment of a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStats {
    /// Which one; a source of all namespaces has an empty `namespace` label.
    pub source: SourceId,
    /// It has told all that it has, once at least.
    pub is_synced: bool,
    /// How long nothing has come from it; none while nothing has come at all.
    pub silence: Option<Duration>,
    /// How often its watch was opened again, by reason.
    pub restarts: Vec<(&'static str, u64)>,
    /// How many lists it finished, the first one included.
    pub relists: u64,
    /// How many objects it could not read.
    pub skipped: u64,
}

/// The state at one scrape.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tally: Tally,
    pub(super) services: usize,
    pub(super) serial: u32,
    pub(super) revision: u64,
    pub(super) is_synced: bool,
    pub(super) sources: Vec<SourceStats>,
}

impl State {
    /// Copies the numbers out of a snapshot.
    pub(super) fn new(snapshot: &Snapshot, sources: &[SourceStats]) -> State {
        State {
            tally: snapshot.tally.clone(),
            services: snapshot.service_count(),
            serial: snapshot.serial,
            revision: snapshot.revision,
            is_synced: snapshot.is_synced,
            sources: sources.to_vec(),
        }
    }

    fn encode_zone(&self, encoder: &mut Families<'_, '_>) -> fmt::Result {
        let Tally { pods, registrations, endpoints, conflicts, malformed_protocols, alias_only, refused } = &self.tally;
        encoder.gauge("pods", "Pods that carry a profile's label", *pods)?;
        encoder.gauge("registrations", "Registrations that were read", *registrations)?;
        let refused = refused.iter().map(|(reason, count)| ([("reason", reason.kind())], *count as f64));
        encoder.gauges("registrations_refused", "Registrations and annotations that were refused", None, refused)?;
        encoder.gauge("endpoints", "Registrations among the answers", *endpoints)?;
        encoder.gauge("conflicts", "Registrations at an address and port of another Pod", *conflicts)?;
        encoder.gauge("malformed_protocols", "Registrations whose protocol has no name", *malformed_protocols)?;
        encoder.gauge("services", "Services that exist", self.services)?;
        encoder.gauge("services_alias_only", "Services that have their alias alone", *alias_only)?;
        encoder.gauge("zone_serial", "The serial of the zone", self.serial)?;
        encoder.gauge("snapshot_revision", "Counts the snapshots that were published", self.revision)?;
        encoder.gauge("synced", "Whether every source has told all that it has, once", u32::from(self.is_synced))
    }

    fn encode_sources(&self, encoder: &mut Families<'_, '_>) -> fmt::Result {
        let sources = || self.sources.iter().map(|source| (labels(&source.source), source));
        encoder.gauges(
            "source_synced",
            "Whether the source has told all that it has, once",
            None,
            sources().map(|(labels, source)| (labels, f64::from(u8::from(source.is_synced)))),
        )?;
        encoder.gauges(
            "source_last_frame",
            "Seconds since anything came from the source",
            Some(&Unit::Seconds),
            sources().filter_map(|(labels, source)| Some((labels, source.silence?.as_secs_f64()))),
        )?;
        encoder.counters(
            "source_restarts",
            "How often the watch was opened again",
            sources().flat_map(|(labels, source)| {
                source.restarts.iter().map(move |(reason, count)| ((labels, [("reason", *reason)]), *count))
            }),
        )?;
        encoder.counters(
            "source_relists",
            "Lists that were whole, the first one included",
            sources().map(|(labels, source)| (labels, source.relists)),
        )?;
        encoder.counters(
            "source_skipped",
            "Objects that could not be read",
            sources().map(|(labels, source)| (labels, source.skipped)),
        )
    }
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut encoder = Families(&mut encoder);
        self.encode_zone(&mut encoder)?;
        self.encode_sources(&mut encoder)
    }
}

/// Bounded by what is configured: a source for each profile and namespace.
fn labels(source: &SourceId) -> [(&'static str, &str); 3] {
    let SourceId { cluster, profile, namespace } = source;
    [("cluster", cluster), ("profile", profile), ("namespace", namespace.as_deref().unwrap_or_default())]
}
