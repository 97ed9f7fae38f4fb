//! The numbers that are read at the scrape: those of the zone and of the sources.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::Families;
use crate::answer;
use crate::snapshot::{Snapshot, Tally};
use crate::source::SourceId;

/// The state of a source at a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStats {
    /// A source of all namespaces has an empty `namespace` label.
    pub source: SourceId,
    /// It has committed its first list.
    pub is_synced: bool,
    /// Time since its last frame. `None` before the first.
    pub silence: Option<Duration>,
    /// Time since its published Pods were last known to be complete. `None` before its first whole list.
    pub age: Option<Duration>,
    /// How often its watch was reopened, by reason.
    pub restarts: Vec<(&'static str, u64)>,
    /// How many lists it finished, including the first.
    pub relists: u64,
    /// How many objects it could not read.
    pub skipped: u64,
}

#[derive(Debug)]
pub(super) struct Scrape {
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

impl Scrape {
    pub(super) fn new(snapshot: &Snapshot, sources: &[SourceStats], subscribers: usize) -> Scrape {
        Scrape {
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
        families.gauge("registrations", "Registrations that were decoded", *registrations)?;
        let refused = refused.iter().map(|(reason, count)| ([("reason", reason.kind())], *count));
        families.gauges("registrations_refused", "Registrations and annotations that were refused", refused)?;
        families.gauge("endpoints", "Published registrations", *endpoints)?;
        families.gauge("conflicts", "Registrations whose address and port another Pod holds", *conflicts)?;
        families.gauge(
            "malformed_protocols",
            "Registrations whose protocol is not valid in a name",
            *malformed_protocols,
        )?;
        let of = |all: u64, namespace: u64| [([("of", "all")], all), ([("of", "largest-namespace")], namespace)];
        let taken = of(*bytes, *namespace_bytes);
        families.gauges("zone_bytes", "Bytes that Pods cost, including those that the quotas keep out", taken)?;
        let bounds = of(self.bytes_max, self.namespace_bytes_max);
        families.gauges("zone_bytes_max", "The quota of callsign_zone_bytes", bounds)?;
        families.gauge("services", "Services that exist", self.services)?;
        families.gauge("pairs_withheld", "Metadata pairs that look like secrets and are not published", *withheld)?;
        families.gauge("pairs_left_out", "Metadata pairs whose key is not valid in a TXT record", *left_out)?;
        families.gauge("services_alias_only", "Services that have only their alias as a name", self.alias_only)?;
        families.gauge("names_hidden", "Names of Pods that the zone file hides with its own records", self.hidden)?;
        families.gauge("zone_serial", "The serial of the zone", self.serial)?;
        families.gauge("snapshot_revision", "The number of published snapshots", self.revision)?;
        families.gauge("subscribers", "Open event streams", self.subscribers)?;
        families.gauge("synced", "Whether every source has committed its first list", u32::from(self.is_synced))
    }

    fn encode_sources(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let sources = || self.sources.iter().map(|source| (labels(&source.source), source));
        families.gauges(
            "source_synced",
            "Whether the source has committed its first list",
            sources().map(|(labels, source)| (labels, u32::from(source.is_synced))),
        )?;
        families.gauges(
            "source_last_frame_seconds",
            "Seconds since the last frame from the source",
            sources().filter_map(|(labels, source)| Some((labels, source.silence?.as_secs_f64()))),
        )?;
        families.gauges(
            "source_age_seconds",
            "Seconds since the published Pods of the source were last known to be complete",
            sources().filter_map(|(labels, source)| Some((labels, source.age?.as_secs_f64()))),
        )?;
        families.counters(
            "source_restarts_total",
            "How often the watch was reopened",
            sources().flat_map(|(labels, source)| {
                source.restarts.iter().map(move |(reason, count)| ((labels, [("reason", *reason)]), *count))
            }),
        )?;
        families.counters(
            "source_relists_total",
            "Complete lists, including the first",
            sources().map(|(labels, source)| (labels, source.relists)),
        )?;
        families.counters(
            "source_skipped_total",
            "Objects that could not be read",
            sources().map(|(labels, source)| (labels, source.skipped)),
        )
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        self.encode_zone(&mut families)?;
        self.encode_sources(&mut families)
    }
}

/// The number of label sets is bounded by the configuration: one source per profile and namespace.
fn labels(source: &SourceId) -> [(&'static str, &str); 3] {
    let SourceId { cluster, profile, namespace } = source;
    [("cluster", cluster), ("profile", profile), ("namespace", namespace.as_deref().unwrap_or_default())]
}
