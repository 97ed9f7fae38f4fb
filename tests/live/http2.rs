//! HTTP/2 on the API's port, the bounds of one address there, and the end of connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use hyper::client::conn::http2::Builder;
use hyper_util::rt::TokioExecutor;
use nix::sys::signal::Signal;

use crate::harness::eventually;
use crate::harness::http2::Http2;
use crate::harness::server::Server;
use crate::harness::tls::{Authority, Mounted};

use super::site::manifests;
use super::watch::Stream;

const PATIENCE: Duration = Duration::from_secs(10);

const INTERFACE: &str = "org.acme.Greeter";

/// A ready server. With TLS if there is an authority.
fn start(authority: Option<&Authority>) -> (Server, Option<Mounted>) {
    let Some(authority) = authority else { return (Server::start(&["--manifests", manifests()]), None) };
    let (certificate, key, _) = authority.issue();
    let mounted = Mounted::new(&certificate, &key);
    let files = ["tls.crt", "tls.key"].map(|name| mounted.file(name));
    let args = ["--manifests", manifests(), "--http-tls", "--tls-cert", &files[0], "--tls-key", &files[1]];
    let server = Server::launch(&[env!("CARGO_BIN_EXE_callsign")], &args);
    eventually(PATIENCE, || match authority.try_connect(server.http) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error}: {}", server.log())),
    });
    let connection = Http2::connect(server.http, Some(authority));
    eventually(PATIENCE, || match connection.get("/readyz").0 {
        200 => Ok(()),
        status => Err(format!("{status}: {}", server.log())),
    });
    (server, Some(mounted))
}

#[test]
fn all_of_the_api_over_http2() {
    let authority = Authority::new();
    for authority in [None, Some(&authority)] {
        let (server, _mounted) = start(authority);
        let connection = Http2::connect(server.http, authority);
        for path in ["/livez", "/readyz", "/metrics", "/v1/interfaces", "/v1/pods?limit=1", "/v1/openapi.json"] {
            let (status, body) = connection.get(path);
            assert!(status == 200 && !body.is_empty(), "{path}: {status} {body}");
        }
        assert_eq!(connection.get("/nowhere").0, 404);
        let mut stream = connection.open(&format!("/v1/watch?interface={INTERFACE}")).expect("a stream");
        assert_eq!(stream.headers().get("content-type").expect("a type"), "text/event-stream");
        assert!(stream.headers().get("connection").is_none(), "no such header in HTTP/2 (RFC 9113 §8.2.2)");
        let mut told = String::new();
        while !told.contains("event: set") {
            told += &String::from_utf8_lossy(&connection.piece(&mut stream).expect("no end").expect("a piece"));
        }
        // HTTP/1.1 works as before.
        let (status, _) = match authority {
            None => server.get("/livez"),
            Some(authority) => {
                let mut tls = authority.connect(server.http);
                tls.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("ask");
                let mut reply = [0; 12];
                tls.read_exact(&mut reply).expect("a status");
                (String::from_utf8_lossy(&reply[9..]).parse().expect("a number"), String::new())
            }
        };
        assert_eq!(status, 200);
    }
}

/// Probes of an address are answered, however many streams its subscribers hold.
#[test]
fn probes_are_answered_beside_a_thousand_streams_of_the_same_address() {
    const STREAMS: usize = 1_000;
    const CONNECTIONS: usize = 250;
    let authority = Authority::new();
    for authority in [None, Some(&authority)] {
        let (server, _mounted) = start(authority);
        let subscriber = Http2::connect(server.http, authority);
        let streams: Vec<_> = (0..STREAMS)
            .map(|at| subscriber.open(&format!("/v1/watch?interface={INTERFACE}{at}")).expect("a stream"))
            .collect();
        assert!(streams.iter().all(|stream| stream.status() == 200));
        // And more over HTTP/1.1, each on a separate connection.
        let connections: Vec<_> = match authority {
            None => (0..CONNECTIONS).map(|_| Stream::open(server.http, "interface=a.B", None)).collect(),
            Some(_) => Vec::new(),
        };
        let lists: Vec<_> = (0..20).map(|_| subscriber.open("/v1/pods").expect("a list")).collect();
        let prober = Http2::connect(server.http, authority);
        for _ in 0..20 {
            for path in ["/livez", "/readyz", "/metrics"] {
                let start = Instant::now();
                assert_eq!(prober.get(path).0, 200, "{path} on a separate connection");
                assert_eq!(subscriber.get(path).0, 200, "{path} on the subscriber's");
                if authority.is_none() {
                    assert_eq!(server.get(path).0, 200, "{path} by HTTP/1");
                }
                assert!(start.elapsed() < Duration::from_secs(2), "{path}: {:?}", start.elapsed());
            }
        }
        let metrics = prober.get("/metrics").1;
        let count = format!("callsign_subscribers {}\n", STREAMS + connections.len());
        assert!(metrics.contains(&count), "no {count} in {metrics}");
        assert!(lists.iter().all(|list| list.status() == 200));
    }
}

