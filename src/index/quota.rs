//! Decides whose annotations stay in memory. Each namespace has a quota of bytes, which its oldest Pods use. All
//! namespaces together have another.
//!
//! A Pod costs what [`PodRecord::cost`] says, in every state. While the total is over its quota, the namespace that
//! uses the most loses its newest Pod. In other words: rank each Pod by what its namespace uses up to and including
//! that Pod; the Pods with the least stay. So the outcome depends on which Pods exist, and not on the order in which
//! they came.
//!
//! For most namespaces the index keeps only a number. It ranks the Pods of a namespace that is over its quota, and
//! those of every namespace while the total is over its own. A change then looks only at the Pods at the margin. A Pod
//! that is kept out keeps its cost. Once it is admitted, the index asks its source for it again ([`Index::missing`]).

mod ranking;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Index;
use super::settle::Settling;
use crate::registration::Reason;
use crate::snapshot::{PodRecord, PodSlot, Snapshot};
use ranking::{Rank, RankedCost, Ranking};

/// A cluster and a namespace in it.
type Namespace = (Arc<str>, Arc<str>);

/// What each namespace uses.
#[derive(Default)]
pub(super) struct NamespaceQuota {
    namespaces: HashMap<Namespace, NamespaceUsage>,
    /// What all Pods cost, including those kept out, and the same by namespace.
    bytes: u64,
    by_bytes: BTreeSet<(u64, Namespace)>,
    /// What the admitted Pods cost.
    inside: u64,
    /// Set when all Pods together exceed the total quota, cleared when they use half of it. While it is set, every
    /// namespace is ranked. The gap keeps Pods that come and go at the quota from causing a new ranking each time.
    is_total_exceeded: bool,
    /// The ranked namespaces, by what their admitted Pods cost, and by that plus the cost of their next Pod.
    by_inside: BTreeSet<(u64, Namespace)>,
    by_next: BTreeSet<(u64, Namespace)>,
}

/// What one namespace uses.
#[derive(Default)]
struct NamespaceUsage {
    bytes: u64,
    /// Present while every namespace is ranked, and from the moment that `bytes` exceeds the quota until it is half of
    /// it.
    ranking: Option<Ranking>,
}

/// The quota of a namespace, and of all together.
#[derive(Clone, Copy)]
struct Quotas {
    namespace: u64,
    all: u64,
}

/// A Pod's old and new entry in its namespace.
type CostChange = (Option<RankedCost>, Option<RankedCost>);

