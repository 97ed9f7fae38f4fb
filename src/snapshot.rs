//! The zone at one moment: immutable, and cheap to make from the one before.
//!
//! A snapshot holds facts, not names. A service has some twenty owner names; what is kept is that it exists, under the
//! few keys that its natural names are selected by, and every other name follows from the service, its Pods and their
//! addresses. The maps are persistent: a change copies the path to what it touches and shares the rest with every
//! snapshot before it.

mod cost;
mod endpoints;
mod instances;
mod keys;
mod names;
mod pod;
mod set;
mod settings;
mod table;
mod told;

use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use smallvec::SmallVec;

use crate::dns::{Key, Name, Path, Rtype};
use crate::name::{self, Selector, Service, ServiceName, TargetLabel};
use crate::zones::{Lookup, Zone, Zones};

pub use endpoints::{Endpoint, EndpointParts, Endpoints, PodSlot, hash, order_seed};
pub use instances::{Instance, InstanceLabel};
pub use keys::{PodKey, PodKeyRef, ServiceKeyRef, SetKey, SetKeyRef};
pub(crate) use names::{Names, SetFacts, SetSlot};
pub use pod::{Addresses, KeptOut, Own, PodRecord, Refused, Registered, Rest, Standing};
pub use set::{Member, Set};
pub use settings::{SOA_EXPIRE, SOA_REFRESH, SOA_RETRY, TxtKeys, ZoneSettings};
pub(crate) use table::Table;
pub use told::{Common, Overrides, OwnValues, Pairs, Template, Told};

/// All that answers are made from.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the operator set.
    pub settings: Arc<ZoneSettings>,
    /// The static zones.
    pub zones: Arc<Zones>,
    /// Every source has told all that it has, once at least.
    pub is_synced: bool,
    /// This is the zone of an earlier run, and its sources were last heard of in this Unix second.
    pub heard_at: Option<u64>,
    /// The SOA's serial (RFC 1982), moved only by what an answer shows.
    pub serial: u32,
    /// Counts the snapshots that differ in anything, also in what DNS leaves out.
    pub revision: u64,
    /// How much there is.
    pub tally: Tally,
    pub(crate) names: Names,
    pub(crate) pods: imbl::Vector<Option<Arc<PodRecord>>>,
    /// All addresses of the targets that own more than the one that they are spelt from, in order.
    pub(crate) wide_targets: OrdMap<IpAddr, Box<[IpAddr]>>,
    /// The Pods that reverse names lead to.
    pub(crate) pointers: OrdSet<(IpAddr, PodSlot)>,
}

/// A service that an unfinished Pod registers.
#[derive(Clone, Copy, Debug)]
pub struct ServiceFacts<'s> {
    /// The service.
    pub service: &'s Arc<Service>,
    /// Its registrations.
    pub set: &'s Set,
}

/// How much the snapshot holds; every number is kept up with the changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pods that carry a profile's label.
    pub pods: usize,
    /// Registrations that were read.
    pub registrations: usize,
    /// Registrations among the answers.
    pub endpoints: usize,
    /// Registrations that another Pod holds an address of.
    pub conflicts: usize,
    /// Registrations whose protocol has no name.
    pub malformed_protocols: usize,
    /// Pairs of registrations that were kept back because they look like secrets.
    pub withheld: usize,
    /// Pairs of registrations whose key cannot be one of a TXT record.
    pub left_out: usize,
    /// What all Pods cost in memory, in bytes, what is kept out for want of room among it.
    pub bytes: u64,
    /// The same of the namespace that takes the most.
    pub namespace_bytes: u64,
    /// Refused registrations and annotations, by reason.
    pub refused: std::collections::BTreeMap<crate::registration::Reason, usize>,
}

/// Whether a name is there.
#[derive(Clone, Copy, Debug)]
pub enum Found<T> {
    /// It stands for this.
    Here(T),
    /// Names are below it, and it has no records (RFC 8020).
    Between,
    /// Neither it nor anything below it.
    Missing,
}

/// How many steps of a walk are taken at once.
const BLOCK_LEN: usize = 16;

