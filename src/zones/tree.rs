//! A sorted slice of names that is searched as a tree: the names below a name come right after it.
//!
//! A zone never changes once it is read, so a binary search in one slice does what a tree of nodes would. An empty
//! non-terminal needs no entry: it is a prefix of the next key.

use crate::dns::{Key, NAME_LEN_MAX};
use smallvec::SmallVec;

/// Values by name, in the order of [`Key`].
pub(super) struct Tree<T>(Box<[(Key, T)]>);

/// What exists at a name.
pub(super) enum TreeMatch<'t, T> {
    /// An entry.
    Entry(&'t T),
    /// Only entries below it.
    EmptyNonTerminal,
    /// Neither.
    Nothing,
}

impl<T> Tree<T> {
    /// Takes entries in any order, each name once.
    pub(super) fn new(mut entries: Vec<(Key, T)>) -> Tree<T> {
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        Tree(entries.into())
    }

    /// What exists at the name with these key bytes.
    pub(super) fn at(&self, key: &[u8]) -> TreeMatch<'_, T> {
        match self.0.binary_search_by(|(entry, _)| entry.as_bytes().cmp(key)) {
            Ok(here) => self.0.get(here).map_or(TreeMatch::Nothing, |(_, value)| TreeMatch::Entry(value)),
            Err(next) => match self.0.get(next) {
                Some((entry, _)) if entry.as_bytes().starts_with(key) => TreeMatch::EmptyNonTerminal,
                _ => TreeMatch::Nothing,
            },
        }
    }

    /// What exists at `*` right below the name with these key bytes: the source of synthesis (RFC 4592 §3.3.1).
    pub(super) fn wildcard_below(&self, encloser: &[u8]) -> TreeMatch<'_, T> {
        let mut key = SmallVec::<[u8; NAME_LEN_MAX + 1]>::from_slice(encloser); // on the stack: a key is shorter than a name
        key.extend_from_slice(b"\x01*");
        self.at(&key)
    }

    /// The value of exactly this name.
    pub(super) fn value(&self, key: &[u8]) -> Option<&T> {
        match self.at(key) {
            TreeMatch::Entry(value) => Some(value),
            TreeMatch::EmptyNonTerminal | TreeMatch::Nothing => None,
        }
    }

    /// All entries, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

/// The key bytes of a key's ancestors, from the one with length `from` down to the key itself.
pub(super) fn descent(key: &[u8], from: usize) -> impl Iterator<Item = &[u8]> {
    let mut end = Some(from);
    std::iter::from_fn(move || {
        let here = key.get(..end?)?;
        end = key.get(here.len()).map(|&len| here.len() + 1 + usize::from(len));
        Some(here)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Name;

    fn key(name: &str) -> Key {
        name.parse::<Name>().unwrap().key()
    }

    #[test]
    fn distinguishes_entries_from_the_empty_names_above_them() {
        let tree = Tree::new(vec![(key("a.b.c"), 1), (key("c"), 2), (key("*.c"), 3), (key("x.*.d.c"), 4)]);
        for (name, expected) in [
            ("c", "entry 2"),
            ("b.c", "empty"),
            ("a.b.c", "entry 1"),
            ("A.B.C", "entry 1"),
            ("aa.b.c", "nothing"),
            ("z.a.b.c", "nothing"),
            ("*.d.c", "empty"),
            (".", "empty"),
            ("d", "nothing"),
        ] {
            assert_eq!(shown(tree.at(key(name).as_bytes())), expected, "{name}");
        }
        assert_eq!(shown(tree.wildcard_below(key("c").as_bytes())), "entry 3");
        assert_eq!(shown(tree.wildcard_below(key("d.c").as_bytes())), "empty");
        assert_eq!(shown(tree.wildcard_below(key("b.c").as_bytes())), "nothing");
    }

    #[test]
    fn descends_by_whole_labels() {
        let key = key("www.example.org");
        let steps: Vec<&[u8]> = descent(key.as_bytes(), 4).collect();
        assert_eq!(steps, [&b"\x03org"[..], b"\x03org\x07example", b"\x03org\x07example\x03www"]);
        assert_eq!(descent(&[], 0).count(), 1, "the root is an ancestor of itself");
    }

    fn shown(at: TreeMatch<'_, i32>) -> String {
        match at {
            TreeMatch::Entry(value) => format!("entry {value}"),
            TreeMatch::EmptyNonTerminal => "empty".into(),
            TreeMatch::Nothing => "nothing".into(),
        }
    }
}