impl Index {
    /// Admits or keeps out these Pods. Adds other Pods to the map if their admission changes too.
    pub(super) fn apply_quotas(&mut self, settling: &mut BTreeMap<PodSlot, Settling>) {
        let quotas = Quotas { namespace: self.next.settings.namespace_bytes_max, all: self.next.settings.bytes_max };
        let mut changes: BTreeMap<Namespace, Vec<CostChange>> = BTreeMap::new();
        for (slot, pod) in &*settling {
            if let Some(old) = self.next.pod(*slot) {
                let before = ranked_cost(old, *slot);
                self.replaced += before.1;
                changes.entry(namespace(old)).or_default().push((Some(before), None));
            }
            if !pod.is_gone {
                changes.entry(namespace(&pod.record)).or_default().push((None, Some(ranked_cost(&pod.record, *slot))));
            }
        }
        let mut moved = Vec::new();
        for (namespace, steps) in &changes {
            self.quota.change(namespace, steps);
        }
        self.quota.rank(&changes, quotas, &self.next, &|slot| settling.contains_key(&slot));
        for namespace in changes.keys() {
            self.quota.with_ranking(namespace, |ranking| ranking.apply_quota(quotas.namespace, &mut moved));
        }
        self.quota.apply_total_quota(quotas.all, &mut moved);
        self.quota.forget(&changes, quotas);
        for slot in moved {
            if !settling.contains_key(&slot) {
                let is_replaced = self.is_replaced(slot);
                settling.extend(self.take_staged(slot, is_replaced).map(|pod| (slot, pod)));
            }
        }
        for (slot, pod) in settling {
            let is_missing = match self.quota.refusal(&pod.record, *slot) {
                _ if pod.is_gone => false,
                None => pod.record.admit(),
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
        self.next.tally.bytes = self.quota.bytes;
        self.next.tally.namespace_bytes = self.quota.by_bytes.last().map_or(0, |(bytes, _)| *bytes);
    }
}

impl NamespaceQuota {
    /// Applies a namespace's changes to the sums.
    fn change(&mut self, namespace: &Namespace, steps: &[CostChange]) {
        let sum = |entries: &mut dyn Iterator<Item = &Option<RankedCost>>| -> u64 {
            entries.flatten().map(|(_, cost)| cost).sum()
        };
        let more = sum(&mut steps.iter().map(|(_, after)| after));
        let less = sum(&mut steps.iter().map(|(before, _)| before));
        let usage = self.namespaces.entry(namespace.clone()).or_default();
        self.by_bytes.remove(&(usage.bytes, namespace.clone()));
        usage.bytes = usage.bytes + more - less;
        self.by_bytes.insert((usage.bytes, namespace.clone()));
        self.bytes = self.bytes + more - less;
        if usage.ranking.is_none() {
            self.inside = self.inside + more - less;
            return;
        }
        self.with_ranking(namespace, |ranking| {
            steps.iter().filter_map(|(before, _)| before.as_ref()).for_each(|(rank, _)| ranking.remove(rank));
            steps.iter().filter_map(|(_, after)| after.clone()).for_each(|entry| ranking.insert(entry));
        });
    }

    /// Ranks the namespaces that have exceeded a quota. Pods that are being settled come from `changes`, all others
    /// from the snapshot.
    fn rank(
        &mut self,
        changes: &BTreeMap<Namespace, Vec<CostChange>>,
        quotas: Quotas,
        next: &Snapshot,
        is_settling: &dyn Fn(PodSlot) -> bool,
    ) {
        self.is_total_exceeded |= self.admitted_cost(quotas) > quotas.all;
        let is_due = |(namespace, usage): (&Namespace, &NamespaceUsage)| {
            let is_over = usage.ranking.is_none() && (self.is_total_exceeded || usage.bytes > quotas.namespace);
            is_over.then(|| (namespace.clone(), Ranking::default()))
        };
        let mut due: HashMap<Namespace, Ranking> = match self.is_total_exceeded {
            true => self.namespaces.iter().filter_map(is_due).collect(),
            false => changes.keys().filter_map(|namespace| is_due(self.namespaces.get_key_value(namespace)?)).collect(),
        };
        if due.is_empty() {
            return;
        }
        let others = (0..).zip(next.pods.iter()).filter(|(slot, _)| !is_settling(*slot));
        for (slot, pod) in others.filter_map(|(slot, pod)| Some((slot, pod.as_ref()?))) {
            if let Some(ranking) = due.get_mut(&namespace(pod)) {
                ranking.insert(ranked_cost(pod, slot));
            }
        }
        for (namespace, steps) in changes {
            let Some(ranking) = due.get_mut(namespace) else { continue };
            steps.iter().filter_map(|(_, after)| after.clone()).for_each(|entry| ranking.insert(entry));
        }
        for (namespace, ranking) in due {
            self.inside -= ranking.admitted_cost();
            self.namespaces.entry(namespace.clone()).or_default().ranking = Some(Ranking::default());
            self.with_ranking(&namespace, |empty| *empty = ranking);
        }
    }

    /// What the admitted Pods would cost without the total quota.
    fn admitted_cost(&self, quotas: Quotas) -> u64 {
        let over = self.by_bytes.iter().rev().take_while(|(bytes, _)| *bytes > quotas.namespace);
        self.bytes - over.map(|(bytes, _)| bytes - quotas.namespace).sum::<u64>()
    }

    /// Changes a namespace's ranking, if it has one, and the sums that depend on it.
    fn with_ranking(&mut self, namespace: &Namespace, change: impl FnOnce(&mut Ranking)) {
        let Some(ranking) = self.namespaces.get_mut(namespace).and_then(|usage| usage.ranking.as_mut()) else { return };
        self.by_inside.remove(&(ranking.admitted_cost(), namespace.clone()));
        if let Some((next, _)) = ranking.cost_with_next() {
            self.by_next.remove(&(next, namespace.clone()));
        }
        self.inside -= ranking.admitted_cost();
        change(ranking);
        self.inside += ranking.admitted_cost();
        self.by_inside.insert((ranking.admitted_cost(), namespace.clone()));
        if let Some((next, _)) = ranking.cost_with_next() {
            self.by_next.insert((next, namespace.clone()));
        }
    }

    /// Evicts from the namespaces that use the most until the total fits, then admits Pods of those that use the least
    /// while they fit.
    fn apply_total_quota(&mut self, max: u64, moved: &mut Vec<PodSlot>) {
        while let Some(most) = self.by_inside.last()
            && (self.inside > max || self.by_next.first().is_some_and(|next| most > next))
        {
            let namespace = most.1.clone();
            self.with_ranking(&namespace, |ranking| moved.extend(ranking.pop()));
        }
        while let Some((_, namespace)) = self.by_next.first().cloned() {
            let ranking = self.namespaces.get(&namespace).and_then(|usage| usage.ranking.as_ref());
            let fits = ranking.and_then(Ranking::cost_with_next).is_some_and(|(_, cost)| self.inside + cost <= max);
            if !fits {
                return;
            }
            self.with_ranking(&namespace, |ranking| moved.extend(ranking.push()));
        }
    }

    /// Drops the rankings that are no longer needed, and the empty namespaces.
    fn forget(&mut self, changes: &BTreeMap<Namespace, Vec<CostChange>>, quotas: Quotas) {
        let was_shared_out = self.is_total_exceeded;
        self.is_total_exceeded &= self.bytes > quotas.all / 2;
        let is_low = |usage: &NamespaceUsage| usage.ranking.is_some() && usage.bytes <= quotas.namespace / 2;
        let low: Vec<Namespace> = match (was_shared_out, self.is_total_exceeded) {
            (_, true) => Vec::new(),
            (true, false) => {
                self.namespaces.iter().filter(|(_, usage)| is_low(usage)).map(|(one, _)| one.clone()).collect()
            }
            (false, false) => changes
                .keys()
                .filter(|namespace| self.namespaces.get(*namespace).is_some_and(is_low))
                .cloned()
                .collect(),
        };
        for namespace in low {
            if let Some(usage) = self.namespaces.get_mut(&namespace)
                && let Some(ranking) = usage.ranking.take()
            {
                self.by_inside.remove(&(ranking.admitted_cost(), namespace));
            }
        }
        for namespace in changes.keys() {
            if self.namespaces.get(namespace).is_some_and(|usage| usage.bytes == 0) {
                self.by_bytes.remove(&(0, namespace.clone()));
                self.by_inside.remove(&(0, namespace.clone()));
                self.namespaces.remove(namespace);
            }
        }
    }

    /// Why a Pod is kept out, or `None` if it is admitted.
    fn refusal(&self, record: &PodRecord, slot: PodSlot) -> Option<Reason> {
        let ranking = self.namespaces.get(&namespace(record))?.ranking.as_ref()?;
        ranking.refusal(&Rank::of(record, slot))
    }
}

fn namespace(record: &PodRecord) -> Namespace {
    (record.cluster.clone(), record.namespace.clone())
}

fn ranked_cost(record: &PodRecord, slot: PodSlot) -> RankedCost {
    (Rank::of(record, slot), record.cost())
}
