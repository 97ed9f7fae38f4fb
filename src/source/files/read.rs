//! Files and folders become what they hold; a file that turns bad keeps what it held.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{self, Contents};
use super::{FileProblem, Loaded, ManifestPod};
use crate::source::Pod;
use crate::source::poll::{entries, is_stdin};

/// The most bytes of one file: some 100,000 Pods as kubectl prints them.
const FILE_LEN_MAX: u64 = 1024 * 1024 * 1024;

type Pods = BTreeMap<Arc<str>, Arc<ManifestPod>>;

/// What was read before.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What each file held when it was last good.
    files: BTreeMap<PathBuf, Contents>,
    /// The Pods of the last load, by uid.
    pods: Pods,
    /// Counts loads: the resource version of what is new in one.
    loads: u64,
}

impl Kept {
    /// Reads all paths. A Pod that is as it was keeps its resource version, another one gets the load's number.
    pub(super) fn load(&mut self, paths: &[PathBuf]) -> Loaded {
        self.loads += 1;
        let mut loaded = Loaded::default();
        let mut before = std::mem::take(&mut self.files);
        let mut pods = Pods::new();
        for path in files(paths, &before, &mut loaded.problems) {
            if self.files.contains_key(&path) {
                continue; // the same file by two of the paths
            }
            let contents = reread(&path, before.remove(&path), &mut loaded.problems);
            loaded.ignored += contents.ignored;
            loaded.problems.extend(contents.problems.iter().cloned());
            contents.pods.iter().for_each(|pod| self.place(pod, &mut pods, &mut loaded.problems));
            self.files.insert(path, contents);
        }
        loaded.files = self.files.len();
        loaded.pods = pods.values().cloned().collect();
        self.pods = pods;
        loaded
    }

    /// Puts a Pod among the others: of two with one uid the later one wins, in the order of the paths.
    fn place(&self, found: &ManifestPod, pods: &mut Pods, problems: &mut Vec<FileProblem>) {
        let mut pod = found.clone();
        pod.pod.resource_version = match self.pods.get(&pod.pod.uid) {
            Some(last) if is_same(last, &pod) => last.pod.resource_version,
            _ => self.loads,
        };
        if let Some(earlier) = pods.insert(pod.pod.uid.clone(), Arc::new(pod)) {
            let (Pod { namespace, name, .. }, place) = (&earlier.pod, earlier.file.display());
            let reason = format!("takes the place of the Pod {namespace}/{name} in {place}, which has the same uid");
            problems.push(FileProblem { file: found.file.to_path_buf(), document: None, line: None, reason });
        }
    }
}

/// Whether a Pod is as it was, wherever it stands.
fn is_same(one: &ManifestPod, other: &ManifestPod) -> bool {
    one.labels == other.labels
        && one.annotations == other.annotations
        && Pod { resource_version: other.pod.resource_version, ..one.pod.clone() } == other.pod
}

/// The files among the paths and in their folders; of a folder that cannot be looked into those that were there.
fn files(paths: &[PathBuf], before: &BTreeMap<PathBuf, Contents>, problems: &mut Vec<FileProblem>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        if is_stdin(path) || !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        match entries(path) {
            Ok(entries) => found.extend(entries.into_iter().filter(|entry| is_manifest(entry))),
            Err(error) => {
                problems.push(whole(path, error.to_string()));
                found.extend(before.keys().filter(|file| file.starts_with(path)).cloned());
            }
        }
    }
    found
}

pub(super) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json")) && !path.is_dir()
}

/// Reads a file. One that is bad holds what it held; one that is gone holds nothing.
fn reread(path: &Path, before: Option<Contents>, problems: &mut Vec<FileProblem>) -> Contents {
    if is_stdin(path)
        && let Some(contents) = before
    {
        return contents; // there is no second reading of it
    }
    let result = text(path).map_err(|error| {
        let is_gone = error.kind() == io::ErrorKind::NotFound;
        (is_gone, whole(path, error.to_string()))
    });
    match result.and_then(|text| manifest::read(&path.into(), &text).map_err(|problem| (false, problem))) {
        Ok(contents) => contents,
        Err((is_gone, problem)) => {
            problems.push(problem);
            before.filter(|_| !is_gone).unwrap_or_default()
        }
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if is_stdin(path) {
        io::stdin().lock().take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    }
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("over {FILE_LEN_MAX} bytes")));
    }
    Ok(text)
}

fn whole(path: &Path, reason: String) -> FileProblem {
    FileProblem { file: path.to_owned(), document: None, line: None, reason }
}
