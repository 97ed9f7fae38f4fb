//! Static zones: what is no Pod, served from master files in a folder.
//!
//! A folder of `<origin>.zone` files becomes an immutable collection of zones. Reading it again makes a new collection
//! that shares the zones whose files are unchanged, and keeps the old zone where a file has become bad: an edit that
//! went wrong harms only itself. The file for the Pod zone is kept apart, as what is added to the Pods' names.
//!
//! ```text
//! folder ─► token ─► file, data ─► check (overlay) ─► zone ─► lookup
//!           its      its           what can be        its     what it says
//!           words    records       served at all      names   to a question
//! ```

mod check;
mod data;
mod fault;
mod file;
mod generate;
mod include;
mod listing;
mod lookup;
#[cfg(test)]
mod model;
mod overlay;
mod rrset;
mod token;
mod tree;
mod zone;

pub use fault::{Fault, Place, Reason};
pub use listing::Listing;
pub use lookup::{Dname, Glue, Lookup, Referral};
pub use rrset::RrSet;
pub use zone::{Role, Soa, Zone};

use crate::dns::{Key, Name, NameError, Rtype};
use include::Folder;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tree::{At, Tree, descent};

/// The largest zone file that is read, in bytes: some 60 bytes for each of [`RECORDS_MAX`].
pub const FILE_LEN_MAX: u64 = 64 * 1024 * 1024;

/// The most records of one zone: a few hundred MB, more than a server beside a cluster will ever carry.
pub const RECORDS_MAX: usize = 1_000_000;

/// The longest data of one record, in bytes: with its owner, the question and OPT it fits a message of 65,535.
pub const RDATA_LEN_MAX: usize = 64_000;

/// The most zone files of a folder: each is opened and hashed whenever the folder is read again.
pub const ZONES_MAX: usize = 10_000;

/// All static zones, immutable; found by the longest match.
pub struct Zones {
    pod_zone: Name,
    zones: Tree<Loaded>,
    overlay: Option<Loaded>,
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).entries(self.overlay()).finish()
    }
}

/// A zone, and what its file held.
#[derive(Clone)]
struct Loaded {
    zone: Arc<Zone>,
    /// Of its own file.
    sha256: [u8; 32],
    /// The files that it includes, and the SHA-256 of each.
    included: Arc<[(PathBuf, [u8; 32])]>,
}

/// A zone file that is not served, or not as it is now.
#[derive(Debug, thiserror::Error)]
pub struct ZoneError {
    /// The file, or the folder where that is the matter.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// `path:line:column: reason`, or without the place.
impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_place = matches!(&self.problem, Problem::Fault(fault) if fault.place.as_ref().is_some_and(|place| place.file.is_none()));
        let gap = if has_place { "" } else { " " };
        write!(f, "{}:{gap}{}", self.path.display(), self.problem)
    }
}

