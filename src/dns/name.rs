//! Domain names, uncompressed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::{Key, LABEL_LEN_MAX, NAME_LEN_MAX};

/// Why a text is not a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or an empty text.
    #[error("it has an empty label")]
    EmptyLabel,
    /// A label over 63 bytes.
    #[error("it has a label of more than 63 bytes")]
    LongLabel,
    /// More than 255 bytes.
    #[error("it is longer than 255 bytes on the wire")]
    LongName,
    /// A `\` without a character or three digits after it.
    #[error("it has a broken escape")]
    BadEscape,
}

/// An uncompressed domain name in wire form, with the root label. Comparing and hashing ignore letter case.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// Reads an uncompressed wire form, including the root label.
    ///
    /// # Errors
    /// The bytes are not labels up to the root's, or are more than 255.
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameError> {
        if wire.len() > NAME_LEN_MAX {
            return Err(NameError::LongName);
        }
        let mut at = 0;
        while let Some(&len) = wire.get(at) {
            match usize::from(len) {
                0 if at + 1 == wire.len() => return Ok(Name(wire.into())),
                0 => return Err(NameError::EmptyLabel),
                len if len > LABEL_LEN_MAX => return Err(NameError::LongLabel),
                len => at += 1 + len,
            }
        }
        Err(NameError::EmptyLabel)
    }

    /// Builds a name from labels, leftmost first.
    ///
    /// # Errors
    /// A label is empty or over 63 bytes, or the name is over 255.
    pub fn from_labels<'l>(labels: impl IntoIterator<Item = &'l [u8]>) -> Result<Name, NameError> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut wire, label)?;
        }
        wire.push(0);
        if wire.len() > NAME_LEN_MAX { Err(NameError::LongName) } else { Ok(Name(wire.into())) }
    }

    /// This name below another one: `www` + `example.org.` is `www.example.org.`
    ///
    /// # Errors
    /// The result is over 255 bytes.
    pub fn below(&self, parent: &Name) -> Result<Name, NameError> {
        Name::from_labels(self.labels().chain(parent.labels()))
    }

    /// The wire form, including the root label.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels, leftmost first, without the root's.
    pub fn labels(&self) -> Labels<'_> {
        Labels(&self.0)
    }

    /// The number of labels without the root's.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this name is the other one or below it.
    pub fn is_within(&self, ancestor: &Name) -> bool {
        Key::of(self.labels()).is_within(&Key::of(ancestor.labels()))
    }

    /// The name without its leftmost label. `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let len = usize::from(self.0[0]);
        (len > 0).then(|| Name(self.0[1 + len..].into()))
    }

    /// The name as a key of the zone's tree.
    pub fn key(&self) -> Key {
        Key::of(self.labels())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0) // a length byte is at most 63, so it is not a letter
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in &self.0 {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

/// Master-file form with a final dot. Bytes that are not plain and printable are escaped (RFC 1035 §5.1).
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", char::from(byte))?,
                    0x21..=0x7e => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Reads the master-file form, with or without the final dot.
impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        if text == "." {
            return Ok(Name::root());
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::new();
        let mut bytes = text.bytes();
        let mut open = true;
        while let Some(byte) = bytes.next() {
            open = true;
            match byte {
                b'.' => {
                    push_label(&mut wire, &label)?;
                    label.clear();
                    open = false;
                }
                b'\\' => label.push(escaped(&mut bytes)?),
                _ => label.push(byte),
            }
        }
        if open {
            push_label(&mut wire, &label)?;
        }
        wire.push(0);
        Name::from_wire(&wire)
    }
}

/// Decodes what follows a backslash: a literal character, or three decimal digits.
fn escaped(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::BadEscape)
}

fn push_label(wire: &mut Vec<u8>, label: &[u8]) -> Result<(), NameError> {
    match label.len() {
        0 => Err(NameError::EmptyLabel),
        len if len > LABEL_LEN_MAX => Err(NameError::LongLabel),
        len => {
            wire.push(len as u8);
            wire.extend_from_slice(label);
            Ok(())
        }
    }
}

/// The labels of a well-formed wire name, leftmost first.
#[derive(Clone, Debug)]
pub struct Labels<'n>(pub(super) &'n [u8]);

impl<'n> Labels<'n> {
    /// The labels of a name that was read from a message before.
    pub(crate) fn of_wire(wire: &'n [u8]) -> Labels<'n> {
        Labels(wire)
    }
}

impl<'n> Iterator for Labels<'n> {
    type Item = &'n [u8];

    fn next(&mut self) -> Option<&'n [u8]> {
        let (&len, rest) = self.0.split_first()?;
        if len == 0 {
            return None;
        }
        let (label, rest) = rest.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::NamePath;

    #[test]
    fn names_are_read_and_written() {
        for (text, shown) in [
            (".", "."),
            ("example.org", "example.org."),
            ("Example.ORG.", "Example.ORG."),
            (r"a\.b.org", r"a\.b.org."),
            (r"\000\255.org", r"\000\255.org."),
        ] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), shown, "{text}");
        }
        let long = "a".repeat(64);
        for (text, error) in [
            ("", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            (long.as_str(), NameError::LongLabel),
            (r"a\", NameError::BadEscape),
            (r"a\25", NameError::BadEscape),
            (r"\256", NameError::BadEscape),
            (&"a.".repeat(128), NameError::LongName),
        ] {
            assert_eq!(text.parse::<Name>().unwrap_err(), error, "{text}");
        }
        assert_eq!("a.".repeat(127).parse::<Name>().unwrap().wire().len(), NAME_LEN_MAX);
    }

    #[test]
    fn letter_case_does_not_matter() {
        let (lower, upper): (Name, Name) = ("a.example".parse().unwrap(), "A.EXAMPLE".parse().unwrap());
        assert_eq!(lower, upper);
        assert_eq!(lower.key(), upper.key());
        assert_ne!(lower, "a.exampl\\229".parse().unwrap());
    }

    #[test]
    fn a_key_is_a_path_down_the_tree() {
        let name: Name = "www.Example.org".parse().unwrap();
        assert_eq!(name.key().as_bytes(), b"\x03org\x07example\x03www");
        assert!(name.is_within(&"example.ORG".parse().unwrap()));
        assert!(name.is_within(&Name::root()));
        assert!(!name.is_within(&"ample.org".parse().unwrap()));
        let path = NamePath::of(name.labels());
        assert_eq!(path.key(), name.key().as_bytes());
        assert_eq!((path.label(0), path.label(2), path.label(3)), (Some(&b"org"[..]), Some(&b"www"[..]), None));
        assert_eq!(path.span(1, 9), b"\x07example\x03www");
    }
}
