//! A way to the API server on which every fault of a watch can be made to happen.

mod passage;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use self::passage::Passage;
use super::cluster::Cluster;
use super::order::Order;
use super::process::scratch;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A list, streamed or by pages.
    List,
    /// The question for the server's version.
    Version,
    /// A watch from a version on.
    Watch,
    /// A list of the one Pod that is wanted again.
    Pod,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// An answer in the API server's place: status, further header, media type, body.
    Answer(u16, Option<(&'static str, &'static str)>, &'static str, String),
    /// The connection is closed without an answer.
    Hangup,
    /// The same after so long.
    Mute(Duration),
    /// The API server's answer comes so late.
    Delay(Duration),
    /// The API server is asked for what came after this older version.
    Replay(u64),
    /// The answer stops after so many bytes of its body, in the middle of whatever is there; before garbage, at the end of
    /// what was written at once. To put other bytes in the place of some is what TCP and TLS see to, and protobuf does not.
    After(usize, End),
    /// The answer comes as slowly as over a line of so many bytes in 100 ms.
    Drip(usize),
    /// The API server is at its first version, as one whose etcd was made anew says: an empty list.
    Fallen,
}

/// How an answer stops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The connection breaks.
    Cut,
    /// Nothing comes for so long, without a FIN; then the connection breaks.
    Stall(Duration),
    /// Bytes of no meaning, and the end.
    Garbage,
    /// The body ends as if it were whole.
    Whole,
}

impl Fault {
    /// A refusal with a `Status` as an API server words it.
    pub(crate) fn status(code: u16, reason: &str, message: &str) -> Fault {
        let status = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message });
        Fault::Answer(code, None, "application/json", status.to_string())
    }

    /// Its name in counts.
    pub(crate) fn name(&self) -> String {
        match self {
            Fault::Answer(200, _, media_type, _) => format!("200 of {media_type}"),
            Fault::Answer(code, ..) => code.to_string(),
            Fault::Hangup => "hangup".into(),
            Fault::Mute(_) => "mute".into(),
            Fault::Delay(_) => "delay".into(),
            Fault::Replay(_) => "replay".into(),
            Fault::After(_, End::Cut) => "cut in an answer".into(),
            Fault::After(_, End::Stall(_)) => "stall in an answer".into(),
            Fault::After(_, End::Garbage) => "garbage in an answer".into(),
            Fault::After(0, End::Whole) => "empty answer".into(),
            Fault::After(_, End::Whole) => "truncated answer".into(),
            Fault::Fallen => "version that fell".into(),
            Fault::Drip(_) => "drip".into(),
        }
    }
}

/// How the whole way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing passes, and nobody is told.
    Frozen,
    /// Connections are refused.
    Down,
}

/// Decides about a request: what it is for, and the version that it asks for.
type Decide = Box<dyn FnMut(Point, Option<u64>) -> Option<Fault> + Send>;

/// A running proxy on loopback; dropping it closes it.
pub(crate) struct FaultyWay {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<Client>,
    decide: Mutex<Decide>,
    way: watch::Sender<Way>,
    /// Counts the cuts of all connections.
    cuts: watch::Sender<u64>,
    tls: Mutex<Option<TlsAcceptor>>,
    order: Order,
    /// Held while `order` and `way` or `cuts` change together.
    gate: Mutex<()>,
    counts: Mutex<BTreeMap<String, u64>>,
    asked: Mutex<Vec<Point>>,
}

