//! The zone at one moment: immutable, and cheap to derive from the previous one.
//!
//! A snapshot holds facts, not names. A service has some twenty owner names. The snapshot stores only that the service
//! exists, under the few keys that select its natural names. Every other name follows from the service, its Pods and
//! their addresses. The maps are persistent: a change copies the path to what it touches and shares the rest with all
//! earlier snapshots.

mod cost;
mod endpoints;
mod instances;
mod keys;
mod metadata_view;
mod names;
mod pod_record;
mod published_zone;
mod set;
mod table;
mod zone_settings;

use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use smallvec::SmallVec;

use crate::dns::{Key, Name, NamePath, Rtype};
use crate::name::{self, NameSelector, Service, ServiceName, TargetLabel};
use crate::zones::{Lookup, Zone, Zones};

pub use endpoints::{Endpoint, EndpointParts, Endpoints, PodSlot, hash, order_seed};
pub use instances::{Instance, InstanceLabel};
pub use keys::{PodKey, PodKeyRef, ServiceKeyRef, SetKey, SetKeyRef};
pub use metadata_view::{CommonMetadata, MetadataView, Overrides, OwnValues, Pairs, Template};
pub(crate) use names::{Names, SetFacts, SetSlot};
pub use pod_record::{Addresses, KeptOut, OwnDetails, PodRecord, RareFields, Refused, Registered, Repeated, Standing};
pub use published_zone::{Freshness, PublishedZone, SharedFreshness};
pub use set::{Member, Set};
pub(crate) use table::Table;
pub use zone_settings::{
    DEFAULT_BYTES_MAX, DEFAULT_NAMESPACE_BYTES_MAX, DEFAULT_TTL, DEFAULT_TXT_KEYS, DEFAULT_ZONE, SOA_EXPIRE,
    SOA_REFRESH, SOA_RETRY, TxtKeys, ZoneSettings,
};

/// Everything that answers are made from.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The operator's settings.
    pub settings: Arc<ZoneSettings>,
    /// The static zones.
    pub zones: Arc<Zones>,
    /// Every source has committed a list at least once.
    pub is_synced: bool,
    /// Set if this zone was saved by an earlier run: the Unix time, in seconds, when the sources were last known to be
    /// whole.
    pub heard_at: Option<u64>,
    /// The SOA's serial (RFC 1982). It moves only if an answer changes.
    pub serial: u32,
    /// Increases with every snapshot that differs in anything, even in what DNS does not show.
    pub revision: u64,
    /// Counts over the whole snapshot.
    pub tally: Tally,
    pub(crate) names: Names,
    pub(crate) pods: imbl::Vector<Option<Arc<PodRecord>>>,
    /// For each target that owns more addresses than the one in its name: all of its addresses, in order.
    pub(crate) wide_targets: OrdMap<IpAddr, Box<[IpAddr]>>,
    /// The Pods that PTR records point to.
    pub(crate) pointers: OrdSet<(IpAddr, PodSlot)>,
}

/// A service that at least one Pod registers.
#[derive(Clone, Copy, Debug)]
pub struct ServiceFacts<'s> {
    /// The service's name parts.
    pub service: &'s Arc<Service>,
    /// Its registrations, over all Pods.
    pub set: &'s Set,
}

/// Counts over the snapshot. Each change updates them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pods that carry a profile's label.
    pub pods: usize,
    /// Registrations that were decoded.
    pub registrations: usize,
    /// Registrations that are published.
    pub endpoints: usize,
    /// Registrations with an address that another Pod holds.
    pub conflicts: usize,
    /// Registrations whose protocol cannot be a label.
    pub malformed_protocols: usize,
    /// Metadata pairs that were withheld because they look like secrets.
    pub withheld: usize,
    /// Metadata pairs that were left out because their key cannot be a TXT key.
    pub left_out: usize,
    /// What all Pods cost in memory, in bytes, including those that a quota keeps out.
    pub bytes: u64,
    /// What the most expensive namespace costs, in bytes.
    pub namespace_bytes: u64,
    /// Refused registrations and annotations, by reason.
    pub refused: std::collections::BTreeMap<crate::registration::Reason, usize>,
}

