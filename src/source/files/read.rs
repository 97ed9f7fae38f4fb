//! Reads files and folders, and reports the Pods that are found and gone. A file that turns bad keeps its Pods.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Reading, STREAM_BOUNDS};
use super::{FileProblem, LoadReport, ManifestObject, ManifestPod, POD, PodTemplate, manifest};
use crate::poll::{entries, is_stdin};
use crate::source::{Pod, WatchProfile};

/// The longest file that is checked for being white space only.
const VOID_LEN_MAX: u64 = 8;

/// An observation of a load.
pub(super) enum LoadEvent {
    /// The current state of a Pod.
    Found {
        pod: ManifestPod,
        /// The profiles that have the Pod already, a bit each.
        before: u64,
    },
    /// A Pod template, if they are read.
    Template(PodTemplate),
    /// The Pod with this uid is gone. Sent only if the load is not whole.
    Gone(Arc<str>),
}

/// The result of the loads so far: a mark of each Pod, and all Pods of standard input, which can be read only once.
pub(super) struct LoadState {
    profiles: Vec<WatchProfile>,
    has_templates: bool,
    /// By uid.
    known: HashMap<Arc<str>, KnownPod>,
    /// The uid of each Pod, by a hash of namespace and name.
    names: HashMap<u64, Arc<str>>,
    /// The keys of the fingerprints and of the names' hashes.
    keys: RandomState,
    stdin: Option<Stdin>,
    /// The number of loads. It is the resource version of the Pods that a load finds changed.
    loads: u32,
    /// Whether the last load named all Pods. Then a Pod that it did not name is gone.
    is_whole: bool,
}

/// The part of a Pod that is kept.
struct KnownPod {
    file: Arc<Path>,
    document: u32,
    /// The last load that named the Pod, and the last one that found it changed.
    named: u32,
    version: u32,
    fingerprint: u64,
    /// A hash of namespace and name.
    name: u64,
    /// The profiles that have the Pod, a bit each.
    profiles: u64,
}

/// The content of standard input.
#[derive(Default)]
struct Stdin {
    pods: Vec<(ManifestPod, usize)>,
    report: LoadReport,
}

impl LoadState {
    pub(super) fn new(profiles: Vec<WatchProfile>) -> LoadState {
        LoadState {
            profiles,
            has_templates: false,
            known: HashMap::new(),
            names: HashMap::new(),
            keys: RandomState::new(),
            stdin: None,
            loads: 0,
            is_whole: true,
        }
    }

    /// Also reads the Pod templates of workloads.
    pub(super) fn with_templates(profiles: Vec<WatchProfile>) -> LoadState {
        LoadState { has_templates: true, ..LoadState::new(profiles) }
    }

    pub(super) fn profiles(&self) -> &[WatchProfile] {
        &self.profiles
    }

    /// Whether the last load named all Pods.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Reads all paths. An unchanged Pod keeps its resource version; any other gets the load's number.
    pub(super) fn load(&mut self, paths: &[PathBuf], emit: &mut dyn FnMut(LoadEvent)) -> LoadReport {
        self.loads += 1;
        let mut report = LoadReport::default();
        let mut seen = SeenFiles::default();
        for path in files(paths, &mut report) {
            if !seen.is_new(&path) {
                continue;
            }
            if is_stdin(&path) {
                self.load_stdin(&path, &mut report, emit);
            } else {
                self.load_file(&path, &mut report, emit);
            }
        }
        self.sweep(&report, emit);
        report.pods = self.known.len();
        report
    }

