//! Builds the next snapshot from events. There is one writer, and a change costs in proportion to the names that it
//! touches.
//!
//! **One copy.** The index builds the snapshot itself. For each Pod it adds only marks to the snapshot's record: which
//! sources hold the Pod, at which resource version, and a fingerprint of the annotation. The fingerprint makes an
//! unchanged Pod cheap: its annotation is hashed and not decoded.
//!
//! **In place, and whole.** The index applies a relist while it streams in. A Pod that the relist changes waits beside
//! its published record until the relist's `Commit`. If another source reports that Pod first, the index publishes
//! everything that it knows about the Pod, because the relist may never commit. The changes of other sources wait for
//! no relist. A `Commit` removes every Pod that the list did not name; an `Abort` removes none.
//!
//! **Bounded.** Uncommitted changes of a list wait in at most `STAGED_MAX` bytes. Beyond that, the index publishes them
//! at once. `room` decides which Pods keep their annotations in memory.
//!
//! **Settling.** The index settles changed Pods against the others: first which Pod bears a name, then which Pods the
//! quotas admit, then which Pod holds an address and port, and which other Pods lose or gain by that. It then applies
//! the difference between the old and the new record of each Pod to the facts, once per Pod.

mod claims;
mod facts;
mod held;
mod intern;
mod room;
mod serial;
mod services;
mod settle;
mod shown;

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::registration::{self, Decoded};
use crate::snapshot::{PodRecord, PodSlot, Snapshot, Table, ZoneSettings};
use crate::source::again::Wanted;
use crate::source::{Change, Event, Pod, SourceId};
use crate::zones::Zones;

use claims::Claims;
use held::{Held, Hold};
use intern::Interner;
use room::Rooms;
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
    sources: Vec<Source>,
    /// How many lists have begun, over all sources.
    lists: u32,
    /// The Pods by a hash of cluster and uid.
    slots: Table,
    held: Vec<Option<Held>>,
    free: Vec<PodSlot>,
    /// The Pods by a hash of cluster, namespace and name.
    bearers: Table,
    claims: Claims,
    rooms: Rooms,
    /// The Pods that the quota admits and whose annotations are not in memory.
    missing: BTreeSet<PodSlot>,
    dirty: BTreeSet<PodSlot>,
    /// What the waiting Pods cost, in bytes.
    staged: u64,
    /// What the Pods cost that were replaced or removed since the last sweep, in bytes.
    replaced: u64,
    interner: Interner,
    /// Hashes the fingerprints of annotations and the keys of the tables.
    keys: RandomState,
    serial: Serial,
    difference: Difference,
    is_changed: bool,
    /// The snapshot that was published last. It shares its memory with the `Arc` that readers hold.
    last: Snapshot,
}

/// What the index knows about a source.
struct Source {
    id: SourceId,
    /// It has committed a list.
    is_synced: bool,
    /// True from `Begin` to `Commit`. An `Abort` does not end it.
    is_listing: bool,
    /// The number of its last list, counted over the lists of all sources.
    generation: u32,
    /// The Pods that its current list changed, until the `Commit`.
    pending: BTreeSet<PodSlot>,
}

/// What a snapshot changes compared to the one before it. Only `pods` is filled if the one before was not synced.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// The services whose answers changed. For one Pod these are the services whose own sets changed, or if none did,
    /// the services whose DNS-SD instances changed.
    pub services: HashSet<ServiceId>,
    /// The Pods whose records changed.
    pub pods: BTreeSet<PodSlot>,
    /// The addresses whose forward or reverse names changed.
    pub addresses: BTreeSet<std::net::IpAddr>,
    /// A Pod's own name appeared or disappeared.
    pub is_named_anew: bool,
}

/// A Pod that the quota admits, and whose annotation must be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The Pod's slot in the snapshot.
    pub slot: PodSlot,
    /// The source that holds it.
    pub source: SourceId,
    /// How to ask the source for the Pod.
    pub pod: Wanted,
}

/// Why a source sends a Pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// It changed, or a list names it.
    New,
    /// The index asked for it.
    Again,
}

/// A service's namespace and alias.
pub type ServiceId = (Arc<str>, crate::name::Alias);

impl Difference {
    /// Whether an answer changed.
    pub fn is_visible(&self) -> bool {
        !self.services.is_empty() || !self.addresses.is_empty() || self.is_named_anew
    }
}