/// Whether a name exists.
#[derive(Clone, Copy, Debug)]
pub enum Found<T> {
    /// It exists and stands for this.
    Here(T),
    /// It is an empty non-terminal: names exist below it, and it has no records (RFC 8020).
    Between,
    /// Neither it nor a name below it exists.
    Missing,
}

/// How many steps of a walk `in_blocks` takes at once.
const BLOCK_LEN: usize = 16;

/// Maps a walk over scattered memory, one block at a time. The processor then fetches the cache lines of a block's
/// steps together, not one after the other.
pub(crate) fn in_blocks<T, U>(
    mut items: impl Iterator<Item = T>,
    map: impl Fn(T) -> Option<U>,
) -> impl Iterator<Item = U> {
    let mut block = SmallVec::<[U; BLOCK_LEN]>::new().into_iter();
    std::iter::from_fn(move || {
        loop {
            if let Some(mapped) = block.next() {
                return Some(mapped);
            }
            let taken: SmallVec<[T; BLOCK_LEN]> = items.by_ref().take(BLOCK_LEN).collect();
            if taken.is_empty() {
                return None;
            }
            block = taken.into_iter().filter_map(&map).collect::<SmallVec<_>>().into_iter();
        }
    })
}

impl Snapshot {
    /// The zone before any source has sent a Pod.
    pub fn empty(settings: Arc<ZoneSettings>, zones: Arc<Zones>) -> Snapshot {
        Snapshot {
            settings,
            zones,
            is_synced: false,
            heard_at: None,
            serial: 0,
            revision: 0,
            tally: Tally::default(),
            names: Names::default(),
            pods: imbl::Vector::new(),
            wide_targets: OrdMap::new(),
            pointers: OrdSet::new(),
        }
    }

    /// What a service's name selects.
    pub fn service(&self, namespace: &[u8], name: &ServiceName<'_>) -> Found<Selected<'_>> {
        match *name {
            ServiceName::Alias(alias) => {
                let slot = self.names.alias(namespace, alias);
                match slot.and_then(|slot| self.names.sets.get(slot)) {
                    Some(facts) => {
                        let has_instances = facts.services.iter().all(|service| !service.is_natural());
                        Found::Here(Selected { services: &facts.services, set: &facts.set, has_instances })
                    }
                    None => Found::Missing,
                }
            }
            ServiceName::Natural { group, version, interface } => {
                self.natural(SetKeyRef { namespace, group, version, interface })
            }
        }
    }

    fn natural(&self, key: SetKeyRef<'_>) -> Found<Selected<'_>> {
        match self.names.natural(&key).and_then(|slot| self.names.sets.get(slot)) {
            Some(facts) => {
                let has_instances = key.group == NameSelector::Any && key.version == NameSelector::Any;
                Found::Here(Selected { services: &facts.services, set: &facts.set, has_instances })
            }
            None if self.names.has_natural_below(&key) => Found::Between,
            None => Found::Missing,
        }
    }

    /// Whether any service is registered in a namespace.
    pub fn has_namespace(&self, namespace: &[u8]) -> bool {
        let (group, version) = (NameSelector::Any, NameSelector::Any);
        self.names.has_natural_below(&SetKeyRef { namespace, group, version, interface: b"" })
    }

    /// Every service.
    pub fn services(&self) -> impl Iterator<Item = ServiceFacts<'_>> {
        self.names.sets.iter().filter_map(|SetFacts { services, set }| match services.as_slice() {
            [service] => Some(ServiceFacts { service, set }),
            _ => None, // the union of several services that share a name
        })
    }

    /// The services of an interface, in any letter case and in every namespace. A few others with the same hash may be
    /// among them.
    pub fn services_of(&self, interface: &str) -> impl Iterator<Item = ServiceFacts<'_>> {
        self.names.of_interface(interface).filter_map(|SetFacts { services, set }| match services.as_slice() {
            [service] => Some(ServiceFacts { service, set }),
            _ => None,
        })
    }

    /// How many services are registered.
    pub fn service_count(&self) -> usize {
        self.names.service_count()
    }

