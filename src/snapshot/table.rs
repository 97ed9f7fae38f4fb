//! Persistent tables: slots by hash, and values by slot.
//!
//! In an ordered map of 500,000 names, each step of a lookup costs a cache line to compare a name. Here a lookup reads
//! one shard, and compares a name only if its whole hash matches.

use std::sync::Arc;

/// The average number of entries in a shard. A change copies 256 bytes, and a lookup searches as many.
const SHARD_LEN: usize = 32;

/// Slots by hash. A hash may have several. The table uses linear hashing: it splits and joins one shard at a time, so
/// that no change costs as much as the whole table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Each sorted. There is at least one.
    shards: imbl::Vector<Arc<[HashedSlot]>>,
    len: usize,
}

/// A hash and one of its slots.
type HashedSlot = (u32, u32);

impl Default for Table {
    fn default() -> Table {
        Table { shards: imbl::Vector::unit(Arc::default()), len: 0 }
    }
}

impl Table {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The slots of a hash, sorted. Different keys may share a hash, so the caller compares.
    pub fn find(&self, hash: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        let shard = self.shards.get(self.place(hash)).map_or(&[][..], |shard| shard);
        let from = shard.partition_point(|entry| entry.0 < hash);
        shard[from..].iter().take_while(move |entry| entry.0 == hash).map(|entry| entry.1)
    }

    /// Adds an entry unless it is present.
    pub fn insert(&mut self, hash: u32, slot: u32) {
        let place = self.place(hash);
        if let Some(shard) = self.shards.get_mut(place)
            && let Err(at) = shard.binary_search(&(hash, slot))
        {
            *shard = shard[..at].iter().chain([&(hash, slot)]).chain(&shard[at..]).copied().collect();
            self.len += 1;
        }
        if self.len > self.shards.len() * SHARD_LEN {
            self.grow();
        }
    }

    /// Removes an entry if it is present.
    pub fn remove(&mut self, hash: u32, slot: u32) {
        let place = self.place(hash);
        if let Some(shard) = self.shards.get_mut(place)
            && let Ok(at) = shard.binary_search(&(hash, slot))
        {
            *shard = shard[..at].iter().chain(&shard[at + 1..]).copied().collect();
            self.len -= 1;
        }
        if self.shards.len() > 1 && self.len < self.shards.len() * SHARD_LEN / 4 {
            self.shrink();
        }
    }

    /// The shard of a hash: as many of its low bits as the number of shards needs.
    fn place(&self, hash: u32) -> usize {
        let mask = self.shards.len().next_power_of_two() - 1;
        let place = hash as usize & mask;
        if place < self.shards.len() { place } else { place & (mask >> 1) }
    }

    /// Adds a shard, and moves its part of the entries over from the shard that it splits.
    fn grow(&mut self) {
        let split = self.split_of(self.shards.len());
        self.shards.push_back(Arc::default());
        let old = self.shards[split].clone();
        let (stay, go): (Vec<HashedSlot>, Vec<HashedSlot>) = old.iter().partition(|entry| self.place(entry.0) == split);
        self.shards[split] = stay.into();
        let last = self.shards.len() - 1;
        self.shards[last] = go.into();
    }

    /// Moves the last shard's entries back to the shard that it was split from.
    fn shrink(&mut self) {
        let Some(last) = self.shards.pop_back() else { return };
        let split = self.split_of(self.shards.len());
        let mut joined: Vec<HashedSlot> = self.shards[split].iter().chain(last.iter()).copied().collect();
        joined.sort_unstable();
        self.shards[split] = joined.into();
    }

    /// The shard that a new last shard is split from.
    fn split_of(&self, new: usize) -> usize {
        new & (((new + 1).next_power_of_two() - 1) >> 1)
    }
}

/// Values in numbered slots. A free slot is reused.
#[derive(Clone, Debug)]
pub struct Slots<T> {
    values: imbl::Vector<Option<Arc<T>>>,
    free: imbl::Vector<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { values: imbl::Vector::new(), free: imbl::Vector::new() }
    }
}

impl<T: Clone> Slots<T> {
    /// The value in a slot.
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.shared(slot).map(|value| &**value)
    }

    /// The value in a slot, to be kept while the table goes on to change.
    pub fn shared(&self, slot: u32) -> Option<&Arc<T>> {
        self.values.get(slot as usize)?.as_ref()
    }

    /// The value in a slot, for changing. A value that an earlier snapshot shares is copied first.
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.values.get_mut(slot as usize)?.as_mut().map(Arc::make_mut)
    }

    /// Adds a value and returns its slot.
    pub fn insert(&mut self, value: T) -> u32 {
        let value = Some(Arc::new(value));
        match self.free.pop_back() {
            Some(slot) => {
                self.values.set(slot as usize, value);
                slot
            }
            None => {
                self.values.push_back(value);
                self.values.len() as u32 - 1
            }
        }
    }

    /// Frees a slot.
    pub fn remove(&mut self, slot: u32) {
        self.values.set(slot as usize, None);
        self.free.push_back(slot);
    }

    /// All values, by slot.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().flatten().map(|value| &**value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any sequence of insertions and removals gives the same as an ordered set, and an earlier clone does not
        /// change.
        #[test]
        fn as_an_ordered_set(steps in proptest::collection::vec((any::<bool>(), 0u32..600, 0u32..3), 0..1500)) {
            let mut table = Table::default();
            let mut model = std::collections::BTreeSet::new();
            let mut earlier = (table.clone(), model.clone());
            for (number, (adds, hash, slot)) in steps.into_iter().enumerate() {
                let hash = hash.wrapping_mul(0x9e37_79b9);
                if adds {
                    table.insert(hash, slot);
                    model.insert((hash, slot));
                } else {
                    table.remove(hash, slot);
                    model.remove(&(hash, slot));
                }
                if number == 700 {
                    earlier = (table.clone(), model.clone());
                }
            }
            for (table, model) in [(table, model), earlier] {
                prop_assert_eq!(table.len(), model.len());
                for hash in (0u32..600).map(|hash| hash.wrapping_mul(0x9e37_79b9)) {
                    let found: Vec<u32> = table.find(hash).collect();
                    let expected: Vec<u32> = (0..3).filter(|slot| model.contains(&(hash, *slot))).collect();
                    prop_assert_eq!(found, expected);
                }
                let most = table.shards.iter().map(|shard| shard.len()).max().unwrap_or(0);
                prop_assert!(table.shards.len() <= 1 + 4 * table.len() / SHARD_LEN && most <= 8 * SHARD_LEN);
            }
        }
    }

    #[test]
    fn slots_are_used_again() {
        let mut slots = Slots::default();
        assert_eq!((slots.insert('a'), slots.insert('b')), (0, 1));
        let earlier = slots.clone();
        slots.remove(0);
        assert_eq!(slots.get(0), None);
        assert_eq!(slots.insert('c'), 0);
        *slots.get_mut(1).unwrap() = 'd';
        assert_eq!(slots.iter().collect::<String>(), "cd");
        assert_eq!(earlier.iter().collect::<String>(), "ab");
    }
}
