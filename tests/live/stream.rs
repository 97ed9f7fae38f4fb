//! DNS over TCP, with the tests of BIND and NSD, and the server's timeouts.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use domain::base::iana::{Class, Rtype};

use crate::harness::ask::{Ask, Reply, flag};
use crate::harness::eventually;
use crate::harness::exchange::{exchange_tcp, read_message};
use crate::harness::process::output;
use crate::harness::server::Server;

use super::site::{ask, dns, manifests};
use super::sizes::LARGE;

/// How long a test waits for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// Asks on an open connection.
#[track_caller]
fn converse(stream: &mut TcpStream, question: &Ask) -> Reply {
    let query = question.to_wire();
    stream.write_all(&framed(&query)).expect("write");
    Reply::read(&query, read_message(stream).expect("a reply"))
}

/// Waits until the server closes, without another byte, and returns how long that took.
#[track_caller]
fn closed(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    match stream.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("not closed but {other:?} after {:?}", start.elapsed()),
    }
    start.elapsed()
}

fn soa() -> Ask {
    ask("Z", Rtype::SOA)
}

#[test]
fn a_message_that_is_no_query_ends_the_connection() {
    let mut response = soa().to_wire();
    response[2] |= 0x80;
    for (what, bytes) in [
        ("prefix 0", vec![0, 0]),
        ("prefix 2, then AB", b"\x00\x02AB".to_vec()),
        ("prefix 11, less than a header", framed(&[0; 11])),
        ("QR=1", framed(&response)),
    ] {
        for is_used in [false, true] {
            let mut stream = connect(dns());
            if is_used {
                converse(&mut stream, &soa());
            }
            stream.write_all(&bytes).expect("write");
            assert!(closed(&mut stream) < Duration::from_secs(2), "{what}, on a used connection: {is_used}");
        }
    }
    soa().tcp(dns());
}

#[test]
fn queries_before_a_message_that_is_no_query_are_answered() {
    let mut response = soa().to_wire();
    response[2] |= 0x80;
    for bytes in [framed(b"AB"), framed(&response)] {
        let queries = [soa().to_wire(), soa().to_wire()];
        let mut stream = connect(dns());
        stream.write_all(&[framed(&queries[0]), framed(&queries[1]), bytes].concat()).expect("write");
        for query in &queries {
            Reply::read(query, read_message(&mut stream).expect("a reply"));
        }
        closed(&mut stream);
    }
}

#[test]
fn pipelined_queries_are_all_answered() {
    let questions: Vec<_> = (0..25).map(|n| ask(&format!("n{n}.default.Z"), Rtype::A).to_wire()).collect();
    let bytes: Vec<u8> = questions.iter().flat_map(|query| framed(query)).collect();
    // In one write, and a byte at a time.
    for step in [bytes.len(), 1, 7] {
        let mut stream = connect(dns());
        stream.set_nodelay(true).expect("nodelay");
        bytes.chunks(step).for_each(|part| stream.write_all(part).expect("write"));
        let mut open = questions.clone();
        while !open.is_empty() {
            let reply = read_message(&mut stream).expect("a reply");
            let asked = open.iter().position(|query| query[..2] == reply[..2]).expect("an open question's id");
            let reply = Reply::read(&open.swap_remove(asked), reply);
            assert_eq!(reply.rcode, "NXDOMAIN");
        }
    }
}

#[test]
fn queries_before_an_unparsable_message_are_answered() {
    let query = soa().to_wire();
    for nonsense in [b"\x00\x02AB".to_vec(), framed(&[0x80; 12])] {
        let mut stream = connect(dns());
        stream.write_all(&[framed(&query), framed(&query), nonsense].concat()).expect("write");
        for _ in 0..2 {
            Reply::read(&query, read_message(&mut stream).expect("a reply"));
        }
        closed(&mut stream);
    }
}

#[test]
fn after_a_half_close_queries_are_answered_and_the_connection_ends() {
    // CVE-2022-0396: no connection stays in CLOSE_WAIT. The server's table of open files would show it.
    let server = Server::start(&["--manifests", manifests()]);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("its files").count();
    let before = files();
    for _ in 0..50 {
        let mut stream = connect(server.dns);
        let query = soa().to_wire();
        stream.write_all(&framed(&query)).expect("write");
        stream.shutdown(Shutdown::Write).expect("half close");
        Reply::read(&query, read_message(&mut stream).expect("a reply"));
        assert!(closed(&mut stream) < Duration::from_secs(2));
    }
    eventually(Duration::from_secs(5), || match files() {
        now if now <= before => Ok(()),
        now => Err(format!("{now} files, {before} before")),
    });
}

#[test]
fn the_longest_query_is_an_error_and_harmless() {
    // 65,535 bytes: a question, and then bytes that no count announces.
    let mut query = soa().to_wire();
    query.resize(65_535, 0);
    let reply = exchange_tcp(dns(), &query).expect("a reply");
    assert_eq!((reply[3] & 0xf, reply.len() < 512), (1, true), "FORMERR");
    // The same with one OPT record that an option fills (RFC 7830's padding).
    let padding = vec![0; 65_535 - soa().to_wire().len() - 11 - 4];
    let padded = soa().opt(super::site::options(&[(12, &padding)]));
    assert_eq!(padded.to_wire().len(), 65_535);
    assert_eq!(padded.tcp(dns()).answer.len(), 1);
}

