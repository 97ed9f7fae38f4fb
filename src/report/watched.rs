//! The endpoints of a selection as subscribers see them, and what changed of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Filter, metadata, text};
use crate::snapshot::{PodRecord, Registered, Snapshot};

/// One ready endpoint. Two of one [`WatchedEndpoint::key`] are the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WatchedEndpoint {
    /// The Pod.
    pub pod: String,
    /// The namespace.
    pub namespace: String,
    /// The address: of several the first, which is the SRV target's.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol as it was registered.
    pub protocol: String,
    /// The group, if it has one.
    pub group: Option<String>,
    /// The version, if it has one.
    pub version: Option<String>,
    /// The weight.
    pub weight: u16,
    /// All its addresses, the first one first: of several in a dual-stack network any will do.
    pub addresses: Vec<IpAddr>,
    /// All that was registered beside it, but secrets.
    pub metadata: BTreeMap<String, String>,
}

/// What an endpoint is recognised by: all of it but weight, further addresses and metadata.
pub type WatchedKey<'e> = (&'e str, &'e str, IpAddr, u16, &'e str, Option<&'e str>, Option<&'e str>);

impl WatchedEndpoint {
    /// What it is recognised by.
    pub fn key(&self) -> WatchedKey<'_> {
        let WatchedEndpoint { pod, namespace, address, port, protocol, group, version, .. } = self;
        (pod, namespace, *address, *port, protocol, group.as_deref(), version.as_deref())
    }
}

/// The whole set of a selection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedSet {
    /// The endpoints, in order and each once.
    pub endpoints: Vec<WatchedEndpoint>,
}

/// What is different from an earlier set; each list in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedChange {
    /// Those that were not there.
    pub added: Vec<WatchedEndpoint>,
    /// Those with another weight, other further addresses or other metadata, as they are now.
    pub changed: Vec<WatchedEndpoint>,
    /// Those that are gone, as they were.
    pub removed: Vec<WatchedEndpoint>,
}

/// An event that tells a whole set, as it goes over the wire.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetEvent {
    /// Whose set it is, in lower case.
    pub interface: String,
    /// The endpoints, in order and each once.
    pub endpoints: Vec<WatchedEndpoint>,
}

/// An event that tells a change, as it goes over the wire.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeEvent {
    /// Whose change it is, in lower case.
    pub interface: String,
    /// As in [`WatchedChange`].
    pub added: Vec<WatchedEndpoint>,
    /// As in [`WatchedChange`].
    pub changed: Vec<WatchedEndpoint>,
    /// As in [`WatchedChange`].
    pub removed: Vec<WatchedEndpoint>,
}

impl SetEvent {
    /// An interface's set.
    pub fn of(interface: String, WatchedSet { endpoints }: WatchedSet) -> SetEvent {
        SetEvent { interface, endpoints }
    }

    /// Whose it is, and the set.
    pub fn parts(self) -> (String, WatchedSet) {
        (self.interface, WatchedSet { endpoints: self.endpoints })
    }
}

impl ChangeEvent {
    /// An interface's change.
    pub fn of(interface: String, WatchedChange { added, changed, removed }: WatchedChange) -> ChangeEvent {
        ChangeEvent { interface, added, changed, removed }
    }

    /// Whose it is, and the change.
    pub fn parts(self) -> (String, WatchedChange) {
        let ChangeEvent { interface, added, changed, removed } = self;
        (interface, WatchedChange { added, changed, removed })
    }
}

impl WatchedSet {
    /// What a snapshot has of a selection, which names an interface.
    pub fn of(snapshot: &Snapshot, filter: &Filter) -> WatchedSet {
        let services = snapshot.services_of(filter.interface.as_deref().unwrap_or_default());
        let services = services.filter(|facts| filter.takes(facts.service));
        let endpoints = services.flat_map(|facts| facts.set.endpoints().iter());
        let registered = endpoints.filter_map(|endpoint| snapshot.registered(endpoint));
        WatchedSet::from_unordered(registered.filter_map(|(pod, one)| watched(pod, one)).collect())
    }

    /// What some Pods have of a selection.
    pub fn of_pods<'p>(pods: impl Iterator<Item = &'p PodRecord>, filter: &Filter) -> WatchedSet {
        let registered = pods.flat_map(|pod| pod.registrations.iter().map(move |one| (pod, one)));
        let asked = registered.filter(|(pod, one)| filter.takes(one.service()) && pod.is_published(one));
        WatchedSet::from_unordered(asked.filter_map(|(pod, one)| watched(pod, one)).collect())
    }

    /// Services that differ in letter case alone may hold one endpoint each way: the larger weight is it, as in SRV.
    fn from_unordered(mut endpoints: Vec<WatchedEndpoint>) -> WatchedSet {
        endpoints.sort_unstable_by(|one, other| other.cmp(one));
        endpoints.dedup_by(|next, kept| next.key() == kept.key());
        endpoints.reverse();
        WatchedSet { endpoints }
    }

    /// What makes this set the later one.
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

    /// Becomes the later set; what the change names is as it says, known before or not.
    pub fn apply(&mut self, change: WatchedChange) {
        let WatchedChange { added, changed, removed } = change;
        let named = added.iter().chain(&changed).chain(&removed);
        let named: BTreeSet<WatchedKey<'_>> = named.map(WatchedEndpoint::key).collect();
        self.endpoints.retain(|endpoint| !named.contains(&endpoint.key()));
        self.endpoints.extend(added.into_iter().chain(changed));
        self.endpoints.sort_unstable();
    }

    /// The endpoint of the same key.
    fn find(&self, endpoint: &WatchedEndpoint) -> Option<&WatchedEndpoint> {
        let key = endpoint.key();
        let at = self.endpoints.binary_search_by(|known| known.key().cmp(&key)).ok()?;
        self.endpoints.get(at)
    }
}

impl WatchedChange {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// None for what has no address, which is no endpoint.
fn watched(pod: &PodRecord, registered: &Registered) -> Option<WatchedEndpoint> {
    let addresses = pod.addresses(registered);
    Some(WatchedEndpoint {
        pod: pod.name().to_owned(),
        namespace: pod.namespace.to_string(),
        address: *addresses.first()?,
        port: registered.port,
        protocol: registered.template.common.protocol.to_string(),
        group: text(&registered.service().group),
        version: text(&registered.service().version),
        weight: registered.weight,
        addresses: addresses.into_vec(),
        metadata: metadata(registered),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pod:port:weight` and so on.
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
    fn what_makes_one_set_the_other() {
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
