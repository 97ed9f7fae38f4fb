//! How much fits into an answer, to the byte.

use std::collections::HashSet;

use callsign::source::Pod;
use callsign::wire::{Limits, Received};
use domain::base::iana::Rtype;

use super::world::{OWN, World, endpoint, whole};
use crate::harness::ask::{Ask, Edns, Reply, flag};

fn pods(count: usize) -> impl Iterator<Item = Pod> {
    (0..count).map(|n| {
        endpoint(
            &format!("pod-{n}"),
            &format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255),
            "interface=a.B port=20880",
        )
    })
}

/// Checks what the schema says about a reply that is cut, and about one that is not.
fn check(reply: &Reply, total: usize, limit: usize) {
    assert!(reply.wire.len() <= limit);
    let target = |line: &String| line.split_whitespace().last().unwrap().to_owned();
    let targets: Vec<String> = reply.answer.iter().map(target).collect();
    let owners: Vec<String> = reply.additional.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(owners, targets[..owners.len()], "glue in the answer's order, none without its target");
    if reply.answer.len() < total {
        assert!(reply.has(flag::TC));
        assert_eq!(owners.len(), targets.len(), "a cut answer goes with all of its glue");
    } else {
        assert!(!reply.has(flag::TC));
        if owners.len() < targets.len() {
            assert!(reply.wire.len() + 16 > limit, "glue was left out that fits");
        }
    }
}

#[test]
fn srv_answers_at_every_size() {
    for count in [1, 4, 5, 7, 8, 13, 14, 20, 21, 30] {
        let world = World::of(pods(count));
        let name = whole("_rpc._tcp.a.b.default.Z");
        check(&world.udp(&Ask::new(&name, Rtype::SRV)), count, 512);
        for size in (512..=1300).chain([4096, 65535]) {
            let reply = world.udp(&Ask::new(&name, Rtype::SRV).edns(size));
            check(&reply, count, usize::from(size).min(1232));
            assert_eq!(reply.edns.as_ref().map(|edns| edns.size), Some(1232));
        }
        let whole = world.ask(&name, Rtype::SRV);
        assert_eq!((whole.answer.len(), whole.additional.len()), (count, count));
    }
}

#[test]
fn a_cut_answer_with_several_ports_a_target_has_all_of_its_glue() {
    // A regression: the second port of a target used the room that was reserved for the glue of the first.
    let fields = "interface=a.B port=1 port=2 port=3";
    let world = World::of((0..20).map(|n| endpoint(&format!("pod-{n}"), &format!("10.0.0.{n}"), fields)));
    for size in 512..=1232 {
        let reply = world.udp(&Ask::new(&whole("_rpc._tcp.a.b.default.Z"), Rtype::SRV).edns(size));
        let mut targets: Vec<&str> = reply.answer.iter().map(|line| line.split(' ').next_back().unwrap()).collect();
        targets.dedup();
        let owners: Vec<&str> = reply.additional.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert!(reply.has(flag::TC));
        assert_eq!(owners, targets, "{size} bytes");
    }
}

#[test]
fn a_signature_refusal_too_long_for_udp_comes_over_tcp() {
    // Two names of 255 bytes in a TSIG record: their refusal takes more than 512 bytes, and once caused a panic.
    let labels = [&[b'k'; 63][..], &[b'e'; 63], &[b'y'; 63], &[b's'; 61]];
    let world = World::of([]);
    let long = callsign::dns::Name::from_labels(labels).unwrap();
    let data = [long.wire(), &[0; 8], &[0; 2], &[0, 1, 0, 0, 0, 0]].concat();
    let mut query = Ask::new("a.b.", Rtype::A).to_wire();
    query[11] = 1; // one additional record
    query.extend([long.wire(), &[0, 250, 0, 255, 0, 0, 0, 0], &(data.len() as u16).to_be_bytes(), &data].concat());
    let Received::Query(parsed) = callsign::wire::parse(&query) else { panic!("not read") };
    let refusal = callsign::answer::failure(callsign::dns::Rcode::NOTAUTH, None);
    for (limits, has_signature) in [(Limits::udp(None), false), (Limits::tcp(), true)] {
        let mut wire = Vec::new();
        callsign::wire::reply(&parsed, &refusal, world.snapshot(), limits, OWN, &mut wire);
        let reply = Reply::read(&query, wire);
        assert!(reply.wire.len() <= limits.len_max);
        assert_eq!((reply.rcode.as_str(), reply.has(flag::TC)), ("NOTAUTH", !has_signature));
        assert_eq!(reply.additional.len(), usize::from(has_signature));
    }
}

