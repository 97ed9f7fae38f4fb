//! Reads a master file (RFC 1035 §5) into records of our own, by the reader of the `domain` crate.
//!
//! Directives are `$ORIGIN` and `$TTL`; TTLs and timers are plain seconds; a record before any TTL has 3600. The reader's
//! results are not taken on trust: names with empty labels pass it, and so does any data in the form of RFC 3597.

use super::fault::{Fault, Place, Reason};
use super::rrset::target_offset;
use super::{RDATA_LEN_MAX, RECORDS_MAX};
use crate::dns::{Key, Name, Rtype};
use domain::base::iana::Class;
use domain::base::name::ToLabelIter;
use domain::base::rdata::{ComposeRecordData, ParseRecordData, RecordData};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry, ScannedRecord, ScannedRecordData, Zonefile};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One record, and the line that it is in.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) owner: Name,
    /// The key of the owner.
    pub(super) key: Key,
    pub(super) rtype: Rtype,
    /// In seconds.
    pub(super) ttl: u32,
    /// Uncompressed.
    pub(super) rdata: Box<[u8]>,
    pub(super) line: usize,
}

/// Reads all records of a file whose relative names are below `origin`, in its order.
///
/// # Errors
/// The first line that cannot be read, that is no data, or that is beyond a bound.
pub(super) fn read(text: &[u8], origin: &Name) -> Result<Vec<Record>, Fault> {
    if let Some(at) = unclosed_parenthesis(text) {
        // The reader would panic at the end of the file, or say "short buffer".
        return Err(syntax(Some(place_of(text, at)), "a parenthesis that is not closed"));
    }
    // The reader panics on some broken lines (`$INCLUDE""\` is one), and a bad file must harm nobody else.
    let mut lines = Lines { text, at: 0, line: 1 };
    let records = catch_unwind(AssertUnwindSafe(|| read_records(text, origin, &mut lines)));
    records.unwrap_or_else(|_panic| {
        let reason = "what follows this line cannot be read".to_owned();
        Err(Fault::in_line(lines.line, Reason::Syntax(reason)))
    })
}

/// What [`read`] does with a reader that may panic; `lines` is at the last record that was read.
fn read_records(text: &[u8], origin: &Name, lines: &mut Lines<'_>) -> Result<Vec<Record>, Fault> {
    let mut reader = Zonefile::with_capacity(text.len() + 1);
    reader.extend_from_slice(text);
    reader.extend_from_slice(b"\n"); // the reader wants one behind the last record
    let origin = domain::base::Name::from_octets(origin.wire().to_vec().into());
    reader.set_origin(origin.map_err(|error| syntax(None, error))?);
    reader.set_default_class(Class::IN);

    let mut records = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(|error| reader_fault(text, &error.to_string()))? {
        // The reader says how far it has let go of the text, which is somewhere in the record's data, counted with a
        // byte of its own in front.
        let line = lines.line_of(reader.current_offset().saturating_sub(1));
        if records.len() == RECORDS_MAX {
            return Err(Fault::in_line(line, Reason::TooManyRecords));
        }
        let record = match entry {
            Entry::Record(record) => record,
            Entry::Include { .. } => return Err(Fault::in_line(line, Reason::Include)),
        };
        let current_origin = reader.origin().map_err(|error| syntax(None, error))?;
        records
            .push(converted(&record, current_origin.as_slice(), line).map_err(|reason| Fault::in_line(line, reason))?);
    }
    Ok(records)
}

/// The reader's record in our form.
fn converted(record: &ScannedRecord, current_origin: &[u8], line: usize) -> Result<Record, Reason> {
    let mut wire = Vec::with_capacity(64);
    for label in record.owner().iter_labels() {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_slice());
    }
    let owner = Name::from_wire(&wire).map_err(Reason::BadOwner)?;
    let rtype = Rtype(record.rtype().to_int());
    check_type(rtype)?;
    let mut rdata = wire_of(record.data()).ok_or(Reason::BadRdata(rtype))?;
    if matches!(record.data(), ZoneRecordData::Unknown(_)) {
        // RFC 3597 §5: data written in bytes has no `@`
    } else if let Some(at) = target_offset(rtype) {
        resolve_at_sign(&mut rdata, at, current_origin);
    } else if rtype == Rtype::SOA {
        resolve_at_sign(&mut rdata, 0, current_origin);
        let rname_at = name_len(&rdata);
        resolve_at_sign(&mut rdata, rname_at, current_origin);
    }
    if rdata.len() > RDATA_LEN_MAX {
        return Err(Reason::LongRdata);
    }
    let ttl = seconds(record.ttl().as_secs());
    Ok(Record { key: owner.key(), owner, rtype, ttl, rdata: rdata.into(), line })
}

/// A TTL that has its first bit set means 0 (RFC 2181 §8).
pub(super) fn seconds(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// Refuses what a zone without signatures cannot hold.
fn check_type(rtype: Rtype) -> Result<(), Reason> {
    match rtype.0 {
        0 | 41 | 128..=255 => Err(Reason::NotData(rtype)),
        46 | 47 | 50 | 51 => Err(Reason::Signed(rtype)), // RRSIG, NSEC, NSEC3, NSEC3PARAM
        _ => Ok(()),
    }
}

/// The data uncompressed, if it reads back as what it was.
fn wire_of(data: &ScannedRecordData) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    data.compose_rdata(&mut wire).ok()?;
    let mut parser = Parser::from_ref(wire.as_slice());
    let parsed = ZoneRecordData::parse_rdata(data.rtype(), &mut parser).ok()??;
    let mut again = Vec::with_capacity(wire.len());
    parsed.compose_rdata(&mut again).ok()?;
    let same = matches!(data, ZoneRecordData::Unknown(_)) || parsed == *data;
    (same && parser.remaining() == 0 && again == wire).then_some(wire)
}

