//! Fields that are numbers, or mnemonics of numbers.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use domain::base::iana::{Rtype as Registered, SecurityAlgorithm};

use crate::dns::Rtype;

/// A decimal number: only digits.
pub(super) fn decimal(word: &[u8]) -> Option<u64> {
    if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    word.iter().try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// A time in seconds: a number, or numbers with BIND's units (`1w2d`, `1H30M`); at most 2³² − 1.
pub(in crate::zones) fn seconds(word: &[u8]) -> Option<u32> {
    if let Some(value) = decimal(word) {
        return u32::try_from(value).ok();
    }
    let (mut sum, mut digits) = (0_u64, &word[..0]);
    let mut begin = 0;
    for (at, byte) in word.iter().enumerate() {
        let unit = match byte.to_ascii_lowercase() {
            b'0'..=b'9' => {
                digits = word.get(begin..=at)?;
                continue;
            }
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        sum = sum.checked_add(decimal(digits)?.checked_mul(unit)?)?;
        begin = at + 1;
        digits = &word[..0];
    }
    // Digits without a unit after other units are invalid (`1h30`).
    if digits.is_empty() { u32::try_from(sum).ok() } else { None }
}

/// A record type: its mnemonic, or `TYPE` and its number (RFC 3597 §5).
pub(in crate::zones) fn rtype(word: &[u8]) -> Option<Rtype> {
    if let Some(registered) = Registered::from_mnemonic(word) {
        return Some(Rtype(registered.to_int()));
    }
    numbered(word, b"TYPE").map(Rtype)
}

/// The number of a class: its mnemonic, or `CLASS` and the number.
pub(in crate::zones) fn class(word: &[u8]) -> Option<u16> {
    for (mnemonic, number) in [("IN", 1), ("CH", 3), ("CHAOS", 3), ("HS", 4), ("HESIOD", 4)] {
        if word.eq_ignore_ascii_case(mnemonic.as_bytes()) {
            return Some(number);
        }
    }
    numbered(word, b"CLASS")
}

/// The 16-bit number after a prefix.
fn numbered(word: &[u8], prefix: &[u8]) -> Option<u16> {
    let (start, number) = word.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| decimal(number))?.and_then(|number| u16::try_from(number).ok())
}

/// A DNSSEC algorithm: a number, the registry's mnemonic, or BIND's.
pub(super) fn algorithm(word: &[u8]) -> Option<u8> {
    if let Some(number) = decimal(word) {
        return u8::try_from(number).ok();
    }
    // The mnemonic of 0 is only for messages (RFC 8078 §4).
    let named = SecurityAlgorithm::from_mnemonic(word).map(SecurityAlgorithm::to_int).filter(|number| *number != 0);
    named.or_else(|| match word.to_ascii_uppercase().as_slice() {
        b"NSEC3DSA" => Some(6),
        b"NSEC3RSASHA1" => Some(7),
        b"ECCGOST" => Some(12),
        _ => None,
    })
}

/// A certificate type (RFC 4398 §2.1).
pub(super) fn cert_type(word: &[u8]) -> Option<u16> {
    const MNEMONICS: [(&str, u16); 10] = [
        ("PKIX", 1),
        ("SPKI", 2),
        ("PGP", 3),
        ("IPKIX", 4),
        ("ISPKI", 5),
        ("IPGP", 6),
        ("ACPKIX", 7),
        ("IACPKIX", 8),
        ("URI", 253),
        ("OID", 254),
    ];
    if let Some(number) = decimal(word) {
        return u16::try_from(number).ok();
    }
    MNEMONICS.iter().find(|(mnemonic, _)| word.eq_ignore_ascii_case(mnemonic.as_bytes())).map(|&(_, number)| number)
}

/// Base64 with padding. Bits after the last byte are ignored, as in BIND.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose =
        GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    LENIENT.decode(text).ok()
}

/// `0014:4fff:ff20:ee64` as eight bytes.
pub(super) fn locator(word: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(8);
    for group in word.split(|byte| *byte == b':') {
        if group.is_empty() || group.len() > 4 || !group.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let group = std::str::from_utf8(group).ok()?;
        bytes.extend_from_slice(&u16::from_str_radix(group, 16).ok()?.to_be_bytes());
    }
    (bytes.len() == 8).then_some(bytes)
}

/// `00-00-5e-00-53-2a` as `len` bytes.
pub(super) fn eui(word: &[u8], len: usize) -> Option<Vec<u8>> {
    let bytes: Option<Vec<u8>> = word
        .split(|byte| *byte == b'-')
        .map(|pair| HEX.decode(pair).ok().filter(|byte| byte.len() == 1)?.pop())
        .collect();
    bytes.filter(|bytes| bytes.len() == len)
}
