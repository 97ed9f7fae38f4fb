//! One connection: its place among the others, and the answers that are on their way to its client.
//!
//! A connection has a place among those that hold nothing ([`super::CONNECTIONS_MAX`]). Where all are taken, the one that
//! was silent the longest makes room. What a request asks for is known behind its head: a list keeps the connection from
//! being asked for its place, a stream gives the place back, and a probe changes nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, Request, Response, Version, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::pieces::Pieces;
use super::shareless::End;
use super::shares::{Full, Share, Shares};
use super::{Pages, WRITE_WAIT, access};
use crate::metrics::Dropped;
use crate::server::clients::seats::Seat;

/// How long a client may take to send its request's head.
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// How long an HTTP/2 connection may rest between requests; HTTP/1.1 has the time of a head.
const IDLE_WAIT: Duration = Duration::from_secs(15);

/// How long a list, a scrape or an event may take, to its last byte.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// How often the answers that are on their way are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection that is told to end may take for it.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);

/// How long the answers that are on their way may take when the server ends.
const DRAIN_WAIT: Duration = Duration::from_secs(4);

/// The largest head of a request: the URL of a stream of 1,024 interfaces, which is at most 65,534 bytes.
const HEAD_LEN_MAX: usize = 72 * 1024;

/// An HTTP/1.1 connection keeps the buffer of its head: one that carries a stream counts as one more for each so many bytes.
const HEAD_LEN_COUNTED: usize = 16 * 1024;

/// The most requests at once of an HTTP/2 connection: a thousand streams, and lists and probes beside them.
const REQUESTS_MAX: u32 = 1_152;

/// What a client may send within requests that nobody reads: none of ours has a body.
const WINDOW: u32 = 65_535;

/// The most of HTTP/2's answers that waits for their reader, of each request.
const SEND_BUFFER_LEN: usize = 64 * 1024;

/// How often an HTTP/2 connection is asked whether its other end is there, and how long that may take.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// What a request asks for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whether the server is there: short, and always answered.
    Probe,
    /// The metrics: always answered.
    Scrape,
    /// A stream of events.
    Stream,
    /// Anything else.
    List,
}

impl Kind {
    fn of(path: &str) -> Kind {
        match path {
            "/livez" | "/readyz" => Kind::Probe,
            "/metrics" => Kind::Scrape,
            "/v1/watch" => Kind::Stream,
            _ => Kind::List,
        }
    }
}

/// A connection's stay.
#[derive(Debug)]
pub(super) struct Stay {
    address: IpAddr,
    /// What it counts as; none is trusted.
    client: Option<IpAddr>,
    seat: Seat,
    began: Instant,
    is_http2: AtomicBool,
    streams: AtomicUsize,
    lists: AtomicUsize,
    /// What it counts as while it carries streams, each of which holds it.
    share: Mutex<Weak<Share>>,
    /// The answers that are on their way.
    answers: Mutex<Vec<Weak<Answer>>>,
    /// An answer began or ended.
    changed: Notify,
    cut: Notify,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// As it should.
    Whole,
    /// In the middle.
    Early,
    /// Its place was needed.
    Silent,
    /// Its client did not read.
    Unread,
}

impl Stay {
    pub(super) fn new(address: IpAddr, client: Option<IpAddr>, seat: Seat) -> Arc<Stay> {
        Arc::new(Stay {
            address,
            client,
            seat,
            began: Instant::now(),
            is_http2: AtomicBool::default(),
            streams: AtomicUsize::default(),
            lists: AtomicUsize::default(),
            share: Mutex::default(),
            answers: Mutex::default(),
            changed: Notify::new(),
            cut: Notify::new(),
        })
    }

    /// Waits until the place is needed for another connection.
    pub(super) async fn asked(&self) {
        loop {
            self.seat.asked().await;
            if self.streams.load(Ordering::Relaxed) > 0 {
                self.seat.outlast(); // it took the place back just before the stream came
            } else if self.lists.load(Ordering::Relaxed) > 0 {
                self.seat.decline();
            } else {
                return;
            }
        }
    }

