//! The questions: mostly SRV, some TXT, and some names that do not exist. One file of messages for each server.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use domain::base::iana::Rtype;

use super::wire::{EDNS_SIZE, srv_ports};
use super::world::ENDPOINTS;
use crate::harness::ask::{Ask, Edns};
use crate::harness::exchange::exchange_udp;
use crate::harness::process::scratch;

/// The number of messages in a file. The load generator repeats them.
const COUNT: usize = 20_000;

/// The step through the names. It has no common divisor with any number of services, and keeps neighbours apart.
const STEP: usize = 7919;

/// One message of this many asks for TXT: 10 %.
const TXT_EVERY: usize = 10;

/// One message of this many asks for a name that does not exist: 5 %.
const MISSING_EVERY: usize = 20;

/// The length of a message's header (RFC 1035 §4.1.1).
const HEADER_LEN: usize = 12;

/// The messages, and a file of them, each after its length.
pub(crate) struct Questions {
    messages: Vec<(Kind, Vec<u8>)>,
    edns: Option<Edns>,
    /// For dnsperf's `-B`.
    pub(crate) file: PathBuf,
}

/// The expected kind of answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Srv,
    Txt,
    Missing,
}

/// An OPT with these options.
pub(crate) fn edns(options: Vec<(u16, Vec<u8>)>) -> Option<Edns> {
    Some(Edns { size: EDNS_SIZE, options, ..Edns::default() })
}

/// Properties of the replies.
pub(crate) struct Replies {
    /// The mean length in bytes.
    pub(crate) len: usize,
    /// The share with TC, in percent.
    pub(crate) cut: f64,
}

impl Questions {
    /// Questions for this many services. `name` returns a service's SRV name by its number. A larger number gives a name that
    /// does not exist. Each message has this OPT.
    pub(crate) fn write(services: usize, edns: Option<Edns>, name: impl Fn(usize) -> String) -> Questions {
        let message = |at: usize| {
            let (kind, number) = match at {
                at if at % MISSING_EVERY == 0 => (Kind::Missing, services + at),
                at if at % TXT_EVERY == 1 => (Kind::Txt, at * STEP % services),
                at => (Kind::Srv, at * STEP % services),
            };
            let ask = Ask::new(&name(number), if kind == Kind::Txt { Rtype::TXT } else { Rtype::SRV });
            (kind, edns.iter().cloned().fold(ask, Ask::opt).to_wire())
        };
        let messages: Vec<_> = (0..COUNT).map(message).collect();
        // As over TCP, each message follows its length.
        let framed = messages.iter().flat_map(|(_, query)| {
            let len = u16::try_from(query.len()).expect("a short query").to_be_bytes();
            [&len, query.as_slice()].concat()
        });
        let file = scratch("questions").join("queries");
        fs::write(&file, framed.collect::<Vec<u8>>()).expect("write the questions");
        Questions { messages, edns, file }
    }

    /// Asks each once over UDP. Checks that a whole answer has all endpoints and their addresses, and that a name that does not
    /// exist gets NXDOMAIN.
    pub(crate) fn check(&self, server: SocketAddr) -> Replies {
        let (mut bytes, mut cut) = (0, 0);
        for (kind, query) in &self.messages {
            let reply = exchange_udp(server, query).unwrap_or_else(|error| panic!("{server}: {error}"));
            let header = reply.first_chunk::<HEADER_LEN>().unwrap_or_else(|| panic!("a short answer from {server}"));
            let (is_cut, rcode, glue) = (header[2] & 2 != 0, header[3] & 0xf, header[11]);
            assert_eq!(rcode, if *kind == Kind::Missing { 3 } else { 0 }, "the RCODE of {server}");
            if *kind == Kind::Srv && !is_cut {
                let ports = srv_ports(query, &reply).map(|ports| ports.len());
                assert_eq!(ports, Some(ENDPOINTS), "the endpoints in the answer of {server}");
                assert!(self.edns.is_none() || usize::from(glue) >= ENDPOINTS, "an answer of {server} without glue");
            }
            bytes += reply.len();
            cut += usize::from(is_cut);
        }
        let count = self.messages.len();
        Replies { len: bytes / count, cut: 100.0 * cut as f64 / count as f64 }
    }
}
