//! One Pod's difference, carried into the facts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Difference;
use super::shown::Touched;
use crate::name::{self, Service};
use crate::snapshot::{
    Addresses, Endpoint, EndpointParts, Member, PodKey, PodRecord, PodSlot, Published, ServiceFacts, ServiceKey,
    SetFacts, SetKey, Snapshot, Tally, order_seed,
};

/// Puts a Pod's new record in place of its old one, and with it everything that follows from the two.
pub(super) fn carry(
    next: &mut Snapshot,
    difference: &mut Difference,
    slot: PodSlot,
    old: Option<&PodRecord>,
    new: Option<Arc<PodRecord>>,
) {
    let record = new.as_deref();
    difference.pods.insert(slot);
    change_tally(&mut next.tally, old, record);
    carry_services(next, difference, slot, old, record);
    let names = [named(next, old), named(next, record)];
    let (before, after) = (targets_of(old), targets_of(record));
    let pod_ips = [old, record].into_iter().flatten().flat_map(|pod| &pod.status.pod_ips);
    let addresses = pod_ips.chain(before.keys()).chain(after.keys()).copied().collect();
    let touched = Touched { names: names.iter().flatten().cloned().collect(), addresses };
    let shown = touched.shown(next);
    carry_name(next, slot, names);
    carry_pointers(next, slot, old, record);
    next.pods.set(slot as usize, new); // the targets are made from the records
    carry_targets(next, slot, &before, &after);
    shown.tell(&touched.shown(next), difference);
}

/// A registration as its service's set has it, and what its TXT record says.
type Membership = (Member, Option<Arc<Published>>);

fn carry_services(
    next: &mut Snapshot,
    difference: &mut Difference,
    slot: PodSlot,
    old: Option<&PodRecord>,
    new: Option<&PodRecord>,
) {
    let (mut before, after) = (memberships(old, slot), memberships(new, slot));
    for (key, (service, add)) in after {
        let take = before.remove(&key).map(|(_, take)| take).unwrap_or_default();
        if take == add {
            continue;
        }
        let are_names_changed = change_service(next, &service, &take, &add);
        if are_names_changed || !looks_same(&take, &add) {
            difference.services.insert((key.namespace, key.alias));
        }
    }
    for (key, (service, take)) in before {
        let are_names_changed = change_service(next, &service, &take, &[]);
        if are_names_changed || !looks_same(&take, &[]) {
            difference.services.insert((key.namespace, key.alias));
        }
    }
}

/// Whether no record tells the two apart: what is not ready has none, and a registration may have moved in its Pod for
/// one that was never shown.
fn looks_same(before: &[Membership], after: &[Membership]) -> bool {
    let before: Vec<&Membership> = before.iter().filter(|(member, _)| member.endpoint.is_some()).collect();
    let after: Vec<&Membership> = after.iter().filter(|(member, _)| member.endpoint.is_some()).collect();
    let is_same = |((one, told), (other, tells)): (&Membership, &Membership)| {
        let endpoints = one.endpoint.zip(other.endpoint).is_some_and(|(one, other)| one.looks_same(&other));
        endpoints && one.protocol == other.protocol && told == tells
    };
    before.len() == after.len() && before.into_iter().zip(after).all(is_same)
}

/// What a Pod adds to which services.
fn memberships(pod: Option<&PodRecord>, slot: PodSlot) -> BTreeMap<ServiceKey, (Arc<Service>, Vec<Membership>)> {
    let mut memberships: BTreeMap<ServiceKey, (Arc<Service>, Vec<Membership>)> = BTreeMap::new();
    let Some(pod) = pod.filter(|pod| pod.is_registering()) else { return memberships };
    for (place, registered) in pod.registrations.iter().enumerate().filter(|(_, one)| one.is_admitted()) {
        let service = &registered.service;
        let addresses = pod.addresses(registered);
        let parts = EndpointParts {
            seed: seed_of(service),
            addresses: &addresses,
            port: registered.port,
            weight: registered.weight,
            protocol: registered.protocol_label.as_deref(),
            pod: slot,
            registration: place as u16,
        };
        let endpoint = if pod.is_published(registered) { Endpoint::new(parts) } else { None };
        let published = endpoint.map(|_| registered.published.clone());
        let member = Member { protocol: registered.protocol_label.clone(), endpoint };
        let key = ServiceKey { namespace: service.namespace.clone(), alias: service.alias };
        memberships.entry(key).or_insert_with(|| (service.clone(), Vec::new())).1.push((member, published));
    }
    memberships
}

