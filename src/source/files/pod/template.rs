//! Reads the Pod template of a workload: what each of its Pods is written with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{InvalidPod, NAMESPACE, PodReader, PodTexts, fields, name_of, rule, text, texts, title, types};
use crate::object_name::is_namespace;
use crate::registration::{ProfileText, shown_key};
use crate::source::WatchProfile;
use crate::source::files::Unselected;
use crate::source::files::node::{Node, NodeMap};

/// A Pod template of a manifest, with what each profile names of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTemplate {
    /// The file.
    pub file: PathBuf,
    /// The document of the file, counted from 1.
    pub document: usize,
    /// The kind of the workload, such as `Deployment`.
    pub kind: &'static str,
    /// The workload's namespace.
    pub namespace: Arc<str>,
    /// The workload's name, or its `generateName`.
    pub name: Arc<str>,
    /// The place of the template in the workload, such as `spec.template`.
    pub path: &'static str,
    /// The indexes of the profiles whose selectors match, each with what the profile names of the template.
    pub by_profile: Vec<(usize, ProfileText)>,
    /// The profiles that do not select the template, although it has an annotation for them.
    pub unselected: Vec<Unselected>,
    /// The annotations for a profile that the workload has and its template lacks.
    pub misplaced: Vec<MisplacedAnnotation>,
}

/// An annotation of a workload that its Pods do not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisplacedAnnotation {
    /// Its key, as it may be shown.
    pub key: Box<str>,
    /// The object that has it, such as `spec.jobTemplate`. Empty if it is the workload itself.
    pub place: &'static str,
}

/// A kind whose objects create Pods from a template.
#[derive(Clone, Copy)]
pub(in crate::source::files) struct Workload {
    pub(in crate::source::files) kind: &'static str,
    /// The beginning of its `apiVersion`.
    api: &'static str,
    path: &'static str,
}

const fn workload(kind: &'static str, api: &'static str) -> Workload {
    Workload { kind, api, path: "spec.template" }
}

pub(in crate::source::files) const WORKLOADS: [Workload; 7] = [
    workload("Deployment", "apps/"),
    workload("StatefulSet", "apps/"),
    workload("DaemonSet", "apps/"),
    workload("ReplicaSet", "apps/"),
    workload("ReplicationController", "v1"),
    workload("Job", "batch/"),
    Workload { kind: "CronJob", api: "batch/", path: "spec.jobTemplate.spec.template" },
];

impl Workload {
    /// The workload that an object is. Another API may have a kind of the same name.
    pub(in crate::source::files) fn of(kind: &str, object: &NodeMap) -> Option<Workload> {
        let is_api = |api: &str| text(object.get("apiVersion")).is_none_or(|version| version.starts_with(api));
        WORKLOADS.into_iter().find(|workload| workload.kind == kind && is_api(workload.api))
    }

    /// Reads the template of a workload.
    pub(in crate::source::files) fn read<'n>(
        self,
        object: &'n NodeMap,
        profiles: &[WatchProfile],
        (file, document): (&Path, usize),
    ) -> Result<PodTemplate, InvalidPod> {
        let nothing = NodeMap::new();
        let own = fields(object.get("metadata")).unwrap_or(&nothing);
        let mut reader = PodReader { faults: Vec::new(), left_out: 0 };
        let (namespace, name) = names(own, &mut reader);
        let template = self.path.split('.').try_fold(object, |object, key| fields(object.get(key)));
        let read = template.map(|template| reader.template(template, self.path));
        if read.is_none() {
            reader.refuse(format!("{} is missing: write the metadata and the spec of the Pods there", self.path));
        }
        let PodReader { faults, left_out } = reader;
        let (Some(read), true) = (read, faults.is_empty()) else {
            return Err(InvalidPod { pod: title(object), faults, left_out });
        };
        let mut unselected = read.unselected(profiles);
        for Unselected { profile, has_label_above, .. } in &mut unselected {
            let Some(profile) = profiles.get(*profile) else { continue };
            let mut above = self.metadata_above(object);
            *has_label_above = above.any(|(_, metadata)| profile.selector.matches(&labels_of(metadata)));
        }
        let is_lacking = |key: &str| !read.annotations.contains_key(key);
        let is_named = |key: &str| profiles.iter().any(|profile| profile.takes_pairs_from(key));
        let keys = |(place, metadata): (&'static str, &'n NodeMap)| {
            texts(metadata.get("annotations")).map(move |(key, _)| (place, key))
        };
        let misplaced = self.metadata_above(object).flat_map(keys).filter(|(_, key)| is_lacking(key) && is_named(key));
        Ok(PodTemplate {
            file: file.to_owned(),
            document,
            kind: self.kind,
            namespace: namespace.into(),
            name: name.into(),
            path: self.path,
            by_profile: read.by_profile(profiles),
            unselected,
            misplaced: misplaced.map(|(place, key)| MisplacedAnnotation { key: shown_key(key), place }).collect(),
        })
    }

    /// The metadata of the workload and of each object between it and the template, with the place of that object.
    fn metadata_above(self, object: &NodeMap) -> impl Iterator<Item = (&'static str, &NodeMap)> {
        let dots = self.path.match_indices('.').map(|(at, _)| at);
        let places = std::iter::once(0).chain(dots).filter_map(|end| self.path.get(..end));
        places.filter_map(move |place| {
            let mut keys = place.split('.').filter(|key| !key.is_empty());
            let above = keys.try_fold(object, |object, key| fields(object.get(key)))?;
            Some((place, fields(above.get("metadata"))?))
        })
    }
}

impl PodReader {
    /// Reads a template. Its faults are named by their place in the workload.
    fn template<'n>(&mut self, template: &'n NodeMap, path: &str) -> PodTexts<'n> {
        static NOTHING: NodeMap = NodeMap::new();
        let mut reader = PodReader { faults: Vec::new(), left_out: 0 };
        types::check(template, &mut |fault| reader.refuse(fault));
        for key in ["apiVersion", "kind", "status"].into_iter().filter(|key| template.contains_key(*key)) {
            reader.refuse(format!("{key} is not a key of a Pod template: leave it out"));
        }
        let texts = if reader.faults.is_empty() {
            let [metadata, spec] = ["metadata", "spec"].map(|part| fields(template.get(part)).unwrap_or(&NOTHING));
            reader.texts(metadata, spec)
        } else {
            PodTexts::default()
        };
        reader.faults.iter().for_each(|fault| self.refuse(format!("{path}.{fault}")));
        self.left_out += reader.left_out;
        texts
    }
}

/// The namespace and the name of a workload.
fn names<'n>(metadata: &'n NodeMap, reader: &mut PodReader) -> (&'n str, &'n str) {
    let namespace = match metadata.get("namespace") {
        None | Some(Node::Null) => NAMESPACE,
        namespace => text(namespace).filter(|namespace| is_namespace(namespace)).unwrap_or_default(),
    };
    if namespace.is_empty() {
        reader.refuse(format!("metadata.namespace is not a DNS label: write {}", rule::NAMESPACE));
    }
    let name = name_of(metadata);
    if name.is_none() {
        reader.refuse(match ["name", "generateName"].into_iter().find(|key| text(metadata.get(*key)).is_some()) {
            Some(key) => format!("metadata.{key} is not a DNS subdomain: write {}", rule::NAME),
            None => format!("metadata.name is missing: write {}", rule::NAME),
        });
    }
    (namespace, name.unwrap_or_default())
}

fn labels_of(metadata: &NodeMap) -> BTreeMap<String, String> {
    texts(metadata.get("labels")).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
