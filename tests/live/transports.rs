//! One query has one reply, one count and one log line, whatever transport carries it.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::base::iana::{Class, Rtype};
use http::Request;

use super::clients::{Client, NAME, PATIENCE, with_cookie};
use super::cookies::cookie_alone;
use super::encrypted::{Encrypted, framed, url};
use super::site::{ask, manifests, options, provoke};
use crate::harness::ask::{Edns, Reply, flag};
use crate::harness::eventually;
use crate::harness::exchange::exchange_tcp;
use crate::harness::http2::Http2;
use crate::harness::quic::Quic;

const COOKIE: u16 = 10;
const PADDING: u16 = 12;

/// Sends a message and reads the reply. `None` if no reply comes.
type Exchange = fn(&Encrypted, &[u8]) -> Option<Vec<u8>>;

/// The transports as a client uses them, each with its label in the metrics.
const TRANSPORTS: [(&str, Exchange); 6] = [
    ("udp", |site, query| provoke(site.server.dns, query)),
    ("tcp", |site, query| exchange_tcp(site.server.dns, query).ok()),
    ("tls", |site, query| site.authority.connect(site.tls).exchange(query).ok()),
    ("https", over_http2),
    ("https", over_http3),
    ("quic", over_quic),
];

fn over_http2(site: &Encrypted, query: &[u8]) -> Option<Vec<u8>> {
    let connection = Http2::connect(site.https, Some(&site.authority));
    let url = url("/dns-query", query);
    let path = url.find("/dns-query").map(|at| &url[at..]).expect("a path");
    let mut response = connection.open(path).expect("a response");
    let body = std::iter::from_fn(|| connection.piece(&mut response)).map(|piece| piece.expect("a piece"));
    let body = body.collect::<Vec<_>>().concat();
    (response.status() == 200).then_some(body)
}

fn over_http3(site: &Encrypted, query: &[u8]) -> Option<Vec<u8>> {
    let connection = Quic::connect(&site.authority, site.https, b"h3");
    let request = Request::get(url("/dns-query", query)).body(Bytes::new()).expect("a request");
    let response = connection.requests(vec![request]).pop().expect("a response");
    (response.status() == 200).then(|| response.into_body())
}

fn over_quic(site: &Encrypted, query: &[u8]) -> Option<Vec<u8>> {
    let reply = Quic::connect(&site.authority, site.quic, b"doq").exchange(&framed(query)).ok()?;
    let (len, message) = reply.split_first_chunk::<2>().expect("a length");
    assert_eq!(usize::from(u16::from_be_bytes(*len)), message.len());
    Some(message.to_vec())
}

/// Messages of each kind, with their response codes from a server that answers and from one that refuses their client.
fn messages() -> Vec<(&'static str, Vec<u8>, [&'static str; 2])> {
    let srv = || ask(NAME, Rtype::SRV);
    let all = Edns { size: 1232, flags: 0x8000, options: vec![(3, vec![]), (PADDING, vec![0; 40])], ..Edns::default() };
    let mut signed = srv().edns(1232).to_wire();
    signed[11] += 1; // ARCOUNT
    signed.extend(b"\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1d\x0bhmac-sha256\x00");
    signed.extend(b"\x00\x00\x00\x00\x00\x01\x01\x2c\x00\x00\x12\x34\x00\x00\x00\x00");
    let mut two = srv().to_wire();
    two[5] = 2; // QDCOUNT
    two.extend_from_within(12..);
    let badvers = Edns { size: 1232, version: 1, options: vec![(PADDING, vec![0; 40])], ..Edns::default() };
    let answered = ["NOERROR", "REFUSED"];
    let mut messages = vec![
        ("answered", srv().edns(1232).to_wire(), answered),
        ("with all of EDNS", srv().opt(all).to_wire(), answered),
        ("TXT", ask(NAME, Rtype::TXT).edns(1232).flags(flag::RD | flag::CD).to_wire(), answered),
        ("a static zone", ask("www.static.test.", Rtype::A).edns(1232).to_wire(), answered),
        ("no such name", ask("nobody.default.Z", Rtype::A).edns(1232).to_wire(), ["NXDOMAIN", "REFUSED"]),
        ("no such zone", ask("example.org.", Rtype::A).edns(1232).to_wire(), ["REFUSED", "REFUSED"]),
        ("another class", ask("Z", Rtype::A).class(Class::CH).edns(1232).to_wire(), ["REFUSED", "REFUSED"]),
        ("signed", signed, ["NOTAUTH", "REFUSED"]),
        ("a cookie", with_cookie(srv(), b"8 bytes!").to_wire(), answered),
        ("a bad cookie", with_cookie(srv(), &[7; 9]).to_wire(), ["FORMERR", "FORMERR"]),
        ("a cookie alone", cookie_alone(b"8 bytes!"), ["NOERROR", "NOERROR"]),
        ("a bad cookie alone", cookie_alone(&[7; 24]), ["BADCOOKIE", "BADCOOKIE"]),
        ("no question", vec![0; 12], ["FORMERR", "FORMERR"]),
        ("two questions", two, ["FORMERR", "FORMERR"]),
        ("half a question", srv().to_wire()[..20].to_vec(), ["FORMERR", "FORMERR"]),
        ("BADVERS", srv().opt(badvers).to_wire(), ["BADVERS", "BADVERS"]),
        ("another opcode", srv().flags(2 << 11).to_wire(), ["NOTIMP", "NOTIMP"]),
        ("an update", srv().flags(5 << 11 | flag::RD).to_wire(), ["NOTIMP", "NOTIMP"]),
    ];
    for (_, message, _) in &mut messages {
        message[..2].fill(0); // the ID that QUIC requires
    }
    messages
}

