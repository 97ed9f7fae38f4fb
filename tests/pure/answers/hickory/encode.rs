//! hickory's records become a message: how many of them, and where names point to.

use std::collections::HashMap;
use std::net::IpAddr;

use callsign::dns::Rcode;
use callsign::wire::{Edns, HEADER_LEN, Limits, Signature, UDP_LEN_MAX};
use hickory_proto::ProtoError;
use hickory_proto::op::{Edns as HickoryEdns, Header, HeaderCounts, Metadata};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::rdata::{PTR, TSIG};
use hickory_proto::rr::{DNSClass, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use super::{OWN, Owner, Part, Section, hickory_name, record};

/// A reply is padded to a multiple of so many bytes where the query was padded (RFC 8467 §4.1).
const PADDING_BLOCK: usize = 468;

/// The server's identity (RFC 5001), cookies (RFC 7873), extended errors (RFC 8914), padding (RFC 7830).
const OPTION_NSID: u16 = 3;
const OPTION_COOKIE: u16 = 10;
const OPTION_EDE: u16 = 15;
const OPTION_PADDING: u16 = 12;

/// What stands before an option's data: its code and its length.
const OPTION_HEAD_LEN: usize = 4;

/// What stands before the target in SRV data: priority, weight and port (RFC 2782).
const SRV_HEAD_LEN: usize = 6;

/// The highest place that a compression pointer reaches (RFC 1035 §4.1.4).
const POINTER_MAX: usize = 0x3fff;

/// What the OPT record says.
#[derive(Clone, Copy)]
pub(super) struct Opt {
    pub edns: Edns,
    pub rcode: Rcode,
    pub error: Option<u16>,
}

impl Opt {
    /// The record, with so many bytes of padding if any.
    fn record(&self, padding_len: Option<usize>) -> Record {
        let mut edns = HickoryEdns::new();
        edns.set_max_payload(UDP_LEN_MAX as u16).set_dnssec_ok(self.edns.is_dnssec_ok);
        edns.set_rcode_high((self.rcode.0 >> 4) as u8);
        let nsid = self.edns.wants_nsid.then(|| EdnsOption::Unknown(OPTION_NSID, OWN.nsid.to_vec()));
        let cookie = OWN.cookie.map(|cookie| EdnsOption::Unknown(OPTION_COOKIE, cookie.to_vec()));
        let error = self.error.map(|error| EdnsOption::Unknown(OPTION_EDE, error.to_be_bytes().to_vec()));
        let padding = padding_len.map(|len| EdnsOption::Unknown(OPTION_PADDING, vec![0; len]));
        [nsid, cookie, error, padding].into_iter().flatten().for_each(|option| edns.options_mut().insert(option));
        Record::from(&edns)
    }
}

/// A message whose records are known, and how many of them go into it is not.
pub(super) struct Draft<'a> {
    pub question: &'a [u8],
    pub parts: &'a [Part],
    pub edns: Option<Opt>,
    pub signature: Option<Record>,
    pub limits: Limits,
}

impl Draft<'_> {
    /// How long the records are that stand last and are never left out.
    pub fn tail_len(&self) -> usize {
        let opt = self.edns.map(|opt| opt.record(None));
        let records = opt.iter().chain(&self.signature);
        records.map(|record| record.to_bytes().map_or(0, |bytes| bytes.len())).sum()
    }

    /// The whole message, or with the longest run of records that fits together with its glue; and whether it is whole.
    pub fn longest(&self) -> (Encoded, bool) {
        let limit = self.limits.len_max.saturating_sub(self.tail_len());
        let len = self.parts.len();
        if let Ok(encoded) = self.encode(len, limit) {
            return (encoded, true);
        }
        // Where so many fit, fewer do.
        let (mut fitting, mut best) = (0, None);
        let mut too_many = len;
        while fitting < too_many {
            let count = fitting + (too_many - fitting) / 2;
            match self.encode(count, limit) {
                Ok(encoded) => (fitting, best) = (count + 1, Some(encoded)),
                Err(_) => too_many = count,
            }
        }
        (best.unwrap_or_default(), false)
    }

    /// The message with so many of its parts; the last ones' glue may be missing only where none of the parts is.
    fn encode(&self, count: usize, limit: usize) -> Result<Encoded, ProtoError> {
        let mut bytes = Vec::new();
        let mut places = Places::default();
        let mut counts = [0_u16; 3];
        {
            let mut encoder = BinEncoder::new(&mut bytes);
            encoder.set_name_encoding(NameEncoding::Uncompressed);
            encoder.set_max_size(u16::try_from(limit).unwrap_or(u16::MAX));
            encoder.emit_vec(&[0; HEADER_LEN])?;
            encoder.emit_vec(self.question)?;
            let parts = self.parts.iter().take(count);
            for part in parts.clone() {
                match emit_all(&mut encoder, &part.records, part, &mut places) {
                    Ok(written) => counts[part.section as usize] += written,
                    Err(error) if part.is_required => return Err(error),
                    Err(_) => {}
                }
            }
            for part in parts.filter(|part| !part.glue.is_empty()) {
                match emit_all(&mut encoder, &part.glue, part, &mut places) {
                    Ok(written) => counts[Section::Additional as usize] += written,
                    Err(error) if count < self.parts.len() => return Err(error),
                    Err(_) => break,
                }
            }
        }
        Ok(Encoded { bytes, counts })
    }
}

