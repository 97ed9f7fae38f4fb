//! The recent changes of the zone, and their subscribers.
//!
//! ```text
//! writer ─(before, after, which Pods)─► Changes ─(a touched topic)─► Subscription ─► event streams
//! ```
//!
//! **A subscriber holds only a revision.** The server keeps no record of what it sent to a subscriber. The recent past
//! holds the changed Pods' records, before and after each change, and shares their memory with the snapshots. What a
//! selection gained or lost since a revision is computed from those. So a slow subscriber costs nothing, receives the
//! changes that it missed as one, and never misses the last state.
//!
//! **A change wakes only the subscribers that it touches.** Subscribers of one selection share a [`Topic`]. A change is
//! compared as subscribers see it, and wakes only the topics of the services that it touches.
//!
//! **The past is bounded.** An entry that falls out of it marks the topics that it touched. A subscriber that had not
//! read it by then gets a [`Gap`], and starts again from the whole set.

mod past;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::api::{Filter, WatchedChange, WatchedSet};
use crate::index::Difference;
use crate::snapshot::{PodRecord, PodSlot, Snapshot};
use past::{Past, PastEntry};

/// The most subscriptions at once; an event stream has one per interface. It is about as many connections as a process
/// can have in addition to its others.
pub const SUBSCRIPTIONS_MAX: usize = 4_096;

/// The recent past, and the subscribers.
#[derive(Debug)]
pub struct Changes {
    /// Distinguishes this process's revisions from another's.
    instance: u64,
    state: Mutex<Subscribers>,
}

#[derive(Debug, Default)]
struct Subscribers {
    /// The topics by interface, in lower case.
    topics: HashMap<String, Vec<Arc<Topic>>>,
    subscriptions: usize,
    past: Past,
    /// The last published revision.
    latest: u64,
    /// The revision after which the past is complete.
    since: u64,
}

/// What the subscribers of one selection share.
#[derive(Debug)]
pub struct Topic {
    /// The selection. Its interface is always set, in lower case.
    pub filter: Filter,
    /// The revision of the last change that touched the topic.
    touched: watch::Sender<u64>,
    /// The last change that touched the topic and is no longer in the past. Accessed under the state's lock.
    lost: AtomicU64,
    /// The number of subscriptions. Accessed under the state's lock.
    subscriptions: AtomicUsize,
    /// The whole set as one of the subscribers last sent it, kept while any still sends it.
    pub sent: tokio::sync::Mutex<Weak<EncodedEvent>>,
}

/// The encoded data of an event. It lives while any stream still sends it.
#[derive(Debug)]
pub struct EncodedEvent {
    /// The revision of the set.
    pub revision: u64,
    /// The event's data, as JSON.
    pub bytes: Vec<u8>,
    /// Its share of the memory for data that clients have not read yet.
    pub permits: Vec<OwnedSemaphorePermit>,
}

/// Some of the missed changes are no longer in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap;

/// There are already [`SUBSCRIPTIONS_MAX`] subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are already {SUBSCRIPTIONS_MAX} subscribers; try again later, or at another replica")]
pub struct TooManySubscriptions;

impl Changes {
    /// An empty past. No other start of the server may use the same `instance`.
    pub fn new(instance: u64) -> Changes {
        Changes { instance, state: Mutex::default() }
    }

    /// The id of a revision: `<instance>-<revision>`. A client sends it back to resume.
    pub fn id(&self, revision: u64) -> String {
        format!("{:016x}-{revision}", self.instance)
    }

    /// The revision of an id. `None` if the id is malformed or from another instance.
    pub fn revision_of(&self, id: &str) -> Option<u64> {
        let revision = id.split_once('-')?.1.parse().ok()?;
        (self.id(revision) == id).then_some(revision)
    }

