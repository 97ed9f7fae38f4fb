//! RFC 8906 §8, by the ids of the tools that check it (genreport, ednscomp): each row with dig, and as bytes.

use crate::harness::ask::{Ask, Edns, Reply, flag};
use crate::harness::dig::dig;
use crate::harness::exchange::exchange_udp;
use domain::base::iana::Rtype;

use super::site::{NSID, ask, data, dns, options, whole};
use super::sizes::LARGE;

/// The EDNS flag that asks for DNSSEC (RFC 3225).
const DO: u16 = 0x8000;

/// The expected reply.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// NOERROR with AA and the SOA record.
    Soa,
    /// NOERROR with AA, no record, and the SOA in the authority section.
    NoData,
    /// BADVERS without any record.
    BadVersion,
}
use Expected::{BadVersion, NoData, Soa};

/// `id`, dig's options and question, and the same as header flags and EDNS.
type Row = (&'static str, &'static str, u16, Option<Edns>, Expected);

/// EDNS of this version, with these flags and options.
fn edns(version: u8, flags: u16, given: &[(u16, &[u8])]) -> Option<Edns> {
    Some(Edns { version, flags, ..options(given) })
}

const SUBNET: &[u8] = &[0, 1, 0, 0];
const COOKIE: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];

fn rows() -> Vec<Row> {
    let four: &[(u16, &[u8])] = &[(3, &[]), (8, SUBNET), (9, &[]), (10, COOKIE)];
    vec![
        ("dns / 8.1.1", "+noedns SOA Z", 0, None, Soa),
        ("type666, TYPE1000 / 8.1.2", "+noedns TYPE1000 Z", 0, None, NoData),
        ("cd / 8.1.3.1", "+noedns +cd SOA Z", flag::CD, None, Soa),
        ("ad / 8.1.3.2", "+noedns +ad SOA Z", flag::AD, None, Soa),
        ("zflag / 8.1.3.3", "+noedns +zflag SOA Z", flag::Z, None, Soa),
        ("rd / 8.1.3.4", "+noedns +rec SOA Z", flag::RD, None, Soa),
        ("aa", "+noedns +aaflag SOA Z", flag::AA, None, Soa),
        ("ra", "+noedns +raflag SOA Z", flag::RA, None, Soa),
        ("tc", "+noedns +tcflag SOA Z", flag::TC, None, Soa),
        ("tcp / 8.1.5", "+noedns +tcp SOA Z", 0, None, Soa),
        ("edns / 8.2.1", "+edns=0 SOA Z", 0, edns(0, 0, &[]), Soa),
        ("edns1 / 8.2.2", "+edns=1 +noednsneg SOA Z", 0, edns(1, 0, &[]), BadVersion),
        ("ednsopt / 8.2.3", "+edns=0 +ednsopt=100 SOA Z", 0, edns(0, 0, &[(100, &[])]), Soa),
        ("ednsflags / 8.2.4 (ISC)", "+edns=0 +ednsflags=0x80 SOA Z", 0, edns(0, 0x80, &[]), Soa),
        ("ednsflags / 8.2.4 (hickory)", "+edns=0 +ednsflags=0x40 SOA Z", 0, edns(0, 0x40, &[]), Soa),
        ("edns1flags / 8.2.5", "+edns=1 +noednsneg +ednsflags=0x40 SOA Z", 0, edns(1, 0x40, &[]), BadVersion),
        ("edns1opt / 8.2.6", "+edns=1 +noednsneg +ednsopt=100 SOA Z", 0, edns(1, 0, &[(100, &[])]), BadVersion),
        ("do / 8.2.8", "+edns=0 +dnssec SOA Z", 0, edns(0, DO, &[]), Soa),
        ("edns1do / 8.2.9", "+edns=1 +noednsneg +dnssec SOA Z", 0, edns(1, DO, &[]), BadVersion),
        ("docd", "+edns=0 +dnssec +cd SOA Z", flag::CD, edns(0, DO, &[]), Soa),
        (
            "optlist / 8.2.10",
            "+edns=0 +nsid +subnet=0.0.0.0/0 +expire +cookie=0102030405060708 SOA Z",
            0,
            edns(0, 0, four),
            Soa,
        ),
        ("ednsnsid", "+edns=0 +nsid SOA Z", 0, edns(0, 0, &[(3, &[])]), Soa),
        ("ednscookie", "+edns=0 +cookie=0102030405060708 SOA Z", 0, edns(0, 0, &[(10, COOKIE)]), Soa),
        ("ednsexpire", "+edns=0 +expire SOA Z", 0, edns(0, 0, &[(9, &[])]), Soa),
        ("ednssubnet", "+edns=0 +subnet=0.0.0.0/0 SOA Z", 0, edns(0, 0, &[(8, SUBNET)]), Soa),
        ("edns1nsid", "+edns=1 +noednsneg +nsid SOA Z", 0, edns(1, 0, &[(3, &[])]), BadVersion),
        (
            "edns1cookie",
            "+edns=1 +noednsneg +cookie=0102030405060708 SOA Z",
            0,
            edns(1, 0, &[(10, COOKIE)]),
            BadVersion,
        ),
        ("edns1expire", "+edns=1 +noednsneg +expire SOA Z", 0, edns(1, 0, &[(9, &[])]), BadVersion),
        ("edns1subnet", "+edns=1 +noednsneg +subnet=0.0.0.0/0 SOA Z", 0, edns(1, 0, &[(8, SUBNET)]), BadVersion),
        ("ednstcp", "+tcp +edns=0 +bufsize=512 +dnssec DNSKEY Z", 0, edns(0, DO, &[]), NoData),
        ("bind11", "+edns=0 +cookie +dnssec SOA Z", 0, edns(0, DO, &[(10, COOKIE)]), Soa),
        ("dig11", "+edns=0 +ad +rec +cookie SOA Z", flag::AD | flag::RD, edns(0, 0, &[(10, COOKIE)]), Soa),
    ]
}

