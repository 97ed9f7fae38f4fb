//! What the facts are found by; each key with a borrowed twin, so that a question looks up without allocating.

use std::cmp::Ordering;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};

use crate::dns::Key;
use crate::name::{Alias, Selector};

/// A natural name: its namespace, its selectors, and the interface's labels reversed and folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetKey {
    /// The namespace.
    pub namespace: Arc<str>,
    /// What the group must be.
    pub group: Selector,
    /// What the version must be.
    pub version: Selector,
    /// The interface as key bytes.
    pub interface: Key,
}

/// A [`SetKey`] that owns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKeyRef<'k> {
    /// The namespace.
    pub namespace: &'k [u8],
    /// What the group must be.
    pub group: Selector<&'k [u8]>,
    /// What the version must be.
    pub version: Selector<&'k [u8]>,
    /// The interface, or the first labels of one, as key bytes.
    pub interface: &'k [u8],
}

impl SetKey {
    /// The key as a question has it.
    pub fn as_ref(&self) -> SetKeyRef<'_> {
        SetKeyRef {
            namespace: self.namespace.as_bytes(),
            group: self.group.as_slice(),
            version: self.version.as_slice(),
            interface: self.interface.as_bytes(),
        }
    }
}

/// A service by its alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceKeyRef<'k> {
    /// The namespace.
    pub namespace: &'k [u8],
    /// The alias.
    pub alias: Alias,
}

/// A Pod's name below `pod.Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodKey {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The labels, reversed and folded.
    pub labels: Box<[u8]>,
}

/// A [`PodKey`] that owns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKeyRef<'k> {
    /// The namespace.
    pub namespace: &'k [u8],
    /// The labels, or the first of them.
    pub labels: &'k [u8],
}

impl PodKey {
    /// The key as a question has it.
    pub fn as_ref(&self) -> PodKeyRef<'_> {
        PodKeyRef { namespace: self.namespace.as_bytes(), labels: &self.labels }
    }
}

/// A key is ordered as its borrowed twin, and is looked up by it.
macro_rules! look_up_by_twin {
    ($key:ty, $twin:ident) => {
        impl PartialOrd for $key {
            fn partial_cmp(&self, other: &$key) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $key {
            fn cmp(&self, other: &$key) -> Ordering {
                self.as_ref().cmp(&other.as_ref())
            }
        }

        impl Equivalent<$key> for $twin<'_> {
            fn equivalent(&self, key: &$key) -> bool {
                *self == key.as_ref()
            }
        }

        impl Comparable<$key> for $twin<'_> {
            fn compare(&self, key: &$key) -> Ordering {
                self.cmp(&key.as_ref())
            }
        }
    };
}

look_up_by_twin!(SetKey, SetKeyRef);
look_up_by_twin!(PodKey, PodKeyRef);
