//! Clients that abuse connections: abandon them at any moment, never read, trickle, take every open file.
//!
//! The numbers are rows of BAD_INPUT.md.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use socket2::SockRef;

use crate::harness::ask::Reply;
use crate::harness::eventually;
use crate::harness::exchange::read_message;
use crate::harness::server::Server;

use super::encrypted::Encrypted;
use super::site::{ask, gave_up_nothing, manifests};
use super::sizes::LARGE;

/// How long a test waits for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("nodelay");
    stream
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn soa() -> Vec<u8> {
    ask("Z", Rtype::SOA).to_wire()
}

fn files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("its files").count()
}

fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn metric(server: &Server, series: &str) -> u64 {
    let metrics = server.get("/metrics").1;
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Row 39, CVE-2022-0396: a reset, a half-close or an end at any moment of a conversation leaves no open file, at the plain
/// ports, the encrypted ones and that of the pages.
#[test]
fn connections_that_are_abandoned_at_any_moment_leave_nothing() {
    const ROUNDS: usize = 100;
    let site = Encrypted::start();
    let query = framed(&soa());
    let twice = query.repeat(2);
    // The bytes to send before leaving, and whether to wait for a reply.
    let moments: [(&[u8], bool); 7] = [
        (b"", false),
        (&query[..1], false),
        (&query[..2], false),
        (&query[..9], false),
        (&query, false),
        (&query, true),
        (&twice[..query.len() + 5], true),
    ];
    let before = files(&site.server);
    for server in [site.server.dns, site.tls, site.https, site.server.http] {
        for (sent, waits) in moments {
            for round in 0..ROUNDS {
                let mut stream = connect(server);
                stream.write_all(sent).expect("write");
                if waits && server == site.server.dns {
                    read_message(&mut stream).expect("a reply");
                }
                match round % 3 {
                    0 => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a reset at the end"),
                    1 => match stream.shutdown(Shutdown::Write) {
                        // The server may have ended it already, because of the bytes sent.
                        Err(error) if error.kind() == ErrorKind::NotConnected => {}
                        half_closed => half_closed.expect("a half-close"),
                    },
                    _ => {}
                }
            }
        }
    }
    eventually(PATIENCE, || match files(&site.server) {
        now if now <= before => Ok(()),
        now => Err(format!("{now} files, {before} before")),
    });
    for transport in ["tcp", "tls", "https"] {
        assert_eq!(site.metric(&format!("callsign_connections{{transport=\"{transport}\"}}")), 0, "{transport}");
    }
    assert_eq!(ask("Z", Rtype::SOA).tcp(site.server.dns).answer.len(), 1);
}

/// Row 38, CVE-2024-0760: a hundred thousand queries with unread replies take only a connection's buffers, and the connection
/// ends by the write's deadline.
#[test]
fn unread_replies_take_no_memory() {
    const CONNECTIONS: usize = 50;
    const QUERIES: usize = 100_000;
    let server = Server::start(&["--manifests", manifests()]);
    let block = framed(&ask("_rpc._tcp.org.acme.greeter.default.Z", Rtype::TXT).to_wire()).repeat(200);
    let before = resident_kib(&server);
    let dns = server.dns;
    let greedy = (0..CONNECTIONS).map(|_| {
        let block = block.clone();
        thread::spawn(move || {
            let mut stream = connect(dns);
            stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
            let start = Instant::now();
            for _ in 0..QUERIES / 200 {
                if stream.write_all(&block).is_err() {
                    assert!(start.elapsed() < 3 * PATIENCE, "it was ended after {:?}", start.elapsed());
                    return true;
                }
            }
            false
        })
    });
    let greedy: Vec<_> = greedy.collect();
    let mut most = 0;
    while greedy.iter().any(|client| !client.is_finished()) {
        most = most.max(resident_kib(&server));
        assert_eq!(ask("Z", Rtype::SOA).udp(dns).answer.len(), 1, "others do not notice");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(greedy.into_iter().all(|client| client.join().expect("a client")), "every one was ended");
    let grown = most.saturating_sub(before);
    assert!(grown < CONNECTIONS as u64 * 256, "{grown} KiB more for {CONNECTIONS} connections");
    eventually(PATIENCE, || match metric(&server, "callsign_connections{transport=\"tcp\"}") {
        0 => Ok(()),
        open => Err(format!("{open} open")),
    });
}

/// Row 36: at a byte a second a message does not complete in time.
#[test]
fn a_client_that_trickles_is_cut_off() {
    let query = framed(&soa());
    for used in [false, true] {
        let mut stream = connect(LARGE.0.dns);
        if used {
            stream.write_all(&query).expect("write");
            read_message(&mut stream).expect("a reply");
        }
        let start = Instant::now();
        let end = query.iter().find_map(|byte| {
            let sent = stream.write_all(&[*byte]);
            stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
            let is_open = matches!(stream.read(&mut [0]), Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
            (sent.is_err() || !is_open).then(|| start.elapsed())
        });
        let end = end.expect("it is ended before the message is whole");
        assert!(end < Duration::from_secs(9), "{end:?}, on a used connection: {used}");
    }
}

/// Row 40, RFC 7766 §6.2.1.1.
#[test]
fn a_thousand_queries_in_one_write() {
    let queries: Vec<_> = (0..1000).map(|n| ask(&format!("n{n}.default.Z"), Rtype::A).to_wire()).collect();
    let mut stream = connect(LARGE.0.dns);
    stream.write_all(&queries.iter().flat_map(|query| framed(query)).collect::<Vec<u8>>()).expect("write");
    for query in &queries {
        let reply = Reply::read(query, read_message(&mut stream).expect("a reply"));
        assert_eq!(reply.rcode, "NXDOMAIN");
    }
}

/// Row 41: while no open file is left for another connection, UDP continues, files keep their last content, and the log does
/// not grow. Waiting connections are served once there are files again.
#[test]
fn datagrams_are_answered_while_no_file_is_left_for_connections() {
    const FILES: usize = 64;
    let mut server = Server::launch(
        &["prlimit", &format!("--nofile={FILES}:{FILES}"), env!("CARGO_BIN_EXE_callsign")],
        &["--manifests", manifests(), "--trusted-client", "127.0.0.0/8"],
    );
    server.wait_for("/readyz");
    let start = Instant::now();
    let mut held: Vec<_> = (0..2 * FILES).map(|_| connect(server.dns)).collect();
    while files(&server) < FILES {
        assert!(start.elapsed() < PATIENCE, "{} files", files(&server));
        thread::sleep(Duration::from_millis(10));
    }
    let lines = server.log().lines().count();
    // They end after 2.5 s, and new ones replace them all the time.
    while start.elapsed() < Duration::from_secs(6) {
        held.extend((0..8).map(|_| connect(server.dns)));
        let reply = ask("_rpc._tcp.org.acme.greeter.default.Z", Rtype::SRV).udp(server.dns);
        assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("NOERROR", 2));
        thread::sleep(Duration::from_millis(100));
    }
    drop(held);
    eventually(PATIENCE, || match metric(&server, "callsign_dropped_total{reason=\"accept\"}") {
        0 => Err("not counted".to_owned()),
        _ => Ok(()),
    });
    assert_eq!(ask("Z", Rtype::SOA).tcp(server.dns).answer.len(), 1);
    let more = server.log().lines().count() - lines;
    assert!(more < 20, "{more} lines in the log:\n{}", server.log());
}

/// Rows 1 to 30 are the same on every transport: valid queries with broken bytes, and their replies.
#[test]
fn broken_bytes_are_answered_alike_over_udp_tcp_and_tls() {
    let site = Encrypted::start();
    let base = ask("_rpc._tcp.org.acme.greeter.default.Z", Rtype::SRV).edns(1232).to_wire();
    let mut tls = site.authority.connect(site.tls);
    let mut verdicts = std::collections::BTreeMap::<String, usize>::new();
    for at in 2..base.len() {
        for value in [0, 1, 0x3f, 0x80, 0xc0, 0xff] {
            let mut query = base.clone();
            query[at] = value;
            let udp = super::site::provoke(site.server.dns, &query);
            let mut stream = connect(site.server.dns);
            stream.write_all(&framed(&query)).expect("write");
            stream.shutdown(Shutdown::Write).expect("half-close");
            let tcp = read_message(&mut stream).ok();
            let encrypted = tls.exchange(&query).ok();
            if encrypted.is_none() {
                tls = site.authority.connect(site.tls); // the server ended the connection because of that message
            }
            let verdict = |reply: Option<Vec<u8>>| match reply {
                None => "silence".to_owned(),
                Some(reply) => {
                    let reply = Reply::read(&query, reply);
                    format!("{} {:?} {}", reply.rcode, reply.answer, reply.authority.len())
                }
            };
            let [udp, tcp, encrypted] = [udp, tcp, encrypted].map(verdict);
            assert_eq!((&udp, &udp), (&tcp, &encrypted), "byte {at} is {value:#x}: {query:02x?}");
            *verdicts.entry(udp.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    gave_up_nothing(&site.server);
    for wanted in ["NOERROR", "NXDOMAIN", "FORMERR", "NOTIMP", "REFUSED", "BADVERS", "silence"] {
        assert!(verdicts.contains_key(wanted), "{wanted} is not among {verdicts:?}");
    }
}
