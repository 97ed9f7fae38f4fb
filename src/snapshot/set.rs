//! What one name of a service stands for: the registered protocols, and the ready endpoints.

use std::sync::Arc;

use smallvec::SmallVec;

use super::endpoints::{Endpoint, Endpoints};

/// The registrations of a service, or of the several services that a name selects.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// Sorted by label.
    protocols: SmallVec<[ProtocolUse; 1]>,
    registered: u32,
    endpoints: Endpoints,
}

/// How often a protocol occurs.
#[derive(Clone, Debug)]
struct ProtocolUse {
    label: Arc<str>,
    registered: u32,
    ready: u32,
}

/// One registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The protocol's label, if the protocol has one.
    pub protocol: Option<Arc<str>>,
    /// The endpoint, while the registration is published.
    pub endpoint: Option<Endpoint>,
}

impl Set {
    /// Counts a registration in.
    pub fn add(&mut self, member: &Member) {
        self.registered += 1;
        if let Some(label) = &member.protocol {
            let at = self.protocols.partition_point(|entry| entry.label < *label);
            if self.protocols.get(at).is_none_or(|entry| entry.label != *label) {
                self.protocols.insert(at, ProtocolUse { label: label.clone(), registered: 0, ready: 0 });
            }
            self.protocols[at].registered += 1;
            self.protocols[at].ready += u32::from(member.endpoint.is_some());
        }
        if let Some(endpoint) = member.endpoint {
            self.endpoints.insert(endpoint);
        }
    }

    /// Counts out a registration that was added before.
    pub fn remove(&mut self, member: &Member) {
        self.registered -= 1;
        if let Some(label) = &member.protocol
            && let Ok(at) = self.protocols.binary_search_by(|entry| entry.label.cmp(label))
        {
            self.protocols[at].registered -= 1;
            self.protocols[at].ready -= u32::from(member.endpoint.is_some());
            if self.protocols[at].registered == 0 {
                self.protocols.remove(at);
            }
        }
        if let Some(endpoint) = &member.endpoint {
            self.endpoints.remove(endpoint);
        }
    }

    /// Adds all registrations of another set. No registration may be in both.
    pub fn join(&mut self, other: &Set) {
        self.registered += other.registered;
        for ProtocolUse { label, registered, ready } in &other.protocols {
            match self.protocols.binary_search_by(|entry| entry.label.cmp(label)) {
                Ok(at) => {
                    self.protocols[at].registered += registered;
                    self.protocols[at].ready += ready;
                }
                Err(at) => {
                    let entry = ProtocolUse { label: label.clone(), registered: *registered, ready: *ready };
                    self.protocols.insert(at, entry);
                }
            }
        }
        other.endpoints.iter().for_each(|endpoint| self.endpoints.insert(*endpoint));
    }

    /// Whether no Pod registers it any more.
    pub fn is_unregistered(&self) -> bool {
        self.registered == 0
    }

    /// The labels of the registered protocols, sorted.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.labels().map(|label| &**label)
    }

    /// How many protocols are registered.
    pub fn protocol_count(&self) -> usize {
        self.protocols.len()
    }

    /// The labels of the registered protocols, sorted, split at an index.
    pub fn protocols_at(&self, place: usize) -> (impl Iterator<Item = &str>, impl Iterator<Item = &str>) {
        let (before, after) = self.protocols.split_at(place.min(self.protocols.len()));
        (before.iter().map(|entry| &*entry.label), after.iter().map(|entry| &*entry.label))
    }

    /// The labels of the registered protocols, sorted, without a copy.
    pub fn labels(&self) -> impl Iterator<Item = &Arc<str>> {
        self.protocols.iter().map(|entry| &entry.label)
    }

    /// The label of a registered protocol, and the number of its ready endpoints. `None` if it is not registered.
    pub fn ready(&self, protocol: &[u8]) -> Option<(&str, usize)> {
        let at = self.protocols.binary_search_by(|entry| entry.label.as_bytes().cmp(protocol)).ok()?;
        Some((&self.protocols[at].label, self.protocols[at].ready as usize))
    }

    /// The ready endpoints in order.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }
}
