//! The subscriptions of a process to one server, in one stream.
//!
//! ```text
//! Subscription ─┐                    ┌─► the set of each interface ─► Subscription
//! Subscription ─┼─► Lane ─► EventStream
//! Subscription ─┘   (another lane beyond 1,024 interfaces)
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Endpoint, Set};
use crate::api::{Filter, INTERFACES_MAX};
use crate::remote::{EventStream, Selection, ServerClient, StreamEvent};

/// How long a changed selection waits for further changes: a process subscribes to many interfaces when it starts.
const COALESCE: Duration = Duration::from_millis(50);

/// The most bytes that a stream's interfaces take in its URL, which may have 65,534.
const QUERY_LEN_MAX: usize = 48 * 1024;

/// The streams to one server.
pub(super) struct Streams {
    server: ServerClient,
    state: Mutex<StreamLanes>,
}

#[derive(Default)]
struct StreamLanes {
    /// The number of subscriptions and lanes so far.
    count: u64,
    lanes: Vec<Lane>,
}

/// One stream and its subscriptions.
struct Lane {
    number: u64,
    /// By the interface in lower case.
    listeners: BTreeMap<String, Vec<Listener>>,
    /// The selector fields that all listeners so far had in common. The stream selects by them, and `is_asked_for`
    /// applies the rest. A field is only ever removed, so that the stream starts over with whole sets a few times at
    /// most.
    common: Filter,
    changed: Arc<Notify>,
}

struct Listener {
    number: u64,
    filter: Filter,
    latest: watch::Sender<Option<Set>>,
}

/// The receiving end of a subscription. Dropping it ends the subscription.
pub(super) struct StreamSubscription {
    streams: Arc<Streams>,
    number: u64,
    interface: String,
    /// The current set. `None` before the first.
    pub(super) latest: watch::Receiver<Option<Set>>,
}

impl Streams {
    pub(super) fn new(server: ServerClient) -> Arc<Streams> {
        Arc::new(Streams { server, state: Mutex::default() })
    }

    /// Subscribes. The caller must be within the runtime.
    pub(super) fn subscribe(self: &Arc<Self>, filter: Filter) -> StreamSubscription {
        let interface = filter.interface.as_deref().unwrap_or_default().to_ascii_lowercase();
        let (sender, latest) = watch::channel(None);
        let mut state = self.state();
        state.count += 2;
        let number = state.count;
        let listener = Listener { number, filter, latest: sender };
        let lane = match state.lanes.iter().position(|lane| lane.has_room_for(&interface)) {
            Some(at) => at,
            None => {
                let common = Filter { interface: None, ..listener.filter.clone() };
                let lane = Lane { number: number + 1, listeners: BTreeMap::new(), common, changed: Arc::default() };
                tokio::spawn(follow(self.clone(), lane.number, lane.changed.clone()));
                state.lanes.push(lane);
                state.lanes.len() - 1
            }
        };
        let lane = &mut state.lanes[lane];
        lane.widen(&listener.filter);
        lane.listeners.entry(interface.clone()).or_default().push(listener);
        lane.changed.notify_one();
        StreamSubscription { streams: self.clone(), number, interface, latest }
    }

    /// The selection of a lane's stream. Removes the lane and returns `None` if it has no listeners.
    fn selection(&self, lane: u64) -> Option<Selection> {
        let mut state = self.state();
        let at = state.lanes.iter().position(|other| other.number == lane)?;
        if state.lanes[at].listeners.is_empty() {
            state.lanes.remove(at);
            return None;
        }
        Some(state.lanes[at].selection())
    }

    /// Publishes an interface's set to the listeners whose own set differs.
    fn publish(&self, lane: u64, interface: &str, set: &Set) {
        let state = self.state();
        let lane = state.lanes.iter().find(|other| other.number == lane);
        for listener in lane.and_then(|lane| lane.listeners.get(interface)).into_iter().flatten() {
            let own = || set.endpoints.iter().filter(|one| is_asked_for(&listener.filter, one));
            listener.latest.send_if_modified(|latest| {
                let is_new = latest.as_ref().is_none_or(|latest| !latest.endpoints.iter().eq(own()));
                if is_new {
                    *latest = Some(Set { endpoints: own().cloned().collect() });
                }
                is_new
            });
        }
    }

