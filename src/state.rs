//! The zone saved in a file. A server that starts while the API server is away answers from it.
//!
//! The file holds Pods with their registrations, not the zone itself. Loading sends them through the same index as the
//! sources do, so the file is trusted no more than a Pod. It holds no secrets, because the zone holds none.
//!
//! **The file**, `zone.state`: a head of one line, and an LZ4 frame with a checksum over its content. Each line in the
//! frame is a Pod in JSON. The last line holds the number of Pods. This version ignores fields that a later version
//! adds, and uses defaults for fields that an earlier version lacks.
//!
//! **Writing** takes a snapshot, which costs nothing, and streams it on a separate thread. It replaces the old file
//! once the new one is on the disk (write, fsync, rename, fsync of the folder). It uses at most a twentieth of a
//! processor.

mod counters;
mod record;
mod saver;
mod state_file;

use std::path::PathBuf;

pub use counters::StateCounters;
pub use saver::StateSaver;
pub use state_file::{load, save, serial};

/// The file's name in the state folder.
pub const FILE_NAME: &str = "zone.state";

/// What identifies a saved zone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StateHeader {
    /// Always `callsign-state`.
    format: String,
    /// The earliest version of the format that can read the file.
    version: u32,
    /// The zone's origin.
    zone: String,
    /// The sources of the Pods, as `cluster/profile/namespace`.
    sources: Vec<String>,
    /// The SOA's serial.
    serial: u32,
    /// When the sources were last heard from, in Unix seconds. The content was true then.
    pub heard_at: u64,
}

/// Why a saved zone is not used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No zone was saved yet.
    #[error("there is no saved zone")]
    Absent,
    /// The file or its folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The state file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not in our format, or not complete.
    #[error("{}: {reason}", path.display())]
    Broken {
        /// The state file.
        path: PathBuf,
        /// What is wrong, for people.
        reason: String,
    },
    /// The file holds another zone, or has other sources.
    #[error("{}: it holds {theirs}, and this server serves {ours}", path.display())]
    Foreign {
        /// The state file.
        path: PathBuf,
        /// The file's zone and sources.
        theirs: String,
        /// This server's zone and sources.
        ours: String,
    },
    /// The file is older than the operator allows.
    #[error("{}: the sources were last heard from {age_s} s ago, and --state-max-age is {max_s}", path.display())]
    TooOld {
        /// The state file.
        path: PathBuf,
        /// The file's age in seconds.
        age_s: u64,
        /// The oldest age allowed, in seconds.
        max_s: u64,
    },
}
