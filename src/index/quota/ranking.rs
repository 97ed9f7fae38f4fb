//! The Pods of one namespace in the order of admission, and where admission ends.

use std::collections::BTreeMap;

use crate::registration::Reason;
use crate::snapshot::{PodRecord, PodSlot};

/// A Pod's rank. The oldest Pod is first; a Pod that has not started comes after those that have; a Pod that
/// makes no names comes last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    is_over: bool,
    start_time: i64,
    uid: Box<str>,
    pub slot: PodSlot,
}

/// A Pod and what it costs.
pub(super) type RankedCost = (Rank, u64);

/// The Pods of a namespace, oldest first: the admitted ones, those that the total quota keeps out, and those that the
/// namespace's own quota keeps out.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    inside: RankRange,
    cut: RankRange,
    outside: RankRange,
}

/// Neighbours in rank, and their total cost.
#[derive(Debug, Default)]
struct RankRange {
    pods: BTreeMap<Rank, u64>,
    bytes: u64,
}

impl Rank {
    pub fn of(record: &PodRecord, slot: PodSlot) -> Rank {
        Rank {
            is_over: !record.is_registering(),
            start_time: record.status.start_time.unwrap_or(i64::MAX),
            uid: record.uid().into(),
            slot,
        }
    }
}

impl Ranking {
    /// Adds a Pod at its rank.
    pub fn insert(&mut self, (rank, cost): RankedCost) {
        let is_behind = |range: &RankRange| range.pods.first_key_value().is_some_and(|(first, _)| *first < rank);
        let range = match (is_behind(&self.outside), is_behind(&self.cut)) {
            (true, _) => &mut self.outside,
            (false, true) => &mut self.cut,
            (false, false) => &mut self.inside,
        };
        range.insert((rank, cost));
    }

    /// Removes a Pod.
    pub fn remove(&mut self, rank: &Rank) {
        let _ = self.inside.remove(rank) || self.cut.remove(rank) || self.outside.remove(rank);
    }

    /// Applies the namespace's quota. Adds each Pod that crosses it to `moved`.
    pub fn apply_quota(&mut self, max: u64, moved: &mut Vec<PodSlot>) {
        while self.inside.bytes + self.cut.bytes > max
            && let Some(last) = self.cut.pop_last().or_else(|| self.inside.pop_last())
        {
            moved.push(last.0.slot);
            self.outside.insert(last);
        }
        while let Some(cost) = self.outside.first_cost()
            && self.inside.bytes + self.cut.bytes + cost <= max
            && let Some(first) = self.outside.pop_first()
        {
            moved.push(first.0.slot);
            self.cut.insert(first);
        }
    }

    /// What the admitted Pods cost.
    pub fn admitted_cost(&self) -> u64 {
        self.inside.bytes
    }

    /// The cost of the admitted Pods plus the next one, and the cost of that one. `None` if the namespace's quota
    /// admits no further Pod.
    pub fn cost_with_next(&self) -> Option<(u64, u64)> {
        self.cut.first_cost().map(|cost| (self.inside.bytes + cost, cost))
    }

    /// Keeps out the last admitted Pod.
    pub fn pop(&mut self) -> Option<PodSlot> {
        let last = self.inside.pop_last()?;
        let slot = last.0.slot;
        self.cut.insert(last);
        Some(slot)
    }

    /// Admits the next Pod.
    pub fn push(&mut self) -> Option<PodSlot> {
        let next = self.cut.pop_first()?;
        let slot = next.0.slot;
        self.inside.insert(next);
        Some(slot)
    }

    /// Why a Pod is kept out, or `None` if it is admitted.
    pub fn refusal(&self, rank: &Rank) -> Option<Reason> {
        match () {
            () if self.inside.pods.contains_key(rank) => None,
            () if self.cut.pods.contains_key(rank) => Some(Reason::ServerFull),
            () => Some(Reason::NamespaceFull),
        }
    }
}

impl RankRange {
    fn insert(&mut self, (rank, cost): RankedCost) {
        self.bytes += cost;
        self.pods.insert(rank, cost);
    }

    fn remove(&mut self, rank: &Rank) -> bool {
        let cost = self.pods.remove(rank);
        self.bytes -= cost.unwrap_or_default();
        cost.is_some()
    }

    fn first_cost(&self) -> Option<u64> {
        self.pods.first_key_value().map(|(_, cost)| *cost)
    }

    fn pop_first(&mut self) -> Option<RankedCost> {
        self.pods.pop_first().inspect(|(_, cost)| self.bytes -= cost)
    }

    fn pop_last(&mut self) -> Option<RankedCost> {
        self.pods.pop_last().inspect(|(_, cost)| self.bytes -= cost)
    }
}
