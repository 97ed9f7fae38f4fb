//! A profile: the Pods that it selects, and what the readers keep of them.
//!
//! A reader asks [`TextCollector`] about each key before it looks at the value, so that what no profile names is skipped
//! without allocating.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Pod;
use super::selector::LabelSelector;
use crate::registration::{ContainerPort, Encoding, PRESETS, PodParts, Preset, ProfileText, REGISTRATIONS_MAX, Wanted};

/// Selects Pods by a label selector, and says how their registrations are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchProfile {
    pub name: Arc<str>,
    /// The label selector: as text for the API server, and parsed for manifests.
    pub selector: LabelSelector,
    /// The key of the annotation with the registrations. `None` if they do not stand in one.
    pub annotation: Option<Box<str>>,
    /// How the registrations are written.
    pub encoding: Encoding,
    /// What the encoding names besides the annotation.
    wanted: Wanted,
}

/// A Pod as the source of each profile sends it, in the order of the profiles.
pub type ProfilePods = SmallVec<[Box<Pod>; 1]>;

impl WatchProfile {
    /// A profile.
    pub fn new(name: &str, selector: LabelSelector, annotation: Option<&str>, encoding: Encoding) -> WatchProfile {
        let wanted = encoding.wanted();
        WatchProfile { name: name.into(), selector, annotation: annotation.map(Into::into), encoding, wanted }
    }

    /// The preset of a name.
    pub fn preset(name: &str) -> Option<WatchProfile> {
        PRESETS.iter().find(|preset| preset.name == name).map(WatchProfile::of_preset)
    }

    /// A profile that has a name of its own.
    pub fn of_preset(preset: &Preset) -> WatchProfile {
        let selector = preset.selector.parse().expect("a selector that a test reads");
        WatchProfile::new(preset.name, selector, preset.annotation, preset.encoding())
    }

    /// Whether its registrations are pairs, and may stand in this annotation.
    pub(super) fn takes_pairs_from(&self, key: &str) -> bool {
        matches!(self.encoding, Encoding::Pairs { .. }) && self.takes_annotation(key)
    }

    /// The key of the annotation that leaves the plain annotations to `callsign register`.
    pub(super) fn register_key(&self) -> Option<String> {
        self.encoding.register_key()
    }

    fn takes_annotation(&self, key: &str) -> bool {
        self.annotation.as_deref() == Some(key) || self.wanted.takes_annotation(key)
    }
}

/// The profiles that apply unless the operator names others.
pub fn default_profiles() -> Vec<WatchProfile> {
    ["app", "dubbo"].into_iter().filter_map(WatchProfile::preset).collect()
}

/// The keys that any of several profiles names.
#[derive(Clone, Copy)]
pub(super) struct NamedKeys<'p>(&'p [WatchProfile]);

impl NamedKeys<'_> {
    pub(super) fn have_labels(self) -> bool {
        self.0.iter().any(|profile| !profile.wanted.labels.is_empty())
    }

    pub(super) fn take_label(self, key: &str) -> bool {
        self.0.iter().any(|profile| profile.wanted.takes_label(key))
    }

    pub(super) fn take_annotation(self, key: &str) -> bool {
        self.0.iter().any(|profile| profile.takes_annotation(key))
    }
}

/// Collects what each of several profiles names of one Pod.
///
/// Of two values of one key the later one counts. One that is not a text removes an earlier one.
pub(super) struct TextCollector<'p> {
    profiles: &'p [WatchProfile],
    /// One for each profile.
    texts: SmallVec<[PartialText; 1]>,
    ports: Vec<ContainerPort>,
}

/// What is known so far.
#[derive(Default)]
struct PartialText {
    value: Option<Arc<str>>,
    labels: Vec<KeptEntry>,
    annotations: Vec<KeptEntry>,
}

/// A key and its value. `None`: the value is not a text.
type KeptEntry = (Box<str>, Option<Box<str>>);

