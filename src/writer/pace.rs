//! Whose changes are taken in when: one Pod's at most every 100 ms, and every namespace in its turn.
//!
//! A Pod's first change waits for nothing but its namespace's turn. A large annotation costs what hundreds of changes do: of
//! those one at a time is taken in, behind all that is small, so that however many Pods write them the others wait for one. What it changes within [`PAUSE`] of that waits for the
//! end of it, and of each source the latest alone, so that a Pod which writes its annotation a thousand times a second is
//! read ten times. A list passes as it comes: the API server sends each Pod once in it, however often that changed.
//!
//! Pure: time comes in as an argument.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::registration::ANNOTATION_LEN_MAX;
use crate::source::{Arrival, Change, SourceId};

/// The shortest time between two readings of one Pod: ten a second are more than any process has news.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// The most changes that are taken in by turns before they are published.
const TURNS_MAX: usize = 256;

/// The most bytes of annotations that are, beside one large annotation: what comes meanwhile has its turn after that.
const TURNS_LEN_MAX: usize = ANNOTATION_LEN_MAX;

/// From how many bytes on a change is large: it takes a millisecond and more, the largest of all 25.
const LARGE_LEN_MIN: usize = 16 * 1024;

/// The most bytes that may wait: 511 Pods with the largest annotations, or 262,144 that have none. Beyond that the sources
/// wait, and with them all namespaces: one watch brings the changes of all.
const WAITING_LEN_MAX: usize = 128 * 1024 * 1024;

/// What a change counts beside its annotation, in bytes.
const CHANGE_LEN: usize = 512;

/// A Pod's cluster and uid.
type PodId = (Arc<str>, Arc<str>);

/// The changes that wait.
#[derive(Default)]
pub(super) struct Pace {
    /// The Pods that wait, and those that were taken in within the last [`PAUSE`].
    pods: HashMap<PodId, Paced>,
    /// When each pause ends, the first one first.
    pauses: VecDeque<(Duration, PodId)>,
    /// The Pods that are due, each once, by namespace and by the size of what they wait with.
    due: HashMap<Arc<str>, [VecDeque<PodId>; 2]>,
    /// Those of which something of a size is due, in turn.
    turns: [VecDeque<Arc<str>>; 2],
    waiting_len: usize,
    /// The sources in the middle of a list.
    listing: HashSet<SourceId>,
}

/// A Pod at its pace.
struct Paced {
    namespace: Arc<str>,
    /// The latest change by each source that had one.
    waiting: SmallVec<[Arrival; 1]>,
}

/// What a change costs, roughly; the index of queues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Small,
    Large,
}

impl Pace {
    /// Takes in what has come at a time; what need not wait is ready at once.
    pub fn take_in(&mut self, arrival: Arrival, now: Duration, ready: &mut Vec<Arrival>) {
        let source = &arrival.event.source;
        let (uid, namespace) = match &arrival.event.change {
            Change::Begin => {
                self.listing.insert(source.clone());
                self.release(source.clone(), ready); // the list's end must not come between
                return ready.push(arrival);
            }
            Change::Commit | Change::Abort => {
                self.listing.remove(source);
                return ready.push(arrival);
            }
            _ if self.listing.contains(source) => return ready.push(arrival),
            Change::Again(_) => return ready.push(arrival), // what waits may be newer, and must not give way to it
            Change::Apply(pod) => (&pod.uid, Some(&pod.namespace)),
            Change::Remove(uid) => (uid, None),
        };
        let pod: PodId = (source.cluster.clone(), uid.clone());
        match (self.pods.get_mut(&pod), namespace.cloned()) {
            (Some(paced), _) => {
                self.waiting_len += len_of(&arrival);
                self.waiting_len -= paced.put(arrival);
            }
            (None, Some(namespace)) => {
                self.waiting_len += len_of(&arrival);
                self.pods.insert(pod.clone(), Paced { namespace: namespace.clone(), waiting: [arrival].into() });
                self.make_due(&namespace, pod);
            }
            // Nothing of the Pod waits, and there is nothing to read.
            (None, None) => {
                self.pods.insert(pod.clone(), Paced { namespace: "".into(), waiting: SmallVec::new() });
                self.pauses.push_back((now + PAUSE, pod));
                ready.push(arrival);
            }
        }
    }

