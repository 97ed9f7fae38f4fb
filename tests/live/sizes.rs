//! The sizes of replies: the limits to the byte, over real sockets, and sets that fit into no message.
//!
//! The byte limits are from Knot's `basic/flags` and `edns/payload_*`. The rest is from problems of users of Consul, HAProxy
//! and CoreDNS (consul#1931, #375, #788, #3850, #3948, coredns#5362, #4449, #5366, #4547) and from Consul's tests of large
//! replies.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;
use std::time::Duration;

use domain::base::iana::Rtype;

use super::family::other_loopback;
use crate::harness::ask::{Ask, Reply, flag};
use crate::harness::dig::dig;
use crate::harness::process::free_port;
use crate::harness::server::Server;

use super::clients::Client;
use super::site::{ask, manifest, pod, text};

/// More SRV records than fit into 64 KiB.
const CROWD: usize = 1300;

/// The server, and its address over IPv6. The names of its interfaces are long enough that the replies with their A sets have
/// 512, 513, 1232 and 1233 bytes: 12 bytes of header, the question, 16 for each record, 11 of OPT.
pub(crate) static LARGE: LazyLock<(Server, SocketAddr)> = LazyLock::new(|| {
    let pods: Vec<_> = (0..CROWD).map(member).collect();
    let six = SocketAddr::new(other_loopback(), free_port());
    let file = manifest(&pods);
    (Server::start(&["--manifests", text(&file), "--listen", &six.to_string()]), six)
});

/// The interfaces of these replies: the reply's bytes without EDNS, and the number of Pods.
const EXACT: [(usize, usize); 4] = [(20, 28), (21, 28), (25, 72), (26, 72)];

fn member(n: usize) -> serde_json::Value {
    let mut fields = "interface=crowd protocol=tri port=1".to_owned();
    let sets = [(30, "thirty"), (600, "six-hundred")];
    let exact = EXACT.iter().filter(|(_, count)| n < *count).map(|(len, _)| "x".repeat(*len));
    let named = sets.iter().filter(|(count, _)| n < *count).map(|(_, name)| (*name).to_owned());
    for interface in named.chain(exact) {
        fields += &format!(" interface={interface} protocol=tri port=1");
    }
    pod(&format!("member-{n}"), Ipv4Addr::new(10, 244, (n / 250) as u8, (n % 250) as u8), &fields)
}

fn exact(len: usize) -> Ask {
    ask(&format!("{}.default.Z", "x".repeat(len)), Rtype::A)
}

#[test]
fn the_limit_is_met_to_the_byte() {
    let (server, six) = &*LARGE;
    for (len, bytes, count, size, fits) in [
        // basic/flags: 512 and 513 bytes without EDNS.
        (20, 512, 28, None, true),
        (21, 513, 28, None, false),
        // edns/payload_client: 513 bytes and 11 of OPT to clients that accept 524, 523 and 512.
        (21, 524, 28, Some(524), true),
        (21, 524, 28, Some(523), false),
        (21, 524, 28, Some(512), false),
        (20, 523, 28, Some(512), false),
        // RFC 6891 §6.2.3: less than 512 means 512. 20 letters and OPT are 11 bytes more.
        (20, 523, 28, Some(0), false),
        // edns/payload_server: callsign's limit, whatever the client accepts.
        (25, 1232, 72, Some(1232), true),
        (25, 1232, 72, Some(4096), true),
        (25, 1232, 72, Some(1231), false),
        (26, 1233, 72, Some(1232), false),
        (26, 1233, 72, Some(1233), false),
        (26, 1233, 72, Some(65535), false),
    ] {
        let question = size.map_or(exact(len), |size| exact(len).edns(size));
        let whole = question.tcp(server.dns);
        assert_eq!((whole.wire.len(), whole.answer.len()), (bytes, count), "{len} letters over TCP");
        for address in [server.dns, *six] {
            let reply = question.udp(address);
            assert_eq!(reply.has(flag::TC), !fits, "{bytes} bytes to a client that takes {size:?}");
            assert_eq!(reply.answer.len() == count, fits, "{bytes} bytes to a client that takes {size:?}");
            assert!(!reply.answer.is_empty(), "what fits is sent");
            assert_eq!(reply.edns.is_some(), size.is_some(), "OPT is never dropped");
        }
    }
}

/// Checks that each remaining SRV record has its address, in order, and that there are no other records.
#[track_caller]
fn check_glue(reply: &Reply) {
    let targets: Vec<_> = reply.answer.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    let owners: Vec<_> = reply.additional.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(targets, owners);
    assert!(
        reply.additional.iter().all(|line| line.split(' ').nth(3) == Some("A")),
        "no other type: HAProxy stops there"
    );
}

