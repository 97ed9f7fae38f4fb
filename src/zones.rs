//! Static zones: records that are not of Pods, served from master files in a folder.
//!
//! A folder of `<origin>.zone` files becomes an immutable collection of zones. A reload makes a new collection. It
//! shares the zones whose files are unchanged, and keeps the old zone if its file has become bad, so a bad edit harms
//! only its own zone. The file for the Pod zone is kept apart: its records are added to the Pods' names.
//!
//! ```text
//! folder ─► token ─► file, data ─► check (overlay) ─► zone ─► lookup
//!           words    records       rules between      names   answers a
//!                                  records                    question
//! ```

mod check;
mod data;
mod fault;
mod generate;
mod include;
#[cfg(feature = "server")]
mod listing;
mod lookup;
mod master_file;
#[cfg(test)]
mod model;
mod overlay;
mod rrset;
mod token;
mod tree;
mod zone;

pub use fault::{FilePosition, ZoneFault, ZoneReason};
#[cfg(feature = "server")]
pub use listing::ZoneListing;
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
use tree::{Tree, TreeMatch, descent};

/// The largest zone file, in bytes: some 60 bytes for each of [`RECORDS_MAX`].
pub const FILE_LEN_MAX: u64 = 64 * 1024 * 1024;

/// The most records of one zone: a few hundred MB, more than a server beside a cluster needs.
pub const RECORDS_MAX: usize = 1_000_000;

/// The longest data of one record, in bytes: its length is a number of 16 bits (RFC 1035 §3.2.1).
pub const RDATA_LEN_MAX: usize = 65_535;

/// The longest message, in bytes: over TCP its length is a number of 16 bits (RFC 1035 §4.2.2).
const MESSAGE_LEN_MAX: usize = 65_535;

/// The most zone files of a folder. Each is opened and hashed at each reload.
pub const ZONES_MAX: usize = 10_000;

/// All static zones, immutable. A question belongs to the zone with the longest matching name.
pub struct Zones {
    pod_zone: Name,
    zones: Tree<LoadedZone>,
    overlay: Option<LoadedZone>,
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).entries(self.overlay()).finish()
    }
}

/// A zone and the hashes of its files.
#[derive(Clone)]
struct LoadedZone {
    zone: Arc<Zone>,
    /// The zone's own file.
    path: Arc<Path>,
    /// The hash of the zone's own file.
    sha256: [u8; 32],
    /// The files that the zone includes, and the SHA-256 of each.
    included: Arc<[(PathBuf, [u8; 32])]>,
}

/// A zone file that is not served, whose old content is served, or whose zone is served in part.
#[derive(Debug, thiserror::Error)]
pub struct ZoneError {
    /// The zone file, or the folder if the folder itself has the problem.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: ZoneProblem,
}

/// `path:line:column: reason`, or without line and column.
impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_place = matches!(&self.problem, ZoneProblem::Fault(fault) if fault.position.as_ref().is_some_and(|position| position.file.is_none()));
        let gap = if has_place { "" } else { " " };
        write!(f, "{}:{gap}{}", self.path.display(), self.problem)
    }
}

/// What is wrong with a zone file or a folder.
#[derive(Debug, thiserror::Error)]
pub enum ZoneProblem {
    /// Reading failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The path is not a regular file.
    #[error("not a regular file")]
    NotAFile,
    /// It is larger than [`FILE_LEN_MAX`].
    #[error("larger than {FILE_LEN_MAX} bytes")]
    TooLarge,
    /// Its name is not a zone name.
    #[error("not named after a zone: {0}")]
    BadOrigin(NameError),
    /// Its name is not UTF-8.
    #[error("not named after a zone: it is not UTF-8")]
    NotUtf8,
    /// Another file, in another spelling, is named after the same zone.
    #[error("another file is also named after {0}")]
    Twice(Name),
    /// The folder has more than [`ZONES_MAX`] zone files.
    #[error("more than {ZONES_MAX} zone files")]
    TooMany,
    /// Its content cannot be served.
    #[error("{0}")]
    Fault(#[from] ZoneFault),
}

impl Zones {
    /// No zones besides a Pod zone with this name.
    pub fn none(pod_zone: Name) -> Zones {
        Zones { pod_zone, zones: Tree::new(Vec::new()), overlay: None }
    }

    /// Reads every `<origin>.zone` of a folder. Blocks on the disk.
    ///
    /// A zone that cannot be served is left out and reported.
    pub fn load(folder: &Path, pod_zone: Name) -> (Zones, Vec<ZoneError>) {
        Zones::none(pod_zone).reload(folder)
    }

    /// Reads the folder again. A zone goes with its file. It stays as it was if its file has become bad or the folder
    /// cannot be read, and is shared if nothing has changed. Blocks on the disk.
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