    fn live(&self) -> Vec<Arc<Answer>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.iter().filter_map(Weak::upgrade).collect()
    }

    fn is_idle(&self) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().all(|answer| answer.strong_count() == 0)
    }

    /// Whether an answer can stall without the socket noticing, or take too long.
    fn needs_looks(&self) -> bool {
        let is_any = |count: &AtomicUsize| count.load(Ordering::Relaxed) > 0;
        self.is_http2.load(Ordering::Relaxed) || is_any(&self.lists) || is_any(&self.streams)
    }

    /// Whether the place among those that hold nothing is had, or had again.
    fn settle(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0 || self.seat.come_back()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An answer, from its request's head until the last byte of it is sent.
#[derive(Debug)]
pub(super) struct Answer {
    stay: Arc<Stay>,
    kind: Kind,
    /// The bytes of its request's head.
    head_len: usize,
    began: Instant,
    /// Pieces that the transport has and has not sent.
    unsent: AtomicUsize,
    /// When a piece was handed over or sent last, in milliseconds of the connection.
    moved_at: AtomicU64,
    /// When each event began whose last byte is not sent yet.
    events: Mutex<VecDeque<Instant>>,
    share: Mutex<Option<Shared>>,
}

/// What an answer takes: a share of its own, and for a stream one with the others of its connection.
type Shared = (Share, Option<Arc<Share>>);

impl Answer {
    fn begin(stay: Arc<Stay>, kind: Kind, head_len: usize) -> Arc<Answer> {
        let (began, moved_at) = (Instant::now(), AtomicU64::new(stay.now()));
        let (unsent, events, share) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        let answer = Arc::new(Answer { stay, kind, head_len, began, unsent, moved_at, events, share });
        let mut answers = answer.stay.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|other| other.strong_count() > 0);
        answers.push(Arc::downgrade(&answer));
        drop(answers);
        answer.stay.changed.notify_one();
        answer
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn address(&self) -> IpAddr {
        self.stay.address
    }

    /// Whose it counts as; none where the client is trusted.
    pub(super) fn client(&self) -> Option<IpAddr> {
        self.stay.client
    }

    /// Whose it is, trusted or not.
    pub(super) fn counted_as(&self) -> IpAddr {
        self.client().unwrap_or(self.stay.address)
    }

    /// What its connection counts as while it carries streams; the first one takes it.
    pub(super) fn connection_share(&self, shares: &Arc<Shares>) -> Result<Arc<Share>, Full> {
        let mut share = self.stay.share.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = share.upgrade() {
            return Ok(share);
        }
        let is_http2 = self.stay.is_http2.load(Ordering::Relaxed);
        let more = if is_http2 { 0 } else { self.head_len / HEAD_LEN_COUNTED };
        let taken = Arc::new(shares.take(self.client(), u32::try_from(more).unwrap_or(u32::MAX).saturating_add(1))?);
        *share = Arc::downgrade(&taken);
        Ok(taken)
    }

    fn has_share(&self) -> bool {
        self.share.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Keeps what it takes until it is sent.
    pub(super) fn hold(&self, share: Share, connection: Option<Arc<Share>>) {
        *self.share.lock().unwrap_or_else(PoisonError::into_inner) = Some((share, connection));
        match self.kind {
            Kind::Stream => {
                self.stay.streams.fetch_add(1, Ordering::Relaxed);
                self.stay.seat.outlast();
            }
            _ => {
                self.stay.lists.fetch_add(1, Ordering::Relaxed);
                self.stay.seat.keep();
            }
        }
    }

    /// An event of it is there; [`Answer::end_event`] tells that the oldest one is sent.
    pub(super) fn begin_event(&self) {
        self.events().push_back(Instant::now());
    }

    pub(super) fn end_event(&self) {
        self.events().pop_front();
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of it, which tells when it is sent.
    pub(super) fn hand_over(self: &Arc<Answer>, bytes: Bytes) -> Bytes {
        self.unsent.fetch_add(1, Ordering::Relaxed);
        self.moved();
        Bytes::from_owner(Piece { bytes, answer: self.clone() })
    }

    fn moved(&self) {
        self.moved_at.store(self.stay.now(), Ordering::Relaxed);
    }

    /// Whether its client takes nothing of it, or too long for all of it.
    fn is_stalled(&self) -> bool {
        let rests = Duration::from_millis(self.stay.now().saturating_sub(self.moved_at.load(Ordering::Relaxed)));
        let is_unread = self.unsent.load(Ordering::Relaxed) > 0 && rests > WRITE_WAIT;
        let began = if self.kind == Kind::Stream { self.events().front().copied() } else { Some(self.began) };
        is_unread || began.is_some_and(|began| began.elapsed() > ANSWER_WAIT)
    }
}

impl End for Answer {
    /// Ends its connection: HTTP/2 takes back nothing of an answer that waits in the transport.
    fn end(&self) {
        self.stay.cut.notify_one();
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let share = self.share.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        match (share, self.kind) {
            (Some(_), Kind::Stream) => _ = self.stay.streams.fetch_sub(1, Ordering::Relaxed),
            (Some(_), _) => {
                self.stay.lists.fetch_sub(1, Ordering::Relaxed);
                self.stay.seat.let_go();
            }
            (None, _) => {}
        }
        self.stay.changed.notify_one();
    }
}

/// A piece of an answer that the transport has.
struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.answer.unsent.fetch_sub(1, Ordering::Relaxed);
        self.answer.moved();
    }
}

/// Serves one connection, HTTP/1.1 or HTTP/2, to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    stay: Arc<Stay>,
    pages: Arc<Pages>,
    closing: watch::Receiver<bool>,
) {
    let metrics = pages.responder.metrics.clone();
    let client = stay.address;
    match converse(stream, router, stay, pages, closing).await {
        Ended::Whole => {}
        Ended::Early => tracing::debug!(%client, "an HTTP connection ended early"),
        Ended::Silent => metrics.dropped(Dropped::Silent),
        Ended::Unread => metrics.slow_reader(),
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    stay: Arc<Stay>,
    pages: Arc<Pages>,
    mut closing: watch::Receiver<bool>,
) -> Ended {
    let service = {
        let (stay, router, closing) = (stay.clone(), TowerToHyperService::new(router), closing.clone());
        service_fn(move |mut request: Request<Incoming>| {
            let (stay, pages, router) = (stay.clone(), pages.clone(), router.clone());
            request.extensions_mut().insert(closing.clone());
            async move { Ok::<_, Infallible>(answer(request, stay, &pages, router).await) }
        })
    };
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut idle = pin!(sleep(HEAD_WAIT));
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let wait = loop {
        tokio::select! {
            biased; // a request that is here goes before the end of the wait for it
            ended = connection.as_mut() => return if ended.is_ok() { Ended::Whole } else { Ended::Early },
            () = stay.changed.notified() => {
                idle.as_mut().reset(tokio::time::Instant::now() + IDLE_WAIT);
                if !stay.settle() {
                    break FAREWELL_WAIT; // nothing is on its way, and others need the place
                }
            }
            () = &mut idle, if stay.is_idle() => {
                if stay.is_idle() {
                    break FAREWELL_WAIT;
                } // else a request came meanwhile, of which this loop is told next
            }
            () = stay.asked() => return Ended::Silent,
            () = stay.cut.notified() => return Ended::Unread,
            _ = looks.tick(), if stay.needs_looks() => {
                if stay.live().iter().any(|answer| answer.is_stalled()) {
                    return Ended::Unread;
                }
            }
            _ = closing.wait_for(|closing| *closing) => break DRAIN_WAIT,
        }
    };
    // The end is announced: by GOAWAY, or by `Connection: close` in an answer that has yet to begin.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = timeout(wait, connection) => if matches!(ended, Ok(Ok(()))) { Ended::Whole } else { Ended::Early },
        () = stay.asked() => Ended::Silent,
        () = stay.cut.notified() => Ended::Unread,
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_LEN_MAX);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(REQUESTS_MAX).max_header_list_size(HEAD_LEN_MAX as u32);
    http2.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW).max_send_buf_size(SEND_BUFFER_LEN);
    http2.keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_INTERVAL);
    builder
}

