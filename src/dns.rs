//! The vocabulary of the wire: names, types, classes, codes (RFC 1035, RFC 6895).
//!
//! Everything else speaks in these terms. A [`Name`] keeps the letter case it was given and compares without it
//! (RFC 4343). A [`Key`] is the same name folded to lower case and turned round, root first, so that an ordered map of
//! keys is a tree: the names below a name are the keys that start with its key.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// The longest name on the wire, its root label included (RFC 1035 §2.3.4).
pub const NAME_LEN_MAX: usize = 255;

/// The longest label (RFC 1035 §2.3.4).
pub const LABEL_LEN_MAX: usize = 63;

/// A record type (RFC 1035 §3.2.2 and the IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

impl Rtype {
    /// IPv4 address.
    pub const A: Rtype = Rtype(1);
    /// Authoritative server.
    pub const NS: Rtype = Rtype(2);
    /// Canonical name.
    pub const CNAME: Rtype = Rtype(5);
    /// Start of authority.
    pub const SOA: Rtype = Rtype(6);
    /// Pointer.
    pub const PTR: Rtype = Rtype(12);
    /// Host information, what an ANY query is answered with (RFC 8482 §4.2).
    pub const HINFO: Rtype = Rtype(13);
    /// Mail exchange.
    pub const MX: Rtype = Rtype(15);
    /// Text.
    pub const TXT: Rtype = Rtype(16);
    /// IPv6 address (RFC 3596).
    pub const AAAA: Rtype = Rtype(28);
    /// Service location (RFC 2782).
    pub const SRV: Rtype = Rtype(33);
    /// Redirection of a subtree (RFC 6672).
    pub const DNAME: Rtype = Rtype(39);
    /// EDNS pseudo-record (RFC 6891).
    pub const OPT: Rtype = Rtype(41);
    /// Delegation signer (RFC 4035): the one type the parent answers at a zone cut.
    pub const DS: Rtype = Rtype(43);
    /// Key negotiation (RFC 2930).
    pub const TKEY: Rtype = Rtype(249);
    /// Transaction signature (RFC 8945).
    pub const TSIG: Rtype = Rtype(250);
    /// Incremental transfer (RFC 1995).
    pub const IXFR: Rtype = Rtype(251);
    /// Full transfer (RFC 5936).
    pub const AXFR: Rtype = Rtype(252);
    /// Every type.
    pub const ANY: Rtype = Rtype(255);
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Rtype::A => "A",
            Rtype::NS => "NS",
            Rtype::CNAME => "CNAME",
            Rtype::SOA => "SOA",
            Rtype::PTR => "PTR",
            Rtype::HINFO => "HINFO",
            Rtype::MX => "MX",
            Rtype::TXT => "TXT",
            Rtype::AAAA => "AAAA",
            Rtype::SRV => "SRV",
            Rtype::DNAME => "DNAME",
            Rtype::OPT => "OPT",
            Rtype::DS => "DS",
            Rtype::TKEY => "TKEY",
            Rtype::TSIG => "TSIG",
            Rtype::IXFR => "IXFR",
            Rtype::AXFR => "AXFR",
            Rtype::ANY => "ANY",
            Rtype(other) => return write!(f, "TYPE{other}"), // RFC 3597 §5
        };
        f.write_str(name)
    }
}

/// A query or record class (RFC 1035 §3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(pub u16);

impl Class {
    /// The Internet, the one class served.
    pub const IN: Class = Class(1);
    /// Any class, what a TSIG record carries.
    pub const ANY: Class = Class(255);
}

/// A response code, the extended ones of EDNS included (RFC 6895 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Rcode = Rcode(0);
    /// The message could not be read.
    pub const FORMERR: Rcode = Rcode(1);
    /// The server cannot answer now.
    pub const SERVFAIL: Rcode = Rcode(2);
    /// The name does not exist.
    pub const NXDOMAIN: Rcode = Rcode(3);
    /// The operation is not implemented.
    pub const NOTIMP: Rcode = Rcode(4);
    /// The server will not answer.
    pub const REFUSED: Rcode = Rcode(5);
    /// A name that a DNAME makes is too long (RFC 6672 §2.2).
    pub const YXDOMAIN: Rcode = Rcode(6);
    /// Not authoritative, or not authorized (RFC 8945).
    pub const NOTAUTH: Rcode = Rcode(9);
    /// EDNS version not supported (RFC 6891 §9).
    pub const BADVERS: Rcode = Rcode(16);
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Rcode::NOERROR => "NOERROR",
            Rcode::FORMERR => "FORMERR",
            Rcode::SERVFAIL => "SERVFAIL",
            Rcode::NXDOMAIN => "NXDOMAIN",
            Rcode::NOTIMP => "NOTIMP",
            Rcode::REFUSED => "REFUSED",
            Rcode::YXDOMAIN => "YXDOMAIN",
            Rcode::NOTAUTH => "NOTAUTH",
            Rcode::BADVERS => "BADVERS",
            Rcode(other) => return write!(f, "RCODE{other}"),
        };
        f.write_str(name)
    }
}

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or nothing at all.
    #[error("it has an empty label")]
    EmptyLabel,
    /// A label over 63 bytes.
    #[error("it has a label of more than 63 bytes")]
    LongLabel,
    /// More than 255 bytes.
    #[error("it is longer than 255 bytes on the wire")]
    LongName,
    /// A `\` that no character or three digits follow.
    #[error("it has a broken escape")]
    BadEscape,
}

