//! Replies over UDP that cannot be sent: the thread drops and counts them, and continues (bad-input 42).

use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use callsign::metrics::Metrics;
use callsign::server::{Responder, udp};

use crate::harness::budget::pods::service_name;
use crate::harness::budget::query::query;
use crate::harness::budget::zone::Zone;

/// The number of replies that could not be sent.
fn dropped(responder: &Responder) -> u64 {
    let metrics = Metrics::new("0", "0").with(responder.counters.clone());
    let text = metrics.encode(&responder.zone.snapshot.load(), &[], 0);
    let value = text.lines().find_map(|line| line.strip_prefix("callsign_dropped_total{reason=\"send\"} "));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

#[test]
fn a_reply_that_cannot_be_sent_is_dropped_and_counted() {
    let responder = Arc::new(Zone::of_pods(100).responder());
    let server = udp::bind(SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let address: SocketAddr = server.local_addr().expect("its address").as_socket().expect("an address of IP");
    // From now on sending always fails at once, and receiving works.
    let _ = server.shutdown(Shutdown::Write); // returns "not connected", and works nevertheless
    udp::serve(server, address.into(), responder.clone()).expect("a thread");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    for round in 1..=20 {
        for _ in 0..10 {
            client.send_to(&query(&service_name(0, 0), 33, true), address).expect("send");
        }
        let start = Instant::now();
        while dropped(&responder) < 10 * round {
            assert!(start.elapsed() < Duration::from_secs(5), "{} of {}", dropped(&responder), 10 * round);
            sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(dropped(&responder), 200);
    client.recv(&mut [0; 512]).expect_err("nothing was sent");
}
