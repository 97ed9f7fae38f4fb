//! A query for a zone.

use callsign::dns::Name;

/// A query as a client sends it, with EDNS or without.
pub(crate) fn query(name: &str, rtype: u16, with_edns: bool) -> Vec<u8> {
    let name: Name = name.parse().expect("a name");
    let mut message = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(with_edns)];
    message.extend_from_slice(name.wire());
    message.extend_from_slice(&rtype.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    if with_edns {
        message.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    }
    message
}
