//! A changed Pod against its rules and the other Pods.

use std::collections::HashSet;
use std::sync::Arc;

use super::claims::claims_of;
use super::{Index, facts};
use crate::snapshot::{PodRecord, PodSlot, Registered, Standing, ZoneSettings};
use crate::source::Phase;

impl Index {
    /// Brings one Pod's record up to date and carries the difference into the facts.
    pub(super) fn settle(&mut self, slot: PodSlot) {
        let is_waiting = self.sources.iter().any(|source| source.pending.contains(&slot));
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        let old = self.next.pod(slot).cloned();
        let staged = if is_waiting { None } else { held.staged.take() };
        let is_gone = !held.is_held() && !is_waiting;
        let settled = if is_waiting { held.settled } else { held.is_held().then(|| held.status_version()) };
        let is_other_age = std::mem::replace(&mut held.settled, settled) != settled;
        let mut new = match (staged, &old) {
            (Some(staged), _) => *staged,
            (None, Some(old)) => (**old).clone(),
            (None, None) => return,
        };
        if is_other_age {
            self.touch_namesakes(slot);
        }
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
    mark_repeats(&mut record.registrations);
}

/// Registries append: of one (service, protocol, address, port) the last one counts. And two protocols at one port have
/// one TXT record between them where it would say the same.
fn mark_repeats(registrations: &mut [Registered]) {
    let mut places = HashSet::new();
    for registered in registrations.iter_mut().rev() {
        let Registered { service, protocol, address, port, .. } = &*registered;
        registered.is_repeated = !places.insert((service.clone(), protocol.clone(), *address, *port));
    }
    let mut records = HashSet::new();
    for registered in registrations.iter_mut().filter(|registered| registered.is_admitted()) {
        let Registered { service, address, port, published, .. } = &*registered;
        registered.repeats_txt = !records.insert((service.clone(), *address, *port, published.clone()));
    }
}
