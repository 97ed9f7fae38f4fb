//! Files and folders become news of what they hold; a file that turns bad keeps what it held.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FileProblem, Loaded, ManifestPod, manifest};
use crate::source::poll::{entries, is_stdin};
use crate::source::{Pod, Profile};

/// What a load finds.
pub(super) enum News {
    /// A Pod as it is.
    Found {
        pod: ManifestPod,
        /// The profiles that were told of it before, a bit each.
        before: u64,
    },
    /// The Pod with this uid is gone. Told only where the load is not whole.
    Gone(Arc<str>),
}

/// What was read before: of each Pod a mark, and all of what came from standard input, which can be read only once.
pub(super) struct Kept {
    profiles: Vec<Profile>,
    /// By uid.
    marks: HashMap<Box<str>, Mark>,
    /// Of the fingerprints.
    keys: RandomState,
    stdin: Option<Stdin>,
    /// Counts loads: the resource version of what is new in one.
    loads: u32,
    /// The last load named all that there is: what it did not name is gone.
    is_whole: bool,
}

/// What stays of a Pod.
struct Mark {
    file: Arc<Path>,
    document: u32,
    /// The last load that named it, and the last one that found it changed.
    named: u32,
    version: u32,
    fingerprint: u64,
    /// The profiles that were told of it.
    told: u64,
}

/// What standard input held.
#[derive(Default)]
struct Stdin {
    pods: Vec<(ManifestPod, usize)>,
    loaded: Loaded,
}

impl Kept {
    pub(super) fn new(profiles: Vec<Profile>) -> Kept {
        Kept { profiles, marks: HashMap::new(), keys: RandomState::new(), stdin: None, loads: 0, is_whole: true }
    }

    pub(super) fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Whether the last load named all that there is.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Reads all paths. A Pod that is as it was keeps its resource version, another one gets the load's number.
    pub(super) fn load(&mut self, paths: &[PathBuf], tell: &mut dyn FnMut(News)) -> Loaded {
        self.loads += 1;
        let mut loaded = Loaded::default();
        let mut seen = BTreeSet::new();
        for path in files(paths, &mut loaded) {
            if !seen.insert(path.clone()) {
                continue; // the same file by two of the paths
            }
            if is_stdin(&path) {
                self.load_stdin(&path, &mut loaded, tell);
            } else {
                self.load_file(&path, &mut loaded, tell);
            }
        }
        loaded.files = seen.len();
        self.sweep(&loaded, tell);
        loaded.pods = self.marks.len();
        loaded
    }

    fn load_file(&mut self, path: &Path, loaded: &mut Loaded, tell: &mut dyn FnMut(News)) {
        let (file, profiles) = (Arc::from(path), self.profiles.clone());
        let mut own = Loaded::default();
        let mut found = |pod, document| self.place(pod, &file, document, loaded, tell);
        let result = File::open(path).and_then(|source| manifest::read(path, source, &profiles, &mut own, &mut found));
        own.end(path, result);
        loaded.add(&own);
    }

    /// Standard input is read by the first load, and told again by the others.
    fn load_stdin(&mut self, path: &Path, loaded: &mut Loaded, tell: &mut dyn FnMut(News)) {
        let stdin = self.stdin.take().unwrap_or_else(|| {
            let mut stdin = Stdin::default();
            let mut found = |pod, document| stdin.pods.push((pod, document));
            let source = io::stdin().lock();
            let result = manifest::read(path, source, &self.profiles, &mut stdin.loaded, &mut found);
            stdin.loaded.end(path, result);
            stdin
        });
        let file = Arc::from(path);
        for (pod, document) in &stdin.pods {
            self.place(pod.clone(), &file, *document, loaded, tell);
        }
        loaded.add(&stdin.loaded);
        self.stdin = Some(stdin);
    }

    /// Marks a Pod and tells it: of two with one uid the later one wins, in the order of the paths.
    fn place(
        &mut self,
        mut pod: ManifestPod,
        file: &Arc<Path>,
        document: usize,
        loaded: &mut Loaded,
        tell: &mut dyn FnMut(News),
    ) {
        let fingerprint = self.keys.hash_one(&pod);
        let document = u32::try_from(document).unwrap_or(u32::MAX);
        let told = pod.told.iter().fold(0, |told, (profile, _)| told | bit(*profile));
        let fresh = Mark { file: file.clone(), document, named: self.loads, version: self.loads, fingerprint, told };
        let mut before = 0;
        let mark = match self.marks.entry((*pod.pod.uid).into()) {
            Entry::Vacant(entry) => entry.insert(fresh),
            Entry::Occupied(entry) => {
                let mark = entry.into_mut();
                if mark.named == self.loads {
                    loaded.tell(clash(&pod, file, document, mark));
                }
                before = mark.told;
                let version = if mark.fingerprint == fingerprint { mark.version } else { self.loads };
                *mark = Mark { version, ..fresh };
                mark
            }
        };
        pod.pod.resource_version = mark.version.into();
        tell(News::Found { pod, before });
    }

    /// Forgets what the load did not name, unless its file has a problem.
    fn sweep(&mut self, loaded: &Loaded, tell: &mut dyn FnMut(News)) {
        let stays = |mark: &Mark| mark.named == self.loads || loaded.is_bad(&mark.file);
        self.is_whole = self.marks.values().all(|mark| mark.named == self.loads || !loaded.is_bad(&mark.file));
        let is_whole = self.is_whole;
        self.marks.retain(|uid, mark| {
            let stays = stays(mark);
            if !stays && !is_whole {
                tell(News::Gone((&**uid).into()));
            }
            stays
        });
    }
}

/// What stands for a profile. That 64 profiles on another one has the same does no harm: it is told once too often that a
/// Pod is gone which it never had.
pub(super) fn bit(profile: usize) -> u64 {
    1 << (profile % 64)
}

/// Two Pods of a load have one uid.
fn clash(pod: &ManifestPod, file: &Path, document: u32, earlier: &Mark) -> FileProblem {
    let Pod { namespace, name, .. } = &pod.pod;
    let (place, at) = (earlier.file.display(), earlier.document);
    let reason =
        format!("{namespace}/{name} takes the place of the Pod in {place}, document {at}, which has the same uid");
    FileProblem { file: file.to_owned(), document: usize::try_from(document).ok(), line: None, pod: None, reason }
}

/// The files among the paths and in their folders.
fn files(paths: &[PathBuf], loaded: &mut Loaded) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        if is_stdin(path) || !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        match entries(path) {
            Ok(entries) => found.extend(entries.into_iter().filter(|entry| is_manifest(entry))),
            Err(error) => loaded.refuse(FileProblem::of_file(path, error.to_string())),
        }
    }
    found
}

pub(super) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json")) && !path.is_dir()
}
