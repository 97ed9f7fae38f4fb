//! The events of one stream, for any number of interfaces.
//!
//! The stream works in rounds. A round sends the news of every interface up to one revision, and its last event has
//! that revision as its id. The events before have an id that no client can resume from. So a client that is cut off
//! within a round begins with whole sets, and an id covers exactly what the client has received. Nothing is queued for
//! a client that does not read: its next round is longer.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::ApiState;
use super::event_budget::ClientBudget;
use super::event_stream::Closing;
use super::pending::PendingResponse;
use crate::api::{ChangeEvent, SetEvent, WatchedSet};
use crate::changes::{ChangeSubscription, EncodedEvent, Gap, Topic};
use crate::escape;
use crate::sse;

/// The longest silence of a stream. It is shorter than the usual idle timeouts of proxies and NATs.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a client should reconnect, in milliseconds (the field `retry` of WHATWG HTML §9.2).
const RETRY_MS: u32 = 1_000;

/// The revision in the id of an event that is not the last of its round. No snapshot has it.
const UNFINISHED: u64 = 0;

/// How long to wait for the news of a set's own revision: a snapshot is published a moment before its changes.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(1);

/// An interface of the stream.
pub(super) struct FollowedInterface {
    pub(super) subscription: ChangeSubscription,
    /// It begins with its whole set.
    pub(super) is_fresh: bool,
}

/// One stream. It makes the next event only when the connection takes more bytes.
pub(super) struct Feed {
    api: Arc<ApiState>,
    pending: Arc<PendingResponse>,
    /// The memory that its events may take until they are read.
    budget: ClientBudget,
    interfaces: Vec<FollowedInterface>,
    /// Waits for the news of each interface.
    waits: FuturesUnordered<Pin<Box<dyn Future<Output = usize> + Send>>>,
    /// The unsent rest of an event.
    ready: VecDeque<Bytes>,
    /// The interfaces that this round has yet to send.
    due: VecDeque<usize>,
    /// The revision that ends the round.
    until: u64,
    /// The revision up to which the client has received everything. 0: none.
    sent_revision: u64,
    /// The last sent event has an id that no client can resume from.
    owes_id: bool,
    /// The round began after a wait. If recent changes were dropped since, the client is not to blame.
    is_prompt: bool,
    closing: Closing,
}

impl Feed {
    /// A stream that resumes from a revision, if any of its interfaces does.
    pub(super) fn new(
        api: Arc<ApiState>,
        pending: Arc<PendingResponse>,
        interfaces: Vec<FollowedInterface>,
        last: Option<u64>,
        closing: Closing,
    ) -> Feed {
        let is_resumed = interfaces.iter().any(|interface| !interface.is_fresh);
        let until = api.changes.latest();
        // The first bytes confirm the request to the client, even if there is no news.
        let greeting = format!("retry: {RETRY_MS}\n: \n\n");
        let budget = api.limits.events.for_client(pending.client());
        let mut feed = Feed {
            api,
            pending,
            budget,
            waits: FuturesUnordered::new(),
            ready: [greeting.into()].into(),
            due: (0..interfaces.len()).collect(),
            interfaces,
            until,
            sent_revision: last.filter(|_| is_resumed).unwrap_or(0),
            owes_id: false,
            is_prompt: false,
            closing,
        };
        (0..feed.interfaces.len()).for_each(|at| feed.wait_for(at));
        feed
    }

