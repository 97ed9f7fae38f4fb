//! Which Pod holds an address and port: of several Pods that claim the same, the one that started last.
//!
//! Pods on the host's network share its addresses and claim nothing. A disabled registration claims nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use crate::snapshot::{PodRecord, PodSlot, Snapshot, Standing, Table};

/// The claiming Pods by a hash of the address and port. The claims themselves follow from the Pods' records.
#[derive(Default)]
pub(super) struct Claims {
    by_socket: Table,
    keys: RandomState,
    /// The claims of the Pods that are being settled, whose new records are not in the snapshot yet.
    settling: BTreeMap<PodSlot, Vec<(ClaimedSocket, Claim)>>,
}

/// An address and port in a cluster's network.
pub(super) type ClaimedSocket = (Arc<str>, IpAddr, u16);

/// One Pod's claim. The largest claim wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    /// A Pod's own address wins over a trusted one.
    is_own: bool,
    /// `status.startTime`
    start_time: Option<i64>,
    uid: Arc<str>,
    slot: PodSlot,
}

/// The claims that follow from a Pod's record.
pub(super) fn claims_of(record: &PodRecord, slot: PodSlot) -> Vec<(ClaimedSocket, Claim)> {
    if !record.is_registering() || record.status.host_network {
        return Vec::new();
    }
    let uid: Arc<str> = record.uid().into();
    let claiming = record.registrations.iter().filter(|registered| registered.is_claiming());
    let mut claims: Vec<(ClaimedSocket, Claim)> = claiming
        .flat_map(|registered| {
            record.claimed_addresses(registered).into_iter().map(move |address| (registered, address))
        })
        .map(|(registered, address)| {
            let is_own = registered.standing == Standing::Own;
            let claim = Claim { is_own, start_time: record.status.start_time, uid: uid.clone(), slot };
            ((record.cluster.clone(), address, registered.port), claim)
        })
        .collect();
    claims.sort();
    claims.dedup();
    claims
}

impl Claims {
    /// Replaces a Pod's claims until they are settled. Returns the other Pods whose standing this may change.
    pub fn replace(
        &mut self,
        slot: PodSlot,
        old: Vec<(ClaimedSocket, Claim)>,
        new: Vec<(ClaimedSocket, Claim)>,
    ) -> BTreeSet<PodSlot> {
        let mut rivals = BTreeSet::new();
        if old != new {
            for hash in old.iter().map(|(socket, _)| self.keys.hash_one(socket) as u32) {
                self.by_socket.remove(hash, slot);
                rivals.extend(self.by_socket.find(hash));
            }
            for hash in new.iter().map(|(socket, _)| self.keys.hash_one(socket) as u32) {
                rivals.extend(self.by_socket.find(hash));
                self.by_socket.insert(hash, slot);
            }
            rivals.remove(&slot);
        }
        self.settling.insert(slot, new);
        rivals
    }

    /// Ends the settling: every record is in the snapshot now.
    pub fn settled(&mut self) {
        self.settling.clear();
    }

    /// Whether another Pod holds an address and port that this Pod claims.
    pub fn is_lost(&self, socket: &ClaimedSocket, slot: PodSlot, next: &Snapshot) -> bool {
        let claimants = self.by_socket.find(self.keys.hash_one(socket) as u32);
        if claimants.clone().all(|claimant| claimant == slot) {
            return false; // the usual case
        }
        let claims = claimants.flat_map(|claimant| match self.settling.get(&claimant) {
            Some(claims) => claims.clone(),
            None => next.pod(claimant).map(|record| claims_of(record, claimant)).unwrap_or_default(),
        });
        let winner = claims.filter(|(other, _)| other == socket).map(|(_, claim)| claim).max();
        winner.is_some_and(|winner| winner.slot != slot)
    }
}