    /// Takes in a snapshot that the writer has just published.
    pub fn publish(&self, before: &Snapshot, after: &Snapshot, difference: &Difference) {
        if !after.is_synced {
            return;
        }
        let mut state = self.state();
        state.latest = after.revision;
        if !before.is_synced {
            state.begin(after.revision);
            return;
        }
        let seen = difference.pods.iter().filter(|(_, change)| !change.services.is_empty());
        let pods: Vec<_> = seen.map(|(slot, change)| (*slot, change.clone())).collect();
        if !pods.is_empty() {
            state.record(PastEntry { revision: after.revision, pods });
        }
    }

    /// Subscribes to the changes of a selection. `filter.interface` must be set.
    ///
    /// # Errors
    /// There are too many subscriptions.
    pub fn subscribe(self: &Arc<Self>, filter: Filter) -> Result<ChangeSubscription, TooManySubscriptions> {
        let interface = filter.interface.as_deref().unwrap_or_default().to_ascii_lowercase();
        let filter = Filter { interface: Some(interface.clone()), ..filter };
        let mut state = self.state();
        if state.subscriptions >= SUBSCRIPTIONS_MAX {
            return Err(TooManySubscriptions);
        }
        state.subscriptions += 1;
        let since = state.since;
        let topics = state.topics.entry(interface).or_default();
        let topic = match topics.iter().find(|topic| topic.filter == filter) {
            Some(topic) => topic.clone(),
            None => {
                let topic = Arc::new(Topic::new(filter, since));
                topics.push(topic.clone());
                topic
            }
        };
        topic.subscriptions.fetch_add(1, Ordering::Relaxed);
        let touched = topic.touched.subscribe();
        drop(state);
        Ok(ChangeSubscription { changes: self.clone(), topic, touched, revision: 0 })
    }

    /// The last published revision.
    pub fn latest(&self) -> u64 {
        self.state().latest
    }

    /// The number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.state().subscriptions
    }

    /// A poisoned lock is safe to use: code that holds it panics, if at all, before it changes anything.
    fn state(&self) -> MutexGuard<'_, Subscribers> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscribers {
    /// Starts the past at the first synced snapshot. Every subscriber then starts from the whole set.
    fn begin(&mut self, revision: u64) {
        self.since = revision;
        for topic in self.topics.values().flatten() {
            topic.lost.store(revision, Ordering::Relaxed);
            topic.touched.send_replace(revision);
        }
    }

    /// Adds an entry to the past, drops what no longer fits, and wakes the topics.
    fn record(&mut self, entry: PastEntry) {
        let entry = Arc::new(entry);
        self.past.add(entry.clone());
        while let Some(oldest) = self.past.evict_oldest() {
            self.since = oldest.revision;
            let lost = |topic: &Topic| topic.lost.store(oldest.revision, Ordering::Relaxed);
            self.topics_of(&oldest).for_each(lost);
        }
        let tell = |touched: &mut u64| std::mem::replace(touched, entry.revision) != entry.revision;
        self.topics_of(&entry).for_each(|topic| _ = topic.touched.send_if_modified(tell));
    }

    /// The topics that a change touches. Some may come twice.
    fn topics_of(&self, entry: &PastEntry) -> impl Iterator<Item = &Topic> {
        let services = entry.services().filter(|_| !self.topics.is_empty());
        services.flat_map(|service| {
            let topics = self.topics.get(&service.interface.to_ascii_lowercase()).into_iter().flatten();
            topics.filter(|topic| topic.filter.matches(service)).map(|topic| &**topic)
        })
    }
}

impl Topic {
    fn new(filter: Filter, since: u64) -> Topic {
        Topic {
            filter,
            touched: watch::Sender::new(since),
            lost: AtomicU64::new(since),
            subscriptions: AtomicUsize::new(0),
            sent: tokio::sync::Mutex::default(),
        }
    }

    /// Whether no change has touched the topic since a revision.
    pub fn is_unchanged_since(&self, revision: u64) -> bool {
        *self.touched.borrow() <= revision
    }
}

