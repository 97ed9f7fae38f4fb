//! Pods from manifests: a first run without a cluster, tests, and processes outside of Kubernetes.
//!
//! [`load`] reads files and folders of Pod YAML or JSON, and is all that a one-shot command needs. [`Manifests`] keeps
//! looking at them and gives each profile its own stream of events. A bad file is told of, and leaves in place what it
//! held while it was good.
//!
//! In a manifest a Pod need not say what an API server would have filled in: without a namespace it is in `default`,
//! without a uid it has `<namespace>/<name>`, without a phase it is Running, without conditions it is Ready.

mod manifest;
mod read;
mod run;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::run::Manifests;
use super::poll::{entries, is_stdin};
use super::{Change, Pod, Profile};

/// The cluster that manifests' sources name.
pub const CLUSTER: &str = "manifests";

/// A Pod of a manifest, before a profile has chosen its annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestPod {
    /// The file that it stands in.
    pub file: Arc<Path>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// All of its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The Pod, without an annotation. Its resource version is 1 from [`load`]; [`Manifests`] raises it with each change.
    pub pod: Pod,
}

/// Something in a manifest that cannot be used; the rest of its file can, unless the file itself cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProblem {
    /// The file, or the folder that cannot be read.
    pub file: PathBuf,
    /// The document in it, counted from 1; none where the file as a whole is meant.
    pub document: Option<usize>,
    /// The line, counted from 1, where it is known.
    pub line: Option<u64>,
    /// What is wrong; never a value out of the file.
    pub reason: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if is_stdin(&self.file) { "standard input".into() } else { self.file.to_string_lossy() };
        write!(f, "{name}")?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What manifests hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many files were read.
    pub files: usize,
    /// The Pods, one a uid, in the order of their uids.
    pub pods: Vec<Arc<ManifestPod>>,
    /// What cannot be used.
    pub problems: Vec<FileProblem>,
    /// Objects that are no Pods.
    pub ignored: usize,
}

/// The manifests of a folder, and the other visible files in it; nothing if it cannot be read.
pub fn listing(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let files = entries(folder).unwrap_or_default().into_iter().filter(|path| !path.is_dir());
    files.partition(|path| read::is_manifest(path))
}

/// Reads files, folders (one level: `*.yaml`, `*.yml`, `*.json`) and standard input (`-`). Blocks.
pub fn load(paths: &[PathBuf]) -> Loaded {
    read::Kept::default().load(paths)
}

impl Loaded {
    /// The Pods as a profile's source tells them: those that its selector finds, each with the profile's annotation.
    pub fn changes<'l>(&'l self, profile: &'l Profile) -> impl Iterator<Item = Change> + 'l {
        let chosen = self.pods.iter().filter(|pod| profile.selector.matches(&pod.labels)).map(|found| {
            let annotation = found.annotations.get(&profile.annotation).map(|value| value.as_str().into());
            Change::Apply(Box::new(Pod { annotation, ..found.pod.clone() }))
        });
        std::iter::once(Change::Begin).chain(chosen).chain(std::iter::once(Change::Commit))
    }
}
