//! Settles a changed Pod against the rules and the other Pods.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use super::claims::claims_of;
use super::diff::PodDiff;
use super::slots::names;
use super::{Index, facts};
use crate::snapshot::{PodRecord, PodSlot, Registered, Repeated, Standing, ZoneSettings};
use crate::source::Phase;

/// A Pod's record on its way into the snapshot.
pub(super) struct Settling {
    pub record: PodRecord,
    /// No source holds the Pod any more.
    pub is_gone: bool,
}

impl Index {
    /// Settles every Pod that is due: which Pod bears a name, which Pods the quota admits, which Pod holds an address
    /// and port. It then applies the difference between the old and the new record to the facts, once per Pod.
    pub(super) fn settle(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        let mut to_age: Vec<PodSlot> = due.iter().copied().collect();
        while let Some(slot) = to_age.pop() {
            to_age.extend(self.update_version(slot).into_iter().filter(|namesake| due.insert(*namesake)));
        }
        let due: Vec<(PodSlot, bool)> = due.into_iter().map(|slot| (slot, self.is_replaced(slot))).collect();
        let take_up = |(slot, is_replaced)| Some((slot, self.take_staged(slot, is_replaced)?));
        let mut settling: BTreeMap<PodSlot, Settling> = due.into_iter().filter_map(take_up).collect();
        self.apply_quotas(&mut settling);
        let mut rivals = BTreeSet::new();
        for (slot, Settling { record, is_gone }) in &settling {
            let old_claims = self.next.pod(*slot).map(|old| claims_of(old, *slot)).unwrap_or_default();
            let new_claims = if *is_gone { Vec::new() } else { claims_of(record, *slot) };
            rivals.extend(self.claims.replace(*slot, old_claims, new_claims));
        }
        for slot in rivals.into_iter().filter(|slot| !settling.contains_key(slot)).collect::<Vec<_>>() {
            let is_replaced = self.is_replaced(slot);
            settling.extend(self.take_staged(slot, is_replaced).map(|rival| (slot, rival))); // a rival's own claims do not change
        }
        // Add the Pods that come before removing those that go, so that a name that stays never disappears in between.
        let goes = |pod: &Settling| pod.is_gone || !pod.record.is_registering();
        let (going, coming): (Vec<_>, Vec<_>) = settling.into_iter().partition(|(_, pod)| goes(pod));
        for (slot, pod) in coming.into_iter().chain(going) {
            self.finish(slot, pod);
        }
        self.claims.settled();
    }

    /// Records the version of the Pod that will be published, and its name. If either changed, returns the other Pods
    /// of its old and its new name.
    fn update_version(&mut self, slot: PodSlot) -> Vec<PodSlot> {
        let mut others = self.update_name(slot);
        let is_waiting = self.is_waiting(slot);
        let Some(marks) = self.marks[slot as usize].as_mut().filter(|_| !is_waiting) else { return others };
        let settled = marks.is_held().then(|| marks.status_version());
        if std::mem::replace(&mut marks.settled, settled) != settled {
            others.extend(self.namesakes(slot));
        }
        others
    }

    /// If the Pod was renamed, files it under its new name and returns the other Pods of both names.
    fn update_name(&mut self, slot: PodSlot) -> Vec<PodSlot> {
        let (Some(old), Some(new)) = (self.next.pod(slot).cloned(), self.naming_record(slot)) else {
            return Vec::new();
        };
        if names(&old) == names(new) {
            return Vec::new();
        }
        let hash = self.keys.hash_one(names(new)) as u32;
        self.bearers.remove(self.keys.hash_one(names(&old)) as u32, slot);
        self.bearers.insert(hash, slot);
        [self.others_named(names(&old), slot), self.namesakes(slot)].concat()
    }

    /// Takes the record that will be published and applies the rules that depend on this Pod alone.
    pub(super) fn take_staged(&mut self, slot: PodSlot, is_replaced: bool) -> Option<Settling> {
        let is_waiting = self.is_waiting(slot);
        let marks = self.marks[slot as usize].as_mut()?;
        let staged = if is_waiting { None } else { marks.staged.take() };
        let is_gone = !marks.is_held() && !is_waiting;
        self.staged -= staged.as_ref().map_or(0, |staged| staged.cost());
        let mut record = match staged {
            Some(staged) => *staged,
            None => (**self.next.pod(slot)?).clone(),
        };
        record.is_replaced = is_replaced;
        apply_status(&mut record, &self.next.settings);
        Some(Settling { record, is_gone })
    }