impl Index {
    /// An empty index. The zone is synced once each of these sources has committed a list.
    pub fn new(settings: Arc<ZoneSettings>, zones: Arc<Zones>, sources: Vec<SourceId>) -> Index {
        let source = |id| Source { id, is_synced: false, is_listing: false, generation: 0, pending: BTreeSet::new() };
        let next = Snapshot::empty(settings, zones);
        Index {
            last: next.clone(),
            next,
            sources: sources.into_iter().map(source).collect(),
            lists: 0,
            slots: Table::default(),
            held: Vec::new(),
            free: Vec::new(),
            bearers: Table::default(),
            claims: Claims::default(),
            rooms: Rooms::default(),
            missing: BTreeSet::new(),
            dirty: BTreeSet::new(),
            staged: 0,
            replaced: 0,
            interner: Interner::default(),
            keys: RandomState::new(),
            serial: Serial::default(),
            difference: Difference::default(),
            is_changed: true,
        }
    }

    /// Continues from the serial of an earlier run, so that the serial does not go back if the clock did.
    pub fn go_on_from(&mut self, serial: u32) {
        self.next.serial = serial;
    }

    /// Takes in one event. Nothing of it is visible before [`Index::publish`].
    pub fn apply(&mut self, event: Event) {
        self.apply_decoded(event, None);
    }

