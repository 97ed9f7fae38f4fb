//! RRsets with their data in wire format.

use crate::dns::{Name, Rtype};

/// The records of one owner and type (RFC 2181 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrSet {
    pub rtype: Rtype,
    /// The common TTL, in seconds.
    pub ttl: u32,
    /// The data of each record, uncompressed, in the order of the file. Never empty, and no two are equal.
    pub records: Box<[Box<[u8]>]>,
}

/// What a reply has beside an RRset and its owner's name: header, type and class of the question, and OPT, in bytes.
const REPLY_OVERHEAD: usize = 12 + 4 + 11;

/// What a record in a reply has beside its data: a pointer to its owner, type, class, TTL and length, in bytes.
const RECORD_OVERHEAD: usize = 2 + 10;

impl RrSet {
    /// The length of a reply with these records alone, in bytes.
    pub(super) fn reply_len(&self, owner: &Name) -> usize {
        let records: usize = self.records.iter().map(|rdata| RECORD_OVERHEAD + rdata.len()).sum();
        REPLY_OVERHEAD + owner.wire().len() + records
    }

    /// The names that NS, CNAME, PTR, DNAME, MX and SRV records point to, in order. Empty for other types.
    pub fn targets(&self) -> impl Iterator<Item = Name> {
        let at = target_offset(self.rtype);
        self.records.iter().filter_map(move |rdata| Name::from_wire(rdata.get(at?..)?).ok())
    }
}

/// The offset of the target in the data of a type whose data ends with one, in bytes.
fn target_offset(rtype: Rtype) -> Option<usize> {
    match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => Some(0),
        Rtype::MX => Some(2),  // preference
        Rtype::SRV => Some(6), // priority, weight, port
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_targets_behind_their_numbers() {
        for (rtype, rdata, expected) in [
            (Rtype::NS, &b"\x02Ns\x00"[..], Some("Ns.")),
            (Rtype::MX, b"\x00\x0a\x02mx\x00", Some("mx.")),
            (Rtype::SRV, b"\x00\x00\x00\x64\x50\x50\x04host\x00", Some("host.")),
            (Rtype::TXT, b"\x02ns\x00", None),
        ] {
            let set = RrSet { rtype, ttl: 5, records: Box::new([rdata.into()]) };
            assert_eq!(set.targets().next().map(|name| name.to_string()).as_deref(), expected, "{rtype}");
        }
    }
}