/// Lists beyond a client's share are refused, and only that client's.
#[test]
fn lists_of_one_client_are_bounded() {
    let server = Server::start(&["--manifests", manifests()]);
    // A client that reads nothing: its answers stay in transit.
    let reader = Http2::connect_with(server.http, None, &reader_of_nothing());
    let lists: Vec<_> = (0..64).map(|_| reader.open("/v1/pods").expect("a list")).collect();
    assert!(lists.iter().all(|list| list.status() == 200));
    let (status, body) = server.get("/v1/pods");
    assert!(status == 429 && body.contains("64 unread lists"), "{status} {body}");
    assert_eq!(server.get("/livez").0, 200);
    let metrics = server.get("/metrics").1;
    assert!(metrics.contains("callsign_http_refused_total{reason=\"client-lists\"} 1\n"), "{metrics}");
    drop(lists);
    eventually(PATIENCE, || match server.get("/v1/pods").0 {
        200 => Ok(()),
        status => Err(format!("{status}: its lists are over")),
    });
}

/// A client with windows so small that its answers stay in transit.
fn reader_of_nothing() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1).adaptive_window(false);
    builder
}

/// Short answers have no share, and are bounded too: a client that leaves too many of them unread loses the oldest ones, at
/// once, and nothing else of its connection.
#[test]
fn unread_short_answers_are_bounded() {
    let server = Server::start(&["--manifests", manifests()]);
    let reader = Http2::connect_with(server.http, None, &reader_of_nothing());
    let mut answers: Vec<_> = (0..320).map(|_| reader.open("/livez").expect("an answer")).collect();
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    let is_cut = |answer| reader.rest(answer).is_err_and(|error| is_reset(&error));
    let cut = answers.iter_mut().map(is_cut).take_while(|is_cut| *is_cut).count();
    assert_eq!(cut, 320 + 1 - 256, "a probe of the same address needs room as well");
    assert!(answers.drain(cut + 1..).all(|mut answer| reader.rest(&mut answer).is_ok()), "the younger ones are whole");
    assert!(server.get("/metrics").1.contains("callsign_slow_readers_total 65\n"), "{}", server.get("/metrics").1);
}

/// Whether only a stream was reset, and not its connection.
fn is_reset(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_reset() && cause.reason() == Some(h2::Reason::CANCEL))
}

