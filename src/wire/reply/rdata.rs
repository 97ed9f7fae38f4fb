//! Writes the data of records.

use super::{Current, ReplyWriter, owner_of};
use crate::answer::{Rdata, ZoneSoa};
use crate::dns::Rtype;
use crate::name::{SCHEMA_VERSION, TargetLabel};
use crate::snapshot::Snapshot;
use crate::wire::compose::{MessageFull, Offset};
use crate::wire::edns::push_u16s;

impl<'b> ReplyWriter<'b, '_> {
    /// Writes one record of the answer section. Returns the offset of its data.
    pub(super) fn record(&mut self, rdata: &Rdata<'_>, ttl: u32, current: Current<'_>) -> Result<Offset, MessageFull> {
        let snapshot = self.snapshot;
        let zone = &snapshot.settings.origin;
        let owner = owner_of(current);
        let parent = self.current_wire(current);
        let composer = &mut self.composer;
        match rdata {
            Rdata::A(address) => composer.record(owner, Rtype::A, ttl, |out| out.extend_from_slice(&address.octets())),
            Rdata::Aaaa(address) => {
                composer.record(owner, Rtype::AAAA, ttl, |out| out.extend_from_slice(&address.octets()))
            }
            // `<target>.p.Z`, never compressed (RFC 2782).
            Rdata::Srv { weight, port, target } => composer.record(owner, Rtype::SRV, ttl, |out| {
                let ([w0, w1], [p0, p1]) = (weight.to_be_bytes(), port.to_be_bytes());
                out.extend_from_slice(&[0, 0, w0, w1, p0, p1]);
                TargetLabel::of(*target).append_below_zone(out);
                out.extend_from_slice(zone.wire());
            }),
            Rdata::Txt(text) => composer.record(owner, Rtype::TXT, ttl, |out| text.append_rdata(out)),
            Rdata::Version => composer.record(owner, Rtype::TXT, ttl, |out| {
                out.push(SCHEMA_VERSION.len() as u8);
                out.extend_from_slice(SCHEMA_VERSION.as_bytes());
            }),
            Rdata::Instance(label) => {
                let pointed = current.is_none();
                composer.record(owner, Rtype::PTR, ttl, |out| {
                    out.push(label.as_bytes().len() as u8);
                    out.extend_from_slice(label.as_bytes());
                    if pointed { push_u16s(out, &[0xc00c]) } else { out.extend_from_slice(parent) }
                })
            }
            Rdata::Ptr(wire) => composer.record(owner, Rtype::PTR, ttl, |out| out.extend_from_slice(wire)),
            Rdata::Ns(name) => composer.record(owner, Rtype::NS, ttl, |out| out.extend_from_slice(name.wire())),
            Rdata::Soa(soa) => composer.record(owner, Rtype::SOA, ttl, |out| append_soa(out, *soa, snapshot)),
            Rdata::Hinfo => composer.record(owner, Rtype::HINFO, ttl, |out| out.extend_from_slice(b"\x07RFC8482\x00")),
            Rdata::Raw(rrset, data) => composer.record(owner, rrset.rtype, ttl, |out| out.extend_from_slice(data)),
        }
    }

    /// The wire form of the records' owner name.
    fn current_wire<'n>(&self, current: Current<'n>) -> &'n [u8]
    where
        'b: 'n,
    {
        current.map_or(&self.question[..self.question.len() - 4], |(_, name)| name.wire())
    }
}

/// Appends the data of an SOA record.
pub(super) fn append_soa(out: &mut Vec<u8>, soa: ZoneSoa<'_>, snapshot: &Snapshot) {
    match soa {
        ZoneSoa::Static(zone) => out.extend_from_slice(&zone.soa().rdata),
        ZoneSoa::Pods(_) => {
            let start = snapshot.start_of_authority();
            out.extend_from_slice(start.mname.wire());
            out.extend_from_slice(start.rname.wire());
            for number in [snapshot.serial, start.refresh, start.retry, start.expire, snapshot.settings.negative_ttl] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
}
