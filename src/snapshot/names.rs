//! Which names exist, and what they stand for.
//!
//! A name with records is found by its hash and compared to what it stands for. An empty non-terminal is found through
//! the service below it if there is exactly one, and otherwise in a count of names by hash. So a lookup of a random
//! name costs no more than that of an existing one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::keys::{PodKeyRef, SetKeyRef};
use super::set::Set;
use super::table::{Slots, Table};
use super::{PodSlot, hash};
use crate::dns::Name;
use crate::name::{Alias, NameSelector, Service};

/// A set's index in the snapshot's table.
pub type SetSlot = u32;

/// What a name stands for.
#[derive(Clone, Debug, Default)]
pub struct SetFacts {
    /// The selected services by alias, at least one. If there is only one, the set is that service's own.
    pub services: Services,
    /// Their registrations, joined.
    pub set: Set,
}

/// The services that share a name, usually one.
pub type Services = smallvec::SmallVec<[Arc<Service>; 1]>;

/// The names of services and Pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// All sets. A service's own set serves its alias and every name that selects only that service. A name that
    /// selects several services has a set in addition.
    pub sets: Slots<SetFacts>,
    aliases: Table,
    natural: Table,
    pods: Table,
    targets: Table,
    /// The own sets of services, by the names without selectors that are above only this service's natural names.
    /// Nearly all such names are. An entry takes eight bytes; counting the four names would take a hundred.
    alone: Table,
    /// How many names are below every other empty non-terminal, by a keyed hash. With 64 bits, a name that does not
    /// exist looks as if it did with a chance of 1 in 10¹⁹.
    between: OrdMap<u64, u32>,
    /// What browsing a namespace lists: the sets of its names without selectors, and of the aliases of services without
    /// a natural name. The key holds stable hashes of the namespace and of the interface or alias.
    plain: OrdSet<(u32, u32, SetSlot)>,
    /// The own sets of services, by a hash of the interface in any letter case. Many services may share one.
    by_interface: OrdSet<(u32, SetSlot)>,
    /// How many services have an alias and no natural name.
    pub alias_only: usize,
    /// Names come from outside. A random hash key keeps a client from choosing ones that collide.
    keys: RandomState,
}

/// Separates the hashes of different kinds of names.
#[derive(Hash)]
enum NameKind {
    Alias,
    Natural,
    Pod,
}

impl Names {
    /// The set of an alias.
    pub fn alias(&self, namespace: &[u8], alias: Alias) -> Option<SetSlot> {
        let is_it = |slot: &SetSlot| {
            self.sole(*slot).is_some_and(|own| own.alias == alias && own.namespace.as_bytes() == namespace)
        };
        self.aliases.find(self.hash_of_alias(namespace, alias)).find(is_it)
    }

    /// A service's own set.
    pub fn own_set(&self, namespace: &[u8], alias: Alias) -> Option<&Arc<SetFacts>> {
        self.sets.shared(self.alias(namespace, alias)?)
    }

    /// The set of a natural name.
    pub fn natural(&self, key: &SetKeyRef<'_>) -> Option<SetSlot> {
        // The hash includes which selectors are `Any`. So comparing one of a set's services is enough.
        let is_it = |service: &Service| {
            service.namespace.as_bytes() == key.namespace && service.is_selected(key.group, key.version, key.interface)
        };
        let service = |slot: SetSlot| self.sets.get(slot).and_then(|facts| facts.services.first());
        self.natural.find(self.hash_of_natural(key)).find(|slot| service(*slot).is_some_and(|service| is_it(service)))
    }

    /// The Pods under the hash of a name. The caller checks that the name is theirs.
    pub fn pods(&self, key: &PodKeyRef<'_>) -> impl Iterator<Item = PodSlot> + Clone + '_ {
        self.pods.find(self.hash_of_pod(key))
    }

    /// The Pods under the hash of a target. The caller checks that the target is theirs.
    pub fn targets(&self, target: IpAddr) -> impl Iterator<Item = PodSlot> + Clone + '_ {
        self.targets.find(self.hash_of_target(target))
    }

    /// Whether a service's name with these selectors is below `key`.
    pub fn has_natural_below(&self, key: &SetKeyRef<'_>) -> bool {
        let plain = SetKeyRef { group: NameSelector::Any, version: NameSelector::Any, ..*key };
        let hash = self.hash_of_above(&plain);
        match self.alone_below(&plain, hash) {
            Some(_) if *key == plain => true, // every service with natural names has the one without selectors
            Some(slot) => self.has_selectors(slot, key),
            None if *key == plain => self.between.contains_key(&hash),
            None => self.between.contains_key(&self.hash_of_above(key)),
        }
    }

