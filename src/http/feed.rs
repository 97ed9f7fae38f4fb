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
use tokio::time::sleep;

use super::Pages;
use super::watch::Closing;
use crate::changes::{Gap, SentSet, Subscription};
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
    pub(super) fn new(pages: Arc<Pages>, places: Vec<Place>, last: Option<u64>, closing: Closing) -> Feed {
        let is_resumed = places.iter().any(|place| !place.is_fresh);
        let until = pages.changes.latest();
        // The first bytes tell the client that it was understood, also where there is no news.
        let greeting = format!("retry: {RETRY_MS}\n: \n\n");
        let mut feed = Feed {
            pages,
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
        let place = &mut self.places[at];
        let change = match std::mem::take(&mut place.is_fresh) {
            true => None,
            false => match place.subscription.news_until(self.until) {
                Ok(None) => return Ok(()),
                Ok(change) => change,
                Err(Gap) if self.is_prompt => None,
                Err(Gap) => return Err(Gap),
            },
        };
        let (event, data) = match change {
            Some(change) => {
                let interface = place.subscription.topic().filter.interface.clone().unwrap_or_default();
                (events::CHANGE, Bytes::from(escape::json(&ChangeEvent::of(interface, change))))
            }
            None => (events::SET, self.set(at).await),
        };
        self.owes_id = !(self.due.is_empty() && self.advance());
        let revision = if self.owes_id { UNFINISHED } else { self.told };
        let head = events::encode_head(event, &self.pages.changes.id(revision));
        self.ready.extend([head.into(), data, events::END.into()]);
        self.pages.responder.metrics.event_sent();
        Ok(())
    }

    /// The data of a whole set. Subscribers that come while another one's is still being sent share its bytes, as long as
    /// they say what is so: a thousand that come back at once cost one set.
    async fn set(&mut self, at: usize) -> Bytes {
        let topic = self.places[at].subscription.topic().clone();
        let mut sent = topic.sent.lock().await;
        let shared = sent.bytes.upgrade().filter(|_| topic.is_untouched_since(sent.revision));
        let bytes = match shared {
            Some(bytes) => bytes,
            None => {
                let snapshot = self.pages.responder.snapshot.load_full();
                let interface = topic.filter.interface.clone().unwrap_or_default();
                let set = SetEvent::of(interface, WatchedSet::of(&snapshot, &topic.filter));
                let bytes = Arc::new(escape::json(&set));
                *sent = SentSet { revision: snapshot.revision, bytes: Arc::downgrade(&bytes) };
                bytes
            }
        };
        self.places[at].subscription.start_from(sent.revision);
        Bytes::from_owner(Shared(bytes))
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

/// Bytes that several connections send.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
