//! `GET /v1/watch`: a selection's endpoints as server-sent events, the whole set first and then what changes of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::timeout;

use super::connection::Stay;
use super::{Pages, Refusal, synced};
use crate::changes::{Gap, SentSet, Subscription};
use crate::escape;
use crate::events;
use crate::report::{Filter, WatchedSet};

/// How long a stream is silent at most: shorter than what proxies and NATs commonly forget an idle connection after.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a client is to come back, in milliseconds (the field `retry` of WHATWG HTML §9.2).
const RETRY_MS: u32 = 1_000;

/// Starts a stream.
pub(super) async fn watch(
    State(pages): State<Arc<Pages>>,
    Extension(stay): Extension<Arc<Stay>>,
    headers: HeaderMap,
    asked: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(filter) = asked?;
    if filter.interface.as_deref().unwrap_or_default().is_empty() {
        return Err(Refusal::bad("interface: which one is to be watched?"));
    }
    let snapshot = synced(&pages)?;
    if snapshot.heard_at.is_some() {
        return Err(Refusal::later("the zone of the last run is served; what changes is told from the first sync on"));
    }
    let mut subscription = pages.changes.subscribe(filter).map_err(|full| Refusal::later(full.to_string()))?;
    stay.outlast();
    let last = headers.get(events::LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let resumed = last
        .and_then(|id| pages.changes.revision_of(id))
        .is_some_and(|revision| subscription.resume(revision, &snapshot));
    drop(snapshot);
    let greeting = Some(if resumed { Greeting::Heartbeat } else { Greeting::Set });
    let events = stream::unfold(Feed { pages, subscription, greeting }, |mut feed| async {
        let bytes = feed.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), feed))
    });
    let head = [
        (header::CONTENT_TYPE, events::CONTENT_TYPE),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONNECTION, "close"), // its place among the short connections is given away
    ];
    Ok((head, Body::from_stream(events)).into_response())
}

/// One subscriber's stream. It is asked for more only once the connection has room, and keeps nothing meanwhile.
struct Feed {
    pages: Arc<Pages>,
    subscription: Subscription,
    greeting: Option<Greeting>,
}

/// What a stream begins with.
enum Greeting {
    Set,
    /// Nothing was missed, perhaps: the first bytes tell the client that it was understood.
    Heartbeat,
}

impl Feed {
    /// The next bytes to send; none where the reader was too slow for the recent past.
    async fn next(&mut self) -> Option<Bytes> {
        match self.greeting.take() {
            Some(Greeting::Set) => return Some(self.set().await),
            Some(Greeting::Heartbeat) => return Some(format!("retry: {RETRY_MS}\n: \n\n").into()),
            None => {}
        }
        let (mut has_waited, mut is_silent) = (false, false);
        loop {
            match self.subscription.news() {
                Ok(Some(change)) => return Some(self.encode(events::CHANGE, &change)),
                Ok(None) if is_silent => return Some(events::encode_heartbeat(&self.id()).into()),
                Ok(None) => {}
                // It was here and waited: the change was larger than the past, and nobody's fault.
                Err(Gap) if has_waited => return Some(self.set().await),
                Err(Gap) => {
                    self.pages.responder.metrics.slow_reader();
                    return None;
                }
            }
            has_waited = true;
            is_silent = timeout(HEARTBEAT, self.subscription.touched()).await.is_err();
        }
    }

    /// The whole set. Subscribers that come while another one's is still being sent share its bytes, as long as they
    /// say what is so: a thousand that come back at once cost one set.
    async fn set(&mut self) -> Bytes {
        let topic = self.subscription.topic().clone();
        let mut sent = topic.sent.lock().await;
        let shared = sent.bytes.upgrade().filter(|_| topic.is_untouched_since(sent.revision));
        let bytes = match shared {
            Some(bytes) => bytes,
            None => {
                let snapshot = self.pages.responder.snapshot.load_full();
                let set = WatchedSet::of(&snapshot, &topic.filter);
                let id = self.pages.changes.id(snapshot.revision);
                let event = events::encode(events::SET, &id, &text(&set));
                let bytes = Arc::new(format!("retry: {RETRY_MS}\n{event}").into_bytes());
                *sent = SentSet { revision: snapshot.revision, bytes: Arc::downgrade(&bytes) };
                bytes
            }
        };
        self.subscription.start_from(sent.revision);
        self.pages.responder.metrics.event_sent();
        Bytes::from_owner(Shared(bytes))
    }

    fn encode(&self, event: &str, data: &impl serde::Serialize) -> Bytes {
        self.pages.responder.metrics.event_sent();
        events::encode(event, &self.id(), &text(data)).into()
    }

    fn id(&self) -> String {
        self.pages.changes.id(self.subscription.revision())
    }
}

/// Bytes that several connections send.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// JSON on one line.
fn text(value: &impl serde::Serialize) -> String {
    String::from_utf8_lossy(&escape::json(value)).into_owned()
}
