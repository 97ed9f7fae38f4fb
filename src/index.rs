//! Builds the next snapshot from events. There is one writer, and a change costs in proportion to the names that it
//! touches.
//!
//! **One copy.** The index builds the snapshot itself. For each Pod it adds only marks to the snapshot's record: which
//! sources hold the Pod, at which resource version, and a fingerprint of what its profile names. The fingerprint makes
//! an unchanged Pod cheap: its text is hashed and not decoded.
//!
//! **In place, and whole.** The index applies a relist while it streams in. A Pod that the relist changes waits beside
//! its published record until the relist's `Commit`. If another source reports that Pod first, the index publishes
//! everything that it knows about the Pod, because the relist may never commit. The changes of other sources wait for
//! no relist. A `Commit` removes every Pod that the list did not name; an `Abort` removes none.
//!
//! **Bounded.** Uncommitted changes of a list wait in at most `STAGED_MAX` bytes. Beyond that, the index publishes them
//! at once. `quota` decides which Pods keep their annotations in memory.
//!
//! **Settling.** The index settles changed Pods against the others: first which Pod bears a name, then which Pods the
//! quotas admit, then which Pod holds an address and port, and which other Pods lose or gain by that. It then applies
//! the difference between the old and the new record of each Pod to the facts, once per Pod.

mod apply;
mod claims;
mod diff;
mod difference;
mod facts;
mod intern;
mod marks;
mod quota;
mod serial;
mod services;
mod settle;
mod slots;
mod visible;

use std::collections::BTreeSet;
use std::hash::RandomState;
use std::sync::Arc;

use crate::registration::{Decoded, Encoding};
use crate::snapshot::{PodRecord, PodSlot, Snapshot, Table, ZoneSettings};
use crate::source::refetch::RefetchRequest;
use crate::source::{Change, SourceId, WatchProfile};
use crate::zones::Zones;

use claims::Claims;
use difference::DirtyNames;
pub use difference::{Difference, PodChange, ServiceId, SetChange};
use intern::Interner;
use marks::PodMarks;
use quota::NamespaceQuota;
pub use serial::Now;
use serial::Serial;

/// The most bytes of Pods that wait for a list's `Commit`, and of changes that wait to be settled.
const STAGED_MAX: u64 = 32 * 1024 * 1024;

/// How many bytes of Pods are replaced or removed before the interner sweeps out values that nothing uses. A sweep
/// looks at every interned value.
const SWEPT_MAX: u64 = 64 * 1024 * 1024;

/// The only writer of the zone.
pub struct Index {
    next: Snapshot,
    sources: Vec<SourceState>,
    /// The profiles in their order. Of two that register the same, the earlier one counts.
    profiles: Vec<Arc<str>>,
    /// How many lists have begun, over all sources.
    lists: u32,
    /// The Pods by a hash of cluster and uid.
    slots: Table,
    marks: Vec<Option<PodMarks>>,
    free: Vec<PodSlot>,
    /// The Pods by a hash of cluster, namespace and name.
    bearers: Table,
    claims: Claims,
    quota: NamespaceQuota,
    /// The Pods that the quota admits and whose annotations are not in memory.
    missing: BTreeSet<PodSlot>,
    /// The Pods to settle before the next snapshot.
    due: BTreeSet<PodSlot>,
    /// What the waiting Pods cost, in bytes.
    staged: u64,
    /// What the Pods cost that were replaced or removed since the last sweep, in bytes.
    replaced: u64,
    interner: Interner,
    /// Hashes the fingerprints of texts and the keys of the tables.
    keys: RandomState,
    serial: Serial,
    /// What the Pods that were settled since the last snapshot may have changed.
    dirty: DirtyNames,
    is_changed: bool,
    /// The snapshot that was published last.
    last: Arc<Snapshot>,
}

/// What the index knows about a source.
struct SourceState {
    id: SourceId,
    /// How its profile's registrations are written.
    encoding: Encoding,
    /// It has committed a list.
    is_synced: bool,
    /// True from `Begin` to `Commit`. An `Abort` does not end it.
    is_listing: bool,
    /// The number of its last list, counted over the lists of all sources.
    generation: u32,
    /// The Pods that its current list changed, until the `Commit`.
    pending: BTreeSet<PodSlot>,
}

/// A Pod that the quota admits, and whose annotation must be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPod {
    /// The Pod's slot in the snapshot.
    pub slot: PodSlot,
    /// The source that holds it.
    pub source: SourceId,
    /// How to ask the source for the Pod.
    pub pod: RefetchRequest,
}

/// Why a source sends a Pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ApplyReason {
    /// It changed, or a list names it.
    New,
    /// The index asked for it.
    Refetched,
}

