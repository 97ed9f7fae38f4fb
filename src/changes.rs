//! What changed of late, for whoever waits for it: the recent past of the zone, and who is told of what.
//!
//! ```text
//! writer ─(before, after, which Pods)─► Changes ─(a touched topic)─► Subscription ─► event streams
//! ```
//!
//! **A subscriber holds a revision and nothing else.** What it was told is not kept for it: the recent past holds the
//! changed Pods' records as they were and as they became, which share their memory with the snapshots, and what a
//! selection has gained or lost since a revision is read from those alone. So however slow a subscriber is, it costs
//! nothing, the changes that it missed are one when it comes back, and the last state is never lost.
//!
//! **A change wakes those it touches.** Subscribers of one selection share a [`Topic`]; a change is compared as the
//! subscribers would see it, and only the topics of services that it touches are told.
//!
//! **The past is bounded.** What falls out of it marks the topics that it touched; who had not read it by then has a
//! [`Gap`], and starts over from the whole set.

mod past;
mod touched;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::index::Difference;
use crate::report::{Filter, WatchedChange, WatchedSet};
use crate::snapshot::{PodRecord, PodSlot, Snapshot};
use past::{Entry, Past, PodChange};
use touched::touched;

/// The most subscriptions at once; each interface of an event stream is one. As many as connections that a process can
/// well have beside its others.
pub const SUBSCRIPTIONS_MAX: usize = 4_096;

/// The recent past, and who waits for what comes.
#[derive(Debug)]
pub struct Changes {
    /// Tells this process's revisions from another's.
    instance: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the interface in lower case.
    topics: HashMap<String, Vec<Arc<Topic>>>,
    subscriptions: usize,
    past: Past,
    /// The revision up to which everything was told.
    latest: u64,
    /// The revision from which on the past is whole.
    since: u64,
}

/// What subscribers of one selection share.
#[derive(Debug)]
pub struct Topic {
    /// The selection; its interface is there and in lower case.
    pub filter: Filter,
    /// The revision of the last change that touched it.
    touched: watch::Sender<u64>,
    /// The last change that touched it and is in the past no more; used under the state's lock.
    lost: AtomicU64,
    /// Its subscriptions; used under the state's lock.
    subscriptions: AtomicUsize,
    /// The whole set as one of its subscribers sent it last, while one still does.
    pub sent: tokio::sync::Mutex<Weak<Sent>>,
}

/// The encoded data of an event, kept alive by whoever still sends it.
#[derive(Debug)]
pub struct Sent {
    /// The revision that it is of.
    pub revision: u64,
    /// The data.
    pub bytes: Vec<u8>,
    /// What it takes of the room for what is not read yet.
    pub room: Vec<OwnedSemaphorePermit>,
}

/// What was missed is in the past no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap;

/// There are as many subscriptions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {SUBSCRIPTIONS_MAX} subscribers already; try again later, or at another replica")]
pub struct Full;

impl Changes {
    /// Of nothing yet; the instance is a number that no other start has.
    pub fn new(instance: u64) -> Changes {
        Changes { instance, state: Mutex::default() }
    }

    /// `<instance>-<revision>`: what clients hold against a later answer.
    pub fn id(&self, revision: u64) -> String {
        format!("{:016x}-{revision}", self.instance)
    }

    /// The revision of an id; none where it is another instance's, or none at all.
    pub fn revision_of(&self, id: &str) -> Option<u64> {
        let revision = id.split_once('-')?.1.parse().ok()?;
        (self.id(revision) == id).then_some(revision)
    }

