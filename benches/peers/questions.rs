//! What is asked: SRV mostly, some TXT, and some names that are not there; one file of messages for every side.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use domain::base::iana::Rtype;

use super::wire::{EDNS_SIZE, srv_ports};
use super::world::ENDPOINTS;
use crate::harness::ask::{Ask, Edns, exchange_udp};
use crate::harness::process::scratch;

/// Messages in a file, which the load generator sends over and over.
const COUNT: usize = 20_000;

/// A step through the names that no number of services has a divisor with, so that neighbours are not asked in a row.
const STEP: usize = 7919;

/// One in so many asks for TXT: 10 %.
const TXT_EVERY: usize = 10;

/// One in so many asks for a name that is not there: 5 %.
const MISSING_EVERY: usize = 20;

/// Bytes of a message's header (RFC 1035 §4.1.1).
const HEADER_LEN: usize = 12;

/// The messages, and the file that holds them behind their lengths.
pub(crate) struct Questions {
    messages: Vec<(Kind, Vec<u8>)>,
    edns: Option<Edns>,
    /// For dnsperf's `-B`.
    pub(crate) file: PathBuf,
}

/// What an answer must be.
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

/// What replies look like.
pub(crate) struct Replies {
    /// The mean length in bytes.
    pub(crate) len: usize,
    /// The share that is cut (TC), in percent.
    pub(crate) cut: f64,
}

impl Questions {
    /// Questions for so many services, whose SRV names `name` tells; a number that no service has gives a name that is
    /// not there. Each message carries this OPT.
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
        // As over TCP: each message behind its length.
        let framed = messages.iter().flat_map(|(_, query)| {
            let len = u16::try_from(query.len()).expect("a short query").to_be_bytes();
            [&len, query.as_slice()].concat()
        });
        let file = scratch("questions").join("queries");
        fs::write(&file, framed.collect::<Vec<u8>>()).expect("write the questions");
        Questions { messages, edns, file }
    }

    /// Asks each once over UDP, and sees that a whole answer has all endpoints and their addresses, and that what is
    /// missing is denied.
    pub(crate) fn check(&self, server: SocketAddr) -> Replies {
        let (mut bytes, mut cut) = (0, 0);
        for (kind, query) in &self.messages {
            let reply = exchange_udp(server, query).unwrap_or_else(|error| panic!("{server}: {error}"));
            let header = reply.first_chunk::<HEADER_LEN>().unwrap_or_else(|| panic!("a short answer of {server}"));
            let (is_cut, rcode, glue) = (header[2] & 2 != 0, header[3] & 0xf, header[11]);
            assert_eq!(rcode, if *kind == Kind::Missing { 3 } else { 0 }, "the RCODE of {server}");
            if *kind == Kind::Srv && !is_cut {
                let ports = srv_ports(query, &reply).map(|ports| ports.len());
                assert_eq!(ports, Some(ENDPOINTS), "the endpoints that {server} answers");
                assert!(self.edns.is_none() || usize::from(glue) >= ENDPOINTS, "an answer of {server} without glue");
            }
            bytes += reply.len();
            cut += usize::from(is_cut);
        }
        let count = self.messages.len();
        Replies { len: bytes / count, cut: 100.0 * cut as f64 / count as f64 }
    }
}
