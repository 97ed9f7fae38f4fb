//! Takes in single events: Pods that change, Pods that go, and the ends of lists.

use std::hash::BuildHasher;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::marks::{self, PodMarks, SourceMark};
use super::slots::names;
use super::{ApplyReason, Index, STAGED_MAX, SourceState};
use crate::registration::{self, Decoded, Encoding, ProfileText};
use crate::snapshot::{PodRecord, PodSlot};
use crate::source::Pod;

impl Index {
    /// Applies a Pod that the index asked for, unless the source has released it meanwhile.
    pub(super) fn apply_refetched(&mut self, source: usize, pod: Pod) {
        let marks = self.slot_of_uid(source, &pod.uid).and_then(|slot| self.marks[slot as usize].as_ref());
        if marks.is_some_and(|marks| marks.is_held_by(source)) {
            self.apply_pod(source, pod, None, ApplyReason::Refetched);
        }
    }

    pub(super) fn apply_pod(&mut self, source: usize, mut pod: Pod, decoded: Option<Decoded>, reason: ApplyReason) {
        if !pod.status.host_network {
            pod.status.host_ips = Box::default(); // no answer depends on them
        }
        let slot = self.slot_of(source, &pod);
        let SourceState { id, generation, is_listing, .. } = &self.sources[source];
        let (profile, generation, is_listing) = (id.profile.clone(), *generation, *is_listing);
        let fingerprint = NonZeroU64::new(self.keys.hash_one(&pod.text)).unwrap_or(NonZeroU64::MIN);
        let Some(marks) = self.marks[slot as usize].as_mut() else { return };
        let mark = marks.mark_of(source);
        if pod.resource_version < mark.resource_version && (!is_listing || reason == ApplyReason::Refetched) {
            return; // a stale API server after a reconnect: never go back within one watch
        }
        // A Pod that the index asked for counts as named by its last list, not by the current one.
        let generation = if reason == ApplyReason::Refetched { mark.generation } else { generation };
        let is_other = mark.fingerprint != Some(fingerprint);
        *mark =
            SourceMark { generation, resource_version: pod.resource_version, fingerprint: Some(fingerprint), ..*mark };
        let before = marks.status_version();
        let is_newest = marks.accept_status(pod.resource_version, is_listing.then_some(generation), self.lists);
        let published = self.next.pod(slot);
        let current = marks.record(published.map(|record| &**record));
        let is_reread = is_other || current.is_missing(&profile);
        let is_renamed = is_newest && (&*current.namespace, current.name()) != (&*pod.namespace, &*pod.name);
        let has_news = is_renamed || (is_newest && current.status != pod.status);
        let is_newer = marks.status_version() != before; // matters only among Pods of the same name
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
        let Some(marks) = self.marks[slot as usize].as_mut() else { return };
        if is_reread || is_renamed {
            let decoded = decoded.or_else(|| decode(&pod.text, &self.sources[source].encoding));
            let of_profile = (&profile, self.profiles.as_slice());
            marks.reread(&mut record, source, of_profile, decoded, &mut self.interner, &self.next.settings);
        }
        self.stage(source, slot, record);
    }

    /// Keeps a Pod's new record for the next snapshot, or for the snapshot after its list's `Commit`.
    pub(super) fn stage(&mut self, source: usize, slot: PodSlot, record: PodRecord) {
        let Some(marks) = self.marks[slot as usize].as_mut() else { return };
        self.staged += record.cost();
        self.staged -= marks.staged.replace(Box::new(record)).map_or(0, |staged| staged.cost());
        self.touch(source, slot);
        if self.staged > STAGED_MAX {
            self.sources.iter_mut().for_each(|source| self.due.append(&mut source.pending));
            self.settle();
        }
    }

    /// Renames a Pod. A published Pod is found by its old name until the new one is settled.
    pub(super) fn rename(&mut self, slot: PodSlot, record: &mut PodRecord, called: (&str, &str)) {
        let before = self.keys.hash_one(names(record)) as u32;
        if let Some(marks) = self.marks[slot as usize].as_mut() {
            marks.rename(record, called, &mut self.interner, &self.next.settings);
        }
        if self.next.pod(slot).is_none() {
            self.bearers.remove(before, slot);
            self.bearers.insert(self.keys.hash_one(names(record)) as u32, slot);
        }
    }

    pub(super) fn remove_pod(&mut self, source: usize, uid: &Arc<str>) {
        if let Some(slot) = self.slot_of_uid(source, uid) {
            self.release(source, slot);
        }
    }

    /// Ends the source's hold on the Pod. What the Pod registered through that source goes, and so does the Pod if no
    /// other source holds it.
    pub(super) fn release(&mut self, source: usize, slot: PodSlot) {
        let Some(marks) = self.marks[slot as usize].as_mut() else { return };
        if !marks.release(source) {
            return;
        }
        let published = self.next.pod(slot);
        let mut record = marks.record(published.map(|record| &**record)).clone();
        marks::forget(&mut record, &self.sources[source].id.profile);
        record.recount();
        self.stage(source, slot, record);
    }

    /// Ends a whole list: Pods that it did not name go, and the changes that it made may be published.
    pub(super) fn commit(&mut self, source: usize) {
        let generation = self.sources[source].generation;
        let is_swept = |marks: &PodMarks| marks.last_list_of(source).is_some_and(|seen| seen != generation);
        let swept: Vec<PodSlot> = (0..)
            .zip(&self.marks)
            .filter_map(|(slot, marks)| marks.as_ref().is_some_and(is_swept).then_some(slot))
            .collect();
        for slot in swept {
            self.release(source, slot);
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
        self.due.insert(slot);
    }
}

/// Decodes a text. `None` for a Pod without the annotation of its profile: it says nothing, and nothing of it is refused.
fn decode(text: &ProfileText, encoding: &Encoding) -> Option<Decoded> {
    let is_silent = *text == ProfileText::default() && matches!(encoding, Encoding::Pairs { .. });
    (!is_silent).then(|| registration::decode(text, encoding))
}
