//! What a snapshot changes: first the names that may answer otherwise, then those that do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::diff::{PodDiff, ServiceDiff};
use crate::name::{Alias, Service};
use crate::snapshot::{Endpoint, PodKey, PodRecord, PodSlot, Refused, SetFacts};

/// What a snapshot changes compared to the one before it. Empty if the one before was not synced.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// The Pods whose records changed.
    pub pods: BTreeMap<PodSlot, PodChange>,
    /// The services whose answers changed. For one Pod these are the services whose own sets changed, or if none did,
    /// the services whose DNS-SD instances changed.
    pub services: BTreeMap<ServiceId, SetChange>,
    /// The addresses whose forward or reverse names changed.
    pub addresses: BTreeSet<IpAddr>,
    /// A Pod's own name appeared or disappeared.
    pub is_named_anew: bool,
}

/// A Pod in two snapshots.
#[derive(Clone, Debug)]
pub struct PodChange {
    /// Its earlier record. `None` if it is new.
    pub before: Option<Arc<PodRecord>>,
    /// Its later record. `None` if it is gone.
    pub after: Option<Arc<PodRecord>>,
    /// The services whose endpoints subscribers see differently. Some may come twice.
    pub services: Vec<Arc<Service>>,
}

/// A service's own set in two snapshots.
#[derive(Clone, Debug)]
pub struct SetChange {
    /// `None` if no Pod registered the service.
    pub before: Option<Arc<SetFacts>>,
    /// `None` if no Pod registers it any more.
    pub after: Option<Arc<SetFacts>>,
}

/// A service's alias and namespace. The alias comes first, because it distinguishes nearly all.
pub type ServiceId = (Alias, Arc<str>);

/// The names that may answer otherwise than in the last snapshot, because of the Pods that changed since.
#[derive(Default)]
pub(super) struct DirtyNames {
    pub pods: BTreeMap<PodSlot, PodChange>,
    pub services: BTreeMap<ServiceId, DirtyService>,
    /// The names of Pods.
    pub keys: BTreeSet<PodKey>,
    /// Targets, and addresses with reverse names.
    pub addresses: BTreeSet<IpAddr>,
}

/// A service that may answer otherwise.
pub(super) struct DirtyService {
    /// Its own set in the last snapshot.
    pub before: Option<Arc<SetFacts>>,
    /// The endpoints that came, went or changed. Their targets are those to compare.
    pub endpoints: SmallVec<[Endpoint; 2]>,
}

impl Difference {
    /// Whether an answer changed.
    pub fn is_visible(&self) -> bool {
        !self.services.is_empty() || !self.addresses.is_empty() || self.is_named_anew
    }
}

impl PodChange {
    /// The refusals that are not in the earlier record.
    pub fn new_refusals(&self) -> impl Iterator<Item = Refused> {
        let is_same = |old: &PodRecord, new: &PodRecord| (old.uid(), &old.cluster) == (new.uid(), &new.cluster);
        let old = self.before.as_ref().filter(|old| self.after.as_ref().is_some_and(|new| is_same(old, new)));
        let known: BTreeSet<Refused> = old.into_iter().flat_map(|old| old.refusals()).collect();
        let refused = self.after.iter().flat_map(|new| new.refusals());
        refused.filter(move |refused| !known.contains(refused))
    }
}

impl DirtyNames {
    /// Adds a Pod's change. Its names are marked where their facts are changed.
    pub fn mark_pod(&mut self, diff: &PodDiff<'_>) {
        let first = || PodChange { before: diff.old.cloned(), after: None, services: Vec::new() };
        let change = self.pods.entry(diff.slot).or_insert_with(first);
        change.after = diff.new.cloned();
        change.services.extend(diff.services.iter().filter(|diff| diff.is_seen).map(|diff| diff.service.clone()));
    }

    /// Adds a service. `before` is its own set, which the change has not reached yet.
    pub fn mark_service(&mut self, diff: &ServiceDiff<'_>, before: Option<&Arc<SetFacts>>) {
        let first = || DirtyService { before: before.cloned(), endpoints: SmallVec::new() };
        let id = (diff.service.alias, diff.service.namespace.clone());
        self.services.entry(id).or_insert_with(first).endpoints.extend(diff.endpoints());
    }
}