/// A domain name, uncompressed, in its wire form with the root label; compares and hashes without letter case.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// Takes a wire form that is known to be well-formed, root label included.
    ///
    /// # Errors
    /// What is not a sequence of labels that ends in the root's, in 255 bytes.
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
    /// A label that is empty or over 63 bytes; a name over 255.
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
    /// The whole is over 255 bytes.
    pub fn below(&self, parent: &Name) -> Result<Name, NameError> {
        Name::from_labels(self.labels().chain(parent.labels()))
    }

    /// The wire form, root label included.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels, leftmost first, without the root's.
    pub fn labels(&self) -> Labels<'_> {
        Labels(&self.0)
    }

    /// How many labels, the root's not counted.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this name is the other one or below it.
    pub fn is_within(&self, ancestor: &Name) -> bool {
        Key::of(self.labels()).is_within(&Key::of(ancestor.labels()))
    }

    /// The same name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Name> {
        let len = usize::from(self.0[0]);
        (len > 0).then(|| Name(self.0[1 + len..].into()))
    }

    /// The name as a key of an ordered tree.
    pub fn key(&self) -> Key {
        Key::of(self.labels())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0) // a length byte is at most 63, so it is no letter
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

/// Master-file form with a final dot; what is not plain printable is escaped (RFC 1035 §5.1).
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

/// What follows a backslash: a character as it is, or three decimal digits.
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
pub struct Labels<'n>(&'n [u8]);

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

/// A name folded to lower case, root first, each label behind its length: the order of a zone as a tree.
///
/// `www.Example.org.` is `3org7example3www`. A key that starts with another one is a name below it, because a label's
/// length comes before its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(smallvec::SmallVec<[u8; 32]>);

impl Key {
    /// The key of labels that come leftmost first.
    pub fn of<'l>(labels: impl Iterator<Item = &'l [u8]>) -> Key {
        let labels: smallvec::SmallVec<[&[u8]; 24]> = labels.collect();
        let mut key = Key::default();
        for label in labels.into_iter().rev() {
            key.push(label);
        }
        key
    }

    /// Goes one label down.
    pub fn push(&mut self, label: &[u8]) {
        debug_assert!(label.len() <= LABEL_LEN_MAX);
        self.0.push(label.len() as u8);
        self.0.extend(label.iter().map(u8::to_ascii_lowercase));
    }

    /// Whether this key is the other one or below it.
    pub fn is_within(&self, ancestor: &Key) -> bool {
        self.0.starts_with(&ancestor.0)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The labels, root's side first.
    pub fn labels_down(&self) -> Labels<'_> {
        Labels(&self.0)
    }
}

impl std::borrow::Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Key {
    /// Takes key bytes as [`Path::span`] gives them.
    fn from(bytes: &[u8]) -> Key {
        Key(bytes.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in self.labels_down() {
            write!(f, ".{}", label.escape_ascii())?;
        }
        Ok(())
    }
}

/// A name as a key on the stack, with every label's place: what a question's name is read by, without allocating.
///
/// Labels are counted from the root's side: label 0 is the top-level domain.
#[derive(Clone)]
pub struct Path {
    bytes: [u8; NAME_LEN_MAX],
    /// Where each label's length byte is; one more for the end.
    starts: [u8; LABELS_MAX + 1],
    count: u8,
}

/// The most labels that 255 bytes can hold (RFC 1035 §2.3.4: a length byte and a byte each, and the root).
const LABELS_MAX: usize = 127;

impl Path {
    /// Reads a well-formed wire name.
    pub fn of(name: Labels<'_>) -> Path {
        let mut path = Path { bytes: [0; NAME_LEN_MAX], starts: [0; LABELS_MAX + 1], count: 0 };
        let labels: smallvec::SmallVec<[&[u8]; LABELS_MAX]> = name.take(LABELS_MAX).collect();
        let mut at = 0;
        for (index, label) in labels.iter().rev().enumerate() {
            path.bytes[at] = label.len() as u8;
            path.bytes[at + 1..at + 1 + label.len()].copy_from_slice(label);
            at += 1 + label.len();
            path.starts[index + 1] = at as u8;
        }
        path.bytes[..at].make_ascii_lowercase(); // a length is at most 63, below any letter
        path.count = labels.len() as u8;
        path
    }

    /// How many labels, the root's not counted.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether this is the root.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One label's bytes, in lower case; none beyond the last.
    pub fn label(&self, index: usize) -> Option<&[u8]> {
        (index < self.len())
            .then(|| &self.bytes[usize::from(self.starts[index]) + 1..usize::from(self.starts[index + 1])])
    }

    /// The key bytes of the labels `from..to`; what lies beyond the last is left out.
    pub fn span(&self, from: usize, to: usize) -> &[u8] {
        let (from, to) = (from.min(self.len()), to.min(self.len()));
        &self.bytes[usize::from(self.starts[from])..usize::from(self.starts[to])]
    }

    /// The whole name as key bytes.
    pub fn key(&self) -> &[u8] {
        self.span(0, self.len())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Key::from(self.key()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let path = Path::of(name.labels());
        assert_eq!(path.key(), name.key().as_bytes());
        assert_eq!((path.label(0), path.label(2), path.label(3)), (Some(&b"org"[..]), Some(&b"www"[..]), None));
        assert_eq!(path.span(1, 9), b"\x07example\x03www");
    }
}
