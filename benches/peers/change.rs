//! The time from a write's acknowledgement to the first answer that shows it, and from when a bare watch has the event.
//!
//! The benchmark sends one query after another, starting before the write, so it also sees an answer that shows the change
//! before the API server has acknowledged it. The queries take a core, for callsign and for CoreDNS.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::Receiver;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};

use super::bare::{self, Line};
use super::coredns::{CoreDns, Reader};
use super::report::{Sample, table};
use super::wire::{srv_ports, srv_query};
use super::world::{self, PORT, SMALL};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

/// Changes of each kind.
pub(crate) const CHANGES: u16 = 100;

/// The run fails if an answer does not show a change within this time, from before its write.
const SHOW_PATIENCE: Duration = Duration::from_secs(5);

/// The query is sent again after this time without an answer.
const ANSWER_PATIENCE: Duration = Duration::from_millis(200);

/// The pause between two changes of one Pod: longer than the 100 ms for which callsign delays a second change by design, and
/// long enough that all watches are done with the previous one.
pub(crate) const PAUSE: Duration = Duration::from_millis(120);

/// The Pod whose annotation changes, and the Service whose slice does.
pub(crate) const MOVING: &str = "moving";

/// The Pod whose readiness changes.
const BLINKING: &str = "blinking";

/// Measures and prints the table.
pub(crate) fn measure(cluster: &'static Cluster, reader: &Reader) {
    world::write_single(cluster, MOVING, 0);
    world::write_single(cluster, BLINKING, 1);
    let callsign = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"]);
    let coredns = CoreDns::start(reader, &[], world::SMALL);

    let pods = format!("/api/v1/namespaces/{SMALL}/pods");
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{SMALL}/endpointslices");
    let mut kinds = [
        Kind::annotation(cluster, "callsign: a Pod's annotation, another port", callsign.dns),
        Kind {
            title: "callsign: a Pod's readiness",
            path: format!("{pods}/{BLINKING}/status"),
            step: |n| {
                let is_ready = n % 2 == 0;
                let ports = if is_ready { vec![PORT] } else { vec![] };
                (json!({ "status": { "conditions": world::conditions(is_ready) } }), ports)
            },
            poll: Poll::new(callsign.dns, &world::callsign_name(BLINKING)),
            watch: bare::watch(cluster, &pods),
            behind_millis: Vec::new(),
            millis: Vec::new(),
            whole_millis: Vec::new(),
            round_trip_millis: Vec::new(),
        },
        Kind {
            title: "CoreDNS `kubernetes`: an EndpointSlice, another port",
            path: format!("{slices}/{MOVING}"),
            step: |n| {
                let ports = json!([{ "name": "tri", "port": PORT + n, "protocol": "TCP" }]);
                (json!({ "ports": ports }), vec![PORT + n])
            },
            poll: Poll::new(coredns.dns, &world::coredns_name(MOVING, world::SMALL)),
            watch: bare::watch(cluster, &slices),
            behind_millis: Vec::new(),
            millis: Vec::new(),
            whole_millis: Vec::new(),
            round_trip_millis: Vec::new(),
        },
    ];
    let client = cluster.admin();
    for n in 1..=CHANGES {
        for kind in &mut kinds {
            sleep(PAUSE);
            kind.change(cluster, &client, n);
        }
    }
    let rows = kinds.iter().map(|kind| {
        let sample = Sample::new(&kind.millis);
        let [whole, round_trip] =
            [&kind.whole_millis, &kind.round_trip_millis].map(|millis| Sample::new(millis).median());
        let figures = [sample.median(), sample.quantile(0.9), sample.worst(), whole, round_trip];
        let figures = figures.map(|millis| format!("{millis:.2}"));
        let early = kind.millis.iter().filter(|&&millis| millis < 0.0).count();
        let counts = [kind.millis.len(), early].map(|count| count.to_string());
        [&[kind.title.to_owned()], counts.as_slice(), figures.as_slice()].concat()
    });
    table(
        "Change to answer: ms from the acknowledgement of the PATCH to the first answer that shows it",
        &[
            "what changes",
            "times",
            "before it",
            "median",
            "p90",
            "worst",
            "from sending, median",
            "an answer's round trip, median",
        ],
        rows,
    );
    behind_table("of the same objects", &kinds);
}

