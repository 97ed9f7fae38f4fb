//! The zone that all readers read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwap;

use super::Snapshot;

/// The current snapshot, and whether its data about Pods is current. The writer replaces the snapshot; any number of threads
/// read it.
#[derive(Debug)]
pub struct PublishedZone {
    pub snapshot: ArcSwap<Snapshot>,
    pub freshness: SharedFreshness,
}

impl PublishedZone {
    /// Publishes a first snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> PublishedZone {
        PublishedZone { snapshot: ArcSwap::new(snapshot), freshness: SharedFreshness::default() }
    }
}

/// How long the quietest source of Pods has been silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Not longer than `--stale-after`.
    #[default]
    Fresh,
    /// Longer than `--stale-after`: answers carry an extended error that says so.
    Stale,
    /// Longer than `--max-stale`: questions about Pods get SERVFAIL.
    Expired,
}

/// A [`Freshness`] that one task sets and all threads read.
#[derive(Debug, Default)]
pub struct SharedFreshness(AtomicU8);

impl SharedFreshness {
    /// The current value.
    pub fn load(&self) -> Freshness {
        match self.0.load(Ordering::Relaxed) {
            0 => Freshness::Fresh,
            1 => Freshness::Stale,
            _ => Freshness::Expired,
        }
    }

    /// Sets the value for all later queries.
    pub fn store(&self, freshness: Freshness) {
        self.0.store(freshness as u8, Ordering::Relaxed);
    }
}