    /// The next bytes to send. `None` if the client was too slow for the recent changes, or the server ends.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if *self.closing.borrow() {
                return None;
            }
            match self.due.pop_front() {
                Some(at) => {
                    yield_now().await; // a stream may have a thousand interfaces, and the same threads answer DNS
                    if self.prepare(at).await == Err(Gap) {
                        self.api.counters.slow_reader();
                        return None;
                    }
                }
                None => self.next_round().await,
            }
        }
    }

    /// Prepares the news of an interface, if there are any.
    async fn prepare(&mut self, at: usize) -> Result<(), Gap> {
        let (event, sent) = match std::mem::take(&mut self.interfaces[at].is_fresh) {
            true => (sse::SET, self.set(at).await),
            false => match self.change(at).await {
                Ok(None) => return Ok(()),
                Ok(Some(change)) => (sse::CHANGE, change),
                Err(LostChanges::Meanwhile) => (sse::SET, self.set(at).await),
                Err(LostChanges::Unread) => return Err(Gap),
            },
        };
        self.owes_id = !(self.due.is_empty() && self.advance());
        let revision = if self.owes_id { UNFINISHED } else { self.sent_revision };
        let head = sse::encode_head(event, &self.api.changes.id(revision));
        let data = Bytes::from_owner(EventInFlight::new(sent, self.pending.clone()));
        self.ready.extend([head.into(), data, sse::END.into()]);
        self.api.counters.event_sent();
        Ok(())
    }

    /// The data of an interface's news, once the budget admits it. Until then it drops the data, waits, and makes
    /// the data again, so that waiting takes no memory.
    async fn change(&mut self, at: usize) -> Result<Option<Arc<EncodedEvent>>, LostChanges> {
        let subscription = &mut self.interfaces[at].subscription;
        let from = subscription.revision();
        let mut reservation = None;
        loop {
            let change = match subscription.take_changes_until(self.until) {
                Ok(Some(change)) => change,
                Ok(None) => return Ok(None),
                Err(Gap) if self.is_prompt || reservation.is_some() => return Err(LostChanges::Meanwhile),
                Err(Gap) => return Err(LostChanges::Unread),
            };
            let interface = subscription.topic().filter.interface.clone().unwrap_or_default();
            let bytes = escape::json(&ChangeEvent::of(interface, change));
            if let Some(reservation) = self.budget.try_reserve(reservation.take(), bytes.len()) {
                let revision = subscription.revision();
                return Ok(Some(Arc::new(EncodedEvent { revision, bytes, permits: reservation.permits() })));
            }
            let len = bytes.len();
            drop(bytes);
            subscription.start_from(from);
            reservation = Some(self.budget.reserve(len).await);
        }
    }

    /// The data of a whole set, once the budget admits it. Subscribers that come while the set is still being sent to
    /// another one share its bytes and its reservation if the set is unchanged: a thousand reconnecting clients cost one set.
    async fn set(&mut self, at: usize) -> Arc<EncodedEvent> {
        let topic = self.interfaces[at].subscription.topic().clone();
        let mut reservation = None;
        let sent = loop {
            let mut sent = topic.sent.lock().await;
            if let Some(shared) = sent.upgrade().filter(|shared| topic.is_unchanged_since(shared.revision)) {
                break shared;
            }
            let (revision, bytes) = self.encoded_set(&topic);
            if let Some(reservation) = self.budget.try_reserve(reservation.take(), bytes.len()) {
                let new = Arc::new(EncodedEvent { revision, bytes, permits: reservation.permits() });
                *sent = Arc::downgrade(&new);
                break new;
            }
            let len = bytes.len();
            drop((sent, bytes)); // other subscribers must not wait for this client's budget
            reservation = Some(self.budget.reserve(len).await);
        };
        self.interfaces[at].subscription.start_from(sent.revision);
        sent
    }

    fn encoded_set(&self, topic: &Topic) -> (u64, Vec<u8>) {
        let snapshot = self.api.zone.snapshot.load_full();
        let interface = topic.filter.interface.clone().unwrap_or_default();
        let set = SetEvent::of(interface, WatchedSet::of(&snapshot, &topic.filter));
        (snapshot.revision, escape::json(&set))
    }

    /// Ends a round: its revision becomes the id, unless a set was already of a later revision.
    fn advance(&mut self) -> bool {
        let newest =
            self.interfaces.iter().map(|interface| interface.subscription.revision()).max().unwrap_or_default();
        let is_exact = newest <= self.until || self.interfaces.len() == 1;
        if is_exact {
            let sent_revision = self.until.max(newest);
            self.sent_revision = sent_revision;
            self.interfaces.iter_mut().for_each(|interface| interface.subscription.start_from(sent_revision));
        }
        is_exact
    }

    /// Begins the next round once there is news, or prepares a heartbeat.
    async fn next_round(&mut self) {
        let silence = sleep(HEARTBEAT);
        tokio::pin!(silence);
        self.is_prompt = false;
        let mut is_silent = false;
        loop {
            let is_exact = self.advance();
            if is_exact && std::mem::take(&mut self.owes_id) {
                return self.ready.push_back(self.heartbeat());
            }
            self.until = self.api.changes.latest(); // first: `has_changes` then covers every revision up to here
            let interfaces = self.interfaces.iter().enumerate();
            self.due =
                interfaces.filter(|(_, interface)| interface.subscription.has_changes()).map(|(at, _)| at).collect();
            if !self.due.is_empty() {
                return;
            }
            if is_silent {
                self.advance(); // none of these revisions is news to the stream
                return self.ready.push_back(self.heartbeat());
            }
            self.is_prompt = true;
            let touched = tokio::select! {
                touched = self.waits.next() => touched,
                () = sleep(CATCH_UP_PAUSE), if !is_exact => None,
                () = &mut silence => {
                    is_silent = true;
                    None
                }
                _ = self.closing.wait_for(|closing| *closing) => return,
            };
            touched.into_iter().for_each(|at| self.wait_for(at));
        }
    }

    /// Waits for an interface's next news.
    fn wait_for(&mut self, at: usize) {
        let touched = self.interfaces[at].subscription.next_change();
        self.waits.push(Box::pin(async move {
            touched.await;
            at
        }));
    }

    fn heartbeat(&self) -> Bytes {
        sse::encode_heartbeat(&self.api.changes.id(self.sent_revision)).into()
    }
}

/// Why the recent changes no longer have an interface's news.
enum LostChanges {
    /// They were dropped while the stream waited for news or for its reservation.
    Meanwhile,
    /// They were dropped because the client did not read.
    Unread,
}

/// The data of an event, shared with other streams, and the response that has to be read in time.
struct EventInFlight {
    sent: Arc<EncodedEvent>,
    pending: Arc<PendingResponse>,
}

impl EventInFlight {
    fn new(sent: Arc<EncodedEvent>, pending: Arc<PendingResponse>) -> EventInFlight {
        pending.begin_event();
        EventInFlight { sent, pending }
    }
}

impl AsRef<[u8]> for EventInFlight {
    fn as_ref(&self) -> &[u8] {
        &self.sent.bytes
    }
}

impl Drop for EventInFlight {
    fn drop(&mut self) {
        self.pending.end_event();
    }
}