/// What a reply says, without padding and without the server's part of a cookie, which has a time.
fn told(reply: &Reply) -> impl Clone + PartialEq + std::fmt::Debug + use<> {
    let mut edns = reply.edns.clone();
    if let Some(edns) = &mut edns {
        edns.options.retain(|(code, _)| *code != PADDING);
        let cookies = edns.options.iter_mut().filter(|(code, _)| *code == COOKIE);
        cookies.for_each(|(_, cookie)| cookie[8..].fill(0));
    }
    let Reply { rcode, flags, answer, authority, additional, .. } = reply;
    (rcode.clone(), *flags, answer.clone(), authority.clone(), additional.clone(), edns)
}

/// The replies counted for a transport, by type and response code, without those to [`provoke`]'s own question.
fn counts(site: &Encrypted, transport: &str) -> BTreeMap<String, u64> {
    let (_, metrics) = site.server.get("/metrics");
    let label = format!("transport=\"{transport}\",");
    let lines = metrics.lines().filter(|line| line.starts_with("callsign_queries_total{") && line.contains(&label));
    let counts = lines.map(|line| line.rsplit_once(' ').expect("a value"));
    let counts = counts.map(|(series, count)| (series.replace(&label, ""), count.parse().expect("a number")));
    counts.filter(|(series, count)| *count > 0 && !series.contains("\"SOA\"")).collect()
}

/// What the log says of a transport's queries, in their order, without those of [`provoke`].
fn logged(site: &Encrypted, transport: &str) -> Vec<String> {
    let log = site.server.log();
    let lines = log.lines().filter_map(|line| line.split_once(&format!(" transport={transport} ")));
    lines.map(|(_, query)| query.to_owned()).filter(|query| !query.contains("rtype=SOA")).collect()
}

/// Sends each message over each transport, and compares replies, counters and log lines with those of UDP.
fn assert_alike(args: &[&str], column: usize) {
    let site = Encrypted::with(manifests(), &[&["--log-queries", "--cookies", "--nsid", "site-1"], args].concat());
    for (what, message, rcodes) in messages() {
        let mut first = None;
        for (transport, exchange) in TRANSPORTS {
            let reply = exchange(&site, &message).unwrap_or_else(|| panic!("no reply to {what} over {transport}"));
            let reply = Reply::read(&message, reply);
            assert_eq!(reply.rcode, rcodes[column], "{what} over {transport}");
            let has_padding = |edns: &Edns| edns.options.iter().any(|(code, _)| *code == PADDING);
            let asks_for_padding = ["with all of EDNS", "BADVERS"].contains(&what);
            let is_padded = asks_for_padding && !["udp", "tcp"].contains(&transport);
            assert_eq!(reply.edns.as_ref().is_some_and(has_padding), is_padded, "{what} over {transport}");
            assert!(!is_padded || reply.wire.len().is_multiple_of(468), "{what} over {transport}");
            let told = told(&reply);
            assert_eq!(&told, first.get_or_insert(told.clone()), "{what} over {transport}");
        }
    }
    let (expected, lines) = (counts(&site, "udp"), logged(&site, "udp"));
    assert!(expected.len() > 5 && expected.values().sum::<u64>() == messages().len() as u64, "{expected:?}");
    assert!(lines.len() > 5 && lines.iter().any(|line| line.contains("rcode=FORMERR")), "{lines:?}");
    for (transport, times) in [("tcp", 1), ("tls", 1), ("https", 2), ("quic", 1)] {
        let expected = expected.iter().map(|(series, count)| (series.clone(), count * times)).collect();
        assert_eq!(counts(&site, transport), expected, "{transport}");
        let lines: Vec<String> = lines.iter().flat_map(|line| vec![line.clone(); times as usize]).collect();
        eventually(PATIENCE, || match logged(&site, transport) {
            found if found == lines => Ok(()),
            found => Err(format!("{found:#?} over {transport}, {lines:#?} over UDP")),
        });
    }
}

