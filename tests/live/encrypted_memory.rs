//! Clients of the encrypted transports that try to take the server's memory: endless frames, endless queries, unread replies.
//! The memory of a connection is bounded, and the server ends a connection that its client stalls.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::base::iana::Rtype;
use futures_util::{StreamExt, future, stream};
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use quinn::TransportConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::harness::eventually;
use crate::harness::quic::Quic;
use crate::harness::tls::{Authority, SERVER_NAME};

use super::encrypted::Encrypted;
use super::site::{ask, manifest, pod, text};

/// How long a stalled connection may last.
const PATIENCE: Duration = Duration::from_secs(18);

/// The stalled connections, and the queries on each: as many as the server answers concurrently.
const CONNECTIONS: usize = 16;
const QUERIES: usize = 100;

/// The memory that each may take, with the allocator's overhead. Without a bound its replies and its queries would take 6 MiB
/// each.
const CONNECTION_KIB_MAX: u64 = 1280;

/// A reserved frame type, which servers ignore (RFC 9114 §7.2.8), and a length of 2^40.
const ENDLESS_FRAME: [u8; 9] = [0x21, 0xc0, 0, 1, 0, 0, 0, 0, 0];

/// The beginning of a control stream: its type, and empty SETTINGS.
const CONTROL: [u8; 3] = [0, 4, 0];

/// The codes for excessive load in HTTP/3 and DNS over QUIC (RFC 9114 §8.1, RFC 9250 §8.4).
const H3_EXCESSIVE_LOAD: u64 = 0x107;
const DOQ_EXCESSIVE_LOAD: u64 = 4;

/// A server with a set that fills the longest reply.
fn large() -> Encrypted {
    let member = |n: usize| {
        let address = Ipv4Addr::new(10, 244, (n / 250) as u8, (n % 250) as u8);
        pod(&format!("member-{n}"), address, "interface=crowd protocol=tri port=1")
    };
    let pods: Vec<_> = (0..950).map(member).collect();
    let site = Encrypted::of(text(&manifest(&pods)));
    read(&site, 20); // the setup of each thread belongs to no client
    site
}

/// Asks for that set several times concurrently over HTTP/3, and reads every reply.
fn read(site: &Encrypted, times: usize) {
    let connection = Quic::connect(&site.authority, site.https, b"h3");
    let request = Request::get(format!("https://{SERVER_NAME}{}", path())).body(Bytes::new()).expect("a request");
    for response in connection.requests(vec![request; times]) {
        assert_eq!(response.status(), 200);
        assert!(response.body().len() > 60_000, "{} bytes", response.body().len());
    }
}

/// The query for that set, with the id 0.
fn query() -> Vec<u8> {
    let mut query = ask("_tri._tcp.crowd.default.Z", Rtype::SRV).to_wire();
    query[..2].copy_from_slice(&[0, 0]);
    query
}

fn path() -> String {
    format!("/dns-query?dns={}", BASE64_URL_SAFE_NO_PAD.encode(query()))
}