/// One subscriber's position in the changes of its selection.
#[derive(Debug)]
pub struct ChangeSubscription {
    changes: Arc<Changes>,
    topic: Arc<Topic>,
    touched: watch::Receiver<u64>,
    revision: u64,
}

impl ChangeSubscription {
    /// What it shares with the other subscribers of its selection.
    pub fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// The revision up to which the subscriber knows everything.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Starts after the whole set of this revision.
    pub fn start_from(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Resumes an earlier subscription after a revision. Returns false if the recent past does not include that
    /// revision.
    pub fn resume(&mut self, revision: u64, snapshot: &Snapshot) -> bool {
        let _in_step = self.changes.state();
        let is_known = (self.topic.lost.load(Ordering::Relaxed)..=snapshot.revision).contains(&revision);
        if is_known {
            self.revision = revision;
        }
        is_known
    }

    /// Returns what has changed since the last call. The subscriber then knows everything up to now.
    ///
    /// # Errors
    /// Some of the changes are no longer in the past.
    pub fn take_changes(&mut self) -> Result<Option<WatchedChange>, Gap> {
        self.take_changes_until(u64::MAX)
    }

    /// Like [`ChangeSubscription::take_changes`], up to this revision.
    ///
    /// # Errors
    /// As with [`ChangeSubscription::take_changes`].
    pub fn take_changes_until(&mut self, until: u64) -> Result<Option<WatchedChange>, Gap> {
        // Mark first, so that a change from here on wakes the subscriber again.
        if *self.touched.borrow_and_update() > until {
            self.touched.mark_changed();
        }
        let missed = {
            let state = self.changes.state();
            if self.topic.lost.load(Ordering::Relaxed) > self.revision {
                return Err(Gap);
            }
            let until = until.min(state.latest);
            let interface = self.topic.filter.interface.as_deref().unwrap_or_default();
            let missed = state.past.changes_of(interface, self.revision, until);
            self.revision = self.revision.max(until);
            missed
        };
        let mut pods: BTreeMap<PodSlot, (Option<&PodRecord>, Option<&PodRecord>)> = BTreeMap::new();
        for (slot, change) in missed.iter().filter_map(|(entry, at)| entry.pods.get(*at)) {
            let first = pods.entry(*slot).or_insert((change.before.as_deref(), None));
            first.1 = change.after.as_deref();
        }
        let before = WatchedSet::of_pods(pods.values().filter_map(|(before, _)| *before), &self.topic.filter);
        let after = WatchedSet::of_pods(pods.values().filter_map(|(_, after)| *after), &self.topic.filter);
        let change = before.change_to(&after);
        Ok((!change.is_empty()).then_some(change))
    }

    /// Whether a change has touched the selection since the last call of [`ChangeSubscription::take_changes`].
    pub fn has_changes(&self) -> bool {
        self.touched.has_changed().unwrap_or_default()
    }

    /// Returns a future that waits for the next change of the selection. It borrows nothing.
    pub fn next_change(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut touched = self.topic.touched.subscribe();
        async move { _ = touched.changed().await }
    }

    /// Waits for a change that touches the selection.
    pub async fn changed(&mut self) {
        // The subscription holds the topic, and so its sender.
        let _ = self.touched.changed().await;
    }
}

impl Drop for ChangeSubscription {
    /// The last subscription of a topic removes it.
    fn drop(&mut self) {
        let mut state = self.changes.state();
        state.subscriptions -= 1;
        if self.topic.subscriptions.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        let interface = self.topic.filter.interface.as_deref().unwrap_or_default();
        let Some(topics) = state.topics.get_mut(interface) else { return };
        topics.retain(|topic| !Arc::ptr_eq(topic, &self.topic));
        if topics.is_empty() {
            state.topics.remove(interface);
        }
    }
}

#[cfg(test)]
mod tests;