impl Index {
    /// An empty index. The zone is synced once each of these sources has committed a list.
    ///
    /// The registrations of every profile are pairs, and the profiles are in the order of the sources, unless
    /// [`Index::of_profiles`] says otherwise.
    pub fn new(settings: Arc<ZoneSettings>, zones: Arc<Zones>, sources: Vec<SourceId>) -> Index {
        let source = |id| SourceState {
            id,
            encoding: Encoding::Pairs { plain: None },
            is_synced: false,
            is_listing: false,
            generation: 0,
            pending: BTreeSet::new(),
        };
        let mut profiles: Vec<Arc<str>> = Vec::new();
        for SourceId { profile, .. } in &sources {
            if !profiles.contains(profile) {
                profiles.push(profile.clone());
            }
        }
        let next = Snapshot::empty(settings, zones);
        Index {
            last: Arc::new(next.clone()),
            next,
            sources: sources.into_iter().map(source).collect(),
            profiles,
            lists: 0,
            slots: Table::default(),
            marks: Vec::new(),
            free: Vec::new(),
            bearers: Table::default(),
            claims: Claims::default(),
            quota: NamespaceQuota::default(),
            missing: BTreeSet::new(),
            due: BTreeSet::new(),
            staged: 0,
            replaced: 0,
            interner: Interner::default(),
            keys: RandomState::new(),
            serial: Serial::default(),
            dirty: DirtyNames::default(),
            is_changed: true,
        }
    }

    /// Sets the order of the profiles, and how the registrations of each are written.
    pub fn of_profiles(mut self, profiles: &[WatchProfile]) -> Index {
        self.profiles = profiles.iter().map(|profile| profile.name.clone()).collect();
        for source in &mut self.sources {
            if let Some(profile) = profiles.iter().find(|profile| profile.name == source.id.profile) {
                source.encoding = profile.encoding.clone();
            }
        }
        self
    }

    /// Continues from the serial of an earlier run, so that the serial does not go back if the clock did.
    pub fn continue_from(&mut self, serial: u32) {
        self.next.serial = serial;
    }

    /// Takes in one change of a source. Nothing of it is visible before [`Index::publish`].
    pub fn apply(&mut self, source: &SourceId, change: Change) {
        self.apply_decoded(source, change, None);
    }

    /// Like [`Index::apply`], with the text of the change's Pod already decoded.
    pub fn apply_decoded(&mut self, source: &SourceId, change: Change, decoded: Option<Decoded>) {
        let Some(source) = self.sources.iter().position(|known| known.id == *source) else {
            debug_assert!(false, "a change of a source that the index was not made with");
            return;
        };
        match change {
            Change::Begin => {
                self.lists += 1;
                self.sources[source].is_listing = true;
                self.sources[source].generation = self.lists;
            }
            Change::Apply(pod) => self.apply_pod(source, *pod, decoded, ApplyReason::New),
            Change::Refetched(pod) => self.apply_refetched(source, *pod),
            Change::Remove(uid) => self.remove_pod(source, &uid),
            Change::Commit => self.commit(source),
            Change::Close => self.close(source),
            Change::Abort => {} // what is known stays, and the changes of this list wait for the next whole one
        }
    }

    /// Replaces the static zones.
    pub fn set_zones(&mut self, zones: Arc<Zones>) {
        self.next.zones = zones;
        self.is_changed = true;
        self.serial.is_due = true;
    }

    /// Returns the next snapshot and what it changes, or `None` if nothing visible changed.
    ///
    /// Nothing is visible before the first sync. Until then no reader shares the growing zone, and the index changes it
    /// in place.
    pub fn publish(&mut self, now: Now) -> Option<(Arc<Snapshot>, Difference)> {
        self.settle();
        let difference = visible::compare(&self.last, &self.next, std::mem::take(&mut self.dirty));
        self.serial.is_due |= difference.is_visible();
        let is_synced = self.sources.iter().all(|source| source.is_synced);
        if is_synced != self.next.is_synced {
            self.next.is_synced = is_synced;
            self.is_changed = true;
            self.serial.is_due = true; // every answer changes, even if there are no Pods
        }
        if let Some(serial) = self.serial.advance(self.next.serial, now) {
            self.next.serial = serial;
            self.is_changed = true;
        }
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        self.next.revision += 1;
        self.last = Arc::new(self.next.clone());
        if self.replaced > SWEPT_MAX {
            self.replaced = 0;
            self.interner.sweep();
        }
        Some((self.last.clone(), difference))
    }

    /// When the serial may move for a change that is already published, on the clock of [`Now::monotonic`].
    pub fn serial_due(&self) -> Option<std::time::Duration> {
        self.serial.due_at()
    }

    /// The Pods whose annotations must be read again, once per source that holds them. The source answers each with
    /// [`Change::Refetched`].
    pub fn missing(&self) -> impl Iterator<Item = MissingPod> {
        self.missing.iter().flat_map(|slot| {
            let marks = self.marks[*slot as usize].iter();
            let sources =
                marks.flat_map(|marks| self.sources.iter().enumerate().filter(|(at, _)| marks.is_held_by(*at)));
            let record = self.record(*slot);
            sources.filter_map(move |(_, source)| {
                let record = record.filter(|record| record.is_missing(&source.id.profile))?;
                let pod = RefetchRequest {
                    namespace: record.namespace.clone(),
                    name: record.name().to_owned(),
                    uid: record.uid().to_owned(),
                };
                Some(MissingPod { slot: *slot, source: source.id.clone(), pod })
            })
        })
    }

    /// The Pod's current record, published or not. `None` while `settle` moves it from one to the other.
    fn record(&self, slot: PodSlot) -> Option<&PodRecord> {
        let marks = self.marks.get(slot as usize)?.as_ref()?;
        marks.staged.as_deref().or_else(|| self.next.pod(slot).map(|record| &**record))
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("revision", &self.next.revision).field("pods", &self.slots.len()).finish()
    }
}
