//! Bad input and hostile clients: bytes, and the expected reply. The numbers are rows of BAD_INPUT.md. Other files have the
//! rows 4 and 30 (`rfc8906`), 18, 19, 31 and 32 (`sizes`), 22 and 29 (`zonemaster`).
//!
//! After each datagram the same socket asks a plain question, which must be answered.

use crate::harness::ask::{Reply, flag};
use crate::harness::exchange::exchange_tcp;

use super::site::{SITE, STATIC, Z, ask, dns, gave_up_nothing, options, provoke};
use domain::base::iana::Rtype;

/// Header words after the ID: flags and the four counts.
type Header = [u16; 5];

/// One question and no records.
const ONE: Header = [0, 1, 0, 0, 0];

/// One question and one additional record.
const WITH_OPT: Header = [0, 1, 0, 0, 1];

/// `rpc.cluster.local.`, SOA, IN.
const SOA: &[u8] = b"\x03rpc\x07cluster\x05local\x00\x00\x06\x00\x01";

/// An empty OPT of 1232 bytes.
const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";

fn message(header: Header, parts: &[&[u8]]) -> Vec<u8> {
    let header = [0xbad_u16].into_iter().chain(header).flat_map(u16::to_be_bytes);
    header.chain(parts.concat()).collect()
}

/// The reply's RCODE, or `silence`.
fn verdict(query: &[u8]) -> String {
    match provoke(dns(), query) {
        None => "silence".to_owned(),
        Some(reply) => Reply::read(query, reply).rcode,
    }
}

fn check(rows: &[(u8, &str, Vec<u8>, &str)]) {
    for (row, what, query, expected) in rows {
        assert_eq!(verdict(query), *expected, "row {row}: {what}: {query:02x?}");
    }
}

/// `SOA`, with a name of these bytes instead of the zone's.
fn question(name: &[u8]) -> Vec<u8> {
    [name, b"\x00\x01\x00\x01"].concat()
}

#[test]
fn headers() {
    let mut rows = vec![(1, "no bytes", Vec::new(), "silence")];
    rows.extend((1..12).map(|len| (1, "less than a header", vec![0xff; len], "silence")));
    rows.extend([
        (2, "12 zero bytes", vec![0; 12], "FORMERR"),
        (3, "QR=1", message([flag::QR, 1, 0, 0, 0], &[SOA]), "silence"),
        (3, "QR=1 and a code", message([flag::QR | flag::AA | 3, 1, 0, 0, 0], &[SOA]), "silence"),
        (3, "QR=1, opcode 15", message([flag::QR | flag::OPCODE, 0, 0, 0, 0], &[]), "silence"),
        (5, "NOTIFY", message([4 << 11, 1, 0, 0, 0], &[SOA]), "NOTIMP"),
        (5, "UPDATE", message([5 << 11, 1, 0, 0, 0], &[SOA]), "NOTIMP"),
        (5, "UPDATE of class ANY", message([5 << 11, 1, 0, 1, 0], &[SOA, b"\0\0\xff\0\xff\0\0\0\0\0\0"]), "NOTIMP"),
        (6, "the same question twice", message([0, 2, 0, 0, 0], &[SOA, SOA]), "FORMERR"),
        (6, "two questions", message([0, 2, 0, 0, 0], &[SOA, &question(b"\x01a\0")]), "FORMERR"),
        (6, "two announced, one there", message([0, 2, 0, 0, 0], &[SOA]), "FORMERR"),
        (6, "65535 questions", message([0, 65535, 0, 0, 0], &[SOA]), "FORMERR"),
        (7, "65535 answers", message([0, 1, 65535, 0, 0], &[SOA]), "FORMERR"),
        (7, "65535 authorities", message([0, 1, 0, 65535, 0], &[SOA]), "FORMERR"),
        (7, "65535 additionals", message([0, 1, 0, 0, 65535], &[SOA]), "FORMERR"),
        (7, "all of them", message([0, 65535, 65535, 65535, 65535], &[]), "FORMERR"),
        (21, "a code in a query", message([0xf, 1, 0, 0, 0], &[SOA]), "NOERROR"),
    ]);
    check(&rows);
}

