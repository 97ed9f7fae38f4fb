//! One connection from its first byte to its end: how long it waits for what, and how it ends.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request, Response, Version, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::answer::{Answer, Kind};
use super::pieces::Pieces;
use super::stay::Stay;
use super::streams::StreamTasks;
use super::{Pages, access};
use crate::metrics::Dropped;

/// How long a client may take to send its request's head.
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// How long an HTTP/2 connection may rest between requests; HTTP/1.1 has the time of a head.
const IDLE_WAIT: Duration = Duration::from_secs(15);

/// How often the answers that are on their way are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection that is told to end may take for it.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);

/// How long the answers that are on their way may take when the server ends.
const DRAIN_WAIT: Duration = Duration::from_secs(4);

/// The largest head of a request: the URL of a stream of 1,024 interfaces, which is at most 65,534 bytes.
const HEAD_LEN_MAX: usize = 72 * 1024;

/// The most requests at once of an HTTP/2 connection: a thousand streams, and lists and probes beside them.
const REQUESTS_MAX: u32 = 1_152;

/// What a client may send within requests that nobody reads: none of ours has a body.
const WINDOW: u32 = 65_535;

/// The most of HTTP/2's answers that waits for their reader, of each request.
const SEND_BUFFER_LEN: usize = 64 * 1024;

/// How often an HTTP/2 connection is asked whether its other end is there, and how long that may take.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// As it should.
    Whole,
    /// In the middle: by its client, or because that one does not read.
    Early,
    /// Its place was needed.
    Silent,
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
            () = stay.changed() => {
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
            () = stay.cut() => return Ended::Early,
            _ = looks.tick(), if stay.needs_looks() => {
                let live = stay.live();
                if live.iter().any(|answer| answer.is_stuck()) {
                    return Ended::Early;
                }
                live.iter().filter(|answer| answer.is_stalled()).for_each(|answer| answer.end());
            }
            _ = closing.wait_for(|closing| *closing) => break DRAIN_WAIT,
        }
    };
    // The end is announced: by GOAWAY, or by `Connection: close` in an answer that has yet to begin.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = timeout(wait, connection) => if matches!(ended, Ok(Ok(()))) { Ended::Whole } else { Ended::Early },
        () = stay.asked() => Ended::Silent,
        () = stay.cut() => Ended::Early,
    }
}

fn builder() -> auto::Builder<StreamTasks> {
    let mut builder = auto::Builder::new(StreamTasks);
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
    let is_http2 = request.version() == Version::HTTP_2;
    stay.heard(is_http2);
    let answer = Answer::begin(stay, Kind::of(request.uri().path()), head_len(&request));
    // The token first: who does not know it takes nothing of those who do.
    let unknown = access::refused(&pages.access, &request);
    let is_scrape = unknown.is_none() && answer.kind() == Kind::Scrape;
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
