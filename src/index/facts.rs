//! Applies the difference between two records of one Pod to the snapshot's facts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::diff::PodDiff;
use super::difference::DirtyNames;
use super::services;
use crate::name;
use crate::snapshot::{Addresses, PodKey, PodRecord, PodSlot, Snapshot, Tally};

/// Replaces a Pod's record, and updates everything that follows from it. Marks the names that this changes, unless no
/// answer shows them yet.
pub(super) fn apply_diff(next: &mut Snapshot, dirty: &mut DirtyNames, diff: &PodDiff<'_>) {
    let (slot, old, new) = (diff.slot, diff.old.map(|old| &**old), diff.new.map(|new| &**new));
    if next.is_synced {
        dirty.mark_pod(diff);
    }
    change_tally(&mut next.tally, old, new);
    services::apply_diff(next, dirty, &diff.services);
    next.pods.set(slot as usize, diff.new.cloned());
    if diff.is_moved {
        let names = [old, new].map(|pod| pod_name_key(next, pod));
        let targets = [old, new].map(targets_of);
        if next.is_synced {
            let pod_ips = [old, new].into_iter().flatten().flat_map(|pod| &pod.status.pod_ips);
            dirty.addresses.extend(pod_ips.chain(targets.iter().flat_map(BTreeMap::keys)));
            dirty.keys.extend(names.iter().flatten().cloned());
        }
        apply_name(next, slot, names);
        apply_pointers(next, slot, old, new);
        apply_targets(next, slot, &targets);
    }
}

/// `<pod>.<ns>.pod.Z`
fn apply_name(next: &mut Snapshot, slot: PodSlot, [before, after]: [Option<PodKey>; 2]) {
    if before == after {
        return;
    }
    if let Some(key) = before {
        next.names.remove_pod(&key.as_ref(), slot);
    }
    if let Some(key) = after {
        next.names.add_pod(&key.as_ref(), slot);
    }
}

/// The key of a Pod's name below `pod.Z`, if it has one.
fn pod_name_key(next: &Snapshot, pod: Option<&PodRecord>) -> Option<PodKey> {
    pod.filter(|pod| pod.is_named()).and_then(|pod| pod_key(next, pod))
}

/// The Pod's own labels, or its target's label if its own do not fit into a name.
fn pod_key(next: &Snapshot, pod: &PodRecord) -> Option<PodKey> {
    let own = name::pod_key(pod.name(), &pod.namespace, &next.settings.origin);
    let labels = own.or_else(|| {
        let target = name::TargetLabel::of(*pod.status.pod_ips.first()?);
        Some(crate::dns::Key::of([target.as_bytes()].into_iter()))
    })?;
    Some(PodKey { namespace: pod.namespace.clone(), labels: labels.as_bytes().into() })
}

/// Updates the reverse names. A Pod on the host's network has none.
fn apply_pointers(next: &mut Snapshot, slot: PodSlot, old: Option<&PodRecord>, new: Option<&PodRecord>) {
    let addresses = |pod: Option<&PodRecord>| {
        // Keep no address if no reverse zone of ours can ask for it.
        let pod = pod.filter(|pod| pod.is_named() && !pod.status.host_network && !next.settings.reverse.is_empty());
        pod.map(|pod| pod.status.pod_ips.clone()).unwrap_or_default()
    };
    let (before, after) = (addresses(old), addresses(new));
    for address in before.into_iter().filter(|address| !after.contains(address)) {
        next.pointers.remove(&(address, slot));
    }
    for address in after {
        next.pointers.insert((address, slot));
    }
}

/// The targets of a Pod's registrations, and the addresses behind each.
fn targets_of(pod: Option<&PodRecord>) -> BTreeMap<IpAddr, Addresses> {
    let mut targets: BTreeMap<IpAddr, Addresses> = BTreeMap::new();
    let Some(pod) = pod.filter(|pod| pod.is_registering()) else { return targets };
    for registered in pod.registrations.iter().filter(|registered| registered.is_admitted()) {
        let Some(target) = pod.target(registered) else { continue };
        let mut addresses = pod.addresses(registered);
        if addresses.is_empty() {
            addresses = pod.claimed_addresses(registered);
        }
        let owned = targets.entry(target).or_default();
        owned.extend(addresses);
        owned.sort();
        owned.dedup();
    }
    targets
}

fn apply_targets(next: &mut Snapshot, slot: PodSlot, [before, after]: &[BTreeMap<IpAddr, Addresses>; 2]) {
    let changed = before.keys().chain(after.keys()).filter(|target| before.get(target) != after.get(target));
    let changed: std::collections::BTreeSet<IpAddr> = changed.copied().collect();
    if !changed.is_empty() {
        next.names.put_targets(slot, before.keys(), after.keys());
    }
    for target in changed {
        let others = next.pods_at_target(target).filter(|other| *other != slot).filter_map(|other| next.pod(other));
        let others = others.filter_map(|pod| targets_of(Some(pod)).remove(&target)).flatten();
        let owned = owned_by(target, others.chain(after.get(&target).into_iter().flatten().copied()));
        if owned.is_empty() {
            next.wide_targets.remove(&target);
        } else {
            next.wide_targets.insert(target, owned);
        }
    }
}

/// All addresses of the endpoints at a target. Empty if the target's own address is the only one.
fn owned_by(target: IpAddr, addresses: impl Iterator<Item = IpAddr>) -> Box<[IpAddr]> {
    let mut owned: Addresses = addresses.collect();
    owned.sort();
    owned.dedup();
    if *owned == [target] { Box::default() } else { owned.into_vec().into() }
}

/// Replaces a Pod's old record in the tally with its new one.
fn change_tally(tally: &mut Tally, old: Option<&PodRecord>, new: Option<&PodRecord>) {
    let (before, after) = (tally_of(old), tally_of(new));
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

/// What one Pod adds to the tally.
fn tally_of(pod: Option<&PodRecord>) -> Tally {
    let mut tally = Tally::default();
    let Some(pod) = pod else { return tally };
    tally.pods = 1;
    tally.registrations = pod.registrations.len();
    for registered in &pod.registrations {
        tally.endpoints += usize::from(pod.is_published(registered));
        tally.conflicts += usize::from(!pod.lost(registered).is_empty());
        tally.withheld += registered.template.common.withheld as usize;
        tally.left_out += registered.template.common.left_out as usize;
        let is_plain = registered.template.common.protocol.eq_ignore_ascii_case(crate::registration::DEFAULT_PROTOCOL);
        tally.malformed_protocols += usize::from(registered.protocol_label().is_none() && !is_plain);
    }
    for reason in pod.refusals().map(|refused| refused.reason) {
        *tally.refused.entry(reason).or_default() += 1;
    }
    tally
}
