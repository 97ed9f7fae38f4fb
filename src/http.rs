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
//! | `/v1/watch` | a service's ready endpoints, and each change of them, as server-sent events |
//! | `/v1/openapi.json` | all of `/v1` as an OpenAPI 3.1 document |
//!
//! Lists come in pages: `{"items": […], "continue": "…"}`, and `?continue=` goes on. What a page and an event are of is
//! their `<instance>-<revision>`, as ETag and as event id.

pub mod access;
mod connection;
mod health;
mod lists;
mod openapi;
mod room;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderName, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Router, middleware};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::changes::Changes;
use crate::escape;
use crate::metrics::{Dropped, SourceStats};
use crate::pulse::Pulse;
use crate::server::Responder;
use crate::server::clients::seats::Seats;
use crate::server::encrypted::tls::shake_hands;
use crate::server::listen::canonical;
use crate::snapshot::Snapshot;
use access::Access;
use connection::{Patient, Stay};
pub use lists::LIMIT_MAX;
pub use room::ListRoom;

/// The most connections at once beside those of subscribers.
const CONNECTIONS_MAX: u32 = 256;

/// How long a client may take to send its request's head.
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// How long a connection may last that is no subscriber's: health checks, scrapes and lists are short.
const CONNECTION_WAIT: Duration = Duration::from_secs(60);

/// How long a client may take nothing of what is written to it.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// The largest head of a request, and what is held of a reply beside the piece that is being sent.
const BUFFER_LEN_MAX: usize = 16 * 1024;

/// How long to rest when no connection can be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How soon whoever could not be served is to come back, in seconds.
const RETRY_AFTER: &str = "1";

/// The most of one client's, those of subscribers among them.
const CONNECTIONS_PER_CLIENT_MAX: u32 = 64;

/// What the pages are made from.
pub struct Pages {
    /// Who may see them.
    pub access: Access,
    /// The zone of the moment, and the counters.
    pub responder: Arc<Responder>,
    /// The zone's recent past, and who listens to it.
    pub changes: Arc<Changes>,
    /// Whether the writer of the zone turns.
    pub pulse: Arc<Pulse>,
    /// The server was told to end.
    pub is_ending: Arc<AtomicBool>,
    /// What lists may take.
    pub room: ListRoom,
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
    let router = router(pages.clone());
    let seats = Arc::new(Seats::new(CONNECTIONS_MAX, CONNECTIONS_PER_CLIENT_MAX));
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let client = canonical(client);
        let metrics = &pages.responder.metrics;
        if !pages.access.allows(client.ip()) {
            metrics.dropped(Dropped::NotAllowed);
            continue;
        }
        // With no place left this one waits for that of whoever was silent the longest: a probe is not kept waiting by those
        // who hold connections and say little.
        let Some(seat) = seats.take(client.ip(), pages.access.trusts(client.ip())).await else {
            metrics.dropped(Dropped::ClientFull);
            continue;
        };
        let _ = stream.set_nodelay(true); // an event is sent when it is there; else it is only a little later
        let (router, pages) = (router.clone(), pages.clone());
        tokio::spawn(async move {
            let stay = Stay::new(seat);
            tokio::select! {
                is_whole = serve_client(stream, router, stay.clone(), &pages) => if !is_whole {
                    tracing::debug!(%client, "an HTTP connection ended early");
                },
                () = stay.asked() => pages.responder.metrics.dropped(Dropped::Silent),
            }
        });
    }
}

/// Serves one client's connection to its end, under TLS where that is asked for; false where the end came early.
async fn serve_client(stream: TcpStream, router: Router, stay: Arc<Stay>, pages: &Pages) -> bool {
    let metrics = pages.responder.metrics.clone();
    let Some(acceptor) = &pages.access.tls else {
        return serve_connection(Patient::new(stream, WRITE_WAIT, metrics), router, stay).await;
    };
    let Ok(stream) = shake_hands(acceptor, stream, &pages.responder).await else { return false };
    serve_connection(Patient::new(stream, WRITE_WAIT, metrics), router, stay).await
}

/// Serves one connection to its end; false where that came early.
async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: Patient<S>,
    router: Router,
    stay: Arc<Stay>,
) -> bool {
    let (own, service) = (stay.clone(), TowerToHyperService::new(router));
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        own.heard();
        request.extensions_mut().insert(own.clone());
        service.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(BUFFER_LEN_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    match tokio::time::timeout(CONNECTION_WAIT, &mut connection).await {
        Ok(ended) => ended.is_ok(),
        Err(_) if stay.is_lasting() => connection.await.is_ok(),
        Err(_) => false,
    }
}

/// All that is served.
fn routes() -> [(&'static str, MethodRouter<Arc<Pages>>); 10] {
    [
        ("/livez", get(health::livez)),
        ("/readyz", get(health::readyz)),
        ("/metrics", get(health::metrics)),
        ("/v1/interfaces", get(lists::interfaces)),
        ("/v1/endpoints", get(lists::endpoints)),
        ("/v1/pods", get(lists::pods)),
        ("/v1/pods/{namespace}/{name}", get(lists::pods_named)),
        ("/v1/bad", get(lists::bad)),
        ("/v1/watch", get(watch::watch)),
        (openapi::PATH, get(openapi::document)),
    ]
}

fn router(pages: Arc<Pages>) -> Router {
    let add = |router: Router<Arc<Pages>>, (path, method)| router.route(path, method);
    let guarded = middleware::from_fn_with_state(pages.clone(), access::guard);
    routes().into_iter().fold(Router::new(), add).layer(guarded).with_state(pages)
}

/// The snapshot of the moment; 503 while it does not hold all.
fn synced(pages: &Pages) -> Result<Arc<Snapshot>, Refusal> {
    let snapshot = pages.responder.snapshot.load_full();
    match snapshot.is_synced {
        true => Ok(snapshot),
        false => Err(Refusal::later("the Pods are not all known yet; try again soon")),
    }
}

/// A reply in JSON, in which nothing of a Pod's text steers the terminal that shows it.
fn json(value: &impl serde::Serialize) -> ([(HeaderName, &'static str); 1], Vec<u8>) {
    (JSON, escape::json(value))
}

/// What such a reply is.
const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// An error as all of the API tells it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    /// What was asked for is none of ours.
    fn bad(error: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, error: error.into() }
    }

    /// It can be had later.
    fn later(error: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, error: error.into() }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Refusal {
        Refusal::bad(rejection.body_text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json(&serde_json::json!({ "error": self.error }));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                (self.status, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response()
            }
            status => (status, body).into_response(),
        }
    }
}
