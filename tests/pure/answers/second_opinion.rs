//! The server's replies compared with those of hickory: to each query, both decode to the same.

use callsign::answer::Freshness;
use callsign::source::Pod;
use callsign::wire::{self, Edns as QueryEdns, Limits, Received};
use domain::base::iana::{Class, Rtype};
use proptest::prelude::*;

use super::hickory;
use super::world::{World, endpoint, settings, whole};
use crate::harness::ask::{Ask, Edns, Reply, flag};
use crate::harness::seeds::{config, seeds_of};

/// The limits of each transport: UDP, TCP, and those that are encrypted.
const TRANSPORTS: [fn(Option<QueryEdns>) -> Limits; 3] = [Limits::udp, |_| Limits::tcp(), |_| Limits::encrypted()];

/// The types that the tests ask for at every name.
const RTYPES: [u16; 20] = [1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 39, 41, 43, 64, 65, 250, 251, 252, 255, 65280];

const SHOP: &str = "\
@ IN NS ns1.shop.example.\n@ NS ns.elsewhere.example.\nns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\nwww A 192.0.2.2
alias CNAME www\nchain CNAME alias\naway CNAME www.elsewhere.example.\npods CNAME a.b.default.rpc.cluster.local.
gone CNAME nothing\n*.wild TXT \"any\"\nmail MX 10 www\nmail MX 20 ns1\n_x._tcp SRV 1 2 3 www\n_x._tcp SRV 1 2 4 ns1
tree DNAME shop.example.\nsub NS ns.sub\nsub NS ns1\nsub NS ns.elsewhere.example.\nns.sub A 192.0.2.3
ns.sub AAAA 2001:db8::3\nodd TYPE65280 \\# 3 010203\ncase CNAME WWW.Shop.Example.\n";

fn pods() -> impl Iterator<Item = Pod> {
    let plain =
        (0..5).map(|n| endpoint(&format!("p{n}"), &format!("10.244.0.{n}"), "interface=a.B port=20880 group=g1"));
    let many =
        (0..90).map(|n| endpoint(&format!("m{n}"), &format!("10.244.1.{n}"), "interface=many protocol=tri port=1"));
    let dual = (0..9).map(|n| {
        let fields = "interface=dual port=1 port=2 port=3 version=1.0 protocol=tri interface=a.B port=4 zone=somewhere";
        endpoint(&format!("d{n}"), &format!("10.244.2.{n},fd00::{n}"), fields)
    });
    plain.chain(many).chain(dual)
}

fn names() -> Vec<String> {
    let mut names = Vec::new();
    for service in ["a.b", "A.b.g-G1", "a.b.g--none.v--none", "many", "dual", "dual.v-1-0", "nobody", "dual.v-2"] {
        for front in ["", "_rpc._tcp.", "_tri._tcp.", "_http._tcp.", "_tcp.", "p0-20880._rpc._tcp.", "d1-2._tri._tcp."]
        {
            names.push(format!("{front}{service}.default.Z"));
        }
        names.push(format!("_services._dns-sd._udp.{service}.default.Z"));
    }
    let others = [
        "Z",
        "p.Z",
        "pod.Z",
        "default.Z",
        "b._dns-sd._udp.default.Z",
        "dns-version.Z",
        "ns.Z",
        "x.ns.Z",
        "nowhere.Z",
        "10-244-0-1.p.Z",
        "10-244-2-3.P.Z",
        "fd00-0-0-0-0-0-0-1.p.Z",
        "p1.default.pod.Z",
        "d1.default.pod.Z",
        ".",
        "1.0.244.10.in-addr.arpa.",
        "244.10.in-addr.arpa.",
        "9.9.244.10.in-addr.arpa.",
        "in-addr.arpa.",
        "shop.example.",
        "www.shop.example.",
        "alias.shop.example.",
        "Chain.SHOP.example.",
        "away.shop.example.",
        "pods.shop.example.",
        "gone.shop.example.",
        "x.wild.shop.example.",
        "mail.shop.example.",
        "odd.shop.example.",
        "_x._tcp.shop.example.",
        "www.tree.shop.example.",
        "tree.shop.example.",
        "x.sub.shop.example.",
        "ns.sub.shop.example.",
        "sub.shop.example.",
        "case.shop.example.",
        "example.",
        "nothing.shop.example.",
    ];
    names.extend(others.map(str::to_owned));
    names.into_iter().map(|name| whole(&name)).collect()
}

