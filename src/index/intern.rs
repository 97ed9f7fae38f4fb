//! Equal things kept once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::name::Service;
use crate::snapshot::{Pair, Published};

/// The fewest entries at which a stock is looked through for what nobody uses any more.
const SWEEP_LEN_MIN: usize = 1024;

/// The index's stock of what many registrations share.
#[derive(Default)]
pub(super) struct Interner {
    texts: Stock<str>,
    services: Stock<Service>,
    published: Stock<Published>,
    unpublished: Stock<[Pair]>,
}

impl Interner {
    pub fn text(&mut self, text: &str) -> Arc<str> {
        self.texts.keep(text, || text.into())
    }

    pub fn service(&mut self, service: Service) -> Arc<Service> {
        self.services.keep_own(service)
    }

    pub fn published(&mut self, published: Published) -> Arc<Published> {
        self.published.keep_own(published)
    }

    pub fn unpublished(&mut self, pairs: Vec<Pair>) -> Arc<[Pair]> {
        self.unpublished.keep(&pairs, || pairs.clone().into())
    }
}

/// A set of shared values, swept whenever it has doubled.
struct Stock<T: ?Sized> {
    entries: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Stock<T> {
    fn default() -> Stock<T> {
        Stock { entries: HashSet::new(), sweep_at: SWEEP_LEN_MIN }
    }
}

impl<T: ?Sized + Hash + Eq> Stock<T> {
    fn keep(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T>
    where
        Arc<T>: Borrow<T>,
    {
        if let Some(found) = self.entries.get(value) {
            return found.clone();
        }
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|entry| Arc::strong_count(entry) > 1);
            self.sweep_at = SWEEP_LEN_MIN.max(2 * self.entries.len());
        }
        let made = make();
        self.entries.insert(made.clone());
        made
    }
}

impl<T: Hash + Eq> Stock<T> {
    fn keep_own(&mut self, value: T) -> Arc<T> {
        let made = Arc::new(value);
        self.keep(&made, || made.clone())
    }
}