    /// Takes in what the writer has just published.
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
        let mut entry = Entry { revision: after.revision, pods: Vec::new() };
        for &slot in &difference.pods {
            let (before, after) = (before.pod(slot), after.pod(slot));
            let services = touched(before.map(|pod| &**pod), after.map(|pod| &**pod));
            if !services.is_empty() {
                entry.pods.push(PodChange { slot, before: before.cloned(), after: after.cloned(), services });
            }
        }
        if !entry.pods.is_empty() {
            state.remember(entry);
        }
    }

    /// Starts to listen for changes of a selection; `filter.interface` must be there.
    ///
    /// # Errors
    /// There are too many subscriptions.
    pub fn subscribe(self: &Arc<Self>, filter: Filter) -> Result<Subscription, Full> {
        let interface = filter.interface.as_deref().unwrap_or_default().to_ascii_lowercase();
        let filter = Filter { interface: Some(interface.clone()), ..filter };
        let mut state = self.state();
        if state.subscriptions >= SUBSCRIPTIONS_MAX {
            return Err(Full);
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
        Ok(Subscription { changes: self.clone(), topic, touched, revision: 0 })
    }

    /// The revision up to which everything was told.
    pub fn latest(&self) -> u64 {
        self.state().latest
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.state().subscriptions
    }

    /// Nothing that holds the lock can leave it half done: what panics there, panics before it changes anything.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Nobody was told anything before: who waits already starts from the whole set.
    fn begin(&mut self, revision: u64) {
        self.since = revision;
        for topic in self.topics.values().flatten() {
            topic.lost.store(revision, Ordering::Relaxed);
            topic.touched.send_replace(revision);
        }
    }

    /// Adds to the past, lets go of what no longer fits, and tells the topics.
    fn remember(&mut self, entry: Entry) {
        let entry = Arc::new(entry);
        self.past.add(entry.clone());
        while let Some(oldest) = self.past.forget() {
            self.since = oldest.revision;
            let lost = |topic: &Topic| topic.lost.store(oldest.revision, Ordering::Relaxed);
            self.topics_of(&oldest).for_each(lost);
        }
        let tell = |touched: &mut u64| std::mem::replace(touched, entry.revision) != entry.revision;
        self.topics_of(&entry).for_each(|topic| _ = topic.touched.send_if_modified(tell));
    }

    /// The topics that a change touches, some of them twice.
    fn topics_of(&self, entry: &Entry) -> impl Iterator<Item = &Topic> {
        let services = entry.services().filter(|_| !self.topics.is_empty());
        services.flat_map(|service| {
            let topics = self.topics.get(&service.interface.to_ascii_lowercase()).into_iter().flatten();
            topics.filter(|topic| topic.filter.takes(service)).map(|topic| &**topic)
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

    /// Whether nothing of it has changed since a revision.
    pub fn is_untouched_since(&self, revision: u64) -> bool {
        *self.touched.borrow() <= revision
    }
}

/// One subscriber's place in the changes of its selection.
#[derive(Debug)]
pub struct Subscription {
    changes: Arc<Changes>,
    topic: Arc<Topic>,
    touched: watch::Receiver<u64>,
    revision: u64,
}

impl Subscription {
    /// What is shared with the others of this selection.
    pub fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// The revision up to which the subscriber knows everything.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Starts from a set of this revision.
    pub fn start_from(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Goes on from where an earlier subscription stood; false where its revision is none of the recent past.
    pub fn resume(&mut self, revision: u64, snapshot: &Snapshot) -> bool {
        let _in_step = self.changes.state();
        let is_known = (self.topic.lost.load(Ordering::Relaxed)..=snapshot.revision).contains(&revision);
        if is_known {
            self.revision = revision;
        }
        is_known
    }

    /// What has changed since it was asked last; the subscriber then knows everything up to now.
    ///
    /// # Errors
    /// Some of it is in the past no more.
    pub fn news(&mut self) -> Result<Option<WatchedChange>, Gap> {
        self.news_until(u64::MAX)
    }

    /// The same, up to this revision and no further.
    ///
    /// # Errors
    /// As with [`Subscription::news`].
    pub fn news_until(&mut self, until: u64) -> Result<Option<WatchedChange>, Gap> {
        // First: what comes from here on wakes again.
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
        for change in missed.iter().filter_map(|(entry, at)| entry.pods.get(*at)) {
            let first = pods.entry(change.slot).or_insert((change.before.as_deref(), None));
            first.1 = change.after.as_deref();
        }
        let before = WatchedSet::of_pods(pods.values().filter_map(|(before, _)| *before), &self.topic.filter);
        let after = WatchedSet::of_pods(pods.values().filter_map(|(_, after)| *after), &self.topic.filter);
        let change = before.change_to(&after);
        Ok((!change.is_empty()).then_some(change))
    }

    /// Whether a change touched the selection since its news were asked for.
    pub fn has_news(&self) -> bool {
        self.touched.has_changed().unwrap_or_default()
    }

    /// A wait for the next change from here on that touches the selection, by itself.
    pub fn next_touch(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut touched = self.topic.touched.subscribe();
        async move { _ = touched.changed().await }
    }

    /// Waits for a change that touches the selection.
    pub async fn touched(&mut self) {
        // The topic is held, so its sender is there.
        let _ = self.touched.changed().await;
    }
}

impl Drop for Subscription {
    /// The last one of a topic takes it away.
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
