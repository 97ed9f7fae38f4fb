//! Any bytes as a zone file, of a static zone and of the Pods' zone: the file is refused with a reason, or every name with
//! records gets an answer. A strict reader parses the replies, and both composers agree.

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

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use callsign::wire::Limits;
use callsign::zones::Zones;
use domain::base::iana::Rtype;
use harness::ask::{Ask, Reply};
use libfuzzer_sys::fuzz_target;
use world::{World, ZONE, endpoint};

/// The types to ask for: all types at once, each type with special treatment, and an unknown type.
const RTYPES: [u16; 10] = [255, 1, 2, 5, 6, 15, 16, 33, 39, 65280];

/// The most names to ask for in one file. More would not find more.
const OWNERS_MAX: usize = 24;

struct Server {
    folder: PathBuf,
    world: World,
}

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(Server::new());
}

fuzz_target!(|text: &[u8]| {
    SERVER.with_borrow_mut(|server| {
        server.judge(text, "z.");
        server.judge(text, ZONE);
    });
});

impl Server {
    fn new() -> Server {
        let folder = std::env::temp_dir().join(format!("callsign-fuzz-zones-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("included"), "here A 192.0.2.6\n$ORIGIN below\n@ TXT \"here\"\n").expect("a file");
        Server { folder, world: World::of([endpoint("a", "10.244.0.1", "interface=a.B port=1")]) }
    }

    fn judge(&mut self, text: &[u8], origin: &str) {
        let path = self.folder.join(format!("{origin}zone"));
        fs::write(&path, text).expect("a file");
        let (zones, errors) = Zones::none(ZONE.parse().expect("a name")).reload(&self.folder);
        fs::remove_file(&path).expect("the file");
        let Some(zone) = zones.iter().next().or(zones.overlay()).cloned() else {
            assert!(errors.len() == 1 && !errors[0].to_string().is_empty(), "{errors:?}");
            return;
        };
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(zone.owners().filter(|(key, _)| !key.is_within(&zone.origin().key())).count(), 0, "a name outside");
        self.world.set_zones(Arc::new(zones));
        for (_, owner) in zone.owners().take(OWNERS_MAX) {
            for rtype in RTYPES.map(Rtype::from_int) {
                let reply = self.ask(&owner.to_string(), rtype);
                let is_known = rtype != Rtype::ANY || reply.rcode == "NOERROR";
                assert!(is_known, "{owner} has records, and the reply is {}", reply.rcode);
            }
        }
    }

    /// Asks over UDP and TCP, and compares both composers. Returns the reply over TCP.
    fn ask(&self, owner: &str, rtype: Rtype) -> Reply {
        let query = Ask::new(owner, rtype).to_wire();
        let tcp = |_| Limits::tcp();
        let replies = [hickory::both(&self.world, &query, Limits::udp), hickory::both(&self.world, &query, tcp)];
        let [_, over_tcp] = replies.map(|replies| {
            let [one, other] = replies.expect("a reply").map(|reply| Reply::read(&query, reply));
            assert_eq!(content(&one), content(&other), "both composers");
            one
        });
        over_tcp
    }
}

/// The content of a reply, without its length.
fn content(reply: &Reply) -> impl PartialEq + std::fmt::Debug + '_ {
    (&reply.rcode, reply.flags, &reply.answer, &reply.authority, &reply.additional, &reply.edns)
}