fn resident_kib(site: &Encrypted) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.server.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// How much the server's memory grows while the clients run, and their results. Other queries are answered meanwhile.
fn grown<T: Send>(site: &Encrypted, clients: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> (u64, Vec<T>) {
    let before = resident_kib(site);
    thread::scope(|scope| {
        let clients: Vec<_> = clients.into_iter().map(|client| scope.spawn(client)).collect();
        let mut most = before;
        while clients.iter().any(|client| !client.is_finished()) {
            let asked = Instant::now();
            assert_eq!(ask("Z", Rtype::SOA).udp(site.server.dns).answer.len(), 1, "others do not notice");
            assert!(asked.elapsed() < Duration::from_secs(2), "nor wait: {:?}", asked.elapsed());
            most = most.max(resident_kib(site));
            thread::sleep(Duration::from_millis(20));
        }
        (most - before, clients.into_iter().map(|client| client.join().expect("a client")).collect())
    })
}

#[track_caller]
fn bounded(what: &str, grown: u64, connections: usize) {
    eprintln!("{what}: {} KiB a connection", grown / connections as u64);
    let most = connections as u64 * CONNECTION_KIB_MAX;
    assert!(grown < most, "{what}: {grown} KiB more for {connections} connections");
}

fn all_closed(site: &Encrypted, transport: &str) {
    eventually(PATIENCE, || match site.metric(&format!("callsign_connections{{transport=\"{transport}\"}}")) {
        0 => Ok(()),
        open => Err(format!("{open} open")),
    });
}

#[test]
fn a_frame_without_an_end_ends_an_http_3_connection() {
    const SENT: usize = 32 << 20;
    let site = Encrypted::start();
    let first = Quic::connect(&site.authority, site.https, b"h3"); // the setup belongs to no client
    first.begin_one_way(&CONTROL);
    first.exchange(&headers(&path())).expect("a response");
    for (what, one_way, beginning) in [
        ("the control stream", true, [&CONTROL[..], &ENDLESS_FRAME].concat()),
        ("a request", false, ENDLESS_FRAME.to_vec()),
        ("a request's head", false, [&[1][..], &ENDLESS_FRAME[1..]].concat()),
    ] {
        let client: Box<dyn FnOnce() -> _ + Send> = Box::new(|| {
            let connection = Quic::connect(&site.authority, site.https, b"h3");
            let sent = connection.flood(one_way, &beginning, SENT);
            (sent, connection.closed())
        });
        let (grown, told) = grown(&site, vec![client]);
        bounded(what, grown, 1);
        let [(sent, code)] = told[..] else { panic!("one client") };
        assert!(sent < SENT && code == H3_EXCESSIVE_LOAD, "{what}: {code:#x} after {sent} bytes");
    }
}

#[test]
fn a_long_control_stream_of_short_frames_is_read() {
    let site = Encrypted::start();
    let connection = Quic::connect(&site.authority, site.https, b"h3");
    // PRIORITY_UPDATE (RFC 9218 §7.2), as browsers send one with each request.
    let update = [&[0x80, 0x0f, 0x07, 0x00, 6, 0][..], b"u=3,i"].concat();
    connection.begin_one_way(&[&CONTROL[..], &update.repeat(100_000)].concat());
    let told = connection.exchange(&headers(&path())).expect("it is still answered");
    assert!(!told.is_empty());
}

/// An HTTP/3 request's head as a frame: QPACK's static table, and no Huffman codes (RFC 9204).
fn headers(path: &str) -> Vec<u8> {
    let literal = |index: u8, text: &str| [&[0x50 | index, text.len() as u8][..], text.as_bytes()].concat();
    assert!(path.len() < 0x7f, "a length of one byte");
    let fields = [&[0, 0, 0xd1, 0xd7][..], &literal(0, SERVER_NAME), &literal(1, path)].concat();
    [&[1, 0x40 | (fields.len() >> 8) as u8, fields.len() as u8][..], &fields].concat()
}

/// A QUIC client that grants each of the server's streams a KiB.
fn narrow() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(1024_u32.into());
    transport
}

/// One QUIC connection with many equal streams that are not read. Returns the code with which it ends.
fn stall(site: &Encrypted, protocol: &[u8], message: &[u8], ends: bool) -> Option<u64> {
    let server = if protocol == b"h3" { site.https } else { site.quic };
    let connection = Quic::connect_with(&site.authority, server, protocol, narrow());
    if protocol == b"h3" {
        connection.begin_one_way(&CONTROL);
    }
    connection.stall(&vec![message.to_vec(); QUERIES], ends, PATIENCE)
}

fn replies_that_nobody_reads(protocol: &[u8], message: &[u8], code: u64, transport: &str) {
    let site = large();
    let client = |_| Box::new(|| stall(&site, protocol, message, true)) as Box<dyn FnOnce() -> _ + Send>;
    let (grown, codes) = grown(&site, (0..CONNECTIONS).map(client).collect());
    bounded(transport, grown, CONNECTIONS);
    assert_eq!(codes, [Some(code); CONNECTIONS], "{transport}");
    all_closed(&site, transport);
}

#[test]
fn unread_replies_end_a_quic_connection() {
    let framed = [&(query().len() as u16).to_be_bytes(), &query()[..]].concat();
    replies_that_nobody_reads(b"doq", &framed, DOQ_EXCESSIVE_LOAD, "quic");
}

