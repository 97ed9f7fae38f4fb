//! One HTTP connection from its first byte to its end, with all its time limits.

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

use super::connection_guard::ConnectionGuard;
use super::pending::{PendingResponse, RequestKind};
use super::pieces::Pieces;
use super::stream_tasks::StreamTasks;
use super::{ApiState, access};
use crate::server::DropReason;

/// How long a client may take to send a request's head.
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// How long an HTTP/2 connection may be idle between requests. HTTP/1.1 has [`HEAD_WAIT`].
const IDLE_WAIT: Duration = Duration::from_secs(15);

/// How often running responses are checked.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection may take to close gracefully.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);

/// How long running responses may take after the server has been asked to end.
const DRAIN_WAIT: Duration = Duration::from_secs(4);

/// The largest request head. The URL of a stream of 1,024 interfaces has up to 65,534 bytes.
const HEAD_LEN_MAX: usize = 72 * 1024;

/// The most requests at once on an HTTP/2 connection: a thousand streams, besides lists and probes.
const REQUESTS_MAX: u32 = 1_152;

/// HTTP/2's window for request bodies. No handler reads a body.
const WINDOW: u32 = 65_535;

/// The most response bytes that HTTP/2 buffers, per request.
const SEND_BUFFER_LEN: usize = 64 * 1024;

/// The interval and the time limit of HTTP/2 pings.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// All responses were sent.
    Whole,
    /// A response was cut off: the client disconnected or did not read.
    Early,
    /// Another connection needed its place.
    Silent,
}

/// Serves one connection, HTTP/1.1 or HTTP/2, until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    guard: Arc<ConnectionGuard>,
    api: Arc<ApiState>,
    closing: watch::Receiver<bool>,
) {
    let counters = api.server_counters.clone();
    let client = guard.address;
    match converse(stream, router, guard, api, closing).await {
        Ended::Whole => {}
        Ended::Early => tracing::debug!(%client, "an HTTP connection ended early"),
        Ended::Silent => counters.dropped(DropReason::Silent),
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    guard: Arc<ConnectionGuard>,
    api: Arc<ApiState>,
    mut closing: watch::Receiver<bool>,
) -> Ended {
    let service = {
        let (guard, router, closing) = (guard.clone(), TowerToHyperService::new(router), closing.clone());
        service_fn(move |mut request: Request<Incoming>| {
            let (guard, api, router) = (guard.clone(), api.clone(), router.clone());
            request.extensions_mut().insert(closing.clone());
            async move { Ok::<_, Infallible>(respond(request, guard, &api, router).await) }
        })
    };
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut idle = pin!(sleep(HEAD_WAIT));
    let mut checks = interval(LOOK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let wait = loop {
        tokio::select! {
            biased; // a received request wins over the end of the wait for it
            ended = connection.as_mut() => return if ended.is_ok() { Ended::Whole } else { Ended::Early },
            () = guard.changed() => {
                idle.as_mut().reset(tokio::time::Instant::now() + IDLE_WAIT);
                if !guard.keep_or_retake() {
                    break FAREWELL_WAIT; // no response is running, and another connection needs the place
                }
            }
            () = &mut idle, if guard.is_idle() => {
                if guard.is_idle() {
                    break FAREWELL_WAIT;
                } // otherwise a request arrived, and `changed` is next
            }
            () = guard.reclaimed() => return Ended::Silent,
            () = guard.ended() => return Ended::Early,
            _ = checks.tick(), if guard.needs_checks() => {
                let live = guard.live();
                if live.iter().any(|pending| pending.is_stuck()) {
                    return Ended::Early;
                }
                live.iter().filter(|pending| pending.is_stalled()).for_each(|pending| pending.end());
            }
            _ = closing.wait_for(|closing| *closing) => break DRAIN_WAIT,
        }
    };
    // Announces the end: by GOAWAY, or by `Connection: close` in a response that has not begun.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = timeout(wait, connection) => if matches!(ended, Ok(Ok(()))) { Ended::Whole } else { Ended::Early },
        () = guard.reclaimed() => Ended::Silent,
        () = guard.ended() => Ended::Early,
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

async fn respond(
    mut request: Request<Incoming>,
    guard: Arc<ConnectionGuard>,
    api: &ApiState,
    router: TowerToHyperService<Router>,
) -> Response<Pieces> {
    let is_http2 = request.version() == Version::HTTP_2;
    guard.request_arrived(is_http2);
    let pending = PendingResponse::begin(guard, RequestKind::of(request.uri().path()), head_len(&request));
    // The token is checked first: a client without it takes nothing from the limits of clients that have it.
    let unknown = access::refused(&api.access, &request);
    let is_scrape = unknown.is_none() && pending.kind() == RequestKind::Scrape;
    let refused = unknown.or_else(|| api.admit(&pending).err().map(IntoResponse::into_response));
    let mut response = match refused {
        Some(refused) => refused,
        None => {
            request.extensions_mut().insert(pending.clone());
            let answered: Result<_, Infallible> = router.call(request).await;
            answered.unwrap_or_else(|never| match never {})
        }
    };
    if !pending.has_share() && !is_scrape {
        api.track_uncounted(&pending);
    }
    if !is_http2 && api.is_ending.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Pieces::new(body, pending))
}

fn head_len<B>(request: &Request<B>) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    fields.sum::<usize>() + request.uri().path_and_query().map_or(0, |path| path.as_str().len())
}
