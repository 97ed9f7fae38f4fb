//! The metadata of registrations, with each shared part stored once.
//!
//! The Pods of one Pod template publish the same metadata except for a start time or a process id, and the services of
//! one program the same except for a name. So a list of pairs is stored once, with the values that came first. A
//! [`Template`] adds the values that differ by service, and a [`Registered`](super::Registered) those that differ by
//! Pod.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::name::Service;
use crate::registration::PairList;

/// Values that replace those of a list of pairs, by the pair's index, sorted.
pub type Overrides = [(u16, Box<str>)];

/// The overridden values of one Pod: usually one, its start time.
pub type OwnValues = SmallVec<[(u16, Box<str>); 1]>;

/// The most values in which a registration may differ from a shared list. With more it gets a separate list.
pub const OVERRIDES_MAX: usize = 8;

/// A shared list of pairs: first the published ones by key, then the others by key. Two lists are equal if their keys
/// are.
#[derive(Debug)]
pub struct Pairs {
    pairs: PairList,
    published: usize,
}

/// What many Pods register alike.
#[derive(Debug)]
pub struct Template {
    /// The service that they register.
    pub service: Arc<Service>,
    /// What the program's other services share too.
    pub common: Arc<CommonMetadata>,
    /// The methods, in the order written.
    pub methods: Arc<[Box<str>]>,
    /// The values that differ from the shared pairs by service.
    pub own: Box<Overrides>,
}

/// What the services of one program register alike. Two are equal if they share their pairs.
#[derive(Debug)]
pub struct CommonMetadata {
    /// The protocol as written.
    pub protocol: Arc<str>,
    /// The protocol's label in names, if the protocol has one.
    pub protocol_label: Option<Arc<str>>,
    /// The annotation's profile.
    pub profile: Arc<str>,
    /// The application's name, if the process gave one.
    pub application: Option<Arc<str>>,
    /// The metadata.
    pub pairs: Arc<Pairs>,
    /// How many pairs were withheld because they look like secrets.
    pub withheld: u32,
    /// How many pairs were left out because their key cannot be a TXT key.
    pub left_out: u32,
}

/// A view of one registration's content: all of it, or the part in its TXT record. Two are equal if their content is.
#[derive(Clone, Copy, Debug)]
pub struct MetadataView<'r> {
    template: &'r Template,
    own: &'r Overrides,
    /// How many of the pairs it has.
    len: usize,
}

impl Pairs {
    /// Sorted pairs. The published ones come first.
    pub fn new(published: Vec<(&str, &str)>, others: Vec<(&str, &str)>) -> Pairs {
        let count = published.len();
        Pairs { pairs: published.into_iter().chain(others).collect(), published: count }
    }

    /// The values in which a list, sorted by key, differs from this one. `None` if they are too many, or the keys
    /// differ.
    pub fn overrides(&self, list: &PairList) -> Option<Box<Overrides>> {
        overrides(self, &[], list)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(key, _)| key)
    }
}

impl PartialEq for Pairs {
    fn eq(&self, other: &Pairs) -> bool {
        self.published == other.published && self.keys().eq(other.keys())
    }
}

impl Eq for Pairs {}

impl Hash for Pairs {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.keys().for_each(|key| key.hash(state));
    }
}

impl CommonMetadata {
    fn identity(&self) -> impl Eq + Hash {
        let CommonMetadata { protocol, protocol_label: _, profile, application, pairs, withheld, left_out } = self;
        (protocol, profile, application, Arc::as_ptr(pairs), withheld, left_out)
    }
}

impl PartialEq for CommonMetadata {
    fn eq(&self, other: &CommonMetadata) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for CommonMetadata {}

impl Hash for CommonMetadata {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl Template {
    /// The values in which a list, sorted by key, differs from this template. `None` if they are too many, or the keys
    /// differ.
    pub fn overrides(&self, list: &PairList) -> Option<Box<Overrides>> {
        overrides(&self.common.pairs, &self.own, list)
    }

    /// The whole content, with a Pod's own values.
    pub fn metadata<'r>(&'r self, own: &'r Overrides) -> MetadataView<'r> {
        MetadataView { template: self, own, len: self.common.pairs.pairs.len() }
    }

    /// The content of the TXT record, with a Pod's own values.
    pub fn published<'r>(&'r self, own: &'r Overrides) -> MetadataView<'r> {
        MetadataView { len: self.common.pairs.published, ..self.metadata(own) }
    }

    /// Whether both are equal apart from metadata.
    pub fn is_of_same_kind(&self, other: &Template) -> bool {
        let kind = |one: &CommonMetadata| (one.protocol.clone(), one.profile.clone(), one.withheld, one.left_out);
        let is_of_common = || Arc::ptr_eq(&self.common, &other.common) || kind(&self.common) == kind(&other.common);
        std::ptr::eq(self, other) || (self.service == other.service && is_of_common())
    }
}

impl<'r> MetadataView<'r> {
    /// The application's name, if the process gave one.
    pub fn application(self) -> Option<&'r str> {
        self.template.common.application.as_deref()
    }