/// Each stream over HTTP/1.1 has a connection with its buffers, so those connections have a separate bound.
#[test]
fn connections_that_carry_streams_are_bounded() {
    let server = Server::start(&["--manifests", manifests()]);
    let long = format!("interface={INTERFACE}&interface={}", "x".repeat(40_000));
    let first: Vec<_> = (0..40).map(|_| Stream::open(server.http, &long, None)).collect(); // three places each
    let rest: Vec<_> = (0..136).map(|_| Stream::open(server.http, "interface=a.B", None)).collect();
    let (status, body) = server.get("/v1/watch?interface=a.B");
    assert!(status == 429 && body.contains("256 connections"), "{status} {body}");
    for path in ["/livez", "/readyz", "/metrics", "/v1/pods"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    let refused = "callsign_http_refused_total{reason=\"client-stream-connections\"} 1\n";
    assert!(server.get("/metrics").1.contains(refused), "{}", server.get("/metrics").1);
    drop((first, rest));
    let subscriber = Http2::connect(server.http, None);
    eventually(PATIENCE, || {
        let streams: Vec<_> =
            (0..300).map(|_| subscriber.open("/v1/watch?interface=a.B").expect("an answer").status()).collect();
        match streams.iter().all(|status| status.as_u16() == 200) {
            true => Ok(()),
            false => Err(format!("{streams:?}")),
        }
    });
}

/// HTTP/2's windows hide from the socket that nobody reads. Such an answer is reset too. A regression: one unread answer ended
/// its connection, and with it all subscriptions of a process.
#[test]
fn an_unread_http2_answer_ends_alone() {
    let server = Server::start(&["--manifests", manifests()]);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(100).adaptive_window(false); // none of the answers fits
    let reader = Http2::connect_with(server.http, None, &builder);
    let watch = format!("/v1/watch?interface={INTERFACE}");
    let mut stream = reader.open(&watch).expect("a stream");
    let unread = ["/v1/pods", "/metrics", &watch];
    let mut unread = unread.map(|path| reader.open(path).expect("an answer"));
    let is_over = |text: &str| text.contains("callsign_slow_readers_total 3\n");
    let started = Instant::now();
    while !is_over(&server.get("/metrics").1) {
        assert!(started.elapsed() < Duration::from_secs(90), "the unread answers are still held");
        reader.piece(&mut stream).expect("no end").expect("a piece of what is read");
    }
    for answer in &mut unread {
        let error = reader.rest(answer).expect_err("a reset");
        assert!(is_reset(&error), "{error:?}");
    }
    reader.piece(&mut stream).expect("no end").expect("a sign of life");
    assert_eq!(reader.open("/livez").expect("an answer").status(), 200, "the connection goes on");
}

/// A connection for one request after another.
struct KeptAlive(BufReader<TcpStream>);

impl KeptAlive {
    fn connect(server: SocketAddr) -> KeptAlive {
        let stream = TcpStream::connect(server).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        KeptAlive(BufReader::new(stream))
    }

    /// The status, and whether the answer says that it is the last. `None` if there is no answer.
    fn get(&mut self, path: &str) -> Option<(u16, bool)> {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(len) if len > 2 => head.push(line.trim_end().to_ascii_lowercase()),
                Ok(2) => break,
                _ => return None,
            }
        }
        let len = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).expect("a length");
        self.0.read_exact(&mut vec![0; len]).ok()?;
        let status = head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Some((status, head.iter().any(|line| line == "connection: close")))
    }
}

/// A regression: a keep-alive connection was cut after 60 s, in the middle of a request and without notice.
#[test]
fn a_kept_connection_is_never_cut_in_the_middle_of_a_request() {
    let server = Server::start(&["--manifests", manifests(), "--lame-duck", "3"]);
    let mut client = KeptAlive::connect(server.http);
    let start = Instant::now();
    let mut asked = 0;
    while start.elapsed() < Duration::from_secs(66) {
        for path in ["/v1/interfaces", "/livez"] {
            let answer = client.get(path).unwrap_or_else(|| panic!("no answer after {:?}", start.elapsed()));
            assert_eq!(answer.0, 200);
            if answer.1 {
                client = KeptAlive::connect(server.http);
            }
        }
        asked += 1;
        thread::sleep(Duration::from_millis(250));
    }
    assert!(asked > 100, "{asked} requests");
    // The server announces its end on both kinds of connection.
    let subscriber = Http2::connect(server.http, None);
    let mut stream = subscriber.open(&format!("/v1/watch?interface={INTERFACE}")).expect("a stream");
    server.signal(Signal::SIGTERM);
    eventually(PATIENCE, || match client.get("/livez") {
        Some((200, true)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let told = subscriber.rest(&mut stream).expect("an end, and no error");
    assert!(told.contains("event: set"), "{told}");
}

#[test]
fn idle_connections_of_one_address_keep_no_probe_out() {
    let server = Server::start(&["--manifests", manifests()]);
    let held: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(server.http).expect("a connection")).collect();
    for path in ["/livez", "/readyz", "/metrics"] {
        let start = Instant::now();
        assert_eq!(server.get(path).0, 200, "{path}");
        assert!(start.elapsed() < Duration::from_secs(1), "{path}: {:?}", start.elapsed());
    }
    drop(held);
}
