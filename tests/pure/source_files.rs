//! Manifests: what is read of them, what is told of what cannot be, and how changes arrive.

mod events;
mod files;
mod keys;
mod long;
mod pods;
mod registrars;
mod secrets;
mod streams;
mod strict;
mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use callsign::registration::Encoding;
use callsign::source::WatchProfile;
use callsign::source::files::{FileProblem, LoadReport, ManifestPod, load};

use self::texts::pod;

/// A folder of its own for each test, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("callsign-files-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        // As a careful writer does it: nobody sees half a file.
        let draft = self.0.join(".draft");
        fs::write(&draft, text).expect("a file");
        fs::rename(&draft, &path).expect("a file");
        path
    }

    fn load(&self) -> Held {
        Held::load(std::slice::from_ref(&self.0))
    }
}

/// What files hold, and their Pods by uid, for the profiles `app` and `all`.
struct Held {
    loaded: LoadReport,
    pods: Vec<ManifestPod>,
}

impl Held {
    fn load(paths: &[PathBuf]) -> Held {
        Held::load_for(paths, &[profile("app", "app.io/label=app.io-value"), profile("all", "")])
    }

    fn load_for(paths: &[PathBuf], profiles: &[WatchProfile]) -> Held {
        let mut pods = BTreeMap::new();
        let loaded = load(paths, profiles, |found| _ = pods.insert(found.pod.uid.clone(), found));
        assert_eq!(loaded.pods, pods.len());
        Held { loaded, pods: pods.into_values().collect() }
    }

    fn problems(&self) -> &[FileProblem] {
        &self.loaded.problems
    }

    fn ignored(&self) -> String {
        self.loaded.ignored.to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(held: &Held) -> Vec<&str> {
    held.pods.iter().map(|found| &*found.pod.uid).collect()
}

/// The problems of a file's text: document, line, reason.
fn problems(text: &str) -> Vec<(Option<usize>, Option<u64>, String)> {
    let folder = Folder::new("problems");
    folder.write("a.yaml", text);
    folder.load().loaded.problems.into_iter().map(|problem| (problem.document, problem.line, problem.reason)).collect()
}

fn profile(name: &str, selector: &str) -> WatchProfile {
    let annotation = format!("{name}.io/annotation");
    let encoding = Encoding::Pairs { plain: None };
    WatchProfile::new(name, selector.parse().expect("a selector"), Some(&annotation), encoding)
}
