//! Whose annotations are kept in memory: each namespace's oldest Pods, up to a bound of bytes, and of all namespaces those
//! that take the least.
//!
//! A Pod costs what [`PodRecord::cost`] says, in whatever state it is. Over the bound of all, the namespace that takes the
//! most loses its newest Pod, and again, until they fit. In other words: of all Pods, each with what its namespace takes up
//! to it, those with the least have room. So the outcome depends on what there is, and not on how it came to be.
//!
//! Of most namespaces a number is all that is kept. One that is over its bound has its Pods ranked, and so has every one
//! while all together are over theirs; a change then looks at the Pods at the margin alone. A Pod that is kept out keeps its
//! cost; once there is room its source is asked for it again ([`Index::missing`]).

mod ranking;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Index;
use super::settle::Settling;
use crate::registration::Reason;
use crate::snapshot::{PodRecord, PodSlot, Snapshot};
use ranking::{Entry, Rank, Ranking};

/// A cluster and a namespace in it.
type Namespace = (Arc<str>, Arc<str>);

/// What each namespace takes.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: HashMap<Namespace, Room>,
    /// What all take, with what is kept out, and the same by namespace.
    bytes: u64,
    by_bytes: BTreeSet<(u64, Namespace)>,
    /// What those take that have room.
    inside: u64,
    /// From when all take more than they may until they take half of that, every namespace is ranked: who comes and goes at
    /// the bound itself must not have them ranked anew each time.
    is_shared_out: bool,
    /// The ranked namespaces by what they take, and by what they would take with their next Pod.
    by_inside: BTreeSet<(u64, Namespace)>,
    by_next: BTreeSet<(u64, Namespace)>,
}

/// What one namespace takes.
#[derive(Default)]
struct Room {
    bytes: u64,
    /// From when that is more than may be until it is half of that.
    ranking: Option<Ranking>,
}

/// The bounds: of a namespace, and of all.
#[derive(Clone, Copy)]
struct Bounds {
    namespace: u64,
    all: u64,
}

/// What a Pod was in its namespace, and what it is there now.
type Step = (Option<Entry>, Option<Entry>);

impl Index {
    /// Keeps out what there is no room for, of these Pods and of those that lose or gain by them, which join.
    pub(super) fn share_out(&mut self, settling: &mut BTreeMap<PodSlot, Settling>) {
        let bounds = Bounds { namespace: self.next.settings.namespace_bytes_max, all: self.next.settings.bytes_max };
        let mut changes: BTreeMap<Namespace, Vec<Step>> = BTreeMap::new();
        for (slot, pod) in &*settling {
            if let Some(old) = self.next.pod(*slot) {
                let before = entry(old, *slot);
                self.replaced += before.1;
                changes.entry(namespace(old)).or_default().push((Some(before), None));
            }
            if !pod.is_gone {
                changes.entry(namespace(&pod.record)).or_default().push((None, Some(entry(&pod.record, *slot))));
            }
        }
        let mut moved = Vec::new();
        for (namespace, steps) in &changes {
            self.rooms.change(namespace, steps);
        }
        self.rooms.rank(&changes, bounds, &self.next, &|slot| settling.contains_key(&slot));
        for namespace in changes.keys() {
            self.rooms.with_ranking(namespace, |ranking| ranking.bound(bounds.namespace, &mut moved));
        }
        self.rooms.level(bounds.all, &mut moved);
        self.rooms.forget(&changes, bounds);
        for slot in moved {
            if !settling.contains_key(&slot) {
                let is_replaced = self.is_replaced(slot);
                settling.extend(self.take_up(slot, is_replaced).map(|pod| (slot, pod)));
            }
        }
        for (slot, pod) in settling {
            let is_missing = match self.rooms.refusal(&pod.record, *slot) {
                _ if pod.is_gone => false,
                None => pod.record.let_in(),
                Some(reason) => {
                    self.replaced += pod.record.cost();
                    pod.record.keep_out(reason);
                    false
                }
            };
            if is_missing {
                self.missing.insert(*slot);
            } else {
                self.missing.remove(slot);
            }
        }
        self.next.tally.bytes = self.rooms.bytes;
        self.next.tally.namespace_bytes = self.rooms.by_bytes.last().map_or(0, |(bytes, _)| *bytes);
    }
}

impl Rooms {
    /// Counts what changed in a namespace.
    fn change(&mut self, namespace: &Namespace, steps: &[Step]) {
        let sum = |entries: &mut dyn Iterator<Item = &Option<Entry>>| -> u64 {
            entries.flatten().map(|(_, cost)| cost).sum()
        };
        let more = sum(&mut steps.iter().map(|(_, after)| after));
        let less = sum(&mut steps.iter().map(|(before, _)| before));
        let room = self.rooms.entry(namespace.clone()).or_default();
        self.by_bytes.remove(&(room.bytes, namespace.clone()));
        room.bytes = room.bytes + more - less;
        self.by_bytes.insert((room.bytes, namespace.clone()));
        self.bytes = self.bytes + more - less;
        if room.ranking.is_none() {
            self.inside = self.inside + more - less;
            return;
        }
        self.with_ranking(namespace, |ranking| {
            steps.iter().filter_map(|(before, _)| before.as_ref()).for_each(|(rank, _)| ranking.remove(rank));
            steps.iter().filter_map(|(_, after)| after.clone()).for_each(|entry| ranking.insert(entry));
        });
    }