/// Every way to ask one question.
fn ways(name: &str, rtype: Rtype) -> Vec<Ask> {
    let ask = || Ask::new(name, rtype);
    let nsid = Edns { size: 512, flags: 0x8000, options: vec![(3, vec![]), (10, vec![1; 8])], ..Edns::default() };
    vec![
        ask(),
        ask().flags(flag::RD | flag::CD | flag::AD | flag::Z),
        ask().edns(512),
        ask().edns(900).flags(flag::RD),
        ask().edns(4096),
        ask().opt(nsid),
        ask().opt(Edns { version: 1, size: 1232, ..Edns::default() }),
        ask().opt(Edns { size: 1232, options: vec![(12, vec![0; 40])], ..Edns::default() }),
        ask().class(Class::CH),
    ]
}

/// Both replies to a query, decoded. `None` if there must be no reply.
fn both(world: &World, query: &[u8], limits: impl Fn(Option<QueryEdns>) -> Limits) -> Option<[Reply; 2]> {
    let replies = hickory::both(world, query, limits)?;
    Some(replies.map(|reply| Reply::read(query, reply)))
}

#[track_caller]
fn assert_agreed(what: &dyn std::fmt::Debug, [one, other]: &[Reply; 2]) {
    let parts = |reply: &Reply| {
        let Reply { rcode, flags, answer, authority, additional, edns, .. } = reply;
        (rcode.clone(), *flags, answer.clone(), authority.clone(), additional.clone(), edns.clone())
    };
    assert_eq!(parts(one), parts(other), "{what:?}");
    assert_eq!(one.wire[..2], other.wire[..2], "the id of {what:?}");
    assert_eq!(one.wire.len(), other.wire.len(), "the length of {what:?}, so that both cut at one place");
}

fn assert_all_agree(world: &World, rtypes: &[u16]) -> usize {
    let mut count = 0;
    for name in names() {
        for rtype in rtypes.iter().copied().map(Rtype::from_int) {
            for ask in ways(&name, rtype) {
                let query = ask.to_wire();
                for limits in TRANSPORTS {
                    assert_agreed(&ask, &both(world, &query, limits).expect("a reply"));
                    count += 1;
                }
            }
        }
    }
    count
}

#[test]
fn every_name_and_type_is_answered_alike() {
    let count = assert_all_agree(&World::beside(&[("shop.example.", SHOP)], pods()), &RTYPES);
    assert!(count > 20_000, "{count}");
}

#[test]
fn every_name_is_answered_alike_before_the_first_sync_and_when_stale() {
    let rtypes = [1, 6, 33, 255];
    assert_all_agree(&World::unsynced(settings()), &rtypes);
    let mut world = World::of(pods().take(3));
    for freshness in [Freshness::Stale, Freshness::Expired] {
        world.freshness = freshness;
        assert_all_agree(&world, &rtypes);
    }
}

#[test]
fn both_composers_cut_sets_at_one_place_at_every_size() {
    let world = World::beside(&[("shop.example.", SHOP)], pods());
    for (name, rtype) in [
        ("_rpc._tcp.many.default.Z", Rtype::SRV),
        ("_tri._tcp.dual.default.Z", Rtype::SRV),
        ("_rpc._tcp.dual.default.Z", Rtype::TXT),
        ("many.default.Z", Rtype::A),
        ("_tri._tcp.many.default.Z", Rtype::PTR),
        ("mail.shop.example.", Rtype::MX),
    ] {
        for size in 512..=1232 {
            let ask = Ask::new(&whole(name), rtype).edns(size);
            assert_agreed(&ask, &both(&world, &ask.to_wire(), Limits::udp).expect("a reply"));
        }
    }
}

