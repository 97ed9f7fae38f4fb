//! One stream of many interfaces: each event names its interface, and an id stands for exactly what the client has received.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hyper::client::conn::http2::Builder;
use hyper_util::rt::TokioExecutor;
use nix::sys::signal::Signal;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::harness::eventually;
use crate::harness::http2::Http2;
use crate::harness::server::Server;

use super::site::{manifest, pod, rewrite, text};
use super::watch::{Event, Stream};

const PATIENCE: Duration = Duration::from_secs(10);

/// `a.Name0` and so on, one interface for each Pod, with a weight.
fn pods(weights: &[usize]) -> Vec<Value> {
    let pod = |(at, weight): (usize, &usize)| {
        pod(
            &format!("p{at:04}"),
            [10, 9, (at / 250) as u8, (at % 250) as u8],
            &format!("interface=a.Name{at} port=80 weight={weight}"),
        )
    };
    weights.iter().enumerate().map(pod).collect()
}

/// A connection from another loopback address.
fn connect_from(address: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("an address");
    socket.connect(&server.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

/// The sets of a client that follows a stream.
#[derive(Default)]
struct Known {
    weights: BTreeMap<String, BTreeMap<String, u64>>,
    id: Option<String>,
}

impl Known {
    fn take(&mut self, event: Event) {
        let interface = event.data["interface"].as_str().expect("an interface").to_owned();
        let set = self.weights.entry(interface).or_default();
        if event.event == "set" {
            set.clear();
        }
        let rows = |list: &str| event.data[list].as_array().cloned().unwrap_or_default();
        for one in rows("removed") {
            set.remove(one["pod"].as_str().expect("a Pod"));
        }
        for one in ["endpoints", "added", "changed"].into_iter().flat_map(rows) {
            set.insert(one["pod"].as_str().expect("a Pod").to_owned(), one["weight"].as_u64().expect("a weight"));
        }
        self.id = Some(event.id);
    }

    fn weights(&self) -> Vec<u64> {
        self.weights.values().flat_map(|set| set.values().copied()).collect()
    }
}

fn query(count: usize) -> String {
    (0..count).map(|at| format!("interface=a.Name{at}")).collect::<Vec<_>>().join("&")
}

#[test]
fn each_event_names_its_interface() {
    let file = manifest(&pods(&[1, 2, 3]));
    let server = Server::start(&["--manifests", text(&file)]);
    let mut stream = Stream::open(server.http, "interface=A.name0&interface=a.Name1&interface=no.Such", None);
    let sets: Vec<(String, String)> = (0..3)
        .map(|_| stream.next())
        .map(|event| (event.event, event.data["interface"].as_str().expect("an interface").to_owned()))
        .collect();
    assert_eq!(sets, ["a.name0", "a.name1", "no.such"].map(|interface| ("set".to_owned(), interface.to_owned())));
    rewrite(&file, &pods(&[1, 7, 8]));
    server.signal(Signal::SIGHUP);
    let event = stream.next();
    assert_eq!(
        (event.event.as_str(), &event.data["interface"]),
        ("change", &"a.name1".into()),
        "a.Name2 is not asked for"
    );
    assert_eq!(event.data["changed"][0]["weight"], 7);

    // An added interface begins with its set, and the others resume.
    let mut grown = Stream::open(server.http, "interface=a.Name0&interface=a.Name1&added=a.Name2", Some(&event.id));
    let first = grown.next();
    assert_eq!((first.event.as_str(), &first.data["interface"]), ("set", &"a.name2".into()));
    assert_eq!(first.data["endpoints"][0]["weight"], 8);
    rewrite(&file, &pods(&[5, 7, 8]));
    server.signal(Signal::SIGHUP);
    let event = grown.next();
    assert_eq!((event.event.as_str(), &event.data["interface"]), ("change", &"a.name0".into()));
}

/// A client that is cut off after any number of events, and resumes as the document says, ends with the last state.
#[test]
fn a_client_that_resumes_from_any_event_misses_nothing() {
    const COUNT: usize = 12;
    let file = manifest(&pods(&[1; COUNT]));
    let server = Server::start(&["--manifests", text(&file)]);
    let mut known = Known::default();
    let mut weights = [1; COUNT];
    for round in 0..40_usize {
        let mut stream = Stream::open(server.http, &query(COUNT), known.id.as_deref());
        weights
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| (at + round).is_multiple_of(3))
            .for_each(|(_, weight)| *weight = 2 + round);
        rewrite(&file, &pods(&weights));
        server.signal(Signal::SIGHUP);
        for _ in 0..round % 4 {
            known.take(stream.next());
        }
    }
    let mut stream = Stream::open(server.http, &query(COUNT), known.id.as_deref());
    let order: BTreeMap<String, usize> = (0..COUNT).map(|at| (format!("a.name{at}"), at)).collect();
    let last: Vec<u64> = order.values().map(|at| weights[*at] as u64).collect();
    while known.weights() != last {
        known.take(stream.next());
    }
}

/// A regression: one selector for a thousand interfaces was copied a thousand times before anything was counted.
#[test]
fn a_long_selector_is_refused_before_a_stream_begins() {
    let file = manifest(&pods(&[1]));
    let server = Server::start(&["--manifests", text(&file)]);
    let added: String = (0..1_000).map(|at| format!("&added=a{at}")).collect();
    for key in ["group", "version", "namespace"] {
        let (status, body) = server.get(&format!("/v1/watch?{key}={}{added}", "x".repeat(50_000)));
        assert!(status == 400 && body.contains("1024 bytes"), "{key}: {status} {body}");
    }
    // Even within the selectors' bound, a thousand interfaces are more than a client may have. The refusal comes at once.
    let selectors = ["group", "version", "namespace"].map(|key| format!("&{key}={}", "x".repeat(1_024))).concat();
    let (status, body) = server.get(&format!("/v1/watch?a=b&{}", &added[1..]));
    assert_eq!(status, 400, "{body}");
    let (status, body) = server.get(&format!("/v1/watch?{}{selectors}", &added[1..]));
    assert!(status == 429 && body.contains("2048 subscriptions"), "{status} {body}");
}

#[test]
fn a_stream_has_a_thousand_interfaces_and_no_more() {
    const COUNT: usize = 1_024;
    let file = manifest(&pods(&[1; COUNT]));
    let server = Server::start(&["--manifests", text(&file)]);
    let mut stream = Stream::open(server.http, &query(COUNT), None);
    let mut known = Known::default();
    (0..COUNT).for_each(|_| known.take(stream.next()));
    assert_eq!(known.weights(), [1; COUNT]);
    let metric = |name: &str| {
        let text = server.get("/metrics").1;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("callsign_{name} ")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    assert_eq!(metric("subscribers"), COUNT.to_string(), "each interface counts");
    let (status, body) = server.get(&format!("/v1/watch?{}", query(COUNT + 1)));
    assert!(status == 429 && body.contains("at most 1024"), "{status} {body}");
    // A second stream fits into a client's 2,048, and a third does not. The client's lists and probes are not affected.
    let _second = Stream::open(server.http, &query(COUNT), None);
    let (status, body) = server.get("/v1/watch?interface=one.More");
    assert!(status == 429 && body.contains("2048 subscriptions"), "{status} {body}");
    assert_eq!(metric("http_refused_total{reason=\"interfaces\"}"), "1");
    assert_eq!(metric("http_refused_total{reason=\"client-subscriptions\"}"), "1");
    for path in ["/livez", "/readyz", "/metrics", "/v1/interfaces?limit=1"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    let warnings = server.log().lines().filter(|line| line.contains("an HTTP request was refused")).count();
    assert_eq!(warnings, 1, "once in a while: {}", server.log());
    drop(stream);
    eventually(PATIENCE, || match server.get("/metrics").1.contains("callsign_subscribers 1024\n") {
        true => Ok(()),
        false => Err("its subscriptions are left"),
    });
    let _third = Stream::open(server.http, "interface=one.More", None);
}

/// Unread whole sets are bounded in bytes, and delay no other client.
#[test]
fn unread_sets_are_bounded_in_bytes() {
    const PODS: usize = 24;
    const PORTS: usize = 1_000;
    let fields: String = (1..=PORTS).map(|port| format!("interface=x.Y port={port} zone=x ")).collect();
    let file = manifest(&(0..PODS).map(|at| pod(&format!("p{at}"), [10, 9, 9, at as u8], &fields)).collect::<Vec<_>>());
    let server = Server::start(&["--manifests", text(&file)]);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1).adaptive_window(false);
    let reader = Http2::connect_with(server.http, None, &builder);
    let selectors = ["", "&group=", "&version=", "&namespace=default", "&group=&version=", "&group=&namespace=default"];
    let held: Vec<_> = selectors
        .iter()
        .map(|selector| reader.open(&format!("/v1/watch?interface=x.Y{selector}")).expect("a stream"))
        .collect();
    assert!(held.iter().all(|stream| stream.status() == 200));
    let sent = || -> usize {
        let text = server.get("/metrics").1;
        let line = text.lines().find_map(|line| line.strip_prefix("callsign_events_sent_total ").map(str::to_owned));
        line.and_then(|line| line.parse().ok()).expect("a number")
    };
    eventually(PATIENCE, || match sent() {
        0 | 1 => Err("the sets are not made yet"),
        _ => Ok(()),
    });
    std::thread::sleep(Duration::from_secs(5));
    // A set has some 6 MB, and a client may leave 16 MiB unread.
    assert!((2..=3).contains(&sent()), "{} sets are held", sent());
    let mut other = connect_from([127, 0, 0, 2], server.http);
    write!(other, "GET /v1/watch?interface=x.Y&version=&namespace=default HTTP/1.0\r\n\r\n").expect("ask");
    let mut line = String::new();
    let mut reader = BufReader::new(other);
    while !line.starts_with("data: ") {
        line.clear();
        assert!(reader.read_line(&mut line).expect("a line in time") > 0);
    }
    assert_eq!(line.matches("\"port\":").count(), PODS * PORTS);
}
