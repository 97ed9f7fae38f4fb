//! What a source hands over of one Pod for one profile: exactly what the profile's encoding names.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::TextCollector;

/// What a Pod says of itself under one profile. Two equal texts decode to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProfileText {
    /// The value of the profile's annotation. `None` if the Pod does not have it.
    pub value: Option<Arc<str>>,
    /// What else the encoding names. `None` if the Pod has none of it.
    pub parts: Option<Arc<PodParts>>,
}

/// The labels, annotations and container ports that an encoding names, except the profile's own annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodParts {
    /// Labels, sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Annotations, sorted by key.
    pub annotations: Box<[(Box<str>, Box<str>)]>,
    /// The ports of `spec.containers`, then those of `spec.initContainers` with `restartPolicy: Always`: those of TCP,
    /// and those without a protocol.
    pub ports: Box<[ContainerPort]>,
}

/// A TCP port of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContainerPort {
    /// Its name. Empty if it has none.
    pub name: Box<str>,
    /// Its number.
    pub number: u16,
}

/// The keys that an encoding names. A source keeps these, and skips all else of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Labels by key.
    pub labels: BTreeSet<Box<str>>,
    /// Annotations by key.
    pub annotations: BTreeSet<Box<str>>,
    /// Annotations by the beginning of their keys.
    pub annotation_prefixes: Vec<Box<str>>,
    /// Whether the container ports are named.
    pub ports: bool,
}

impl ProfileText {
    /// What a profile names of a Pod. `annotation` is the key of the profile's own annotation, if it has one.
    pub fn of<'p>(
        annotation: Option<&str>,
        wanted: &Wanted,
        labels: impl IntoIterator<Item = (&'p str, &'p str)>,
        annotations: impl IntoIterator<Item = (&'p str, &'p str)>,
        ports: impl IntoIterator<Item = ContainerPort>,
    ) -> ProfileText {
        let mut text = TextCollector::new(annotation, wanted);
        labels.into_iter().for_each(|(key, value)| text.put_label(key, Some(value)));
        annotations.into_iter().for_each(|(key, value)| text.put_annotation(key, Some(value)));
        ports.into_iter().for_each(|port| text.put_port(port.name, port.number));
        text.finish()
    }

    /// The value of the profile's annotation alone.
    pub fn of_value(value: impl Into<Arc<str>>) -> ProfileText {
        ProfileText { value: Some(value.into()), parts: None }
    }

    /// Roughly what it takes in memory, in bytes.
    pub fn len_in_memory(&self) -> usize {
        let parts = self.parts.as_ref().map_or(0, |parts| {
            let pairs = size_of_val(&*parts.labels) + size_of_val(&*parts.annotations);
            size_of::<PodParts>() + pairs + size_of_val(&*parts.ports) + parts.len()
        });
        self.value.as_deref().map_or(0, str::len) + parts
    }
}

impl PodParts {
    /// The value of a label. Empty if the Pod does not have it.
    pub(super) fn label(&self, key: &str) -> &str {
        value_of(&self.labels, key)
    }

    /// The value of an annotation. Empty if the Pod does not have it.
    pub(super) fn annotation(&self, key: &str) -> &str {
        value_of(&self.annotations, key)
    }

    /// The annotations whose keys begin with a prefix, each by the rest of its key.
    pub(super) fn annotations_under<'p>(&'p self, prefix: &'p str) -> impl Iterator<Item = (&'p str, &'p str)> {
        self.annotations.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, &**value)))
    }

    /// The length of all keys, values and names, in bytes.
    pub(super) fn len(&self) -> usize {
        let pairs = self.labels.iter().chain(&self.annotations).map(|(key, value)| key.len() + value.len());
        let ports = self.ports.iter().map(|port| port.name.len() + size_of_val(&port.number));
        pairs.chain(ports).sum()
    }
}

fn value_of<'p>(pairs: &'p [(Box<str>, Box<str>)], key: &str) -> &'p str {
    let found = pairs.binary_search_by(|(other, _)| (**other).cmp(key)).ok().and_then(|at| pairs.get(at));
    found.map_or("", |(_, value)| value)
}

impl Wanted {
    /// Whether it names a label.
    pub fn takes_label(&self, key: &str) -> bool {
        self.labels.contains(key)
    }

    /// Whether it names an annotation.
    pub fn takes_annotation(&self, key: &str) -> bool {
        self.annotations.contains(key) || self.annotation_prefixes.iter().any(|prefix| key.starts_with(&**prefix))
    }

    /// Adds what another encoding names.
    pub fn add(&mut self, other: &Wanted) {
        self.labels.extend(other.labels.iter().cloned());
        self.annotations.extend(other.annotations.iter().cloned());
        self.annotation_prefixes.extend(other.annotation_prefixes.iter().cloned());
        self.annotation_prefixes.sort();
        self.annotation_prefixes.dedup();
        self.ports |= other.ports;
    }
}