impl FaultyWay {
    /// Starts it before an API server, whom it asks with this client; without faults.
    pub(crate) fn start(cluster: &'static Cluster, upstream: Client) -> FaultyWay {
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            decide: Mutex::new(Box::new(|_, _| None)),
            way: watch::Sender::new(Way::Open),
            cuts: watch::Sender::new(0),
            tls: Mutex::new(None),
            order: Order::default(),
            gate: Mutex::default(),
            counts: Mutex::default(),
            asked: Mutex::default(),
        });
        let listener = cluster.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("listen");
        let address = listener.local_addr().expect("an address");
        cluster.spawn(accept(listener, shared.clone()));
        FaultyWay { address, shared }
    }

    /// A kubeconfig that leads here in plain text.
    pub(crate) fn kubeconfig(&self) -> String {
        self.kubeconfig_with(serde_json::json!({ "server": format!("http://{}", self.address) }))
    }

    /// A kubeconfig that leads here, with this cluster in it.
    pub(crate) fn kubeconfig_with(&self, cluster: serde_json::Value) -> String {
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "faulty",
            "contexts": [{ "name": "faulty", "context": { "cluster": "faulty", "user": "nobody" } }],
            "clusters": [{ "name": "faulty", "cluster": cluster }],
            "users": [{ "name": "nobody", "user": {} }],
        });
        let path: PathBuf = scratch("faulty").join("kubeconfig");
        fs::write(&path, config.to_string()).expect("write a kubeconfig");
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    /// From now on this decides about each request.
    pub(crate) fn decide(&self, decide: impl FnMut(Point, Option<u64>) -> Option<Fault> + Send + 'static) {
        *self.shared.decide.lock().expect("nobody failed") = Box::new(decide);
    }

    /// The next requests of this kind meet these faults, one each; then all is well again.
    pub(crate) fn next(&self, point: Point, faults: impl IntoIterator<Item = Fault>) {
        let mut faults: Vec<Fault> = faults.into_iter().collect();
        faults.reverse();
        self.decide(move |asked, _| if asked == point { faults.pop() } else { None });
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.shared.change("cut of all", Way::Open, true);
    }

    /// Nothing passes any more, and no connection ends.
    pub(crate) fn freeze(&self) {
        self.shared.change("freeze of all", Way::Frozen, false);
    }

    /// Cuts every connection, and takes no new ones.
    pub(crate) fn close(&self) {
        self.shared.change("away", Way::Down, true);
    }

    /// Lets all through again, over new connections.
    pub(crate) fn open(&self) {
        self.shared.change("way opened", Way::Open, true);
    }

    /// Something befalls the API server behind it: to be said before.
    pub(crate) fn disturb(&self, what: &str) {
        self.shared.disturb(what);
    }

    /// From now on another API server is asked.
    pub(crate) fn switch_to(&self, upstream: Client) {
        *self.shared.upstream.lock().expect("nobody failed") = upstream;
    }

    /// From now on connections are TLS.
    pub(crate) fn shake_hands(&self, tls: TlsAcceptor) {
        *self.shared.tls.lock().expect("nobody failed") = Some(tls);
    }

    /// Since when all watches are in order.
    pub(crate) fn order(&self) -> &Order {
        &self.shared.order
    }

    /// The faults so far, by kind.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.counts.lock().expect("nobody failed").clone()
    }

    /// How many requests of a kind there were.
    pub(crate) fn asked(&self, point: Point) -> usize {
        self.shared.asked.lock().expect("nobody failed").iter().filter(|asked| **asked == point).count()
    }
}

impl Drop for FaultyWay {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn count(&self, what: &str) {
        *self.counts.lock().expect("nobody failed").entry(what.to_owned()).or_default() += 1;
    }

    fn disturb(&self, what: &str) {
        self.order.disturb_all(Instant::now());
        self.count(what);
    }

    /// Something befalls a request. The question for the version comes before each watch and is of none, and a single Pod
    /// comes beside them.
    fn disturb_lane(&self, point: Point, lane: &str) {
        if !matches!(point, Point::Version | Point::Pod) {
            self.order.disturb(lane, Instant::now());
        }
    }

    fn change(&self, what: &str, way: Way, is_cut: bool) {
        let _gate = self.gate.lock().expect("nobody failed");
        self.disturb(what);
        self.way.send_replace(way);
        if is_cut {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }

    /// A watch has begun that is whole, unless something has befallen the way meanwhile.
    fn restore(&self, lane: &str, cut: &watch::Receiver<u64>) {
        let _gate = self.gate.lock().expect("nobody failed");
        if *self.way.borrow() == Way::Open && !cut.has_changed().unwrap_or(true) {
            self.order.restore(lane, Instant::now());
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let tls = shared.tls.lock().expect("nobody failed").clone();
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

/// What a request asks.
struct Asked {
    point: Point,
    version: Option<u64>,
    /// The watch that it is of.
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

/// Answers a request; an error closes the connection.
async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Answer> {
    let asked = Asked::read(request.uri());
    shared.asked.lock().expect("nobody failed").push(asked.point);
    let fault = (shared.decide.lock().expect("nobody failed"))(asked.point, asked.version);
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

/// Asks the API server.
async fn pass(onward: Request<Body>, asked: Asked, fault: Option<Fault>, shared: Arc<Shared>) -> io::Result<Answer> {
    let Asked { point, lane, .. } = asked;
    let upstream = shared.upstream.lock().expect("nobody failed").clone();
    let cut = shared.cuts.subscribe();
    let response = upstream.send(onward).await.inspect_err(|_| {
        shared.disturb_lane(point, &lane);
        shared.count("nobody behind it");
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

/// What an API server at its first version answers to the question for its version.
const FALLEN: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;

/// Waits while nothing passes.
async fn thaw(shared: &Shared) {
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
