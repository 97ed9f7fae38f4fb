//! Names as paths down the tree of a zone.

use std::fmt;

use super::{LABEL_LEN_MAX, Labels, NAME_LEN_MAX};

/// A name in lower case, root first, with each label after its length. Keys sort in the order of a zone's tree.
///
/// `www.Example.org.` is `3org7example3www`. A key that starts with another one is a name below it, because a label's
/// length comes before its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(smallvec::SmallVec<[u8; 32]>);

impl Key {
    /// The key of labels in wire order, leftmost first.
    pub fn of<'l>(labels: impl Iterator<Item = &'l [u8]>) -> Key {
        let labels: smallvec::SmallVec<[&[u8]; 24]> = labels.collect();
        let mut key = Key::default();
        for label in labels.into_iter().rev() {
            key.push(label);
        }
        key
    }

    /// Goes down to a child label.
    pub fn push(&mut self, label: &[u8]) {
        debug_assert!(label.len() <= LABEL_LEN_MAX);
        self.0.push(label.len() as u8);
        self.0.extend(label.iter().map(u8::to_ascii_lowercase));
    }

    /// Whether this key is the other one or below it.
    pub fn is_within(&self, ancestor: &Key) -> bool {
        self.0.starts_with(&ancestor.0)
    }

    /// The key bytes: for each label its length, then the label in lower case.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The labels, from the root down.
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
    /// Takes key bytes from [`NamePath::span`].
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

/// A name as a key on the stack, with the offset of every label. Reading a question's name this way allocates nothing.
///
/// Labels are counted from the root: label 0 is the top-level domain.
#[derive(Clone)]
pub struct NamePath {
    bytes: [u8; NAME_LEN_MAX],
    /// The offset of each label's length byte, and one more for the end.
    starts: [u8; LABELS_MAX + 1],
    count: u8,
}

/// The most labels that 255 bytes can hold (RFC 1035 §2.3.4: a length byte and a byte each, and the root).
const LABELS_MAX: usize = 127;

impl NamePath {
    /// Reads a well-formed wire name.
    pub fn of(name: Labels<'_>) -> NamePath {
        let mut path = NamePath { bytes: [0; NAME_LEN_MAX], starts: [0; LABELS_MAX + 1], count: 0 };
        let len: usize = name.clone().map(|label| 1 + label.len()).sum();
        let (mut at, mut count) = (len, 0);
        path.starts[0] = len as u8;
        for label in name {
            at -= 1 + label.len();
            path.bytes[at] = label.len() as u8;
            path.bytes[at + 1..at + 1 + label.len()].copy_from_slice(label);
            count += 1;
            path.starts[count] = at as u8;
        }
        path.starts[..=count].reverse();
        path.bytes[..len].make_ascii_lowercase(); // a length is at most 63, below any letter
        path.count = count as u8;
        path
    }

    /// The number of labels without the root's.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether this is the root.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A label in lower case. `None` after the last.
    pub fn label(&self, index: usize) -> Option<&[u8]> {
        (index < self.len())
            .then(|| &self.bytes[usize::from(self.starts[index]) + 1..usize::from(self.starts[index + 1])])
    }

    /// The key bytes of the labels `from..to`. Omits labels after the last.
    pub fn span(&self, from: usize, to: usize) -> &[u8] {
        let (from, to) = (from.min(self.len()), to.min(self.len()));
        &self.bytes[usize::from(self.starts[from])..usize::from(self.starts[to])]
    }

    /// The whole name as key bytes.
    pub fn key(&self) -> &[u8] {
        self.span(0, self.len())
    }
}

impl fmt::Debug for NamePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Key::from(self.key()).fmt(f)
    }
}
