//! Who holds an address and port: of several Pods that claim one, the one that started last.
//!
//! Pods of the host's network share its addresses and claim nothing.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::snapshot::{PodRecord, PodSlot, Standing};

/// All claims of all Pods.
#[derive(Default)]
pub(super) struct Claims {
    by_place: HashMap<Place, SmallVec<[Claim; 1]>>,
}

/// An address and port in a cluster's network.
pub(super) type Place = (Arc<str>, IpAddr, u16);

/// One Pod's claim; the larger one wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    /// A Pod's own address wins over a trusted one.
    is_own: bool,
    /// `status.startTime`
    start_time: Option<i64>,
    uid: Arc<str>,
    slot: PodSlot,
}

/// What a Pod claims by a record of it.
pub(super) fn claims_of(record: &PodRecord, slot: PodSlot) -> Vec<(Place, Claim)> {
    if !record.is_registering() || record.status.host_network {
        return Vec::new();
    }
    let admitted = record.registrations.iter().filter(|registered| registered.is_admitted());
    let mut claims: Vec<(Place, Claim)> = admitted
        .flat_map(|registered| {
            record.claimed_addresses(registered).into_iter().map(move |address| (registered, address))
        })
        .map(|(registered, address)| {
            let is_own = registered.standing == Standing::Own;
            let claim = Claim { is_own, start_time: record.status.start_time, uid: record.uid.clone(), slot };
            ((record.cluster.clone(), address, registered.port), claim)
        })
        .collect();
    claims.sort();
    claims.dedup();
    claims
}

impl Claims {
    /// Puts a Pod's new claims in place of its old ones; the other Pods whose standing that may change.
    pub fn replace(&mut self, slot: PodSlot, old: &[(Place, Claim)], new: &[(Place, Claim)]) -> BTreeSet<PodSlot> {
        let mut rivals = BTreeSet::new();
        if old == new {
            return rivals;
        }
        for (place, _) in old {
            if let Some(claims) = self.by_place.get_mut(place) {
                claims.retain(|claim| claim.slot != slot);
                rivals.extend(claims.iter().map(|claim| claim.slot));
                if claims.is_empty() {
                    self.by_place.remove(place);
                }
            }
        }
        for (place, claim) in new {
            let claims = self.by_place.entry(place.clone()).or_default();
            rivals.extend(claims.iter().map(|claim| claim.slot));
            claims.push(claim.clone());
        }
        rivals.remove(&slot);
        rivals
    }

    /// Whether another Pod holds the place.
    pub fn is_lost(&self, place: &Place, slot: PodSlot) -> bool {
        let winner = self.by_place.get(place).and_then(|claims| claims.iter().max());
        winner.is_some_and(|winner| winner.slot != slot)
    }
}