/// What can be wrong with a zone file, or with the folder.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no regular file.
    #[error("not a regular file")]
    NotAFile,
    /// It is over [`FILE_LEN_MAX`].
    #[error("larger than {FILE_LEN_MAX} bytes")]
    TooLarge,
    /// Its name is not that of a zone.
    #[error("not named after a zone: {0}")]
    BadOrigin(NameError),
    /// Its name is no UTF-8.
    #[error("not named after a zone: it is not UTF-8")]
    NotUtf8,
    /// Another file, spelt differently, is for the same zone.
    #[error("another file is for {0} too")]
    Twice(Name),
    /// The folder holds more than [`ZONES_MAX`].
    #[error("more than {ZONES_MAX} zone files")]
    TooMany,
    /// What is in it cannot be served.
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl Zones {
    /// No zones, beside a Pod zone of this name.
    pub fn none(pod_zone: Name) -> Zones {
        Zones { pod_zone, zones: Tree::new(Vec::new()), overlay: None }
    }

    /// Reads every `<origin>.zone` of a folder. Blocks on the disk.
    ///
    /// What cannot be served is left out, and told.
    pub fn load(folder: &Path, pod_zone: Name) -> (Zones, Vec<ZoneError>) {
        Zones::none(pod_zone).reload(folder)
    }

    /// Reads the folder again: a zone is gone with its file, stays as it was where its file has become bad or the folder
    /// cannot be read, and is shared where nothing has changed. Blocks on the disk.
    pub fn reload(&self, folder: &Path) -> (Zones, Vec<ZoneError>) {
        let mut errors = Vec::new();
        let files = match zone_files(folder, &mut errors) {
            Ok(files) => files,
            Err(problem) => {
                errors.push(ZoneError { path: folder.into(), problem });
                let entries = self.zones.iter().map(|(key, loaded)| (key.clone(), loaded.clone())).collect();
                let kept =
                    Zones { pod_zone: self.pod_zone.clone(), zones: Tree::new(entries), overlay: self.overlay.clone() };
                return (kept, errors);
            }
        };
        let mut overlay = None;
        let mut entries = Vec::with_capacity(files.len());
        for (key, (path, origin)) in files {
            let is_overlay = origin == self.pod_zone;
            let old = if is_overlay { self.overlay.as_ref() } else { self.zones.value(key.as_bytes()) };
            let role = if is_overlay { Role::Overlay } else { Role::Own };
            let loaded = match read_zone(&path, &origin, role, old) {
                Ok(loaded) => Some(loaded),
                Err(problem) => {
                    errors.push(ZoneError { path, problem });
                    old.cloned()
                }
            };
            if is_overlay {
                overlay = loaded;
            } else {
                entries.extend(loaded.map(|loaded| (key, loaded)));
            }
        }
        (Zones { pod_zone: self.pod_zone.clone(), zones: Tree::new(entries), overlay }, errors)
    }

    /// The zone that a question belongs to, by its name's key bytes: the one with the longest name at or above it. The Pod zone is not among them.
    ///
    /// DS of a zone's own apex is the parent's to answer (RFC 4035 §3.1.4.1), if that is here and delegates it.
    pub fn find(&self, name: &[u8], qtype: Rtype) -> Option<&Arc<Zone>> {
        let (mut found, mut above) = (None, None);
        for here in descent(name, 0) {
            match self.zones.at(here) {
                At::Entry(loaded) => (found, above) = (Some(&loaded.zone), found),
                At::EmptyNonTerminal => {}
                At::Nothing => break,
            }
        }
        let is_apex = found.is_some_and(|zone| zone.apex.as_bytes() == name);
        let parent = above.filter(|parent| qtype == Rtype::DS && is_apex && parent.delegates(name));
        parent.or(found)
    }

    /// What the folder adds to the Pod zone.
    pub fn overlay(&self) -> Option<&Arc<Zone>> {
        self.overlay.as_ref().map(|loaded| &loaded.zone)
    }

    /// Whether one of these zones begins below a name.
    pub fn is_above_one(&self, key: &[u8]) -> bool {
        matches!(self.zones.at(key), At::EmptyNonTerminal)
    }

    /// All zones but the Pod zone's.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.iter().map(|(_, loaded)| &loaded.zone)
    }

    /// The origins of the zones that are below a name: below the Pod zone's, they hide what Pods have there.
    pub fn hidden_below(&self, name: &Key) -> impl Iterator<Item = &Name> {
        self.iter().filter(|zone| zone.apex.is_within(name) && zone.apex != *name).map(|zone| zone.origin())
    }
}

/// The zone files of a folder by the keys of their origins; those whose names are no origins become errors.
fn zone_files(folder: &Path, errors: &mut Vec<ZoneError>) -> Result<BTreeMap<Key, (PathBuf, Name)>, Problem> {
    let mut paths = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if !is_zone_file(&path) {
            continue;
        }
        if paths.len() == ZONES_MAX {
            return Err(Problem::TooMany);
        }
        paths.push(path);
    }
    paths.sort(); // which of two files for one zone is taken must not be the disk's choice
    let mut files = BTreeMap::new();
    for path in paths {
        match origin_of(&path) {
            Ok(origin) if files.contains_key(&origin.key()) => {
                errors.push(ZoneError { path, problem: Problem::Twice(origin) });
            }
            Ok(origin) => {
                files.insert(origin.key(), (path, origin));
            }
            Err(problem) => errors.push(ZoneError { path, problem }),
        }
    }
    Ok(files)
}

/// Whether a file of the folder is for a zone, by its name.
fn is_zone_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b".zone"))
}

/// The zone that a file is named after: `example.org.zone` is for `example.org.`
fn origin_of(path: &Path) -> Result<Name, Problem> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(Problem::NotUtf8)?;
    name.strip_suffix(".zone").unwrap_or(name).parse().map_err(Problem::BadOrigin)
}

/// Reads a zone from its file, or takes the old one if that was read from the same bytes.
fn read_zone(path: &Path, origin: &Name, role: Role, old: Option<&Loaded>) -> Result<Loaded, Problem> {
    let text = read_file(path)?;
    let sha256 = Sha256::digest(&text).into();
    if let Some(old) = old.filter(|old| old.sha256 == sha256 && old.includes_the_same()) {
        return Ok(old.clone());
    }
    let mut folder = Folder::at(path.parent().unwrap_or(Path::new("")));
    let zone = Zone::read(&text, origin, role, &mut folder)?;
    let included = folder.included.into_iter().map(|file| (file.path, Sha256::digest(&file.text).into())).collect();
    Ok(Loaded { zone: Arc::new(zone), sha256, included })
}

impl Loaded {
    /// Whether all files that it includes are what they were.
    fn includes_the_same(&self) -> bool {
        let is_same = |path: &Path, sha256| read_file(path).is_ok_and(|text| Sha256::digest(&text) == sha256);
        self.included.iter().all(|(path, sha256)| is_same(path, *sha256))
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    if !fs::metadata(path)?.is_file() {
        return Err(Problem::NotAFile); // to open a pipe would wait for its writer
    }
    let mut text = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(Problem::TooLarge);
    }
    Ok(text)
}
