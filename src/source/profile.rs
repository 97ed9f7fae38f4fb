//! A profile: the Pods that it selects, and what the readers keep of them.
//!
//! A reader asks [`NamedKeys`] about each key before it looks at the value, so that what no profile names is skipped
//! without allocating.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Pod;
use super::selector::LabelSelector;
#[cfg(feature = "server")]
use crate::registration::ContainerPort;
use crate::registration::{Encoding, PRESETS, Preset, ProfileText, TextCollector, Wanted};

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
    #[cfg(feature = "server")]
    pub(super) fn takes_pairs_from(&self, key: &str) -> bool {
        matches!(self.encoding, Encoding::Pairs { .. }) && self.takes_annotation(key)
    }

    /// The key of the annotation that leaves the plain annotations to `callsign register`.
    #[cfg(feature = "server")]
    pub(super) fn register_key(&self) -> Option<String> {
        self.encoding.register_key()
    }

    /// What the profile names of a Pod.
    #[cfg(feature = "server")]
    pub(super) fn text_of<'t>(
        &self,
        labels: impl IntoIterator<Item = (&'t str, &'t str)>,
        annotations: impl IntoIterator<Item = (&'t str, &'t str)>,
        ports: impl IntoIterator<Item = ContainerPort>,
    ) -> ProfileText {
        ProfileText::of(self.annotation.as_deref(), &self.wanted, labels, annotations, ports)
    }

    /// Whether it names this annotation.
    pub(super) fn takes_annotation(&self, key: &str) -> bool {
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
pub(super) struct ProfileTexts<'p> {
    profiles: &'p [WatchProfile],
    /// One for each profile.
    texts: SmallVec<[TextCollector<'p>; 1]>,
}

impl<'p> ProfileTexts<'p> {
    pub(super) fn new(profiles: &'p [WatchProfile]) -> ProfileTexts<'p> {
        let collector = |profile: &'p WatchProfile| TextCollector::new(profile.annotation.as_deref(), &profile.wanted);
        ProfileTexts { profiles, texts: profiles.iter().map(collector).collect() }
    }

    /// The keys to put.
    pub(super) fn keys(&self) -> NamedKeys<'p> {
        NamedKeys(self.profiles)
    }

    pub(super) fn put_label(&mut self, key: &str, value: Option<&str>) {
        self.texts.iter_mut().for_each(|text| text.put_label(key, value));
    }

    pub(super) fn put_annotation(&mut self, key: &str, value: Option<&str>) {
        self.texts.iter_mut().for_each(|text| text.put_annotation(key, value));
    }

    /// Whether a profile reads the container ports of this Pod. To be asked after the annotations.
    pub(super) fn takes_ports(&self) -> bool {
        self.texts.iter().any(TextCollector::takes_ports)
    }

    pub(super) fn put_port(&mut self, name: &str, number: u16) {
        self.texts.iter_mut().for_each(|text| text.put_port(name, number));
    }
}

/// The Pod as the source of each profile sends it.
pub(super) fn with_texts(pod: Pod, collected: ProfileTexts<'_>) -> ProfilePods {
    let mut texts: SmallVec<[ProfileText; 1]> = collected.texts.into_iter().map(TextCollector::finish).collect();
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