    /// Determines what the Pod lost to others, and applies the difference.
    fn finish(&mut self, slot: PodSlot, Settling { mut record, is_gone }: Settling) {
        self.find_lost(&mut record, slot);
        let old = self.next.pod(slot).cloned();
        if is_gone {
            self.free_slot(slot, &record);
        }
        let new = (!is_gone).then(|| Arc::new(record));
        if new != old {
            self.is_changed |= self.next.is_synced; // before the first sync nothing is visible
            let diff = PodDiff::of(slot, old.as_ref(), new.as_ref());
            facts::apply_diff(&mut self.next, &mut self.dirty, &diff);
        }
    }

    /// Whether a list changed the Pod and has not committed yet.
    pub(super) fn is_waiting(&self, slot: PodSlot) -> bool {
        self.sources.iter().any(|source| source.pending.contains(&slot))
    }

    /// Whether another Pod of the same name is published and newer.
    pub(super) fn is_replaced(&self, slot: PodSlot) -> bool {
        let age = |slot: PodSlot| Some((self.marks[slot as usize].as_ref()?.settled?, slot));
        self.namesakes(slot).into_iter().any(|other| age(other) > age(slot))
    }

    /// Determines which of its registered addresses and ports another Pod holds.
    fn find_lost(&self, record: &mut PodRecord, slot: PodSlot) {
        let may_claim = record.is_registering() && !record.status.host_network;
        let claiming = record.registrations.iter().filter(|one| may_claim && one.is_claiming());
        let claimed =
            claiming.flat_map(|one| record.claimed_addresses(one).into_iter().zip(std::iter::repeat(one.port)));
        let mut lost: Vec<SocketAddr> = claimed
            .filter(|(address, port)| self.claims.is_lost(&(record.cluster.clone(), *address, *port), slot, &self.next))
            .map(SocketAddr::from)
            .collect();
        lost.sort();
        lost.dedup();
        record.change_rare(|rare| rare.lost = lost);
    }
}

/// Applies the Pod's own status to its registrations.
fn apply_status(record: &mut PodRecord, settings: &ZoneSettings) {
    let status = &record.status;
    let is_ready = status.ready || settings.publish_not_ready;
    record.is_serving = status.phase == Phase::Running && !status.terminating && is_ready;
    for registered in &mut record.registrations {
        let is_own =
            |address| status.pod_ips.contains(&address) || (status.host_network && status.host_ips.contains(&address));
        registered.standing = match registered.address() {
            None => Standing::Own,
            Some(address) if is_own(address) => Standing::Own,
            Some(_) if settings.trust_addresses => Standing::Trusted,
            Some(_) if status.pod_ips.is_empty() => Standing::Unplaced,
            Some(_) => Standing::Foreign,
        };
    }
    let pod_ips = status.pod_ips.clone();
    mark_repeats(&mut record.registrations, &pod_ips);
}

/// Marks the addresses of registrations at which another one of the same service, protocol and port counts instead. Of
/// several of one profile the last one counts, because registries append. Of several profiles the first one counts. A
/// registration without an address uses the Pod's own, and the case of a protocol does not matter.
fn mark_repeats(registrations: &mut [Registered], pod_ips: &[IpAddr]) {
    // If none names an address, all use the same ones, and one comparison stands for all of these.
    let names_one = registrations.iter().any(|one| one.address().is_some());
    let own: SmallVec<[Option<IpAddr>; 2]> = match names_one && !pod_ips.is_empty() {
        true => pod_ips.iter().copied().map(Some).collect(),
        false => SmallVec::from_iter([None]),
    };
    let mut places = HashSet::new();
    let is_of_one = |one: &Registered, next: &Registered| one.template.common.profile == next.template.common.profile;
    for registered in registrations.chunk_by_mut(is_of_one).flat_map(|of_profile| of_profile.iter_mut().rev()) {
        let (service, protocol, port) = (registered.service(), registered.protocol_key(), registered.port);
        let explicit = registered.address().map(Some);
        let addresses = explicit.as_ref().map_or(&own[..], std::slice::from_ref);
        let mut repeated = Repeated::default();
        let mut count = 0;
        for (place, address) in addresses.iter().enumerate() {
            if !places.insert((service.clone(), protocol.clone(), *address, port)) {
                repeated.add(place);
                count += 1;
            }
        }
        registered.repeated = if count == addresses.len() { Repeated::EVERYWHERE } else { repeated };
    }
}
