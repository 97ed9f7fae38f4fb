//! A second opinion on `callsign::wire`: another composer, whose records and names are those of hickory-proto.
//!
//! Both composers read the same `Answer` under the same limits, and share nothing else. hickory's own name compression ends
//! after 120 names, so this composer places the pointers itself.

mod encode;
mod gather;

use std::net::IpAddr;

use callsign::answer::{self, Answer, Records};
use callsign::dns::Rcode;
use callsign::snapshot::Snapshot;
use callsign::wire::{self, Edns, HEADER_LEN, Limits, Malformed, Outcome, Query, Received};
use domain::base::Message;
use domain::base::iana::Rtype;
use hickory_proto::op::{MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{Name as HickoryName, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::world::{OWN, World};
use encode::{Draft, Opt, bad_key};
use gather::Gathered;

/// The replies of both composers to a message. `None` if there must be no reply. The outcomes must be equal.
pub(crate) fn both(world: &World, query: &[u8], limits: impl Fn(Option<Edns>) -> Limits) -> Option<[Vec<u8>; 2]> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let (outcomes, limits) = match wire::parse(query) {
        Received::Nothing => return None,
        Received::Malformed(malformed) => {
            let limits = limits(malformed.edns);
            ([malformed.reply(limits, OWN, &mut one), refuse(&malformed, limits, &mut other)], limits)
        }
        Received::Query(query) => {
            let (answer, snapshot, limits) = (world.answer(&query), world.snapshot(), limits(query.edns));
            let outcome = wire::reply(&query, &answer, snapshot, limits, OWN, &mut one);
            ([outcome, reply(&query, &answer, snapshot, limits, &mut other)], limits)
        }
    };
    assert_eq!(outcomes[0], outcomes[1], "{query:02x?}");
    assert!(one.len() <= limits.len_max && other.len() <= limits.len_max, "{query:02x?}");
    Some([one, other])
}

/// Appends the reply to a query.
fn reply<'s>(
    query: &Query<'_>,
    answer: &Answer<'s>,
    snapshot: &'s Snapshot,
    limits: Limits,
    out: &mut Vec<u8>,
) -> Outcome {
    let mut gathered = Gathered::new(query.name_wire(), snapshot);
    let is_whole = gathered.gather(answer).is_some();
    let mut draft = Draft {
        question: query.question,
        parts: &gathered.parts,
        edns: query.edns.map(|edns| Opt { edns, rcode: answer.rcode, error: answer.error.map(|error| error.0) }),
        signature: query.signature.and_then(|signature| bad_key(&signature, query.id)),
        limits,
    };
    // A key and an algorithm may have names as long as the question's: then their refusal waits for another transport.
    let is_signature_cut = draft.signature.is_some()
        && HEADER_LEN + query.question.len() + draft.tail_len() > limits.len_max
        && draft.signature.take().is_some();
    let (encoded, is_fitting) = draft.longest();
    let is_unfit = !(is_whole && is_fitting);
    if is_unfit && !limits.marks_cut && matches!(answer.records, Records::Static(_)) {
        let failure = answer::failure(Rcode::SERVFAIL, None);
        return Outcome { is_cut: true, ..reply(query, &failure, snapshot, limits, out) };
    }
    let is_cut = is_unfit || is_signature_cut;
    let mut metadata = metadata(query.id, OpCode::Query, answer.rcode, query.is_recursion_desired);
    metadata.authoritative = answer.is_authoritative;
    metadata.truncation = is_cut && limits.marks_cut;
    encoded.finish(metadata, &draft, out);
    Outcome { rcode: answer.rcode, is_cut, ttl: lifetime(out) }
}

/// The number of seconds for which a cache may keep a reply (RFC 8484 §5.1), as a third reader finds it.
fn lifetime(reply: &[u8]) -> u32 {
    let reply = Message::from_octets(reply).expect("a message");
    let (_, answers, authorities, _) = reply.sections().expect("its sections");
    let answers = answers.map(|record| record.expect("a record"));
    let soa = authorities.map(|record| record.expect("a record")).filter(|record| record.rtype() == Rtype::SOA);
    let ttl = answers.map(|record| record.ttl()).min().or_else(|| soa.map(|record| record.ttl()).min());
    ttl.map_or(0, |ttl| ttl.as_secs())
}

/// Appends the refusal of a message that is no query: the code, the question if there was one, and no records.
fn refuse(malformed: &Malformed<'_>, limits: Limits, out: &mut Vec<u8>) -> Outcome {
    let Malformed { id, opcode, is_recursion_desired, question, edns, rcode } = *malformed;
    let edns = edns.map(|edns| Opt { edns, rcode, error: None });
    let draft = Draft { question, parts: &[], edns, signature: None, limits };
    let (encoded, _) = draft.longest();
    encoded.finish(metadata(id, OpCode::from_u8(opcode), rcode, is_recursion_desired), &draft, out);
    Outcome { rcode, is_cut: false, ttl: 0 }
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
