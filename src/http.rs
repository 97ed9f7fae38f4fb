//! Health, metrics and the API, over HTTP/1.1 and HTTP/2, both with and without TLS.
//!
//! | path | content |
//! |---|---|
//! | `/livez` | 200 while the writer of the zone sends its heartbeat |
//! | `/readyz` | 200 after the first sync, 503 before it and after SIGTERM |
//! | `/metrics` | Prometheus text |
//! | `/v1/interfaces`, `/v1/endpoints` | services and their ready endpoints; `?interface=&group=&version=&namespace=` |
//! | `/v1/pods`, `/v1/pods/{namespace}/{name}` | the registrations of each Pod, and why some are not published |
//! | `/v1/bad` | everything that was refused |
//! | `/v1/watch` | the ready endpoints of one or more interfaces, and each change, as server-sent events |
//! | `/v1/openapi.json` | `/v1` as an OpenAPI 3.1 document |
//!
//! Lists come in pages: `{"items": […], "continue": "…"}`. The next page is at `?continue=`. `<instance>-<revision>`
//! names the snapshot of a page in its ETag, and that of an event in its id.

pub mod access;
mod connection;
mod connection_guard;
mod counters;
mod event_budget;
mod event_stream;
mod feed;
mod health;
mod limits;
mod list_budget;
mod lists;
mod openapi;
mod pending;
mod pieces;
mod shares;
mod stream_tasks;
mod uncounted;
mod write_timeout;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::changes::Changes;
use crate::escape;
use crate::heartbeat::Heartbeat;
use crate::metrics::{Metrics, SourceStats};
use crate::server::clients::permits::{ConnectionPermits, client_of};
use crate::server::encrypted::tls::shake_hands;
use crate::server::listen::canonical;
use crate::server::{DropReason, ServerCounters};
use crate::snapshot::{PublishedZone, Snapshot};
use access::Access;
use connection_guard::ConnectionGuard;
pub use counters::HttpCounters;
use event_stream::Closing;
pub use limits::HttpLimits;
pub use list_budget::ListBudget;
use write_timeout::WriteTimeout;

/// The most connections at once that have neither a list nor a stream.
const CONNECTIONS_MAX: u32 = 256;

/// How long a client may leave everything unread that is written to its socket.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The `Retry-After` of refused requests, in seconds.
const RETRY_AFTER: &str = "1";

/// The state that the handlers share.
pub struct ApiState {
    /// Which clients may connect, and the token that they need.
    pub access: Access,
    pub zone: Arc<PublishedZone>,
    /// All metrics of the process, for `/metrics`.
    pub metrics: Arc<Metrics>,
    pub counters: Arc<HttpCounters>,
    /// These count connections without a reply, as they do for DNS.
    pub server_counters: Arc<ServerCounters>,
    /// The recent changes of the zone, and their subscribers.
    pub changes: Arc<Changes>,
    /// The heartbeat of the zone's writer.
    pub heartbeat: Arc<Heartbeat>,
    /// The server has received SIGTERM.
    pub is_ending: Arc<AtomicBool>,
    /// The memory that lists may take.
    pub list_budget: ListBudget,
    /// The limits of lists, streams and other responses.
    pub limits: HttpLimits,
    /// Returns the state of each source.
    pub sources: Box<dyn Fn() -> Vec<SourceStats> + Send + Sync>,
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState").finish_non_exhaustive()
    }
}