#[test]
fn every_transport_answers_counts_and_logs_alike() {
    assert_alike(&[], 0);
}

#[test]
fn every_transport_refuses_counts_and_logs_alike() {
    assert_alike(&["--allow", "192.0.2.0/24"], 1);
}

#[test]
fn every_transport_drops_and_counts_what_is_no_query_alike() {
    let site = Encrypted::with(manifests(), &[]);
    let dropped = || site.metric(r#"callsign_dropped_total{reason="not-a-query"}"#);
    let mut response = ask(NAME, Rtype::SRV).to_wire();
    response[..2].fill(0);
    response[2] |= 0x80;
    for (transport, exchange) in TRANSPORTS {
        let before = dropped();
        assert_eq!(exchange(&site, &response), None, "{transport}");
        assert_eq!(dropped(), before + 1, "{transport}");
    }
    // DNS over QUIC allows neither an ID (RFC 9250 §4.2.1) nor the keepalive option (§5.5.2).
    let mut keepalive = ask(NAME, Rtype::SRV).opt(options(&[(11, &[])])).to_wire();
    keepalive[..2].fill(0);
    let mut with_id = ask(NAME, Rtype::SRV).to_wire();
    with_id[..2].fill(1);
    for (what, message) in [("keepalive", keepalive), ("an ID", with_id)] {
        for (transport, exchange) in TRANSPORTS {
            let (before, is_quic) = (dropped(), transport == "quic");
            assert_eq!(exchange(&site, &message).is_none(), is_quic, "{what} over {transport}");
            assert_eq!(dropped(), before + u64::from(is_quic), "{what} over {transport}");
        }
    }
}

#[test]
fn a_rate_holds_for_udp_alone_and_each_reply_is_counted_and_logged() {
    let site = Encrypted::with(manifests(), &["--rrl", "5", "--cookies", "--log-queries"]);
    let client = Client::at("127.0.0.1", &site.server);
    let plain = client.flood(&ask(NAME, Rtype::SRV).edns(1232), 100);
    let with_cookie = client.flood(&with_cookie(ask(NAME, Rtype::SRV), b"8 bytes!"), 100);
    assert!(plain[0] >= 5 && plain[1] > 10 && with_cookie[2] > 10, "{plain:?} {with_cookie:?}");
    let replies = [plain, with_cookie].concat().iter().sum::<usize>();
    let dropped = || site.metric(r#"callsign_dropped_total{reason="rate-limit"}"#) as usize;
    assert_eq!(dropped(), 200 - replies);
    assert_eq!(site.metric(r#"callsign_truncated_total{transport="udp"}"#) as usize, plain[1]);
    assert_eq!(counts(&site, "udp").values().sum::<u64>() as usize, replies);
    let bad_cookies = |line: &&String| line.contains("rcode=BADCOOKIE");
    eventually(PATIENCE, || match logged(&site, "udp") {
        lines if lines.len() == replies && lines.iter().filter(bad_cookies).count() == with_cookie[2] => Ok(()),
        lines => Err(format!("{} lines for {replies} replies", lines.len())),
    });
    let mut query = ask(NAME, Rtype::SRV).edns(1232).to_wire();
    query[..2].fill(0);
    for (transport, exchange) in TRANSPORTS.into_iter().filter(|(transport, _)| *transport != "udp") {
        for _ in 0..10 {
            let reply = exchange(&site, &query).unwrap_or_else(|| panic!("no reply over {transport}"));
            assert!(!Reply::read(&query, reply).answer.is_empty(), "{transport}");
        }
    }
    assert_eq!(dropped(), 200 - replies);
}
