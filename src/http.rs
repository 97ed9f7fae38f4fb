//! Health, metrics and the API, over HTTP/1.1.
//!
//! | path | what |
//! |---|---|
//! | `/livez` | 200 while the writer of the zone turns |
//! | `/readyz` | 200 from the first sync on and for good, 503 before it and once the server is told to end |
//! | `/metrics` | Prometheus text |
//! | `/v1/interfaces`, `/v1/endpoints` | services and their ready endpoints; `?interface=&group=&version=&namespace=` |
//! | `/v1/pods`, `/v1/pods/{namespace}/{name}` | what of each Pod is published, and why not |
//! | `/v1/bad` | what was refused |

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::SourceStats;
use crate::pulse::Pulse;
use crate::report::{self, Filter};
use crate::server::Responder;
use crate::snapshot::Snapshot;

/// The most connections at once; one more waits.
const CONNECTIONS_MAX: usize = 256;

/// How long a client may take to send its request's head.
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// How long a connection may last: health checks, scrapes and lists are short.
const CONNECTION_WAIT: Duration = Duration::from_secs(60);

/// The largest head of a request.
const HEAD_LEN_MAX: usize = 16 * 1024;

/// How long to rest when no connection can be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the pages are made from.
pub struct Pages {
    /// The zone of the moment, and the counters.
    pub responder: Arc<Responder>,
    /// Whether the writer of the zone turns.
    pub pulse: Arc<Pulse>,
    /// The server was told to end.
    pub is_ending: Arc<AtomicBool>,
    /// How each source is, when asked.
    pub sources: Box<dyn Fn() -> Vec<SourceStats> + Send + Sync>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// Takes connections until the task is dropped.
pub async fn serve(listener: TcpListener, pages: Arc<Pages>) {
    let router = router(pages);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let Ok((stream, client)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WAIT)
                .max_buf_size(HEAD_LEN_MAX)
                .serve_connection(TokioIo::new(stream), service);
            if !matches!(tokio::time::timeout(CONNECTION_WAIT, connection).await, Ok(Ok(()))) {
                tracing::debug!(%client, "an HTTP connection ended early");
            }
            drop(place);
        });
    }
}

/// Binds the listener.
///
/// # Errors
/// What the system says.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/interfaces", get(interfaces))
        .route("/v1/endpoints", get(endpoints))
        .route("/v1/pods", get(pods))
        .route("/v1/pods/{namespace}/{name}", get(pods_named))
        .route("/v1/bad", get(bad))
        .with_state(pages)
}

async fn livez(State(pages): State<Arc<Pages>>) -> Response {
    match pages.pulse.is_beating() {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the writer of the zone stands still\n").into_response(),
    }
}

async fn readyz(State(pages): State<Arc<Pages>>) -> Response {
    if pages.is_ending.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is ending\n").into_response();
    }
    match pages.responder.snapshot.load().is_synced {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the Pods are not all known yet\n").into_response(),
    }
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    let snapshot = pages.responder.snapshot.load_full();
    let text = pages.responder.metrics.encode(&snapshot, &(pages.sources)());
    ([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response()
}

async fn interfaces(State(pages): State<Arc<Pages>>, Query(filter): Query<Filter>) -> Response {
    list(&pages, |snapshot| report::interfaces(snapshot, &filter))
}

async fn endpoints(State(pages): State<Arc<Pages>>, Query(filter): Query<Filter>) -> Response {
    list(&pages, |snapshot| report::endpoints(snapshot, &filter))
}

/// Which Pods are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PodFilter {
    name: Option<String>,
    namespace: Option<String>,
}

async fn pods(State(pages): State<Arc<Pages>>, Query(filter): Query<PodFilter>) -> Response {
    list(&pages, |snapshot| match &filter.name {
        Some(name) => report::pods_named(snapshot, filter.namespace.as_deref(), name),
        None => report::pods(snapshot, filter.namespace.as_deref()),
    })
}

async fn pods_named(State(pages): State<Arc<Pages>>, Path((namespace, name)): Path<(String, String)>) -> Response {
    list(&pages, |snapshot| report::pods_named(snapshot, Some(&namespace), &name))
}

async fn bad(State(pages): State<Arc<Pages>>) -> Response {
    list(&pages, report::bad)
}

/// A JSON array of what a snapshot holds; 503 while it does not hold all.
fn list<T: Serialize>(pages: &Pages, make: impl FnOnce(&Snapshot) -> Vec<T>) -> Response {
    let snapshot = pages.responder.snapshot.load_full();
    if !snapshot.is_synced {
        let error = Json(serde_json::json!({ "error": "the Pods are not all known yet; try again soon" }));
        return (StatusCode::SERVICE_UNAVAILABLE, error).into_response();
    }
    Json(make(&snapshot)).into_response()
}