/// Where names stand that pointers lead to.
#[derive(Default)]
struct Places {
    link: Option<usize>,
    targets: HashMap<IpAddr, usize>,
}

/// Writes records, all or none; how many.
fn emit_all(
    encoder: &mut BinEncoder<'_>,
    records: &[(Owner, Record)],
    part: &Part,
    places: &mut Places,
) -> Result<u16, ProtoError> {
    let start = encoder.offset();
    for (owner, record) in records {
        if let Err(error) = emit(encoder, *owner, record, part, places) {
            encoder.set_offset(start);
            encoder.trim();
            return Err(error);
        }
    }
    Ok(records.len() as u16) // far fewer than 65,536 fit a message
}

fn emit(
    encoder: &mut BinEncoder<'_>,
    owner: Owner,
    record: &Record,
    part: &Part,
    places: &mut Places,
) -> Result<(), ProtoError> {
    let place = match owner {
        Owner::Question(skipped) => Some(HEADER_LEN + skipped),
        Owner::Link => places.link,
        Owner::Target(target) => places.targets.get(&target).copied(),
        Owner::New => None,
    };
    match place {
        Some(place) if place <= POINTER_MAX => encoder.emit_u16(0xc000 | place as u16)?,
        _ => record.name.emit(encoder)?,
    }
    record.record_type().emit(encoder)?;
    record.dns_class.emit(encoder)?;
    encoder.emit_u32(record.ttl)?;
    let len = encoder.place::<u16>()?;
    let data_at = encoder.offset();
    match &record.data {
        RData::PTR(PTR(name)) if part.is_instance => {
            encoder.emit_character_data(name.iter().next().unwrap_or_default())?;
            encoder.emit_u16(0xc000 | HEADER_LEN as u16)?;
        }
        data => data.emit(encoder)?,
    }
    match (&record.data, part.target) {
        (RData::CNAME(_), _) => places.link = Some(data_at),
        (RData::SRV(_), Some(target)) => drop(places.targets.entry(target).or_insert(data_at + SRV_HEAD_LEN)),
        _ => {}
    }
    let data_len = encoder.len_since_place(&len) as u16;
    encoder.emit_at(len, data_len)
}

/// A message without its header and its last records.
#[derive(Default)]
pub(super) struct Encoded {
    bytes: Vec<u8>,
    counts: [u16; 3],
}

impl Encoded {
    /// Adds what is still missing and appends the whole.
    pub fn finish(mut self, metadata: Metadata, draft: &Draft<'_>, out: &mut Vec<u8>) {
        let unpadded = self.bytes.len() + draft.tail_len() + OPTION_HEAD_LEN;
        let padding = unpadded.next_multiple_of(PADDING_BLOCK).min(draft.limits.len_max).checked_sub(unpadded);
        let opt = draft.edns.map(|opt| opt.record(padding.filter(|_| draft.limits.pads && opt.edns.wants_padding)));
        for record in opt.iter().chain(&draft.signature) {
            if let Ok(bytes) = record.to_bytes() {
                self.bytes.extend_from_slice(&bytes);
                self.counts[Section::Additional as usize] += 1;
            }
        }
        let [answers, authorities, additionals] = self.counts;
        let counts = HeaderCounts { queries: u16::from(!draft.question.is_empty()), answers, authorities, additionals };
        let header = Header { metadata, counts }.to_bytes().unwrap_or_default();
        out.extend_from_slice(&header);
        out.extend_from_slice(self.bytes.get(HEADER_LEN..).unwrap_or_default());
    }
}

/// An unsigned TSIG record that says that we have no such key (RFC 8945 §5.2.1).
pub(super) fn bad_key(signature: &Signature<'_>, id: u16) -> Option<Record> {
    let time_and_fudge: [u8; 8] = signature.time_and_fudge.try_into().ok()?;
    let time_and_fudge = u64::from_be_bytes(time_and_fudge);
    let algorithm = TsigAlgorithm::Unknown(hickory_name(signature.algorithm)?);
    let (time, fudge) = (time_and_fudge >> 16, time_and_fudge as u16);
    let tsig = TSIG::new(algorithm, time, fudge, Vec::new(), id, Some(TsigError::BadKey), Vec::new());
    let mut record = record(signature.key, 0, RData::TSIG(tsig))?;
    record.dns_class = DNSClass::ANY;
    Some(record)
}
