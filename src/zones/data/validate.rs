//! Checks whether bytes are the data of a type: every field is present, and no byte is left over.

use super::fields::RdataField;
use super::parameter;
use crate::dns::{Name, Rtype};

/// Checks data field by field.
///
/// # Errors
/// The first field that does not fit.
pub(super) fn check(rtype: Rtype, fields: &[RdataField], wire: &[u8]) -> Result<(), String> {
    let mut rest = wire;
    for &field in fields {
        rest = pass(field, rest).map_err(|message| format!("not the data of a {rtype} record: {message}"))?;
    }
    if !rest.is_empty() {
        return Err(format!("not the data of a {rtype} record: {} bytes too many", rest.len()));
    }
    Ok(())
}

const SHORT: &str = "a field is missing";

/// Returns the bytes after a field.
fn pass(field: RdataField, wire: &[u8]) -> Result<&[u8], &'static str> {
    let fixed = |len| wire.get(len..).ok_or(SHORT);
    match field {
        RdataField::Name => pass_name(wire),
        RdataField::U8 | RdataField::Algorithm => fixed(1),
        RdataField::U16 | RdataField::CertType => fixed(2),
        RdataField::U32 | RdataField::Time | RdataField::Ipv4 => fixed(4),
        RdataField::Locator => fixed(8),
        RdataField::Ipv6 => fixed(16),
        RdataField::Eui(len) => fixed(len),
        RdataField::String | RdataField::Tag => pass_string(wire),
        RdataField::StringMaybe if wire.is_empty() => Ok(wire),
        RdataField::StringMaybe => pass_string(wire),
        RdataField::Strings if are_strings(wire, 0) && !wire.is_empty() => Ok(&[]),
        RdataField::Strings => Err("not strings of characters"),
        RdataField::Hex | RdataField::Base64 if wire.is_empty() => Err(SHORT),
        RdataField::Hex | RdataField::Base64 | RdataField::Text => Ok(&[]),
        RdataField::Types => check_types(wire).map(|()| &[][..]),
        RdataField::Location => fixed(16),
        RdataField::Prefixes => check_prefixes(wire).map(|()| &[][..]),
        RdataField::Parameters => parameter::check(wire).map(|()| &[][..]),
        RdataField::Gateway => check_gateway(wire).map(|()| &[][..]),
    }
}

/// Converts all names in valid data to lower case. Two spellings of one record have equal folded data (RFC 4343).
pub(super) fn fold(fields: &[RdataField], wire: &mut [u8]) {
    let mut at = 0;
    for &field in fields {
        let Ok(rest) = pass(field, &wire[at..]) else { return };
        let end = wire.len() - rest.len();
        if field == RdataField::Name {
            wire[at..end].make_ascii_lowercase(); // a length byte is at most 63, so it is not a letter
        }
        at = end;
    }
}

/// Skips an uncompressed name.
fn pass_name(wire: &[u8]) -> Result<&[u8], &'static str> {
    let mut at = 0;
    loop {
        let len = usize::from(*wire.get(at).ok_or("a truncated name")?);
        at += 1 + len;
        if len > crate::dns::LABEL_LEN_MAX {
            return Err("a compressed name");
        }
        if len == 0 {
            break;
        }
    }
    let (name, rest) = wire.split_at_checked(at).ok_or("a truncated name")?;
    Name::from_wire(name).map(|_| rest).map_err(|_| "a name that is too long")
}

fn pass_string(wire: &[u8]) -> Result<&[u8], &'static str> {
    let (len, rest) = wire.split_first().ok_or(SHORT)?;
    rest.get(usize::from(*len)..).ok_or("a truncated string")
}

/// Whether the bytes are character strings of at least `len_min` bytes, to the end.
pub(super) fn are_strings(mut wire: &[u8], len_min: u8) -> bool {
    while let Some(&len) = wire.first() {
        match pass_string(wire) {
            Ok(rest) if len >= len_min => wire = rest,
            _ => return false,
        }
    }
    true
}

/// Checks the windows of a bitmap of types: ascending, of 1 to 32 bytes, the last of which is not 0 (RFC 4034 §4.1.2).
fn check_types(mut wire: &[u8]) -> Result<(), &'static str> {
    const BROKEN: &str = "not a bitmap of types";
    let mut last = None;
    while let [window, len, rest @ ..] = wire {
        let (bits, rest) = rest.split_at_checked(usize::from(*len)).ok_or(BROKEN)?;
        if bits.len() > 32 || bits.last().is_none_or(|byte| *byte == 0) || last.is_some_and(|last| last >= *window) {
            return Err(BROKEN);
        }
        last = Some(*window);
        wire = rest;
    }
    if wire.is_empty() { Ok(()) } else { Err(BROKEN) }
}

/// Checks the items of APL (RFC 3123 §4).
fn check_prefixes(mut wire: &[u8]) -> Result<(), &'static str> {
    const BROKEN: &str = "not a list of prefixes";
    while let [high, low, prefix, len, rest @ ..] = wire {
        let bytes_max = match u16::from_be_bytes([*high, *low]) {
            1 => 4,
            2 => 16,
            _ => 127,
        };
        let (address, rest) = rest.split_at_checked(usize::from(len & 0x7f)).ok_or(BROKEN)?;
        let fits = address.len() <= bytes_max && usize::from(*prefix) <= 8 * bytes_max;
        if !fits || address.last() == Some(&0) {
            return Err(BROKEN);
        }
        wire = rest;
    }
    if wire.is_empty() { Ok(()) } else { Err(BROKEN) }
}

/// Checks the gateway of IPSECKEY and the key after it (RFC 4025 §2).
fn check_gateway(wire: &[u8]) -> Result<(), &'static str> {
    let [kind, _algorithm, rest @ ..] = wire else { return Err(SHORT) };
    match kind {
        0 => Ok(()),
        1 => rest.get(4..).map(drop).ok_or(SHORT),
        2 => rest.get(16..).map(drop).ok_or(SHORT),
        3 => pass_name(rest).map(drop),
        _ => Err("a gateway of an unknown type"),
    }
}