/// A row's question as bytes: the type and name at the end of dig's line.
fn question(line: &str) -> Ask {
    let mut words = line.rsplit(' ');
    let (name, rtype) = (words.next().expect("a name"), words.next().expect("a type"));
    ask(name, rtype.parse::<Rtype>().expect("a type"))
}

#[test]
fn as_dig_asks() {
    for (id, line, flags, edns, expected) in rows() {
        let line = whole(line);
        let base = ["+norec", "+noad", "+nocookie", "+ignore"];
        let reply = dig(dns(), &base.into_iter().chain(line.split(' ')).collect::<Vec<_>>());
        let status = if expected == BadVersion { "BADVERS" } else { "NOERROR" };
        assert_eq!(reply.status, status, "{id}: {}", reply.text);
        let mut wanted = vec!["qr"];
        wanted.extend((expected != BadVersion).then_some("aa"));
        wanted.extend((flags & flag::RD != 0).then_some("rd"));
        assert_eq!(reply.flags, wanted, "{id}: {}", reply.text);
        let counts = [reply.answer.len(), reply.authority.len(), reply.additional.len()];
        assert_eq!(counts, counts_of(expected), "{id}: {}", reply.text);
        assert_eq!(reply.edns.is_empty(), edns.is_none(), "{id}: {}", reply.text);
        let Some(sent) = edns else { continue };
        // dig prints `MBZ: 0x…` if a flag without a meaning is set.
        let flags = if sent.flags & DO != 0 { " do" } else { "" };
        let line = format!("EDNS: version: 0, flags:{flags}; udp: 1232");
        assert!(reply.edns.contains(&line), "{id}: wanted {line}: {}", reply.text);
        for option in ["OPT=100", "COOKIE", "CLIENT-SUBNET", "EXPIRE"] {
            assert!(!reply.edns.iter().any(|line| line.starts_with(option)), "{id}: {}", reply.text);
        }
    }
}

#[test]
fn as_bytes() {
    for (id, line, flags, edns, expected) in rows() {
        let question = question(line).flags(flags);
        let question = edns.iter().fold(question, |question, edns| question.opt(edns.clone()));
        for reply in [question.udp(dns()), question.tcp(dns())] {
            check(id, &reply, flags, edns.as_ref(), expected);
        }
    }
}

fn counts_of(expected: Expected) -> [usize; 3] {
    match expected {
        Soa => [1, 0, 0],
        NoData => [0, 1, 0],
        BadVersion => [0, 0, 0],
    }
}

