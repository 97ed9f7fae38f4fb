//! A size in bytes, in the spellings of Kubernetes and of people.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Units and their bytes. Kubernetes omits the `B`.
const UNITS: [(&str, u64); 7] =
    [("", 1), ("K", 1_000), ("Ki", 1 << 10), ("M", 1_000_000), ("Mi", 1 << 20), ("G", 1_000_000_000), ("Gi", 1 << 30)];

/// A size in bytes: `268435456`, `256MiB`, `256Mi`, `1GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// The text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size; write 256MiB, 1GiB or a number of bytes")]
pub struct InvalidSize;

impl FromStr for ByteSize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<ByteSize, InvalidSize> {
        let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end).ok_or(InvalidSize)?;
        let number: u64 = number.parse().map_err(|_| InvalidSize)?;
        let unit = unit.trim_start();
        let unit = unit.strip_suffix(['B', 'b']).unwrap_or(unit);
        let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(InvalidSize)?;
        number.checked_mul(*factor).map(ByteSize).ok_or(InvalidSize)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        struct SizeVisitor;

        impl Visitor<'_> for SizeVisitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 256MiB, or a number of bytes")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom(InvalidSize))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(|error| E::custom(format_args!("{text:?}: {error}")))
            }
        }

        deserializer.deserialize_any(SizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("268435456", Some(256 << 20)),
            ("256MiB", Some(256 << 20)),
            ("256Mi", Some(256 << 20)),
            ("256 mib", Some(256 << 20)),
            ("256 MiB", Some(256 << 20)),
            ("1GB", Some(1_000_000_000)),
            ("1g", Some(1_000_000_000)),
            ("3KiB", Some(3072)),
            ("7B", Some(7)),
            ("", None),
            ("MiB", None),
            ("1.5GiB", None),
            ("-1", None),
            ("1TiB", None),
            ("99999999999GiB", None),
            ("1 GiB x", None),
        ] {
            assert_eq!(text.parse().ok(), bytes.map(ByteSize), "{text:?}");
        }
    }
}
