//! Takes in single events: Pods that change, Pods that go, and the ends of lists.

use std::hash::BuildHasher;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::held::{self, Held, Hold};
use super::slots::names;
use super::{Index, STAGED_MAX, Source, Telling};
use crate::registration::{self, Decoded};
use crate::snapshot::{PodRecord, PodSlot};
use crate::source::Pod;

impl Index {
    /// Applies a Pod that the index asked for, unless the source has released it meanwhile.
    pub(super) fn apply_again(&mut self, source: usize, pod: Pod) {
        let held = self.slot_of_uid(source, &pod.uid).and_then(|slot| self.held[slot as usize].as_ref());
        if held.is_some_and(|held| held.has_hold_of(source)) {
            self.apply_pod(source, pod, None, Telling::Again);
        }
    }

    pub(super) fn apply_pod(&mut self, source: usize, mut pod: Pod, decoded: Option<Decoded>, telling: Telling) {
        if !pod.status.host_network {
            pod.status.host_ips = Box::default(); // no answer depends on them
        }
        let slot = self.slot_of(source, &pod);
        let Source { id, generation, is_listing, .. } = &self.sources[source];
        let (profile, generation, is_listing) = (id.profile.clone(), *generation, *is_listing);
        let fingerprint = NonZeroU64::new(self.keys.hash_one(&pod.annotation)).unwrap_or(NonZeroU64::MIN);
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        let hold = held.hold_of(source);
        if pod.resource_version < hold.resource_version && (!is_listing || telling == Telling::Again) {
            return; // a stale API server after a reconnect: never go back within one watch
        }
        // A Pod that the index asked for counts as named by its last list, not by the current one.
        let generation = if telling == Telling::Again { hold.generation } else { generation };
        let is_other = hold.fingerprint != Some(fingerprint);
        *hold = Hold { generation, resource_version: pod.resource_version, fingerprint: Some(fingerprint), ..*hold };
        let before = held.status_version();
        let is_newest = held.takes_status(pod.resource_version, is_listing.then_some(generation), self.lists);
        let published = self.next.pod(slot);
        let current = held.record(published.map(|record| &**record));
        let is_reread = is_other || current.is_missing(&profile);
        let is_renamed = is_newest && (&*current.namespace, current.name()) != (&*pod.namespace, &*pod.name);
        let has_news = is_renamed || (is_newest && current.status != pod.status);
        let is_newer = held.status_version() != before; // matters only among Pods of the same name
        // A Pod that waits for its list may look unchanged here. A whole list or a watch event publishes it anyway.
        let is_due = is_reread || has_news || self.is_waiting(slot) || (is_newer && !self.namesakes(slot).is_empty());
        if !is_due {
            return;
        }
        let Some(mut record) = self.record(slot).cloned() else { return };
        if is_renamed {
            self.rename(slot, &mut record, (&pod.namespace, &pod.name));
        }
        if is_newest {
            record.status = pod.status;
        }
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        if is_reread || is_renamed {
            let decoded = pod.annotation.map(|annotation| decoded.unwrap_or_else(|| registration::decode(&annotation)));
            held.reread(&mut record, source, &profile, decoded, &mut self.interner, &self.next.settings);
        }
        self.stage(source, slot, record);
    }

    /// Keeps a Pod's new record for the next snapshot, or for the snapshot after its list's `Commit`.
    pub(super) fn stage(&mut self, source: usize, slot: PodSlot, record: PodRecord) {
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        self.staged += record.cost();
        self.staged -= held.staged.replace(Box::new(record)).map_or(0, |staged| staged.cost());
        self.touch(source, slot);
        if self.staged > STAGED_MAX {
            self.sources.iter_mut().for_each(|source| self.dirty.append(&mut source.pending));
            self.settle();
        }
    }

    /// Renames a Pod. A published Pod is found by its old name until the new one is settled.
    pub(super) fn rename(&mut self, slot: PodSlot, record: &mut PodRecord, called: (&str, &str)) {
        let before = self.keys.hash_one(names(record)) as u32;
        if let Some(held) = self.held[slot as usize].as_mut() {
            held.rename(record, called, &mut self.interner, &self.next.settings);
        }
        if self.next.pod(slot).is_none() {
            self.bearers.remove(before, slot);
            self.bearers.insert(self.keys.hash_one(names(record)) as u32, slot);
        }
    }

    pub(super) fn remove_pod(&mut self, source: usize, uid: &Arc<str>) {
        if let Some(slot) = self.slot_of_uid(source, uid) {
            self.let_go(source, slot);
        }
    }

    /// Ends the source's hold on the Pod. What the Pod registered through that source goes, and so does the Pod if no
    /// other source holds it.
    pub(super) fn let_go(&mut self, source: usize, slot: PodSlot) {
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        if !held.release(source) {
            return;
        }
        let published = self.next.pod(slot);
        let mut record = held.record(published.map(|record| &**record)).clone();
        held::forget(&mut record, &self.sources[source].id.profile);
        record.recount();
        self.stage(source, slot, record);
    }

    /// Ends a whole list: Pods that it did not name go, and the changes that it made may be published.
    pub(super) fn commit(&mut self, source: usize) {
        let generation = self.sources[source].generation;
        let is_swept = |held: &Held| held.holds_since(source).is_some_and(|seen| seen != generation);
        let swept: Vec<PodSlot> = (0..)
            .zip(&self.held)
            .filter_map(|(slot, held)| held.as_ref().is_some_and(is_swept).then_some(slot))
            .collect();
        for slot in swept {
            self.let_go(source, slot);
        }
        self.close(source);
    }

    /// The list is at its end: what it changed may be published.
    pub(super) fn close(&mut self, source: usize) {
        let own = &mut self.sources[source];
        own.is_synced = true;
        own.is_listing = false;
        let committed = std::mem::take(&mut own.pending);
        committed.into_iter().for_each(|slot| self.make_due(slot));
    }

    /// Marks a Pod for the next snapshot, or for the one after its list's `Commit`.
    pub(super) fn touch(&mut self, source: usize, slot: PodSlot) {
        let own = &mut self.sources[source];
        if own.is_listing && own.is_synced {
            own.pending.insert(slot);
        } else {
            self.make_due(slot);
        }
    }

    /// Marks a Pod for the next snapshot, even if another source's list that changed it has not committed: that list
    /// may never.
    pub(super) fn make_due(&mut self, slot: PodSlot) {
        for source in &mut self.sources {
            source.pending.remove(&slot);
        }
        self.dirty.insert(slot);
    }
}
