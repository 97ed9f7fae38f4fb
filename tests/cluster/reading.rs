//! Tests the harness: if its strict reader missed faults, every test that uses it would be worthless.

use std::fs;
use std::time::Duration;

use domain::base::iana::Rtype;

use crate::harness::ask::{Ask, Reply, flag};
use crate::harness::cluster::binaries;
use crate::harness::dig::{dig, kdig};
use crate::harness::process::{Process, free_address, http_get, scratch};

/// A reply to an SRV question at `a.` with one record, and the offsets of its parts.
fn good() -> (Vec<u8>, Vec<u8>) {
    let query = Ask::new("a.", Rtype::SRV).edns(1232).to_wire();
    let mut reply = query.clone();
    // QR and AA, one answer, whose owner is a pointer to the question.
    (reply[2], reply[7]) = (0x84, 1);
    let opt = reply.split_off(12 + 3 + 4);
    reply.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 5, 0, 9, 0, 0, 0, 100, 0x51, 0x90, 1, b'b', 0]);
    reply.extend(opt);
    (query, reply)
}

#[test]
fn a_good_reply_is_read_as_zone_text() {
    let (query, reply) = good();
    let reply = Reply::parse(&query, &reply).unwrap();
    assert_eq!(reply.rcode, "NOERROR");
    assert_eq!(reply.answer, ["a. 5 IN SRV 0 100 20880 b."]);
    assert!(reply.has(flag::AA) && !reply.has(flag::TC));
    assert_eq!((reply.authority.len(), reply.additional.len()), (0, 0));
    assert_eq!(reply.edns.map(|edns| (edns.size, edns.version, edns.options.len())), Some((1232, 0, 0)));
}

/// A change of a valid reply.
type Harm = fn(&mut Vec<u8>);

#[test]
fn the_strict_reader_notices_every_fault() {
    let faults: [(&str, Harm); 16] = [
        ("another id", |reply| reply[0] ^= 1),
        ("QR is clear", |reply| reply[2] &= 0x7f),
        ("another opcode", |reply| reply[2] |= 0x20),
        ("an answer without AA", |reply| reply[2] &= !0x04),
        ("RD that nobody asked for", |reply| reply[2] |= 0x01),
        ("RA", |reply| reply[3] |= 0x80),
        ("Z", |reply| reply[3] |= 0x40),
        ("AD", |reply| reply[3] |= 0x20),
        ("CD", |reply| reply[3] |= 0x10),
        ("the question in another case", |reply| reply[13] = b'A'),
        ("a byte too many", |reply| reply.push(0)),
        ("a byte too few", |reply| reply.truncate(reply.len() - 1)),
        ("a record that is not there", |reply| reply[9] = 1),
        ("a pointer forward", |reply| reply[20] = 60),
        ("SRV without a target", |reply| {
            reply.drain(37..40);
            reply[30] -= 3;
        }),
        ("a record after OPT", |reply| {
            reply[11] = 2;
            reply.extend([0, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 1]);
        }),
    ];
    for (fault, harm) in faults {
        let (query, mut reply) = good();
        harm(&mut reply);
        assert!(Reply::parse(&query, &reply).is_err(), "not seen: {fault}");
    }
}

#[test]
fn dig_kdig_and_the_strict_reading_agree() {
    let (server, health, dir) = (free_address(), free_address(), scratch("zone"));
    let zone = "@ 5 IN SOA ns h 1 5 5 5 5\n@ 5 IN NS ns\nns 5 IN A 127.0.0.1\n\
        x 5 IN SRV 0 100 20880 ns\nx 5 IN TXT \"two  spaces\"\n";
    fs::write(dir.join("zone"), zone).expect("write a zone");
    let file = dir.join("zone");
    let corefile = format!(
        "test.:{} {{\n bind 127.0.0.1\n file {}\n}}\nhealth.invalid.:{} {{\n health {health}\n}}\n",
        server.port(),
        file.display(),
        server.port()
    );
    fs::write(dir.join("Corefile"), corefile).expect("write a Corefile");
    let mut core = Process::start(binaries().join("coredns"), ["-conf".as_ref(), dir.join("Corefile").as_os_str()]);
    core.wait_until(Duration::from_secs(20), || http_get(health, "/health").is_ok_and(|(status, _)| status == 200));

    let srv = "x.test. 5 IN SRV 0 100 20880 ns.test.";
    let glue = "ns.test. 5 IN A 127.0.0.1";
    for program in [dig, kdig] {
        let seen = program(server, &["+edns=0", "SRV", "x.test."]);
        seen.shows("NOERROR", &[srv]).unwrap();
        assert_eq!(seen.additional, [glue], "{}", seen.text);
        assert!(seen.has_flag("aa") && !seen.has_flag("ra") && !seen.edns.is_empty(), "{}", seen.text);
        assert_eq!(program(server, &["TXT", "x.test."]).data(), ["\"two  spaces\""]);
        let nobody = program(server, &["SRV", "nobody.test."]);
        nobody.shows("NXDOMAIN", &[]).unwrap();
        assert_eq!(nobody.authority.len(), 1, "{}", nobody.text);
        assert!(nobody.shows("NOERROR", &[]).is_err() && nobody.shows("NXDOMAIN", &[srv]).is_err());
    }
    let ask = Ask::new("x.test.", Rtype::SRV).edns(1232);
    for reply in [ask.udp(server), ask.tcp(server)] {
        assert_eq!((reply.rcode.as_str(), reply.has(flag::AA)), ("NOERROR", true));
        assert_eq!(reply.answer, [srv]);
        assert_eq!(reply.additional, [glue]);
        assert!(reply.edns.is_some());
    }
    assert_eq!(Ask::new("nobody.test.", Rtype::A).udp(server).rcode, "NXDOMAIN");
    assert_eq!(Ask::new("x.test.", Rtype::A).udp(server).edns, None);
}
