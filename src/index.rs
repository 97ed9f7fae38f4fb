//! Events become the next snapshot: one writer, and each change costs what the names it touches cost.
//!
//! **One copy.** The index is the snapshot's builder. Of a Pod it keeps beside the snapshot's record only marks: which
//! sources hold it, at which version, and a fingerprint of the annotation, so that a Pod that did not change costs a
//! look.
//!
//! **In place, and whole.** A relist is applied as it streams. A Pod that it finds changed waits beside its published
//! record until the relist's `Commit`. If another source tells of that Pod before, all that is known of it is published, since
//! a list may never be whole. The changes of other sources wait for no relist. What a committed list did not name is swept; after an `Abort` nothing is.
//!
//! **Bounded.** What a list has changed waits up to `STAGED_MAX`; beyond that it is published as it comes. Whose
//! annotations are kept at all, `room` decides.
//!
//! **Settling.** Changed Pods are settled against the others: who holds a name, then whom its namespace has room for, then
//! who holds an address and port, and who loses or gains by that. Then, once for each Pod, the difference between its old and its new record is carried into the facts.

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

/// The most bytes of Pods that wait for the end of a list, and of changes that wait to be settled.
const STAGED_MAX: u64 = 32 * 1024 * 1024;

/// How many bytes of Pods are replaced or let go of before the stocks of shared things are looked through for what nobody
/// uses any more. A look takes a moment for each thing there is.
const SWEPT_MAX: u64 = 64 * 1024 * 1024;

/// The one writer of the zone.
pub struct Index {
    next: Snapshot,
    sources: Vec<Source>,
    /// How many lists have begun, of all sources.
    lists: u32,
    /// The Pods by a hash of cluster and uid.
    slots: Table,
    held: Vec<Option<Held>>,
    free: Vec<PodSlot>,
    /// The Pods by a hash of cluster, namespace and name.
    bearers: Table,
    claims: Claims,
    rooms: Rooms,
    /// The Pods that there is room for and whose annotations are not here.
    missing: BTreeSet<PodSlot>,
    dirty: BTreeSet<PodSlot>,
    /// What the Pods cost that wait.
    staged: u64,
    /// What those cost that were replaced or let go of since the last sweep.
    replaced: u64,
    interner: Interner,
    /// For fingerprints of annotations, and for the tables.
    keys: RandomState,
    serial: Serial,
    difference: Difference,
    is_changed: bool,
    /// What was published last; it shares its memory with that.
    last: Snapshot,
}

/// What is known of a source.
struct Source {
    id: SourceId,
    /// It committed a list once.
    is_synced: bool,
    /// Between `Begin` and `Commit`, an `Abort` between them or not.
    is_listing: bool,
    /// Which of the lists of all sources its last one is.
    generation: u32,
    /// What a list changed and did not commit yet.
    pending: BTreeSet<PodSlot>,
}

/// What a snapshot changed against the one before it; Pods alone where that was not synced and showed nothing.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// The services whose answers changed. Of one Pod's, those whose own sets did; if none did, those of its instances.
    pub services: HashSet<ServiceId>,
    /// The Pods whose records changed.
    pub pods: BTreeSet<PodSlot>,
    /// The addresses whose forward or reverse names changed.
    pub addresses: BTreeSet<std::net::IpAddr>,
    /// A Pod's own name came or went.
    pub is_named_anew: bool,
}

/// A Pod that there is room for, and whose annotation is to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Where the Pod is.
    pub slot: PodSlot,
    /// The source that holds it.
    pub source: SourceId,
    /// The Pod.
    pub pod: Wanted,
}

/// What a source tells a Pod for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// There is news of it, or a list names it.
    New,
    /// It was asked for it.
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
    /// An index of nothing yet; the zone is synced once each of these sources has committed a list.
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

    /// Goes on from the serial of an earlier run, so that none falls where the clock has gone back since.
    pub fn go_on_from(&mut self, serial: u32) {
        self.next.serial = serial;
    }

    /// Takes in one event; nothing is seen of it before [`Index::publish`].
    pub fn apply(&mut self, event: Event) {
        self.apply_decoded(event, None);
    }

    /// The same, where the annotation of the Pod that comes with it was decoded before.
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
            Change::Abort => {} // what was known stays, and what was found changed waits for the list that is whole
        }
    }

    /// Puts the static zones in place of those before.
    pub fn set_zones(&mut self, zones: Arc<Zones>) {
        self.next.zones = zones;
        self.is_changed = true;
        self.serial.is_due = true;
    }

    /// The next snapshot and what it changes; none where nothing would be seen of it, as of the Pods before all are known.
    /// Until then nobody shares the zone that grows here, and it is changed in place.
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
            self.serial.is_due = true; // every answer changes, also where there are no Pods
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

    /// When the serial may move for a change that is published already, on the clock of [`Now::monotonic`].
    pub fn serial_due(&self) -> Option<std::time::Duration> {
        self.serial.due_at()
    }

    /// The Pods whose annotations are to be read again, by their sources; each is to be told as [`Change::Again`].
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

    /// A Pod that was asked for is told as it is now, unless the source let go of it meanwhile.
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
        // A list has named only what came in it.
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
        let is_newer = held.status_version() != before; // which matters among Pods of one name alone
        // What only a half list has told of the Pod may be the same: a whole one, or a watch, shows it.
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

    /// Lets a Pod's new record wait for the next snapshot, or for the one after its list's `Commit`.
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

    /// Renames a Pod. One that is published is found by its old name until the new one is settled.
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

    /// The source no longer holds the Pod: what it registered by that source goes, and the Pod with its last holder.
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

    /// The list was whole: what it did not name is gone, and what it changed may be published.
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

    /// Marks a Pod for the next snapshot. A list of another source that told of it need not be whole: it may never be.
    fn make_due(&mut self, slot: PodSlot) {
        for source in &mut self.sources {
            source.pending.remove(&slot);
        }
        self.dirty.insert(slot);
    }

    /// The Pod's record as it is now, published or not; none while it is on its way from the one to the other.
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

    /// The other Pods of a Pod's name.
    fn namesakes(&self, slot: PodSlot) -> Vec<PodSlot> {
        self.bearing(slot).map(|record| self.others_called(names(record), slot)).unwrap_or_default()
    }

    /// The Pods of these names, one apart.
    fn others_called(&self, called: [&str; 3], slot: PodSlot) -> Vec<PodSlot> {
        let is_one = |other: &PodSlot| {
            let other = (*other != slot).then(|| self.bearing(*other)).flatten();
            other.is_some_and(|other| names(other) == called)
        };
        self.bearers.find(self.keys.hash_one(called) as u32).filter(is_one).collect()
    }

    /// The Pod's record with the name that it bears among the others: a list that is not whole yet renames nobody.
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

/// What Pods that take each other's place have in common.
fn names(record: &PodRecord) -> [&str; 3] {
    [&record.cluster, &record.namespace, record.name()]
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("revision", &self.next.revision).field("pods", &self.slots.len()).finish()
    }
}
