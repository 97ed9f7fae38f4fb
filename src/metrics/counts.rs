//! Counters by the values of a label.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

/// One counter for each of the `N` values of a label, in the order of the values.
#[derive(Debug)]
pub(crate) struct Counts<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Counts<N> {
        Counts(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Counts<N> {
    /// Adds one for the value with this index.
    pub(crate) fn add(&self, at: usize) {
        if let Some(count) = self.0.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Subtracts one for the value with this index.
    pub(crate) fn subtract(&self, at: usize) {
        if let Some(count) = self.0.get(at) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// All counters, each with the label of this name and its value.
    pub(crate) fn samples(
        &self,
        name: &'static str,
        values: [&'static str; N],
    ) -> impl Iterator<Item = ([(&'static str, &'static str); 1], u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        values.into_iter().zip(counts).map(move |(value, count)| ([(name, value)], count))
    }
}
