//! A panic in the middle of a query: it costs only that query, is counted, and is visible.
//!
//! The test causes it in code that all queries pass, with a log subscriber that panics at one name.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use callsign::changes::Changes;
use callsign::heartbeat::Heartbeat;
use callsign::http::access::Access;
use callsign::http::{self, ApiState, HttpLimits, ListBudget};
use callsign::metrics::Metrics;
use callsign::server::encrypted::certificate::{Certificate, CertificateFiles};
use callsign::server::encrypted::quic::{self, Alpn};
use callsign::server::encrypted::tls;
use callsign::server::listen::Listen;
use callsign::server::{Responder, tcp, udp};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::harness::budget::pods::service_name;
use crate::harness::budget::query::query;
use crate::harness::budget::zone::Zone;
use crate::harness::quic::Quic;
use crate::harness::tls::{Authority, Mounted};

/// The name at which the log subscriber panics.
const FATAL: &str = "fatal";

/// The number of queries that cause a panic over each transport.
const FATAL_COUNT: usize = 20;

/// The message of the panic that the log subscriber causes.
const INTENDED: &str = "the intended panic";

struct PanickingLog;

impl Subscriber for PanickingLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "callsign::query"
    }

    fn event(&self, event: &Event<'_>) {
        struct Look;
        impl Visit for Look {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                assert!(field.name() != "name" || !format!("{value:?}").contains(FATAL), "{INTENDED}");
            }
        }
        event.record(&mut Look);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Running {
    dns: SocketAddr,
    tls: SocketAddr,
    quic: SocketAddr,
    http: SocketAddr,
    authority: Authority,
    responder: Arc<Responder>,
}

fn start(heartbeat: Heartbeat) -> Running {
    let zone = Zone::of_pods(100);
    let responder = Arc::new(Responder { logs_queries: true, ..zone.responder() });
    let authority = Authority::new();
    let (certificate, key, _) = authority.issue();
    let mounted = Mounted::new(&certificate, &key);
    let files = CertificateFiles { certificate: mounted.file("tls.crt").into(), key: mounted.file("tls.key").into() };
    let certificate = Arc::new(Certificate::read(files).expect("a certificate"));
    let (shared, (told, addresses)) = (responder.clone(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let any = Listen::from(SocketAddr::from(([127, 0, 0, 1], 0)));
            let [listener, over_tls] = [(); 2].map(|()| tcp::bind(any).expect("bind TCP"));
            let over_quic = quic::bind(any, Alpn::Dns, certificate.clone()).expect("bind QUIC");
            let pages = tcp::bind(any).expect("bind HTTP");
            let tcp = [&listener, &over_tls, &pages].map(|listener| listener.local_addr().expect("its address"));
            let over_udp = udp::bind(tcp[0].into()).expect("bind UDP"); // before any query arrives there
            told.send((tcp, over_quic.local_addr().expect("its address"))).expect("a receiver");
            udp::serve(over_udp, tcp[0].into(), shared.clone()).expect("a thread");
            let (_open, closing) = watch::channel(false);
            tokio::spawn(http::serve(pages, Arc::new(all_pages(&shared, heartbeat)), closing.clone()));
            let acceptor = tls::acceptor(certificate).expect("an acceptor");
            tokio::spawn(tls::serve(over_tls, acceptor, shared.clone(), closing.clone()));
            tokio::spawn(quic::serve(over_quic, Alpn::Dns, shared.clone(), closing.clone()));
            tcp::serve(listener, shared, closing).await;
        });
    });
    let ([dns, tls, http], quic) = addresses.recv_timeout(Duration::from_secs(10)).expect("a running server");
    Running { dns, tls, quic, http, authority, responder }
}