    /// The methods, in the order written.
    pub fn methods(self) -> &'r [Box<str>] {
        &self.template.methods
    }

    /// The number of pairs, and the length of all their keys and values in bytes. It looks only at overridden values.
    pub fn counts(self) -> (usize, usize) {
        let pairs = &self.template.common.pairs.pairs;
        debug_assert_eq!(self.len, pairs.len(), "the whole content");
        let overridden = self.overridden().filter_map(|at| Some((pairs.get(at)?.1.len(), self.value(at)?.len())));
        let text_len = overridden.fold(pairs.text_len(), |sum, (shared, own)| sum + own - shared);
        (pairs.len(), text_len)
    }

    /// The values in which it differs from another view. `None` if their keys differ. If both have the same shared
    /// pairs, it looks only at overridden values.
    pub fn differing_values(self, other: MetadataView<'_>) -> Option<impl Iterator<Item = &'r str>> {
        let is_shared = Arc::ptr_eq(&self.template.common.pairs, &other.template.common.pairs) && self.len == other.len;
        let places = match is_shared {
            true => unique(self.overridden().chain(other.overridden()).collect()),
            false if self.keys().eq(other.keys()) => (0..self.len).collect(),
            false => return None,
        };
        Some(places.into_iter().filter_map(move |at| {
            let value = self.value(at)?;
            (other.value(at) != Some(value)).then_some(value)
        }))
    }

    fn keys(self) -> impl Iterator<Item = &'r str> {
        self.template.common.pairs.keys().take(self.len)
    }

    /// The indexes of the pairs whose values are not the shared ones, each once.
    fn overridden(self) -> impl Iterator<Item = usize> + use<'r> {
        let places = self.own.iter().chain(&*self.template.own).map(|(at, _)| usize::from(*at));
        unique(places.filter(|at| *at < self.len).collect()).into_iter()
    }

    fn value(self, at: usize) -> Option<&'r str> {
        self.own_value(at).or_else(|| self.template.common.pairs.pairs.get(at).map(|(_, value)| value))
    }

    /// The value that replaces the shared one at an index.
    fn own_value(self, at: usize) -> Option<&'r str> {
        of(self.own, at).or_else(|| of(&self.template.own, at))
    }

    /// The metadata: first the published pairs by key, then the others by key.
    pub fn pairs(self) -> impl Iterator<Item = (&'r str, &'r str)> {
        let shared = self.template.common.pairs.pairs.range(0..self.len);
        shared.enumerate().map(move |(at, (key, value))| (key, self.own_value(at).unwrap_or(value)))
    }
}

impl PartialEq for MetadataView<'_> {
    fn eq(&self, other: &MetadataView<'_>) -> bool {
        let is_same_view = std::ptr::eq(self.template, other.template) && self.len == other.len;
        (is_same_view && self.own == other.own)
            || (self.application() == other.application()
                && self.methods() == other.methods()
                && self.differing_values(*other).is_some_and(|mut values| values.next().is_none()))
    }
}

impl Eq for MetadataView<'_> {}

impl Hash for MetadataView<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.application(), self.methods()).hash(state);
        self.pairs().for_each(|pair| pair.hash(state));
    }
}

fn unique(mut places: SmallVec<[usize; 16]>) -> SmallVec<[usize; 16]> {
    places.sort_unstable();
    places.dedup();
    places
}

/// The value that replaces the one at an index.
fn of(overrides: &Overrides, place: usize) -> Option<&str> {
    overrides.iter().find(|(at, _)| usize::from(*at) == place).map(|(_, value)| &**value)
}

/// The values in which a list, sorted by key, differs from a shared list with some values overridden.
fn overrides(shared: &Pairs, own: &Overrides, list: &PairList) -> Option<Box<Overrides>> {
    let part = |part: Range<usize>| part.clone().zip(shared.pairs.range(part)).peekable();
    let (mut published, mut others) = (part(0..shared.published), part(shared.published..shared.pairs.len()));
    let mut differ: SmallVec<[(u16, Box<str>); 1]> = SmallVec::new();
    for (key, value) in list.iter() {
        // The list is sorted by key, and so are both parts. So its next key is the next key of one part.
        let is_next = |(_, (next, _)): &(usize, (&str, &str))| *next == key;
        let (at, (_, said)) = others.next_if(is_next).or_else(|| published.next_if(is_next))?;
        if of(own, at).unwrap_or(said) != value {
            if differ.len() == OVERRIDES_MAX {
                return None;
            }
            differ.push((u16::try_from(at).ok()?, value.into()));
        }
    }
    differ.sort_unstable_by_key(|(at, _)| *at);
    (published.next().is_none() && others.next().is_none()).then(|| differ.into_vec().into())
}