    /// What browsing a namespace lists: one service for each interface that has a name without selectors, and each
    /// service that has only an alias. The order is the same in every replica. The walk starts at `from` and wraps
    /// around.
    pub fn interfaces_of(&self, namespace: &[u8], from: u32) -> impl Iterator<Item = &Arc<Service>> {
        let services = in_blocks(self.names.plain_of(namespace, from), |facts| facts.services.first());
        in_blocks(services, move |service| (service.namespace.as_bytes() == namespace).then_some(service))
    }

    /// How many services have an alias and no natural name.
    pub fn alias_only_count(&self) -> usize {
        self.names.alias_only
    }

    /// Every Pod that carries a profile's label.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<PodRecord>> {
        self.pods.iter().flatten()
    }

    /// The Pod in a slot. `None` once it is gone.
    pub fn pod(&self, slot: PodSlot) -> Option<&Arc<PodRecord>> {
        self.pods.get(slot as usize)?.as_ref()
    }

    /// The Pods of a name below `pod.Z`. `labels` are key bytes, empty for the namespace itself.
    pub fn pods_named(&self, namespace: &[u8], labels: &[u8]) -> Found<SmallVec<[PodSlot; 1]>> {
        let key = PodKeyRef { namespace, labels };
        let is_it = |slot: &PodSlot| self.pod(*slot).is_some_and(|pod| self.is_named(pod, &key));
        let slots: SmallVec<_> = self.names.pods(&key).filter(is_it).collect();
        match slots.is_empty() {
            false => Found::Here(slots),
            true if self.names.has_pod_below(&key) => Found::Between,
            true => Found::Missing,
        }
    }

    /// Whether `key` is a Pod's name, by the Pod's own labels or by its target's label.
    fn is_named(&self, pod: &PodRecord, key: &PodKeyRef<'_>) -> bool {
        let is_own = || name::is_key_of(key.labels, pod.name());
        let has_own = || name::pod_key(pod.name(), &pod.namespace, &self.settings.origin).is_some();
        let is_target = || pod.status.pod_ips.first().is_some_and(|ip| TargetLabel::of(*ip).is_key(key.labels));
        pod.namespace.as_bytes() == key.namespace && (is_own() || (is_target() && !has_own()))
    }

    /// The Pods that a reverse lookup of an address returns.
    pub fn pointers(&self, address: IpAddr) -> impl Iterator<Item = PodSlot> {
        self.pointers.range((address, 0)..=(address, PodSlot::MAX)).map(|(_, slot)| *slot)
    }

    /// Whether a reverse lookup returns a Pod at any address from `first` to `last`.
    pub fn has_pointer_within(&self, first: IpAddr, last: IpAddr) -> bool {
        self.pointers.get_next(&(first, 0)).is_some_and(|(address, _)| *address <= last)
    }

    /// The Pods with a registration whose target is this address.
    pub fn pods_at_target(&self, target: IpAddr) -> impl Iterator<Item = PodSlot> {
        let is_at = move |slot: &PodSlot| self.pod(*slot).is_some_and(|pod| pod.has_target(target));
        self.names.targets(target).filter(is_at)
    }

    /// The addresses that a target owns. `None` if the address is no target.
    pub fn target_addresses(&self, target: IpAddr) -> Option<Addresses> {
        self.pods_at_target(target).next()?;
        Some(match self.wide_targets.get(&target) {
            None => std::iter::once(target).collect(),
            Some(owned) => owned.iter().copied().collect(),
        })
    }

    /// The Pod and the registration of an endpoint.
    pub fn registered(&self, endpoint: &Endpoint) -> Option<(&Arc<PodRecord>, &Registered)> {
        let pod = self.pod(endpoint.pod())?;
        Some((pod, pod.registrations.get(endpoint.registration())?))
    }

    /// All addresses of an endpoint.
    pub fn addresses_of(&self, endpoint: &Endpoint) -> Addresses {
        match endpoint.sole_ipv4() {
            Some(address) => std::iter::once(IpAddr::V4(address)).collect(),
            None => self.registered(endpoint).map(|(pod, registered)| pod.addresses(registered)).unwrap_or_default(),
        }
    }

    /// A Pod's own name below `pod.Z`. `None` if neither its name nor its address fits into one.
    pub fn pod_name(&self, pod: &PodRecord) -> Option<Name> {
        let zone = &self.settings.origin;
        let below = [pod.namespace.as_bytes(), name::PODS_LABEL.as_bytes()];
        if name::pod_key(pod.name(), &pod.namespace, zone).is_some() {
            let labels = pod.name().split('.').map(str::as_bytes).chain(below).chain(zone.labels());
            return Name::from_labels(labels).ok();
        }
        let target = TargetLabel::of(*pod.status.pod_ips.first()?);
        Name::from_labels([target.as_bytes()].into_iter().chain(below).chain(zone.labels())).ok()
    }

    /// The name servers: the configured ones, then those that the zone's own file adds.
    pub fn server_names(&self) -> Vec<Name> {
        let mut names = self.settings.ns.clone();
        let added = self.zones.overlay().and_then(|overlay| overlay.ns()).into_iter().flat_map(|ns| ns.targets());
        names.extend(added.filter(|name| !self.settings.ns.contains(name)));
        names
    }

    /// The SOA fields of the Pods' zone and of the reverse zones. The zone's own file sets them if there is one.
    pub fn start_of_authority(&self) -> StartOfAuthority<'_> {
        match (self.zones.overlay().map(|overlay| overlay.soa()), self.settings.ns.first()) {
            (Some(soa), _) => StartOfAuthority {
                mname: &soa.mname,
                rname: &soa.rname,
                refresh: soa.refresh,
                retry: soa.retry,
                expire: soa.expire,
            },
            (None, first) => StartOfAuthority {
                mname: first.unwrap_or(&self.settings.origin),
                rname: &self.settings.rname,
                refresh: SOA_REFRESH,
                retry: SOA_RETRY,
                expire: SOA_EXPIRE,
            },
        }
    }

    /// The zone's origin in key form.
    pub fn zone_key(&self) -> &Key {
        &self.settings.key
    }

    /// The number of labels in the zone's origin.
    pub fn zone_labels(&self) -> usize {
        self.settings.labels
    }

    /// Whether a name server's address record or a name of the zone's own file is at or below a name.
    pub fn has_fixed_name_below(&self, name: &NamePath) -> bool {
        let is_below = |key: &Key| key.as_bytes().starts_with(name.key());
        let in_file = |overlay: &Arc<Zone>| !matches!(overlay.lookup(name.key(), Rtype::ANY), Lookup::NxDomain);
        self.settings.ns_addresses.keys().any(is_below) || self.zones.overlay().is_some_and(in_file)
    }

    /// Whether one of our zones begins at or below a name. If so, the name exists in whichever zone it is (RFC 8020).
    pub fn has_zone_below(&self, name: &NamePath) -> bool {
        let is_above = |zone: &Key| zone.as_bytes().starts_with(name.key());
        let is_above_reverse = || name.label(0) == Some(b"arpa") && self.settings.reverse.keys().any(is_above);
        is_above(self.zone_key()) || self.zones.is_above_one(name.key()) || is_above_reverse()
    }

    /// The most specific reverse zone that contains a name.
    pub fn reverse_zone(&self, name: &NamePath) -> Option<&Name> {
        let reverse = &self.settings.reverse;
        if name.label(0) != Some(b"arpa") {
            return None;
        }
        (0..=name.len()).rev().find_map(|labels| reverse.get(name.span(0, labels)))
    }
}

/// The fields of an SOA record that an operator sets.
#[derive(Clone, Copy, Debug)]
pub struct StartOfAuthority<'s> {
    /// The primary name server.
    pub mname: &'s Name,
    /// The mailbox of the zone's administrator, as a name.
    pub rname: &'s Name,
    /// How often a secondary checks the serial, in seconds.
    pub refresh: u32,
    /// How soon a secondary retries a failed check, in seconds.
    pub retry: u32,
    /// How long a secondary answers without a successful check, in seconds.
    pub expire: u32,
}

/// What a service's name selects.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'s> {
    /// The selected services, at least one.
    pub services: &'s [Arc<Service>],
    /// Their registrations, joined.
    pub set: &'s Set,
    /// Whether the name has DNS-SD instances below it: it has no selectors, or it is the alias of a service without a
    /// natural name.
    pub has_instances: bool,
}