    /// Ranks the namespaces that have come over a bound: of the Pods that are settled now the entries are among the
    /// changes, of the others in the snapshot.
    fn rank(
        &mut self,
        changes: &BTreeMap<Namespace, Vec<Step>>,
        bounds: Bounds,
        next: &Snapshot,
        is_settling: &dyn Fn(PodSlot) -> bool,
    ) {
        self.is_shared_out |= self.inside_bounded(bounds) > bounds.all;
        let is_due = |(namespace, room): (&Namespace, &Room)| {
            let is_over = room.ranking.is_none() && (self.is_shared_out || room.bytes > bounds.namespace);
            is_over.then(|| (namespace.clone(), Ranking::default()))
        };
        let mut due: HashMap<Namespace, Ranking> = match self.is_shared_out {
            true => self.rooms.iter().filter_map(is_due).collect(),
            false => changes.keys().filter_map(|namespace| is_due(self.rooms.get_key_value(namespace)?)).collect(),
        };
        if due.is_empty() {
            return;
        }
        let others = (0..).zip(next.pods.iter()).filter(|(slot, _)| !is_settling(*slot));
        for (slot, pod) in others.filter_map(|(slot, pod)| Some((slot, pod.as_ref()?))) {
            if let Some(ranking) = due.get_mut(&namespace(pod)) {
                ranking.insert(entry(pod, slot));
            }
        }
        for (namespace, steps) in changes {
            let Some(ranking) = due.get_mut(namespace) else { continue };
            steps.iter().filter_map(|(_, after)| after.clone()).for_each(|entry| ranking.insert(entry));
        }
        for (namespace, ranking) in due {
            self.inside -= ranking.inside();
            self.rooms.entry(namespace.clone()).or_default().ranking = Some(Ranking::default());
            self.with_ranking(&namespace, |empty| *empty = ranking);
        }
    }

    /// What all would take if there were no bound of all.
    fn inside_bounded(&self, bounds: Bounds) -> u64 {
        let over = self.by_bytes.iter().rev().take_while(|(bytes, _)| *bytes > bounds.namespace);
        self.bytes - over.map(|(bytes, _)| bytes - bounds.namespace).sum::<u64>()
    }

    /// Changes a namespace's ranking, if it has one, and what is known of it.
    fn with_ranking(&mut self, namespace: &Namespace, change: impl FnOnce(&mut Ranking)) {
        let Some(ranking) = self.rooms.get_mut(namespace).and_then(|room| room.ranking.as_mut()) else { return };
        self.by_inside.remove(&(ranking.inside(), namespace.clone()));
        if let Some((next, _)) = ranking.with_next() {
            self.by_next.remove(&(next, namespace.clone()));
        }
        self.inside -= ranking.inside();
        change(ranking);
        self.inside += ranking.inside();
        self.by_inside.insert((ranking.inside(), namespace.clone()));
        if let Some((next, _)) = ranking.with_next() {
            self.by_next.insert((next, namespace.clone()));
        }
    }

    /// Takes from those that have the most until all fit, and gives to those that have the least what still fits.
    fn level(&mut self, max: u64, moved: &mut Vec<PodSlot>) {
        while let Some(most) = self.by_inside.last()
            && (self.inside > max || self.by_next.first().is_some_and(|next| most > next))
        {
            let namespace = most.1.clone();
            self.with_ranking(&namespace, |ranking| moved.extend(ranking.pop()));
        }
        while let Some((_, namespace)) = self.by_next.first().cloned() {
            let ranking = self.rooms.get(&namespace).and_then(|room| room.ranking.as_ref());
            let fits = ranking.and_then(Ranking::with_next).is_some_and(|(_, cost)| self.inside + cost <= max);
            if !fits {
                return;
            }
            self.with_ranking(&namespace, |ranking| moved.extend(ranking.push()));
        }
    }

    /// Forgets the ranks that are needed no more, and the namespaces that are empty.
    fn forget(&mut self, changes: &BTreeMap<Namespace, Vec<Step>>, bounds: Bounds) {
        let was_shared_out = self.is_shared_out;
        self.is_shared_out &= self.bytes > bounds.all / 2;
        let is_low = |room: &Room| room.ranking.is_some() && room.bytes <= bounds.namespace / 2;
        let low: Vec<Namespace> = match (was_shared_out, self.is_shared_out) {
            (_, true) => Vec::new(),
            (true, false) => self.rooms.iter().filter(|(_, room)| is_low(room)).map(|(one, _)| one.clone()).collect(),
            (false, false) => {
                changes.keys().filter(|namespace| self.rooms.get(*namespace).is_some_and(is_low)).cloned().collect()
            }
        };
        for namespace in low {
            if let Some(room) = self.rooms.get_mut(&namespace)
                && let Some(ranking) = room.ranking.take()
            {
                self.by_inside.remove(&(ranking.inside(), namespace));
            }
        }
        for namespace in changes.keys() {
            if self.rooms.get(namespace).is_some_and(|room| room.bytes == 0) {
                self.by_bytes.remove(&(0, namespace.clone()));
                self.by_inside.remove(&(0, namespace.clone()));
                self.rooms.remove(namespace);
            }
        }
    }

    /// Why a Pod is kept out; none where it has room.
    fn refusal(&self, record: &PodRecord, slot: PodSlot) -> Option<Reason> {
        let ranking = self.rooms.get(&namespace(record))?.ranking.as_ref()?;
        ranking.refusal(&Rank::of(record, slot))
    }
}

fn namespace(record: &PodRecord) -> Namespace {
    (record.cluster.clone(), record.namespace.clone())
}

fn entry(record: &PodRecord, slot: PodSlot) -> Entry {
    (Rank::of(record, slot), record.cost())
}
