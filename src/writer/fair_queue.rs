//! Decides when each change is applied: changes of one Pod at least 100 ms apart, and namespaces in turn.
//!
//! A Pod's first change waits only for its namespace's turn. Further changes within [`PAUSE`] wait until the pause
//! ends, and only the latest from each source is kept. So a Pod that writes its annotation a thousand times a second is
//! decoded ten times. A large annotation costs as much as hundreds of small changes. Only one of those is applied at a
//! time, after everything small, so the others wait for at most one, however many Pods write large ones. A list passes
//! without delay: it names each Pod once, however often the Pod changed.
//!
//! It is pure: time is an argument.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::registration::ANNOTATION_LEN_MAX;
use crate::source::{Change, Event, SourceId};

/// The shortest time between two decodings of one Pod. No process has news more than ten times a second.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// The most changes that the turns add to one snapshot.
const TURNS_MAX: usize = 256;

/// The most bytes of annotations that they add, besides one large annotation.
const TURNS_LEN_MAX: usize = ANNOTATION_LEN_MAX;

/// A change of at least this many bytes is large. It takes a millisecond or more; the largest takes 25.
const LARGE_LEN_MIN: usize = 16 * 1024;

/// The most bytes that may wait: 511 Pods with the largest annotations, or 262,144 without any. Beyond that the sources
/// wait, and with them all namespaces, because one watch carries the changes of all.
const WAITING_LEN_MAX: usize = 128 * 1024 * 1024;

/// What a change counts in addition to its annotation, in bytes.
const CHANGE_LEN: usize = 512;

/// A Pod's cluster and uid.
type PodId = (Arc<str>, Arc<str>);

/// The waiting changes.
#[derive(Default)]
pub(super) struct FairQueue {
    /// The Pods with a waiting change or with a change applied within the last [`PAUSE`].
    pods: HashMap<PodId, PodQueue>,
    /// When each pause ends, the earliest first.
    pauses: VecDeque<(Duration, PodId)>,
    /// The Pods that are due, each once, by namespace and by the size of their change.
    due: HashMap<Arc<str>, [VecDeque<PodId>; 2]>,
    /// The namespaces with a due change of each size, in turn.
    turns: [VecDeque<Arc<str>>; 2],
    waiting_len: usize,
    /// The sources whose list is in progress.
    listing: HashSet<SourceId>,
}

/// The changes of one Pod.
struct PodQueue {
    namespace: Arc<str>,
    /// The latest change from each source that sent one.
    waiting: SmallVec<[Event; 1]>,
}

/// Roughly what a change costs. Also the index into the arrays of queues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Small,
    Large,
}

impl FairQueue {
    /// Takes in an event at the time `now`. What need not wait goes to `ready` at once.
    pub fn push(&mut self, event: Event, now: Duration, ready: &mut Vec<Event>) {
        let source = &event.source;
        let (uid, namespace) = match &event.change {
            Change::Begin => {
                self.listing.insert(source.clone());
                self.release(source.clone(), ready); // they must not come after the list has ended
                return ready.push(event);
            }
            Change::Commit | Change::Abort | Change::Close => {
                self.listing.remove(source);
                return ready.push(event);
            }
            _ if self.listing.contains(source) => return ready.push(event),
            Change::Refetched(_) => return ready.push(event), // a waiting change may be newer, and must not be replaced
            Change::Apply(pod) => (&pod.uid, Some(&pod.namespace)),
            Change::Remove(uid) => (uid, None),
        };
        let pod: PodId = (source.cluster.clone(), uid.clone());
        match (self.pods.get_mut(&pod), namespace.cloned()) {
            (Some(pod_queue), _) => {
                self.waiting_len += len_of(&event);
                self.waiting_len -= pod_queue.put(event);
            }
            (None, Some(namespace)) => {
                self.waiting_len += len_of(&event);
                self.pods.insert(pod.clone(), PodQueue { namespace: namespace.clone(), waiting: [event].into() });
                self.make_due(&namespace, pod);
            }
            // Nothing of the Pod waits, and a removal has nothing to decode.
            (None, None) => {
                self.pods.insert(pod.clone(), PodQueue { namespace: "".into(), waiting: SmallVec::new() });
                self.pauses.push_back((now + PAUSE, pod));
                ready.push(event);
            }
        }
    }

