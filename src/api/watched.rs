//! The endpoints of a selection as subscribers see them, and the changes of such sets.

#![warn(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A ready endpoint. [`WatchedEndpoint::key`] identifies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchedEndpoint {
    /// The name of its Pod.
    pub pod: String,
    /// The Pod's namespace.
    pub namespace: String,
    /// The first address, which is the SRV target's.
    pub address: IpAddr,
    /// The port that it serves at.
    pub port: u16,
    /// The protocol in its registered spelling.
    pub protocol: String,
    /// The group, if it has one.
    pub group: Option<String>,
    /// The interface's version, if it has one.
    pub version: Option<String>,
    /// Its share of the calls, relative to the weights of the other endpoints.
    pub weight: u16,
    /// All addresses, in order. In a dual-stack network clients can use any of them.
    pub addresses: Vec<IpAddr>,
    /// All other registered metadata without the secrets.
    pub metadata: BTreeMap<String, String>,
}

/// Identifies an endpoint: every field except weight, further addresses and metadata.
pub type WatchedKey<'e> = (&'e str, &'e str, IpAddr, u16, &'e str, Option<&'e str>, Option<&'e str>);

impl WatchedEndpoint {
    /// The fields that identify it.
    pub fn key(&self) -> WatchedKey<'_> {
        let WatchedEndpoint { pod, namespace, address, port, protocol, group, version, .. } = self;
        (pod, namespace, *address, *port, protocol, group.as_deref(), version.as_deref())
    }
}

/// All endpoints of a selection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchedSet {
    /// In order, and each once.
    pub endpoints: Vec<WatchedEndpoint>,
}

/// The difference from an earlier set. Each list is in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchedChange {
    /// Endpoints that the earlier set does not have.
    pub added: Vec<WatchedEndpoint>,
    /// Endpoints with a new weight, new further addresses or new metadata, in their new state.
    pub changed: Vec<WatchedEndpoint>,
    /// Endpoints that are gone, in their last state.
    pub removed: Vec<WatchedEndpoint>,
}

/// The JSON of an event with a whole set.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetEvent {
    /// The interface of the set, in lower case.
    pub interface: String,
    /// In order, and each once.
    pub endpoints: Vec<WatchedEndpoint>,
}

/// The JSON of an event with a change.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeEvent {
    /// The interface of the change, in lower case.
    pub interface: String,
    /// [`WatchedChange::added`]
    pub added: Vec<WatchedEndpoint>,
    /// [`WatchedChange::changed`]
    pub changed: Vec<WatchedEndpoint>,
    /// [`WatchedChange::removed`]
    pub removed: Vec<WatchedEndpoint>,
}

impl SetEvent {
    /// The event of an interface's set.
    #[cfg(feature = "server")]
    pub fn of(interface: String, WatchedSet { endpoints }: WatchedSet) -> SetEvent {
        SetEvent { interface, endpoints }
    }

    /// Returns the interface and its set.
    pub fn parts(self) -> (String, WatchedSet) {
        (self.interface, WatchedSet { endpoints: self.endpoints })
    }
}

impl ChangeEvent {
    /// The event of an interface's change.
    #[cfg(feature = "server")]
    pub fn of(interface: String, WatchedChange { added, changed, removed }: WatchedChange) -> ChangeEvent {
        ChangeEvent { interface, added, changed, removed }
    }

    /// Returns the interface and its change.
    pub fn parts(self) -> (String, WatchedChange) {
        let ChangeEvent { interface, added, changed, removed } = self;
        (interface, WatchedChange { added, changed, removed })
    }
}

impl WatchedSet {
    /// Services that differ only in letter case may have the same endpoint, each with its own weight. The larger
    /// weight wins, as in SRV.
    #[cfg(feature = "watch")]
    pub fn from_unordered(mut endpoints: Vec<WatchedEndpoint>) -> WatchedSet {
        endpoints.sort_unstable_by(|one, other| other.cmp(one));
        endpoints.dedup_by(|next, kept| next.key() == kept.key());
        endpoints.reverse();
        WatchedSet { endpoints }
    }