#[test]
fn a_large_set_is_cut_to_what_fits_with_its_glue() {
    // TestDNS_ServiceLookup_LargeResponses, trimUDPResponse_*
    for (name, total) in [("thirty", 30), ("six-hundred", 600)] {
        let question = ask(&format!("_tri._tcp.{name}.default.Z"), Rtype::SRV);
        let plain = question.udp(LARGE.0.dns);
        let wide = question.clone().edns(4096).udp(LARGE.0.dns);
        for (reply, limit) in [(&plain, 512), (&wide, 1232)] {
            assert!(reply.has(flag::TC) && !reply.answer.is_empty() && reply.wire.len() <= limit);
            assert!(reply.wire.len() + 51 + 16 > limit, "one more would have fitted: {}", reply.wire.len());
            check_glue(reply);
        }
        assert!(wide.answer.len() > plain.answer.len());
        let whole = question.tcp(LARGE.0.dns);
        assert_eq!((whole.answer.len(), whole.additional.len()), (total, total));
        check_glue(&whole);
        let owner = whole.wire.windows(4).filter(|bytes| *bytes == [0xc0, 12, 0, 33]).count();
        assert_eq!(owner, total, "owners are pointers to the question");
    }
}

#[test]
fn a_cut_set_is_stable() {
    // haproxy#341, #1421: a client that never uses TCP must not get another subset in each reply.
    let question = ask("_tri._tcp.six-hundred.default.Z", Rtype::SRV).edns(1232);
    let first = question.udp(LARGE.0.dns).answer;
    assert!((0..5).all(|_| question.udp(LARGE.0.dns).answer == first));
    let elsewhere = Client::at("127.0.0.3", &LARGE.0).ask(&question).answer;
    assert_ne!(first, elsewhere, "another client starts elsewhere");
}

#[test]
fn clients_are_spread_over_a_set() {
    // Each client begins at a constant place. 20 clients of 30 endpoints begin, by chance, at about 15 places.
    let first = |client: u8| {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, client), 0)).expect("a socket");
        let query = ask("thirty.default.Z", Rtype::A).edns(1232).to_wire();
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        socket.send_to(&query, LARGE.0.dns).expect("send");
        let mut reply = vec![0; 1232];
        let len = socket.recv(&mut reply).expect("a reply");
        reply.truncate(len);
        Reply::read(&query, reply).answer
    };
    let answers: Vec<_> = (1..=20).map(first).collect();
    assert_eq!(answers, (1..=20).map(first).collect::<Vec<_>>());
    let beginnings: HashSet<_> = answers.iter().map(|answer| &answer[0]).collect();
    assert!(beginnings.len() >= 8, "{beginnings:?}");
    assert!(answers.iter().all(|answer| answer.iter().collect::<HashSet<_>>().len() == 30));
}

#[test]
fn a_set_beyond_64_kib_is_cut_without_tc_and_whole_over_http() {
    let counter = "callsign_truncated_total{transport=\"tcp\"} ";
    let count = || {
        let metrics = LARGE.0.get("/metrics").1;
        let value = metrics.lines().find_map(|line| line.strip_prefix(counter)).map(str::parse::<u64>);
        value.expect("the counter").expect("a number")
    };
    let before = count();
    // `Ask::tcp` panics at TC.
    let reply = ask("_tri._tcp.crowd.default.Z", Rtype::SRV).tcp(LARGE.0.dns);
    // Beyond 16 KiB glue cannot point to its target and has its whole name: at most 100 bytes an endpoint.
    assert!(reply.wire.len() > 65_535 - 100 && reply.answer.len() < CROWD, "{} bytes", reply.wire.len());
    check_glue(&reply);
    assert!(count() > before);
    let (status, body) = LARGE.0.get("/v1/endpoints?interface=crowd&limit=5000");
    let endpoints: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, endpoints["items"].as_array().map(Vec::len)), (200, Some(CROWD)));
}

#[test]
fn dig_turns_to_tcp_by_itself() {
    let reply = dig(LARGE.0.dns, &["SRV", "_tri._tcp.six-hundred.default.rpc.cluster.local."]);
    assert_eq!((reply.status.as_str(), reply.answer.len()), ("NOERROR", 600));
    assert!(reply.text.contains("retrying in TCP mode"), "{}", reply.text);
    let reply = dig(LARGE.0.dns, &["+ignore", "SRV", "_tri._tcp.six-hundred.default.rpc.cluster.local."]);
    assert!(reply.has_flag("tc") && !reply.answer.is_empty(), "{}", reply.text);
}