/// Answers one request.
async fn answer(
    mut request: Request<Incoming>,
    stay: Arc<Stay>,
    pages: &Pages,
    router: TowerToHyperService<Router>,
) -> Response<Pieces> {
    stay.seat.heard();
    let is_http2 = request.version() == Version::HTTP_2;
    stay.is_http2.store(is_http2, Ordering::Relaxed);
    let answer = Answer::begin(stay, Kind::of(request.uri().path()), head_len(&request));
    // The token first: who does not know it takes nothing of those who do.
    let unknown = access::refused(&pages.access, &request);
    let is_scrape = unknown.is_none() && answer.kind == Kind::Scrape;
    let refused = unknown.or_else(|| pages.admit(&answer).err().map(IntoResponse::into_response));
    let mut response = match refused {
        Some(refused) => refused,
        None => {
            request.extensions_mut().insert(answer.clone());
            let answered: Result<_, Infallible> = router.call(request).await;
            answered.unwrap_or_else(|never| match never {})
        }
    };
    if !answer.has_share() && !is_scrape {
        pages.pass(&answer);
    }
    if !is_http2 && pages.is_ending.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Pieces::new(body, answer))
}

fn head_len<B>(request: &Request<B>) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    fields.sum::<usize>() + request.uri().path_and_query().map_or(0, |path| path.as_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::clients::seats::{PREFIX6, Seats};

    #[tokio::test]
    async fn a_stream_is_stalled_by_an_event_that_is_not_read_in_time() {
        let client = IpAddr::from([10, 0, 0, 1]);
        let seat = Arc::new(Seats::new(1, 1, PREFIX6)).take(client, false).await.expect("a place");
        let answer = Answer::begin(Stay::new(client, Some(client), seat), Kind::Stream, 0);
        let long_ago = Instant::now().checked_sub(ANSWER_WAIT + Duration::from_secs(1)).expect("a time");
        answer.events().push_back(long_ago);
        answer.begin_event();
        assert!(answer.is_stalled(), "some of it may have been read of late");
        answer.end_event();
        assert!(!answer.is_stalled(), "the next one has its own time");
        answer.end_event();
        assert!(!answer.is_stalled() && answer.events().is_empty());
    }
}
