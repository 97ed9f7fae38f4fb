//! A proxy before the API server that can cause every fault of a watch.

mod connection;
mod passage;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::cluster::Cluster;
use super::order::Order;
use super::process::scratch;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A list, streamed or in pages.
    List,
    /// The question for the server's version.
    Version,
    /// A watch from a version on.
    Watch,
    /// A list of the one Pod that the writer asks for again.
    Pod,
}

/// A fault of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// An answer instead of the API server's: status, additional header, media type, body.
    Answer(u16, Option<(&'static str, &'static str)>, &'static str, String),
    /// The connection is closed without an answer.
    Hangup,
    /// The connection is closed without an answer after this time.
    Mute(Duration),
    /// The API server's answer is delayed by this time.
    Delay(Duration),
    /// The request for the API server asks for the changes after this older version.
    Replay(u64),
    /// The answer stops after this many bytes of its body. Before garbage it stops at the end of a chunk: TCP and TLS prevent
    /// that bytes are replaced, and protobuf could not detect it.
    After(usize, End),
    /// The answer comes as slowly as over a line with this many bytes in 100 ms.
    Drip(usize),
    /// The API server is at its first version, like one with a new etcd: an empty list.
    Fallen,
}

/// How an answer stops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The connection breaks.
    Cut,
    /// Nothing comes for this time, without a FIN. Then the connection breaks.
    Stall(Duration),
    /// Meaningless bytes, and the end.
    Garbage,
    /// The body ends as if it were whole.
    Whole,
}

impl Fault {
    /// A refusal with a `Status`, like an API server's.
    pub(crate) fn status(code: u16, reason: &str, message: &str) -> Fault {
        let status = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message });
        Fault::Answer(code, None, "application/json", status.to_string())
    }

    /// The fault's name in counts.
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

/// The state of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing passes, and no connection ends.
    Frozen,
    /// Connections are refused.
    Down,
}

/// Chooses the fault of a request, by its kind and by the version that it asks for.
type Decide = Box<dyn FnMut(Point, Option<u64>) -> Option<Fault> + Send>;

/// A running proxy on loopback. Dropping it closes it.
pub(crate) struct FaultyWay {
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
    /// Starts a proxy without faults before the API server of this client.
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
        cluster.spawn(connection::accept(listener, shared.clone()));
        FaultyWay { address, shared }
    }

    /// A kubeconfig for this proxy, in plain text.
    pub(crate) fn kubeconfig(&self) -> String {
        self.kubeconfig_with(serde_json::json!({ "server": format!("http://{}", self.address) }))
    }

    /// A kubeconfig for this proxy, with this cluster entry.
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

    /// From now on `decide` chooses the fault of each request.
    pub(crate) fn decide(&self, decide: impl FnMut(Point, Option<u64>) -> Option<Fault> + Send + 'static) {
        *self.shared.decide.lock().expect("no panic under the lock") = Box::new(decide);
    }

    /// The next requests of this kind meet these faults, one each. After that there are no faults.
    pub(crate) fn next(&self, point: Point, faults: impl IntoIterator<Item = Fault>) {
        let mut faults: Vec<Fault> = faults.into_iter().collect();
        faults.reverse();
        self.decide(move |asked, _| if asked == point { faults.pop() } else { None });
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.shared.change("cut of all", Way::Open, true);
    }

    /// From now on nothing passes, and no connection ends.
    pub(crate) fn freeze(&self) {
        self.shared.change("freeze of all", Way::Frozen, false);
    }

    /// Cuts every connection, and refuses new ones.
    pub(crate) fn close(&self) {
        self.shared.change("away", Way::Down, true);
    }

    /// Lets everything pass again, over new connections.
    pub(crate) fn open(&self) {
        self.shared.change("way opened", Way::Open, true);
    }

    /// Records that the test is about to disturb the API server behind the proxy.
    pub(crate) fn disturb(&self, what: &str) {
        self.shared.disturb(what);
    }

    /// From now on requests go to another API server.
    pub(crate) fn switch_to(&self, upstream: Client) {
        *self.shared.upstream.lock().expect("no panic under the lock") = upstream;
    }

    /// From now on connections are TLS.
    pub(crate) fn shake_hands(&self, tls: TlsAcceptor) {
        *self.shared.tls.lock().expect("no panic under the lock") = Some(tls);
    }

    /// Since when all watches are complete.
    pub(crate) fn order(&self) -> &Order {
        &self.shared.order
    }

    /// The faults so far, by kind.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.counts.lock().expect("no panic under the lock").clone()
    }

    /// The number of requests of a kind so far.
    pub(crate) fn asked(&self, point: Point) -> usize {
        self.shared.asked.lock().expect("no panic under the lock").iter().filter(|asked| **asked == point).count()
    }
}

impl Drop for FaultyWay {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn count(&self, what: &str) {
        *self.counts.lock().expect("no panic under the lock").entry(what.to_owned()).or_default() += 1;
    }

    fn disturb(&self, what: &str) {
        self.order.disturb_all(Instant::now());
        self.count(what);
    }

    /// Records a fault of a request. The question for the version belongs to no watch, and neither does a request for a single
    /// Pod.
    fn disturb_lane(&self, point: Point, lane: &str) {
        if !matches!(point, Point::Version | Point::Pod) {
            self.order.disturb(lane, Instant::now());
        }
    }

    fn change(&self, what: &str, way: Way, is_cut: bool) {
        let _gate = self.gate.lock().expect("no panic under the lock");
        self.disturb(what);
        self.way.send_replace(way);
        if is_cut {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }

    /// Records that a complete watch has begun, unless a fault of the whole proxy has happened meanwhile.
    fn restore(&self, lane: &str, cut: &watch::Receiver<u64>) {
        let _gate = self.gate.lock().expect("no panic under the lock");
        if *self.way.borrow() == Way::Open && !cut.has_changed().unwrap_or(true) {
            self.order.restore(lane, Instant::now());
        }
    }
}
