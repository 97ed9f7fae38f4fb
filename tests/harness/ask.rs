//! Queries as bytes, and a strict reader of every reply, with the `domain` crate.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};

use domain::base::iana::{Class, Rtype};
use domain::base::message::RecordSection;
use domain::base::name::ParsedName;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::base::{Message, Name};
use domain::rdata::AllRecordData;

/// Bits of the header's second and third byte (RFC 1035 §4.1.1, RFC 4035 §3).
pub(crate) mod flag {
    pub(crate) const QR: u16 = 0x8000;
    pub(crate) const OPCODE: u16 = 0x7800;
    pub(crate) const AA: u16 = 0x0400;
    pub(crate) const TC: u16 = 0x0200;
    pub(crate) const RD: u16 = 0x0100;
    pub(crate) const RA: u16 = 0x0080;
    pub(crate) const Z: u16 = 0x0040;
    pub(crate) const AD: u16 = 0x0020;
    pub(crate) const CD: u16 = 0x0010;
}

/// A question, its header and its OPT.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    name: Name<Vec<u8>>,
    rtype: Rtype,
    pub(super) class: Class,
    pub(super) flags: u16,
    pub(super) edns: Option<Edns>,
}

/// An OPT record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The sender's UDP size, in bytes.
    pub(crate) size: u16,
    pub(crate) version: u8,
    /// The flags. The first bit is DO.
    pub(crate) flags: u16,
    /// The options: code and data.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Ask {
    /// A plain question of class IN: no flags, no EDNS. The name is in zone-file form.
    pub(crate) fn new(name: &str, rtype: Rtype) -> Ask {
        let name = Name::from_str(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        Ask { name, rtype, class: Class::IN, flags: 0, edns: None }
    }

    /// Adds EDNS version 0 with this UDP size.
    pub(crate) fn edns(self, size: u16) -> Ask {
        self.opt(Edns { size, ..Edns::default() })
    }

    /// Adds this OPT record.
    pub(crate) fn opt(self, edns: Edns) -> Ask {
        Ask { edns: Some(edns), ..self }
    }

    /// The query's bytes, with an id that no recent query of this process had.
    pub(crate) fn to_wire(&self) -> Vec<u8> {
        static ID: AtomicU16 = AtomicU16::new(1);
        let additional = u16::from(self.edns.is_some());
        let header = [ID.fetch_add(1, Ordering::Relaxed), self.flags, 1, 0, 0, additional];
        let mut wire: Vec<u8> = header.into_iter().flat_map(u16::to_be_bytes).collect();
        wire.extend_from_slice(self.name.as_slice());
        wire.extend(self.rtype.to_int().to_be_bytes());
        wire.extend(self.class.to_int().to_be_bytes());
        if let Some(edns) = &self.edns {
            edns.push_onto(&mut wire);
        }
        wire
    }
}

impl Edns {
    fn push_onto(&self, wire: &mut Vec<u8>) {
        let len = |len: usize| u16::try_from(len).expect("an OPT below 64 KiB").to_be_bytes();
        wire.push(0);
        wire.extend(Rtype::OPT.to_int().to_be_bytes());
        wire.extend(self.size.to_be_bytes());
        wire.extend([0, self.version]);
        wire.extend(self.flags.to_be_bytes());
        wire.extend(len(self.options.iter().map(|(_, data)| 4 + data.len()).sum()));
        for (code, data) in &self.options {
            wire.extend(code.to_be_bytes());
            wire.extend(len(data.len()));
            wire.extend(data);
        }
    }
}

/// A well-formed reply of callsign.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) wire: Vec<u8>,
    /// Its RCODE with OPT's upper bits, as zone text: `NOERROR`.
    pub(crate) rcode: String,
    /// The header's flags.
    pub(crate) flags: u16,
    /// The answer section's records as zone text, in order.
    pub(crate) answer: Vec<String>,
    /// The authority section's records.
    pub(crate) authority: Vec<String>,
    /// The additional section's records, without OPT.
    pub(crate) additional: Vec<String>,
    /// OPT.
    pub(crate) edns: Option<Edns>,
}

impl Reply {
    /// Reads a reply to `query`. Panics if anything in it is not as callsign must send it.
    #[track_caller]
    pub(crate) fn read(query: &[u8], wire: Vec<u8>) -> Reply {
        match Reply::parse(query, &wire) {
            Ok(reply) => Reply { wire, ..reply },
            Err(fault) => panic!("{fault}, in the reply {}", hex(&wire)),
        }
    }

