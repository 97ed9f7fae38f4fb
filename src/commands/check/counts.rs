//! Counts what a check has looked at.

use serde::Serialize;

use crate::commands::print::TextTable;
use crate::source::files::Kinds;
use crate::zones::{ZoneListing, Zones};

/// The counts. A part is `None` if no option names it.
#[derive(Debug, Default, Serialize)]
pub(super) struct CheckCounts {
    pub(super) configuration: Option<ConfigCounts>,
    pub(super) manifests: Option<ManifestCounts>,
    pub(super) static_zones: Option<ZoneCounts>,
    pub(super) certificates: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct ConfigCounts {
    pub(super) files: usize,
    pub(super) profiles: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct ManifestCounts {
    pub(super) files: usize,
    pub(super) pods: usize,
    /// The Pod templates of workloads.
    pub(super) templates: usize,
    /// The Pods and Pod templates with a profile's label.
    pub(super) selected: usize,
    pub(super) registrations: usize,
    /// Objects that are neither Pods nor workloads.
    pub(super) other_objects: usize,
    /// The same objects by kind.
    pub(super) other_kinds: Kinds,
}

#[derive(Debug, Serialize)]
pub(super) struct ZoneCounts {
    pub(super) files: usize,
    pub(super) included_files: usize,
    /// The zones that can be served.
    pub(super) zones: usize,
    /// The records of these zones.
    pub(super) records: usize,
}

impl ManifestCounts {
    /// The mistake of manifests without any Pod.
    pub(super) fn without_pods(&self) -> String {
        let found = match self.other_objects {
            0 => "they have no objects".to_owned(),
            others => format!("they have no Pods and no Pod templates, but {others} objects of other kinds"),
        };
        format!("manifests: nothing is checked: {found}")
    }
}

impl ZoneCounts {
    pub(super) fn of(zones: &Zones, listing: &ZoneListing) -> ZoneCounts {
        let sets = zones.iter().chain(zones.overlay()).flat_map(|zone| zone.rrsets());
        ZoneCounts {
            files: listing.zone_files,
            included_files: listing.included_files,
            zones: zones.iter().chain(zones.overlay()).count(),
            records: sets.map(|(_, set)| set.records.len()).sum(),
        }
    }
}

impl CheckCounts {
    /// One line for each kind of thing to check, even if its count is 0. Empty if there was nothing to check.
    pub(super) fn table(&self) -> String {
        let mut rows: Vec<(&str, usize)> = Vec::new();
        if let Some(ConfigCounts { files, profiles }) = self.configuration {
            rows.extend([("configuration files", files), ("profiles", profiles)]);
        }
        if let Some(manifests) = &self.manifests {
            let &ManifestCounts { files, pods, templates, selected, registrations, other_objects, other_kinds: _ } =
                manifests;
            rows.extend([("manifest files", files), ("Pods", pods), ("Pod templates", templates)]);
            rows.extend([("Pods with a profile's label", selected), ("registrations", registrations)]);
            rows.push(("other objects", other_objects));
        }
        if let Some(ZoneCounts { files, included_files, zones, records }) = self.static_zones {
            rows.extend([("zone files", files), ("files that they include", included_files)]);
            rows.extend([("zones", zones), ("records", records)]);
        }
        rows.extend((self.certificates > 0).then_some(("certificates", self.certificates)));
        let mut table = TextTable::new(&["CHECKED", "COUNT"]);
        rows.iter().for_each(|(what, count)| table.push([what, &count.to_string()]));
        let ignored = self.manifests.as_ref().map(|manifests| &manifests.other_kinds).filter(|kinds| kinds.total() > 0);
        let ignored = ignored.map(|kinds| format!("ignored: {kinds}\n")).unwrap_or_default();
        if rows.is_empty() { String::new() } else { format!("{table}{ignored}") }
    }
}