    /// Returns the change from this set to a later one.
    pub fn change_to(&self, later: &WatchedSet) -> WatchedChange {
        let is_gone = |endpoint: &WatchedEndpoint| later.find(endpoint).is_none();
        let removed = self.endpoints.iter().filter(|endpoint| is_gone(endpoint)).cloned().collect();
        let mut change = WatchedChange { removed, ..WatchedChange::default() };
        for endpoint in &later.endpoints {
            match self.find(endpoint) {
                None => change.added.push(endpoint.clone()),
                Some(known) if known != endpoint => change.changed.push(endpoint.clone()),
                Some(_) => {}
            }
        }
        change
    }

    /// Applies a change. Added and changed endpoints replace the known ones of the same key, whether they were known
    /// or not.
    pub fn apply(&mut self, change: WatchedChange) {
        let WatchedChange { added, changed, removed } = change;
        let named = added.iter().chain(&changed).chain(&removed);
        let named: BTreeSet<WatchedKey<'_>> = named.map(WatchedEndpoint::key).collect();
        self.endpoints.retain(|endpoint| !named.contains(&endpoint.key()));
        self.endpoints.extend(added.into_iter().chain(changed));
        self.endpoints.sort_unstable();
    }

    /// The endpoint with the same key.
    fn find(&self, endpoint: &WatchedEndpoint) -> Option<&WatchedEndpoint> {
        let key = endpoint.key();
        let at = self.endpoints.binary_search_by(|known| known.key().cmp(&key)).ok()?;
        self.endpoints.get(at)
    }
}

impl WatchedChange {
    /// Whether both sets are equal.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `pod:port:weight`, separated by spaces.
    fn set(text: &str) -> WatchedSet {
        let endpoint = |word: &str| {
            let mut parts = word.split(':');
            let mut next = || parts.next().expect("a part");
            WatchedEndpoint {
                pod: next().into(),
                namespace: "default".into(),
                address: [10, 0, 0, 1].into(),
                port: next().parse().expect("a port"),
                protocol: "tri".into(),
                group: None,
                version: None,
                weight: next().parse().expect("a weight"),
                addresses: vec![[10, 0, 0, 1].into()],
                metadata: BTreeMap::new(),
            }
        };
        WatchedSet::from_unordered(text.split_whitespace().map(endpoint).collect())
    }

    fn words(endpoints: &[WatchedEndpoint]) -> String {
        let word = |one: &WatchedEndpoint| format!("{}:{}:{}", one.pod, one.port, one.weight);
        endpoints.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_change_turns_one_set_into_the_other() {
        for (before, after, added, changed, removed) in [
            ("", "", "", "", ""),
            ("", "b:1:100 a:1:100", "a:1:100 b:1:100", "", ""),
            ("a:1:100 b:1:100", "", "", "", "a:1:100 b:1:100"),
            ("a:1:100 b:1:100", "b:1:100 a:1:100", "", "", ""),
            ("a:1:100 b:1:100", "b:1:10 a:1:100", "", "b:1:10", ""),
            ("a:1:100", "a:2:100", "a:2:100", "", "a:1:100"),
            ("a:1:1 b:1:1 c:1:1", "b:1:2 c:1:1 d:1:1", "d:1:1", "b:1:2", "a:1:1"),
            ("a:1:5 a:1:7 a:1:6", "a:1:7", "", "", ""),
        ] {
            let change = set(before).change_to(&set(after));
            let found = (words(&change.added), words(&change.changed), words(&change.removed));
            assert_eq!(found, (added.into(), changed.into(), removed.into()), "{before} -> {after}");
            assert_eq!(change.is_empty(), set(before) == set(after));
            let mut applied = set(before);
            applied.apply(change);
            assert_eq!(applied, set(after), "{before} -> {after}");
        }
    }
}
