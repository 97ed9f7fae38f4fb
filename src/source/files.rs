//! Pods from manifests: for a first run without a cluster, for tests, and for processes outside of Kubernetes.
//!
//! [`load`] reads files and folders of Pods in YAML or JSON once, as one-shot commands do. [`Manifests`] reads them again
//! when they change, and sends each profile a stream of events. A file is read as a stream: each Pod is sent before the next
//! one is read, and only a mark of it is kept. A value that the API server would refuse is reported, and its Pod is not sent.
//! A file with such a mistake removes no Pod: Pods of its last good version stay until the mistake is gone.
//!
//! A manifest may leave out the values that an API server fills in. A missing namespace means `default`, a missing uid
//! `<namespace>/<name>`, a missing phase Running, and missing conditions Ready.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod given;
mod manifest;
mod node;
mod pod;
mod read;
mod run;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use self::given::{GivenError, GivenText, Texts, given};
use self::manifest::{Reading, STREAM_BOUNDS};
pub use self::pod::{MisplacedAnnotation, PodTemplate};
pub use self::run::Manifests;
use super::{Pod, WatchProfile};
use crate::poll::{entries, has_below, is_stdin};
use crate::registration::ProfileText;

/// The cluster name of the sources of manifests.
pub const CLUSTER: &str = "manifests";

/// The most problems of one load that are reported one by one. The others are counted.
pub const PROBLEMS_MAX: usize = 1000;

/// The kind of a Pod.
const POD: &str = "Pod";

/// The most kinds that are counted by name. The others are counted together.
const KINDS_MAX: usize = 100;

/// A Pod of a manifest, with what each profile names of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ManifestPod {
    /// The Pod, without a text. Its resource version is 1 from [`load`]. [`Manifests`] raises it with each change.
    pub pod: Pod,
    /// The indexes of the profiles whose selectors match, each with what the profile names of the Pod.
    pub by_profile: Vec<(usize, ProfileText)>,
    /// The profiles that do not select the Pod, although it has an annotation for them.
    pub unselected: Vec<Unselected>,
}

/// A profile that does not select a Pod with an annotation for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unselected {
    /// The profile's index.
    pub profile: usize,
    /// The first such annotation's key, as it may be shown.
    pub key: Box<str>,
    /// Whether the workload has the label that its template lacks.
    pub has_label_above: bool,
}

/// What a manifest has for [`load_with_templates`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestObject {
    /// A Pod.
    Pod(ManifestPod),
    /// The Pod template of a workload.
    Template(PodTemplate),
}

impl ManifestPod {
    /// The Pod as a profile's source sends it. `None` if the profile's selector does not match.
    pub fn of_profile(&self, profile: usize) -> Option<Box<Pod>> {
        let (_, text) = self.by_profile.iter().find(|(at, _)| *at == profile)?;
        Some(Box::new(Pod { text: text.clone(), ..self.pod.clone() }))
    }
}

/// A part of a manifest that cannot be used. The rest of the file is used, unless the file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProblem {
    /// The file, or the folder that cannot be read.
    pub file: PathBuf,
    /// The document of the file, counted from 1. `None` if the problem is of the whole file.
    pub document: Option<usize>,
    /// The line, counted from 1, if known.
    pub line: Option<u64>,
    /// The kind of the object that `pod` names: `Pod`, or that of a workload.
    pub kind: &'static str,
    /// The object, if it has a valid name: `namespace/name`, or the name alone if the namespace is invalid.
    pub pod: Option<String>,
    /// What is wrong, and what to write instead. It quotes keys, numbers, booleans and addresses of the file. It never quotes a
    /// text, a key that looks like a secret, or the value of a key that names one.
    pub reason: String,
}

impl FileProblem {
    /// A problem of the whole file.
    fn of_file(file: &Path, reason: String) -> FileProblem {
        FileProblem { file: file.to_owned(), document: None, line: None, kind: POD, pod: None, reason }
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display_path(&self.file))?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        if let Some(pod) = &self.pod {
            write!(f, ", {} {pod}", self.kind)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The result of a load, without the Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// The number of files that were opened.
    pub files: usize,
    /// The number of Pods, each uid once.
    pub pods: usize,
    /// The number of Pod templates, if they are read.
    pub templates: usize,
    /// The first [`PROBLEMS_MAX`] problems.
    pub problems: Vec<FileProblem>,
    /// The number of further problems.
    pub problems_left_out: usize,
    /// The objects that are not Pods.
    pub ignored: Kinds,
    /// The first [`PROBLEMS_MAX`] files without any object.
    pub empty: Vec<PathBuf>,
    /// The files and folders that have a problem. Pods that they do not name may still exist.
    bad: BTreeSet<PathBuf>,
}

/// The visible content of a folder of manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestListing {
    /// The files that a load reads.
    pub manifests: Vec<PathBuf>,
    /// The other files.
    pub others: Vec<PathBuf>,
    /// The folders in it that have manifests. A load does not read them.
    pub folders: Vec<PathBuf>,
}

