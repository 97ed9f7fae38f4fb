//! Subscriptions over HTTP, as programs in any language make them: server-sent events over plain sockets.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use domain::base::iana::Rtype;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::eventually;
use crate::harness::process::{Process, free_address, http_get};
use crate::harness::server::Server;

use super::site::{ask, manifest, pod, rewrite, text};

/// How long a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(10);

/// An event of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// An open stream.
pub(crate) struct Stream {
    reader: BufReader<TcpStream>,
}

impl Stream {
    /// Asks over HTTP/1.0, where the connection's end ends the body.
    #[track_caller]
    pub(crate) fn open(server: SocketAddr, query: &str, last_id: Option<&str>) -> Stream {
        let mut stream = TcpStream::connect(server).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let last = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(stream, "GET /v1/watch?{query} HTTP/1.0\r\n{last}\r\n").expect("ask");
        let mut stream = Stream { reader: BufReader::new(stream) };
        let head = stream.block().expect("a head");
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.iter().any(|line| line.eq_ignore_ascii_case("content-type: text/event-stream")), "{head:?}");
        stream
    }

    /// The lines up to an empty one. `None` at the end.
    fn block(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match self.reader.read_line(&mut line).expect("a line in time") {
                0 => return None,
                _ if line.trim_end().is_empty() => return Some(lines),
                _ => lines.push(line.trim_end().to_owned()),
            }
        }
    }

    /// The next event, without comments. `None` at the end of the stream.
    fn next_or_end(&mut self) -> Option<Event> {
        loop {
            let block = self.block()?;
            let field = |name: &str| block.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = field("data: ") {
                let data = serde_json::from_str(&data).expect("JSON");
                let id = field("id: ").expect("an id");
                return Some(Event { event: field("event: ").expect("a kind"), id, data });
            }
        }
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        self.next_or_end().expect("an event before the end")
    }
}

/// `pod:weight` of each endpoint.
fn shown(endpoints: &Value) -> Vec<String> {
    let endpoints = endpoints.as_array().expect("a list").iter();
    endpoints.map(|one| format!("{}:{}", one["pod"].as_str().expect("a Pod"), one["weight"])).collect()
}

/// A Pod of the interface, and of another one.
fn greeter(at: usize, weight: usize) -> Value {
    let fields = format!("interface=a.B port=80 weight={weight} password=hunter2 zone=x interface=c.D port=81");
    pod(&format!("p{at:03}"), [10, 9, (at / 250) as u8, (at % 250) as u8], &fields)
}

