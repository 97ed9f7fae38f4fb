//! Which clients may ask, how much, and which have proved their address.
//!
//! Each loopback address stands for one client: the server is at 127.0.0.1, and clients are anywhere in 127.0.0.0/8.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use socket2::{Domain, Socket, Type};

use super::cookies::cookie_alone;
use super::site::{NSID, ask, manifests};
use crate::harness::ask::{Ask, Edns, Reply, flag};
use crate::harness::eventually;
use crate::harness::exchange::read_message;
use crate::harness::process::scratch;
use crate::harness::server::Server;
use crate::harness::tls::{Authority, Mounted};

const COOKIE: u16 = 10;
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// An SRV set of some size.
pub(super) const NAME: &str = "_rpc._tcp.org.acme.greeter.default.Z";

pub(super) fn start(args: &[&str]) -> Server {
    Server::start(&[&["--manifests", manifests(), "--nsid", NSID], args].concat())
}

/// A client at a loopback address.
pub(super) struct Client(pub(super) UdpSocket);

impl Client {
    pub(super) fn at(address: &str, server: &Server) -> Client {
        let socket = UdpSocket::bind((address, 0)).expect("an address of loopback");
        socket.connect(server.dns).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client(socket)
    }

    pub(super) fn ask(&self, ask: &Ask) -> Reply {
        let query = ask.to_wire();
        self.0.send(&query).expect("send");
        let mut reply = vec![0; 4096];
        let len = self.0.recv(&mut reply).expect("a reply");
        reply.truncate(len);
        Reply::read(&query, reply)
    }

    /// Sends questions at once and counts the replies: whole ones, cut ones, and those with BADCOOKIE.
    pub(super) fn flood(&self, ask: &Ask, count: usize) -> [usize; 3] {
        let mut replies = [0; 3];
        let mut read = || {
            let mut reply = [0; 4096];
            while let Ok(len) = self.0.recv(&mut reply) {
                let is_cut = reply[2] & 2 != 0;
                // BADCOOKIE is 23: its low bits are in the header, its high bits in OPT.
                let is_bad_cookie = reply[3] & 15 == 7;
                assert!(!is_cut || len < 120, "what sends to TCP is short");
                replies[if is_bad_cookie { 2 } else { usize::from(is_cut) }] += 1;
            }
        };
        self.0.set_nonblocking(true).expect("no waits");
        for sent in 0..count {
            self.0.send(&ask.to_wire()).expect("send");
            read();
            if sent % 50 == 0 {
                std::thread::sleep(Duration::from_millis(5)); // or a socket's buffer overflows
            }
        }
        self.0.set_nonblocking(false).expect("waits");
        self.0.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        read();
        self.0.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        replies
    }
}

pub(super) fn with_cookie(ask: Ask, cookie: &[u8]) -> Ask {
    ask.opt(Edns { size: 1232, options: vec![(COOKIE, cookie.to_vec())], ..Edns::default() })
}

/// The cookie in a reply.
pub(super) fn cookie_of(reply: &Reply) -> Option<Vec<u8>> {
    let options = &reply.edns.as_ref()?.options;
    options.iter().find(|(code, _)| *code == COOKIE).map(|(_, data)| data.clone())
}