/// Lists a folder. Empty if it cannot be read.
pub fn listing(folder: &Path) -> ManifestListing {
    let mut listing = ManifestListing::default();
    for path in entries(folder).unwrap_or_default() {
        if !path.is_dir() {
            let files = if read::is_manifest(&path) { &mut listing.manifests } else { &mut listing.others };
            files.push(path);
        } else if has_below(&path, read::is_manifest) {
            listing.folders.push(path);
        }
    }
    listing
}

/// A path, for messages.
pub fn display_path(path: &Path) -> Cow<'_, str> {
    if is_stdin(path) { "standard input".into() } else { path.to_string_lossy() }
}

/// The number of objects of each kind except Pods. Displayed as `3 Deployment, 1 Service`, or as `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kinds {
    #[serde(flatten)]
    counts: BTreeMap<Box<str>, usize>,
    /// The number of objects of further kinds.
    #[serde(skip_serializing_if = "is_zero")]
    others: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Kinds {
    /// The number of objects of all kinds.
    pub fn total(&self) -> usize {
        self.counts.values().sum::<usize>() + self.others
    }

    fn count(&mut self, kind: &str, count: usize) {
        if let Some(sum) = self.counts.get_mut(kind) {
            *sum += count;
        } else if self.counts.len() < KINDS_MAX {
            self.counts.insert(kind.into(), count);
        } else {
            self.others += count;
        }
    }

    fn add(&mut self, other: &Kinds) {
        other.counts.iter().for_each(|(kind, count)| self.count(kind, *count));
        self.others += other.others;
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.counts.iter().map(|(kind, count)| format!("{count} {kind}"));
        let others = (self.others > 0).then(|| format!("{} of other kinds", self.others));
        let all: Vec<String> = named.chain(others).collect();
        f.write_str(if all.is_empty() { "none" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

impl LoadReport {
    /// Records a problem and marks its file as bad: Pods that the file does not name may still exist.
    fn refuse(&mut self, problem: FileProblem) {
        self.bad.insert(problem.file.clone());
        self.add_problem(problem);
    }

    fn add_problem(&mut self, problem: FileProblem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.problems_left_out += 1;
        }
    }

    /// Adds the result of one file.
    fn add(&mut self, other: &LoadReport) {
        other.problems.iter().cloned().for_each(|problem| self.add_problem(problem));
        self.files += other.files;
        self.templates += other.templates;
        self.problems_left_out += other.problems_left_out;
        self.ignored.add(&other.ignored);
        let left = PROBLEMS_MAX.saturating_sub(self.empty.len());
        self.empty.extend(other.empty.iter().take(left).cloned());
        self.bad.extend(other.bad.iter().cloned());
    }

    /// Whether a file with this many Pods has no object, and no problem that may be of one.
    fn is_empty(&self, pods: usize) -> bool {
        pods + self.templates + self.ignored.total() + self.problems.len() == 0
    }

    /// Adds how the reading of a file ended. A file that is gone has no Pods; any other may be readable later.
    fn end(&mut self, file: &Path, pods: usize, result: io::Result<()>) {
        let Err(error) = result else {
            if self.is_empty(pods) {
                self.empty.push(file.to_owned());
            }
            return;
        };
        self.refuse(FileProblem::of_file(file, error.to_string()));
        if error.kind() == io::ErrorKind::NotFound {
            self.bad.remove(file);
        }
    }

    /// Whether Pods that a file does not name may still exist.
    fn is_bad(&self, file: &Path) -> bool {
        file.ancestors().any(|path| self.bad.contains(path))
    }
}

/// Reads files, folders (one level: `*.yaml`, `*.yml`, `*.json`) and standard input (`-`), and calls `found` for each Pod.
/// Of two Pods with one uid the later one counts. Blocks.
pub fn load(paths: &[PathBuf], profiles: &[WatchProfile], mut found: impl FnMut(ManifestPod)) -> LoadReport {
    read::LoadState::new(profiles.to_vec()).load(paths, &mut |news| {
        if let read::LoadEvent::Found { pod, .. } = news {
            found(pod);
        }
    })
}

/// [`load`] that also calls `found` for the Pod template of each workload.
pub fn load_with_templates(
    paths: &[PathBuf],
    profiles: &[WatchProfile],
    mut found: impl FnMut(ManifestObject),
) -> LoadReport {
    read::LoadState::with_templates(profiles.to_vec()).load(paths, &mut |news| match news {
        read::LoadEvent::Found { pod, .. } => found(ManifestObject::Pod(pod)),
        read::LoadEvent::Template(template) => found(ManifestObject::Template(template)),
        read::LoadEvent::Gone(_) => {}
    })
}

/// Reads the Pods and Pod templates of a text as of standard input, and calls `found` for each.
pub fn read_text(text: &str, profiles: &[WatchProfile], mut found: impl FnMut(ManifestObject)) -> LoadReport {
    let (file, mut report, mut objects) = (Path::new("-"), LoadReport::default(), 0);
    let mut count = |object, _| {
        objects += 1;
        found(object);
    };
    let reading = Reading { profiles, has_templates: true };
    let result = manifest::read(file, text.as_bytes(), STREAM_BOUNDS, reading, &mut report, &mut count);
    report.end(file, objects, result);
    report
}
