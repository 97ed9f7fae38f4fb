//! A zone whose changes are sent as a writer applies them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use callsign::dns::Name;
use callsign::index::{Index, Now};
use callsign::snapshot::{Snapshot, TxtKeys, ZoneSettings};
use callsign::source::{Change, Pod, SourceId};
use callsign::zones::Zones;

/// The number of events that the writer applies at once.
const BATCH: usize = 256;

pub(super) const ZONE: &str = "rpc.cluster.local.";

/// An index with Pods, and its snapshot.
pub(crate) struct Zone {
    index: Index,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(super) steps: u64,
    /// The number of list changes sent.
    told: usize,
}

impl Zone {
    /// A zone whose source has sent nothing yet.
    pub(crate) fn empty() -> Zone {
        let settings = Arc::new(settings());
        let zones = Arc::new(Zones::none(settings.origin.clone()));
        let snapshot = Arc::new(Snapshot::empty(settings.clone(), zones.clone()));
        let index = Index::new(settings, zones, vec![source()]);
        Zone { index, snapshot, steps: 0, told: 0 }
    }

    /// Sends a whole list in batches, as the writer applies it.
    pub(crate) fn list(&mut self, pods: impl IntoIterator<Item = Pod>) {
        self.take_in(Change::Begin);
        pods.into_iter().for_each(|pod| self.take_in(Change::Apply(Box::new(pod))));
        self.take_in(Change::Commit);
    }

    /// Sends one change of a list.
    pub(crate) fn take_in(&mut self, change: Change) {
        let is_end = matches!(change, Change::Commit);
        self.send(change);
        self.told += 1;
        if is_end || self.told.is_multiple_of(BATCH) {
            self.publish();
        }
    }

    pub(super) fn send(&mut self, change: Change) {
        self.index.apply(&source(), change);
    }

    pub(super) fn publish(&mut self) {
        self.steps += 1;
        let now = Now { monotonic: Duration::from_secs(self.steps), wall_eighths: 8 * self.steps as u32 };
        if let Some((snapshot, _)) = self.index.publish(now) {
            self.snapshot = snapshot;
        }
    }
}

pub(crate) fn source() -> SourceId {
    SourceId { cluster: "main".into(), profile: "dubbo".into(), namespace: None }
}

pub(crate) fn settings() -> ZoneSettings {
    let origin: Name = ZONE.parse().expect("a name");
    let ns: Name = format!("ns.{ZONE}").parse().expect("a name");
    let keys = ["weight", "serialization", "release", "region", "zone", "environment", "tag"];
    ZoneSettings {
        ttl: 5,
        negative_ttl: 5,
        ns_addresses: [(ns.key(), vec![IpAddr::from([192, 0, 2, 1])])].into(),
        ns: vec![ns],
        rname: format!("hostmaster.{ZONE}").parse().expect("a name"),
        reverse: [].into(),
        txt_keys: TxtKeys::Only(keys.map(str::to_owned).to_vec()),
        publish_not_ready: false,
        trust_addresses: false,
        namespace_bytes_max: u64::MAX,
        bytes_max: u64::MAX,
        key: origin.key(),
        labels: origin.label_count(),
        origin,
    }
}