    /// Takes from each namespace in turn what is due, up to what is to be published at once: small changes, then a large one.
    pub fn take_turns(&mut self, now: Duration, ready: &mut Vec<Arrival>) {
        self.end_pauses(now);
        let (mut count, mut len) = (0, 0);
        while count < TURNS_MAX && len < TURNS_LEN_MAX {
            let Some(taken) = self.take_turn(Size::Small, now) else { break };
            count += taken.len();
            len += taken.iter().map(len_of).sum::<usize>();
            ready.extend(taken);
        }
        ready.extend(self.take_turn(Size::Large, now).into_iter().flatten());
    }

    /// Takes what the next Pod of a size waits with, of the namespace whose turn it is.
    fn take_turn(&mut self, size: Size, now: Duration) -> Option<SmallVec<[Arrival; 1]>> {
        loop {
            let namespace = self.turns[size as usize].pop_front()?;
            let Some(due) = self.due.get_mut(&namespace) else { continue };
            let pod = due[size as usize].pop_front();
            if !due[size as usize].is_empty() {
                self.turns[size as usize].push_back(namespace.clone());
            } else if due.iter().all(VecDeque::is_empty) {
                self.due.remove(&namespace);
            }
            let Some((pod, paced)) = pod.and_then(|pod| self.pods.get_mut(&pod).map(|paced| (pod, paced))) else {
                continue;
            };
            if size == Size::Small && paced.size() == Size::Large {
                self.make_due(&namespace, pod); // it has grown while it waited
                continue;
            }
            let taken = std::mem::take(&mut paced.waiting);
            self.pauses.push_back((now + PAUSE, pod));
            self.waiting_len -= taken.iter().map(len_of).sum::<usize>();
            return Some(taken);
        }
    }

    /// When more will be due; in the past where it is.
    pub fn due_at(&self) -> Option<Duration> {
        match (self.turns.iter().all(VecDeque::is_empty), self.is_empty()) {
            (false, _) => Some(Duration::ZERO),
            (true, true) => None,
            (true, false) => self.pauses.front().map(|(end, _)| *end),
        }
    }

    /// How many changes may be taken in, each as large as may be; if none, some may once something was taken out.
    pub fn room(&self) -> usize {
        WAITING_LEN_MAX.saturating_sub(self.waiting_len) / (ANNOTATION_LEN_MAX + CHANGE_LEN)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting_len == 0
    }

    /// Makes due what waited for the end of its pause, and forgets the Pods that have rested.
    fn end_pauses(&mut self, now: Duration) {
        while let Some((_, pod)) = self.pauses.pop_front_if(|(end, _)| *end <= now) {
            match self.pods.get(&pod) {
                Some(paced) if !paced.waiting.is_empty() => self.make_due(&paced.namespace.clone(), pod),
                _ => drop(self.pods.remove(&pod)),
            }
        }
    }

    fn make_due(&mut self, namespace: &Arc<str>, pod: PodId) {
        let size = self.pods.get(&pod).map_or(Size::Small, Paced::size) as usize;
        let due = &mut self.due.entry(namespace.clone()).or_default()[size];
        if due.is_empty() {
            self.turns[size].push_back(namespace.clone());
        }
        due.push_back(pod);
    }

    /// Makes ready all that waits of a source.
    fn release(&mut self, source: SourceId, ready: &mut Vec<Arrival>) {
        for paced in self.pods.values_mut() {
            if let Some(at) = paced.waiting.iter().position(|waiting| waiting.event.source == source) {
                let released = paced.waiting.remove(at);
                self.waiting_len -= len_of(&released);
                ready.push(released);
            }
        }
    }
}

impl Paced {
    fn size(&self) -> Size {
        match self.waiting.iter().map(len_of).sum::<usize>() {
            ..LARGE_LEN_MIN => Size::Small,
            _ => Size::Large,
        }
    }

    /// Puts a change last, in place of the source's earlier one; the length of that.
    fn put(&mut self, arrival: Arrival) -> usize {
        let is_earlier = |waiting: &Arrival| waiting.event.source == arrival.event.source;
        let earlier = self.waiting.iter().position(is_earlier).map(|at| self.waiting.remove(at));
        self.waiting.push(arrival);
        earlier.as_ref().map(len_of).unwrap_or_default()
    }
}

/// What a change counts, in bytes.
pub(super) fn len_of(arrival: &Arrival) -> usize {
    let annotation = match &arrival.event.change {
        Change::Apply(pod) | Change::Again(pod) => pod.annotation.as_deref().map_or(0, str::len),
        _ => 0,
    };
    annotation + CHANGE_LEN
}

#[cfg(test)]
mod tests;
