//! What becomes of pairs by their keys alone. The registrations of one process tell the same keys, so that is thought out
//! once for all that follow each other.

use std::cmp::Ordering;

use super::draft::Field;
use super::{PairList, secret};

/// The longest key: with `.N=` behind it, it leaves room for a value in a string of 255 bytes (RFC 1035 §3.3).
const KEY_LEN_MAX: usize = 200;

/// Keys that our own TXT strings have, beside those of the fields.
const OURS: [&str; 5] = ["pod", "addr", "truncated", "cluster", "node"];

/// A key and its value as they were written.
type Pair<'w> = (&'w str, &'w str);

/// What becomes of a pair by its key; a value may still be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is told.
    Kept,
    /// It cannot be, as the key of a TXT record or beside one that is the same without letter case.
    LeftOut,
    /// It looks like a secret.
    Withheld,
}

/// The keys of a registration's own pairs and of those that hold for the whole process.
#[derive(Default)]
pub(super) struct Keys {
    /// As they were written, each with nothing.
    written: PairList,
    own_len: usize,
    /// The places of the pairs that count, by key: a registration's own goes before one of the process.
    fates: Vec<(usize, Fate)>,
}

impl Keys {
    /// Thinks out what becomes of these.
    pub(super) fn of(own: &[Pair<'_>], process: &[Pair<'_>]) -> Keys {
        let keys: Vec<&str> = own.iter().chain(process).map(|(key, _)| *key).collect();
        let order = |one: &usize, other: &usize| folded_order(keys[*one], keys[*other]);
        let mut places: Vec<usize> = (0..keys.len()).collect();
        places.sort_by(order); // stable: of one key a registration's own come first
        let mut fates = Vec::with_capacity(keys.len());
        for same in places.chunk_by(|one, other| order(one, other).is_eq()) {
            let is_own = |place: &usize| *place < own.len();
            let has_own = same.first().is_some_and(is_own);
            let counting = same.iter().filter(|place| is_own(place) == has_own);
            fates.extend(counting.enumerate().map(|(at, place)| (*place, fate(keys[*place], at == 0))));
        }
        fates.sort_by_key(|(place, _)| keys[*place]);
        Keys { written: keys.iter().map(|key| (key, "")).collect(), own_len: own.len(), fates }
    }

    /// Whether these are the same.
    pub(super) fn are_those_of(&self, own: &[Pair<'_>], process: &[Pair<'_>]) -> bool {
        let (written, other) =
            (self.written.iter().map(|(key, _)| key), own.iter().chain(process).map(|(key, _)| *key));
        self.own_len == own.len() && written.eq(other)
    }

    /// The pairs that count, by key, with what becomes of them; `own` and `process` are those whose keys these are.
    pub(super) fn fates<'k, 'w>(
        &'k self,
        own: &'k [Pair<'w>],
        process: &'k [Pair<'w>],
    ) -> impl Iterator<Item = (&'w str, &'w str, Fate)> + 'k {
        self.fates.iter().filter_map(|(place, fate)| {
            let (key, value) = own.get(*place).or_else(|| process.get(place.checked_sub(own.len())?))?;
            Some((*key, *value, *fate))
        })
    }
}

fn fate(key: &str, is_first: bool) -> Fate {
    match key {
        key if secret::is_secret_key(key) => Fate::Withheld,
        key if is_first && is_key(key) => Fate::Kept,
        _ => Fate::LeftOut,
    }
}

/// The order of keys without letter case.
fn folded_order(one: &str, other: &str) -> Ordering {
    let fold = |byte: u8| byte.to_ascii_lowercase();
    one.bytes().map(fold).cmp(other.bytes().map(fold))
}

/// Whether a key can be one of a TXT record (RFC 6763 §6.4) and is taken for nothing else, there or in an annotation.
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
        let others: [(&[Pair<'_>], &[Pair<'_>]); 6] = [
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
