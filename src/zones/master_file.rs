//! Reads a master file (RFC 1035 §5) into records.
//!
//! Directives are `$ORIGIN`, `$TTL` (RFC 2308 §4), `$INCLUDE` and BIND's `$GENERATE`. A record without a TTL gets the
//! TTL of `$TTL`, else the last TTL of a record, else the SOA's minimum, else 3600.

use std::path::Path;
use std::sync::Arc;

use super::data::{self, DataFault};
use super::fault::{ZoneFault, ZoneReason};
use super::generate::Generate;
use super::include::{Folder, INCLUDE_DEPTH_MAX};
use super::token::{Entries, EntryHead, Token, fault_at};
use super::{FILE_LEN_MAX, RDATA_LEN_MAX, RECORDS_MAX};
use crate::dns::{Key, Name, Rtype};

/// The TTL of a record if nothing before it states a TTL, in seconds.
const TTL_DEFAULT: u32 = 3600;

/// UTF-8's byte order mark. BIND, Knot and NSD refuse it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A record and its position.
#[derive(Debug)]
pub(super) struct ZoneRecord {
    pub(super) owner: Name,
    /// The key of the owner.
    pub(super) key: Key,
    pub(super) rtype: Rtype,
    /// In seconds.
    pub(super) ttl: u32,
    /// Uncompressed.
    pub(super) rdata: Box<[u8]>,
    /// The line, from 1.
    pub(super) line: usize,
    /// The included file of the line. `None`: the zone's own file.
    pub(super) file: Option<Arc<str>>,
}

impl ZoneRecord {
    /// A fault of this record.
    pub(super) fn fault(&self, reason: ZoneReason) -> ZoneFault {
        ZoneFault::in_line(self.line, reason).in_file(self.file.as_ref())
    }
}

/// Reads all records of a file in order. Relative names are below `origin`; `$INCLUDE` reads from `folder`.
///
/// # Errors
/// The first line that cannot be read, whose type is not served, or that exceeds a limit.
pub(super) fn read(text: &[u8], origin: &Name, folder: &mut Folder) -> Result<Vec<ZoneRecord>, ZoneFault> {
    let mut reader = MasterFileReader {
        origin: origin.clone(),
        owner: None,
        ttl_default: None,
        ttl_last: None,
        records: Vec::new(),
        folder,
        depth: 0,
        generated: 0,
    };
    reader.text(text, None)?;
    Ok(reader.records)
}

/// The state that applies to the next entries.
struct MasterFileReader<'f> {
    origin: Name,
    /// The owner of the last record, which an indented record shares.
    owner: Option<Name>,
    /// The TTL of `$TTL`, or the SOA's minimum if that comes first.
    ttl_default: Option<u32>,
    /// The last TTL that a record states.
    ttl_last: Option<u32>,
    records: Vec<ZoneRecord>,
    folder: &'f mut Folder,
    /// The depth of nested `$INCLUDE`s.
    depth: usize,
    /// The bytes that `$GENERATE` has made: a short line can make many records.
    generated: u64,
}

/// A text and its file, for the position of a fault.
#[derive(Clone, Copy)]
struct SourceText<'t> {
    text: &'t [u8],
    file: Option<&'t Arc<str>>,
}

impl SourceText<'_> {
    /// A fault of a field, with its line and column.
    fn fault(&self, fault: DataFault) -> ZoneFault {
        fault_at(self.text, fault.at, fault.message)
    }
}

/// The fields before an entry's data.
#[derive(Clone, Copy)]
struct RecordPrefix {
    ttl: Option<u32>,
    rtype: Rtype,
}

