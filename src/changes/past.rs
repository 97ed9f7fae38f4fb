//! The recent past: the changes in order, and an index of them by interface.
//!
//! With the index, a stream of a thousand interfaces does not walk through the past a thousand times: it costs in
//! proportion to the changes that it missed.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use crate::index::PodChange;
use crate::name::Service;
use crate::snapshot::PodSlot;

/// The most bytes of records that the past may keep alive. At 200 changes of ordinary Pods a second it covers a quarter
/// of a minute. The index takes another 16 bytes per service.
pub(super) const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What subscribers can see of one snapshot's changes.
#[derive(Debug)]
pub(super) struct PastEntry {
    pub revision: u64,
    pub pods: Vec<(PodSlot, PodChange)>,
}

/// The entries, oldest first.
#[derive(Debug, Default)]
pub(super) struct Past {
    entries: VecDeque<Arc<PastEntry>>,
    /// What their records cost, in bytes.
    bytes: u64,
    /// Where each interface's changes are: revisions and indexes into their entries, in order, by a hash of the
    /// interface in lower case.
    places: HashMap<u64, VecDeque<(u64, usize)>>,
    keys: RandomState,
}

impl PastEntry {
    /// The services that it touches. Some may come twice.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.pods.iter().flat_map(|(_, pod)| &pod.services)
    }

    /// What its records cost, both before and after.
    fn bytes(&self) -> u64 {
        let records = self.pods.iter().flat_map(|(_, pod)| [&pod.before, &pod.after]).flatten();
        records.map(|pod| pod.cost()).sum()
    }
}

impl Past {
    /// Adds the latest entry.
    pub fn add(&mut self, entry: Arc<PastEntry>) {
        self.bytes += entry.bytes();
        for (at, (_, pod)) in entry.pods.iter().enumerate() {
            for service in &pod.services {
                let places = self.places.entry(hash(&self.keys, &service.interface)).or_default();
                if places.back() != Some(&(entry.revision, at)) {
                    places.push_back((entry.revision, at));
                }
            }
        }
        self.entries.push_back(entry);
    }

    /// Removes and returns the oldest entry if the past is too large.
    pub fn evict_oldest(&mut self) -> Option<Arc<PastEntry>> {
        let oldest = self.entries.pop_front_if(|_| self.bytes > BYTES_MAX)?;
        self.bytes -= oldest.bytes();
        for service in oldest.services() {
            let hash = hash(&self.keys, &service.interface);
            let Some(places) = self.places.get_mut(&hash) else { continue };
            while places.pop_front_if(|(revision, _)| *revision <= oldest.revision).is_some() {}
            if places.is_empty() {
                self.places.remove(&hash);
            }
        }
        Some(oldest)
    }

    /// An interface's changes after one revision and up to another, oldest first. Each is an entry and an index into
    /// it. A few may be of another interface with the same hash.
    pub fn changes_of(&self, interface: &str, behind: u64, until: u64) -> Vec<(Arc<PastEntry>, usize)> {
        let Some(places) = self.places.get(&hash(&self.keys, interface)) else { return Vec::new() };
        let from = places.partition_point(|(revision, _)| *revision <= behind);
        let missed = places.range(from..).take_while(|(revision, _)| *revision <= until);
        let found = missed.filter_map(|(revision, at)| {
            let entry = self.entries.binary_search_by_key(revision, |entry| entry.revision).ok()?;
            Some((self.entries.get(entry)?.clone(), *at))
        });
        found.collect()
    }

    /// The size of the index, and the bytes of the records.
    #[cfg(test)]
    pub fn size(&self) -> (usize, u64) {
        (self.places.values().map(VecDeque::len).sum(), self.bytes)
    }
}

fn hash(keys: &RandomState, interface: &str) -> u64 {
    let mut hasher = keys.build_hasher();
    interface.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
    hasher.finish()
}
