//! Counts replies by query type, transport and response code. All counters exist from the start, so clients cannot
//! create new ones, and the hot path needs no hash map.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::dns::{Rcode, Rtype};
use crate::server::Transport;

/// The query types with a label of their own, frequent ones first. All others share `other`.
const RTYPES: [Rtype; 18] = [
    Rtype::SRV,
    Rtype::A,
    Rtype::AAAA,
    Rtype::TXT,
    Rtype::PTR,
    Rtype::NS,
    Rtype::SOA,
    UNREADABLE,
    Rtype::CNAME,
    Rtype::DNAME,
    Rtype::DS,
    Rtype::MX,
    Rtype::HINFO,
    Rtype::ANY,
    Rtype::AXFR,
    Rtype::IXFR,
    Rtype::TKEY,
    Rtype::TSIG,
];

/// Stands for a question that could not be parsed. Type 0 is reserved (RFC 6895 §3.1).
const UNREADABLE: Rtype = Rtype(0);

/// The response codes that the server sends. All others share `other`.
const RCODES: [Rcode; 10] = [
    Rcode::NOERROR,
    Rcode::NXDOMAIN,
    Rcode::REFUSED,
    Rcode::SERVFAIL,
    Rcode::FORMERR,
    Rcode::NOTIMP,
    Rcode::YXDOMAIN,
    Rcode::NOTAUTH,
    Rcode::BADVERS,
    Rcode::BADCOOKIE,
];

const RTYPE_COUNT: usize = RTYPES.len() + 1;
const RCODE_COUNT: usize = RCODES.len() + 1;
const TRANSPORT_COUNT: usize = Transport::ALL.len();

/// The counters, ordered by type, then transport, then code.
#[derive(Debug)]
pub(super) struct Queries([AtomicU64; RTYPE_COUNT * TRANSPORT_COUNT * RCODE_COUNT]);

impl Default for Queries {
    fn default() -> Queries {
        Queries([const { AtomicU64::new(0) }; _])
    }
}

impl Queries {
    pub(super) fn count(&self, rtype: Rtype, transport: Transport, rcode: Rcode) {
        let rtype = RTYPES.iter().position(|known| *known == rtype).unwrap_or(RTYPES.len());
        let rcode = RCODES.iter().position(|known| *known == rcode).unwrap_or(RCODES.len());
        if let Some(count) = self.0.get((rtype * TRANSPORT_COUNT + transport as usize) * RCODE_COUNT + rcode) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counters above zero, with their labels.
    pub(super) fn samples(&self) -> impl Iterator<Item = ([(&'static str, String); 3], u64)> {
        let seen = self.0.iter().map(|count| count.load(Ordering::Relaxed)).enumerate().filter(|(_, count)| *count > 0);
        seen.map(|(at, count)| (labels(at), count))
    }
}

fn labels(at: usize) -> [(&'static str, String); 3] {
    let other = || "other".to_owned();
    let rtype = match RTYPES.get(at / RCODE_COUNT / TRANSPORT_COUNT) {
        Some(&UNREADABLE) => "none".to_owned(),
        Some(rtype) => rtype.to_string(),
        None => other(),
    };
    let transport = Transport::ALL.get(at / RCODE_COUNT % TRANSPORT_COUNT).map_or_else(other, Transport::to_string);
    let rcode = RCODES.get(at % RCODE_COUNT).map_or_else(other, Rcode::to_string);
    [("qtype", rtype), ("transport", transport), ("rcode", rcode)]
}
