//! The pages under hostile clients (row 44 of BAD_INPUT.md): everything is bounded, and DNS is not affected.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use socket2::{Domain, Socket, Type};

use crate::harness::server::Server;

use super::site::{ask, manifests};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection from a loopback address.
fn from(address: Ipv4Addr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(address), 0).into())?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn connect(server: SocketAddr) -> TcpStream {
    from(Ipv4Addr::LOCALHOST, server).expect("connect")
}

/// Reads until the server ends the connection. Returns the bytes, and how long that took.
fn ended(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let start = Instant::now();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply); // a reset is an end too
    assert!(start.elapsed() < PATIENCE, "it stays open");
    (reply, start.elapsed())
}

#[test]
fn a_head_without_an_end_is_refused() {
    let server = Server::start(&["--manifests", manifests()]);
    for start in ["GET /livez HTTP/1.1\r\nHost: x\r\nA: ", "GET /", "GET /v1/pods?namespace="] {
        let mut stream = connect(server.http);
        stream.write_all(start.as_bytes()).expect("write");
        // The client would send a gigabyte. The server ends the connection after a small part of that.
        let block = vec![b'a'; 64 * 1024];
        let sent = (0..16 * 1024).take_while(|_| stream.write_all(&block).is_ok()).count();
        assert!(sent < 1024, "{} KiB were taken", sent * 64);
    }
    // The same for a head of a thousand lines.
    let mut stream = connect(server.http);
    let lines: String = (0..1000).map(|n| format!("A{n}: b\r\n")).collect();
    let _ = stream.write_all(format!("GET /livez HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes());
    assert_eq!(ended(&mut stream).0.get(9..12), Some(&b"431"[..]));
    assert_eq!(server.get("/livez").0, 200);
}

#[test]
fn a_head_or_a_body_that_trickles_is_cut_off() {
    let server = Server::start(&["--manifests", manifests()]);
    let http = server.http;
    let trickle = move |head: &'static [u8], rest: &'static [u8]| {
        thread::spawn(move || {
            let mut stream = connect(http);
            stream.write_all(head).expect("write");
            let mut reader = stream.try_clone().expect("a second handle");
            let writer = thread::spawn(move || {
                let still_taken = rest.iter().cycle().take_while(|byte| {
                    thread::sleep(Duration::from_millis(500));
                    stream.write_all(&[**byte]).is_ok()
                });
                still_taken.count()
            });
            let end = ended(&mut reader);
            writer.join().expect("a writer");
            end
        })
    };
    let head = trickle(b"GET /livez HTTP/1.1\r\n", b"A");
    let silent = trickle(b"", b"");
    // An unexpected body does not delay the answer.
    let body = trickle(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n", b"x");
    for (what, client) in [("a head", head), ("nothing", silent)] {
        let (_, took) = client.join().expect("a client");
        assert!(took < Duration::from_secs(9), "{what}: {took:?}");
    }
    let (reply, took) = body.join().expect("a client");
    assert!(reply.starts_with(b"HTTP/1.1 200") && took < Duration::from_secs(9), "{took:?}");
}

#[test]
fn ten_thousand_connections_harm_no_name() {
    let server = Server::start(&["--manifests", manifests()]);
    let http = server.http;
    let start = Instant::now();
    // In rounds, because the test has a limit of open files too: 200 at once, each from another address.
    let crowd = thread::spawn(move || {
        (0..50_u8).for_each(|round| {
            let held: Vec<_> =
                (0..200_u8).filter_map(|n| from(Ipv4Addr::new(127, 7, round, n + 1), http).ok()).collect();
            assert!(held.len() > 100, "{} in round {round}", held.len());
        });
    });
    while !crowd.is_finished() {
        let asked = Instant::now();
        assert_eq!(ask("Z", Rtype::SOA).udp(server.dns).answer.len(), 1);
        assert_eq!(ask("Z", Rtype::SOA).tcp(server.dns).answer.len(), 1);
        assert!(asked.elapsed() < Duration::from_secs(1));
        thread::sleep(Duration::from_millis(20));
    }
    crowd.join().expect("a crowd");
    assert_eq!(server.get("/livez").0, 200, "after {:?}", start.elapsed());
}

/// Five addresses that hold all places, and take every place again that they lose, delay no probe.
#[test]
fn probes_are_answered_while_all_places_are_taken() {
    const ADDRESSES: u8 = 5;
    const OF_EACH: usize = 64;
    let server = Server::start(&["--manifests", manifests()]);
    let (http, end) = (server.http, Instant::now() + Duration::from_secs(8));
    let greedy = (1..=ADDRESSES).map(|n| {
        thread::spawn(move || {
            let request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
            let open = || from(Ipv4Addr::new(127, 8, 0, n), http).ok();
            let mut held: Vec<Option<TcpStream>> = Vec::new();
            let mut lost = 0;
            while Instant::now() < end {
                held.resize_with(OF_EACH, open);
                for stream in &mut held {
                    if stream.as_mut().is_none_or(|stream| stream.write_all(request).is_err()) {
                        lost += 1;
                        *stream = open();
                    }
                }
                thread::sleep(Duration::from_millis(300));
            }
            lost
        })
    });
    let greedy: Vec<_> = greedy.collect();
    thread::sleep(Duration::from_secs(1));
    let (mut asked, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < end {
        for path in ["/livez", "/readyz"] {
            let start = Instant::now();
            assert_eq!(server.get(path).0, 200);
            slowest = slowest.max(start.elapsed());
            asked += 1;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let lost: usize = greedy.into_iter().map(|client| client.join().expect("a client")).sum();
    println!("{asked} probes, the slowest after {slowest:?}; {lost} of the others lost their places");
    assert!(lost > 0, "all places were taken");
    assert!(slowest < Duration::from_secs(2), "a probe's own deadline: {slowest:?}");
}
