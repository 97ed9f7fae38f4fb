//! What DNS shows at the names that a batch of changes touches, its services' apart.
//!
//! It is compared between two snapshots, and not what the changes did: a Pod that gives way to one that looks the same
//! changes no answer, and the serial stands.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use super::Difference;
use crate::dns::Name;
use crate::snapshot::{Addresses, Found, PodKey, Snapshot};

/// The names that changes may touch.
#[derive(Default)]
pub(super) struct Touched {
    /// Pods' own names.
    pub names: BTreeSet<PodKey>,
    /// Addresses that are targets, or have reverse names.
    pub addresses: BTreeSet<IpAddr>,
}

/// What they are answered with.
pub(super) struct Shown {
    /// None for a name that does not exist.
    names: BTreeMap<PodKey, Option<BTreeSet<IpAddr>>>,
    addresses: BTreeMap<IpAddr, (HashSet<Name>, Option<Addresses>)>,
}

impl Touched {
    /// What the snapshot shows at these names.
    pub fn shown(&self, snapshot: &Snapshot) -> Shown {
        let of_name = |key: &PodKey| match snapshot.pods_named(key.namespace.as_bytes(), &key.labels) {
            Found::Here(slots) => {
                let pods = slots.into_iter().filter_map(|slot| snapshot.pod(slot));
                Some(pods.flat_map(|pod| pod.status.pod_ips.iter().copied()).collect())
            }
            _ => None,
        };
        let of_address = |address: &IpAddr| {
            let pods = snapshot.pointers(*address).filter_map(|slot| snapshot.pod(slot));
            let names = pods.filter_map(|pod| snapshot.pod_name(pod)).collect();
            (names, snapshot.target_addresses(*address))
        };
        Shown {
            names: self.names.iter().map(|key| (key.clone(), of_name(key))).collect(),
            addresses: self.addresses.iter().map(|address| (*address, of_address(address))).collect(),
        }
    }
}

impl Shown {
    /// Notes what is shown differently after a change.
    pub fn tell(&self, after: &Shown, difference: &mut Difference) {
        for (old, new) in self.names.values().zip(after.names.values()).filter(|(old, new)| old != new) {
            difference.is_named_anew |= old.is_none() || new.is_none();
            difference.addresses.extend(old.iter().chain(new).flatten());
        }
        let changed = after.addresses.iter().filter(|(address, shown)| self.addresses.get(address) != Some(shown));
        difference.addresses.extend(changed.map(|(address, _)| *address));
    }
}