#[test]
fn names() {
    let long = |bytes: usize| {
        let mut name = [&[63][..], &[b'a'; 63]].concat().repeat(3);
        let last = bytes - name.len() - 2;
        name.push(last as u8);
        name.extend(vec![b'a'; last]);
        name.push(0);
        assert_eq!(name.len(), bytes);
        name
    };
    let below = |labels: &[u8]| [labels, &SOA[..SOA.len() - 4]].concat();
    check(&[
        (9, "a pointer to itself", message(ONE, &[&question(b"\xc0\x0c")]), "FORMERR"),
        (9, "a pointer ahead", message(ONE, &[&question(b"\xc0\x20")]), "FORMERR"),
        (9, "a pointer to the header", message(ONE, &[&question(b"\x01a\xc0\x00")]), "FORMERR"),
        (9, "126 pointers", message(ONE, &[&b"\xc0\x0e".repeat(126), b"\0\0\x01\0\x01"]), "FORMERR"),
        (10, "label type 0x40", message(ONE, &[&question(b"\x41a\0")]), "FORMERR"),
        (10, "label type 0x80", message(ONE, &[&question(b"\x81a\0")]), "FORMERR"),
        (11, "a name of 255 bytes", message(ONE, &[&question(&long(255))]), "REFUSED"),
        (11, "a name of 256 bytes", message(ONE, &[&question(&long(256))]), "FORMERR"),
        (11, "a label of 63 bytes", message(ONE, &[&question(&below(&long(208)[..64]))]), "NXDOMAIN"),
        (11, "127 labels", message(ONE, &[&question(&[&b"\x01a".repeat(127)[..], b"\0"].concat())]), "REFUSED"),
        (11, "128 labels", message(ONE, &[&question(&[&b"\x01a".repeat(128)[..], b"\0"].concat())]), "FORMERR"),
        (12, "a label past the end", message(ONE, &[b"\x3fabc"]), "FORMERR"),
        (12, "no root label", message(ONE, &[b"\x03abc"]), "FORMERR"),
        (12, "no type", message(ONE, &[b"\x03abc\0"]), "FORMERR"),
        (12, "half a type", message(ONE, &[b"\x03abc\0\0"]), "FORMERR"),
        (12, "no class", message(ONE, &[b"\x03abc\0\0\x01"]), "FORMERR"),
        (13, "a NUL", message(ONE, &[&question(&below(b"\x03a\0b"))]), "NXDOMAIN"),
        (13, "a dot", message(ONE, &[&question(&below(b"\x03a.b"))]), "NXDOMAIN"),
        (13, "a backslash", message(ONE, &[&question(&below(b"\x01\\"))]), "NXDOMAIN"),
        (13, "0xff", message(ONE, &[&question(&below(b"\x02\xff\xfe"))]), "NXDOMAIN"),
        (13, "UTF-8", message(ONE, &[&question(&below("\u{6}服务".as_bytes()))]), "NXDOMAIN"),
        (13, "control characters", message(ONE, &[&question(&below(b"\x04\n\r\x1b["))]), "NXDOMAIN"),
    ]);
}

