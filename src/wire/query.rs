//! Parses messages from clients.

use std::ops::RangeInclusive;

use crate::dns::{Class, LABEL_LEN_MAX, Labels, NAME_LEN_MAX, Name, NamePath, Rcode, Rtype};

use super::{HEADER_LEN, UDP_LEN_MIN};

/// The option that asks for the server's identity (RFC 5001).
pub(super) const OPTION_NSID: u16 = 3;

/// The option that proves a client's source address (RFC 7873).
pub(super) const OPTION_COOKIE: u16 = 10;

/// The options that set a TCP connection's idle timeout (RFC 7828) and that hide a message's length (RFC 7830).
const OPTION_KEEPALIVE: u16 = 11;
pub(super) const OPTION_PADDING: u16 = 12;

/// The DO bit of the OPT record's flags (RFC 3225).
const DNSSEC_OK: u16 = 0x8000;

/// Bytes of a client's part of a cookie (RFC 7873 §4.1).
pub const CLIENT_COOKIE_LEN: usize = 8;

/// Bytes of the server's part (RFC 9018 §4).
pub const SERVER_COOKIE_LEN: usize = 16;

/// The lengths that any server's part may have (RFC 7873 §4.2).
const SERVER_COOKIE_LENS: RangeInclusive<usize> = 8..=32;

/// A parsed message.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is on the stack, and most are the large one")]
pub enum Received<'m> {
    /// A message that gets no reply: it has no whole header, or is itself a reply.
    Nothing,
    /// A message that gets an error code.
    Malformed(Malformed<'m>),
    /// A query.
    Query(Query<'m>),
}

/// A message whose reply is a response code alone.
#[derive(Clone, Debug)]
pub struct Malformed<'m> {
    /// The message's ID.
    pub id: u16,
    /// Its opcode.
    pub opcode: u8,
    /// The RD bit, which the reply repeats.
    pub is_recursion_desired: bool,
    /// The question, which the reply repeats. Empty if it is malformed.
    pub question: &'m [u8],
    /// Its EDNS. `None` if the parser found none before the error.
    pub edns: Option<Edns>,
    /// The code.
    pub rcode: Rcode,
}

/// A well-formed query.
#[derive(Debug)]
pub struct Query<'m> {
    /// The ID.
    pub id: u16,
    /// The RD bit.
    pub is_recursion_desired: bool,
    /// The question's bytes: name, type and class.
    pub question: &'m [u8],
    /// Its name, folded.
    pub name: NamePath,
    /// Its type.
    pub rtype: Rtype,
    /// Its class.
    pub class: Class,
    /// Its EDNS. `None` if it has no OPT record.
    pub edns: Option<Edns>,
    /// Its TSIG record. This server has no keys, so it refuses each one.
    pub signature: Option<Signature<'m>>,
}

/// What a client says of itself in an OPT record (RFC 6891).
#[derive(Clone, Copy, Debug)]
pub struct Edns {
    /// The largest UDP reply that it accepts, in bytes, at least 512.
    pub udp_len_max: usize,
    /// The DO bit, which the reply repeats (RFC 3225 §3).
    pub is_dnssec_ok: bool,
    /// Whether it asks for the server's identity (NSID).
    pub wants_nsid: bool,
    /// Its cookie, if it has one.
    pub cookie: Option<Cookie>,
    /// Whether it has padding. Then an encrypted reply needs padding too (RFC 7830 §4).
    pub wants_padding: bool,
    /// Whether it has the TCP keepalive option, which is an error over QUIC (RFC 9250 §5.5.2).
    pub has_keepalive: bool,
}

/// A COOKIE option (RFC 7873 §4). If a query has several, the first counts (§5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// An option whose length no cookie has.
    Malformed,
    /// Well-formed.
    Of {
        /// The client's part: by it the client recognizes its servers' replies.
        client: [u8; CLIENT_COOKIE_LEN],
        /// The server's part. All zeros, which is never valid, if its length is not ours (RFC 9018 §4).
        server: Option<[u8; SERVER_COOKIE_LEN]>,
    },
}

impl Cookie {
    fn read(data: &[u8]) -> Cookie {
        match data.split_first_chunk() {
            Some((client, server)) if server.is_empty() || SERVER_COOKIE_LENS.contains(&server.len()) => {
                let server = (!server.is_empty()).then(|| server.try_into().unwrap_or_default());
                Cookie::Of { client: *client, server }
            }
            _ => Cookie::Malformed,
        }
    }
}

