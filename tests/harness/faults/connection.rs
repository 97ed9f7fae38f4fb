//! The proxy's connections and requests: what each asks, and the fault that it meets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::passage::Passage;
use super::{Fault, Point, Shared, Way};

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let tls = shared.tls.lock().expect("no panic under the lock").clone();
            let mut cut = shared.cuts.subscribe();
            if *shared.way.borrow() == Way::Down {
                return;
            }
            tokio::select! {
                () = converse(stream, tls, shared) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn converse(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match tls {
        None => speak(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                speak(stream, shared).await;
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(request, shared.clone()));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The parts of a request that select a fault.
struct Asked {
    point: Point,
    version: Option<u64>,
    /// The label selector of the watch that it belongs to.
    lane: String,
}

impl Asked {
    fn read(uri: &Uri) -> Asked {
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let query: BTreeMap<String, String> = query.into_owned().collect();
        let point = match () {
            () if query.contains_key("fieldSelector") && query.contains_key("labelSelector") => Point::Pod,
            () if query.contains_key("fieldSelector") => Point::Version,
            () if query.contains_key("watch") && !query.contains_key("sendInitialEvents") => Point::Watch,
            () => Point::List,
        };
        let version = query.get("resourceVersion").and_then(|version| version.parse().ok());
        Asked { point, version, lane: query.get("labelSelector").cloned().unwrap_or_default() }
    }
}

/// Answers a request. An error closes the connection.
async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Answer> {
    let asked = Asked::read(request.uri());
    shared.asked.lock().expect("no panic under the lock").push(asked.point);
    let fault = (shared.decide.lock().expect("no panic under the lock"))(asked.point, asked.version);
    if let Some(fault) = &fault {
        shared.count(&fault.name());
        shared.disturb_lane(asked.point, &asked.lane);
    }
    thaw(&shared).await;
    let mut uri = request.uri().to_string();
    match &fault {
        Some(Fault::Answer(code, more, media_type, body)) => return own(*code, *more, media_type, body),
        Some(Fault::Fallen) => return own(200, None, "application/json", FALLEN),
        Some(Fault::Hangup) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Mute(wait)) => {
            tokio::time::sleep(*wait).await;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Fault::Delay(wait)) => tokio::time::sleep(*wait).await,
        Some(Fault::Replay(from)) => {
            let version = format!("resourceVersion={}", asked.version.unwrap_or_default());
            uri = uri.replace(&version, &format!("resourceVersion={from}"));
        }
        Some(Fault::After(..) | Fault::Drip(_)) | None => {}
    }
    let mut onward = Request::get(uri);
    if let Some(accepted) = request.headers().get(header::ACCEPT) {
        onward = onward.header(header::ACCEPT, accepted);
    }
    pass(onward.body(Body::empty()).map_err(io::Error::other)?, asked, fault, shared).await
}

/// Forwards a request to the API server.
async fn pass(onward: Request<Body>, asked: Asked, fault: Option<Fault>, shared: Arc<Shared>) -> io::Result<Answer> {
    let Asked { point, lane, .. } = asked;
    let upstream = shared.upstream.lock().expect("no panic under the lock").clone();
    let cut = shared.cuts.subscribe();
    let response = upstream.send(onward).await.inspect_err(|_| {
        shared.disturb_lane(point, &lane);
        shared.count("no API server");
    });
    let (head, body) = response.map_err(io::Error::other)?.into_parts();
    let is_whole = !matches!(fault, Some(Fault::After(..) | Fault::Drip(_)));
    if point == Point::Watch && head.status.is_success() && is_whole {
        shared.restore(&lane, &cut);
    }
    thaw(&shared).await;
    let passage = Passage { upstream: body, fault, passed: 0, point, lane, shared, is_over: false };
    Ok(Response::from_parts(head, BodyExt::boxed_unsync(StreamBody::new(stream::unfold(passage, Passage::next)))))
}

/// The answer of an API server at its first version to the question for its version.
const FALLEN: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;

/// Waits while the proxy is frozen.
pub(super) async fn thaw(shared: &Shared) {
    let _ = shared.way.subscribe().wait_for(|way| *way != Way::Frozen).await;
}

fn own(code: u16, more: Option<(&str, &str)>, media_type: &str, body: &str) -> io::Result<Answer> {
    let mut response = Response::builder().status(code).header(header::CONTENT_TYPE, media_type);
    if let Some((name, value)) = more {
        response = response.header(name, value);
    }
    let body = Full::new(Bytes::from(body.to_owned())).map_err(|error: Infallible| match error {});
    response.body(body.boxed_unsync()).map_err(io::Error::other)
}