/// Replaces the Pods, and makes the server read them at once.
fn change(server: &Server, file: &std::path::PathBuf, pods: &[Value]) {
    rewrite(file, pods);
    server.signal(Signal::SIGHUP);
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").1;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("callsign_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

#[test]
fn a_stream_sends_the_set_and_then_its_changes() {
    let file = manifest(&[greeter(0, 100), greeter(1, 100)]);
    let server = Server::start(&["--manifests", text(&file)]);
    let mut stream = Stream::open(server.http, "interface=A.b&namespace=default", None);
    let set = stream.next();
    assert_eq!(
        (set.event.as_str(), shown(&set.data["endpoints"])),
        ("set", vec!["p000:100".into(), "p001:100".into()])
    );
    let expected = serde_json::json!({
        "pod": "p000", "namespace": "default", "address": "10.9.0.0", "port": 80, "protocol": "rpc", "group": null,
        "version": null, "weight": 100, "addresses": ["10.9.0.0"], "metadata": { "weight": "100", "zone": "x" },
    });
    assert_eq!(set.data["endpoints"][0], expected);

    change(&server, &file, &[greeter(1, 7), greeter(2, 100)]);
    let first = stream.next();
    let lists = ["added", "changed", "removed"].map(|list| shown(&first.data[list]).join(" "));
    assert_eq!(
        (first.event.as_str(), lists.each_ref().map(String::as_str)),
        ("change", ["p002:100", "p001:7", "p000:100"])
    );

    // Resume with the first id: the same change. With the last one: nothing. With an unknown one: the whole set.
    let again = Stream::open(server.http, "interface=a.B", Some(&set.id)).next();
    assert_eq!((again.event.as_str(), &again.data), ("change", &first.data));
    let mut quiet = Stream::open(server.http, "interface=a.B", Some(&first.id));
    for strange in ["", "x", "0000000000000000-1", &format!("{}9", first.id)] {
        let event = Stream::open(server.http, "interface=a.B", Some(strange)).next();
        assert_eq!((event.event.as_str(), shown(&event.data["endpoints"]).len()), ("set", 2), "{strange}");
    }
    change(&server, &file, &[greeter(2, 100)]);
    assert_eq!(shown(&quiet.next().data["removed"]), ["p001:7"]);

    let tag = server.get("/v1/endpoints").1;
    assert!(!tag.contains("hunter2"));
    assert!(metric(&server, "subscribers") >= 2.0 && metric(&server, "events_sent_total") >= 8.0);
    drop((stream, quiet));
    eventually(PATIENCE, || match metric(&server, "subscribers") {
        0.0 => Ok(()),
        left => Err(format!("{left} subscribers are left")),
    });
}

#[test]
fn a_quiet_stream_sends_heartbeats_with_an_id() {
    let file = manifest(&[greeter(0, 100)]);
    let server = Server::start(&["--manifests", text(&file)]);
    let mut stream = Stream::open(server.http, "interface=no.Such", None);
    let set = stream.next();
    assert_eq!(set.data, serde_json::json!({ "interface": "no.such", "endpoints": [] }));
    change(&server, &file, &[greeter(0, 7)]); // no change for this stream
    stream.reader.get_ref().set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let beat = stream.block().expect("a sign of life");
    let [comment, id] = &*beat else { panic!("{beat:?}") };
    assert_eq!(comment, ":");
    let revision = |id: &str| id.rsplit_once('-').expect("an id").1.parse::<u64>().expect("a revision");
    assert!(id.starts_with("id: ") && revision(id) > revision(&set.id), "{beat:?} after {}", set.id);
    let mut later = Stream::open(server.http, "interface=a.B", Some(&id["id: ".len()..]));
    change(&server, &file, &[greeter(0, 8)]);
    assert_eq!(shown(&later.next().data["changed"]), ["p000:8"], "it goes on from there, without a set");
}

/// A server gives a reader 30 s in which it reads nothing.
const DROPPED_WITHIN: Duration = Duration::from_secs(90);

#[test]
fn a_client_that_reads_too_slowly_is_dropped_and_resumes() {
    const PORTS: usize = 1_000;
    let large = |weight: usize| {
        let fields: String = (1..=PORTS).map(|port| format!("interface=x.Y port={port} weight={weight} ")).collect();
        pod("large", [10, 9, 9, 9], &fields)
    };
    let file = manifest(&[large(1)]);
    let server = Server::start(&["--manifests", text(&file)]);
    let mut stream = Stream::open(server.http, "interface=x.Y", None);
    let mut last = stream.next().id;
    for weight in 2..=90 {
        change(&server, &file, &[large(weight)]);
        eventually(PATIENCE, || {
            let told = server.get("/v1/endpoints?interface=x.Y&limit=1").1;
            if told.contains(&format!("\"weight\":{weight},")) {
                Ok(())
            } else {
                Err(format!("{weight} is not in {told}"))
            }
        });
    }
    // The changes may end before the server's timeout for the reader.
    eventually(DROPPED_WITHIN, || match metric(&server, "slow_readers_total") {
        1.0 => Ok(()),
        dropped => Err(format!("{dropped} dropped")),
    });
    while let Some(event) = stream.next_or_end() {
        last = event.id;
    }
    let event = Stream::open(server.http, "interface=x.Y", Some(&last)).next();
    // A whole set, or the changes since then if the recent past still has them. That depends on the size of the socket buffers.
    let endpoints =
        ["endpoints", "changed"].iter().find_map(|key| event.data[key].as_array()).expect("all that it missed");
    assert_eq!((endpoints.len(), &endpoints[0]["weight"]), (PORTS, &90.into()));
}

#[test]
fn the_command_resumes_when_a_server_comes_back() {
    let file = manifest(&[greeter(0, 100), greeter(1, 100)]);
    let (dns, http) = (free_address().to_string(), free_address().to_string());
    let program = env!("CARGO_BIN_EXE_callsign");
    let serve = || {
        let args = ["serve", "--listen", &dns, "--http", &http, "--lame-duck", "0", "--manifests", text(&file)];
        let mut server = Process::start(program, args);
        let address: SocketAddr = http.parse().expect("an address");
        server.wait_until(PATIENCE, || http_get(address, "/readyz").is_ok_and(|(status, _)| status == 200));
        server
    };
    let server = serve();
    let url = format!("http://{http}");
    let watch = Process::start(program, ["watch", "a.b", "--server", &url]);
    let json = Process::start(program, ["watch", "a.b", "--json", "-n", "default", "--server", &url]);
    // Both must have the event before the next step: changes between two events of a subscriber arrive as one.
    let says = |lines: &str, kinds: &[&str]| {
        eventually(PATIENCE, || {
            let log: Vec<String> =
                watch.log().lines().filter(|line| !line.contains("trying again")).map(str::to_owned).collect();
            let log = log.join("\n");
            if log == lines.trim() { Ok(()) } else { Err(log) }
        });
        eventually(PATIENCE, || {
            let log = json.log();
            let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let told: Vec<String> = events.map(|event| event["event"].as_str().expect("a kind").to_owned()).collect();
            if told == kinds { Ok(()) } else { Err(log) }
        });
    };
    let mut lines = "\
CHANGE  POD           ADDRESS:PORT  PROTOCOL  GROUP  VERSION  WEIGHT  METADATA
there   default/p000  10.9.0.0:80   rpc       -      -        100     weight=100 zone=x
there   default/p001  10.9.0.1:80   rpc       -      -        100     weight=100 zone=x
"
    .to_owned();
    says(&lines, &["set"]);
    rewrite(&file, &[greeter(1, 100), greeter(2, 100)]);
    server.signal(Signal::SIGHUP);
    lines += "\
removed  default/p000  10.9.0.0:80   rpc       -      -        100     weight=100 zone=x
added    default/p002  10.9.0.2:80   rpc       -      -        100     weight=100 zone=x
";
    says(&lines, &["set", "change"]);
    drop(server);
    let noticed = |process: &Process| process.log().contains("trying again");
    eventually(PATIENCE, || if noticed(&watch) && noticed(&json) { Ok(()) } else { Err("it noticed nothing") });
    rewrite(&file, &[greeter(2, 7)]);
    let _server = serve();
    lines += "\
removed  default/p001  10.9.0.1:80   rpc       -      -        100     weight=100 zone=x
changed  default/p002  10.9.0.2:80   rpc       -      -        7       weight=7 zone=x
";
    says(&lines, &["set", "change", "set"]);
}

/// The process's memory, in MiB.
fn resident_mib(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).expect("a number") / 1024
}

