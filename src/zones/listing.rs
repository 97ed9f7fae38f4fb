//! The content of a folder of zone files, for `callsign check`: the number of zone files, and the files that nothing
//! reads.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::{LoadedZone, Zones, is_zone_file};
use crate::poll::has_below;

/// The content of a folder of zone files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneListing {
    /// The number of zone files, including those that cannot be served.
    pub zone_files: usize,
    /// The number of other files that the zones include, each counted once.
    pub included_files: usize,
    /// The visible files that nothing reads, sorted.
    pub passed_over: Vec<PathBuf>,
    /// The visible folders that have zone files, sorted. They are not read.
    pub folders: Vec<PathBuf>,
}

impl Zones {
    /// Lists the folder that these zones come from.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn listing(&self, folder: &Path) -> io::Result<ZoneListing> {
        let included = self.included();
        let mut listing = ZoneListing { included_files: included.len(), ..ZoneListing::default() };
        for entry in folder.read_dir()? {
            let path = entry?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() {
                listing.folders.extend(Some(path).filter(|path| !is_hidden && has_below(path, is_zone_file)));
            } else if is_zone_file(&path) {
                listing.zone_files += 1;
            } else if !is_hidden && path.canonicalize().is_ok_and(|real| real.is_file() && !included.contains(&real)) {
                listing.passed_over.push(path);
            }
        }
        listing.passed_over.sort();
        listing.folders.sort();
        Ok(listing)
    }

    /// The files that zones include, with links resolved.
    fn included(&self) -> BTreeSet<PathBuf> {
        let loaded = self.zones.iter().map(|(_, loaded)| loaded).chain(&self.overlay);
        loaded
            .flat_map(|LoadedZone { included, .. }| included.iter())
            .filter_map(|(path, _)| path.canonicalize().ok())
            .collect()
    }
}
