//! What is told about a registration beside its place: which pairs are kept, withheld and left out.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::draft::Field;
use super::{Metadata, PairList, secret};

/// The longest key: with `.N=` behind it, it leaves room for a value in a string of 255 bytes (RFC 1035 §3.3).
const KEY_LEN_MAX: usize = 200;

/// Keys that our own TXT strings have, beside those of the fields.
const OURS: [&str; 5] = ["pod", "addr", "truncated", "cluster", "node"];

/// Metadata as it was written; a registration's own pair goes before one that holds for the whole process.
pub(super) struct Written<'w> {
    pub(super) application: &'w str,
    pub(super) methods: &'w [&'w str],
    pub(super) own: &'w [(&'w str, &'w str)],
    pub(super) process: &'w [(&'w str, &'w str)],
    /// The weight, where one was given: it is published like a pair.
    pub(super) weight: Option<u16>,
}

impl Written<'_> {
    /// What of it may be told.
    pub(super) fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        if secret::is_secret(self.application) {
            metadata.withheld += 1;
        } else if !self.application.is_empty() {
            metadata.application = Some(self.application.into());
        }
        metadata.methods = self.methods(&mut metadata.withheld);
        metadata.pairs = self.pairs(&mut metadata);
        metadata
    }

    fn methods(&self, withheld: &mut u32) -> Box<[Box<str>]> {
        let mut seen = HashSet::new();
        let mut methods = Vec::new();
        for method in self.methods.iter().copied().filter(|method| seen.insert(*method)) {
            if secret::is_secret(method) {
                *withheld += 1;
            } else {
                methods.push(method.into());
            }
        }
        methods.into()
    }

    fn pairs(&self, metadata: &mut Metadata) -> PairList {
        let mut written: Vec<Pair<'_>> = Vec::with_capacity(self.own.len() + self.process.len());
        written.extend(self.own.iter().map(|(key, value)| Pair { key, value, is_own: true }));
        written.extend(self.process.iter().map(|(key, value)| Pair { key, value, is_own: false }));
        // Most come in this order already. It is stable: of one key a registration's own pairs stay in front.
        written.sort_by(|one, other| folded_order(one.key, other.key));
        let weight = self.weight.map(|weight| weight.to_string());
        let mut kept: Vec<(&str, &str)> = Vec::with_capacity(written.len() + 1);
        kept.extend(weight.as_deref().map(|weight| (Field::Weight.name(), weight)));
        for same in written.chunk_by(|one, other| folded_order(one.key, other.key).is_eq()) {
            let is_own = same.first().is_some_and(|first| first.is_own);
            for (at, Pair { key, value, .. }) in same.iter().filter(|pair| pair.is_own == is_own).enumerate() {
                if secret::is_secret_pair(key, value) {
                    metadata.withheld += 1;
                } else if at > 0 || !is_key(key) {
                    metadata.left_out += 1;
                } else {
                    kept.push((key, value));
                }
            }
        }
        kept.sort_unstable();
        kept.into_iter().collect()
    }
}

/// A pair that is no field.
struct Pair<'w> {
    key: &'w str,
    value: &'w str,
    /// The registration's, and not one that holds for the whole process.
    is_own: bool,
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
    fn own_pairs_go_first_and_secrets_nowhere() {
        let metadata = Written {
            application: "shop",
            methods: &["pay", "token=hunter2", "pay", "refund"],
            own: &[("zone", "b"), ("Zone", "c"), ("zone", "d"), ("url", "x://u:hunter2@h"), ("é", "1")],
            process: &[("ZONE", "a"), ("url", "plain"), ("tag", "x"), ("tag", "y"), ("api-token", "hunter2")],
            weight: Some(7),
        }
        .metadata();
        let pairs: Vec<(&str, &str)> = metadata.pairs.iter().collect();
        assert_eq!(pairs, [("tag", "x"), ("weight", "7"), ("zone", "b")]);
        assert_eq!((metadata.withheld, metadata.left_out), (3, 4));
        assert_eq!(metadata.methods, ["pay".into(), "refund".into()].into());
        assert_eq!(metadata.application, Some("shop".into()));
    }
}