#[test]
fn records() {
    let opt = |class: u16, ttl: u32, data: &[u8], len: usize| {
        let head = [&[0, 0, 41][..], &class.to_be_bytes(), &ttl.to_be_bytes(), &(len as u16).to_be_bytes()].concat();
        [&head[..], data].concat()
    };
    let sized = |data: &[u8]| opt(1232, 0, data, data.len());
    let a = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01";
    check(&[
        (14, "a byte behind the question", message(ONE, &[SOA, b"\0"]), "FORMERR"),
        (14, "a byte behind OPT", message(WITH_OPT, &[SOA, OPT, b"x"]), "FORMERR"),
        (15, "an answer", message([0, 1, 1, 0, 0], &[SOA, a]), "FORMERR"),
        (15, "an authority", message([0, 1, 0, 1, 0], &[SOA, a]), "FORMERR"),
        (15, "an additional record of another type", message(WITH_OPT, &[SOA, a]), "NOERROR"),
        (16, "two OPT", message([0, 1, 0, 0, 2], &[SOA, OPT, OPT]), "FORMERR"),
        (16, "OPT below the root", message(WITH_OPT, &[SOA, b"\x01a", OPT]), "FORMERR"),
        (16, "OPT at a pointer", message(WITH_OPT, &[SOA, b"\xc0\x1d", &OPT[1..]]), "FORMERR"),
        (16, "OPT as an answer", message([0, 1, 1, 0, 0], &[SOA, OPT]), "FORMERR"),
        (16, "OPT as an authority", message([0, 1, 0, 1, 0], &[SOA, OPT]), "FORMERR"),
        (17, "OPT's data past the end", message(WITH_OPT, &[SOA, &opt(1232, 0, b"", 1)]), "FORMERR"),
        (17, "an option past OPT's end", message(WITH_OPT, &[SOA, &sized(b"\0\x03\0\x01")]), "FORMERR"),
        (17, "half an option", message(WITH_OPT, &[SOA, &sized(b"\0\x03\0")]), "FORMERR"),
        (18, "a size of 0", message(WITH_OPT, &[SOA, &opt(0, 0, b"", 0)]), "NOERROR"),
        (20, "version 1", message(WITH_OPT, &[SOA, &opt(512, 0x0001_0000, b"", 0)]), "BADVERS"),
        (
            20,
            "version 255, all flags, an option",
            message(WITH_OPT, &[SOA, &opt(512, 0xff_ffff, b"\0\x64\0\0", 4)]),
            "BADVERS",
        ),
        (21, "all flags", message(WITH_OPT, &[SOA, &opt(512, 0xffff, b"", 0)]), "NOERROR"),
        (21, "an extended code", message(WITH_OPT, &[SOA, &opt(512, 0xff00_0000, b"", 0)]), "NOERROR"),
        (24, "NSID with data", message(WITH_OPT, &[SOA, &sized(b"\0\x03\0\x02ab")]), "NOERROR"),
        (24, "EXPIRE with data", message(WITH_OPT, &[SOA, &sized(b"\0\x09\0\x01x")]), "NOERROR"),
        (24, "ECS of no family", message(WITH_OPT, &[SOA, &sized(b"\0\x08\0\x04\xff\xff\xff\xff")]), "NOERROR"),
        (24, "KEEPALIVE over UDP", message(WITH_OPT, &[SOA, &sized(b"\0\x0b\0\0")]), "NOERROR"),
        (24, "the same option twice", message(WITH_OPT, &[SOA, &sized(b"\0\x03\0\0\0\x03\0\0")]), "NOERROR"),
        (30, "TSIG before OPT", message([0, 1, 0, 0, 2], &[SOA, TSIG, OPT]), "FORMERR"),
        (30, "TSIG behind OPT", message([0, 1, 0, 0, 2], &[SOA, OPT, TSIG]), "NOTAUTH"),
        (30, "TSIG twice", message([0, 1, 0, 0, 2], &[SOA, TSIG, TSIG]), "FORMERR"),
        (30, "TSIG of class IN", message(WITH_OPT, &[SOA, &[&TSIG[..6], b"\x01", &TSIG[7..]].concat()]), "FORMERR"),
        (30, "TSIG cut short", message(WITH_OPT, &[SOA, &TSIG[..TSIG.len() - 1]]), "FORMERR"),
        (30, "SIG(0)", message(WITH_OPT, &[SOA, b"\0\0\x18\0\xff\0\0\0\0\0\0"]), "NOERROR"),
    ]);
}

/// The key `a.`, algorithm `b.`, time 0, fudge 300, no MAC.
const TSIG: &[u8] = b"\x01a\0\0\xfa\0\xff\0\0\0\0\0\x13\x01b\0\0\0\0\0\0\0\x01\x2c\0\0\0\0\0\0\0\0";

#[test]
fn types() {
    let typed = |name: &[u8], rtype: u16| message(ONE, &[name, &rtype.to_be_bytes(), b"\0\x01"]);
    let zone = &SOA[..SOA.len() - 4];
    for rtype in (0..=300).chain([32768, 65279, 65280, 65534, 65535]) {
        // Row 26: the root, with every type.
        let root = verdict(&typed(b"\0", rtype));
        // Row 25: types that no question may have. Row 28: transfers.
        let (at_root, at_zone) = match rtype {
            41 | 249 | 250 => ("FORMERR", "FORMERR"),
            251 | 252 => ("REFUSED", "REFUSED"),
            _ => ("REFUSED", "NOERROR"),
        };
        assert_eq!(root, at_root, "type {rtype} at the root");
        assert_eq!(verdict(&typed(zone, rtype)), at_zone, "type {rtype} at the apex");
    }
}

