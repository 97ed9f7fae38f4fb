//! The keys of the facts. Each has a borrowed twin, so that a query looks up without allocating.

use std::cmp::Ordering;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};

use crate::dns::Key;
use crate::name::{Alias, NameSelector};

/// A natural name: its namespace, its selectors, and the interface's labels, reversed and in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetKey {
    /// In lower case, as Kubernetes has it.
    pub namespace: Arc<str>,
    /// Which groups the name selects.
    pub group: NameSelector,
    /// Which versions the name selects.
    pub version: NameSelector,
    /// The interface as key bytes.
    pub interface: Key,
}

/// A borrowed [`SetKey`]. The interface comes first, because it distinguishes most names of a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKeyRef<'k> {
    /// The interface, or its first labels, as key bytes.
    pub interface: &'k [u8],
    /// Which groups the name selects.
    pub group: NameSelector<&'k [u8]>,
    /// Which versions the name selects.
    pub version: NameSelector<&'k [u8]>,
    /// The bytes of its label, in lower case.
    pub namespace: &'k [u8],
}

impl SetKey {
    /// The borrowed form.
    pub fn as_ref(&self) -> SetKeyRef<'_> {
        SetKeyRef {
            namespace: self.namespace.as_bytes(),
            group: self.group.as_slice(),
            version: self.version.as_slice(),
            interface: self.interface.as_bytes(),
        }
    }
}

/// A service's namespace and alias. The alias comes first, because it distinguishes nearly all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceKeyRef<'k> {
    /// The alias of group, interface and version.
    pub alias: Alias,
    /// The bytes of its label, in lower case.
    pub namespace: &'k [u8],
}

/// A Pod's name below `pod.Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodKey {
    /// In lower case, as Kubernetes has it.
    pub namespace: Arc<str>,
    /// The labels as key bytes: reversed and in lower case.
    pub labels: Box<[u8]>,
}

/// A borrowed [`PodKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKeyRef<'k> {
    /// The bytes of its label, in lower case.
    pub namespace: &'k [u8],
    /// The labels, or the first of them, as key bytes.
    pub labels: &'k [u8],
}

impl PodKey {
    /// The borrowed form.
    pub fn as_ref(&self) -> PodKeyRef<'_> {
        PodKeyRef { namespace: self.namespace.as_bytes(), labels: &self.labels }
    }
}

/// Orders a key like its borrowed twin, so that maps can be searched by the twin.
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
