//! The text of a manifest becomes Pods.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{FileProblem, ManifestPod};
use crate::name::{is_namespace, is_pod_name};
use crate::source::kube::pod::{PodObject, RawPod};
use crate::source::{Phase, Pod};

/// The most nodes and documents of a YAML file: 100,000 Pods of 100 lines. Larger ones are `kubectl -o json`'s.
const YAML_NODES_MAX: usize = 20_000_000;
const YAML_DOCUMENTS_MAX: usize = 100_000;

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) pods: Vec<ManifestPod>,
    pub(super) problems: Vec<FileProblem>,
    pub(super) ignored: usize,
}

#[derive(Deserialize)]
struct Object<'j> {
    #[serde(default, borrow)]
    kind: Option<Cow<'j, str>>,
    #[serde(default, borrow)]
    items: Option<Vec<&'j RawValue>>,
}

/// Reads a file's text, YAML or JSON, of any number of documents. An error means that the file as a whole is bad: half of
/// one would say that the Pods of the other half are gone.
pub(super) fn read(file: &Arc<Path>, text: &str) -> Result<Contents, FileProblem> {
    let mut reader = Reader { file, document: 0, contents: Contents::default() };
    // JSON is YAML too, but its own reader needs neither a tree nor a bound on nodes.
    let result = if text.trim_start().starts_with('{') { reader.json(text) } else { reader.yaml(text) };
    result.map(|()| reader.contents)
}

struct Reader<'r> {
    file: &'r Arc<Path>,
    /// The document in hand, counted from 1.
    document: usize,
    contents: Contents,
}

impl Reader<'_> {
    fn json(&mut self, text: &str) -> Result<(), FileProblem> {
        for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
            self.document += 1;
            let document = document.map_err(|error| {
                let line = u64::try_from(error.line()).ok();
                FileProblem { line, ..self.problem("not JSON".to_owned()) }
            })?;
            self.object(document.get());
        }
        Ok(())
    }

    fn yaml(&mut self, text: &str) -> Result<(), FileProblem> {
        let options = serde_saphyr::options! {
            with_snippet: false, // it would quote the file
            budget: serde_saphyr::budget! {
                max_nodes: YAML_NODES_MAX,
                max_events: 2 * YAML_NODES_MAX,
                max_documents: YAML_DOCUMENTS_MAX,
                max_total_scalar_bytes: text.len().saturating_mul(2),
            },
        };
        let mut bytes = text.as_bytes();
        for document in serde_saphyr::read_with_options::<_, serde_json::Value>(&mut bytes, options) {
            self.document += 1;
            let document = document.map_err(|error| {
                let line = error.location().map(|location| location.line());
                FileProblem { line, ..self.problem(format!("not YAML: {}", plain(&error))) }
            })?;
            self.object(&document.to_string());
        }
        Ok(())
    }

    /// Takes a Pod, or each object of a list, or counts what is something else.
    fn object(&mut self, json: &str) {
        // serde would take an array's items for fields.
        let object = Some(json).filter(|json| json.starts_with('{')).map(serde_json::from_str::<Object<'_>>);
        let Some(Ok(object)) = object else {
            self.contents.problems.push(self.problem("not a Kubernetes object".to_owned()));
            return;
        };
        match (object.kind.as_deref(), object.items) {
            (Some(kind @ ("List" | "PodList")), Some(items)) => {
                items.iter().for_each(|item| self.item(item.get(), kind))
            }
            (Some("Pod"), _) => self.pod(json),
            (Some(_), _) => self.contents.ignored += 1,
            (None, _) => self.contents.problems.push(self.problem("an object without a kind".to_owned())),
        }
    }

    /// Takes an item of a list; those of a `PodList` need not say that they are Pods.
    fn item(&mut self, json: &str, list: &str) {
        match RawPod::read(json.as_bytes()) {
            Ok(pod) if pod.kind() == Some("Pod") || (pod.kind().is_none() && list == "PodList") => {
                self.pod(json);
            }
            Ok(_) => self.contents.ignored += 1,
            Err(_) => self.contents.problems.push(self.problem("an item that is no object".to_owned())),
        }
    }

    fn pod(&mut self, json: &str) {
        let pod = RawPod::read(json.as_bytes()).map_err(|_| "not a Pod".to_owned());
        match pod.and_then(|raw| manifest_pod(self.file, &raw)) {
            Ok(pod) => self.contents.pods.push(pod),
            Err(reason) => self.contents.problems.push(self.problem(reason)),
        }
    }

    fn problem(&self, reason: String) -> FileProblem {
        FileProblem { file: self.file.to_path_buf(), document: Some(self.document), line: None, reason }
    }
}

/// Fills in what a manifest need not say.
fn manifest_pod(file: &Arc<Path>, raw: &RawPod<'_>) -> Result<ManifestPod, String> {
    let name = raw.name().ok_or("a Pod without a name")?;
    let namespace = raw.namespace().unwrap_or("default");
    if !is_namespace(namespace) {
        return Err("metadata.namespace is not a DNS label (lower case letters, digits and -, up to 63)".to_owned());
    }
    if !is_pod_name(name) {
        return Err("metadata.name is not a DNS subdomain (lower case letters, digits, - and ., up to 253)".to_owned());
    }
    let mut status = raw.status();
    if !raw.has_phase() {
        status.phase = Phase::Running;
    }
    if !raw.has_conditions() {
        status.ready = true;
    }
    let uid = raw.uid().map_or_else(|| format!("{namespace}/{name}").into(), Arc::from);
    let (namespace, name) = (namespace.into(), name.into());
    Ok(ManifestPod {
        file: file.clone(),
        labels: raw.labels(),
        annotations: raw.annotations(),
        pod: Pod { namespace, name, uid, resource_version: 1, status, annotation: None },
    })
}

/// A YAML error's text in a line, without the place, which is told apart.
fn plain(error: &serde_saphyr::Error) -> String {
    let text = error.render();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text).to_owned()
}