fn all_pages(responder: &Responder, heartbeat: Heartbeat) -> ApiState {
    ApiState {
        access: Access::default(),
        zone: responder.zone.clone(),
        metrics: Arc::new(Metrics::new("0", "0")),
        counters: Arc::default(),
        server_counters: responder.counters.clone(),
        changes: Arc::new(Changes::new(0)),
        heartbeat: Arc::new(heartbeat),
        is_ending: Arc::new(AtomicBool::new(false)),
        list_budget: ListBudget::default(),
        limits: HttpLimits::default(),
        sources: Box::new(Vec::new),
    }
}

/// Queries of which every third causes a panic. Each has its index as its id.
fn queries() -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..3 * FATAL_COUNT).map(|at| {
        let name = if at % 3 == 1 { format!("{FATAL}.rpc.cluster.local.") } else { service_name(at % 25, 0) };
        let mut query = query(&name, 33, true);
        query[..2].copy_from_slice(&(at as u16).to_be_bytes());
        (at, query)
    })
}

fn check(at: usize, reply: &[u8]) {
    let rcode = reply[3] & 15;
    let answers = u16::from_be_bytes([reply[6], reply[7]]);
    let expected = if at % 3 == 1 { (2, 0) } else { (0, 4) };
    assert_eq!((rcode, answers), expected, "reply {at}");
}

#[test]
fn a_panic_costs_one_query() {
    tracing::subscriber::set_global_default(PanickingLog).expect("the first log");
    let Running { dns, tls, quic, http, authority, responder } = start(Heartbeat::default());
    // The panics are intended. Those of other tests in this process print as before.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(INTENDED) {
            print(info);
        }
    }));

    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(dns).expect("connect");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    queries().for_each(|(_, query)| assert_eq!(socket.send(&query).expect("send"), query.len()));
    let mut seen = [false; 3 * FATAL_COUNT];
    for _ in 0..seen.len() {
        let mut reply = [0; 4096];
        let len = socket.recv(&mut reply).expect("a reply");
        let at = usize::from(u16::from_be_bytes([reply[0], reply[1]]));
        check(at, &reply[..len]);
        seen[at] = true;
    }
    assert!(seen.iter().all(|seen| *seen), "every query over UDP is answered");

    let mut tcp = TcpStream::connect(dns).expect("connect");
    tcp.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let pipelined: Vec<u8> =
        queries().flat_map(|(_, query)| [&(query.len() as u16).to_be_bytes()[..], &query].concat()).collect();
    tcp.write_all(&pipelined).expect("write");
    for at in 0..3 * FATAL_COUNT {
        let mut len = [0; 2];
        tcp.read_exact(&mut len).expect("a length");
        let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
        tcp.read_exact(&mut reply).expect("a reply");
        check(at, &reply);
    }

    let mut tls = authority.connect(tls);
    for (at, query) in queries() {
        check(at, &tls.exchange(&query).expect("a reply over TLS"));
    }
    let quic = Quic::connect(&authority, quic, b"doq");
    for (at, mut query) in queries() {
        query[..2].fill(0); // RFC 9250 §4.2.1
        let reply = quic.exchange(&[&(query.len() as u16).to_be_bytes()[..], &query].concat());
        check(at, &reply.expect("a reply over QUIC")[2..]);
    }

    assert_eq!(responder.counters.panics(), 4 * FATAL_COUNT as u64);
    let text = livez(http);
    assert!(
        text.starts_with("HTTP/1.0 200") && text.contains("ok, but the processing of 80 queries panicked"),
        "{text}"
    );
}

fn livez(http: SocketAddr) -> String {
    let mut page = TcpStream::connect(http).expect("connect");
    page.write_all(b"GET /livez HTTP/1.0\r\n\r\n").expect("ask");
    let mut text = String::new();
    page.read_to_string(&mut text).expect("a page");
    text
}

#[test]
fn a_writer_that_stalls_fails_the_probe() {
    let a_minute_ago = Instant::now().checked_sub(Duration::from_secs(60)).expect("a machine that is up that long");
    let text = livez(start(Heartbeat::since(a_minute_ago)).http);
    assert!(text.starts_with("HTTP/1.0 503") && text.contains("the writer of the zone does not respond"), "{text}");
}
