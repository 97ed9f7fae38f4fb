//! How many registrations of a namespace are admitted: up to the operator's bound, and its oldest Pods keep theirs.
//!
//! Of most namespaces a number is all that is kept. One that is over the bound has its Pods ranked, by
//! `status.startTime` and uid, so that every replica admits the same; a change then looks at the Pods at the margin alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Index;
use super::settle::Settling;
use crate::snapshot::{PodRecord, PodSlot};

/// A cluster and a namespace in it.
type Namespace = (Arc<str>, Arc<str>);

/// What is registered in each namespace.
#[derive(Default)]
pub(super) struct Rooms(HashMap<Namespace, Room>);

/// What is registered in one.
#[derive(Default)]
struct Room {
    registrations: usize,
    /// From when they are more than may be until they are half of that: who comes and goes at the bound itself must not
    /// have them ranked anew each time.
    ranking: Option<Ranking>,
}

/// The Pods of a namespace with how much each registers, the oldest first.
#[derive(Default)]
struct Ranking {
    /// As many as fill the room; of the last one of them perhaps a part alone.
    inside: BTreeMap<Rank, usize>,
    inside_registrations: usize,
    outside: BTreeMap<Rank, usize>,
}

/// A Pod's place in line: who has not started yet is last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    start_time: i64,
    uid: Box<str>,
    slot: PodSlot,
}

/// A Pod that registers something, and how much that is.
type Entry = (Rank, usize);

/// What a Pod took of its room before, and what it takes now.
type Step = (Option<Entry>, Option<Entry>);

impl Index {
    /// Marks what is beyond its namespace's room, in these Pods and in those that lose or gain by them, which join.
    pub(super) fn share_out(&mut self, settling: &mut BTreeMap<PodSlot, Settling>) {
        let mut changes: BTreeMap<Namespace, Vec<Step>> = BTreeMap::new();
        for (slot, pod) in &*settling {
            let old = self.next.pod(*slot);
            let before = old.and_then(|old| entry(old, *slot));
            let after = entry(&pod.record, *slot).filter(|_| !pod.is_gone);
            match old.map(|old| namespace(old)).filter(|old| *old != namespace(&pod.record)) {
                None => changes.entry(namespace(&pod.record)).or_default().push((before, after)),
                Some(left) => {
                    changes.entry(left).or_default().push((before, None));
                    changes.entry(namespace(&pod.record)).or_default().push((None, after));
                }
            }
        }
        let mut marginal = BTreeSet::new();
        for (namespace, changes) in changes {
            self.change_room(&namespace, changes, settling, &mut marginal);
        }
        for slot in marginal {
            if !settling.contains_key(&slot) {
                let is_replaced = self.is_replaced(slot);
                settling.extend(self.take_up(slot, is_replaced).map(|pod| (slot, pod)));
            }
        }
        for (slot, pod) in settling {
            let room = self.rooms.0.get(&namespace(&pod.record));
            let ranking = room.and_then(|room| room.ranking.as_ref());
            let max = self.next.settings.namespace_registrations_max;
            let admitted = ranking.zip(entry(&pod.record, *slot)).map(|(ranking, entry)| ranking.admitted(&entry, max));
            mark(&mut pod.record, admitted.unwrap_or(usize::MAX));
        }
    }