    /// Moves what is due to `ready`, up to one snapshot's worth: small changes from each namespace in turn, then one
    /// large change.
    pub fn pop_due(&mut self, now: Duration, ready: &mut Vec<Event>) {
        self.end_pauses(now);
        let (mut count, mut len) = (0, 0);
        while count < TURNS_MAX && len < TURNS_LEN_MAX {
            let Some(taken) = self.pop_next(Size::Small, now) else { break };
            count += taken.len();
            len += taken.iter().map(len_of).sum::<usize>();
            ready.extend(taken);
        }
        ready.extend(self.pop_next(Size::Large, now).into_iter().flatten());
    }

    /// Takes the changes of the next due Pod of a size, from the namespace whose turn it is.
    fn pop_next(&mut self, size: Size, now: Duration) -> Option<SmallVec<[Event; 1]>> {
        loop {
            let namespace = self.turns[size as usize].pop_front()?;
            let Some(due) = self.due.get_mut(&namespace) else { continue };
            let pod = due[size as usize].pop_front();
            if !due[size as usize].is_empty() {
                self.turns[size as usize].push_back(namespace.clone());
            } else if due.iter().all(VecDeque::is_empty) {
                self.due.remove(&namespace);
            }
            let Some((pod, pod_queue)) = pod.and_then(|pod| self.pods.get_mut(&pod).map(|pod_queue| (pod, pod_queue)))
            else {
                continue;
            };
            if size == Size::Small && pod_queue.size() == Size::Large {
                self.make_due(&namespace, pod); // it grew while it waited
                continue;
            }
            let taken = std::mem::take(&mut pod_queue.waiting);
            self.pauses.push_back((now + PAUSE, pod));
            self.waiting_len -= taken.iter().map(len_of).sum::<usize>();
            return Some(taken);
        }
    }

    /// When more becomes due. Zero if something already is, `None` if nothing waits.
    pub fn due_at(&self) -> Option<Duration> {
        match (self.turns.iter().all(VecDeque::is_empty), self.is_empty()) {
            (false, _) => Some(Duration::ZERO),
            (true, true) => None,
            (true, false) => self.pauses.front().map(|(end, _)| *end),
        }
    }

    /// How many changes of the largest size may still be taken in. 0 until something is taken out.
    pub fn capacity_left(&self) -> usize {
        WAITING_LEN_MAX.saturating_sub(self.waiting_len) / (ANNOTATION_LEN_MAX + CHANGE_LEN)
    }

    /// Whether no change waits.
    pub fn is_empty(&self) -> bool {
        self.waiting_len == 0
    }

    /// Makes due what waited for a pause that has ended. Forgets the Pods without a waiting change.
    fn end_pauses(&mut self, now: Duration) {
        while let Some((_, pod)) = self.pauses.pop_front_if(|(end, _)| *end <= now) {
            match self.pods.get(&pod) {
                Some(pod_queue) if !pod_queue.waiting.is_empty() => self.make_due(&pod_queue.namespace.clone(), pod),
                _ => drop(self.pods.remove(&pod)),
            }
        }
    }

    fn make_due(&mut self, namespace: &Arc<str>, pod: PodId) {
        let size = self.pods.get(&pod).map_or(Size::Small, PodQueue::size) as usize;
        let due = &mut self.due.entry(namespace.clone()).or_default()[size];
        if due.is_empty() {
            self.turns[size].push_back(namespace.clone());
        }
        due.push_back(pod);
    }

    /// Moves everything that waits from a source to `ready`.
    fn release(&mut self, source: SourceId, ready: &mut Vec<Event>) {
        for pod_queue in self.pods.values_mut() {
            if let Some(at) = pod_queue.waiting.iter().position(|waiting| waiting.source == source) {
                let released = pod_queue.waiting.remove(at);
                self.waiting_len -= len_of(&released);
                ready.push(released);
            }
        }
    }
}

impl PodQueue {
    fn size(&self) -> Size {
        match self.waiting.iter().map(len_of).sum::<usize>() {
            ..LARGE_LEN_MIN => Size::Small,
            _ => Size::Large,
        }
    }

    /// Adds a change in place of the source's earlier one. Returns the length of that one.
    fn put(&mut self, event: Event) -> usize {
        let is_earlier = |waiting: &Event| waiting.source == event.source;
        let earlier = self.waiting.iter().position(is_earlier).map(|at| self.waiting.remove(at));
        self.waiting.push(event);
        earlier.as_ref().map(len_of).unwrap_or_default()
    }
}

/// What a change counts, in bytes.
pub(super) fn len_of(event: &Event) -> usize {
    let text = match &event.change {
        Change::Apply(pod) | Change::Refetched(pod) => pod.text.len_in_memory(),
        _ => 0,
    };
    text + CHANGE_LEN
}

#[cfg(test)]
mod tests;
