//! What one stream of events tells, of however many interfaces.
//!
//! It goes in rounds: a round takes every interface that has news up to one revision, and the last event of it carries
//! that revision as its id. The events before it carry an id that nobody can go on from, so that a client that is cut off
//! in the middle of a round begins with whole sets, and an id claims exactly what the client was sent. Nothing is kept for a client that does not read: its next round is then a longer one.

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

/// How long a stream is silent at most: shorter than what proxies and NATs commonly forget an idle connection after.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a client is to come back, in milliseconds (the field `retry` of WHATWG HTML §9.2).
const RETRY_MS: u32 = 1_000;

/// The revision of an event that others of its round follow: no snapshot has it.
const UNFINISHED: u64 = 0;

/// How long the news of a set's own revision may take: the moment between a snapshot and what it changed.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(1);

/// An interface of the stream.
pub(super) struct Place {
    pub(super) subscription: Subscription,
    /// It begins with its whole set.
    pub(super) is_fresh: bool,
}

/// One stream. It is asked for more only once the connection has room.
pub(super) struct Feed {
    pages: Arc<Pages>,
    answer: Arc<Answer>,
    /// What its events may take until they are read.
    part: Part,
    places: Vec<Place>,
    /// The news of each interface, waited for.
    waits: FuturesUnordered<Pin<Box<dyn Future<Output = usize> + Send>>>,
    /// What of an event is not sent yet.
    ready: VecDeque<Bytes>,
    /// The interfaces of this round that are still to be told of.
    due: VecDeque<usize>,
    /// The revision that the round goes up to.
    until: u64,
    /// The revision up to which the client was told everything; 0 is none.
    told: u64,
    /// The last event that was sent has an id that nobody can go on from.
    owes_id: bool,
    /// The round began behind a wait: what the recent past has forgotten since is not the client's fault.
    is_prompt: bool,
    closing: Closing,
}

impl Feed {
    /// A stream that goes on from a revision, where there is one that a place goes on from.
    pub(super) fn new(
        pages: Arc<Pages>,
        answer: Arc<Answer>,
        places: Vec<Place>,
        last: Option<u64>,
        closing: Closing,
    ) -> Feed {
        let is_resumed = places.iter().any(|place| !place.is_fresh);
        let until = pages.changes.latest();
        // The first bytes tell the client that it was understood, also where there is no news.
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

    /// The next bytes to send; none where the reader was too slow for the recent past, or the server ends.
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
                    yield_now().await; // a stream may have a thousand interfaces, and the same tasks answer DNS
                    if self.tell(at).await == Err(Gap) {
                        self.pages.responder.metrics.slow_reader();
                        return None;
                    }
                }
                None => self.next_round().await,
            }
        }
    }

    /// Prepares what there is to tell of an interface, if there is anything.
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

    /// The data of an interface's news, once there is room for it. Where there is none it waits without them and makes them
    /// again: what waits takes no memory.
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

    /// The data of a whole set, once there is room for it. Subscribers that come while another one's is still being sent
    /// share its bytes and its room, as long as they say what is so: a thousand that come back at once cost one set.
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
            drop((sent, bytes)); // nobody else waits for this client's room
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

    /// At the end of a round: claims its revision, unless a set was already of a later one.
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

    /// Begins the next round once there is news, or prepares a sign of life.
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
            self.until = self.pages.changes.latest(); // first: what is looked at then has news of all up to here
            let places = self.places.iter().enumerate();
            self.due = places.filter(|(_, place)| place.subscription.has_news()).map(|(at, _)| at).collect();
            if !self.due.is_empty() {
                return;
            }
            if is_silent {
                self.advance(); // nothing of it is news to the stream
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

    /// Waits for an interface's news from here on.
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

/// Why an interface's news are in the past no more.
enum Forgotten {
    /// The stream waited for them, or for room.
    Meanwhile,
    /// Its client did not read.
    Unread,
}

/// The data of an event, which other streams may send too, and the answer that is to be read in time.
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
