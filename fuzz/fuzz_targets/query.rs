//! Any bytes as a DNS message: there is no reply, or a reply that a strict reader parses down to every record, of a size that
//! the query allows, and the same from both composers.

#![no_main]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/harness"]
mod harness {
    pub(crate) mod ask;
}
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/pure/answers/hickory/mod.rs"]
mod hickory;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/pure/answers/world.rs"]
mod world;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use callsign::server::clients::ClientPolicy;
use callsign::server::clients::cookies::Cookies;
use callsign::server::clients::rate::RateLimit;
use callsign::server::{Responder, Transport};
use callsign::snapshot::{PublishedZone, Snapshot};
use callsign::source::Pod;
use callsign::wire::{Edns, Limits};
use domain::base::Message;
use harness::ask::Reply;
use libfuzzer_sys::fuzz_target;
use world::{OWN, World, endpoint};

/// A static zone: an alias of each kind, a wildcard, a delegation, data of several types.
const SHOP: &str = "\
@ IN NS ns1.shop.example.\n@ NS ns.elsewhere.example.\nns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\nwww A 192.0.2.2
chain CNAME alias\nalias CNAME www\naway CNAME www.elsewhere.example.\npods CNAME a.b.default.rpc.cluster.local.
*.wild TXT \"any\"\nmail MX 10 www\n_x._tcp SRV 1 2 3 www\ntree DNAME shop.example.\nsub NS ns.sub\nns.sub A 192.0.2.3
sub NS ns1\nodd TYPE65280 \\# 3 010203\n";

/// So low that the fuzzer exceeds it at once.
const REPLIES_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();

struct Server {
    world: World,
    snapshot: Arc<Snapshot>,
    plain: Responder,
    /// With cookies and a rate limit.
    guarded: Responder,
}

thread_local! {
    static SERVER: Server = Server::new();
}

fuzz_target!(|message: &[u8]| SERVER.with(|server| server.judge(message)));

/// Services of every kind: groups, versions, protocols, two families, more than a datagram holds, no ready endpoint.
fn pods() -> Vec<Pod> {
    let plain = (0..5).map(|n| endpoint(&format!("p{n}"), &format!("10.244.0.{n}"), "interface=a.B port=1 group=g1"));
    let many =
        (0..60).map(|n| endpoint(&format!("m{n}"), &format!("10.244.1.{n}"), "interface=many protocol=tri port=1"));
    let dual = (0..5).map(|n| {
        let fields =
            "interface=dual port=1 port=2 version=1.0 protocol=tri interface=a.B port=4 zone=somewhere methods=x,y";
        endpoint(&format!("d{n}"), &format!("10.244.2.{n},fd00::{n}"), fields)
    });
    let mut waiting = endpoint("w0", "10.244.3.1", "interface=waits port=1 interface=a.v-1 port=2");
    waiting.status.ready = false;
    plain.chain(many).chain(dual).chain([waiting]).collect()
}

impl Server {
    fn new() -> Server {
        let world = World::beside(&[("shop.example.", SHOP)], pods());
        let snapshot = Arc::new(world.snapshot().clone());
        let cookies = Cookies::new(None).expect("random numbers");
        let guards = ClientPolicy {
            cookies: Some(Arc::new(cookies)),
            rate: Some(RateLimit::new(REPLIES_PER_SECOND)),
            ..ClientPolicy::default()
        };
        let responder = |clients| Responder {
            zone: Arc::new(PublishedZone::new(snapshot.clone())),
            nsid: OWN.nsid.into(),
            clients,
            counters: Arc::default(),
            logs_queries: false,
        };
        Server { plain: responder(ClientPolicy::default()), guarded: responder(guards), world, snapshot }
    }

    fn judge(&self, message: &[u8]) {
        let offered = offered(message);
        let transports: [(_, _, fn(Option<Edns>) -> Limits); 3] = [
            (Transport::Udp, offered, Limits::udp),
            (Transport::Tcp, 65535, |_| Limits::tcp()),
            (Transport::Tls, 65535, |_| Limits::encrypted()),
        ];
        for (transport, len_max, limits) in transports {
            let reply = self.reply(&self.plain, message, transport, len_max);
            let composed = hickory::both(&self.world, message, limits);
            assert_eq!(reply.is_some(), composed.is_some(), "only one of the two replies");
            if let (Some(reply), Some([one, other])) = (reply, composed) {
                assert_eq!(reply.wire, one, "the server's reply and the composer's");
                let other = Reply::read(message, other);
                assert_eq!(content(&reply), content(&other), "both composers");
            }
            self.reply(&self.guarded, message, transport, len_max);
        }
    }

    fn reply(&self, responder: &Responder, message: &[u8], transport: Transport, len_max: usize) -> Option<Reply> {
        let client = SocketAddr::new(self.world.client, 53);
        let mut wire = Vec::new();
        if responder.respond(&self.snapshot, message, client, transport, &mut wire).is_none() {
            assert!(wire.is_empty(), "bytes without a reply");
            return None;
        }
        assert!(wire.len() <= len_max, "{} bytes, and at most {len_max} are allowed", wire.len());
        Some(Reply::read(message, wire))
    }
}

/// The longest reply over UDP that the message allows. An independent reader reads the message.
fn offered(message: &[u8]) -> usize {
    let opt = Message::from_octets(message).ok().and_then(|message| message.opt().map(|opt| opt.udp_payload_size()));
    usize::from(opt.unwrap_or(0)).clamp(512, 1232)
}

/// The content of a reply, without its length.
fn content(reply: &Reply) -> impl PartialEq + std::fmt::Debug + '_ {
    (&reply.rcode, reply.flags, &reply.answer, &reply.authority, &reply.additional, &reply.edns)
}
