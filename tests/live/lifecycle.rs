//! Files that change, signals, and the end.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use nix::sys::signal::Signal;

use crate::harness::ask::Reply;
use crate::harness::eventually;
use crate::harness::exchange::read_message;
use crate::harness::process::{http_get, scratch};
use crate::harness::server::Server;

use super::site::{ask, data, manifest, pod, rewrite, text};

/// How late the server may notice a changed file.
const REREAD: Duration = Duration::from_secs(3);

/// How late the server may notice it after SIGHUP: well below the second between two polls.
const AT_ONCE: Duration = Duration::from_millis(750);

fn greeter(n: u8, fields: &str) -> serde_json::Value {
    pod(&format!("greeter-{n}"), [10, 244, 0, n], &format!("interface=a.Greeter {fields}"))
}

/// Whether the addresses of `a.greeter` are these.
fn shows(server: &Server, addresses: &[&str]) -> Result<(), String> {
    let reply = ask("a.greeter.default.Z", Rtype::A).udp(server.dns);
    let seen = data(&reply.answer);
    if seen == addresses { Ok(()) } else { Err(format!("{} {seen:?}, not {addresses:?}", reply.rcode)) }
}

fn serial(server: &Server) -> u32 {
    let soa = data(&ask("Z", Rtype::SOA).udp(server.dns).answer);
    let serial = soa.first().and_then(|soa| soa.split(' ').nth(2)).expect("a serial");
    serial.parse().expect("a number")
}

#[test]
fn a_changed_manifest_is_served() {
    let file = manifest(&[greeter(1, "port=1")]);
    let server = Server::start(&["--manifests", text(&file)]);
    shows(&server, &["10.244.0.1"]).expect("what was there at the start");
    let mut serials = vec![serial(&server)];
    let steps: [(&[u8], &[&str]); 4] =
        [(&[1, 2], &["10.244.0.1", "10.244.0.2"]), (&[2], &["10.244.0.2"]), (&[], &[]), (&[3], &["10.244.0.3"])];
    for (pods, expected) in steps {
        rewrite(&file, &pods.iter().map(|n| greeter(*n, "port=1")).collect::<Vec<_>>());
        eventually(REREAD, || shows(&server, expected));
        sleep(Duration::from_millis(150)); // the serial may be an eighth of a second late
        serials.push(serial(&server));
    }
    assert!(serials.is_sorted_by(|one, next| one < next), "one serial a change: {serials:?}");
    // Written again without a change: no answer changes, so the serial stays.
    rewrite(&file, &[greeter(3, "port=1")]);
    eventually(REREAD, || match server.log().matches("manifests read").count() {
        6.. => Ok(()),
        count => Err(format!("read {count} times")),
    });
    sleep(Duration::from_millis(150));
    assert_eq!(serials.last(), Some(&serial(&server)));
}

/// The clock goes back by a day and a half between two runs: the test edits the state file of the first.
#[test]
fn the_serial_continues_from_the_last_run() {
    let (file, folder) = (manifest(&[greeter(1, "port=1")]), scratch("serial"));
    let args = ["--manifests", text(&file), "--state-dir", text(&folder), "--lame-duck", "0"];
    let mut first = Server::start(&args);
    let (last, ahead) = (serial(&first), 1_000_000);
    first.signal(Signal::SIGTERM);
    assert!(first.ended(Duration::from_secs(10)).expect("its end").success());
    let path = folder.join("zone.state");
    let state = fs::read(&path).expect("the state");
    let head = state.iter().position(|byte| *byte == b'\n').expect("a head");
    let (head, rest) = state.split_at(head);
    let (from, to) = (format!("\"serial\":{last}"), format!("\"serial\":{}", last + ahead));
    let head = String::from_utf8(head.to_vec()).expect("a text");
    assert!(head.contains(&from), "{head}");
    fs::write(&path, [head.replace(&from, &to).as_bytes(), rest].concat()).expect("written");

    let second = Server::start(&args);
    shows(&second, &["10.244.0.1"]).expect("what was there at the start");
    assert_eq!(serial(&second), last + ahead + 1);
    rewrite(&file, &[greeter(2, "port=1")]);
    eventually(REREAD, || shows(&second, &["10.244.0.2"]));
    sleep(Duration::from_millis(150)); // the serial may be an eighth of a second late
    assert_eq!(serial(&second), last + ahead + 2);
}

#[test]
fn a_broken_manifest_keeps_the_old_answers_and_is_logged() {
    let file = manifest(&[greeter(1, "port=1")]).with_extension("yaml");
    fs::rename(file.with_extension("json"), &file).expect("rename");
    let folder = file.parent().expect("a folder");
    let server = Server::start(&["--manifests", text(folder)]);
    shows(&server, &["10.244.0.1"]).expect("what was there at the start");
    fs::write(&file, "apiVersion: v1\nkind: Pod\nmetadata: [unclosed\nstatus: {}\n").expect("write");
    let log = || server.log();
    eventually(REREAD, || match log().lines().any(|line| line.contains("pods.yaml, line ")) {
        true => Ok(()),
        false => Err(log()),
    });
    shows(&server, &["10.244.0.1"]).expect("what was there before");
    assert_eq!(server.get("/readyz").0, 200);
    rewrite(&file, &[greeter(1, "port=1"), greeter(2, "port=1")]);
    eventually(REREAD, || shows(&server, &["10.244.0.1", "10.244.0.2"]));
}

