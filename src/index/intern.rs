//! Equal things kept once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::name::Service;
use crate::snapshot::{Overrides, Pairs, Template};

/// The fewest entries at which a stock is looked through for what nobody uses any more.
const SWEEP_LEN_MIN: usize = 1024;

/// The index's stock of what many registrations share.
#[derive(Default)]
pub(super) struct Interner {
    texts: Stock<str>,
    services: Stock<Service>,
    methods: Stock<[Box<str>]>,
    pairs: Stock<Pairs>,
    templates: Stock<Template>,
}

impl Interner {
    pub fn text(&mut self, text: &str) -> Arc<str> {
        self.texts.keep(text, || text.into())
    }

    pub fn service(&mut self, service: Service) -> Arc<Service> {
        let made = Arc::new(service);
        self.services.keep(&made, || made.clone())
    }

    pub fn methods(&mut self, methods: Box<[Box<str>]>) -> Arc<[Box<str>]> {
        self.methods.keep(&methods, || methods.clone().into())
    }

    /// The shared list of these keys, and which of its values are others here.
    pub fn pairs(&mut self, pairs: Arc<Pairs>) -> (Arc<Pairs>, Box<Overrides>) {
        if let Some(shared) = self.pairs.find(&pairs)
            && let Some(own) = shared.overrides(&pairs)
        {
            return (shared, own);
        }
        self.pairs.put(pairs.clone());
        (pairs, Box::default())
    }

    /// The template that this one is equal to, and which of its values are others here: those of the pairs.
    pub fn template(&mut self, template: Template, pairs: &Pairs) -> (Arc<Template>, Box<Overrides>) {
        if let Some(shared) = self.templates.find(&template)
            && let Some(own) = shared.overrides(pairs)
        {
            return (shared, own);
        }
        let made = Arc::new(template);
        self.templates.put(made.clone());
        (made, Box::default())
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

impl<T: ?Sized + Hash + Eq> Stock<T>
where
    Arc<T>: Borrow<T>,
{
    fn keep(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        self.find(value).unwrap_or_else(|| {
            let made = make();
            self.put(made.clone());
            made
        })
    }

    fn find(&self, value: &T) -> Option<Arc<T>> {
        self.entries.get(value).cloned()
    }

    /// Keeps a value, in place of one that is equal.
    fn put(&mut self, value: Arc<T>) {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|entry| Arc::strong_count(entry) > 1);
            self.sweep_at = SWEEP_LEN_MIN.max(2 * self.entries.len());
        }
        self.entries.replace(value);
    }
}
