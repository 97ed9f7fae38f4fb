//! The JSON in an annotation's value: in base64, or as it stands.

use std::borrow::Cow;

use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};

use super::{Problem, Reason};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_ALPHABET: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const URL_SAFE_ALPHABET: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The JSON in a value: the value as it stands if it begins with `[` or `{`, which are in no base64 alphabet.
///
/// # Errors
/// [`Reason::BadBase64`] at the byte that is not in the alphabet, or at the value's end. [`Reason::BadUtf8`] at the first
/// byte that is not text.
pub(super) fn text(value: &str) -> Result<Cow<'_, str>, Problem> {
    if is_as_it_stands(value) {
        return Ok(value.into());
    }
    String::from_utf8(bytes(value)?).map(Cow::Owned).map_err(|error| Problem {
        offset: error.utf8_error().valid_up_to(),
        key: None,
        reason: Reason::BadUtf8,
    })
}

/// Whether a value is JSON without base64 around it.
pub(super) fn is_as_it_stands(value: &str) -> bool {
    value.trim_ascii_start().starts_with(['[', '{'])
}

/// Decodes base64: in either alphabet but not a mix, padded or not, with white space anywhere (`base64` wraps its
/// lines, and `kubectl annotate` keeps the breaks).
///
/// # Errors
/// [`Reason::BadBase64`] at the byte that is not in the alphabet, or at the value's end.
fn bytes(value: &str) -> Result<Vec<u8>, Problem> {
    if let Ok(bytes) = STANDARD_ALPHABET.decode(value) {
        return Ok(bytes); // most values are on one line
    }
    let symbols: Vec<u8> = value.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let is_url_safe = symbols.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if is_url_safe { URL_SAFE_ALPHABET } else { STANDARD_ALPHABET };
    engine.decode(&symbols).map_err(|error| {
        let symbol = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol { offset: at, .. } => at,
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => symbols.len(),
        };
        let mut places = value.bytes().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
        let offset = places.nth(symbol).map_or(value.len(), |(place, _)| place);
        Problem { offset, key: None, reason: Reason::BadBase64 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_either_alphabet() {
        for (value, expected) in [
            ("", Ok(&b""[..])),
            ("+/8=", Ok(b"\xfb\xff")),
            ("-_8=", Ok(b"\xfb\xff")),
            ("-_8", Ok(b"\xfb\xff")),
            (" +/\r\n8\t=\n", Ok(b"\xfb\xff")),
            ("+_8=", Err(0)),
            ("-/8=", Err(1)),
            ("QUJD*", Err(4)),
            ("QU\nJD\n*", Err(6)),
            ("QUJDé", Err(4)),
            ("QUJDR", Err(5)),
            ("QUJD\nR", Err(6)),
            ("QR==", Err(1)),
            ("QQ==QQ==", Err(2)),
        ] {
            let read = bytes(value).map_err(|problem| {
                assert_eq!((problem.key, problem.reason), (None, Reason::BadBase64), "{value:?}");
                problem.offset
            });
            assert_eq!(read.as_deref(), expected.as_deref(), "{value:?}");
        }
    }
}
