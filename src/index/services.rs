//! Applies one Pod's difference to the services that it registers, and to the names that select them.

use std::collections::BTreeMap;

use super::diff::ServiceDiff;
use super::difference::DirtyNames;
use crate::dns::Name;
use crate::name::{NameSelector, Service};
use crate::snapshot::{Set, SetFacts, SetKey, SetKeyRef, SetSlot, Snapshot};

/// Replaces what a Pod registered before with what it registers now.
pub(super) fn apply_diff(next: &mut Snapshot, dirty: &mut DirtyNames, diffs: &[ServiceDiff<'_>]) {
    // A Pod's endpoints may move between two services that share a name. So all changes of one name are applied at
    // once.
    let mut by_name: BTreeMap<SetKey, Vec<&ServiceDiff<'_>>> = BTreeMap::new();
    let mut gone = Vec::new();
    for change in diffs {
        let service = change.service;
        let slot = slot_of(next, service);
        if next.is_synced {
            dirty.mark_service(change, slot.and_then(|slot| next.names.sets.shared(slot)));
        }
        if !change.is_of_set() {
            continue;
        }
        let own = change_own_set(next, slot, change);
        gone.extend(own.is_gone.then_some((service, own.slot)));
        if own.is_new || own.is_gone || !has_names_alone(next, service, own.slot) {
            set_keys(service, &next.settings.origin).for_each(|key| by_name.entry(key).or_default().push(change));
        }
    }
    by_name.into_iter().for_each(|(key, changes)| change_name(next, &key.as_ref(), &changes));
    gone.into_iter().for_each(|(service, slot)| forget(next, service, slot));
}

/// A service's own set, changed.
struct OwnSet {
    slot: SetSlot,
    is_new: bool,
    /// No Pod registers it any more.
    is_gone: bool,
}

/// Changes a service's own set. Creates the set if the service is new.
fn change_own_set(next: &mut Snapshot, slot: Option<SetSlot>, change: &ServiceDiff<'_>) -> OwnSet {
    let is_new = slot.is_none();
    let slot = slot.unwrap_or_else(|| next.names.add_service(change.service, &next.settings.origin));
    let Some(facts) = next.names.sets.get_mut(slot) else {
        return OwnSet { slot, is_new, is_gone: false };
    };
    apply(&mut facts.set, &[change]);
    OwnSet { slot, is_new, is_gone: facts.set.is_unregistered() }
}

/// Whether every natural name of a service selects it alone. The name without selectors covers the others.
fn has_names_alone(next: &Snapshot, service: &Service, slot: SetSlot) -> bool {
    if !service.is_natural() {
        return true;
    }
    let (namespace, group, version) = (service.namespace.as_bytes(), NameSelector::Any, NameSelector::Any);
    next.names.natural(&SetKeyRef { namespace, group, version, interface: &service.interface_key() }) == Some(slot)
}

/// Removes a service that no Pod registers any more. Its names are already gone.
fn forget(next: &mut Snapshot, service: &Service, slot: SetSlot) {
    next.names.remove_service(service, slot, &next.settings.origin);
}

/// Changes the set of a natural name: the own set of the only service that it selects, or the union of several. The
/// services' own sets are already up to date.
fn change_name(next: &mut Snapshot, key: &SetKeyRef<'_>, changes: &[&ServiceDiff<'_>]) {
    let before = next.names.natural(key);
    let mut services = before.and_then(|slot| next.names.sets.get(slot)).map(|facts| facts.services.clone());
    let services = services.get_or_insert_default();
    let union = before.filter(|_| services.len() > 1);
    for ServiceDiff { service, .. } in changes {
        let own = slot_of(next, service).and_then(|slot| own_set(next, slot));
        let is_there = own.is_some_and(|set| !set.is_unregistered());
        match services.binary_search_by(|other| other.alias.cmp(&service.alias)) {
            Ok(at) if !is_there => drop(services.remove(at)),
            Err(at) if is_there => services.insert(at, (*service).clone()),
            _ => {}
        }
    }
    let after = match (services.as_slice(), union) {
        ([], _) => None,
        ([only], _) => slot_of(next, only),
        (_, Some(union)) => {
            if let Some(facts) = next.names.sets.get_mut(union) {
                facts.services = std::mem::take(services);
                apply(&mut facts.set, changes);
            }
            return;
        }
        (several, None) => {
            let mut set = Set::default();
            let own_sets = several.iter().filter_map(|service| own_set(next, slot_of(next, service)?));
            own_sets.for_each(|own| set.join(own));
            Some(next.names.sets.insert(SetFacts { services: std::mem::take(services), set }))
        }
    };
    if before != after {
        next.names.put_natural(key, before, after);
        union.into_iter().for_each(|slot| next.names.sets.remove(slot));
    }
}

/// Removes all members that go, then adds all that come.
fn apply(set: &mut Set, changes: &[&ServiceDiff<'_>]) {
    changes.iter().flat_map(|change| &change.old).for_each(|member| set.remove(member));
    changes.iter().flat_map(|change| &change.new).for_each(|member| set.add(member));
}

fn slot_of(next: &Snapshot, service: &Service) -> Option<SetSlot> {
    next.names.alias(service.namespace.as_bytes(), service.alias)
}

fn own_set(next: &Snapshot, slot: SetSlot) -> Option<&Set> {
    Some(&next.names.sets.get(slot)?.set)
}

fn set_keys(service: &Service, zone: &Name) -> impl Iterator<Item = SetKey> {
    let interface = service.natural();
    service.selections(zone).into_iter().zip(std::iter::repeat(interface)).filter_map(
        |((group, version), interface)| {
            Some(SetKey { namespace: service.namespace.clone(), group, version, interface: interface? })
        },
    )
}
