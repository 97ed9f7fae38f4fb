//! Finds Pods by uid and by name, and gives them slots.

use std::hash::BuildHasher;

use super::Index;
use super::marks::PodMarks;
use crate::snapshot::{PodRecord, PodSlot};
use crate::source::Pod;

impl Index {
    pub(super) fn slot_of_uid(&self, source: usize, uid: &str) -> Option<PodSlot> {
        let cluster = &self.sources[source].id.cluster;
        let is_it =
            |slot: &PodSlot| self.record(*slot).is_some_and(|record| record.uid() == uid && record.cluster == *cluster);
        self.slots.find(self.keys.hash_one((cluster, uid)) as u32).find(is_it)
    }

    /// The other Pods of the same name.
    pub(super) fn namesakes(&self, slot: PodSlot) -> Vec<PodSlot> {
        self.naming_record(slot).map(|record| self.others_named(names(record), slot)).unwrap_or_default()
    }

    /// The Pods of this cluster, namespace and name, without the Pod in `slot`.
    pub(super) fn others_named(&self, called: [&str; 3], slot: PodSlot) -> Vec<PodSlot> {
        let is_one = |other: &PodSlot| {
            let other = (*other != slot).then(|| self.naming_record(*other)).flatten();
            other.is_some_and(|other| names(other) == called)
        };
        self.bearers.find(self.keys.hash_one(called) as u32).filter(is_one).collect()
    }

    /// The record whose name counts among the other Pods. It is the published one while the Pod waits for its list's
    /// `Commit`: an uncommitted list renames no Pod.
    pub(super) fn naming_record(&self, slot: PodSlot) -> Option<&PodRecord> {
        let published = self.next.pod(slot).map(|record| &**record);
        published.filter(|_| self.is_waiting(slot)).or_else(|| self.record(slot))
    }

    pub(super) fn slot_of(&mut self, source: usize, pod: &Pod) -> PodSlot {
        if let Some(slot) = self.slot_of_uid(source, &pod.uid) {
            return slot;
        }
        let slot = self.free.pop().unwrap_or(self.marks.len() as PodSlot);
        if slot as usize == self.marks.len() {
            self.marks.push(None);
            self.next.pods.push_back(None);
        }
        let cluster = self.interner.text(&self.sources[source].id.cluster);
        let namespace = self.interner.text(&pod.namespace);
        self.slots.insert(self.keys.hash_one((&cluster, &*pod.uid)) as u32, slot);
        let record = PodRecord::new(cluster, namespace, &pod.name, &pod.uid);
        self.bearers.insert(self.keys.hash_one(names(&record)) as u32, slot);
        self.staged += record.cost();
        self.marks[slot as usize] = Some(PodMarks::new(record));
        slot
    }

    /// Frees the slot of a Pod that no source holds.
    pub(super) fn free_slot(&mut self, slot: PodSlot, record: &PodRecord) {
        self.slots.remove(self.keys.hash_one((&record.cluster, record.uid())) as u32, slot);
        self.bearers.remove(self.keys.hash_one(names(record)) as u32, slot);
        self.marks[slot as usize] = None;
        self.free.push(slot);
    }
}

/// Cluster, namespace and name: Pods that share all three replace each other.
pub(super) fn names(record: &PodRecord) -> [&str; 3] {
    [&record.cluster, &record.namespace, record.name()]
}
