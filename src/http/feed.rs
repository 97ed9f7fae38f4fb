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

use super::Pages;
use super::answer::Answer;
use super::unread::Part;
use super::watch::Closing;
use crate::changes::{Gap, Sent, Subscription, Topic};
use crate::escape;
use crate::events;
use crate::report::{ChangeEvent, SetEvent, WatchedSet};

/// The longest silence of a stream. It is shorter than the usual idle timeouts of proxies and NATs.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a client should reconnect, in milliseconds (the field `retry` of WHATWG HTML §9.2).
const RETRY_MS: u32 = 1_000;

/// The revision in the id of an event that is not the last of its round. No snapshot has it.
const UNFINISHED: u64 = 0;

/// How long to wait for the news of a set's own revision: a snapshot is published a moment before its changes.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(1);

/// An interface of the stream.
pub(super) struct Place {
    pub(super) subscription: Subscription,
    /// It begins with its whole set.
    pub(super) is_fresh: bool,
}

/// One stream. It makes the next event only when the connection has room.
pub(super) struct Feed {
    pages: Arc<Pages>,
    answer: Arc<Answer>,
    /// The memory that its events may take until they are read.
    part: Part,
    places: Vec<Place>,
    /// Waits for the news of each interface.
    waits: FuturesUnordered<Pin<Box<dyn Future<Output = usize> + Send>>>,
    /// The unsent rest of an event.
    ready: VecDeque<Bytes>,
    /// The interfaces that this round has yet to send.
    due: VecDeque<usize>,
    /// The revision that ends the round.
    until: u64,
    /// The revision up to which the client has received everything. 0: none.
    told: u64,
    /// The last sent event has an id that no client can resume from.
    owes_id: bool,
    /// The round began after a wait. If recent changes were dropped since, the client is not to blame.
    is_prompt: bool,
    closing: Closing,
}