/// Accepts connections until `closing` is true, then waits for the running responses.
pub async fn serve(listener: TcpListener, api: Arc<ApiState>, mut closing: Closing) {
    let router = router(api.clone());
    let prefix6 = api.access.prefix6;
    // Clients are counted only after a request's head is read, so that a client's streams do not keep out its probes.
    let permits = Arc::new(ConnectionPermits::new(CONNECTIONS_MAX, u32::MAX, prefix6));
    let mut visits = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = visits.join_next() => continue,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Ok((stream, client)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let ip = canonical(client).ip();
        if !api.access.allows(ip) {
            api.server_counters.dropped(DropReason::NotAllowed);
            continue;
        }
        // If all places are taken, this connection waits for the place of the connection that was silent the longest.
        // So silent connections do not keep out probes.
        let permit = tokio::select! {
            permit = permits.take(ip, false) => permit,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Some(permit) = permit else {
            api.server_counters.dropped(DropReason::ClientFull);
            continue;
        };
        let _ = stream.set_nodelay(true); // send events at once; on failure they are only a little later
        let counted_as = (!api.access.trusts(ip)).then(|| client_of(ip, prefix6));
        let guard = ConnectionGuard::new(ip, counted_as, permit, api.counters.clone());
        visits.spawn(serve_connection(stream, router.clone(), guard, api.clone(), closing.clone()));
    }
    drop(listener);
    while visits.join_next().await.is_some() {}
}

/// Serves one connection until it ends, under TLS if it is configured.
async fn serve_connection(
    stream: TcpStream,
    router: Router,
    guard: Arc<ConnectionGuard>,
    api: Arc<ApiState>,
    mut closing: Closing,
) {
    let Some(acceptor) = &api.access.tls else {
        let stream = WriteTimeout::new(stream, WRITE_WAIT, api.counters.clone());
        return connection::serve(stream, router, guard, api, closing).await;
    };
    let shaken = tokio::select! {
        shaken = shake_hands(acceptor, stream, &api.server_counters) => shaken,
        () = guard.reclaimed() => return api.server_counters.dropped(DropReason::Silent),
        _ = closing.wait_for(|closing| *closing) => return,
    };
    let Ok(stream) = shaken else { return };
    let stream = WriteTimeout::new(stream, WRITE_WAIT, api.counters.clone());
    connection::serve(stream, router, guard, api, closing).await;
}

/// All routes.
fn routes() -> [(&'static str, MethodRouter<Arc<ApiState>>); 10] {
    [
        ("/livez", get(health::livez)),
        ("/readyz", get(health::readyz)),
        ("/metrics", get(health::metrics)),
        ("/v1/interfaces", get(lists::interfaces)),
        ("/v1/endpoints", get(lists::endpoints)),
        ("/v1/pods", get(lists::pods)),
        ("/v1/pods/{namespace}/{name}", get(lists::pods_named)),
        ("/v1/bad", get(lists::bad)),
        ("/v1/watch", get(event_stream::watch)),
        (openapi::PATH, get(openapi::document)),
    ]
}

fn router(api: Arc<ApiState>) -> Router {
    let add = |router: Router<Arc<ApiState>>, (path, method)| router.route(path, method);
    routes().into_iter().fold(Router::new(), add).with_state(api)
}

/// The current snapshot. 503 before the first sync.
fn synced(api: &ApiState) -> Result<Arc<Snapshot>, ApiError> {
    let snapshot = api.zone.snapshot.load_full();
    match snapshot.is_synced {
        true => Ok(snapshot),
        false => Err(ApiError::unavailable("not all Pods are known yet; try again soon")),
    }
}

/// A response in JSON that is safe to show on a terminal: control characters of Pods' texts are escaped.
fn json(value: &impl serde::Serialize) -> ([(HeaderName, &'static str); 1], Vec<u8>) {
    (JSON, escape::json(value))
}

/// The header of a JSON response.
const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// An error response of the API.
#[derive(Debug)]
struct ApiError {
    status: StatusCode,
    error: String,
}

impl ApiError {
    /// 400: the request is not valid.
    fn bad_request(error: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::BAD_REQUEST, error: error.into() }
    }

    /// 503: a later request may succeed.
    fn unavailable(error: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::SERVICE_UNAVAILABLE, error: error.into() }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> ApiError {
        ApiError::bad_request(rejection.body_text())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json(&serde_json::json!({ "error": self.error }));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                (self.status, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response()
            }
            status => (status, body).into_response(),
        }
    }
}