    /// A panic cannot leave the data inconsistent, so a poisoned lock is still usable.
    fn state(&self) -> MutexGuard<'_, StreamLanes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn has_room_for(&self, interface: &str) -> bool {
        if self.listeners.contains_key(interface) {
            return true;
        }
        let len = self.listeners.keys().map(|interface| query_len(interface)).sum::<usize>() + query_len(interface);
        self.listeners.len() < INTERFACES_MAX && len <= QUERY_LEN_MAX
    }

    /// Widens the stream's selection to what a filter needs.
    fn widen(&mut self, filter: &Filter) {
        let Filter { group, version, namespace, .. } = &mut self.common;
        for (common, own) in [(group, &filter.group), (version, &filter.version), (namespace, &filter.namespace)] {
            if common != own {
                *common = None;
            }
        }
    }

    /// All interfaces of the lane, and the selector fields that its listeners have in common.
    fn selection(&self) -> Selection {
        let Filter { group, version, namespace, .. } = self.common.clone();
        Selection { interfaces: self.listeners.keys().cloned().collect(), group, version, namespace }
    }
}

impl Drop for StreamSubscription {
    fn drop(&mut self) {
        let mut state = self.streams.state();
        let of = |lane: &&mut Lane| {
            let listeners = lane.listeners.get(&self.interface);
            listeners.is_some_and(|listeners| listeners.iter().any(|listener| listener.number == self.number))
        };
        let Some(lane) = state.lanes.iter_mut().find(of) else { return };
        if let Some(listeners) = lane.listeners.get_mut(&self.interface) {
            listeners.retain(|listener| listener.number != self.number);
            if listeners.is_empty() {
                lane.listeners.remove(&self.interface);
            }
        }
        lane.changed.notify_one();
    }
}

/// Follows a lane's stream until the lane has no listeners.
async fn follow(streams: Arc<Streams>, lane: u64, changed: Arc<Notify>) {
    let mut stream = EventStream::new(streams.server.clone(), Selection::default());
    let mut known: HashMap<String, Set> = HashMap::new();
    let mut trouble = None;
    loop {
        let has_selection = !stream.selection().interfaces.is_empty();
        let event = tokio::select! {
            event = stream.next(), if has_selection => event,
            () = changed.notified() => {
                sleep(COALESCE).await;
                let Some(selection) = streams.selection(lane) else { return };
                select(&mut stream, &mut known, selection);
                // A new subscription to a known interface gets its set at once.
                known.iter().for_each(|(interface, set)| streams.publish(lane, interface, set));
                continue;
            }
        };
        match event {
            StreamEvent::Set(interface, set) => {
                streams.publish(lane, &interface, &set);
                known.insert(interface, set);
            }
            StreamEvent::Change(interface, change) => {
                let set = known.entry(interface.clone()).or_default();
                set.apply(change);
                streams.publish(lane, &interface, set);
            }
            StreamEvent::Lost(error) => {
                let text = error.to_string();
                if trouble.as_ref() != Some(&text) {
                    warn!("the server's stream is lost, the last endpoints stay: {text}");
                }
                trouble = Some(text);
                continue;
            }
        }
        if trouble.take().is_some() {
            info!("the server's stream is back");
        }
    }
}

/// Changes a stream's selection if it differs, and forgets the sets that the new selection does not cover.
fn select(stream: &mut EventStream, known: &mut HashMap<String, Set>, selection: Selection) {
    let old = stream.selection();
    if *old == selection {
        return;
    }
    let is_same = |field: fn(&Selection) -> &Option<String>| field(old) == field(&selection);
    if is_same(|of| &of.group) && is_same(|of| &of.version) && is_same(|of| &of.namespace) {
        let stays: BTreeSet<&String> = old.interfaces.intersection(&selection.interfaces).collect();
        known.retain(|interface, _| stays.contains(interface));
    } else {
        known.clear();
    }
    stream.select(selection);
}

fn is_asked_for(filter: &Filter, endpoint: &Endpoint) -> bool {
    let takes = |asked: &Option<String>, own: Option<&str>| {
        asked.as_deref().is_none_or(|asked| asked == own.unwrap_or_default())
    };
    takes(&filter.group, endpoint.group.as_deref())
        && takes(&filter.version, endpoint.version.as_deref())
        && takes(&filter.namespace, Some(&endpoint.namespace))
}

/// The bytes that an interface takes in a URL.
fn query_len(interface: &str) -> usize {
    "interface=&".len() + form_urlencoded::byte_serialize(interface.as_bytes()).map(str::len).sum::<usize>()
}