/// One subscriber of many. It applies the events until it has the last set.
async fn follow(server: SocketAddr, last: std::sync::Arc<BTreeMap<String, u64>>) -> usize {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server).await.expect("a connection");
    stream.write_all(b"GET /v1/watch?interface=a.B HTTP/1.0\r\n\r\n").await.expect("ask");
    let mut lines = tokio::io::BufReader::new(stream).lines();
    let (mut known, mut events) = (BTreeMap::new(), 0);
    while known != *last {
        let line = lines.next_line().await.expect("a line").expect("no end");
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let data: Value = serde_json::from_str(data).expect("JSON");
        let key = |one: &Value| one["pod"].as_str().expect("a Pod").to_owned();
        let rows = |list: &str| data[list].as_array().cloned().unwrap_or_default();
        for one in rows("removed") {
            assert!(known.remove(&key(&one)).is_some(), "{one} was never there");
        }
        for one in rows("endpoints").into_iter().chain(rows("added")).chain(rows("changed")) {
            known.insert(key(&one), one["weight"].as_u64().expect("a weight"));
        }
        events += 1;
    }
    events
}

#[test]
fn a_thousand_subscribers_while_a_hundred_pods_roll() {
    const SUBSCRIBERS: usize = 1_000;
    const PODS: usize = 100;
    let file = manifest(&(0..PODS).map(|at| greeter(at, 100)).collect::<Vec<_>>());
    let server = Server::start(&["--manifests", text(&file), "--trusted-client", "127.0.0.1"]);
    let before = resident_mib(&server);
    let last: BTreeMap<String, u64> = (0..PODS).map(|at| (format!("p{:03}", at + PODS), 50)).collect();
    let last = std::sync::Arc::new(last);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // A hundred at a time: a thousand concurrent connects would test the kernel's backlog, not the server.
    let mut followers = Vec::new();
    while followers.len() < SUBSCRIBERS {
        followers.extend((0..100).map(|_| runtime.spawn(follow(server.http, last.clone()))));
        let there = followers.len();
        eventually(Duration::from_secs(30), || match metric(&server, "subscribers") as usize {
            some if some == there => Ok(()),
            some => Err(format!("{some} subscribers so far")),
        });
    }
    // Twenty steps of five Pods each: five new ones come, and five old ones go.
    for step in 1..=PODS / 5 {
        let pods = (0..PODS).map(|at| if at < step * 5 { greeter(at + PODS, 50) } else { greeter(at, 100) });
        change(&server, &file, &pods.collect::<Vec<_>>());
        let name = format!("p{:03}.default.pod.Z", PODS + step * 5 - 1);
        eventually(PATIENCE, || match ask(&name, Rtype::A).udp(server.dns).answer.len() {
            1 => Ok(()),
            _ => Err(format!("no {name}")),
        });
    }
    let all = async {
        let mut events = 0;
        for follower in followers {
            events += follower.await.expect("the last set");
        }
        events
    };
    let events = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), all).await }).expect("in time");
    let grown = resident_mib(&server).saturating_sub(before);
    eprintln!("{events} events to {SUBSCRIBERS} subscribers, {grown} MiB more");
    assert!(grown < 128, "{grown} MiB for {SUBSCRIBERS} subscribers");
    assert_eq!(metric(&server, "slow_readers_total"), 0.0);
    assert_eq!(server.get("/livez").0, 200, "subscribers keep no probe waiting");
}