impl<'p> TextCollector<'p> {
    pub(super) fn new(profiles: &'p [WatchProfile]) -> TextCollector<'p> {
        let texts = profiles.iter().map(|_| PartialText::default()).collect();
        TextCollector { profiles, texts, ports: Vec::new() }
    }

    /// The keys to put.
    pub(super) fn keys(&self) -> NamedKeys<'p> {
        NamedKeys(self.profiles)
    }

    pub(super) fn put_label(&mut self, key: &str, value: Option<&str>) {
        let of_profiles = self.profiles.iter().zip(&mut self.texts);
        for (_, text) in of_profiles.filter(|(profile, _)| profile.wanted.takes_label(key)) {
            text.labels.push((key.into(), value.map(Into::into)));
        }
    }

    pub(super) fn put_annotation(&mut self, key: &str, value: Option<&str>) {
        for (profile, text) in self.profiles.iter().zip(&mut self.texts) {
            if profile.annotation.as_deref() == Some(key) {
                text.value = value.map(Into::into);
            } else if profile.wanted.takes_annotation(key) {
                text.annotations.push((key.into(), value.map(Into::into)));
            }
        }
    }

    /// Whether a profile reads the container ports of this Pod. To be asked after the annotations.
    pub(super) fn takes_ports(&self) -> bool {
        self.profiles.iter().zip(&self.texts).any(|(profile, text)| text.takes_ports(profile))
    }

    /// Adds a TCP port. One more than there may be registrations is enough to see that there are too many.
    pub(super) fn put_port(&mut self, name: &str, number: u16) {
        if self.ports.len() <= REGISTRATIONS_MAX {
            self.ports.push(ContainerPort { name: name.into(), number });
        }
    }

    /// What each profile names, in their order.
    pub(super) fn finish(self) -> impl Iterator<Item = ProfileText> {
        let TextCollector { profiles, texts, ports } = self;
        profiles.iter().zip(texts).map(move |(profile, text)| {
            let ports = if text.takes_ports(profile) { ports.as_slice().into() } else { Box::default() };
            let parts = PodParts { labels: sorted(text.labels), annotations: sorted(text.annotations), ports };
            let is_empty = parts.labels.is_empty() && parts.annotations.is_empty() && parts.ports.is_empty();
            ProfileText { value: text.value, parts: (!is_empty).then(|| Arc::new(parts)) }
        })
    }
}

impl PartialText {
    /// A Pod that has nothing for a profile with an annotation of its own needs no ports.
    fn takes_ports(&self, profile: &WatchProfile) -> bool {
        let has_text = profile.annotation.is_none() || self.value.is_some() || !self.annotations.is_empty();
        profile.wanted.ports && has_text
    }
}

/// The entries by key, the last one of each.
fn sorted(mut entries: Vec<KeptEntry>) -> Box<[(Box<str>, Box<str>)]> {
    entries.sort_by(|(one, _), (other, _)| other.cmp(one));
    entries.reverse(); // ascending, and of equal keys the last one first
    entries.dedup_by(|(one, _), (other, _)| one == other);
    entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The Pod as the source of each profile sends it.
pub(super) fn with_texts(pod: Pod, collector: TextCollector<'_>) -> ProfilePods {
    let mut texts: SmallVec<[ProfileText; 1]> = collector.finish().collect();
    let last = texts.pop();
    let mut pods: ProfilePods = texts.into_iter().map(|text| Box::new(Pod { text, ..pod.clone() })).collect();
    pods.extend(last.map(|text| Box::new(Pod { text, ..pod })));
    pods
}

/// A profile for tests whose registrations are pairs in an annotation.
#[cfg(test)]
pub(super) fn pairs(annotation: &str) -> WatchProfile {
    let selector = "a=b".parse().expect("a selector");
    WatchProfile::new("p", selector, Some(annotation), Encoding::Pairs { plain: None })
}
