//! The data of a record: its text form and its wire format.

mod address_prefix;
mod fields;
mod location;
mod number;
mod parameter;
mod validate;

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::token::{Token, unescape};
use crate::dns::{LABEL_LEN_MAX, Name, Rtype};
use fields::{RdataField, fields_of};
pub(super) use number::{class, rtype, seconds};

/// What is wrong with a record's data, and the offset in the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DataFault {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Parses a record's data from the tokens after its type. Relative names are below `origin`; `end` is where the entry
/// ends.
///
/// # Errors
/// The first field that is missing, invalid or superfluous.
pub(super) fn read(rtype: Rtype, tokens: &[Token<'_>], origin: &Name, end: usize) -> Result<Vec<u8>, DataFault> {
    let mut reader = RdataReader { tokens, origin, end, wire: Vec::with_capacity(32) };
    let generic = tokens.first().is_some_and(|token| !token.is_quoted && token.raw == b"\\#");
    let at = tokens.first().map_or(end, |token| token.at);
    let Some(fields) = fields_of(rtype) else {
        if !generic {
            let message =
                format!("{rtype} has no text form here; write its bytes as `\\# <length> <hexadecimal>` (RFC 3597)");
            return Err(DataFault { at, message });
        }
        reader.generic()?;
        return Ok(reader.wire);
    };
    if generic {
        reader.generic()?;
    } else {
        fields.iter().try_for_each(|&field| reader.field(field))?;
    }
    if let Some(token) = reader.tokens.first() {
        return Err(fault(token, "more fields than the type has"));
    }
    validate::check(rtype, fields, &reader.wire).map_err(|message| DataFault { at, message })?;
    Ok(reader.wire)
}

/// Data with its names in lower case. Two spellings of one record have equal folded data (RFC 4343).
pub(super) fn folded(rtype: Rtype, rdata: &[u8]) -> Vec<u8> {
    let mut folded = rdata.to_vec();
    if let Some(fields) = fields_of(rtype).filter(|fields| fields.contains(&RdataField::Name)) {
        validate::fold(fields, &mut folded);
    }
    folded
}

/// The remaining tokens of an entry, and the data so far.
struct RdataReader<'e, 't> {
    tokens: &'e [Token<'t>],
    origin: &'e Name,
    /// The end of the entry: the position of a missing field.
    end: usize,
    wire: Vec<u8>,
}

