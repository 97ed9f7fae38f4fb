//! Health, metrics and the API, over HTTP/1.1 and HTTP/2, both with and without TLS.
//!
//! | path | what |
//! |---|---|
//! | `/livez` | 200 while the writer of the zone turns |
//! | `/readyz` | 200 from the first sync on and for good, 503 before it and once the server is told to end |
//! | `/metrics` | Prometheus text |
//! | `/v1/interfaces`, `/v1/endpoints` | services and their ready endpoints; `?interface=&group=&version=&namespace=` |
//! | `/v1/pods`, `/v1/pods/{namespace}/{name}` | what of each Pod is published, and why not |
//! | `/v1/bad` | what was refused |
//! | `/v1/watch` | the ready endpoints of one or more interfaces, and each change of them, as server-sent events |
//! | `/v1/openapi.json` | all of `/v1` as an OpenAPI 3.1 document |
//!
//! Lists come in pages: `{"items": […], "continue": "…"}`, and `?continue=` goes on. What a page and an event are of is
//! their `<instance>-<revision>`, as ETag and as event id.

pub mod access;
mod answer;
mod bounds;
mod connection;
mod feed;
mod health;
mod lists;
mod openapi;
mod patient;
mod pieces;
mod room;
mod shareless;
mod shares;
mod stay;
mod streams;
mod unread;
mod watch;

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
use crate::metrics::{Dropped, SourceStats};
use crate::pulse::Pulse;
use crate::server::Responder;
use crate::server::clients::seats::{Seats, client_of};
use crate::server::encrypted::tls::shake_hands;
use crate::server::listen::canonical;
use crate::snapshot::Snapshot;
use access::Access;
pub use bounds::{Bounds, INTERFACES_MAX};
pub use lists::LIMIT_MAX;
use patient::Patient;
pub use room::ListRoom;
use stay::Stay;
use watch::Closing;

/// The most connections at once that hold neither a list nor a stream.
const CONNECTIONS_MAX: u32 = 256;

/// How long a client may take nothing of what is written to it.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// How long to rest when no connection can be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How soon whoever could not be served is to come back, in seconds.
const RETRY_AFTER: &str = "1";

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
    /// What lists may take of memory.
    pub room: ListRoom,
    /// What clients may hold.
    pub bounds: Bounds,
    /// How each source is, when asked.
    pub sources: Box<dyn Fn() -> Vec<SourceStats> + Send + Sync>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// Takes connections until told to close, then waits for the answers that are on their way.
pub async fn serve(listener: TcpListener, pages: Arc<Pages>, mut closing: Closing) {
    let router = router(pages.clone());
    let prefix6 = pages.responder.clients.prefix6;
    // Whose they are is counted behind a request's head, so that a client's streams keep no probe of its address out.
    let seats = Arc::new(Seats::new(CONNECTIONS_MAX, u32::MAX, prefix6));
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
        if !pages.access.allows(ip) {
            pages.responder.metrics.dropped(Dropped::NotAllowed);
            continue;
        }
        // With no place left this one waits for that of the connection that was silent the longest: connections that say
        // little keep no probe waiting.
        let seat = tokio::select! {
            seat = seats.take(ip, false) => seat,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Some(seat) = seat else {
            pages.responder.metrics.dropped(Dropped::ClientFull);
            continue;
        };
        let _ = stream.set_nodelay(true); // an event is sent when it is there; else it is only a little later
        let counted_as = (!pages.access.trusts(ip)).then(|| client_of(ip, prefix6));
        let stay = Stay::new(ip, counted_as, seat, pages.responder.metrics.clone());
        visits.spawn(visit(stream, router.clone(), stay, pages.clone(), closing.clone()));
    }
    drop(listener);
    while visits.join_next().await.is_some() {}
}

/// Serves one client's connection to its end, under TLS where that is asked for.
async fn visit(stream: TcpStream, router: Router, stay: Arc<Stay>, pages: Arc<Pages>, mut closing: Closing) {
    let metrics = pages.responder.metrics.clone();
    let Some(acceptor) = &pages.access.tls else {
        let stream = Patient::new(stream, WRITE_WAIT, metrics);
        return connection::serve(stream, router, stay, pages, closing).await;
    };
    let shaken = tokio::select! {
        shaken = shake_hands(acceptor, stream, &pages.responder) => shaken,
        () = stay.asked() => return metrics.dropped(Dropped::Silent),
        _ = closing.wait_for(|closing| *closing) => return,
    };
    let Ok(stream) = shaken else { return };
    connection::serve(Patient::new(stream, WRITE_WAIT, metrics), router, stay, pages, closing).await;
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
    routes().into_iter().fold(Router::new(), add).with_state(pages)
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
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                (self.status, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response()
            }
            status => (status, body).into_response(),
        }
    }
}