#[test]
fn a_record_more_than_fits_is_cut_at_the_byte() {
    // One TXT record grows a byte at a time. TC begins exactly at the limit.
    let name = whole("_rpc._tcp.a.b.default.Z");
    let mut seen = HashSet::new();
    for extra in 0..1200 {
        let zone = "z".repeat(extra);
        let world = World::of([endpoint("a", "10.0.0.1", &format!("interface=a.B port=1 zone={zone}"))]);
        let len = world.ask(&name, Rtype::TXT).wire.len();
        for (ask, limit, overhead) in [
            (Ask::new(&name, Rtype::TXT), 512, 0),
            (Ask::new(&name, Rtype::TXT).edns(0), 512, 11),
            (Ask::new(&name, Rtype::TXT).edns(524), 524, 11),
            (Ask::new(&name, Rtype::TXT).edns(4096), 1232, 11),
        ] {
            let reply = world.udp(&ask);
            let fits = len + overhead <= limit;
            assert_eq!((reply.has(flag::TC), reply.answer.len()), (!fits, usize::from(fits)), "{len} bytes, {ask:?}");
            seen.insert((limit, (len + overhead).wrapping_sub(limit)));
        }
    }
    for limit in [512, 1232] {
        for off in [usize::MAX, 0, 1] {
            assert!(seen.contains(&(limit, off)), "no reply of {limit} bytes and {off}");
        }
    }
}

#[test]
fn opt_and_its_options_stay_when_an_answer_is_cut() {
    let world = World::of(pods(40));
    let nsid = Edns { size: 512, options: vec![(3, Vec::new())], ..Edns::default() };
    let reply = world.udp(&Ask::new(&whole("_rpc._tcp.a.b.default.Z"), Rtype::SRV).opt(nsid));
    assert!(reply.has(flag::TC));
    assert_eq!(reply.edns.unwrap().options, [(3, b"test".to_vec())]);
}

#[test]
fn more_than_tcp_carries_is_cut_without_tc() {
    let world = World::of(pods(3000));
    let reply = world.ask(&whole("_rpc._tcp.a.b.default.Z"), Rtype::SRV);
    assert!(!reply.has(flag::TC));
    assert!(reply.wire.len() > 65_000, "{}", reply.wire.len());
    assert_eq!(reply.answer.len(), reply.additional.len());
    let addresses = world.ask(&whole("a.b.default.Z"), Rtype::A);
    assert_eq!(addresses.answer.len(), 3000);
}

#[test]
fn clients_spread_over_a_set_and_each_sees_one_order() {
    let mut world = World::of(pods(16));
    let name = whole("_rpc._tcp.a.b.default.Z");
    let mut firsts = HashSet::new();
    for host in 1..=64 {
        world.client = [10, 9, 8, host].into();
        let answers = [world.ask(&name, Rtype::SRV).answer, world.ask(&name, Rtype::SRV).answer];
        assert_eq!(answers[0], answers[1]);
        firsts.insert(answers[0][0].clone());
        let mut turned = answers[0].clone();
        turned.rotate_left(answers[0].iter().position(|line| line == answers[0].iter().min().unwrap()).unwrap());
        assert_eq!(turned.len(), 16);
    }
    assert!(firsts.len() >= 12, "64 clients begin at {} of 16 endpoints", firsts.len());
}

#[test]
fn a_long_txt_value_goes_on_and_stops_at_four_kib() {
    let methods: String = (0..100).map(|n| format!(" method=method-number-{n}")).collect();
    let world = World::of([endpoint("a", "10.0.0.1", &format!("interface=a.B port=1{methods}"))]);
    let text = world.ask(&whole("_rpc._tcp.a.b.default.Z"), Rtype::TXT).answer[0].clone();
    assert!(
        text.contains(r#""methods=method-number-0,"#)
            && text.contains(r#""methods.1="#)
            && text.contains(r#""methods.6="#),
        "{text}"
    );
    let settings =
        callsign::snapshot::ZoneSettings { txt_keys: callsign::snapshot::TxtKeys::All, ..super::world::settings() };
    let pairs: String = (10..40).map(|n| format!(" k{n}={}", "v".repeat(200))).collect();
    let world = World::with(settings, [endpoint("a", "10.0.0.1", &format!("interface=a.B port=1{pairs}"))]);
    let text = world.ask(&whole("_rpc._tcp.a.b.default.Z"), Rtype::TXT).answer[0].clone();
    assert!(text.contains(r#""truncated=11""#) && text.ends_with(r#""truncated=11""#), "{text}");
}