/// genreport's tags, each as one assertion. Reading the reply checks malformed, mismatch, opcode, z and toobig already.
#[track_caller]
fn check(id: &str, reply: &Reply, flags: u16, edns: Option<&Edns>, expected: Expected) {
    let rcode = if expected == BadVersion { "BADVERS" } else { "NOERROR" };
    assert_eq!(reply.rcode, rcode, "{id}: {reply:?}");
    assert_eq!(reply.has(flag::AA), expected != BadVersion, "noaa, aa: {id}: {reply:?}");
    assert_eq!(reply.has(flag::RD), flags & flag::RD != 0, "rd: {id}: {reply:?}");
    assert!(!reply.has(flag::TC), "{id}: {reply:?}");
    let counts = [reply.answer.len(), reply.authority.len(), reply.additional.len()];
    assert_eq!(counts, counts_of(expected), "nosoa, soa: {id}: {reply:?}");
    let (Some(sent), Some(got)) = (edns, &reply.edns) else {
        assert!(edns.is_none() && reply.edns.is_none(), "noopt, opt: {id}: {reply:?}");
        return;
    };
    assert_eq!(got.version, 0, "version-not-zero: {id}: {reply:?}");
    assert_eq!(got.flags, sent.flags & DO, "mbz, nodo: {id}: {reply:?}");
    assert_eq!(got.size, 1232, "{id}: {reply:?}");
    let asks_nsid = sent.options.iter().any(|(code, _)| *code == 3);
    let wanted: &[(u16, Vec<u8>)] = if asks_nsid { &[(3, NSID.as_bytes().to_vec())] } else { &[] };
    assert_eq!(got.options, wanted, "echoed: {id}: {reply:?}");
}

#[test]
fn edns_at_512_cuts_and_keeps_opt() {
    // 8.2.7, with a set of ours instead of DNSKEY: thirty SRV records, of which a few fit into 512 bytes.
    let (server, name) = (&LARGE.0, "_tri._tcp.thirty.default.rpc.cluster.local.");
    let args = ["+norec", "+nocookie", "+edns=0", "+bufsize=512", "+ignore", "SRV", name];
    let reply = dig(server.dns, &args);
    assert_eq!((reply.status.as_str(), reply.edns.is_empty()), ("NOERROR", false), "{}", reply.text);
    assert!(reply.flags.iter().any(|flag| flag == "tc"), "{}", reply.text);
    let question = ask(name, Rtype::SRV);
    let cut = question.clone().edns(512).udp(server.dns);
    assert!(cut.has(flag::TC) && cut.edns.is_some() && cut.wire.len() <= 512, "{cut:?}");
    let whole = question.tcp(server.dns);
    assert_eq!((whole.answer.len(), whole.has(flag::TC)), (30, false));
    assert!(!cut.answer.is_empty() && cut.answer.iter().all(|record| whole.answer.contains(record)), "{cut:?}");
}

#[test]
fn opcodes() {
    // opcode and opcodeflg / 8.1.4. With every flag set, the server cannot know which of them the sender supports.
    let all_flags = flag::TC | flag::RD | flag::RA | flag::CD | flag::AD | flag::AA | flag::Z;
    for opcode in 1..=15_u16 {
        for flags in [0, all_flags] {
            let header = [7, opcode << 11 | flags, 0, 0, 0, 0].map(u16::to_be_bytes).concat();
            let wire = exchange_udp(dns(), &header).unwrap_or_else(|error| panic!("opcode {opcode}: {error}"));
            assert_eq!(
                wire,
                [7, flag::QR | opcode << 11 | 4, 0, 0, 0, 0].map(u16::to_be_bytes).concat(),
                "opcode {opcode}"
            );
        }
        // opcode with a question (hickory's variant).
        let reply = ask("Z", Rtype::SOA).flags(opcode << 11).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.flags & !flag::OPCODE), ("NOTIMP", flag::QR | 4), "opcode {opcode}");
        assert!(reply.answer.is_empty() && reply.authority.is_empty() && reply.additional.is_empty());
        assert_eq!(reply.edns, None);
    }
    let reply = dig(dns(), &["+norec", "+noad", "+noedns", "+header-only", "+opcode=15"]);
    assert_eq!((reply.status.as_str(), reply.flags.join(" ").as_str()), ("NOTIMP", "qr"), "{}", reply.text);
    assert!(reply.text.contains("opcode: RESERVED15"), "{}", reply.text);
    let reply = dig(dns(), &["+norec", "+noad", "+noedns", "+opcode=15", "SOA", "rpc.cluster.local."]);
    assert_eq!((reply.status.as_str(), reply.flags.join(" ").as_str()), ("NOTIMP", "qr"), "{}", reply.text);
}

#[test]
fn a_signature_by_an_unknown_key() {
    // dnswkk: callsign has no keys, so the reply is NOTAUTH and BADKEY, over both transports.
    let key = "hmac-sha256:.:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for transport in ["+notcp", "+tcp"] {
        let reply = dig(dns(), &["+norec", "+noedns", "+nocookie", transport, "-y", key, "SOA", "rpc.cluster.local."]);
        assert_eq!(reply.status, "NOTAUTH", "{}", reply.text);
        assert!(reply.text.contains("BADKEY"), "{}", reply.text);
        assert!(reply.answer.is_empty(), "{}", reply.text);
    }
    assert_eq!(data(&ask("Z", Rtype::NS).udp(dns()).answer), ["ns.Z"]);
}
