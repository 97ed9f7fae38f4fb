//! The current Pods, as the sources have sent them.

use std::collections::{BTreeMap, BTreeSet};

use super::State;

/// The current Pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(super) pods: BTreeMap<usize, Known>,
    /// The number of lists that have begun, and the number of each source's last list.
    lists: usize,
    begun: BTreeMap<usize, usize>,
    /// What open lists have sent, in order.
    waiting: Vec<Telling>,
}

/// A Pod: its state, the version of that, and how many lists had begun when it was sent.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) state: State,
    pub(super) version: u64,
    told: usize,
    /// The last state and version from each source that holds it.
    pub(super) holds: BTreeMap<usize, (State, u64)>,
}

/// A Pod that a source sends, in a list or not.
#[derive(Clone, Debug)]
struct Telling {
    source: usize,
    state: State,
    version: u64,
    list: Option<usize>,
    lists: usize,
}

impl Model {
    pub(crate) fn begin(&mut self, source: usize) {
        self.lists += 1;
        self.begun.insert(source, self.lists);
    }

    /// A watch sends a Pod. Within one watch, versions do not go back.
    pub(crate) fn apply(&mut self, source: usize, state: &State, version: u64) {
        let hold = self.pods.get(&state.uid).and_then(|known| known.holds.get(&source));
        if hold.is_some_and(|(_, last)| version < *last) {
            return;
        }
        self.show(state.uid);
        self.take(Telling { source, state: state.clone(), version, list: None, lists: self.lists });
    }

    /// A list names a Pod. The Pod is not visible until the list ends, or until another source sends it.
    pub(crate) fn list(&mut self, source: usize, state: &State, version: u64) {
        let list = self.begun.get(&source).copied();
        self.waiting.push(Telling { source, state: state.clone(), version, list, lists: self.lists });
    }

    /// A list ends: Pods that it does not name are gone.
    pub(crate) fn commit(&mut self, source: usize, named: &BTreeSet<usize>) {
        let waiting: Vec<usize> =
            self.waiting.iter().filter(|one| one.source == source).map(|one| one.state.uid).collect();
        waiting.into_iter().for_each(|uid| self.show(uid));
        let held: Vec<usize> = self.holding(source).into_iter().map(|(state, _)| state.uid).collect();
        held.into_iter().filter(|uid| !named.contains(uid)).for_each(|uid| self.release(source, uid));
    }

    /// A source no longer holds a Pod. The state stays, but is no newer than what the others have sent.
    pub(crate) fn release(&mut self, source: usize, uid: usize) {
        if !self.pods.get(&uid).is_some_and(|known| known.holds.contains_key(&source)) {
            return;
        }
        self.show(uid);
        let Some(known) = self.pods.get_mut(&uid) else { return };
        known.holds.remove(&source);
        known.version = known.version.min(known.holds.values().map(|(_, version)| *version).max().unwrap_or(0));
        self.pods.retain(|_, known| !known.holds.is_empty());
    }

    /// The Pods that a source holds, each as it was last sent.
    pub(crate) fn holding(&self, source: usize) -> Vec<(State, u64)> {
        self.pods.values().filter_map(|known| known.holds.get(&source).cloned()).collect()
    }

    fn show(&mut self, uid: usize) {
        let (shown, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|one| one.state.uid == uid);
        self.waiting = waiting;
        let shown: Vec<Telling> = shown;
        shown.into_iter().for_each(|telling| self.take(telling));
    }

    fn take(&mut self, Telling { source, state, version, list, lists }: Telling) {
        let new = || Known { state: state.clone(), version: 0, told: 0, holds: BTreeMap::new() };
        let known = self.pods.entry(state.uid).or_insert_with(new);
        if version >= known.version || list.is_some_and(|list| known.told < list) {
            (known.state, known.version, known.told) = (state.clone(), version, lists);
        }
        known.holds.insert(source, (state, version));
    }
}