    fn load_file(&mut self, path: &Path, report: &mut LoadReport, emit: &mut dyn FnMut(LoadEvent)) {
        let (file, profiles) = (Arc::from(path), self.profiles.clone());
        let reading = Reading { profiles: &profiles, has_templates: self.has_templates };
        let mut own = LoadReport::default();
        let mut pods = 0;
        let mut found = |object, document| match object {
            ManifestObject::Pod(pod) => {
                pods += 1;
                self.place(pod, &file, document, report, emit);
            }
            ManifestObject::Template(template) => emit(LoadEvent::Template(template)),
        };
        let result = File::open(path).and_then(|source| {
            own.files = 1;
            let is_void = is_void(path, source.metadata()?.len());
            manifest::read(path, source, STREAM_BOUNDS, reading, &mut own, &mut found).map(|()| is_void)
        });
        let is_void = matches!(result, Ok(true)) && own.is_empty(pods);
        // An editor empties a file before it writes it again.
        if is_void && self.known.values().any(|known| *known.file == *path) {
            let reason =
                "the file is empty, and its Pods stay: to remove them, remove the file or write a comment into it";
            own.refuse(FileProblem::of_file(path, reason.to_owned()));
        }
        own.end(path, pods, result.map(drop));
        report.add(&own);
    }

    /// The first load reads standard input. The others repeat its Pods.
    fn load_stdin(&mut self, path: &Path, report: &mut LoadReport, emit: &mut dyn FnMut(LoadEvent)) {
        let stdin = self.stdin.take().unwrap_or_else(|| {
            let mut stdin = Stdin::default();
            let mut found = |object, document| match object {
                ManifestObject::Pod(pod) => stdin.pods.push((pod, document)),
                ManifestObject::Template(template) => emit(LoadEvent::Template(template)),
            };
            let source = io::stdin().lock();
            let reading = Reading { profiles: &self.profiles, has_templates: self.has_templates };
            let result = manifest::read(path, source, STREAM_BOUNDS, reading, &mut stdin.report, &mut found);
            stdin.report.files = 1;
            stdin.report.end(path, stdin.pods.len(), result);
            stdin
        });
        let file = Arc::from(path);
        for (pod, document) in &stdin.pods {
            self.place(pod.clone(), &file, *document, report, emit);
        }
        report.add(&stdin.report);
        self.stdin = Some(stdin);
    }

    /// Marks a Pod and reports it. Of two Pods with one uid the later one counts, in the order of the paths. A second Pod with
    /// the same name and another uid is refused, as by the API server.
    fn place(
        &mut self,
        mut pod: ManifestPod,
        file: &Arc<Path>,
        document: usize,
        report: &mut LoadReport,
        emit: &mut dyn FnMut(LoadEvent),
    ) {
        let fingerprint = self.keys.hash_one(&pod);
        let document = u32::try_from(document).unwrap_or(u32::MAX);
        let name = self.keys.hash_one((&pod.pod.namespace, &pod.pod.name));
        if let Some(earlier) = self.namesake(name, &pod.pod.uid) {
            return report.add_problem(name_clash(&pod, file, document, earlier));
        }
        self.names.insert(name, pod.pod.uid.clone());
        let profiles = pod.by_profile.iter().fold(0, |profiles, (profile, _)| profiles | bit(*profile));
        let fresh = KnownPod {
            file: file.clone(),
            document,
            named: self.loads,
            version: self.loads,
            fingerprint,
            name,
            profiles,
        };
        let mut before = 0;
        let known = match self.known.entry(pod.pod.uid.clone()) {
            Entry::Vacant(entry) => entry.insert(fresh),
            Entry::Occupied(entry) => {
                let known = entry.into_mut();
                if known.named == self.loads {
                    report.add_problem(uid_clash(&pod, file, document, known, name));
                }
                before = known.profiles;
                let version = if known.fingerprint == fingerprint { known.version } else { self.loads };
                *known = KnownPod { version, ..fresh };
                known
            }
        };
        pod.pod.resource_version = known.version.into();
        emit(LoadEvent::Found { pod, before });
    }

    /// The Pod with this name and another uid in this load.
    fn namesake(&self, name: u64, uid: &Arc<str>) -> Option<&KnownPod> {
        let other = self.names.get(&name).filter(|other| *other != uid)?;
        self.known.get(other).filter(|known| known.named == self.loads && known.name == name)
    }

