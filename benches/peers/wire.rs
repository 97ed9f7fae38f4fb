//! Reads replies for the measurements, in the same way for every server.

use domain::base::Message;
use domain::base::iana::Rtype;
use domain::rdata::Srv;

use crate::harness::ask::Ask;

/// The client's EDNS size, and the largest that callsign sends.
pub(crate) const EDNS_SIZE: u16 = 1232;

/// A query for SRV records, with EDNS.
pub(crate) fn srv_query(name: &str) -> Vec<u8> {
    Ask::new(name, Rtype::SRV).edns(EDNS_SIZE).to_wire()
}

/// The ports of the SRV records in the answer section. `None` if the reply cannot be read, or replies to another query.
pub(crate) fn srv_ports(query: &[u8], reply: &[u8]) -> Option<Vec<u16>> {
    let message = Message::from_octets(reply).ok()?;
    if query.get(..2) != reply.get(..2) || !message.header().qr() {
        return None;
    }
    let records = message.answer().ok()?.limit_to_in::<Srv<_>>();
    records.map(|record| Some(record.ok()?.data().port())).collect()
}