impl MasterFileReader<'_> {
    /// Reads a text to its end.
    fn text(&mut self, text: &[u8], file: Option<&Arc<str>>) -> Result<(), ZoneFault> {
        let mut entries = Entries::of(text);
        let mut tokens = Vec::new();
        let from = SourceText { text, file };
        let in_file = |fault: ZoneFault| fault.in_file(file);
        if text.starts_with(BYTE_ORDER_MARK) {
            let message = "the file begins with a byte order mark: save it without one";
            return Err(in_file(fault_at(text, 0, message.to_owned())));
        }
        while let Some(head) = entries.next(&mut tokens).map_err(in_file)? {
            self.entry(head, &tokens, from).map_err(in_file)?;
        }
        Ok(())
    }

    fn entry(&mut self, head: EntryHead, tokens: &[Token<'_>], from: SourceText<'_>) -> Result<(), ZoneFault> {
        let end = tokens.last().map_or(from.text.len(), Token::end);
        match tokens {
            [first, rest @ ..] if !head.is_indented && !first.is_quoted && first.raw.starts_with(b"$") => {
                self.directive(head, first, rest, from)
            }
            [first, rest @ ..] if !head.is_indented => {
                if first.is_quoted {
                    return Err(fault_at(from.text, first.at, "an owner name must not have quotes"));
                }
                self.owner = Some(data::name(first, &self.origin).map_err(|fault| from.fault(fault))?);
                self.record(head, rest, end, from)
            }
            tokens => self.record(head, tokens, end, from),
        }
    }

    /// `[<TTL>] [<class>] <type> <data>`, or class and TTL in the other order.
    fn record(
        &mut self,
        head: EntryHead,
        tokens: &[Token<'_>],
        end: usize,
        from: SourceText<'_>,
    ) -> Result<(), ZoneFault> {
        let Some(owner) = self.owner.clone() else {
            let at = tokens.first().map_or(0, |token| token.at);
            return Err(fault_at(from.text, at, "a line that begins with a space needs an owner before it"));
        };
        let (front, tokens) = front(tokens, end).map_err(|fault| from.fault(fault))?;
        let line = |reason| ZoneFault::in_line(head.line, reason);
        check_type(front.rtype).map_err(line)?;
        let rdata = data::read(front.rtype, tokens, &self.origin, end).map_err(|fault| from.fault(fault))?;
        self.push(owner, front, rdata, head.line, from.file).map_err(line)
    }

    /// Adds a record and determines its TTL.
    fn push(
        &mut self,
        owner: Name,
        front: RecordPrefix,
        rdata: Vec<u8>,
        line: usize,
        file: Option<&Arc<str>>,
    ) -> Result<(), ZoneReason> {
        if self.records.len() == RECORDS_MAX {
            return Err(ZoneReason::TooManyRecords);
        }
        if rdata.len() > RDATA_LEN_MAX {
            return Err(ZoneReason::LongRdata);
        }
        self.ttl_last = front.ttl.or(self.ttl_last);
        if front.rtype == Rtype::SOA && self.ttl_default.or(self.ttl_last).is_none() {
            self.ttl_default = rdata.last_chunk::<4>().map(|minimum| u32::from_be_bytes(*minimum));
        }
        let ttl = front.ttl.or(self.ttl_default).or(self.ttl_last).unwrap_or(TTL_DEFAULT);
        let (key, rdata) = (owner.key(), rdata.into());
        let record = ZoneRecord { key, owner, rtype: front.rtype, ttl: seconds(ttl), rdata, line, file: file.cloned() };
        self.records.push(record);
        Ok(())
    }

    fn directive(
        &mut self,
        head: EntryHead,
        name: &Token<'_>,
        arguments: &[Token<'_>],
        from: SourceText<'_>,
    ) -> Result<(), ZoneFault> {
        let bad = |message: &str| fault_at(from.text, name.at, message);
        if name.is("$GENERATE") {
            return self.generate(head, name, arguments, from);
        }
        match arguments {
            [origin] if name.is("$ORIGIN") => {
                self.origin = self.origin_of(origin, from)?;
                Ok(())
            }
            [ttl] if name.is("$TTL") => {
                let seconds = data::seconds(ttl.raw);
                self.ttl_default = Some(seconds.ok_or_else(|| fault_at(from.text, ttl.at, EXPECTED_TTL))?);
                Ok(())
            }
            [file] if name.is("$INCLUDE") => self.include(file, self.origin.clone(), from),
            [file, origin] if name.is("$INCLUDE") => self.include(file, self.origin_of(origin, from)?, from),
            _ if name.is("$ORIGIN") => Err(bad("expected $ORIGIN and one name")),
            _ if name.is("$TTL") => Err(bad("expected $TTL and one time")),
            _ if name.is("$INCLUDE") => Err(bad("expected $INCLUDE, a file, and optionally an origin")),
            _ => Err(bad("an unknown directive; write $ORIGIN, $TTL, $INCLUDE or $GENERATE")),
        }
    }

    /// The origin in a directive.
    fn origin_of(&self, name: &Token<'_>, from: SourceText<'_>) -> Result<Name, ZoneFault> {
        if name.is_quoted {
            return Err(fault_at(from.text, name.at, "an origin must not have quotes"));
        }
        data::name(name, &self.origin).map_err(|fault| from.fault(fault))
    }

    /// Reads another file with its own origin. Its first record may share this file's owner, as with BIND and NSD.
    /// Afterwards this file's origin and owner apply again (RFC 1035 §5.1).
    fn include(&mut self, file: &Token<'_>, origin: Name, from: SourceText<'_>) -> Result<(), ZoneFault> {
        let fault = |message: String| fault_at(from.text, file.at, message);
        if self.depth == INCLUDE_DEPTH_MAX {
            return Err(fault(format!("more than {INCLUDE_DEPTH_MAX} files that include each other")));
        }
        let including = from.file.map(|file| Path::new(&**file));
        let (path, text) = self.folder.open(including, file).map_err(fault)?;
        let outer = (std::mem::replace(&mut self.origin, origin), self.owner.clone());
        self.depth += 1;
        self.text(&text, Some(&path))?;
        self.depth -= 1;
        (self.origin, self.owner) = outer;
        Ok(())
    }

    /// Adds the records of a `$GENERATE`.
    fn generate(
        &mut self,
        head: EntryHead,
        name: &Token<'_>,
        arguments: &[Token<'_>],
        from: SourceText<'_>,
    ) -> Result<(), ZoneFault> {
        let shape =
            || fault_at(from.text, name.at, "expected $GENERATE, a range, an owner, a type, and its data in one word");
        if head.is_joined {
            return Err(fault_at(from.text, name.at, "$GENERATE must not have parentheses"));
        }
        let [range, owner, rest @ ..] = arguments else { return Err(shape()) };
        if owner.is_quoted {
            return Err(fault_at(from.text, owner.at, "an owner name must not have quotes"));
        }
        let end = arguments.last().map_or(name.at, Token::end);
        let (front, data) = front(rest, end).map_err(|fault| from.fault(fault))?;
        let [data] = data else { return Err(shape()) };
        let generate = Generate::read(range, owner, data).map_err(|fault| from.fault(fault))?;
        let line = |reason| ZoneFault::in_line(head.line, reason);
        check_type(front.rtype).map_err(line)?;
        if generate.numbers().len() > RECORDS_MAX - self.records.len() {
            return Err(line(ZoneReason::TooManyRecords));
        }
        for number in generate.numbers() {
            let fault = |fault: DataFault| fault_at(from.text, name.at, format!("at {number}: {}", fault.message));
            let (owner, rdata) = generate.record(number, front.rtype, &self.origin).map_err(fault)?;
            self.generated += (owner.wire().len() + rdata.len()).max(generate.len()) as u64;
            if self.generated > FILE_LEN_MAX {
                return Err(line(ZoneReason::LongGenerate));
            }
            self.push(owner, front, rdata, head.line, from.file).map_err(line)?;
        }
        Ok(())
    }
}

const EXPECTED_TTL: &str = "expected a TTL: seconds, or numbers with the units w, d, h, m and s";

/// Parses the fields before an entry's data.
fn front<'e, 't>(tokens: &'e [Token<'t>], end: usize) -> Result<(RecordPrefix, &'e [Token<'t>]), DataFault> {
    let (mut ttl, mut class) = (None, None);
    let mut rest = tokens;
    while let [token, behind @ ..] = rest {
        let fault = |message: &str| DataFault { at: token.at, message: message.to_owned() };
        if token.is_quoted {
            return Err(fault("expected a record type without quotes"));
        }
        if let Some(rtype) = data::rtype(token.raw) {
            return Ok((RecordPrefix { ttl, rtype }, behind));
        }
        if let Some(found) = data::class(token.raw) {
            match found {
                1 if class.is_none() => class = Some(found),
                1 => return Err(fault("a second class")),
                _ => return Err(fault("a class other than IN")),
            }
        } else if token.raw.first().is_some_and(u8::is_ascii_digit) {
            if ttl.is_some() {
                return Err(fault("a second TTL"));
            }
            ttl = Some(data::seconds(token.raw).ok_or_else(|| fault(EXPECTED_TTL))?);
        } else {
            return Err(fault("expected a record type"));
        }
        rest = behind;
    }
    Err(DataFault { at: end, message: "a field is missing: the record type".to_owned() })
}

/// A TTL with the highest bit set counts as 0 (RFC 2181 §8).
pub(super) fn seconds(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// Refuses types that a zone without signatures cannot have.
fn check_type(rtype: Rtype) -> Result<(), ZoneReason> {
    match rtype.0 {
        0 | 41 | 128..=255 => Err(ZoneReason::NotData(rtype)),
        46 | 47 | 50 | 51 => Err(ZoneReason::Signed(rtype)), // RRSIG, NSEC, NSEC3, NSEC3PARAM
        _ => Ok(()),
    }
}

/// The length of the name at the start of the data, in bytes.
pub(super) fn name_len(rdata: &[u8]) -> usize {
    crate::dns::Labels::of_wire(rdata).map(|label| 1 + label.len()).sum::<usize>() + 1
}

#[cfg(test)]
mod tests {
    use crate::zones::{Role, Zone};
    use proptest::prelude::*;

    /// Pieces that files may have, and pieces that they should not.
    const PIECES: &str = "  |\n|\n|\t|\r\n|(|)|;|\"|\\|\\1|\\300|\\046|.|..|@|\\@|*|é|\0|a|b.c.|\\#|0|1|4|300|1h|1w2d|4294967295|\
        99999999999|c00c|IN|CH|SOA|NS|A|AAAA|TXT|MX|SRV|CNAME|DNAME|DS|CAA|NAPTR|SVCB|HTTPS|key1=\"v\"|alpn=h2|port=1|mandatory=alpn|\
        TLSA|SSHFP|DNSKEY|OPENPGPKEY|IPSECKEY|ZONEMD|HINFO|LOC|N|W|10m|-1.5|APL|1:0.0.0.0/0|!2:::/1|CSYNC|NID|1:2:3:4|EUI48|\
        00-00-5e-00-53-2a|CERT|PKIX|URI|TYPE65280|192.0.2.1|2001:db8::1|$ORIGIN|$TTL|$INCLUDE|$GENERATE|1-3|0-9/2|$|${0,3,n}|${-1}";

    fn piece() -> impl Strategy<Value = &'static str> {
        let pieces: Vec<&str> =
            PIECES.split('|').map(|piece| if piece == "  " { " " } else { piece.trim_start_matches(' ') }).collect();
        prop::sample::select([vec![" "; 20], pieces].concat())
    }

    proptest! {
        #[test]
        fn reading_never_panics(pieces in prop::collection::vec(piece(), 0..40)) {
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