    /// Whether a header flag is set.
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The same. The error says what is wrong.
    pub(crate) fn parse(query: &[u8], wire: &[u8]) -> Result<Reply, String> {
        let flags = check_header(query, wire)?;
        let message = Message::from_octets(wire).map_err(|error| error.to_string())?;
        let (question, answer, authority, additional) = message.sections().map_err(|error| error.to_string())?;
        for question in question {
            question.map_err(|error| format!("bad question: {error}"))?;
        }
        let edns = opt(&message)?;
        Ok(Reply {
            wire: Vec::new(),
            rcode: message.opt_rcode().to_string(),
            flags,
            answer: records(answer, false)?,
            authority: records(authority, false)?,
            additional: records(additional, true)?,
            edns,
        })
    }
}

/// Checks what holds for every reply: its id, flags and question, and that no bytes follow its last record.
fn check_header(query: &[u8], wire: &[u8]) -> Result<u16, String> {
    let (sent, got) = (words(query)?, words(wire)?);
    let (asked, flags) = (sent[1], got[1]);
    if got[0] != sent[0] {
        return Err("another id".into());
    }
    if flags & flag::QR == 0 || flags & flag::OPCODE != asked & flag::OPCODE {
        return Err("no QR, or another opcode".into());
    }
    if flags & (flag::RA | flag::Z | flag::AD | flag::CD) != 0 {
        return Err("RA, Z, AD or CD is set".into());
    }
    // Other opcodes have no RD.
    if asked & flag::OPCODE == 0 && flags & flag::RD != asked & flag::RD {
        return Err("RD is not that of the query".into());
    }
    if got[3] > 0 && flags & flag::AA == 0 {
        return Err("an answer without AA".into());
    }
    if got[2] > 0 {
        let end = skip_questions(query, sent[2])?;
        if got[2] != sent[2] || wire.get(12..end) != query.get(12..end) {
            return Err("the question is not echoed byte for byte".into());
        }
    }
    let mut at = skip_questions(wire, got[2])?;
    for _ in 0..u32::from(got[3]) + u32::from(got[4]) + u32::from(got[5]) {
        at = skip_name(wire, at)? + 10;
        at += usize::from(word(wire, at - 2)?);
    }
    if at != wire.len() {
        return Err(format!("{} bytes, but its records end at {at}", wire.len()));
    }
    Ok(flags)
}

/// The records of a section as zone text. It parses every known type to its last field.
fn records(section: RecordSection<'_, &[u8]>, may_hold_opt: bool) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let mut opts = 0;
    for record in section {
        let record = record.map_err(|error| format!("bad record: {error}"))?;
        let rtype = record.rtype();
        if opts > 0 && rtype != Rtype::TSIG {
            return Err("a record after OPT".into()); // only a signature may follow, always as the last (RFC 8945 §5.1)
        }
        let record = record
            .to_any_record::<AllRecordData<_, ParsedName<_>>>()
            .map_err(|error| format!("bad data of a {rtype} record: {error}"))?;
        if rtype == Rtype::OPT {
            opts += 1;
        } else {
            lines.push(record.display_zonefile(DisplayKind::Simple).to_string());
        }
    }
    if opts > usize::from(may_hold_opt) {
        return Err("OPT outside the additional section".into());
    }
    Ok(lines)
}

fn opt(message: &Message<&[u8]>) -> Result<Option<Edns>, String> {
    let Some(record) = message.opt() else { return Ok(None) };
    let mut options = Vec::new();
    for option in record.opt().iter::<domain::base::opt::UnknownOptData<_>>() {
        let option = option.map_err(|error| format!("bad option: {error}"))?;
        options.push((option.code().to_int(), option.as_slice().to_vec()));
    }
    let flags = record.as_record().ttl().as_secs() as u16;
    Ok(Some(Edns { size: record.udp_payload_size(), version: record.version(), flags, options }))
}

/// The header's six numbers.
fn words(wire: &[u8]) -> Result<[u16; 6], String> {
    let mut words = [0; 6];
    for (index, value) in words.iter_mut().enumerate() {
        *value = word(wire, 2 * index)?;
    }
    Ok(words)
}

fn word(wire: &[u8], at: usize) -> Result<u16, String> {
    let bytes = wire.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u16::from_be_bytes).ok_or_else(|| format!("it ends within a number at {at}"))
}

fn skip_questions(wire: &[u8], count: u16) -> Result<usize, String> {
    (0..count).try_fold(12, |at, _| Ok(skip_name(wire, at)? + 4))
}

/// Where a name that begins at `at` ends: after its root label or its pointer.
fn skip_name(wire: &[u8], mut at: usize) -> Result<usize, String> {
    loop {
        match wire.get(at) {
            None => return Err(format!("it ends within a name at {at}")),
            Some(0) => return Ok(at + 1),
            Some(len @ 1..=63) => at += 1 + usize::from(*len),
            Some(0xc0..) => return Ok(at + 2),
            Some(_) => return Err(format!("a label of an unknown kind at {at}")),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
