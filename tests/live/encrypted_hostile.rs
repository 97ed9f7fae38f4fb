//! Certificates that change under open connections, and hostile clients.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

use crate::harness::ask::Reply;
use crate::harness::eventually;
use crate::harness::process::scratch;
use crate::harness::quic::Quic;
use crate::harness::tls::Authority;

use super::encrypted::Encrypted;
use super::site::ask;

/// How late the server may notice a changed certificate.
const REREAD: Duration = Duration::from_secs(3);

/// How long a test waits for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

/// More connections than a listener accepts.
const CONNECTIONS: usize = 1100;

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Reads until the server ends the connection, and returns how long that took.
fn closed(mut stream: TcpStream) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest); // a reset is an end too
    assert!(start.elapsed() < PATIENCE, "it stays open");
    start.elapsed()
}

#[test]
fn a_certificate_is_exchanged_under_open_connections() {
    let mut site = Encrypted::start();
    let query = ask("Z", Rtype::SOA).to_wire();
    let mut open = site.authority.connect(site.tls);
    let first = open.certificate();
    let (certificate, key, second) = site.authority.issue();
    assert_ne!(first, second);

    site.mounted.turn(&certificate, &key);
    let shows = |wanted: &_| match site.authority.connect(site.tls).certificate() {
        shown if shown == *wanted => Ok(()),
        _ => Err("another certificate"),
    };
    eventually(REREAD, || shows(&second));
    Reply::read(&query, open.exchange(&query).expect("the open connection goes on"));
    assert_eq!(site.metric(r#"callsign_certificate_reloads_total{result="served"}"#), 1);
    for transport in ["+https", "+quic"] {
        assert_eq!(site.kdig(transport, &["SOA", "rpc.cluster.local."]).status, "NOERROR");
    }

    let (another, _, _) = site.authority.issue();
    let broken = [(another.as_str(), key.as_str()), (&certificate, "no key"), ("", ""), (&certificate, &key[..100])];
    for (refused, (certificate, key)) in broken.into_iter().enumerate() {
        site.mounted.turn(certificate, key);
        eventually(REREAD, || match site.metric(r#"callsign_certificate_reloads_total{result="refused"}"#) {
            count if count == refused as u64 + 1 => Ok(()),
            count => Err(format!("{count} refused")),
        });
        let shown = site.authority.connect(site.tls).certificate();
        assert_eq!(shown, second, "the old pair stays");
    }
    let log = site.server.log();
    assert_eq!(log.matches("the certificate has changed, and the old one stays").count(), broken.len(), "{log}");
    let secret = key.lines().nth(1).expect("a line of the key");
    assert!(!log.contains(secret) && !log.contains("no key\n"), "{log}");

    let (certificate, key, third) = site.authority.issue();
    site.mounted.turn(&certificate, &key);
    eventually(REREAD, || match site.authority.connect(site.tls).certificate() {
        shown if shown == third => Ok(()),
        _ => Err("another certificate"),
    });
    Reply::read(&query, open.exchange(&query).expect("the open connection goes on"));
}

#[test]
fn an_unusable_certificate_and_key_are_refused_by_check_and_serve() {
    let folder = scratch("pairs");
    let authority = Authority::new();
    let (certificate, key, _) = authority.issue();
    let (_, another, _) = authority.issue();
    let (cert_file, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
    let config = folder.join("callsign.toml");
    let table = format!("tls-cert = {cert_file:?}\ntls-key = {key_file:?}\nlisten-tls = '127.0.0.1:0'\n");
    fs::write(&config, table).expect("write");
    let cut = &key[..key.len() / 2];
    for (certificate, key, expected) in [
        (&*certificate, &*key, ""),
        (&certificate, &another, "tls.crt: it is not a certificate for the key in "),
        (&certificate, "", "tls.key: it has no usable private key in PEM"),
        (&certificate, cut, "tls.key: it has no usable private key in PEM"),
        (&key, &key, "tls.crt: it has no certificate in PEM"),
        (&"x".repeat(2 << 20), &key, "tls.crt: it has more than 1048576 bytes"),
    ] {
        fs::write(&cert_file, certificate).expect("write");
        fs::write(&key_file, key).expect("write");
        let mut check = Command::new(env!("CARGO_BIN_EXE_callsign"));
        let checked = check.args(["check", "--config"]).arg(&config).env_clear().output().expect("run callsign");
        let told = String::from_utf8_lossy(&checked.stdout);
        assert_eq!((told.is_empty(), checked.status.success()), (expected.is_empty(), expected.is_empty()), "{told}");
        assert!(told.contains(expected), "{told}");
    }
    fs::write(&cert_file, &certificate).expect("write");
    fs::remove_file(&key_file).expect("remove");
    let mut served = Command::new(env!("CARGO_BIN_EXE_callsign"));
    served.env_clear().args([
        "serve",
        "--manifests",
        "/dev/null",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--config",
    ]);
    let served = served.arg(&config).output().expect("run callsign");
    let told = String::from_utf8_lossy(&served.stderr);
    assert!(
        !served.status.success() && told.contains("--tls-cert, --tls-key: ") && told.contains("No such file"),
        "{told}"
    );
}

#[test]
fn a_client_that_does_not_finish_its_handshake_is_cut_off() {
    let site = Encrypted::start();
    for server in [site.tls, site.https] {
        let silent = connect(server);
        let mut half = connect(server);
        half.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).expect("the head of a ClientHello");
        for plain in
            [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0, 12, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[0xff; 64]]
        {
            let mut stream = connect(server);
            stream.write_all(plain).expect("write");
            assert!(closed(stream) < Duration::from_secs(2), "plain text");
        }
        let mut used = site.authority.try_connect(site.tls).expect("others are served meanwhile");
        let query = ask("Z", Rtype::SOA).to_wire();
        used.exchange(&query).expect("a reply");
        assert!(closed(silent) < Duration::from_secs(8), "no handshake");
        assert!(closed(half) < Duration::from_secs(8), "half a handshake");
    }
    // Each counts shortly after its end.
    eventually(PATIENCE, || match site.metric(r#"callsign_dropped_total{reason="handshake"}"#) {
        10.. => Ok(()),
        count => Err(format!("{count} of 10 are counted")),
    });
    let mut idle = site.authority.connect(site.tls);
    let start = Instant::now();
    assert!(idle.is_closed() && start.elapsed() < Duration::from_secs(8), "nothing is said behind the handshake");
}

#[test]
fn connections_over_the_bound_harm_no_one_else() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("as many files as we may");
    let site = Encrypted::start();
    for server in [site.tls, site.https] {
        let start = Instant::now();
        let held: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(server)).collect();
        for _ in 0..50 {
            let asked = Instant::now();
            ask("Z", Rtype::SOA).udp(site.server.dns);
            ask("Z", Rtype::SOA).tcp(site.server.dns);
            assert!(asked.elapsed() < Duration::from_secs(1));
        }
        assert_eq!(site.kdig("+quic", &["SOA", "rpc.cluster.local."]).status, "NOERROR");
        let open = ["tls", "https"].map(|name| site.metric(&format!(r#"callsign_connections{{transport="{name}"}}"#)));
        assert!((1000..=1024).contains(&open.iter().sum::<u64>()), "{open:?} are open");
        // The silent connections lose their places, and then there is one for us.
        let transport = if server == site.tls { "+tls" } else { "+https" };
        assert_eq!(site.kdig(transport, &["+timeout=15", "SOA", "rpc.cluster.local."]).status, "NOERROR");
        assert!(start.elapsed() < Duration::from_secs(60));
        drop(held);
    }
}

#[test]
fn nonsense_for_quic_is_dropped() {
    let site = Encrypted::start();
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for server in [site.quic, site.https] {
        for len in [1, 20, 300, 1199, 1200, 1472] {
            for first in [0x00, 0x40, 0x80, 0xc0, 0xc3, 0xff] {
                let mut datagram = vec![0x5a; len];
                datagram[0] = first;
                datagram.iter_mut().skip(1).zip([0, 0, 0, 1, 8]).for_each(|(byte, value)| *byte = value);
                stranger.send_to(&datagram, server).expect("send");
            }
        }
    }
    // More unfinished handshakes than one client gets places for.
    for _ in 0..50 {
        Quic::begin(site.quic);
    }
    let connection = Quic::connect(&site.authority, site.quic, b"doq");
    let mut query = ask("Z", Rtype::SOA).to_wire();
    query[..2].copy_from_slice(&[0, 0]);
    connection.exchange(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat()).expect("a reply");
    ask("Z", Rtype::SOA).udp(site.server.dns);
}

#[test]
fn open_connections_do_not_delay_the_end() {
    let mut site = Encrypted::start();
    let query = ask("Z", Rtype::SOA).to_wire();
    let mut tls = site.authority.connect(site.tls);
    tls.exchange(&query).expect("a reply");
    let quic = Quic::connect(&site.authority, site.quic, b"doq");
    let _h3 = Quic::connect(&site.authority, site.https, b"h3");
    site.server.signal(Signal::SIGTERM);
    assert!(tls.is_closed());
    assert_eq!(quic.closed(), 0, "nothing is wrong");
    let ended = site.server.ended(Duration::from_secs(5)).expect("its end");
    assert!(ended.success(), "{ended}\n{}", site.server.log());
}
