//! Which names exist, and what they stand for.
//!
//! A name that has records is found by its hash and checked against what it stands for. An empty non-terminal is found by
//! the service below it while that is one, and counted by a hash of its own otherwise, so that a random name costs no more
//! than one that is there, whatever it is like.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::keys::{PodKeyRef, SetKeyRef};
use super::set::Set;
use super::table::{Slots, Table};
use super::{PodSlot, hash};
use crate::dns::Name;
use crate::name::{Alias, Selector, Service};

/// Where a set stands in the snapshot's table.
pub type SetSlot = u32;

/// What a name stands for.
#[derive(Clone, Debug, Default)]
pub struct SetFacts {
    /// The services that it selects, at least one, by alias. What stands for one service is that service's own.
    pub services: Services,
    /// Their registrations.
    pub set: Set,
}

/// Services that share a name: one is the rule.
pub type Services = smallvec::SmallVec<[Arc<Service>; 1]>;

/// The names of services and Pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// A service's own set stands for its alias and all names that select it alone; what several share has one more.
    pub sets: Slots<SetFacts>,
    aliases: Table,
    natural: Table,
    pods: Table,
    targets: Table,
    /// The own sets of services by what is above their natural names and above no other service's, selectors apart: as
    /// nearly all of it is, and in eight bytes each where the four names of a count would be a hundred.
    alone: Table,
    /// How many names below each other empty non-terminal there are, by a keyed hash of it: one of 64 bits, so that the
    /// chance that a name which is not there looks as if it were is that of a hash in 10¹⁹.
    between: OrdMap<u64, u32>,
    /// What a namespace is browsed by: the sets of its names without selectors, and of the aliases of services that have no
    /// other name, by stable hashes of the namespace and of the interface or alias.
    plain: OrdSet<(u32, u32, SetSlot)>,
    /// The own sets of services by a hash of the interface in any letter case, which many services may share.
    by_interface: OrdSet<(u32, SetSlot)>,
    /// How many services have their alias alone.
    pub alias_only: usize,
    /// Names come from strangers, who must not choose which ones collide.
    keys: RandomState,
}

/// Tells the hashes of kinds of names apart.
#[derive(Hash)]
enum Kind {
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

    /// The set of a natural name.
    pub fn natural(&self, key: &SetKeyRef<'_>) -> Option<SetSlot> {
        // The hash tells which selectors are any, so that a set is checked by any one of its services.
        let is_it = |service: &Service| {
            service.namespace.as_bytes() == key.namespace && service.is_selected(key.group, key.version, key.interface)
        };
        let service = |slot: SetSlot| self.sets.get(slot).and_then(|facts| facts.services.first());
        self.natural.find(self.hash_of_natural(key)).find(|slot| service(*slot).is_some_and(|service| is_it(service)))
    }

    /// The Pods under a hash of a name: whose it is must be checked.
    pub fn pods(&self, key: &PodKeyRef<'_>) -> impl Iterator<Item = PodSlot> + Clone + '_ {
        self.pods.find(self.hash_of_pod(key))
    }

    /// The Pods under a hash of a target: whether it is theirs must be checked.
    pub fn targets(&self, target: IpAddr) -> impl Iterator<Item = PodSlot> + Clone + '_ {
        self.targets.find(self.hash_of_target(target))
    }

    /// Whether a service's name is below one, which has the same selectors.
    pub fn has_natural_below(&self, key: &SetKeyRef<'_>) -> bool {
        let plain = SetKeyRef { group: Selector::Any, version: Selector::Any, ..*key };
        let hash = self.hash_of_above(&plain);
        match self.alone_below(&plain, hash) {
            Some(_) if *key == plain => true, // every service that has natural names has the one without selectors
            Some(slot) => self.has_selectors(slot, key),
            None if *key == plain => self.between.contains_key(&hash),
            None => self.between.contains_key(&self.hash_of_above(key)),
        }
    }

    /// Whether a Pod's name is below one.
    pub fn has_pod_below(&self, key: &PodKeyRef<'_>) -> bool {
        self.between.contains_key(&self.keys.hash_one((Kind::Pod, key)))
    }

    /// How many services there are.
    pub fn service_count(&self) -> usize {
        self.aliases.len()
    }

    /// The services of an interface in any letter case, of all namespaces; a few others among them, whose hash is the same.
    pub fn of_interface(&self, interface: &str) -> impl Iterator<Item = &SetFacts> {
        let hash = self.hash_of_interface(interface);
        self.by_interface.range((hash, 0)..=(hash, SetSlot::MAX)).filter_map(|(_, slot)| self.sets.get(*slot))
    }

    /// What a namespace is browsed by, in an order that is the same everywhere, from a place in it round to the one before.
    pub fn plain_of(&self, namespace: &[u8], from: u32) -> impl Iterator<Item = &SetFacts> {
        let mark = mark(namespace);
        let after = self.plain.range((mark, from, 0)..=(mark, u32::MAX, u32::MAX));
        let before = std::iter::once_with(move || self.plain.range((mark, 0, 0)..(mark, from, 0)));
        after.chain(before.flatten()).filter_map(|(_, _, slot)| self.sets.get(*slot))
    }

    /// Makes room for a service that is new: its set, which is empty, its alias, and what is above its natural names.
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