#[test]
fn other_classes_are_refused() {
    // For the class NONE, BIND answers FORMERR. Knot, NSD and callsign answer REFUSED.
    for class in [Class::CH, Class::HS, Class::NONE, Class::ANY] {
        assert_eq!(soa().class(class).tcp(dns()).rcode, "REFUSED", "{class}");
    }
}

#[test]
fn six_mebibytes_of_queries_in_one_stream() {
    let server = Server::start(&["--manifests", manifests()]);
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    let query = framed(&ask("nope.default.Z", Rtype::A).to_wire());
    let count = 6 * 1024 * 1024 / query.len();
    let before = resident();
    let mut stream = connect(server.dns);
    let mut reader = stream.try_clone().expect("a second handle");
    let answers = thread::spawn(move || (0..count).filter(|_| read_message(&mut reader).is_ok()).count());
    let block = query.repeat(1000);
    for _ in 0..count / 1000 {
        stream.write_all(&block).expect("write");
    }
    stream.write_all(&query.repeat(count % 1000)).expect("write");
    assert_eq!(answers.join().expect("a reader"), count);
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more");
}

/// The server's limit of connections.
const CONNECTIONS_MAX: usize = 1024;

#[test]
fn one_connection_more_than_the_limit() {
    // BIND's tcp-clients: the limit holds, UDP is not affected, and a freed place is used again. Both sides need more open
    // files than a process has by default.
    raise_file_limit(std::process::id());
    let mut server = Server::launch(
        &["prlimit", "--nofile=4096:", env!("CARGO_BIN_EXE_callsign")],
        &["--manifests", manifests(), "--trusted-client", "127.0.0.0/8"],
    );
    server.wait_for("/readyz");
    let open = || {
        let metrics = server.get("/metrics").1;
        let value = metrics.lines().find_map(|line| line.strip_prefix("callsign_connections{transport=\"tcp\"} "));
        value.and_then(|value| value.parse::<usize>().ok()).expect("the gauge")
    };
    let mut streams: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect(server.dns)).collect();
    streams.iter_mut().for_each(|stream| drop(converse(stream, &soa())));
    assert_eq!(open(), CONNECTIONS_MAX);
    let mut more = connect(server.dns);
    let query = soa().to_wire();
    more.write_all(&framed(&query)).expect("write");
    more.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let early = read_message(&mut more).expect_err("nothing yet");
    assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{early}");
    assert_eq!((soa().udp(server.dns).answer.len(), open()), (1, CONNECTIONS_MAX));
    more.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    drop(streams.pop());
    Reply::read(&query, read_message(&mut more).expect("a reply"));
    drop((streams, more));
    eventually(Duration::from_secs(5), || match open() {
        0 => Ok(()),
        count => Err(format!("{count} open")),
    });
    soa().tcp(server.dns);
}

fn raise_file_limit(pid: u32) {
    output("prlimit", ["--pid", &pid.to_string(), "--nofile=4096:"]);
}

/// A timeout: its name, its measurement, and the least and most seconds.
type Wait = (&'static str, fn() -> Duration, f64, f64);

/// All timeouts of seconds, measured in parallel.
#[test]
fn waits() {
    let seconds = Duration::from_secs_f64;
    let checks: [Wait; 5] = [
        ("nothing is ever sent: 2.5 s", || closed(&mut connect(dns())), 2.0, 4.5),
        ("idle after an answer: 15 s, more than the 10 s that CoreDNS keeps a connection", idle, 14.0, 18.0),
        ("a length that was begun: 5 s", || stalled(&[0]), 4.0, 8.0),
        ("a message that was begun: 5 s", || stalled(&[0, 40, 1, 2, 3]), 4.0, 8.0),
        ("answers that are never read: 5 s (CVE-2024-0760)", unread, 4.0, 15.0),
    ];
    thread::scope(|scope| {
        for (what, check, least, most) in checks {
            scope.spawn(move || {
                let took = check();
                assert!((seconds(least)..seconds(most)).contains(&took), "{what}: {took:?}");
            });
        }
        // Meanwhile other clients are not affected.
        scope.spawn(|| {
            for _ in 0..20 {
                let start = Instant::now();
                assert_eq!(soa().tcp(LARGE.0.dns).answer.len(), 1);
                assert!(start.elapsed() < Duration::from_secs(2));
                thread::sleep(Duration::from_millis(500));
            }
        });
    });
}

fn idle() -> Duration {
    let mut stream = connect(dns());
    for _ in 0..2 {
        converse(&mut stream, &soa());
    }
    thread::sleep(Duration::from_secs(11));
    converse(&mut stream, &soa());
    closed(&mut stream)
}

fn stalled(bytes: &[u8]) -> Duration {
    let mut stream = connect(dns());
    stream.write_all(bytes).expect("write");
    closed(&mut stream)
}

/// Asks for 40 kB again and again, and reads nothing. Returns how long it took until the server ended the connection.
fn unread() -> Duration {
    let mut stream = connect(LARGE.0.dns);
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let query = framed(&ask("_tri._tcp.six-hundred.default.Z", Rtype::SRV).flags(flag::RD).to_wire());
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Err(error) = stream.write_all(&query.repeat(50)) {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
            return start.elapsed();
        }
    }
    panic!("still open after {PATIENCE:?}");
}
