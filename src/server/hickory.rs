//! The second composer of replies: an [`Answer`]'s records as hickory's, encoded by hickory.
//!
//! It serves the encrypted transports, and it is a second opinion on `wire::reply`: the two share the answer and the
//! limits and nothing else, and a test holds their replies to thousands of questions against each other. No other part
//! knows a type of hickory's.
//!
//! Where pointers go is decided here and not by hickory's own compression, which ends after 120 names: of a large set
//! TLS would carry half of what TCP does.

mod encode;
mod gather;

use std::net::IpAddr;

use hickory_proto::op::{MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{Name as HickoryName, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::answer::Answer;
use crate::dns::Rcode;
use crate::snapshot::Snapshot;
use crate::wire::{HEADER_LEN, Limits, Malformed, Outcome, Own, Query, UDP_LEN_MIN};

use encode::{Draft, Opt, bad_key};
use gather::Gathered;

/// What became of a query.
#[derive(Clone, Copy, Debug)]
pub struct Composed {
    /// For the counters.
    pub outcome: Outcome,
    /// For how many seconds the reply is good (RFC 8484 §5.1): the smallest TTL of its answer section, that of its SOA
    /// where there is no answer, 0 where there is neither.
    pub ttl: u32,
}

/// Appends the reply to a query.
pub fn reply<'s>(
    query: &Query<'_>,
    answer: &Answer<'s>,
    snapshot: &'s Snapshot,
    limits: Limits,
    own: Own<'_>,
    out: &mut Vec<u8>,
) -> Composed {
    let mut gathered = Gathered::new(query.name_wire(), snapshot);
    let is_whole = gathered.gather(answer).is_some();
    let mut draft = Draft {
        question: query.question,
        parts: &gathered.parts,
        edns: query.edns.map(|edns| Opt { edns, rcode: answer.rcode, own, error: answer.error.map(|error| error.0) }),
        signature: query.signature.and_then(|signature| bad_key(&signature, query.id)),
        len_max: limits.len_max,
    };
    // A key and an algorithm may have names as long as the question's: then their refusal waits for another transport.
    let is_signature_cut = draft.signature.is_some()
        && HEADER_LEN + query.question.len() + draft.tail_len() > limits.len_max
        && draft.signature.take().is_some();
    let (encoded, is_fitting) = draft.longest();
    let is_cut = !(is_whole && is_fitting) || is_signature_cut;
    let mut metadata = metadata(query.id, OpCode::Query, answer.rcode, query.is_recursion_desired);
    metadata.authoritative = answer.is_authoritative;
    metadata.truncation = is_cut && limits.marks_cut;
    encoded.finish(metadata, &draft, out);
    Composed { outcome: Outcome { rcode: answer.rcode, is_cut }, ttl: gathered.ttl.unwrap_or_default() }
}

/// Appends the refusal of what is no query: the code, the question if there was one, and no records.
pub fn refuse(malformed: &Malformed<'_>, own: Own<'_>, out: &mut Vec<u8>) -> Composed {
    let Malformed { id, opcode, is_recursion_desired, question, edns, rcode } = *malformed;
    let edns = edns.map(|edns| Opt { edns, rcode, own, error: None });
    let draft = Draft { question, parts: &[], edns, signature: None, len_max: UDP_LEN_MIN };
    let (encoded, _) = draft.longest();
    encoded.finish(metadata(id, OpCode::from_u8(opcode), rcode, is_recursion_desired), &draft, out);
    Composed { outcome: Outcome { rcode, is_cut: false }, ttl: 0 }
}

fn metadata(id: u16, opcode: OpCode, rcode: Rcode, is_recursion_desired: bool) -> Metadata {
    let mut metadata = Metadata::new(id, MessageType::Response, opcode);
    metadata.response_code = ResponseCode::from((rcode.0 >> 4) as u8, (rcode.0 & 0xf) as u8);
    metadata.recursion_desired = is_recursion_desired;
    metadata
}

/// Records that are written all together or not at all.
struct Part {
    section: Section,
    records: Vec<(Owner, Record)>,
    /// Without it the answer is cut.
    is_required: bool,
    /// The address that an SRV record's target is spelt from.
    target: Option<IpAddr>,
    /// That target's addresses, where it is the first record with it.
    glue: Vec<(Owner, Record)>,
    /// A PTR record to a name one label below the question's.
    is_instance: bool,
}

#[derive(Clone, Copy)]
enum Section {
    Answer = 0,
    Authority = 1,
    Additional = 2,
}

/// Where an owner's name stands already.
#[derive(Clone, Copy)]
enum Owner {
    /// In the question, behind so many bytes.
    Question(usize),
    /// In the last alias's data.
    Link,
    /// In the data of the first SRV record with this target.
    Target(IpAddr),
    /// Nowhere.
    New,
}

impl Part {
    fn required(section: Section, record: (Owner, Record)) -> Part {
        Part { section, records: vec![record], is_required: true, target: None, glue: Vec::new(), is_instance: false }
    }

    fn optional(records: Vec<(Owner, Record)>) -> Part {
        let section = Section::Additional;
        Part { section, records, is_required: false, target: None, glue: Vec::new(), is_instance: false }
    }
}

fn record(owner: &[u8], ttl: u32, data: RData) -> Option<Record> {
    Some(Record::from_rdata(hickory_name(owner)?, ttl, data))
}

fn hickory_name(wire: &[u8]) -> Option<HickoryName> {
    HickoryName::read(&mut BinDecoder::new(wire)).ok()
}