/// Maps a walk through what lies far apart in memory, a block at a time: the cache lines of a block's steps come at once,
/// and not one after the other.
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
    /// The zone before anything was heard of its Pods.
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

    /// What a service's name stands for.
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
                let has_instances = key.group == Selector::Any && key.version == Selector::Any;
                Found::Here(Selected { services: &facts.services, set: &facts.set, has_instances })
            }
            None if self.names.has_natural_below(&key) => Found::Between,
            None => Found::Missing,
        }
    }

    /// Whether any service is registered in a namespace.
    pub fn has_namespace(&self, namespace: &[u8]) -> bool {
        let (group, version) = (Selector::Any, Selector::Any);
        self.names.has_natural_below(&SetKeyRef { namespace, group, version, interface: b"" })
    }

    /// Every service.
    pub fn services(&self) -> impl Iterator<Item = ServiceFacts<'_>> {
        self.names.sets.iter().filter_map(|SetFacts { services, set }| match services.as_slice() {
            [service] => Some(ServiceFacts { service, set }),
            _ => None, // what several share a name for
        })
    }

    /// The services of an interface in any letter case, of all namespaces; a few others may be among them.
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

    /// What a namespace is browsed for: its interfaces that have a name without selectors, each as one of the services that
    /// share it, and its services that have their alias alone; in an order that is the same in every replica, from a place
    /// in it round to the one before.
    pub fn interfaces_of(&self, namespace: &[u8], from: u32) -> impl Iterator<Item = &Arc<Service>> {
        let services = in_blocks(self.names.plain_of(namespace, from), |facts| facts.services.first());
        in_blocks(services, move |service| (service.namespace.as_bytes() == namespace).then_some(service))
    }

    /// How many services have their alias alone.
    pub fn alias_only_count(&self) -> usize {
        self.names.alias_only
    }

    /// Every Pod that carries a profile's label.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<PodRecord>> {
        self.pods.iter().flatten()
    }

    /// The Pod in a slot; none once it is gone.
    pub fn pod(&self, slot: PodSlot) -> Option<&Arc<PodRecord>> {
        self.pods.get(slot as usize)?.as_ref()
    }

    /// The Pods of a name below `pod.Z`, its labels as key bytes; none for the namespace itself.
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

    /// Whether a Pod's name, its own or that of its target, is this one.
    fn is_named(&self, pod: &PodRecord, key: &PodKeyRef<'_>) -> bool {
        let is_own = || name::is_key_of(key.labels, pod.name());
        let has_own = || name::pod_key(pod.name(), &pod.namespace, &self.settings.origin).is_some();
        let is_target = || pod.status.pod_ips.first().is_some_and(|ip| TargetLabel::of(*ip).is_key(key.labels));
        pod.namespace.as_bytes() == key.namespace && (is_own() || (is_target() && !has_own()))
    }

    /// The Pods that a reverse lookup of an address names.
    pub fn pointers(&self, address: IpAddr) -> impl Iterator<Item = PodSlot> {
        self.pointers.range((address, 0)..=(address, PodSlot::MAX)).map(|(_, slot)| *slot)
    }

    /// Whether a reverse lookup names a Pod at any address from the first to the last one.
    pub fn has_pointer_within(&self, first: IpAddr, last: IpAddr) -> bool {
        self.pointers.get_next(&(first, 0)).is_some_and(|(address, _)| *address <= last)
    }

    /// The unfinished Pods with a registration whose target an address is.
    pub fn pods_at_target(&self, target: IpAddr) -> impl Iterator<Item = PodSlot> {
        let is_at = move |slot: &PodSlot| self.pod(*slot).is_some_and(|pod| pod.has_target(target));
        self.names.targets(target).filter(is_at)
    }

    /// The addresses that a target owns; none if it is no target.
    pub fn target_addresses(&self, target: IpAddr) -> Option<Addresses> {
        self.pods_at_target(target).next()?;
        Some(match self.wide_targets.get(&target) {
            None => std::iter::once(target).collect(),
            Some(owned) => owned.iter().copied().collect(),
        })
    }

    /// Where an endpoint's Pod and registration are.
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

    /// A Pod's own name below `pod.Z`; none where neither its own name nor its address can be spelt.
    pub fn pod_name(&self, pod: &PodRecord) -> Option<Name> {
        let zone = &self.settings.origin;
        let below = [pod.namespace.as_bytes(), b"pod"];
        if name::pod_key(pod.name(), &pod.namespace, zone).is_some() {
            let labels = pod.name().split('.').map(str::as_bytes).chain(below).chain(zone.labels());
            return Name::from_labels(labels).ok();
        }
        let target = TargetLabel::of(*pod.status.pod_ips.first()?);
        Name::from_labels([target.as_bytes()].into_iter().chain(below).chain(zone.labels())).ok()
    }

    /// The servers' names: those set, and those of the zone's own file.
    pub fn server_names(&self) -> Vec<Name> {
        let mut names = self.settings.ns.clone();
        let added = self.zones.overlay().and_then(|overlay| overlay.ns()).into_iter().flat_map(|ns| ns.targets());
        names.extend(added.filter(|name| !self.settings.ns.contains(name)));
        names
    }

    /// What the SOA of the Pods' zone and of the reverse zones says: of the zone's own file where there is one.
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

    /// The zone's origin as a key.
    pub fn zone_key(&self) -> &Key {
        &self.settings.key
    }

    /// How many labels the zone's origin has.
    pub fn zone_labels(&self) -> usize {
        self.settings.labels
    }

    /// Whether a server's name or one of the zone's own file is below a name of the zone.
    pub fn has_fixed_name_below(&self, name: &Path) -> bool {
        let is_below = |key: &Key| key.as_bytes().starts_with(name.key());
        let in_file = |overlay: &Arc<Zone>| !matches!(overlay.lookup(name.key(), Rtype::ANY), Lookup::NxDomain);
        self.settings.ns_addresses.keys().any(is_below) || self.zones.overlay().is_some_and(in_file)
    }

    /// Whether one of our zones begins below a name: then the name exists, whichever zone it is in (RFC 8020).
    pub fn has_zone_below(&self, name: &Path) -> bool {
        let is_above = |zone: &Key| zone.as_bytes().starts_with(name.key());
        let is_above_reverse = || name.label(0) == Some(b"arpa") && self.settings.reverse.keys().any(is_above);
        is_above(self.zone_key()) || self.zones.is_above_one(name.key()) || is_above_reverse()
    }

    /// The reverse zone that a name is in, if it is in one: the most specific.
    pub fn reverse_zone(&self, name: &Path) -> Option<&Name> {
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
    /// The first server.
    pub mname: &'s Name,
    /// Who answers for the zone.
    pub rname: &'s Name,
    /// Seconds between a secondary's looks.
    pub refresh: u32,
    /// Seconds between its tries.
    pub retry: u32,
    /// Seconds until it gives up.
    pub expire: u32,
}

/// What a service's name selects.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'s> {
    /// The services, at least one.
    pub services: &'s [Arc<Service>],
    /// Their registrations.
    pub set: &'s Set,
    /// The name has DNS-SD instances below it: it is one without selectors, or an alias that stands alone.
    pub has_instances: bool,
}
