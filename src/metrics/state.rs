//! What is read at the scrape: how much the zone holds, and how the sources are.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::Families;
use crate::answer;
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
    /// How long ago what is shown of it was known to be whole; none while there was no whole list.
    pub age: Option<Duration>,
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
    pub(super) bytes_max: u64,
    pub(super) namespace_bytes_max: u64,
    pub(super) services: usize,
    pub(super) alias_only: usize,
    pub(super) hidden: usize,
    pub(super) serial: u32,
    pub(super) revision: u64,
    pub(super) is_synced: bool,
    pub(super) sources: Vec<SourceStats>,
    pub(super) subscribers: usize,
}

impl State {
    /// Copies the numbers out of a snapshot.
    pub(super) fn new(snapshot: &Snapshot, sources: &[SourceStats], subscribers: usize) -> State {
        State {
            tally: snapshot.tally.clone(),
            bytes_max: snapshot.settings.bytes_max,
            namespace_bytes_max: snapshot.settings.namespace_bytes_max,
            services: snapshot.service_count(),
            alias_only: snapshot.alias_only_count(),
            hidden: answer::hidden_by_file(snapshot),
            serial: snapshot.serial,
            revision: snapshot.revision,
            is_synced: snapshot.is_synced,
            sources: sources.to_vec(),
            subscribers,
        }
    }

    fn encode_zone(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let Tally { pods, registrations, endpoints, conflicts, malformed_protocols, .. } = &self.tally;
        let Tally { withheld, left_out, bytes, namespace_bytes, refused, .. } = &self.tally;
        families.gauge("pods", "Pods that carry a profile's label", *pods)?;
        families.gauge("registrations", "Registrations that were read", *registrations)?;
        let refused = refused.iter().map(|(reason, count)| ([("reason", reason.kind())], *count));
        families.gauges("registrations_refused", "Registrations and annotations that were refused", refused)?;
        families.gauge("endpoints", "Registrations among the answers", *endpoints)?;
        families.gauge("conflicts", "Registrations at an address and port of another Pod", *conflicts)?;
        families.gauge("malformed_protocols", "Registrations whose protocol has no name", *malformed_protocols)?;
        let of = |all: u64, namespace: u64| [([("of", "all")], all), ([("of", "largest-namespace")], namespace)];
        let taken = of(*bytes, *namespace_bytes);
        families.gauges("zone_bytes", "What Pods cost in memory, with those that are kept out of it", taken)?;
        let bounds = of(self.bytes_max, self.namespace_bytes_max);
        families.gauges("zone_bytes_max", "The bound of that", bounds)?;
        families.gauge("services", "Services that exist", self.services)?;
        families.gauge("pairs_withheld", "Pairs of registrations that look like secrets", *withheld)?;
        families.gauge(
            "pairs_left_out",
            "Pairs of registrations whose key cannot be one of a TXT record",
            *left_out,
        )?;
        families.gauge("services_alias_only", "Services that have their alias alone", self.alias_only)?;
        families.gauge("names_hidden", "Names of Pods that the zone's own file has for itself", self.hidden)?;
        families.gauge("zone_serial", "The serial of the zone", self.serial)?;
        families.gauge("snapshot_revision", "Counts the snapshots that were published", self.revision)?;
        families.gauge("subscribers", "Streams of events that are open", self.subscribers)?;
        families.gauge("synced", "Whether every source has told all that it has, once", u32::from(self.is_synced))
    }

    fn encode_sources(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let sources = || self.sources.iter().map(|source| (labels(&source.source), source));
        families.gauges(
            "source_synced",
            "Whether the source has told all that it has, once",
            sources().map(|(labels, source)| (labels, u32::from(source.is_synced))),
        )?;
        families.gauges(
            "source_last_frame_seconds",
            "Seconds since anything came from the source",
            sources().filter_map(|(labels, source)| Some((labels, source.silence?.as_secs_f64()))),
        )?;
        families.gauges(
            "source_age_seconds",
            "Seconds since what is shown of the source was known to be whole",
            sources().filter_map(|(labels, source)| Some((labels, source.age?.as_secs_f64()))),
        )?;
        families.counters(
            "source_restarts_total",
            "How often the watch was opened again",
            sources().flat_map(|(labels, source)| {
                source.restarts.iter().map(move |(reason, count)| ((labels, [("reason", *reason)]), *count))
            }),
        )?;
        families.counters(
            "source_relists_total",
            "Lists that were whole, the first one included",
            sources().map(|(labels, source)| (labels, source.relists)),
        )?;
        families.counters(
            "source_skipped_total",
            "Objects that could not be read",
            sources().map(|(labels, source)| (labels, source.skipped)),
        )
    }
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        self.encode_zone(&mut families)?;
        self.encode_sources(&mut families)
    }
}

/// Bounded by what is configured: a source for each profile and namespace.
fn labels(source: &SourceId) -> [(&'static str, &str); 3] {
    let SourceId { cluster, profile, namespace } = source;
    [("cluster", cluster), ("profile", profile), ("namespace", namespace.as_deref().unwrap_or_default())]
}