/// Prints how far answers are behind a bare watch.
pub(crate) fn behind_table(of: &str, kinds: &[Kind]) {
    let rows = kinds.iter().map(|kind| {
        let sample = Sample::new(&kind.behind_millis);
        let figures = [sample.median(), sample.quantile(0.9), sample.quantile(0.99), sample.worst()];
        let figures = figures.map(|millis| format!("{millis:.2}"));
        let early = kind.behind_millis.iter().filter(|&&millis| millis < 0.0).count();
        let counts = [kind.behind_millis.len(), early].map(|count| count.to_string());
        [&[kind.title.to_owned()], counts.as_slice(), figures.as_slice()].concat()
    });
    table(
        &format!("Change to answer: ms from when a bare watch {of} has the event to the first answer that shows it"),
        &["what changes", "times", "before it", "median", "p90", "p99", "worst"],
        rows,
    );
}

/// One kind of change and where it shows.
pub(crate) struct Kind {
    title: &'static str,
    path: String,
    /// The `n`-th patch, and the ports of the answer after it.
    step: fn(u16) -> (Value, Vec<u16>),
    poll: Poll,
    /// The same objects, watched by a client that does nothing else.
    watch: Receiver<Line>,
    /// From that client's receipt of the event to the answer. Below 0 if the answer was first.
    behind_millis: Vec<f64>,
    /// From the acknowledgement to the answer. Below 0 if the answer was first.
    millis: Vec<f64>,
    /// From before the PATCH is sent to the answer.
    whole_millis: Vec<f64>,
    /// Of an answer before the change: the resolution of the measurement.
    round_trip_millis: Vec<f64>,
}

impl Kind {
    /// Changes of the annotation of the Pod that moves. The Pod must exist.
    pub(crate) fn annotation(cluster: &'static Cluster, title: &'static str, dns: SocketAddr) -> Kind {
        let pods = format!("/api/v1/namespaces/{SMALL}/pods");
        Kind {
            title,
            path: format!("{pods}/{MOVING}"),
            step: |n| {
                let value = world::fields(MOVING, PORT + n);
                (json!({ "metadata": { "annotations": { "app.io/annotation": value } } }), vec![PORT + n])
            },
            poll: Poll::new(dns, &world::callsign_name(MOVING)),
            watch: bare::watch(cluster, &pods),
            behind_millis: Vec::new(),
            millis: Vec::new(),
            whole_millis: Vec::new(),
            round_trip_millis: Vec::new(),
        }
    }

    /// Makes one change, and records when the answer and the bare watch show it.
    pub(crate) fn change(&mut self, cluster: &Cluster, client: &Client, n: u16) {
        let (patch, ports) = (self.step)(n);
        let asked = Instant::now();
        assert_ne!(
            self.poll.ask().as_ref(),
            Some(&ports),
            "{}: an answer shows the change before it is written",
            self.title
        );
        self.round_trip_millis.push(asked.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let (shown, (version, acknowledged)) = thread::scope(|scope| {
            let write = scope.spawn(|| (world::patch(cluster, client, &self.path, &patch), Instant::now()));
            while self.poll.ask().as_ref() != Some(&ports) {
                assert!(start.elapsed() < SHOW_PATIENCE, "{}: change {n} does not show", self.title);
            }
            (Instant::now(), write.join().expect("the write"))
        });
        let received = bare::received_at(&self.watch, &version, SHOW_PATIENCE);
        self.behind_millis.push(millis_between(received, shown));
        self.millis.push(millis_between(acknowledged, shown));
        self.whole_millis.push(shown.duration_since(start).as_secs_f64() * 1e3);
    }
}

/// How much later the second is. Below 0 if it was first.
fn millis_between(one: Instant, other: Instant) -> f64 {
    let late = other.saturating_duration_since(one).as_secs_f64();
    (late - one.saturating_duration_since(other).as_secs_f64()) * 1e3
}

/// One socket that sends one question again and again.
struct Poll {
    socket: UdpSocket,
    query: Vec<u8>,
}

impl Poll {
    fn new(server: SocketAddr, name: &str) -> Poll {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.connect(server).expect("connect a UDP socket");
        socket.set_read_timeout(Some(ANSWER_PATIENCE)).expect("set a timeout");
        Poll { socket, query: srv_query(name) }
    }

    /// The ports of the answer. `None` if there is no answer in time, or only a late one to an earlier question.
    fn ask(&mut self) -> Option<Vec<u16>> {
        let id = u16::from_be_bytes([self.query[0], self.query[1]]).wrapping_add(1);
        self.query[..2].copy_from_slice(&id.to_be_bytes());
        self.socket.send(&self.query).expect("send a query");
        let mut reply = [0; 4096];
        match self.socket.recv(&mut reply) {
            Ok(len) => srv_ports(&self.query, &reply[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("receive an answer: {error}"),
        }
    }
}