    /// Whether a Pod's name is below `key`.
    pub fn has_pod_below(&self, key: &PodKeyRef<'_>) -> bool {
        self.between.contains_key(&self.keys.hash_one((NameKind::Pod, key)))
    }

    /// The number of services.
    pub fn service_count(&self) -> usize {
        self.aliases.len()
    }

    /// The services of an interface, in any letter case and in every namespace. A few others with the same hash may be
    /// among them.
    pub fn of_interface(&self, interface: &str) -> impl Iterator<Item = &SetFacts> {
        let hash = self.hash_of_interface(interface);
        self.by_interface.range((hash, 0)..=(hash, SetSlot::MAX)).filter_map(|(_, slot)| self.sets.get(*slot))
    }

    /// What browsing a namespace lists. The order is the same in every replica. The walk starts at `from` and wraps
    /// around.
    pub fn plain_of(&self, namespace: &[u8], from: u32) -> impl Iterator<Item = &SetFacts> {
        let mark = mark(namespace);
        let after = self.plain.range((mark, from, 0)..=(mark, u32::MAX, u32::MAX));
        let before = std::iter::once_with(move || self.plain.range((mark, 0, 0)..(mark, from, 0)));
        after.chain(before.flatten()).filter_map(|(_, _, slot)| self.sets.get(*slot))
    }

    /// Adds a new service: an empty set, its alias, and the names above its natural names.
    pub fn add_service(&mut self, service: &Arc<Service>, zone: &Name) -> SetSlot {
        let services = std::iter::once(service.clone()).collect();
        let slot = self.sets.insert(SetFacts { services, set: Set::default() });
        self.aliases.insert(self.hash_of_alias(service.namespace.as_bytes(), service.alias), slot);
        if !service.is_natural() {
            self.plain.insert(plain_alias(service, slot));
            self.alias_only += 1;
        }
        self.by_interface.insert((self.hash_of_interface(&service.interface), slot));
        self.count_above(service, slot, zone, true);
        slot
    }

    /// Removes a service whose natural names are gone.
    pub fn remove_service(&mut self, service: &Service, slot: SetSlot, zone: &Name) {
        self.count_above(service, slot, zone, false);
        self.by_interface.remove(&(self.hash_of_interface(&service.interface), slot));
        if !service.is_natural() {
            self.plain.remove(&plain_alias(service, slot));
            self.alias_only -= 1;
        }
        self.aliases.remove(self.hash_of_alias(service.namespace.as_bytes(), service.alias), slot);
        self.sets.remove(slot);
    }

    /// Changes the set of a natural name.
    pub fn put_natural(&mut self, key: &SetKeyRef<'_>, before: Option<SetSlot>, after: Option<SetSlot>) {
        let hash = self.hash_of_natural(key);
        let plain = |slot| (mark(key.namespace), mark(key.interface), slot);
        let is_plain = key.group == NameSelector::Any && key.version == NameSelector::Any;
        if let Some(slot) = before {
            self.natural.remove(hash, slot);
            if is_plain {
                self.plain.remove(&plain(slot));
            }
        }
        if let Some(slot) = after {
            self.natural.insert(hash, slot);
            if is_plain {
                self.plain.insert(plain(slot));
            }
        }
    }

    /// Gives a Pod a name.
    pub fn add_pod(&mut self, key: &PodKeyRef<'_>, slot: PodSlot) {
        self.pods.insert(self.hash_of_pod(key), slot);
        self.count_above_pod(key, true);
    }

    /// Takes a Pod's name away.
    pub fn remove_pod(&mut self, key: &PodKeyRef<'_>, slot: PodSlot) {
        self.pods.remove(self.hash_of_pod(key), slot);
        self.count_above_pod(key, false);
    }

