//! What the operator set for the Pods' zone, as far as answers depend on it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::dns::{Key, Name};

/// The Pods' zone, its reverse zones, and what holds for all of their records.
#[derive(Clone, Debug)]
pub struct ZoneSettings {
    /// `Z`
    pub origin: Name,
    /// `Z` as a key.
    pub key: Key,
    /// How many labels `Z` has.
    pub labels: usize,
    /// TTL of every record, in seconds.
    pub ttl: u32,
    /// The SOA's MINIMUM: how long a negative answer may be kept, in seconds.
    pub negative_ttl: u32,
    /// The servers' names, at least one.
    pub ns: Vec<Name>,
    /// Which of those names are ours to resolve, and to what.
    pub ns_addresses: BTreeMap<Key, Vec<IpAddr>>,
    /// The SOA's RNAME.
    pub rname: Name,
    /// The reverse zones, by key.
    pub reverse: HashMap<Key, Name>,
    /// Which metadata keys are published.
    pub txt_keys: TxtKeys,
    /// Publish Pods that are not ready.
    pub publish_not_ready: bool,
    /// Publish addresses that are not the Pod's own.
    pub trust_addresses: bool,
    /// The most bytes that the Pods of one namespace may cost.
    pub namespace_bytes_max: u64,
    /// The same of all namespaces.
    pub bytes_max: u64,
}

#[cfg(test)]
impl ZoneSettings {
    /// What tests of other parts publish under.
    pub(crate) fn of_tests() -> ZoneSettings {
        let origin: Name = "rpc.cluster.local.".parse().expect("a name");
        ZoneSettings {
            ttl: 5,
            negative_ttl: 5,
            ns_addresses: Default::default(),
            ns: Vec::new(),
            rname: origin.clone(),
            reverse: Default::default(),
            txt_keys: TxtKeys::All,
            publish_not_ready: false,
            trust_addresses: false,
            namespace_bytes_max: u64::MAX,
            bytes_max: u64::MAX,
            key: origin.key(),
            labels: origin.label_count(),
            origin,
        }
    }
}

/// Seconds between two looks of a secondary at the serial, SOA's REFRESH: no transfers yet, so a common value.
pub const SOA_REFRESH: u32 = 7200;

/// Seconds between two tries of a secondary, SOA's RETRY.
pub const SOA_RETRY: u32 = 1800;

/// Seconds after which a secondary gives up the zone, SOA's EXPIRE.
pub const SOA_EXPIRE: u32 = 86400;

/// Which metadata keys are published in TXT records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxtKeys {
    /// Every key; secrets are never among them.
    All,
    /// These, whatever their letter case.
    Only(Vec<String>),
}

impl TxtKeys {
    /// Whether a key is published.
    pub fn publishes(&self, key: &str) -> bool {
        match self {
            TxtKeys::All => true,
            TxtKeys::Only(keys) => keys.iter().any(|published| published.eq_ignore_ascii_case(key)),
        }
    }
}