impl<'t> RdataReader<'_, 't> {
    fn field(&mut self, field: RdataField) -> Result<(), DataFault> {
        match field {
            RdataField::Name => self.name(),
            RdataField::U8 => self.number(u64::from(u8::MAX)),
            RdataField::U16 => self.number(u64::from(u16::MAX)),
            RdataField::U32 => self.number(u64::from(u32::MAX)),
            RdataField::Time => self.parsed("a time: seconds, or numbers with the units w, d, h, m and s", |word| {
                Some(seconds(word)?.to_be_bytes().to_vec())
            }),
            RdataField::Ipv4 => self.parsed("an IPv4 address", |word| Some(ascii::<Ipv4Addr>(word)?.octets().to_vec())),
            RdataField::Ipv6 => self.parsed("an IPv6 address", |word| Some(ascii::<Ipv6Addr>(word)?.octets().to_vec())),
            RdataField::String => self.string(),
            RdataField::StringMaybe if self.tokens.is_empty() => Ok(()),
            RdataField::StringMaybe => self.string(),
            RdataField::Strings => {
                self.string()?;
                while !self.tokens.is_empty() {
                    self.string()?;
                }
                Ok(())
            }
            RdataField::Text => {
                let token = self.next()?;
                self.push_text(&token)
            }
            RdataField::Tag => self.tag(),
            RdataField::Hex => self.rest_as("hexadecimal", |text| HEX.decode(text).ok()),
            RdataField::Base64 => self.rest_as("base64", number::base64),
            RdataField::Algorithm => {
                self.parsed("an algorithm: a number or its mnemonic", |word| Some(vec![number::algorithm(word)?]))
            }
            RdataField::CertType => self.parsed("a certificate's type: a number or its mnemonic", |word| {
                Some(number::cert_type(word)?.to_be_bytes().to_vec())
            }),
            RdataField::Types => self.types(),
            RdataField::Locator => {
                self.parsed("four groups of hexadecimal digits with colons between", number::locator)
            }
            RdataField::Eui(len) => {
                self.parsed("hexadecimal bytes with hyphens between", |word| number::eui(word, len))
            }
            RdataField::Location => location::read(self),
            RdataField::Prefixes => address_prefix::read(self),
            RdataField::Parameters => parameter::read(self),
            RdataField::Gateway => self.gateway(),
        }
    }

    /// The next token. An error if there is none.
    fn next(&mut self) -> Result<Token<'t>, DataFault> {
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err(DataFault { at: self.end, message: "a field is missing".into() });
        };
        self.tokens = rest;
        Ok(*token)
    }

    /// Parses the next token with `parse`. `what` describes the expected text.
    fn parsed(&mut self, what: &str, parse: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Result<(), DataFault> {
        let token = self.next()?;
        let bytes = parse(token.raw).ok_or_else(|| fault(&token, format!("expected {what}")))?;
        self.wire.extend_from_slice(&bytes);
        Ok(())
    }

    /// A decimal number. Its size in bytes follows from `max`.
    fn number(&mut self, max: u64) -> Result<(), DataFault> {
        let token = self.next()?;
        let value = number::decimal(token.raw).filter(|value| *value <= max);
        let value = value.ok_or_else(|| fault(&token, format!("expected a number from 0 to {max}")))?;
        let len = (u64::BITS - max.leading_zeros()) as usize / 8;
        self.wire.extend_from_slice(&value.to_be_bytes()[8 - len..]);
        Ok(())
    }

    fn name(&mut self) -> Result<(), DataFault> {
        let token = self.next()?;
        let name = name(&token, self.origin)?;
        self.wire.extend_from_slice(name.wire());
        Ok(())
    }

    fn string(&mut self) -> Result<(), DataFault> {
        let token = self.next()?;
        self.push_string(&token)
    }

    /// A character string: its length and its bytes.
    fn push_string(&mut self, token: &Token<'_>) -> Result<(), DataFault> {
        let at = self.wire.len();
        self.wire.push(0);
        self.push_text(token)?;
        let len = self.wire.len() - at - 1;
        self.wire[at] = u8::try_from(len).map_err(|_| fault(token, "a string of more than 255 bytes"))?;
        Ok(())
    }

    fn push_text(&mut self, token: &Token<'_>) -> Result<(), DataFault> {
        unescape(token.raw, |byte, _| self.wire.push(byte)).map_err(|message| fault(token, message))
    }

    fn tag(&mut self) -> Result<(), DataFault> {
        let token = self.tokens.first().copied();
        self.string()?;
        match token.filter(|token| token.raw.is_empty() || !token.raw.iter().all(u8::is_ascii_alphanumeric)) {
            Some(token) => Err(fault(&token, "expected a tag of letters and digits")),
            None => Ok(()),
        }
    }

    /// Joins all remaining tokens and decodes them to at least one byte.
    fn rest_as(&mut self, what: &str, decode: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Result<(), DataFault> {
        let first = self.next()?;
        let mut text = first.raw.to_vec();
        while let [token, rest @ ..] = self.tokens {
            text.extend_from_slice(token.raw);
            self.tokens = rest;
        }
        let bytes = decode(&text).filter(|bytes| !bytes.is_empty());
        self.wire.extend_from_slice(&bytes.ok_or_else(|| fault(&first, format!("expected {what}")))?);
        Ok(())
    }

    /// Mnemonics of types as a bitmap.
    fn types(&mut self) -> Result<(), DataFault> {
        let mut types = Vec::new();
        while let Ok(token) = self.next() {
            types.push(number::rtype(token.raw).ok_or_else(|| fault(&token, "expected a record type"))?.0);
        }
        types.sort_unstable();
        types.dedup();
        for window in types.chunk_by(|one, next| one >> 8 == next >> 8) {
            let mut bits = [0_u8; 32];
            window.iter().for_each(|rtype| bits[usize::from(rtype & 0xff) / 8] |= 0x80 >> (rtype % 8));
            let len = bits.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            self.wire.extend_from_slice(&[(window[0] >> 8) as u8, len as u8]);
            self.wire.extend_from_slice(&bits[..len]);
        }
        Ok(())
    }

    /// `<gateway type> <algorithm> <gateway> [<key>]`.
    fn gateway(&mut self) -> Result<(), DataFault> {
        let kind = self.tokens.first().copied();
        self.field(RdataField::U8)?;
        let kind = self.wire.last().copied().zip(kind);
        self.field(RdataField::Algorithm)?;
        match kind {
            Some((0, _)) => {
                let token = self.next()?;
                if token.raw != b"." {
                    return Err(fault(&token, "expected `.`: type 0 means no gateway"));
                }
            }
            Some((1, _)) => self.field(RdataField::Ipv4)?,
            Some((2, _)) => self.field(RdataField::Ipv6)?,
            Some((3, _)) => self.field(RdataField::Name)?,
            Some((_, token)) => return Err(fault(&token, "expected a gateway's type, 0 to 3")),
            None => {}
        }
        if self.tokens.is_empty() { Ok(()) } else { self.field(RdataField::Base64) }
    }

    /// `\# <length> <hexadecimal>` (RFC 3597 §5).
    fn generic(&mut self) -> Result<(), DataFault> {
        self.next()?;
        let token = self.next()?;
        let len = number::decimal(token.raw).filter(|len| *len <= u64::from(u16::MAX));
        let len = len.ok_or_else(|| fault(&token, "expected the length of the data, 0 to 65535"))?;
        let begin = self.wire.len();
        if !self.tokens.is_empty() {
            self.rest_as("hexadecimal", |text| HEX.decode(text).ok())?;
        }
        match (self.wire.len() - begin) as u64 {
            is if is == len => Ok(()),
            is => Err(fault(&token, format!("the length says {len} bytes, and there are {is}"))),
        }
    }
}

/// The name of a token: `@` is the origin, and a name without a final dot is relative to it (RFC 1035 §5.1).
///
/// # Errors
/// The token is not a domain name.
pub(super) fn name(token: &Token<'_>, origin: &Name) -> Result<Name, DataFault> {
    if token.raw == b"@" && !token.is_quoted {
        return Ok(origin.clone());
    }
    if token.raw == b"." {
        return Ok(Name::root());
    }
    let mut wire = vec![0];
    let (mut label_at, mut empty) = (0, token.raw.is_empty());
    let escaped = unescape(token.raw, |byte, is_escaped| {
        if byte == b'.' && !is_escaped {
            let len = wire.len() - label_at - 1;
            empty |= len == 0;
            wire[label_at] = len.min(LABEL_LEN_MAX + 1) as u8; // `from_wire` refuses a label that is too long
            label_at = wire.len();
            wire.push(0);
        } else {
            wire.push(byte);
        }
    });
    escaped.map_err(|message| fault(token, message))?;
    let len = wire.len() - label_at - 1;
    if empty {
        return Err(not_a_name(token, crate::dns::NameError::EmptyLabel));
    }
    wire[label_at] = len.min(LABEL_LEN_MAX + 1) as u8;
    if len > 0 {
        wire.extend_from_slice(origin.wire());
    }
    Name::from_wire(&wire).map_err(|error| not_a_name(token, error))
}

fn not_a_name(token: &Token<'_>, error: crate::dns::NameError) -> DataFault {
    fault(token, format!("not a domain name: {error}"))
}

fn fault(token: &Token<'_>, message: impl Into<String>) -> DataFault {
    DataFault { at: token.at, message: message.into() }
}

/// Parses a word with `FromStr`.
fn ascii<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_names_and_no_number() {
        assert_eq!(folded(Rtype::MX, b"AB\x02Mx\x00"), b"AB\x02mx\x00");
        assert_eq!(folded(Rtype::TXT, b"\x01A"), b"\x01A");
        let soa = |names: &[u8]| [names, &b"AAAABBBBCCCCDDDDEEEE"[..]].concat();
        assert_eq!(folded(Rtype::SOA, &soa(b"\x01A\x00\x01B\x00")), soa(b"\x01a\x00\x01b\x00"));
    }
}