fn metric(server: &Server, series: &str) -> u64 {
    let (_, metrics) = server.get("/metrics");
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// bad-input 35.
#[test]
fn a_rate_of_replies() {
    const RATE: usize = 50;
    let server = start(&["--rrl", &RATE.to_string(), "--cookies", "--trusted-client", "127.9.0.0/16"]);
    let srv = || ask(NAME, Rtype::SRV).edns(1232);
    let stranger = Client::at("127.1.1.1", &server);
    let begun = Instant::now();
    let [whole, cut, _] = stranger.flood(&srv(), 1000);
    let within = RATE + (RATE as f64 * begun.elapsed().as_secs_f64()) as usize + 1;
    assert!((RATE..=within).contains(&whole), "{whole} whole replies");
    assert!(cut.abs_diff((1000 - whole) / 2) <= 1, "{cut} cut ones beside {whole} whole ones: every second one");
    assert!(metric(&server, r#"callsign_dropped_total{reason="rate-limit"}"#) >= 400);
    let neighbour = Client::at("127.1.1.200", &server);
    assert!(neighbour.flood(&srv(), 100)[0] < RATE, "one network, one rate");
    assert_eq!(Client::at("127.2.2.2", &server).flood(&srv(), RATE)[0], RATE, "another network is not held to it");
    // CoreDNS's health probe, TCP and trusted clients are never limited.
    assert_eq!(stranger.flood(&Ask::new(".", Rtype::NS), 300)[0], 300);
    let mut tcp = from("127.1.1.1", server.dns);
    for _ in 0..200 {
        assert!(!converse(&mut tcp, &srv()).answer.is_empty());
    }
    assert_eq!(Client::at("127.9.9.9", &server).flood(&srv(), 300), [300, 0, 0]);
    // A client cookie gets BADCOOKIE with a server cookie. A query with that is not limited.
    let [_, cut, bad_cookie] = stranger.flood(&with_cookie(ask(NAME, Rtype::SRV), b"8 bytes!"), 300);
    assert!(cut == 0 && bad_cookie > 50, "{bad_cookie}");
    let query = with_cookie(ask(NAME, Rtype::SRV), b"8 bytes!").to_wire();
    tcp.write_all(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat()).expect("write");
    let cookie = cookie_of(&Reply::read(&query, read_message(&mut tcp).expect("a reply"))).expect("a cookie");
    assert_eq!(stranger.flood(&with_cookie(ask(NAME, Rtype::SRV), &cookie), 300), [300, 0, 0]);
    // Unparsable messages are limited too.
    let garbage = Client::at("127.3.3.3", &server);
    for _ in 0..1000 {
        garbage.0.send(&[1, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0]).expect("send");
    }
    garbage.0.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let refusals = std::iter::from_fn(|| garbage.0.recv(&mut [0; 512]).ok()).count();
    assert!((RATE..4 * RATE).contains(&refusals), "{refusals} refusals");
    // So are malformed cookies, and queries for a cookie alone.
    for (address, query) in
        [("127.4.4.4", with_cookie(ask(NAME, Rtype::SRV), &[7; 9]).to_wire()), ("127.5.5.5", cookie_alone(b"8 bytes!"))]
    {
        let client = Client::at(address, &server);
        for _ in 0..1000 {
            client.0.send(&query).expect("send");
        }
        client.0.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        let replies = std::iter::from_fn(|| client.0.recv(&mut [0; 512]).ok()).count();
        assert!((RATE..4 * RATE).contains(&replies), "{replies} replies to {address}");
    }
}

#[test]
fn only_allowed_networks_get_answers() {
    let server = start(&["--allow", "127.0.0.1", "--allow", "127.5.0.0/16"]);
    for (address, is_allowed) in [("127.0.0.1", true), ("127.5.1.2", true), ("127.0.0.2", false), ("127.6.0.1", false)]
    {
        let udp = Client::at(address, &server).ask(&ask(NAME, Rtype::SRV).edns(1232));
        let tcp = converse(&mut from(address, server.dns), &ask(NAME, Rtype::SRV).edns(1232));
        for reply in [udp, tcp] {
            let expected = if is_allowed { "NOERROR" } else { "REFUSED" };
            assert_eq!((reply.rcode.as_str(), reply.answer.is_empty()), (expected, !is_allowed), "{address}");
            let prohibited = (15, 18_u16.to_be_bytes().to_vec()); // EDE 18
            let options = reply.edns.expect("an OPT").options;
            assert_eq!(options.contains(&prohibited), !is_allowed, "{address}");
            assert!(is_allowed || reply.wire.len() < 100, "small");
        }
    }
}

/// Whether a question on it is answered.
fn is_served(stream: &mut TcpStream) -> bool {
    let query = ask("Z", Rtype::SOA).to_wire();
    let sent = stream.write_all(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat());
    sent.is_ok() && read_message(stream).is_ok()
}

/// bad-input 37: the limit of connections of one client.
#[test]
fn connections_of_one_client() {
    let server = start(&["--tcp-per-client", "3", "--trusted-client", "127.9.0.0/16"]);
    let mut held: Vec<TcpStream> = (0..3).map(|_| from("127.0.0.1", server.dns)).collect();
    assert!(held.iter_mut().all(is_served));
    assert!(!is_served(&mut from("127.0.0.1", server.dns)), "one more");
    assert!(metric(&server, r#"callsign_dropped_total{reason="client-full"}"#) >= 1);
    assert!(is_served(&mut from("127.0.0.2", server.dns)), "others do not notice");
    assert_eq!(ask("Z", Rtype::SOA).udp(server.dns).answer.len(), 1);
    let mut trusted: Vec<TcpStream> = (0..20).map(|_| from("127.9.1.1", server.dns)).collect();
    assert!(trusted.iter_mut().all(is_served));
    drop(held.pop());
    eventually(PATIENCE, || match is_served(&mut from("127.0.0.1", server.dns)) {
        true => Ok(()),
        false => Err("its place is not free again"),
    });
}

/// bad-input 37: if all places are taken, the next connection replaces the one that was silent the longest, at once. A
/// trusted client keeps its places.
#[test]
fn the_connection_that_was_silent_the_longest_is_replaced() {
    let server = start(&["--tcp-clients", "8", "--tcp-per-client", "4", "--trusted-client", "127.9.0.0/16"]);
    let mut trusted = from("127.9.1.1", server.dns);
    assert!(is_served(&mut trusted));
    let addresses = ["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.2"];
    let mut held = addresses.map(|address| from(address, server.dns));
    for stream in &mut held {
        assert!(is_served(stream));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(is_served(&mut held[0]), "its second question: the second connection is silent the longest now");
    let mut later = Vec::new();
    for gone in [1, 2] {
        let mut next = from("127.0.0.3", server.dns);
        assert!(is_served(&mut next));
        later.push(next);
        assert!(!is_served(&mut held[gone]), "connection {gone} was silent the longest");
        assert_eq!(metric(&server, r#"callsign_dropped_total{reason="silent"}"#), gone as u64);
    }
    assert!(is_served(&mut trusted));
    assert!([0, 3, 4, 5, 6].iter().all(|at| is_served(&mut held[*at])), "the others stay");
}

#[test]
fn the_pages_ask_for_a_token() {
    let file = scratch("token").join("token");
    fs::write(&file, "s3cr3t-1\n").expect("write");
    let server = start(&["--http-token", file.to_str().expect("a plain path")]);
    let status = |path: &str, header: &str| get(&mut from("127.0.0.1", server.http), path, header).0;
    for (path, header, expected) in [
        ("/livez", "", 200),
        ("/readyz", "", 200),
        ("/metrics", "", 401),
        ("/v1/pods", "", 401),
        ("/v1/watch?interface=a.B", "", 401),
        ("/nowhere", "", 401),
        ("/v1/pods", "Authorization: Bearer s3cr3t-1", 200),
        ("/metrics", "authorization: bearer s3cr3t-1", 200),
        ("/v1/pods", "Authorization: Bearer s3cr3t-2", 401),
        ("/v1/pods", "Authorization: Bearer s3cr3t-", 401),
        ("/v1/pods", "Authorization: Basic s3cr3t-1", 401),
        ("/v1/pods", "Authorization: Bearer", 401),
    ] {
        assert_eq!(status(path, header), expected, "{path} {header}");
    }
    fs::write(&file, "s3cr3t-2").expect("write");
    eventually(PATIENCE, || match status("/v1/pods", "Authorization: Bearer s3cr3t-2") {
        200 => Ok(()),
        status => Err(format!("still {status}")),
    });
    assert_eq!(status("/v1/pods", "Authorization: Bearer s3cr3t-1"), 401);
    assert!(!server.log().contains("s3cr3t"), "no token in a log");
}

#[test]
fn only_allowed_networks_get_the_pages() {
    let server = start(&["--http-allow", "127.0.0.1", "--http-allow", "127.5.0.0/16"]);
    for (address, is_allowed) in [("127.0.0.1", true), ("127.5.1.2", true), ("127.0.0.2", false)] {
        let mut stream = from(address, server.http);
        let head = b"GET /livez HTTP/1.0\r\n\r\n";
        let is_answered = stream.write_all(head).is_ok() && stream.read(&mut [0; 64]).is_ok_and(|len| len > 0);
        assert_eq!(is_answered, is_allowed, "{address}");
    }
}

#[test]
fn the_pages_over_tls() {
    let authority = Authority::new();
    let (certificate, key, _) = authority.issue();
    let mounted = Mounted::new(&certificate, &key);
    let files = ["tls.crt", "tls.key"].map(|name| mounted.file(name));
    let mut server = Server::launch(
        &[env!("CARGO_BIN_EXE_callsign")],
        &["--manifests", manifests(), "--http-tls", "--tls-cert", &files[0], "--tls-key", &files[1]],
    );
    let ready =
        |server: &Server| authority.try_connect(server.http).is_ok_and(|mut tls| get(&mut tls, "/readyz", "").0 == 200);
    eventually(PATIENCE, || if ready(&server) { Ok(()) } else { Err(server.log()) });
    let (status, body) = get(&mut authority.connect(server.http), "/v1/interfaces", "");
    assert!(status == 200 && body.contains("org.acme.Greeter"), "{body}");
    let mut plain = from("127.0.0.1", server.http);
    let mut answer = [0; 4];
    let _ = plain.write_all(b"GET /livez HTTP/1.0\r\n\r\n").and_then(|()| plain.read(&mut answer));
    assert_ne!(&answer, b"HTTP", "nothing in clear text");
    assert!(server.ended(Duration::ZERO).is_none());
}

/// A connection from a loopback address.
fn from(address: &str, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let here = SocketAddr::new(address.parse::<IpAddr>().expect("an address"), 0);
    socket.bind(&here.into()).expect("an address of loopback");
    socket.connect_timeout(&server.into(), PATIENCE).expect("connect");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn converse(stream: &mut TcpStream, ask: &Ask) -> Reply {
    let query = ask.to_wire();
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat()).expect("write");
    let reply = Reply::read(&query, read_message(stream).expect("a reply"));
    assert!(!reply.has(flag::TC));
    reply
}

fn get(stream: &mut (impl Read + Write), path: &str, header: &str) -> (u16, String) {
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    stream.write_all(format!("GET {path} HTTP/1.0\r\n{header}\r\n").as_bytes()).expect("ask");
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply); // TLS may end without a close_notify
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, reply)
}
