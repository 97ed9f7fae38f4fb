//! Collects what a profile names of a Pod.

use std::sync::Arc;

use super::{ContainerPort, PodParts, ProfileText, REGISTRATIONS_MAX, Wanted};

/// Collects the [`ProfileText`] of a Pod, and skips what the profile does not name without allocating.
///
/// Of two values of one key the later one counts. One that is not a text removes an earlier one. Ports come after the annotations.
pub struct TextCollector<'w> {
    /// The key of the profile's own annotation, if it has one.
    annotation: Option<&'w str>,
    wanted: &'w Wanted,
    value: Option<Arc<str>>,
    labels: Vec<KeptEntry>,
    annotations: Vec<KeptEntry>,
    ports: Vec<ContainerPort>,
}

/// A key and its value. `None`: the value is not a text.
type KeptEntry = (Box<str>, Option<Box<str>>);

impl<'w> TextCollector<'w> {
    /// Collects the profile's own annotation, and what its encoding names besides it.
    pub fn new(annotation: Option<&'w str>, wanted: &'w Wanted) -> TextCollector<'w> {
        let (labels, annotations, ports) = (Vec::new(), Vec::new(), Vec::new());
        TextCollector { annotation, wanted, value: None, labels, annotations, ports }
    }

    pub fn put_label(&mut self, key: &str, value: Option<&str>) {
        if self.wanted.takes_label(key) {
            self.labels.push((key.into(), value.map(Into::into)));
        }
    }

    pub fn put_annotation(&mut self, key: &str, value: Option<&str>) {
        if self.annotation == Some(key) {
            self.value = value.map(Into::into);
        } else if self.wanted.takes_annotation(key) {
            self.annotations.push((key.into(), value.map(Into::into)));
        }
    }

    /// Whether the profile reads the container ports of this Pod. A Pod that has nothing for a profile with an annotation of its own needs
    /// no ports.
    pub fn takes_ports(&self) -> bool {
        let has_text = self.annotation.is_none() || self.value.is_some() || !self.annotations.is_empty();
        self.wanted.ports && has_text
    }

    /// Adds a TCP port. One more than there may be registrations is enough to see that there are too many.
    pub fn put_port(&mut self, name: impl Into<Box<str>>, number: u16) {
        if self.takes_ports() && self.ports.len() <= REGISTRATIONS_MAX {
            self.ports.push(ContainerPort { name: name.into(), number });
        }
    }

    pub fn finish(self) -> ProfileText {
        let (labels, annotations) = (sorted(self.labels), sorted(self.annotations));
        let parts = PodParts { labels, annotations, ports: self.ports.into() };
        ProfileText { value: self.value, parts: (parts != PodParts::default()).then(|| Arc::new(parts)) }
    }
}

/// The entries by key, the last one of each.
fn sorted(mut entries: Vec<KeptEntry>) -> Box<[(Box<str>, Box<str>)]> {
    entries.sort_by(|(one, _), (other, _)| other.cmp(one));
    entries.reverse(); // ascending, and of equal keys the last one first
    entries.dedup_by(|(one, _), (other, _)| one == other);
    entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}