/// Services that share a natural name share an order, so that their endpoints can stand in one set.
fn seed_of(service: &Service) -> u64 {
    let interface = service.natural().map_or(service.interface.as_bytes(), |natural| natural);
    order_seed(&service.namespace, interface)
}

/// Changes one service's set, and the sets of the names that select it; whether names came or went by that.
fn change_service(next: &mut Snapshot, service: &Arc<Service>, take: &[Membership], add: &[Membership]) -> bool {
    let key = ServiceKey { namespace: service.namespace.clone(), alias: service.alias };
    let found = next.services.get(&key.as_ref());
    let is_new = found.is_none();
    let old = found.map(|facts| facts.set.clone()).unwrap_or_default();
    let mut set = (*old).clone();
    take.iter().for_each(|(member, _)| set.take(member));
    add.iter().for_each(|(member, _)| set.add(member));
    let is_gone = set.is_unregistered();
    let set = Arc::new(set);
    let are_names_changed = is_new || is_gone || !old.protocols().eq(set.protocols());
    if is_gone {
        next.services.remove(&key.as_ref());
    } else {
        next.services.insert(key, ServiceFacts { service: service.clone(), set: set.clone() });
    }
    if service.natural().is_none() {
        let key = ServiceKey { namespace: service.namespace.clone(), alias: service.alias };
        if is_gone {
            next.alias_only.remove(&key.as_ref());
        } else {
            next.alias_only.insert(key, service.clone());
        }
    }
    for key in set_keys(service) {
        let mut facts = match next.sets.get(&key.as_ref()) {
            Some(facts) => facts.clone(),
            None => SetFacts { services: Default::default(), set: Arc::default() },
        };
        if is_new {
            let at = facts.services.partition_point(|other| other.alias < service.alias);
            facts.services.insert(at, service.clone()); // in an order that does not tell who came first
        }
        if is_gone {
            facts.services.retain(|other| other != service);
        }
        match facts.services.as_slice() {
            [] => {
                next.sets.remove(&key.as_ref());
                continue;
            }
            [only] if only == service => facts.set = set.clone(),
            [only] => {
                let own = ServiceKey { namespace: only.namespace.clone(), alias: only.alias };
                facts.set = next.services.get(&own.as_ref()).map(|facts| facts.set.clone()).unwrap_or_default();
            }
            _ => {
                let union = Arc::make_mut(&mut facts.set);
                take.iter().for_each(|(member, _)| union.take(member));
                add.iter().for_each(|(member, _)| union.add(member));
            }
        }
        next.sets.insert(key, facts);
    }
    are_names_changed
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

/// `<pod>.<ns>.pod.Z`
fn carry_name(next: &mut Snapshot, slot: PodSlot, [before, after]: [Option<PodKey>; 2]) {
    if before == after {
        return;
    }
    if let Some(key) = before {
        let mut slots = next.pod_names.get(&key.as_ref()).cloned().unwrap_or_default();
        slots.retain(|other| *other != slot);
        if slots.is_empty() {
            next.pod_names.remove(&key.as_ref());
        } else {
            next.pod_names.insert(key, slots);
        }
    }
    if let Some(key) = after {
        let mut slots = next.pod_names.get(&key.as_ref()).cloned().unwrap_or_default();
        slots.push(slot);
        next.pod_names.insert(key, slots);
    }
}

fn named(next: &Snapshot, pod: Option<&PodRecord>) -> Option<PodKey> {
    pod.filter(|pod| pod.is_named()).and_then(|pod| pod_key(next, pod))
}

/// The Pod's own labels, or its target's where they cannot stand in a name.
fn pod_key(next: &Snapshot, pod: &PodRecord) -> Option<PodKey> {
    let own = name::pod_key(&pod.name, &pod.namespace, &next.settings.origin);
    let labels = own.or_else(|| {
        let target = name::TargetLabel::of(*pod.status.pod_ips.first()?);
        Some(crate::dns::Key::of([target.as_bytes()].into_iter()))
    })?;
    Some(PodKey { namespace: pod.namespace.clone(), labels: labels.as_bytes().into() })
}

/// The reverse names: none for a Pod of the host's network.
fn carry_pointers(next: &mut Snapshot, slot: PodSlot, old: Option<&PodRecord>, new: Option<&PodRecord>) {
    let addresses = |pod: Option<&PodRecord>| {
        let pod = pod.filter(|pod| pod.is_named() && !pod.status.host_network);
        pod.map(|pod| pod.status.pod_ips.clone()).unwrap_or_default()
    };
    let (before, after) = (addresses(old), addresses(new));
    for address in before.iter().filter(|address| !after.contains(address)) {
        let mut slots = next.pointers.get(address).cloned().unwrap_or_default();
        slots.retain(|other| *other != slot);
        if slots.is_empty() {
            next.pointers.remove(address);
        } else {
            next.pointers.insert(*address, slots);
        }
    }
    for address in after.iter().filter(|address| !before.contains(address)) {
        let mut slots = next.pointers.get(address).cloned().unwrap_or_default();
        slots.push(slot);
        next.pointers.insert(*address, slots);
    }
}

/// The targets that a Pod's registrations use, and the addresses behind them.
fn targets_of(pod: Option<&PodRecord>) -> BTreeMap<IpAddr, Addresses> {
    let mut targets: BTreeMap<IpAddr, Addresses> = BTreeMap::new();
    let Some(pod) = pod.filter(|pod| pod.is_registering()) else { return targets };
    for registered in pod.registrations.iter().filter(|registered| registered.is_admitted()) {
        let mut addresses = pod.addresses(registered);
        if addresses.is_empty() {
            addresses = pod.claimed_addresses(registered);
        }
        let Some(target) = addresses.first().copied() else { continue };
        let owned = targets.entry(target).or_default();
        owned.extend(addresses);
        owned.sort();
        owned.dedup();
    }
    targets
}

fn carry_targets(
    next: &mut Snapshot,
    slot: PodSlot,
    before: &BTreeMap<IpAddr, Addresses>,
    after: &BTreeMap<IpAddr, Addresses>,
) {
    let changed = before.keys().chain(after.keys()).filter(|target| before.get(target) != after.get(target));
    let changed: std::collections::BTreeSet<IpAddr> = changed.copied().collect();
    for target in changed {
        let mut facts = next.targets.get(&target).cloned().unwrap_or_default();
        let was_wide = !facts.owned.is_empty();
        facts.pods.retain(|other| *other != slot);
        if after.contains_key(&target) {
            facts.pods.push(slot);
        }
        facts.owned = owned_by(next, target, &facts.pods);
        next.wide_targets = next.wide_targets + usize::from(!facts.owned.is_empty()) - usize::from(was_wide);
        if facts.pods.is_empty() {
            next.targets.remove(&target);
        } else {
            next.targets.insert(target, facts);
        }
    }
}

/// All addresses of the endpoints that use a target; none where that is the target's own alone.
fn owned_by(next: &Snapshot, target: IpAddr, pods: &[PodSlot]) -> Vec<IpAddr> {
    let records = pods.iter().filter_map(|slot| next.pod(*slot));
    let mut owned: Vec<IpAddr> = records.filter_map(|pod| targets_of(Some(pod)).remove(&target)).flatten().collect();
    owned.sort();
    owned.dedup();
    if owned == [target] { Vec::new() } else { owned }
}

/// Counts a Pod's new record in place of its old one.
fn change_tally(tally: &mut Tally, old: Option<&PodRecord>, new: Option<&PodRecord>) {
    let (before, after) = (count(old), count(new));
    let change = |number: &mut usize, before: usize, after: usize| *number = *number + after - before;
    change(&mut tally.pods, before.pods, after.pods);
    change(&mut tally.registrations, before.registrations, after.registrations);
    change(&mut tally.endpoints, before.endpoints, after.endpoints);
    change(&mut tally.conflicts, before.conflicts, after.conflicts);
    change(&mut tally.malformed_protocols, before.malformed_protocols, after.malformed_protocols);
    change(&mut tally.withheld, before.withheld, after.withheld);
    change(&mut tally.left_out, before.left_out, after.left_out);
    for (reason, number) in after.refused {
        *tally.refused.entry(reason).or_default() += number;
    }
    for (reason, number) in before.refused {
        *tally.refused.entry(reason).or_default() -= number;
    }
}

/// One Pod's part in the tally.
fn count(pod: Option<&PodRecord>) -> Tally {
    let mut tally = Tally::default();
    let Some(pod) = pod else { return tally };
    tally.pods = 1;
    tally.registrations = pod.registrations.len();
    for registered in &pod.registrations {
        tally.endpoints += usize::from(pod.is_published(registered));
        tally.conflicts += usize::from(!registered.lost.is_empty());
        tally.withheld += registered.withheld as usize;
        tally.left_out += registered.left_out as usize;
        let is_plain = registered.protocol.eq_ignore_ascii_case(crate::registration::DEFAULT_PROTOCOL);
        tally.malformed_protocols += usize::from(registered.protocol_label.is_none() && !is_plain);
    }
    for reason in pod.refusals().map(|refused| refused.reason) {
        *tally.refused.entry(reason).or_default() += 1;
    }
    tally
}