/// The fields of a TSIG record (RFC 8945) that its refusal repeats.
#[derive(Clone, Copy, Debug)]
pub struct Signature<'m> {
    /// The key's name.
    pub key: &'m [u8],
    /// The algorithm's name.
    pub algorithm: &'m [u8],
    /// The time signed and the fudge.
    pub time_and_fudge: &'m [u8],
}

/// Reads a message.
pub fn parse(message: &[u8]) -> Received<'_> {
    let Some((header, body)) = message.split_at_checked(HEADER_LEN) else { return Received::Nothing };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (id, flags) = (word(0), word(2));
    if flags & 0x8000 != 0 {
        return Received::Nothing; // a reply to a reply would let two servers send each other messages for ever
    }
    let opcode = (flags >> 11) as u8 & 0xf;
    let is_recursion_desired = flags & 0x0100 != 0;
    let malformed = Malformed { id, opcode, is_recursion_desired, question: &[], edns: None, rcode: Rcode::FORMERR };
    if opcode != 0 {
        return Received::Malformed(Malformed { rcode: Rcode::NOTIMP, is_recursion_desired: false, ..malformed });
    }
    let mut reader = MessageReader { rest: body };
    if [word(4), word(6), word(8)] == [0; 3] {
        // No question: the client may ask for a cookie alone (RFC 7873 §5.4).
        let additional = reader.additional(0, word(10)).filter(|additional| additional.version == 0);
        return Received::Malformed(Malformed { edns: additional.and_then(|additional| additional.edns), ..malformed });
    }
    let question = (word(4) == 1).then(|| reader.question()).flatten();
    let Some((question, rtype, class)) = question else { return Received::Malformed(malformed) };
    let malformed = Malformed { question, ..malformed };
    let has_only_a_question = word(6) == 0 && (word(8) == 0 || rtype == Rtype::IXFR); // IXFR carries the client's SOA
    let additional = if has_only_a_question { reader.additional(word(8), word(10)) } else { None };
    let Some(Additional { edns, version, signature }) = additional else { return Received::Malformed(malformed) };
    if version > 0 {
        return Received::Malformed(Malformed { edns, rcode: Rcode::BADVERS, ..malformed });
    }
    let name = NamePath::of(Labels::of_wire(&question[..question.len() - 4]));
    Received::Query(Query { id, is_recursion_desired, question, name, rtype, class, edns, signature })
}

impl Received<'_> {
    /// Whether DNS over QUIC allows the message: its ID is 0 (RFC 9250 §4.2.1), and it has no keepalive option (§5.5.2).
    pub fn is_legal_over_quic(&self) -> bool {
        let (id, edns) = match self {
            Received::Nothing => return false,
            Received::Malformed(malformed) => (malformed.id, malformed.edns),
            Received::Query(query) => (query.id, query.edns),
        };
        id == 0 && edns.is_none_or(|edns| !edns.has_keepalive)
    }
}

impl Query<'_> {
    /// The name in master-file form, with escapes for bytes that are not printable.
    pub fn name_text(&self) -> String {
        Name::from_wire(self.name_wire()).map(|name| name.to_string()).unwrap_or_default()
    }

    /// The query as a message whose reply is this response code alone.
    pub fn failed(&self, rcode: Rcode) -> Malformed<'_> {
        let Query { id, is_recursion_desired, question, edns, .. } = *self;
        Malformed { id, opcode: 0, is_recursion_desired, question, edns, rcode }
    }

    /// The name in the query's letter case: a well-formed wire name.
    pub fn name_wire(&self) -> &[u8] {
        &self.question[..self.question.len() - 4]
    }
}

/// What the server uses of the additional section.
#[derive(Default)]
struct Additional<'m> {
    edns: Option<Edns>,
    version: u8,
    signature: Option<Signature<'m>>,
}

/// The bytes not yet read. Each method consumes some and returns their value, or `None` if they are malformed.
struct MessageReader<'m> {
    rest: &'m [u8],
}