    /// Replaces a Pod's targets.
    pub fn put_targets<'t>(
        &mut self,
        slot: PodSlot,
        before: impl Iterator<Item = &'t IpAddr>,
        after: impl Iterator<Item = &'t IpAddr>,
    ) {
        before.for_each(|target| self.targets.remove(self.hash_of_target(*target), slot));
        after.for_each(|target| self.targets.insert(self.hash_of_target(*target), slot));
    }

    /// The service, if the set is that service's own.
    fn sole(&self, slot: SetSlot) -> Option<&Arc<Service>> {
        match self.sets.get(slot)?.services.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Counts a service in or out at every name above its natural names, including its namespace.
    fn count_above(&mut self, service: &Service, slot: SetSlot, zone: &Name, comes: bool) {
        let namespace = service.namespace.as_bytes();
        let any = SetKeyRef { namespace, group: NameSelector::Any, version: NameSelector::Any, interface: b"" };
        self.count((NameKind::Natural, &any), comes);
        let Some(interface) = service.natural() else { return };
        for (group, version) in &service.selections(zone) {
            let above = SetKeyRef { group: group.as_slice(), version: version.as_slice(), ..any };
            if above != any {
                self.count((NameKind::Natural, &above), comes);
            }
        }
        for interface in parents(interface.as_bytes()) {
            self.put_below(&SetKeyRef { interface, ..any }, slot, zone, comes);
        }
    }

    /// Adds or removes a service below a name without selectors. A first service is kept in `alone`; from the second
    /// on, all are counted.
    fn put_below(&mut self, above: &SetKeyRef<'_>, slot: SetSlot, zone: &Name, comes: bool) {
        let hash = self.hash_of_above(above);
        match self.alone_below(above, hash) {
            None if comes && !self.between.contains_key(&hash) => self.alone.insert(hash as u32, slot),
            None => self.count_selections(above, slot, zone, comes),
            Some(alone) => {
                self.alone.remove(hash as u32, alone);
                if comes {
                    self.count_selections(above, alone, zone, true);
                    self.count_selections(above, slot, zone, true);
                }
            }
        }
    }

    fn count_selections(&mut self, above: &SetKeyRef<'_>, slot: SetSlot, zone: &Name, comes: bool) {
        let Some(service) = self.sole(slot).cloned() else { return };
        for (group, version) in &service.selections(zone) {
            let above = SetKeyRef { group: group.as_slice(), version: version.as_slice(), ..*above };
            self.count((NameKind::Natural, &above), comes);
        }
    }

    /// The only service below a name without selectors.
    fn alone_below(&self, above: &SetKeyRef<'_>, hash: u64) -> Option<SetSlot> {
        let is_below = |service: &Arc<Service>| {
            service.namespace.as_bytes() == above.namespace && service.interface_key().starts_with(above.interface)
        };
        self.alone.find(hash as u32).find(|slot| self.sole(*slot).is_some_and(is_below))
    }

    /// Whether the service has a natural name with the selectors of `key`.
    fn has_selectors(&self, slot: SetSlot, key: &SetKeyRef<'_>) -> bool {
        let interface = self.sole(slot).map(|service| service.interface_key()).unwrap_or_default();
        self.natural(&SetKeyRef { interface: &interface, ..*key }).is_some()
    }

    fn count_above_pod(&mut self, key: &PodKeyRef<'_>, comes: bool) {
        self.count((NameKind::Pod, &PodKeyRef { labels: b"", ..*key }), comes);
        for labels in parents(key.labels) {
            self.count((NameKind::Pod, &PodKeyRef { labels, ..*key }), comes);
        }
    }

    fn count(&mut self, name: impl Hash, comes: bool) {
        let hash = self.keys.hash_one(name);
        match self.between.get_mut(&hash) {
            None if comes => _ = self.between.insert(hash, 1),
            None => {}
            Some(count) if comes => *count += 1,
            Some(1) => _ = self.between.remove(&hash),
            Some(count) => *count -= 1,
        }
    }

    fn hash_of_alias(&self, namespace: &[u8], alias: Alias) -> u32 {
        self.keys.hash_one((NameKind::Alias, namespace, alias)) as u32
    }

    fn hash_of_interface(&self, interface: &str) -> u32 {
        self.keys.hash_one(interface.to_ascii_lowercase()) as u32
    }

    fn hash_of_above(&self, above: &SetKeyRef<'_>) -> u64 {
        self.keys.hash_one((NameKind::Natural, above))
    }

    fn hash_of_pod(&self, key: &PodKeyRef<'_>) -> u32 {
        self.keys.hash_one((NameKind::Pod, key)) as u32
    }

    fn hash_of_target(&self, target: IpAddr) -> u32 {
        self.keys.hash_one(target) as u32
    }

    fn hash_of_natural(&self, key: &SetKeyRef<'_>) -> u32 {
        let any = [key.group == NameSelector::Any, key.version == NameSelector::Any];
        let kind = u32::from(any[0]) << 31 | u32::from(any[1]) << 30;
        (self.keys.hash_one((NameKind::Natural, key)) as u32) & 0x3fff_ffff | kind
    }
}

/// Where an alias without a natural name is in the browsing order.
fn plain_alias(service: &Service, slot: SetSlot) -> (u32, u32, SetSlot) {
    (mark(service.namespace.as_bytes()), mark(service.alias.label().as_bytes()), slot)
}

/// A stable hash for ordering.
fn mark(bytes: &[u8]) -> u32 {
    hash(0, bytes) as u32
}

/// The keys above one, without the root of its tree: the proper prefixes of whole labels.
fn parents(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let next = |end: &usize| key.get(*end).map(|len| end + 1 + usize::from(*len));
    let ends = std::iter::successors(next(&0), next);
    ends.take_while(|end| *end < key.len()).filter_map(|end| key.get(..end))
}