#[test]
fn unread_replies_end_an_http_3_connection() {
    replies_that_nobody_reads(b"h3", &headers(&path()), H3_EXCESSIVE_LOAD, "https");
}

#[test]
fn a_client_that_reads_gets_more_than_the_budget() {
    read(&large(), 40);
}

#[test]
fn queries_without_an_end_end_a_quic_connection() {
    let site = Encrypted::start();
    let doq = [&60_002_u16.to_be_bytes()[..], &[0; 60_000]].concat();
    let endless = [&ENDLESS_FRAME[..], &[0; 60_000]].concat();
    for (protocol, message, code) in [(&b"doq"[..], doq, DOQ_EXCESSIVE_LOAD), (b"h3", endless, H3_EXCESSIVE_LOAD)] {
        let client = |_| Box::new(|| stall(&site, protocol, &message, false)) as Box<dyn FnOnce() -> _ + Send>;
        let (grown, codes) = grown(&site, (0..CONNECTIONS).map(client).collect());
        bounded(&String::from_utf8_lossy(protocol), grown, CONNECTIONS);
        assert_eq!(codes, [Some(code); CONNECTIONS]);
    }
}

/// What an HTTP/2 client does a hundred times concurrently.
#[derive(Clone, Copy)]
enum Does {
    /// Sends a request, and grants its reply a window of this many bytes.
    Read(u32),
    /// Sends a long body without its end.
    Post,
}

/// One HTTP/2 connection, until the server ends it or time is up.
fn http2(authority: &Authority, server: SocketAddr, does: Does) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = TcpStream::connect(server).await.expect("connect");
        let connector = TlsConnector::from(Arc::new(authority.client(b"h2")));
        let name = ServerName::try_from(SERVER_NAME).expect("a name");
        let stream = connector.connect(name, stream).await.expect("TLS");
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let (url, patience) = (format!("https://{SERVER_NAME}{}", path()), PATIENCE);
        let (request, len, patience) = match does {
            Does::Read(window) => {
                builder.initial_stream_window_size(window);
                (Request::get(url), 0, patience)
            }
            Does::Post => {
                let post = Request::post(format!("https://{SERVER_NAME}/dns-query"));
                (post.header("content-type", "application/dns-message"), 65_000, Duration::from_secs(4))
            }
        };
        let request = request.body(()).expect("a request");
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
        let connection = tokio::spawn(connection);
        for _ in 0..QUERIES {
            let (mut sender, request) = (sender.clone(), request.clone());
            let body = stream::iter((len > 0).then(|| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![0; len])))));
            tokio::spawn(async move {
                let response = match does {
                    Does::Read(_) => sender.send_request(request.map(|()| StreamBody::new(body.boxed()))).await,
                    Does::Post => {
                        let endless = body.chain(stream::pending());
                        sender.send_request(request.map(|()| StreamBody::new(endless.boxed()))).await
                    }
                };
                future::pending::<()>().await;
                drop(response); // the client neither reads nor resets it
            });
        }
        timeout(patience, connection).await.is_ok()
    })
}

#[test]
fn unread_replies_end_an_http_2_connection() {
    let site = large();
    // With a window of 1 h2 holds the reply, and with a window of 0 callsign does.
    let client = |n: usize| {
        let does = Does::Read(n as u32 % 2);
        let (authority, https) = (&site.authority, site.https);
        Box::new(move || http2(authority, https, does)) as Box<dyn FnOnce() -> _ + Send>
    };
    let (grown, ended) = grown(&site, (0..CONNECTIONS).map(client).collect());
    bounded("HTTP/2", grown, CONNECTIONS);
    assert_eq!(ended, [true; CONNECTIONS]);
    all_closed(&site, "https");
}

#[test]
fn endless_bodies_take_no_memory_over_http_2() {
    let site = Encrypted::start();
    let client = |_| Box::new(|| http2(&site.authority, site.https, Does::Post)) as Box<dyn FnOnce() -> _ + Send>;
    let (grown, _) = grown(&site, (0..CONNECTIONS).map(client).collect());
    bounded("bodies", grown, CONNECTIONS);
}
