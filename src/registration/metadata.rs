//! A registration's metadata: decides which pairs are kept, withheld or left out.

use std::collections::HashSet;

use super::field::Field;
use super::keys::{KeyDecision, Keys};
use super::{Metadata, PairList, secret};

/// Metadata as written. A registration's own pair replaces one of the whole process.
pub(super) struct WrittenMetadata<'w> {
    pub(super) application: &'w str,
    pub(super) methods: &'w [&'w str],
    pub(super) own: &'w [(&'w str, &'w str)],
    pub(super) process: &'w [(&'w str, &'w str)],
    /// The weight if it was given. It is published like a pair.
    pub(super) weight: Option<u16>,
}

impl WrittenMetadata<'_> {
    /// The metadata that may be published. `keys` holds the keys of the registration before, and then those of this
    /// one.
    pub(super) fn metadata(&self, keys: &mut Keys) -> Metadata {
        let mut metadata = Metadata::default();
        if secret::is_secret(self.application) {
            metadata.withheld += 1;
        } else if !self.application.is_empty() {
            metadata.application = Some(self.application.into());
        }
        metadata.methods = self.methods(&mut metadata.withheld);
        metadata.pairs = self.pairs(keys, &mut metadata);
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

    fn pairs(&self, keys: &mut Keys, metadata: &mut Metadata) -> PairList {
        if !keys.are_those_of(self.own, self.process) {
            *keys = Keys::of(self.own, self.process);
        }
        let weight = self.weight.map(|weight| weight.to_string());
        let mut kept: Vec<(&str, &str)> = Vec::with_capacity(self.own.len() + self.process.len() + 1);
        for (key, value, decision) in keys.decisions(self.own, self.process) {
            match decision {
                KeyDecision::Withheld => metadata.withheld += 1,
                _ if secret::is_secret(value) => metadata.withheld += 1,
                KeyDecision::LeftOut => metadata.left_out += 1,
                KeyDecision::Kept => kept.push((key, value)),
            }
        }
        if let Some(weight) = &weight {
            kept.push((Field::Weight.name(), weight));
            kept.sort_unstable();
        }
        kept.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pairs_precede_shared_ones_and_secrets_are_dropped() {
        let metadata = WrittenMetadata {
            application: "shop",
            methods: &["pay", "token=hunter2", "pay", "refund"],
            own: &[("zone", "b"), ("Zone", "c"), ("zone", "d"), ("url", "x://u:hunter2@h"), ("é", "1")],
            process: &[("ZONE", "a"), ("url", "plain"), ("tag", "x"), ("tag", "y"), ("api-token", "hunter2")],
            weight: Some(7),
        }
        .metadata(&mut Keys::default());
        let pairs: Vec<(&str, &str)> = metadata.pairs.iter().collect();
        assert_eq!(pairs, [("tag", "x"), ("weight", "7"), ("zone", "b")]);
        assert_eq!((metadata.withheld, metadata.left_out), (3, 4));
        assert_eq!(metadata.methods, ["pay".into(), "refund".into()].into());
        assert_eq!(metadata.application, Some("shop".into()));
    }
}