    /// The zone of a question, by its name's key bytes: the one with the longest name at or above it. It never returns
    /// the Pod zone.
    ///
    /// DS of a zone's own apex belongs to the parent (RFC 4035 §3.1.4.1), if the parent is here and delegates the
    /// zone.
    pub fn find(&self, name: &[u8], qtype: Rtype) -> Option<&Arc<Zone>> {
        let (mut found, mut above) = (None, None);
        for here in descent(name, 0) {
            match self.zones.at(here) {
                TreeMatch::Entry(loaded) => (found, above) = (Some(&loaded.zone), found),
                TreeMatch::EmptyNonTerminal => {}
                TreeMatch::Nothing => break,
            }
        }
        let is_apex = found.is_some_and(|zone| zone.apex.as_bytes() == name);
        let parent = above.filter(|parent| qtype == Rtype::DS && is_apex && parent.delegates(name));
        parent.or(found)
    }

    /// The records that the folder adds to the Pod zone.
    pub fn overlay(&self) -> Option<&Arc<Zone>> {
        self.overlay.as_ref().map(|loaded| &loaded.zone)
    }

    /// Whether one of these zones begins below a name.
    pub fn is_above_one(&self, key: &[u8]) -> bool {
        matches!(self.zones.at(key), TreeMatch::EmptyNonTerminal)
    }

    /// The RRsets that are in a zone and fit into no message.
    pub fn warnings(&self) -> impl Iterator<Item = ZoneError> {
        let loaded = self.zones.iter().map(|(_, loaded)| loaded).chain(&self.overlay);
        loaded.flat_map(|LoadedZone { zone, path, .. }| {
            zone.unfit.iter().map(|fault| ZoneError { path: path.to_path_buf(), problem: fault.clone().into() })
        })
    }

    /// All zones except the Pod zone's.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.iter().map(|(_, loaded)| &loaded.zone)
    }

    /// The origins of the zones below a name. Zones below the Pod zone's name hide the Pods' names there.
    pub fn hidden_below(&self, name: &Key) -> impl Iterator<Item = &Name> {
        self.iter().filter(|zone| zone.apex.is_within(name) && zone.apex != *name).map(|zone| zone.origin())
    }
}

/// The zone files of a folder, by the keys of their origins. Files that are not named after a zone become errors.
fn zone_files(folder: &Path, errors: &mut Vec<ZoneError>) -> Result<BTreeMap<Key, (PathBuf, Name)>, ZoneProblem> {
    let mut paths = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if !is_zone_file(&path) {
            continue;
        }
        if paths.len() == ZONES_MAX {
            return Err(ZoneProblem::TooMany);
        }
        paths.push(path);
    }
    paths.sort(); // the choice between two files of one zone must not depend on the disk
    let mut files = BTreeMap::new();
    for path in paths {
        match origin_of(&path) {
            Ok(origin) if files.contains_key(&origin.key()) => {
                errors.push(ZoneError { path, problem: ZoneProblem::Twice(origin) });
            }
            Ok(origin) => {
                files.insert(origin.key(), (path, origin));
            }
            Err(problem) => errors.push(ZoneError { path, problem }),
        }
    }
    Ok(files)
}

/// Whether a file is a zone file, by its name.
fn is_zone_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b".zone"))
}

/// The zone that a file is named after: `example.org.zone` is for `example.org.`
fn origin_of(path: &Path) -> Result<Name, ZoneProblem> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(ZoneProblem::NotUtf8)?;
    name.strip_suffix(".zone").unwrap_or(name).parse().map_err(ZoneProblem::BadOrigin)
}

/// Reads a zone from its file, or returns the old one if the file has not changed.
fn read_zone(path: &Path, origin: &Name, role: Role, old: Option<&LoadedZone>) -> Result<LoadedZone, ZoneProblem> {
    let text = read_file(path)?;
    let sha256 = Sha256::digest(&text).into();
    if let Some(old) = old.filter(|old| old.sha256 == sha256 && old.includes_the_same()) {
        return Ok(old.clone());
    }
    let mut folder = Folder::at(path.parent().unwrap_or(Path::new("")));
    let zone = Zone::read(&text, origin, role, &mut folder)?;
    let included = folder.included.into_iter().map(|file| (file.path, Sha256::digest(&file.text).into())).collect();
    Ok(LoadedZone { zone: Arc::new(zone), path: path.into(), sha256, included })
}

impl LoadedZone {
    /// Whether all files that the zone includes are unchanged.
    fn includes_the_same(&self) -> bool {
        let is_same = |path: &Path, sha256| read_file(path).is_ok_and(|text| Sha256::digest(&text) == sha256);
        self.included.iter().all(|(path, sha256)| is_same(path, *sha256))
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ZoneProblem> {
    if !fs::metadata(path)?.is_file() {
        return Err(ZoneProblem::NotAFile); // opening a pipe would wait for its writer
    }
    let mut text = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(ZoneProblem::TooLarge);
    }
    Ok(text)
}