    /// Takes a service away whose names are gone.
    pub fn remove_service(&mut self, service: &Service, slot: SetSlot, zone: &Name) {
        self.count_above(service, slot, zone, false);
        self.by_interface.remove(&(self.hash_of_interface(&service.interface), slot));
        if self.plain.remove(&plain_alias(service, slot)).is_some() {
            self.alias_only -= 1;
        }
        self.aliases.remove(self.hash_of_alias(service.namespace.as_bytes(), service.alias), slot);
        self.sets.remove(slot);
    }

    /// Lets a natural name stand for another set than before.
    pub fn put_natural(&mut self, key: &SetKeyRef<'_>, before: Option<SetSlot>, after: Option<SetSlot>) {
        let hash = self.hash_of_natural(key);
        let plain = |slot| (mark(key.namespace), mark(key.interface), slot);
        let is_plain = key.group == Selector::Any && key.version == Selector::Any;
        if let Some(slot) = before {
            self.natural.remove(hash, slot);
            self.plain.remove(&plain(slot));
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

    /// Gives a Pod these targets in place of those.
    pub fn put_targets<'t>(
        &mut self,
        slot: PodSlot,
        before: impl Iterator<Item = &'t IpAddr>,
        after: impl Iterator<Item = &'t IpAddr>,
    ) {
        before.for_each(|target| self.targets.remove(self.hash_of_target(*target), slot));
        after.for_each(|target| self.targets.insert(self.hash_of_target(*target), slot));
    }

    /// The service whose own set it is.
    fn sole(&self, slot: SetSlot) -> Option<&Arc<Service>> {
        match self.sets.get(slot)?.services.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Every name above a service's natural ones, its namespace among them.
    fn count_above(&mut self, service: &Service, slot: SetSlot, zone: &Name, comes: bool) {
        let namespace = service.namespace.as_bytes();
        let any = SetKeyRef { namespace, group: Selector::Any, version: Selector::Any, interface: b"" };
        self.count((Kind::Natural, &any), comes);
        let Some(interface) = service.natural() else { return };
        for (group, version) in &service.selections(zone) {
            let above = SetKeyRef { group: group.as_slice(), version: version.as_slice(), ..any };
            if above != any {
                self.count((Kind::Natural, &above), comes);
            }
        }
        for interface in parents(interface.as_bytes()) {
            self.put_below(&SetKeyRef { interface, ..any }, slot, zone, comes);
        }
    }

    /// Lets a service come below a name without selectors, or go: the first one alone, and from the second on all are
    /// counted.
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
            self.count((Kind::Natural, &above), comes);
        }
    }

    /// The service that alone is below a name without selectors.
    fn alone_below(&self, above: &SetKeyRef<'_>, hash: u64) -> Option<SetSlot> {
        let is_below = |service: &Arc<Service>| {
            service.namespace.as_bytes() == above.namespace && service.interface_key().starts_with(above.interface)
        };
        self.alone.find(hash as u32).find(|slot| self.sole(*slot).is_some_and(is_below))
    }

    /// Whether the service has a natural name with a key's selectors.
    fn has_selectors(&self, slot: SetSlot, key: &SetKeyRef<'_>) -> bool {
        let interface = self.sole(slot).map(|service| service.interface_key()).unwrap_or_default();
        self.natural(&SetKeyRef { interface: &interface, ..*key }).is_some()
    }

    fn count_above_pod(&mut self, key: &PodKeyRef<'_>, comes: bool) {
        self.count((Kind::Pod, &PodKeyRef { labels: b"", ..*key }), comes);
        for labels in parents(key.labels) {
            self.count((Kind::Pod, &PodKeyRef { labels, ..*key }), comes);
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
        self.keys.hash_one((Kind::Alias, namespace, alias)) as u32
    }

    fn hash_of_interface(&self, interface: &str) -> u32 {
        let mut hasher = self.keys.build_hasher();
        interface.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
        hasher.finish() as u32
    }

    fn hash_of_above(&self, above: &SetKeyRef<'_>) -> u64 {
        self.keys.hash_one((Kind::Natural, above))
    }

    fn hash_of_pod(&self, key: &PodKeyRef<'_>) -> u32 {
        self.keys.hash_one((Kind::Pod, key)) as u32
    }

    fn hash_of_target(&self, target: IpAddr) -> u32 {
        self.keys.hash_one(target) as u32
    }

    fn hash_of_natural(&self, key: &SetKeyRef<'_>) -> u32 {
        let any = [key.group == Selector::Any, key.version == Selector::Any];
        let kind = u32::from(any[0]) << 31 | u32::from(any[1]) << 30;
        (self.keys.hash_one((Kind::Natural, key)) as u32) & 0x3fff_ffff | kind
    }
}

/// Where an alias that stands alone is browsed.
fn plain_alias(service: &Service, slot: SetSlot) -> (u32, u32, SetSlot) {
    (mark(service.namespace.as_bytes()), mark(service.alias.label().as_bytes()), slot)
}

/// A stable hash to order by.
fn mark(bytes: &[u8]) -> u32 {
    hash(0, bytes) as u32
}

/// The keys above one, below the root of its tree: the proper prefixes of whole labels.
fn parents(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let next = |end: &usize| key.get(*end).map(|len| end + 1 + usize::from(*len));
    let ends = std::iter::successors(next(&0), next);
    ends.take_while(|end| *end < key.len()).filter_map(|end| key.get(..end))
}