    /// Removes the Pods that the load did not name. A Pod of a bad file stays, unless another Pod now has its name.
    fn sweep(&mut self, report: &LoadReport, emit: &mut dyn FnMut(LoadEvent)) {
        let LoadState { known, names, loads, .. } = self;
        let is_named = |known: &KnownPod| known.named == *loads;
        self.is_whole = known.values().all(|known| is_named(known) || !report.is_bad(&known.file));
        let is_whole = self.is_whole;
        known.retain(|uid, known| {
            let has_name = names.get(&known.name) == Some(uid);
            let stays = is_named(known) || (has_name && report.is_bad(&known.file));
            if !stays && !is_whole {
                emit(LoadEvent::Gone(uid.clone()));
            }
            stays
        });
        names.retain(|name, uid| known.get(uid).is_some_and(|known| known.name == *name));
    }
}

/// The files that a load has read. Two paths may be one file.
#[derive(Default)]
struct SeenFiles {
    /// By device and inode.
    files: HashSet<(u64, u64)>,
    /// Paths without a file, and standard input.
    paths: HashSet<PathBuf>,
}

impl SeenFiles {
    fn is_new(&mut self, path: &Path) -> bool {
        match std::fs::metadata(path) {
            Ok(metadata) if !is_stdin(path) => self.files.insert((metadata.dev(), metadata.ino())),
            _ => self.paths.insert(path.to_owned()),
        }
    }
}

/// Whether a file has no text. A program that is writing it may have written a byte order mark.
fn is_void(path: &Path, len: u64) -> bool {
    const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    let is_void = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0);
    let without_mark = |text: &[u8]| is_void(MARKS.iter().find_map(|mark| text.strip_prefix(*mark)).unwrap_or(text));
    len == 0 || (len <= VOID_LEN_MAX && std::fs::read(path).is_ok_and(|text| without_mark(&text)))
}

/// A profile's bit. Profiles 64 apart share a bit, so a profile may receive the removal of a Pod that it never had. That is
/// harmless.
pub(super) fn bit(profile: usize) -> u64 {
    1 << (profile % 64)
}

/// The problem of a Pod with the uid of an earlier Pod of the load.
fn uid_clash(pod: &ManifestPod, file: &Path, document: u32, earlier: &KnownPod, name: u64) -> FileProblem {
    let place = place_of(earlier);
    let (same, advice) = if earlier.name == name {
        ("name", "remove one of them")
    } else {
        ("uid", "write another uid, or leave it out")
    };
    let reason = format!("it replaces the Pod in {place}, which has the same {same}: {advice}");
    clash(pod, file, document, reason)
}

/// The problem of a Pod with the name of an earlier Pod of the load, and another uid.
fn name_clash(pod: &ManifestPod, file: &Path, document: u32, earlier: &KnownPod) -> FileProblem {
    let place = place_of(earlier);
    let reason =
        format!("the Pod in {place} has the same name and another uid: write another name, or remove one of them");
    clash(pod, file, document, reason)
}

fn clash(pod: &ManifestPod, file: &Path, document: u32, reason: String) -> FileProblem {
    let Pod { namespace, name, .. } = &pod.pod;
    let pod = Some(format!("{namespace}/{name}"));
    FileProblem { file: file.to_owned(), document: usize::try_from(document).ok(), line: None, kind: POD, pod, reason }
}

fn place_of(KnownPod { file, document, .. }: &KnownPod) -> String {
    format!("{}, document {document}", file.display())
}

/// The files of the paths, and of the folders among them.
fn files(paths: &[PathBuf], report: &mut LoadReport) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        if is_stdin(path) || !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        match entries(path) {
            Ok(entries) => {
                for entry in entries.into_iter().filter(|entry| is_manifest(entry)) {
                    // Opening a pipe would wait for its writer, and a device may have no end.
                    match entry.is_file() || !entry.exists() {
                        true => found.push(entry),
                        false => report.refuse(FileProblem::of_file(&entry, "not a regular file".to_owned())),
                    }
                }
            }
            Err(error) => report.refuse(FileProblem::of_file(path, error.to_string())),
        }
    }
    found
}

pub(super) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json")) && !path.is_dir()
}