    /// Counts what changed in a namespace, and finds the Pods of whom more or less is admitted now.
    fn change_room(
        &mut self,
        namespace: &Namespace,
        changes: Vec<Step>,
        settling: &BTreeMap<PodSlot, Settling>,
        marginal: &mut BTreeSet<PodSlot>,
    ) {
        let max = self.next.settings.namespace_registrations_max;
        let room = self.rooms.0.entry(namespace.clone()).or_default();
        let sum = |entries: &mut dyn Iterator<Item = &Option<Entry>>| entries.flatten().map(|(_, count)| count).sum();
        let more: usize = sum(&mut changes.iter().map(|(_, after)| after));
        let less: usize = sum(&mut changes.iter().map(|(before, _)| before));
        room.registrations = room.registrations + more - less;
        if let Some(ranking) = &mut room.ranking {
            marginal.extend(ranking.last());
            for (before, after) in changes {
                ranking.change(before, after);
            }
            marginal.extend(ranking.settle(max));
        } else if room.registrations > max {
            let others = (0..).zip(self.next.pods.iter()).filter(|(slot, _)| !settling.contains_key(slot));
            let others = others.filter_map(|(slot, pod)| Some((slot, pod.as_ref()?)));
            let others = others.filter(|(_, pod)| (&pod.cluster, &pod.namespace) == (&namespace.0, &namespace.1));
            let others = others.filter_map(|(slot, pod)| entry(pod, slot));
            let ranking = room.ranking.insert(Ranking::default());
            for entry in others.chain(changes.into_iter().filter_map(|(_, after)| after)) {
                ranking.change(None, Some(entry));
            }
            marginal.extend(ranking.settle(max));
        }
        if room.registrations <= max / 2 {
            room.ranking = None;
        }
        if room.registrations == 0 {
            self.rooms.0.remove(namespace);
        }
    }
}

impl Ranking {
    /// Puts a Pod's new place and count in place of its old one.
    fn change(&mut self, before: Option<Entry>, after: Option<Entry>) {
        if let Some((rank, _)) = before {
            match self.inside.remove(&rank) {
                Some(count) => self.inside_registrations -= count,
                None => drop(self.outside.remove(&rank)),
            }
        }
        if let Some((rank, count)) = after {
            if self.outside.first_key_value().is_some_and(|(first, _)| *first < rank) {
                self.outside.insert(rank, count);
            } else {
                self.inside.insert(rank, count);
                self.inside_registrations += count;
            }
        }
    }

    /// Fills the room again from the oldest on; who came in or went out, and who is the last one in it.
    fn settle(&mut self, max: usize) -> Vec<PodSlot> {
        let mut moved = Vec::new();
        while let Some(last) = self.inside.last_entry()
            && self.inside_registrations - last.get() >= max
        {
            let (rank, count) = last.remove_entry();
            self.inside_registrations -= count;
            moved.push(rank.slot);
            self.outside.insert(rank, count);
        }
        while self.inside_registrations < max
            && let Some((rank, count)) = self.outside.pop_first()
        {
            self.inside_registrations += count;
            moved.push(rank.slot);
            self.inside.insert(rank, count);
        }
        moved.extend(self.last());
        moved
    }

    /// The last Pod in the room.
    fn last(&self) -> Option<PodSlot> {
        self.inside.last_key_value().map(|(rank, _)| rank.slot)
    }

    /// How many of a Pod's registrations are admitted.
    fn admitted(&self, (rank, count): &Entry, max: usize) -> usize {
        match self.inside.last_key_value() {
            Some((last, _)) if rank == last => count - self.inside_registrations.saturating_sub(max),
            Some((last, _)) if rank < last => *count,
            _ => 0,
        }
    }
}

fn namespace(record: &PodRecord) -> Namespace {
    (record.cluster.clone(), record.namespace.clone())
}

/// None for a Pod that takes no room.
fn entry(record: &PodRecord, slot: PodSlot) -> Option<Entry> {
    let count = record.registrations.iter().filter(|one| record.is_registering() && one.is_admissible()).count();
    let start_time = record.status.start_time.unwrap_or(i64::MAX);
    (count > 0).then(|| (Rank { start_time, uid: record.uid().into(), slot }, count))
}

/// Marks what is beyond the first ones that are admitted.
fn mark(record: &mut PodRecord, admitted: usize) {
    let mut room = admitted;
    for registered in &mut record.registrations {
        registered.is_beyond = registered.is_admissible() && room == 0;
        room = room.saturating_sub(usize::from(registered.is_admissible()));
    }
}