impl Feed {
    /// A stream that resumes from a revision, if any of its interfaces does.
    pub(super) fn new(
        pages: Arc<Pages>,
        answer: Arc<Answer>,
        places: Vec<Place>,
        last: Option<u64>,
        closing: Closing,
    ) -> Feed {
        let is_resumed = places.iter().any(|place| !place.is_fresh);
        let until = pages.changes.latest();
        // The first bytes confirm the request to the client, even if there is no news.
        let greeting = format!("retry: {RETRY_MS}\n: \n\n");
        let part = pages.bounds.events.part(answer.client());
        let mut feed = Feed {
            pages,
            answer,
            part,
            waits: FuturesUnordered::new(),
            ready: [greeting.into()].into(),
            due: (0..places.len()).collect(),
            places,
            until,
            told: last.filter(|_| is_resumed).unwrap_or(0),
            owes_id: false,
            is_prompt: false,
            closing,
        };
        (0..feed.places.len()).for_each(|at| feed.wait_for(at));
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
                    if self.tell(at).await == Err(Gap) {
                        self.pages.responder.metrics.slow_reader();
                        return None;
                    }
                }
                None => self.next_round().await,
            }
        }
    }

    /// Prepares the news of an interface, if there are any.
    async fn tell(&mut self, at: usize) -> Result<(), Gap> {
        let (event, sent) = match std::mem::take(&mut self.places[at].is_fresh) {
            true => (events::SET, self.set(at).await),
            false => match self.change(at).await {
                Ok(None) => return Ok(()),
                Ok(Some(change)) => (events::CHANGE, change),
                Err(Forgotten::Meanwhile) => (events::SET, self.set(at).await),
                Err(Forgotten::Unread) => return Err(Gap),
            },
        };
        self.owes_id = !(self.due.is_empty() && self.advance());
        let revision = if self.owes_id { UNFINISHED } else { self.told };
        let head = events::encode_head(event, &self.pages.changes.id(revision));
        let data = Bytes::from_owner(Unread::new(sent, self.answer.clone()));
        self.ready.extend([head.into(), data, events::END.into()]);
        self.pages.responder.metrics.event_sent();
        Ok(())
    }

    /// The data of an interface's news, once there is room for it. Without room it drops the data, waits, and makes
    /// the data again, so that waiting takes no memory.
    async fn change(&mut self, at: usize) -> Result<Option<Arc<Sent>>, Forgotten> {
        let subscription = &mut self.places[at].subscription;
        let from = subscription.revision();
        let mut room = None;
        loop {
            let change = match subscription.news_until(self.until) {
                Ok(Some(change)) => change,
                Ok(None) => return Ok(None),
                Err(Gap) if self.is_prompt || room.is_some() => return Err(Forgotten::Meanwhile),
                Err(Gap) => return Err(Forgotten::Unread),
            };
            let interface = subscription.topic().filter.interface.clone().unwrap_or_default();
            let bytes = escape::json(&ChangeEvent::of(interface, change));
            if let Some(room) = self.part.fit(room.take(), bytes.len()) {
                let revision = subscription.revision();
                return Ok(Some(Arc::new(Sent { revision, bytes, room: room.permits() })));
            }
            let len = bytes.len();
            drop(bytes);
            subscription.start_from(from);
            room = Some(self.part.take(len).await);
        }
    }

    /// The data of a whole set, once there is room for it. Subscribers that come while the set is still being sent to
    /// another one share its bytes and its room if the set is unchanged: a thousand reconnecting clients cost one set.
    async fn set(&mut self, at: usize) -> Arc<Sent> {
        let topic = self.places[at].subscription.topic().clone();
        let mut room = None;
        let sent = loop {
            let mut sent = topic.sent.lock().await;
            if let Some(shared) = sent.upgrade().filter(|shared| topic.is_untouched_since(shared.revision)) {
                break shared;
            }
            let (revision, bytes) = self.encoded_set(&topic);
            if let Some(room) = self.part.fit(room.take(), bytes.len()) {
                let new = Arc::new(Sent { revision, bytes, room: room.permits() });
                *sent = Arc::downgrade(&new);
                break new;
            }
            let len = bytes.len();
            drop((sent, bytes)); // other subscribers must not wait for this client's room
            room = Some(self.part.take(len).await);
        };
        self.places[at].subscription.start_from(sent.revision);
        sent
    }

    fn encoded_set(&self, topic: &Topic) -> (u64, Vec<u8>) {
        let snapshot = self.pages.responder.snapshot.load_full();
        let interface = topic.filter.interface.clone().unwrap_or_default();
        let set = SetEvent::of(interface, WatchedSet::of(&snapshot, &topic.filter));
        (snapshot.revision, escape::json(&set))
    }

    /// Ends a round: its revision becomes the id, unless a set was already of a later revision.
    fn advance(&mut self) -> bool {
        let newest = self.places.iter().map(|place| place.subscription.revision()).max().unwrap_or_default();
        let is_exact = newest <= self.until || self.places.len() == 1;
        if is_exact {
            let told = self.until.max(newest);
            self.told = told;
            self.places.iter_mut().for_each(|place| place.subscription.start_from(told));
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
            self.until = self.pages.changes.latest(); // first: `has_news` then covers every revision up to here
            let places = self.places.iter().enumerate();
            self.due = places.filter(|(_, place)| place.subscription.has_news()).map(|(at, _)| at).collect();
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
        let touched = self.places[at].subscription.next_touch();
        self.waits.push(Box::pin(async move {
            touched.await;
            at
        }));
    }

    fn heartbeat(&self) -> Bytes {
        events::encode_heartbeat(&self.pages.changes.id(self.told)).into()
    }
}

/// Why the recent changes no longer have an interface's news.
enum Forgotten {
    /// They were dropped while the stream waited for news or for room.
    Meanwhile,
    /// They were dropped because the client did not read.
    Unread,
}

/// The data of an event, shared with other streams, and the response that has to be read in time.
struct Unread {
    sent: Arc<Sent>,
    answer: Arc<Answer>,
}

impl Unread {
    fn new(sent: Arc<Sent>, answer: Arc<Answer>) -> Unread {
        answer.begin_event();
        Unread { sent, answer }
    }
}

impl AsRef<[u8]> for Unread {
    fn as_ref(&self) -> &[u8] {
        &self.sent.bytes
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.answer.end_event();
    }
}
