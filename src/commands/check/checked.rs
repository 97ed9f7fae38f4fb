//! What a check has looked at, by count.

use serde::Serialize;

use crate::commands::print::Table;
use crate::source::files::Kinds;
use crate::zones::{Listing, Zones};

/// What was looked at; none of a part that nothing names.
#[derive(Debug, Default, Serialize)]
pub(super) struct Checked {
    pub(super) configuration: Option<Configured>,
    pub(super) manifests: Option<Manifests>,
    pub(super) static_zones: Option<StaticZones>,
    pub(super) certificates: usize,
}

/// A configuration file.
#[derive(Debug, Serialize)]
pub(super) struct Configured {
    pub(super) files: usize,
    pub(super) profiles: usize,
}

/// Manifests.
#[derive(Debug, Serialize)]
pub(super) struct Manifests {
    pub(super) files: usize,
    pub(super) pods: usize,
    /// Of the Pods, those that carry a profile's label.
    pub(super) selected: usize,
    pub(super) registrations: usize,
    /// What is no Pod.
    pub(super) other_objects: usize,
    /// The same by kind.
    pub(super) other_kinds: Kinds,
}

/// A folder of static zones.
#[derive(Debug, Serialize)]
pub(super) struct StaticZones {
    pub(super) files: usize,
    pub(super) included_files: usize,
    /// Those that can be served.
    pub(super) zones: usize,
    /// Of these zones.
    pub(super) records: usize,
}

impl Manifests {
    /// That nothing was checked, where there is no Pod.
    pub(super) fn without_pods(&self) -> String {
        let found = match self.other_objects {
            0 => "there is no object in them".to_owned(),
            others => format!("there is no Pod in them, and {others} of other kinds, whose Pods the cluster makes"),
        };
        format!("manifests: nothing is checked: {found}")
    }
}

impl StaticZones {
    pub(super) fn of(zones: &Zones, listing: &Listing) -> StaticZones {
        let sets = zones.iter().chain(zones.overlay()).flat_map(|zone| zone.rrsets());
        StaticZones {
            files: listing.zone_files,
            included_files: listing.included_files,
            zones: zones.iter().chain(zones.overlay()).count(),
            records: sets.map(|(_, set)| set.records.len()).sum(),
        }
    }
}

impl Checked {
    /// One line for each kind of thing that was to be checked, even where there is none; empty where nothing was.
    pub(super) fn table(&self) -> String {
        let mut rows: Vec<(&str, usize)> = Vec::new();
        if let Some(Configured { files, profiles }) = self.configuration {
            rows.extend([("configuration files", files), ("profiles", profiles)]);
        }
        if let Some(manifests) = &self.manifests {
            let &Manifests { files, pods, selected, registrations, other_objects, other_kinds: _ } = manifests;
            rows.extend([("manifest files", files), ("Pods", pods), ("Pods with a profile's label", selected)]);
            rows.extend([("registrations", registrations), ("objects that are no Pods", other_objects)]);
        }
        if let Some(StaticZones { files, included_files, zones, records }) = self.static_zones {
            rows.extend([("zone files", files), ("files that they include", included_files)]);
            rows.extend([("zones", zones), ("records", records)]);
        }
        rows.extend((self.certificates > 0).then_some(("certificates", self.certificates)));
        let mut table = Table::new(&["CHECKED", "COUNT"]);
        rows.iter().for_each(|(what, count)| table.push([what, &count.to_string()]));
        let ignored = self.manifests.as_ref().map(|manifests| &manifests.other_kinds).filter(|kinds| kinds.total() > 0);
        let ignored = ignored.map(|kinds| format!("ignored: {kinds}\n")).unwrap_or_default();
        if rows.is_empty() { String::new() } else { format!("{table}{ignored}") }
    }
}