/// Makes the name at `at` the current origin where it was written `@` (RFC 1035 §5.1): the reader knows that for owners
/// only, and takes it for a label elsewhere.
fn resolve_at_sign(rdata: &mut Vec<u8>, at: usize, current_origin: &[u8]) {
    let written = rdata.get(at..).and_then(|name| name.strip_prefix(b"\x01@"));
    if written.is_some_and(|rest| rest.starts_with(current_origin)) {
        rdata.drain(at..at + 2);
    }
}

/// The length of the name that the data begins with, in bytes.
pub(super) fn name_len(rdata: &[u8]) -> usize {
    crate::dns::Labels::of_wire(rdata).map(|label| 1 + label.len()).sum::<usize>() + 1
}

/// Where the outermost parenthesis stands that is still open at the end, in bytes.
fn unclosed_parenthesis(text: &[u8]) -> Option<usize> {
    let (mut depth, mut opened_at) = (0_usize, 0);
    let mut bytes = text.iter().copied().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b';' => drop(bytes.find(|&(_, byte)| byte == b'\n')),
            b'"' => {
                while let Some((_, byte)) = bytes.next().filter(|&(_, byte)| byte != b'"') {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            b'(' if depth == 0 => (depth, opened_at) = (1, at),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1), // one too many is the reader's to refuse
            _ => {}
        }
    }
    (depth > 0).then_some(opened_at)
}

/// The line and column of a byte.
fn place_of(text: &[u8], at: usize) -> Place {
    let before = text.get(..at).unwrap_or_default();
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    Place { line: Lines { text, at: 0, line: 1 }.line_of(at), column }
}

/// Counts lines forward.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a byte that is not before the last one asked for.
    fn line_of(&mut self, at: usize) -> usize {
        let at = at.min(self.text.len());
        let passed = self.text.get(self.at..at).unwrap_or_default();
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
        self.at = self.at.max(at);
        self.line
    }
}

fn syntax(place: Option<Place>, error: impl ToString) -> Fault {
    Fault { place, reason: Reason::Syntax(error.to_string()) }
}

/// The reader's error, `line:column: message`, with its place put right and its message in plainer words.
fn reader_fault(text: &[u8], error: &str) -> Fault {
    let mut parts = error.splitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    let place = number().zip(number()).map(|(line, column)| Place { line, column });
    let message = parts.next().map_or(error, str::trim);
    let place = place.map(|place| match message {
        "unbalanced parens" => place,
        _ if message.starts_with("bad symbol:") => place,
        // At a line's first byte only these two are found: any other error there is one of the line before.
        _ if place.column <= 1 && place.line > 1 => end_of_line(text, place.line - 1),
        _ => place,
    });
    syntax(place, plainer(message))
}

/// The place behind the last byte of a line.
fn end_of_line(text: &[u8], line: usize) -> Place {
    let len = text.split(|&byte| byte == b'\n').nth(line.saturating_sub(1)).map_or(0, <[u8]>::len);
    Place { line, column: len + 1 }
}

fn plainer(message: &str) -> &str {
    match message {
        "bad symbol" => "a character that cannot stand here, or a quote that is not closed",
        "short buffer" => "the file ends within a record",
        "unexpected end of entry" => "a field is missing",
        "trailing tokens" => "more fields than the type has",
        "expected rtype" => "expected a record type; a TTL is a plain number of seconds",
        "missing last owner" => "a line that begins with a space needs an owner before it",
        "unbalanced parens" => "a parenthesis that was not opened",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::zones::{Role, Zone};
    use proptest::prelude::*;

    const PIECES: [&str; 62] = [
        " ",
        " ",
        " ",
        "\n",
        "\n",
        "\t",
        "\r\n",
        "(",
        ")",
        ";",
        "\"",
        "\\",
        "\\1",
        "\\300",
        "\\046",
        ".",
        "..",
        "@",
        "*",
        "é",
        "\0",
        "a",
        "b.c.",
        "\\#",
        "0",
        "1",
        "4",
        "300",
        "4294967295",
        "99999999999",
        "c00c",
        "IN",
        "CH",
        "SOA",
        "NS",
        "A",
        "AAAA",
        "TXT",
        "MX",
        "SRV",
        "CNAME",
        "DNAME",
        "DS",
        "CAA",
        "NAPTR",
        "SVCB",
        "HTTPS",
        "key1=\"v\"",
        "alpn=h2",
        "TLSA",
        "SSHFP",
        "DNSKEY",
        "OPENPGPKEY",
        "IPSECKEY",
        "ZONEMD",
        "HINFO",
        "TYPE65280",
        "192.0.2.1",
        "2001:db8::1",
        "$ORIGIN",
        "$TTL",
        "$INCLUDE",
    ];

    proptest! {
        #[test]
        fn reading_never_panics(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
            let text = format!("@ 5 SOA a b 1 2 3 4 5\n@ NS a\n{}", pieces.concat());
            if let Ok(zone) = Zone::parse(text.as_bytes(), &"example.".parse().unwrap(), Role::Own) {
                prop_assert!(zone.ns().is_some());
            }
        }

        #[test]
        fn reading_bytes_never_panics(text in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Zone::parse(&text, &"example.".parse().unwrap(), Role::Own).is_err());
        }
    }
}