#[test]
fn both_composers_cut_an_answer_too_long_for_tcp_at_one_place() {
    let pods = (0..5000).map(|n| {
        let fields = "interface=a.B port=20880 interface=c.D port=1 port=2";
        endpoint(&format!("pod-{n}"), &format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255), fields)
    });
    let world = World::of(pods);
    for (name, rtype) in [("a.b", Rtype::SRV), ("a.b", Rtype::A), ("c.d", Rtype::SRV), ("_rpc._tcp.c.d", Rtype::TXT)] {
        for name in [format!("{name}.default.Z"), format!("{name}.default.Z").to_uppercase()] {
            let ask = Ask::new(&whole(&name), rtype);
            let replies = both(&world, &ask.to_wire(), |_| Limits::tcp()).expect("a reply");
            assert_agreed(&ask, &replies);
            assert!(replies[0].wire.len() > 64_000, "{ask:?} takes {}", replies[0].wire.len());
        }
    }
    let instances = Ask::new(&whole("_rpc._tcp.a.b.default.Z"), Rtype::PTR);
    assert_agreed(&instances, &both(&world, &instances.to_wire(), |_| Limits::tcp()).expect("a reply"));
}

#[test]
fn a_padded_query_gets_a_padded_reply_on_encrypted_transports() {
    let world = World::of(pods());
    for name in names() {
        for size in [512, 1232, 4096] {
            let padded = Edns { size, options: vec![(12, vec![0; 40]), (3, Vec::new())], ..Edns::default() };
            let ask = Ask::new(&name, Rtype::SRV).opt(padded);
            let query = ask.to_wire();
            let replies = both(&world, &query, |_| Limits::encrypted()).expect("a reply");
            assert_agreed(&ask, &replies);
            let [mut encrypted, _] = replies;
            let [plain, _] = both(&world, &query, |_| Limits::tcp()).expect("a reply");
            assert_eq!(encrypted.wire.len() % 468, 0, "{ask:?}");
            assert!(encrypted.wire.len() - plain.wire.len() < 468 + 4);
            let options = &mut encrypted.edns.as_mut().expect("an OPT record").options;
            let (code, padding) = options.pop().expect("padding");
            assert!(code == 12 && padding.iter().all(|byte| *byte == 0));
            assert_eq!(
                (plain.answer, plain.additional, plain.edns),
                (encrypted.answer, encrypted.additional, encrypted.edns)
            );
        }
    }
}

proptest! {
    #![proptest_config(config(4000, seeds_of!("pure/answers/second_opinion")))]

    /// Bytes that were once a query. The same parser reads the input of both composers.
    #[test]
    fn both_composers_refuse_broken_messages_alike(
        name in 0_usize..50,
        is_signed in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        len in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let world = World::of([endpoint("a", "10.244.0.1", "interface=a.B port=1")]);
        let mut query = Ask::new(&names()[name], Rtype::SRV).opt(Edns { size: 600, ..Edns::default() }).to_wire();
        if is_signed {
            query[11] += 1;
            query.extend(b"\x03KEY\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1d\x0bHMAC-sha256\x00");
            query.extend(b"\x00\x00\x00\x00\x00\x01\x01\x2c\x00\x00\x12\x34\x00\x00\x00\x00");
        }
        for (at, byte) in &flips {
            let at = at.index(query.len());
            query[at] ^= byte;
        }
        if is_cut {
            query.truncate(len.index(query.len()));
        }
        for limits in TRANSPORTS {
            let Some([one, other]) = hickory::both(&world, &query, limits) else {
                prop_assert!(matches!(wire::parse(&query), Received::Nothing));
                continue;
            };
            prop_assert_eq!(&one, &other, "to the byte, for a strict reader would refuse some of the questions given back");
        }
    }
}