impl<'m> MessageReader<'m> {
    fn bytes(&mut self, len: usize) -> Option<&'m [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Reads an uncompressed name: before a question there is no name to point to (RFC 9267 §2).
    fn name(&mut self) -> Option<&'m [u8]> {
        let mut len = 0;
        loop {
            match usize::from(*self.rest.get(len)?) {
                0 => return self.bytes(len + 1),
                label if label > LABEL_LEN_MAX => return None,
                label => len += 1 + label,
            }
            if len >= NAME_LEN_MAX {
                return None;
            }
        }
    }

    /// Reads the question. Returns its bytes, type and class.
    fn question(&mut self) -> Option<(&'m [u8], Rtype, Class)> {
        let start = self.rest;
        let name = self.name()?;
        let (rtype, class) = (self.u16()?, self.u16()?);
        let question = &start[..name.len() + 4];
        Some((question, Rtype(rtype), Class(class)))
    }

    /// Reads all records after the question. Trailing bytes are an error.
    fn additional(&mut self, authority: u16, count: u16) -> Option<Additional<'m>> {
        for _ in 0..authority {
            self.record()?;
        }
        let mut additional = Additional::default();
        for _ in 0..count {
            if additional.signature.is_some() {
                return None; // a signature is the last record (RFC 8945 §5.1)
            }
            let record = self.record()?;
            match record.rtype {
                Rtype::OPT if additional.edns.is_some() || record.owner != [0] => return None,
                Rtype::OPT => {
                    additional.edns = Some(record.edns()?);
                    additional.version = (record.ttl >> 16) as u8;
                }
                Rtype::TSIG => additional.signature = Some(record.signature()?),
                _ => {}
            }
        }
        self.rest.is_empty().then_some(additional)
    }

    fn record(&mut self) -> Option<AdditionalRecord<'m>> {
        let owner = self.owner()?;
        let (rtype, class) = (Rtype(self.u16()?), self.u16()?);
        let ttl = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
        let len = self.u16()?;
        Some(AdditionalRecord { owner, rtype, class, ttl, data: self.bytes(usize::from(len))? })
    }

    /// Reads a record's owner name. It may end in a pointer, which is not followed.
    fn owner(&mut self) -> Option<&'m [u8]> {
        let mut len = 0;
        loop {
            match usize::from(*self.rest.get(len)?) {
                0 => return self.bytes(len + 1),
                pointer if pointer >= 0xc0 => return self.bytes(len + 2),
                label if label > LABEL_LEN_MAX => return None,
                label => len += 1 + label,
            }
            if len >= NAME_LEN_MAX {
                return None;
            }
        }
    }
}

/// A record of the additional section.
struct AdditionalRecord<'m> {
    owner: &'m [u8],
    rtype: Rtype,
    class: u16,
    ttl: u32,
    data: &'m [u8],
}

impl<'m> AdditionalRecord<'m> {
    /// An OPT record's class is a size, its TTL is flags, and its data is options.
    fn edns(&self) -> Option<Edns> {
        let mut options = MessageReader { rest: self.data };
        let (mut wants_nsid, mut wants_padding, mut has_keepalive, mut cookie) = (false, false, false, None);
        while !options.rest.is_empty() {
            let (code, len) = (options.u16()?, options.u16()?);
            let data = options.bytes(usize::from(len))?;
            match code {
                OPTION_NSID => wants_nsid = true,
                OPTION_PADDING => wants_padding = true,
                OPTION_KEEPALIVE => has_keepalive = true,
                OPTION_COOKIE => cookie = cookie.or_else(|| Some(Cookie::read(data))),
                _ => {}
            }
        }
        let is_dnssec_ok = self.ttl as u16 & DNSSEC_OK != 0;
        let udp_len_max = usize::from(self.class).max(UDP_LEN_MIN);
        Some(Edns { udp_len_max, is_dnssec_ok, wants_nsid, cookie, wants_padding, has_keepalive })
    }

    fn signature(&self) -> Option<Signature<'m>> {
        let mut data = MessageReader { rest: self.data };
        let algorithm = data.name()?;
        let time_and_fudge = data.bytes(8)?;
        let mac_len = data.u16()?;
        data.bytes(usize::from(mac_len))?;
        data.bytes(4)?; // original ID and error
        let other_len = data.u16()?;
        data.bytes(usize::from(other_len))?;
        let is_whole = data.rest.is_empty() && Class(self.class) == Class::ANY && self.ttl == 0;
        let key = MessageReader { rest: self.owner }.name()?;
        is_whole.then_some(Signature { key, algorithm, time_and_fudge })
    }
}
