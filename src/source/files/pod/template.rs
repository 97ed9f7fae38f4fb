//! Reads the Pod template of a workload: what each of its Pods is written with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{InvalidPod, NAMESPACE, PodReader, PodTexts, fields, rule, text, texts, title, types};
use crate::object_name::{is_namespace, is_pod_name};
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
    /// The workload's name.
    pub name: Arc<str>,
    /// The place of the template in the workload, such as `spec.template`.
    pub path: &'static str,
    /// The indexes of the profiles whose selectors match, each with what the profile names of the template.
    pub by_profile: Vec<(usize, ProfileText)>,
    /// The profiles that do not select the template, although it has an annotation for them.
    pub unselected: Vec<Unselected>,
    /// The annotations for a profile that the workload has and its template lacks, by their keys as they may be shown.
    pub misplaced: Vec<Box<str>>,
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
    pub(in crate::source::files) fn read(
        self,
        object: &NodeMap,
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
        let labels_above = texts(own.get("labels")).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let mut unselected = read.unselected(profiles);
        for Unselected { profile, has_label_above, .. } in &mut unselected {
            *has_label_above = profiles.get(*profile).is_some_and(|profile| profile.selector.matches(&labels_above));
        }
        let is_lacking = |key: &str| !read.annotations.contains_key(key);
        let is_named = |key: &str| profiles.iter().any(|profile| profile.takes_pairs_from(key));
        let above = texts(own.get("annotations")).map(|(key, _)| key);
        Ok(PodTemplate {
            file: file.to_owned(),
            document,
            kind: self.kind,
            namespace: namespace.into(),
            name: name.into(),
            path: self.path,
            by_profile: read.by_profile(profiles),
            unselected,
            misplaced: above.filter(|key| is_lacking(key) && is_named(key)).map(shown_key).collect(),
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
    let name = text(metadata.get("name")).filter(|name| is_pod_name(name)).unwrap_or_default();
    if name.is_empty() {
        reader.refuse(format!("metadata.name is missing or not a DNS subdomain: write {}", rule::NAME));
    }
    (namespace, name)
}
