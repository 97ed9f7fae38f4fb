//! One Pod's difference, carried into the services that it registers and the names that select them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Difference;
use crate::name::Service;
use crate::snapshot::{
    Endpoint, EndpointParts, Member, PodRecord, PodSlot, ServiceFacts, ServiceKey, Set, SetKey, Snapshot, Told,
    order_seed,
};

/// Puts what a Pod registers now in place of what it registered before.
pub(super) fn carry(
    next: &mut Snapshot,
    difference: &mut Difference,
    slot: PodSlot,
    old: Option<&PodRecord>,
    new: Option<&PodRecord>,
) {
    let changes = changes(memberships(old, slot), memberships(new, slot));
    for change in &changes {
        if change_own_set(next, change) || !looks_same(&change.take, &change.add) {
            difference.services.insert((change.service.namespace.clone(), change.service.alias));
        }
    }
    // Of two services that share a name the Pod's endpoints may trade places: all changes of a name are made at once.
    let mut by_name: BTreeMap<SetKey, Vec<&Change<'_>>> = BTreeMap::new();
    for change in &changes {
        set_keys(&change.service).for_each(|key| by_name.entry(key).or_default().push(change));
    }
    by_name.into_iter().for_each(|(key, changes)| change_name(next, key, &changes));
}

/// A registration as its service's set has it, and what its TXT record says.
type Membership<'p> = (Member, Option<Told<'p>>);

/// What a Pod adds to which services.
type Memberships<'p> = BTreeMap<ServiceKey, (Arc<Service>, Vec<Membership<'p>>)>;

/// What one service loses and gains.
struct Change<'p> {
    service: Arc<Service>,
    take: Vec<Membership<'p>>,
    add: Vec<Membership<'p>>,
}

fn changes<'p>(mut before: Memberships<'p>, after: Memberships<'p>) -> Vec<Change<'p>> {
    let mut changes = Vec::new();
    for (key, (service, add)) in after {
        let take = before.remove(&key).map(|(_, take)| take).unwrap_or_default();
        if take != add {
            changes.push(Change { service, take, add });
        }
    }
    changes.extend(before.into_values().map(|(service, take)| Change { service, take, add: Vec::new() }));
    changes
}

fn memberships(pod: Option<&PodRecord>, slot: PodSlot) -> Memberships<'_> {
    let mut memberships = Memberships::new();
    let Some(pod) = pod.filter(|pod| pod.is_registering()) else { return memberships };
    for (place, registered) in pod.registrations.iter().enumerate().filter(|(_, one)| one.is_admitted()) {
        let service = registered.service();
        let addresses = pod.addresses(registered);
        let parts = EndpointParts {
            seed: seed_of(service),
            addresses: &addresses,
            port: registered.port,
            weight: registered.weight,
            protocol: registered.protocol_label().map(|label| &**label),
            pod: slot,
            registration: place as u16,
        };
        let endpoint = if pod.is_published(registered) { Endpoint::new(parts) } else { None };
        let published = endpoint.map(|_| registered.published());
        let member = Member { protocol: registered.protocol_label().cloned(), endpoint };
        memberships.entry(key_of(service)).or_insert_with(|| (service.clone(), Vec::new())).1.push((member, published));
    }
    memberships
}

/// Services that share a natural name share an order, so that their endpoints can stand in one set.
fn seed_of(service: &Service) -> u64 {
    let interface = service.natural().map_or(service.interface.as_bytes(), |natural| natural);
    order_seed(&service.namespace, interface)
}

/// Whether no answer tells the two apart, as far as endpoints go: what is not ready is not shown, and a registration may
/// have moved in its Pod for one that was never shown.
fn looks_same(before: &[Membership<'_>], after: &[Membership<'_>]) -> bool {
    let (before, after) = (shown(before), shown(after));
    let is_same =
        |((one, told), (other, tells)): (&(Endpoint, _), &(Endpoint, _))| one.looks_same(other) && told == tells;
    before.len() == after.len() && before.iter().zip(&after).all(is_same)
}

fn shown<'p>(memberships: &[Membership<'p>]) -> Vec<(Endpoint, Option<Told<'p>>)> {
    memberships.iter().filter_map(|(member, told)| Some((member.endpoint?, *told))).collect()
}

/// Changes a service's own set; whether other names exist by that.
fn change_own_set(next: &mut Snapshot, change: &Change<'_>) -> bool {
    let key = key_of(&change.service);
    let found = next.services.get(&key.as_ref());
    let mut set = found.map(|facts| (*facts.set).clone()).unwrap_or_default();
    apply(&mut set, &[change]);
    let is_gone = set.is_unregistered();
    let has_other_names = is_gone || found.is_none_or(|facts| !facts.set.protocols().eq(set.protocols()));
    let is_alias_only = change.service.natural().is_none();
    if is_gone {
        next.services.remove(&key.as_ref());
        next.alias_only.remove(&key.as_ref());
    } else {
        if is_alias_only {
            next.alias_only.insert(key.clone(), change.service.clone());
        }
        next.services.insert(key, ServiceFacts { service: change.service.clone(), set: Arc::new(set) });
    }
    has_other_names
}

/// Changes what a natural name selects, after the services' own sets: the set of the one service that it selects, or the
/// union of several.
fn change_name(next: &mut Snapshot, key: SetKey, changes: &[&Change<'_>]) {
    let mut facts = next.sets.get(&key.as_ref()).cloned().unwrap_or_default();
    let was_union = facts.services.len() > 1;
    for Change { service, .. } in changes {
        let is_there = next.services.contains_key(&key_of(service).as_ref());
        match facts.services.binary_search_by(|other| other.alias.cmp(&service.alias)) {
            Ok(at) if !is_there => drop(facts.services.remove(at)),
            Err(at) if is_there => facts.services.insert(at, service.clone()),
            _ => {}
        }
    }
    match facts.services.as_slice() {
        [] => {
            next.sets.remove(&key.as_ref());
            return;
        }
        [only] => facts.set = own_set(next, only),
        _ if was_union => apply(Arc::make_mut(&mut facts.set), changes),
        [first, others @ ..] => {
            let mut union = (*own_set(next, first)).clone();
            others.iter().for_each(|other| union.join(&own_set(next, other)));
            facts.set = Arc::new(union);
        }
    }
    next.sets.insert(key, facts);
}

/// Everything that goes, then everything that comes.
fn apply(set: &mut Set, changes: &[&Change<'_>]) {
    changes.iter().flat_map(|change| &change.take).for_each(|(member, _)| set.take(member));
    changes.iter().flat_map(|change| &change.add).for_each(|(member, _)| set.add(member));
}

fn own_set(next: &Snapshot, service: &Service) -> Arc<Set> {
    next.services.get(&key_of(service).as_ref()).map(|facts| facts.set.clone()).unwrap_or_default()
}

fn key_of(service: &Service) -> ServiceKey {
    ServiceKey { namespace: service.namespace.clone(), alias: service.alias }
}

fn set_keys(service: &Service) -> impl Iterator<Item = SetKey> {
    let interface = service.natural();
    service.selections().iter().zip(std::iter::repeat(interface)).filter_map(|((group, version), interface)| {
        Some(SetKey {
            namespace: service.namespace.clone(),
            group: group.clone(),
            version: version.clone(),
            interface: interface?.clone(),
        })
    })
}
