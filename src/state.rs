//! The zone of the last run, kept in a file: what is answered from while the API server is away at a start.
//!
//! What is saved are Pods, each with what it registered, and not the zone that was made of them: they are read back through
//! the same index that the sources write, so nothing of the file is believed that would not be believed of a Pod. It never
//! holds what looked like a secret, since the zone does not.
//!
//! **The file**, `zone.state`: a head of one line, and an LZ4 frame with a checksum over its content. In it each line is
//! a Pod in JSON; the last line says how many they were. Fields that a later version adds are ignored by this one, and
//! what an earlier one lacks has its default.
//!
//! **Writing** takes a snapshot, which costs nothing, streams it on a thread of its own, and puts the whole file in the
//! place of the old one once the disk has it (write, fsync, rename, fsync of the folder). It never takes more than a
//! twentieth of a processor.

mod file;
mod keeper;
mod record;

use std::path::PathBuf;

pub use file::{load, save, serial};
pub use keeper::Keeper;

/// The file's name in its folder.
pub const FILE_NAME: &str = "zone.state";

/// What a saved zone was of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// `callsign-state`
    format: String,
    /// What can read it: this and later versions.
    version: u32,
    /// The zone.
    zone: String,
    /// Whose Pods they are.
    sources: Vec<String>,
    /// The SOA's serial.
    serial: u32,
    /// Unix seconds at which the sources were last heard of: what is older than that was true then.
    pub heard_at: u64,
}

/// Why there is no saved zone.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is none yet.
    #[error("there is none")]
    Absent,
    /// The file, or its folder, cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no state of ours, or not all of it.
    #[error("{}: {reason}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is another zone's.
    #[error("{}: it is of {theirs}, and this server of {ours}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is of.
        theirs: String,
        /// What it should be of.
        ours: String,
    },
    /// It is too old.
    #[error("{}: the cluster was last heard of {age_s} s before, and --state-max-age is {max_s}", path.display())]
    TooOld {
        /// The file.
        path: PathBuf,
        /// Its age in seconds.
        age_s: u64,
        /// The most.
        max_s: u64,
    },
}
