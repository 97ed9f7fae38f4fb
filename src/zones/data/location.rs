//! The data of LOC (RFC 1876): `d [m [s]] N|S d [m [s]] E|W altitude[m] [size[m] [horizontal[m] [vertical[m]]]]`.

use super::number::decimal;
use super::{DataFault, RdataReader, fault};
use crate::zones::token::Token;

/// The equator and the prime meridian: 2³¹ thousandths of a second of arc.
const ORIGIN: u32 = 1 << 31;

/// The reference for altitudes is 100,000 m below sea level, in centimetres.
const SEA_LEVEL: i64 = 10_000_000;

/// The defaults of the last three fields: 1 m, 10,000 m and 10 m (RFC 1876 §3).
const DEFAULTS: [u8; 3] = [0x12, 0x16, 0x13];

pub(super) fn read(reader: &mut RdataReader<'_, '_>) -> Result<(), DataFault> {
    let latitude = angle(reader, 90, [b"N", b"S"])?;
    let longitude = angle(reader, 180, [b"E", b"W"])?;
    let token = reader.next()?;
    let altitude = centimetres(token.raw).map(|altitude| altitude + SEA_LEVEL).and_then(|sum| u32::try_from(sum).ok());
    let altitude =
        altitude.ok_or_else(|| fault(&token, "expected an altitude in metres, -100000.00 to 42849672.95"))?;
    let mut sizes = DEFAULTS;
    for size in &mut sizes {
        if reader.tokens.is_empty() {
            break;
        }
        let token = reader.next()?;
        let value = centimetres(token.raw).and_then(power);
        *size = value.ok_or_else(|| fault(&token, "expected a size in metres, 0 to 90000000.00"))?;
    }
    reader.wire.push(0); // the version
    reader.wire.extend_from_slice(&sizes);
    for number in [latitude, longitude, altitude] {
        reader.wire.extend_from_slice(&number.to_be_bytes());
    }
    Ok(())
}

/// Degrees, minutes and seconds, then one of two directions.
fn angle(reader: &mut RdataReader<'_, '_>, degrees_max: u64, directions: [&[u8]; 2]) -> Result<u32, DataFault> {
    let bad = |token: &Token<'_>| fault(token, "expected an angle: degrees, minutes and seconds, then its direction");
    let token = reader.next()?;
    let degrees = decimal(token.raw).filter(|degrees| *degrees <= degrees_max).ok_or_else(|| bad(&token))?;
    let mut parts = [0_u64; 2]; // minutes, in units of 60,000; thousandths of seconds
    for at in 0..3 {
        let token = reader.next()?;
        let is_direction = |direction: &&[u8]| token.raw.eq_ignore_ascii_case(direction);
        if let Some(found) = directions.iter().position(is_direction) {
            let thousandths = degrees * 3_600_000 + parts[0] * 60_000 + parts[1];
            if thousandths > degrees_max * 3_600_000 {
                return Err(bad(&token));
            }
            let thousandths = thousandths as u32;
            return Ok(if found == 0 { ORIGIN + thousandths } else { ORIGIN - thousandths });
        }
        let value = match at {
            0 => decimal(token.raw).filter(|minutes| *minutes < 60),
            1 => fixed(token.raw, 3).filter(|thousandths| *thousandths < 60_000),
            _ => None,
        };
        parts[at.min(1)] = value.ok_or_else(|| bad(&token))?;
    }
    Err(DataFault { at: reader.end, message: "a field is missing".into() })
}

/// Metres with up to two decimals and an optional `m`, in centimetres.
fn centimetres(word: &[u8]) -> Option<i64> {
    let word = word.strip_suffix(b"m").unwrap_or(word);
    let (sign, word) = word.strip_prefix(b"-").map_or((1, word), |word| (-1, word));
    Some(sign * i64::try_from(fixed(word, 2)?).ok()?)
}

/// A number with up to `decimals` decimals, in units of the last decimal.
fn fixed(word: &[u8], decimals: usize) -> Option<u64> {
    let mut parts = word.splitn(2, |byte| *byte == b'.');
    let whole = decimal(parts.next()?)?;
    let fraction = parts.next().unwrap_or_default();
    if fraction.len() > decimals || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut value = whole;
    for at in 0..decimals {
        let digit = fraction.get(at).map_or(0, |digit| u64::from(digit - b'0'));
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(value)
}

/// Centimetres as a digit and a power of ten (RFC 1876 §2), rounded down.
fn power(centimetres: i64) -> Option<u8> {
    let mut mantissa = u64::try_from(centimetres).ok().filter(|value| *value <= 9_000_000_000)?;
    let mut exponent = 0;
    while mantissa >= 10 {
        mantissa /= 10;
        exponent += 1;
    }
    Some((mantissa as u8) << 4 | exponent)
}