#[test]
fn a_bad_registration_harms_no_other() {
    let file = manifest(&[greeter(1, "port=1")]);
    let server = Server::start(&["--manifests", text(&file)]);
    rewrite(&file, &[greeter(1, "port=70000"), greeter(2, "port=1"), greeter(3, "port=1 interface=a.B port=x")]);
    eventually(REREAD, || shows(&server, &["10.244.0.2", "10.244.0.3"]));
    // Its service and its Pod still exist.
    assert_eq!(server.get("/v1/bad").1.matches("\"reason\"").count(), 2);
}

#[test]
fn sighup_reads_files_at_once() {
    let file = manifest(&[greeter(1, "port=1")]);
    let zones = file.parent().expect("a folder").join("zones");
    fs::create_dir(&zones).expect("a folder");
    let zone = |address: &str| format!("@ 60 IN SOA ns a 1 2 3 4 5\n@ 60 IN NS ns\nns 60 IN A {address}\n");
    fs::write(zones.join("static.test.zone"), zone("192.0.2.0")).expect("write");
    let server = Server::start(&["--manifests", text(&file), "--zones", text(&zones)]);
    for n in 1..=4 {
        let address = format!("10.244.0.{n}");
        let fixed = format!("192.0.2.{n}");
        rewrite(&file, &[greeter(n, "port=1")]);
        fs::write(zones.join("static.test.zone"), zone(&fixed)).expect("write");
        server.signal(Signal::SIGHUP);
        eventually(AT_ONCE, || shows(&server, &[&address]));
        eventually(AT_ONCE, || match data(&ask("ns.static.test.", Rtype::A).udp(server.dns).answer) {
            seen if seen == [fixed.as_str()] => Ok(()),
            seen => Err(format!("{seen:?}")),
        });
    }
    // Even if no file has changed.
    let reads = server.log().matches("manifests read").count();
    server.signal(Signal::SIGHUP);
    eventually(AT_ONCE, || match server.log().matches("manifests read").count() {
        now if now > reads => Ok(()),
        now => Err(format!("read {now} times")),
    });
}

#[test]
fn the_end() {
    let file = manifest(&[greeter(1, "port=1")]);
    let mut server = Server::start(&["--manifests", text(&file), "--lame-duck", "3"]);
    let mut idle = TcpStream::connect(server.dns).expect("connect");
    idle.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let mut converse = || {
        let query = ask("Z", Rtype::SOA).to_wire();
        let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
        idle.write_all(&framed).expect("write");
        Reply::read(&query, read_message(&mut idle).expect("a reply"));
    };
    converse();
    server.signal(Signal::SIGTERM);
    let start = Instant::now();
    // Not ready at once, but alive. Answers continue during the lame duck, and so do changes.
    eventually(Duration::from_millis(500), || match server.get("/readyz").0 {
        503 => Ok(()),
        status => Err(format!("/readyz says {status}")),
    });
    assert_eq!(server.get("/livez").0, 200);
    rewrite(&file, &[greeter(1, "port=1"), greeter(2, "port=1")]);
    let (mut asked, mut last) = (0, 0);
    while start.elapsed() < Duration::from_millis(2700) {
        let reply = ask("a.greeter.default.Z", Rtype::A).udp(server.dns);
        ask("Z", Rtype::SOA).tcp(server.dns);
        (asked, last) = (asked + 1, reply.answer.len());
        sleep(Duration::from_millis(20));
    }
    assert!(asked > 20 && last == 2, "{asked} asked, {last} addresses in the end");
    converse();
    // Queries that began before the end are answered, and idle connections are closed.
    let rest = idle.read(&mut [0]);
    assert!(matches!(rest, Ok(0)), "{rest:?}");
    let status = server.ended(Duration::from_secs(7)).expect("its end");
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(http_get(server.http, "/livez").is_err() && TcpStream::connect(server.dns).is_err());
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let file = manifest(&[greeter(1, "port=1")]);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start(&["--manifests", text(&file), "--lame-duck", "60"]);
        server.signal(signal);
        eventually(Duration::from_millis(500), || match server.get("/readyz").0 {
            503 => Ok(()),
            status => Err(format!("/readyz says {status}")),
        });
        server.signal(signal);
        assert_eq!(server.ended(Duration::from_secs(6)).expect("its end").code(), Some(0));
    }
}

#[test]
fn a_query_that_was_begun_is_answered_at_the_end() {
    let file = manifest(&[greeter(1, "port=1")]);
    let mut server = Server::start(&["--manifests", text(&file)]);
    let mut stream = TcpStream::connect(server.dns).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let query = ask("Z", Rtype::SOA).to_wire();
    let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
    stream.write_all(&framed[..10]).expect("write");
    sleep(Duration::from_millis(100)); // the server reads it before the signal
    server.signal(Signal::SIGTERM);
    sleep(Duration::from_millis(300));
    stream.write_all(&framed[10..]).expect("write");
    Reply::read(&query, read_message(&mut stream).expect("a reply"));
    assert_eq!(server.ended(Duration::from_secs(6)).expect("its end").code(), Some(0));
}

/// A regression: a log that could not be written ended the server, because its reader was gone or the disk was full.
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    for log in ["2>/dev/full", "2> >(true)"] {
        let redirect = format!("exec \"$0\" \"$@\" {log}");
        let command = ["bash", "-c", &redirect, env!("CARGO_BIN_EXE_callsign")];
        let mut server = Server::launch(&command, &["--manifests", super::site::manifests()]);
        server.wait_for("/readyz");
        let metrics = server.get("/metrics").1;
        let lost = metrics.lines().find_map(|line| line.strip_prefix("callsign_log_lines_lost_total "));
        let lost: u64 = lost.and_then(|lost| lost.parse().ok()).expect("a counter");
        assert!(lost > 0, "{log}: {metrics}");
    }
}
