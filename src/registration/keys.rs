//! Decides by their keys which pairs are kept. Consecutive registrations of one process usually have the same keys, so
//! the decision is made once for all of them.

use std::cmp::Ordering;

use super::field::Field;
use super::{PairList, secret};

/// The longest key. With `.N=` after it, a value still fits into a string of 255 bytes (RFC 1035 §3.3).
const KEY_LEN_MAX: usize = 200;

/// The keys of our own TXT strings, besides those of the fields.
const OURS: [&str; 5] = ["pod", "addr", "truncated", "cluster", "node"];

/// A key and its value as they were written.
type WrittenPair<'w> = (&'w str, &'w str);

/// What happens to a pair because of its key. Its value may still be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyDecision {
    /// It is kept.
    Kept,
    /// It is left out: the key cannot be a TXT key, or equals another one in a different letter case.
    LeftOut,
    /// It is withheld: the key looks like a secret.
    Withheld,
}

/// The keys of a registration's own pairs, and of those of the whole process.
#[derive(Default)]
pub(super) struct Keys {
    /// The keys as written, with empty values.
    written: PairList,
    own_len: usize,
    /// Indexes of the pairs that count, by key. A registration's own pair replaces one of the process.
    decisions: Vec<(usize, KeyDecision)>,
}

impl Keys {
    /// Decides for these pairs.
    pub(super) fn of(own: &[WrittenPair<'_>], process: &[WrittenPair<'_>]) -> Keys {
        let keys: Vec<&str> = own.iter().chain(process).map(|(key, _)| *key).collect();
        let order = |one: &usize, other: &usize| folded_order(keys[*one], keys[*other]);
        let mut places: Vec<usize> = (0..keys.len()).collect();
        places.sort_by(order); // the sort is stable: a registration's own pairs come first
        let mut decisions = Vec::with_capacity(keys.len());
        for same in places.chunk_by(|one, other| order(one, other).is_eq()) {
            let is_own = |place: &usize| *place < own.len();
            let has_own = same.first().is_some_and(is_own);
            let counting = same.iter().filter(|place| is_own(place) == has_own);
            decisions.extend(counting.enumerate().map(|(at, place)| (*place, decision(keys[*place], at == 0))));
        }
        decisions.sort_by_key(|(place, _)| keys[*place]);
        Keys { written: keys.iter().map(|key| (key, "")).collect(), own_len: own.len(), decisions }
    }

    /// Whether the keys of these pairs are the same.
    pub(super) fn are_those_of(&self, own: &[WrittenPair<'_>], process: &[WrittenPair<'_>]) -> bool {
        let (written, other) =
            (self.written.iter().map(|(key, _)| key), own.iter().chain(process).map(|(key, _)| *key));
        self.own_len == own.len() && written.eq(other)
    }

    /// The pairs that count, by key, each with its fate. The pairs must have these keys.
    pub(super) fn decisions<'k, 'w>(
        &'k self,
        own: &'k [WrittenPair<'w>],
        process: &'k [WrittenPair<'w>],
    ) -> impl Iterator<Item = (&'w str, &'w str, KeyDecision)> + 'k {
        self.decisions.iter().filter_map(|(place, decision)| {
            let (key, value) = own.get(*place).or_else(|| process.get(place.checked_sub(own.len())?))?;
            Some((*key, *value, *decision))
        })
    }
}

fn decision(key: &str, is_first: bool) -> KeyDecision {
    match key {
        key if secret::is_secret_key(key) => KeyDecision::Withheld,
        key if is_first && is_key(key) => KeyDecision::Kept,
        _ => KeyDecision::LeftOut,
    }
}

/// Compares keys in lower case.
fn folded_order(one: &str, other: &str) -> Ordering {
    let fold = |byte: u8| byte.to_ascii_lowercase();
    one.bytes().map(fold).cmp(other.bytes().map(fold))
}

/// Whether a key can be a TXT key (RFC 6763 §6.4) and means nothing else, there or in an annotation.
fn is_key(key: &str) -> bool {
    let is_printable = key.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
    let is_fragment = |(_, end): (&str, &str)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    let is_path = key.starts_with('/');
    let is_ours = Field::of(key).is_some() || OURS.iter().any(|ours| ours.eq_ignore_ascii_case(key));
    let fits = (1..=KEY_LEN_MAX).contains(&key.len());
    fits && is_printable && !is_path && !is_ours && !key.rsplit_once('.').is_some_and(is_fragment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_txt_record() {
        for key in ["zone", "Zone", "app.version", "a b", "~", "v1.x", "1", "a.", "a/b", &"k".repeat(200)] {
            assert!(is_key(key), "{key}");
        }
        for key in [
            "",
            "a=b",
            "é",
            "a\tb",
            "a\u{7f}",
            "key.1",
            ".01",
            "POD",
            "addr",
            "Interface",
            "group",
            "version",
            "application",
            "methods",
            "truncated",
            "cluster",
            "node",
            "Weight",
            "ip",
            "/dubbo",
            &"k".repeat(201),
        ] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn keys_are_the_same_only_as_they_were_written() {
        let (zone, tag) = (("zone", "a"), ("tag", "x"));
        let keys = Keys::of(&[zone], &[tag]);
        assert!(keys.are_those_of(&[("zone", "b")], &[("tag", "y")]));
        let others: [(&[WrittenPair<'_>], &[WrittenPair<'_>]); 6] = [
            (&[tag], &[zone]),
            (&[zone, tag], &[]),
            (&[], &[zone, tag]),
            (&[zone], &[]),
            (&[("Zone", "a")], &[tag]),
            (&[("zonetag", "a")], &[("", "")]),
        ];
        for (own, process) in others {
            assert!(!keys.are_those_of(own, process), "{own:?} {process:?}");
        }
    }
}