#[test]
fn any_is_one_record() {
    // Row 27, RFC 8482 §4.2, and the same over TCP (§4.3).
    for name in [Z, "_rpc._tcp.org.acme.greeter.default.Z", "10-244-0-82.p.Z", "dns-version.Z"] {
        for reply in [ask(name, Rtype::ANY).udp(dns()), ask(name, Rtype::ANY).tcp(dns())] {
            let [record] = &*reply.answer else { panic!("{name}: {reply:?}") };
            assert!(record.contains(" HINFO ") && record.contains("RFC8482"), "{record}");
        }
    }
    for name in [STATIC, "www.static.test.", "alias.static.test."] {
        let reply = ask(name, Rtype::ANY).udp(dns());
        assert!(reply.rcode == "NOERROR" && reply.answer.len() <= 2, "{name}: {reply:?}");
    }
}

#[test]
fn compressed_records_cost_nothing() {
    // Row 8: 64 KiB of records whose owners point to the question, over TCP.
    let record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x00";
    let count = (65_535 - 12 - SOA.len()) / record.len();
    let all = record.repeat(count);
    for header in [[0, 1, count as u16, 0, 0], [0, 1, 0, count as u16, 0], [0, 1, 0, 0, count as u16]] {
        let query = message(header, &[SOA, &all]);
        let start = std::time::Instant::now();
        let reply = exchange_tcp(dns(), &query).expect("a reply");
        assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
        let expected = if header[4] > 0 { "NOERROR" } else { "FORMERR" };
        assert_eq!(Reply::read(&query, reply).rcode, expected, "{header:?}");
    }
}

#[test]
fn no_answer_needs_another_query() {
    // Row 33: an SRV record's target is always in our zone, whatever a registration says. An alias to nowhere ends.
    let reply = ask("outside.static.test.", Rtype::A).udp(dns());
    assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("NOERROR", 1), "{reply:?}");
    let reply = ask("service.static.test.", Rtype::SRV).udp(dns());
    assert_eq!(
        (reply.answer.len(), reply.additional.len()),
        (3, 3),
        "the alias, two endpoints, their addresses: {reply:?}"
    );
}

#[test]
fn a_flood_of_new_names_leaves_nothing_behind() {
    // Row 34, on a small scale.
    for n in 0..2000 {
        let reply = ask(&format!("n{n}.default.Z"), Rtype::A).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.authority.len()), ("NXDOMAIN", 1));
    }
}

/// A small random number generator (Knuth's MMIX constants): the same bytes in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn broken_bytes_of_good_queries() {
    // Row 46, on a small scale: every reply is well-formed and within the limit, and the next question is answered.
    let names = [
        "_rpc._tcp.org.acme.greeter.default.Z",
        "greeter-0-50051._tri._tcp.org.acme.greeter.default.Z",
        "org.acme.greeter.v-1-0-0.g-gray.default.Z",
        "b._dns-sd._udp.default.Z",
        "10-244-0-82.p.Z",
        "greeter-1.default.pod.Z",
        "81.0.244.10.in-addr.arpa.",
        "8.7.6.5.ip6.arpa.",
        "service.static.test.",
        "x.cut.static.test.",
    ];
    let rtypes = [Rtype::SRV, Rtype::TXT, Rtype::A, Rtype::PTR, Rtype::SOA, Rtype::ANY];
    let mut numbers = Numbers(1);
    let mut replies = 0;
    for _ in 0..4000 {
        let question = ask(names[numbers.below(names.len())], rtypes[numbers.below(rtypes.len())]);
        let mut query = question.opt(options(&[(3, &[])])).to_wire();
        for _ in 0..1 + numbers.below(3) {
            let at = 2 + numbers.below(query.len() - 2);
            query[at] = numbers.below(256) as u8;
        }
        if numbers.below(8) == 0 {
            query.truncate(numbers.below(query.len()));
        }
        if let Some(reply) = provoke(dns(), &query) {
            assert!(reply.len() <= 1232, "{} bytes to {query:02x?}", reply.len());
            Reply::read(&query, reply);
            replies += 1;
        }
    }
    assert!(replies > 2000, "{replies} replies");
    gave_up_nothing(&SITE.server);
}
