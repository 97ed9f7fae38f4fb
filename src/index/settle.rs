//! A changed Pod against its rules and the other Pods.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::claims::claims_of;
use super::{Index, facts};
use crate::snapshot::{Addresses, PodRecord, PodSlot, Registered, Standing, ZoneSettings};
use crate::source::Phase;

impl Index {
    /// Brings every changed Pod up to date: those that are replaced after those that replace them, so that a name which
    /// stays does not go and come back, and move the serial.
    pub(super) fn settle_all(&mut self) {
        for slot in self.dirty.clone() {
            self.settle_age(slot);
        }
        let (last, first) = self.dirty.iter().partition::<Vec<PodSlot>, _>(|slot| self.is_replaced(**slot));
        self.dirty = last.into_iter().collect();
        first.into_iter().for_each(|slot| self.settle(slot));
        while let Some(slot) = self.dirty.pop_first() {
            self.settle(slot);
        }
    }

    fn settle_age(&mut self, slot: PodSlot) {
        let is_waiting = self.is_waiting(slot);
        let Some(held) = self.held[slot as usize].as_mut().filter(|_| !is_waiting) else { return };
        let age = held.is_held().then(|| held.status_version());
        if age != std::mem::replace(&mut held.settled, age) {
            self.touch_namesakes(slot);
        }
    }

    /// A list changed it that is not committed.
    fn is_waiting(&self, slot: PodSlot) -> bool {
        self.sources.iter().any(|source| source.pending.contains(&slot))
    }

    /// Brings one Pod's record up to date and carries the difference into the facts.
    fn settle(&mut self, slot: PodSlot) {
        let is_waiting = self.is_waiting(slot);
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        let old = self.next.pod(slot).cloned();
        let staged = if is_waiting { None } else { held.staged.take() };
        let is_gone = !held.is_held() && !is_waiting;
        let mut new = match (staged, &old) {
            (Some(staged), _) => *staged,
            (None, Some(old)) => (**old).clone(),
            (None, None) => return,
        };
        new.is_replaced = self.is_replaced(slot);
        place(&mut new, &self.next.settings);
        let old_claims = old.as_deref().map(|old| claims_of(old, slot)).unwrap_or_default();
        let new_claims = if is_gone { Vec::new() } else { claims_of(&new, slot) };
        self.dirty.extend(self.claims.replace(slot, &old_claims, &new_claims));
        self.find_lost(&mut new, slot);
        let uid = new.uid.clone();
        let new = (!is_gone).then(|| Arc::new(new));
        if new != old {
            self.is_changed = true;
            facts::carry(&mut self.next, &mut self.difference, slot, old.as_deref(), new);
        }
        if is_gone {
            self.free_slot(slot, uid);
        }
    }

    /// Another Pod bears the same name, is published, and is newer.
    fn is_replaced(&self, slot: PodSlot) -> bool {
        let age = |slot: PodSlot| Some((self.held[slot as usize].as_ref()?.settled?, slot));
        let Some(held) = &self.held[slot as usize] else { return false };
        let bearers = self.bearers.get(&held.name).map_or(&[][..], Vec::as_slice);
        bearers.iter().any(|bearer| *bearer != slot && age(*bearer) > age(slot))
    }

    /// Notes at which of its addresses another Pod holds the port.
    fn find_lost(&self, record: &mut PodRecord, slot: PodSlot) {
        let lost: Vec<Box<[_]>> = record
            .registrations
            .iter()
            .map(|registered| {
                if record.status.host_network || !record.is_registering() || !registered.is_admitted() {
                    return Box::default();
                }
                let mut addresses = record.claimed_addresses(registered);
                addresses
                    .retain(|address| self.claims.is_lost(&(record.cluster.clone(), *address, registered.port), slot));
                addresses.into_iter().collect()
            })
            .collect();
        for (registered, lost) in record.registrations.iter_mut().zip(lost) {
            registered.lost = lost;
        }
    }
}

/// What the Pod's own state says of its registrations.
fn place(record: &mut PodRecord, settings: &ZoneSettings) {
    let status = &record.status;
    let is_ready = status.ready || settings.publish_not_ready;
    record.is_serving = status.phase == Phase::Running && !status.terminating && is_ready;
    for registered in &mut record.registrations {
        let is_own =
            |address| status.pod_ips.contains(&address) || (status.host_network && status.host_ips.contains(&address));
        registered.standing = match registered.address {
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

/// Registries append: of one (service, protocol, address, port) the last one counts. An address that is not named is the
/// Pod's own, and a protocol in another letter case has the same names.
fn mark_repeats(registrations: &mut [Registered], pod_ips: &[IpAddr]) {
    let mut places = HashSet::new();
    for registered in registrations.iter_mut().rev() {
        let Registered { service, address, port, .. } = &*registered;
        let protocol = registered.protocol_label.as_ref().unwrap_or(&registered.protocol);
        let addresses: Addresses = address.map_or_else(|| pod_ips.into(), |address| std::iter::once(address).collect());
        registered.is_repeated = !places.insert((service.clone(), protocol.clone(), addresses, *port));
    }
}
