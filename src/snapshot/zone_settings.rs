//! The operator's settings for the Pods' zone, as far as answers depend on them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::dns::{Key, Name};

/// The Pods' zone if the operator names no other.
pub const DEFAULT_ZONE: &str = "rpc.cluster.local.";

/// The TTL of every record, in seconds.
pub const DEFAULT_TTL: u32 = 5;

/// The metadata keys that TXT records show besides the named fields.
pub const DEFAULT_TXT_KEYS: [&str; 7] = ["weight", "serialization", "release", "region", "zone", "environment", "tag"];

/// The most bytes that all Pods may take. The sum in ARCHITECTURE.md ("Bytes") fits the memory limit of `deploy/`.
pub const DEFAULT_BYTES_MAX: u64 = 576 * 1024 * 1024;

/// The most bytes that the Pods of one namespace may take. 100,000 ordinary Pods fit. If all Pods take more than
/// [`DEFAULT_BYTES_MAX`], the largest namespace gives way first.
pub const DEFAULT_NAMESPACE_BYTES_MAX: u64 = 544 * 1024 * 1024;

/// The Pods' zone, its reverse zones, and what applies to all of their records.
#[derive(Clone, Debug)]
pub struct ZoneSettings {
    /// The zone's origin, `Z`.
    pub origin: Name,
    /// `Z` as a key.
    pub key: Key,
    /// The number of labels in `Z`.
    pub labels: usize,
    /// The TTL of every record, in seconds.
    pub ttl: u32,
    /// The SOA's MINIMUM: how long a resolver may cache a negative answer, in seconds.
    pub negative_ttl: u32,
    /// The name servers, at least one.
    pub ns: Vec<Name>,
    /// The name servers inside our zones, with the addresses that we answer for them.
    pub ns_addresses: BTreeMap<Key, Vec<IpAddr>>,
    /// The SOA's RNAME: the administrator's mailbox.
    pub rname: Name,
    /// The reverse zones, by key.
    pub reverse: HashMap<Key, Name>,
    /// Which metadata keys are published.
    pub txt_keys: TxtKeys,
    /// Whether Pods that are not ready are published.
    pub publish_not_ready: bool,
    /// Whether addresses that are not the Pod's own are published.
    pub trust_addresses: bool,
    /// The quota of a namespace: the most bytes that its Pods may cost.
    pub namespace_bytes_max: u64,
    /// The quota of all namespaces together, in bytes.
    pub bytes_max: u64,
}

impl ZoneSettings {
    /// The defaults for a zone, without name servers and reverse zones. Its RNAME is the zone's own name.
    pub fn of_zone(origin: Name) -> ZoneSettings {
        ZoneSettings {
            ttl: DEFAULT_TTL,
            negative_ttl: DEFAULT_TTL,
            ns: Vec::new(),
            ns_addresses: BTreeMap::new(),
            rname: origin.clone(),
            reverse: HashMap::new(),
            txt_keys: TxtKeys::Only(DEFAULT_TXT_KEYS.map(str::to_owned).to_vec()),
            publish_not_ready: false,
            trust_addresses: false,
            namespace_bytes_max: DEFAULT_NAMESPACE_BYTES_MAX,
            bytes_max: DEFAULT_BYTES_MAX,
            key: origin.key(),
            labels: origin.label_count(),
            origin,
        }
    }

    /// Settings for unit tests.
    #[cfg(test)]
    pub(crate) fn of_tests() -> ZoneSettings {
        let of_zone = ZoneSettings::of_zone(DEFAULT_ZONE.parse().expect("a name"));
        ZoneSettings { txt_keys: TxtKeys::All, namespace_bytes_max: u64::MAX, bytes_max: u64::MAX, ..of_zone }
    }
}

/// SOA's REFRESH: how often a secondary checks the serial, in seconds. There are no zone transfers yet, so it is a
/// common value.
pub const SOA_REFRESH: u32 = 7200;

/// SOA's RETRY: how soon a secondary retries a failed check, in seconds.
pub const SOA_RETRY: u32 = 1800;

/// SOA's EXPIRE: how long a secondary answers without a successful check, in seconds.
pub const SOA_EXPIRE: u32 = 86400;

/// Which metadata keys are published in TXT records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxtKeys {
    /// Every key. Secrets are removed before.
    All,
    /// These keys, in any letter case.
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