    /// Like [`Index::apply`], with the annotation of the event's Pod already decoded.
    pub fn apply_decoded(&mut self, event: Event, decoded: Option<Decoded>) {
        let Some(source) = self.sources.iter().position(|source| source.id == event.source) else {
            debug_assert!(false, "an event of a source that the index was not made with");
            return;
        };
        match event.change {
            Change::Begin => {
                self.lists += 1;
                self.sources[source].is_listing = true;
                self.sources[source].generation = self.lists;
            }
            Change::Apply(pod) => self.apply_pod(source, *pod, decoded, Telling::New),
            Change::Again(pod) => self.apply_again(source, *pod),
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
        if self.last.is_synced {
            shown::compare(&self.last, &self.next, &mut self.difference);
        }
        self.serial.is_due |= self.difference.is_visible();
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
        self.last = self.next.clone();
        if self.replaced > SWEPT_MAX {
            self.replaced = 0;
            self.interner.sweep();
        }
        Some((Arc::new(self.next.clone()), std::mem::take(&mut self.difference)))
    }

    /// When the serial may move for a change that is already published, on the clock of [`Now::monotonic`].
    pub fn serial_due(&self) -> Option<std::time::Duration> {
        self.serial.due_at()
    }

    /// The Pods whose annotations must be read again, once per source that holds them. The source answers each with
    /// [`Change::Again`].
    pub fn missing(&self) -> impl Iterator<Item = Missing> {
        self.missing.iter().flat_map(|slot| {
            let held = self.held[*slot as usize].iter();
            let sources = held.flat_map(|held| self.sources.iter().enumerate().filter(|(at, _)| held.has_hold_of(*at)));
            let record = self.record(*slot);
            sources.filter_map(move |(_, source)| {
                let record = record.filter(|record| record.is_missing(&source.id.profile))?;
                let pod = Wanted {
                    namespace: record.namespace.clone(),
                    name: record.name().to_owned(),
                    uid: record.uid().to_owned(),
                };
                Some(Missing { slot: *slot, source: source.id.clone(), pod })
            })
        })
    }

    /// Applies a Pod that the index asked for, unless the source has released it meanwhile.
    fn apply_again(&mut self, source: usize, pod: Pod) {
        let held = self.slot_of_uid(source, &pod.uid).and_then(|slot| self.held[slot as usize].as_ref());
        if held.is_some_and(|held| held.has_hold_of(source)) {
            self.apply_pod(source, pod, None, Telling::Again);
        }
    }

    fn apply_pod(&mut self, source: usize, mut pod: Pod, decoded: Option<Decoded>, telling: Telling) {
        if !pod.status.host_network {
            pod.status.host_ips = Box::default(); // no answer depends on them
        }
        let slot = self.slot_of(source, &pod);
        let Source { id, generation, is_listing, .. } = &self.sources[source];
        let (profile, generation, is_listing) = (id.profile.clone(), *generation, *is_listing);
        let fingerprint = NonZeroU64::new(self.keys.hash_one(&pod.annotation)).unwrap_or(NonZeroU64::MIN);
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        let hold = held.hold_of(source);
        if pod.resource_version < hold.resource_version && (!is_listing || telling == Telling::Again) {
            return; // a stale API server after a reconnect: never go back within one watch
        }
        // A Pod that the index asked for counts as named by its last list, not by the current one.
        let generation = if telling == Telling::Again { hold.generation } else { generation };
        let is_other = hold.fingerprint != Some(fingerprint);
        *hold = Hold { generation, resource_version: pod.resource_version, fingerprint: Some(fingerprint), ..*hold };
        let before = held.status_version();
        let is_newest = held.takes_status(pod.resource_version, is_listing.then_some(generation), self.lists);
        let published = self.next.pod(slot);
        let current = held.record(published.map(|record| &**record));
        let is_reread = is_other || current.is_missing(&profile);
        let is_renamed = is_newest && (&*current.namespace, current.name()) != (&*pod.namespace, &*pod.name);
        let has_news = is_renamed || (is_newest && current.status != pod.status);
        let is_newer = held.status_version() != before; // matters only among Pods of the same name
        // A Pod that waits for its list may look unchanged here. A whole list or a watch event publishes it anyway.
        let is_due = is_reread || has_news || self.is_waiting(slot) || (is_newer && !self.namesakes(slot).is_empty());
        if !is_due {
            return;
        }
        let Some(mut record) = self.record(slot).cloned() else { return };
        if is_renamed {
            self.rename(slot, &mut record, (&pod.namespace, &pod.name));
        }
        if is_newest {
            record.status = pod.status;
        }
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        if is_reread || is_renamed {
            let decoded = pod.annotation.map(|annotation| decoded.unwrap_or_else(|| registration::decode(&annotation)));
            held.reread(&mut record, source, &profile, decoded, &mut self.interner, &self.next.settings);
        }
        self.stage(source, slot, record);
    }

    /// Keeps a Pod's new record for the next snapshot, or for the snapshot after its list's `Commit`.
    fn stage(&mut self, source: usize, slot: PodSlot, record: PodRecord) {
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        self.staged += record.cost();
        self.staged -= held.staged.replace(Box::new(record)).map_or(0, |staged| staged.cost());
        self.touch(source, slot);
        if self.staged > STAGED_MAX {
            self.sources.iter_mut().for_each(|source| self.dirty.append(&mut source.pending));
            self.settle();
        }
    }

    /// Renames a Pod. A published Pod is found by its old name until the new one is settled.
    fn rename(&mut self, slot: PodSlot, record: &mut PodRecord, called: (&str, &str)) {
        let before = self.keys.hash_one(names(record)) as u32;
        if let Some(held) = self.held[slot as usize].as_mut() {
            held.rename(record, called, &mut self.interner, &self.next.settings);
        }
        if self.next.pod(slot).is_none() {
            self.bearers.remove(before, slot);
            self.bearers.insert(self.keys.hash_one(names(record)) as u32, slot);
        }
    }

    fn remove_pod(&mut self, source: usize, uid: &Arc<str>) {
        if let Some(slot) = self.slot_of_uid(source, uid) {
            self.let_go(source, slot);
        }
    }

    /// Ends the source's hold on the Pod. What the Pod registered through that source goes, and so does the Pod if no
    /// other source holds it.
    fn let_go(&mut self, source: usize, slot: PodSlot) {
        let Some(held) = self.held[slot as usize].as_mut() else { return };
        if !held.release(source) {
            return;
        }
        let published = self.next.pod(slot);
        let mut record = held.record(published.map(|record| &**record)).clone();
        held::forget(&mut record, &self.sources[source].id.profile);
        self.stage(source, slot, record);
    }

    /// Ends a whole list: Pods that it did not name go, and the changes that it made may be published.
    fn commit(&mut self, source: usize) {
        let generation = self.sources[source].generation;
        let is_swept = |held: &Held| held.holds_since(source).is_some_and(|seen| seen != generation);
        let swept: Vec<PodSlot> = (0..)
            .zip(&self.held)
            .filter_map(|(slot, held)| held.as_ref().is_some_and(is_swept).then_some(slot))
            .collect();
        for slot in swept {
            self.let_go(source, slot);
        }
        self.close(source);
    }

    /// The list is at its end: what it changed may be published.
    fn close(&mut self, source: usize) {
        let own = &mut self.sources[source];
        own.is_synced = true;
        own.is_listing = false;
        let committed = std::mem::take(&mut own.pending);
        committed.into_iter().for_each(|slot| self.make_due(slot));
    }

    /// Marks a Pod for the next snapshot, or for the one after its list's `Commit`.
    fn touch(&mut self, source: usize, slot: PodSlot) {
        let own = &mut self.sources[source];
        if own.is_listing && own.is_synced {
            own.pending.insert(slot);
        } else {
            self.make_due(slot);
        }
    }

    /// Marks a Pod for the next snapshot, even if another source's list that changed it has not committed: that list
    /// may never.
    fn make_due(&mut self, slot: PodSlot) {
        for source in &mut self.sources {
            source.pending.remove(&slot);
        }
        self.dirty.insert(slot);
    }

    /// The Pod's current record, published or not. `None` while `settle` moves it from one to the other.
    fn record(&self, slot: PodSlot) -> Option<&PodRecord> {
        let held = self.held.get(slot as usize)?.as_ref()?;
        held.staged.as_deref().or_else(|| self.next.pod(slot).map(|record| &**record))
    }

    fn slot_of_uid(&self, source: usize, uid: &str) -> Option<PodSlot> {
        let cluster = &self.sources[source].id.cluster;
        let is_it =
            |slot: &PodSlot| self.record(*slot).is_some_and(|record| record.uid() == uid && record.cluster == *cluster);
        self.slots.find(self.keys.hash_one((cluster, uid)) as u32).find(is_it)
    }

    /// The other Pods of the same name.
    fn namesakes(&self, slot: PodSlot) -> Vec<PodSlot> {
        self.bearing(slot).map(|record| self.others_called(names(record), slot)).unwrap_or_default()
    }

    /// The Pods of this cluster, namespace and name, without the Pod in `slot`.
    fn others_called(&self, called: [&str; 3], slot: PodSlot) -> Vec<PodSlot> {
        let is_one = |other: &PodSlot| {
            let other = (*other != slot).then(|| self.bearing(*other)).flatten();
            other.is_some_and(|other| names(other) == called)
        };
        self.bearers.find(self.keys.hash_one(called) as u32).filter(is_one).collect()
    }

    /// The record whose name counts among the other Pods. It is the published one while the Pod waits for its list's
    /// `Commit`: an uncommitted list renames no Pod.
    fn bearing(&self, slot: PodSlot) -> Option<&PodRecord> {
        let published = self.next.pod(slot).map(|record| &**record);
        published.filter(|_| self.is_waiting(slot)).or_else(|| self.record(slot))
    }

    fn slot_of(&mut self, source: usize, pod: &Pod) -> PodSlot {
        if let Some(slot) = self.slot_of_uid(source, &pod.uid) {
            return slot;
        }
        let slot = self.free.pop().unwrap_or(self.held.len() as PodSlot);
        if slot as usize == self.held.len() {
            self.held.push(None);
            self.next.pods.push_back(None);
        }
        let cluster = self.interner.text(&self.sources[source].id.cluster);
        let namespace = self.interner.text(&pod.namespace);
        self.slots.insert(self.keys.hash_one((&cluster, &*pod.uid)) as u32, slot);
        let record = PodRecord::new(cluster, namespace, &pod.name, &pod.uid);
        self.bearers.insert(self.keys.hash_one(names(&record)) as u32, slot);
        self.staged += record.cost();
        self.held[slot as usize] = Some(Held::new(record));
        slot
    }

    /// Frees the slot of a Pod that no source holds.
    fn free_slot(&mut self, slot: PodSlot, record: &PodRecord) {
        self.slots.remove(self.keys.hash_one((&record.cluster, record.uid())) as u32, slot);
        self.bearers.remove(self.keys.hash_one(names(record)) as u32, slot);
        self.held[slot as usize] = None;
        self.free.push(slot);
    }
}

/// Cluster, namespace and name: Pods that share all three replace each other.
fn names(record: &PodRecord) -> [&str; 3] {
    [&record.cluster, &record.namespace, record.name()]
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("revision", &self.next.revision).field("pods", &self.slots.len()).finish()
    }
}
