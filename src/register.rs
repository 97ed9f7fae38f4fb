//! Registers a process in its own Pod. One implementation serves the wrapper, the sidecar, the one-shot commands and
//! the library.
//!
//! ```text
//! offers ─► registrar ─(GET, one merge PATCH)─► the Pod's label and annotation
//!              ▲
//!           keeper: retries until the Pod has the wanted entries
//!              ▲
//!           wrapper (starts the server), sidecar (runs next to it), one-shot command, guards of the library
//! ```
//!
//! Every registration that a registrar writes carries a pair `registrar` with the container's name. So a restart
//! replaces its own entries, and the containers of a Pod share one list. A registrar that stays and keeps its entries
//! in place also writes a pair `registrar-kind`.

mod annotated;
pub mod error;
#[cfg(feature = "server")]
pub mod init;
pub mod keeper;
pub mod offer;
pub mod own_pod;
#[cfg(feature = "server")]
pub mod probe;
pub mod profile;
mod proof;
pub mod registrar;
#[cfg(feature = "server")]
pub mod sidecar;
#[cfg(feature = "server")]
pub mod signals;
#[cfg(feature = "server")]
mod terminal;
#[cfg(feature = "server")]
pub mod wrapper;
pub mod yaml;

use std::sync::Arc;

use crate::registration;

pub use error::RegisterError;
pub use keeper::Keeper;
pub use offer::{Offer, OfferError};
pub use own_pod::{OwnPod, OwnPodError, PodDoubt, PodVariables, own_pod};
#[cfg(feature = "server")]
pub use probe::Probe;
pub use profile::Profile;
pub use registrar::{Registrar, WantedEntries, WriteOutcome};

/// The owner of entries in a Pod's list. The entries carry it as pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub name: Arc<str>,
    /// The kind of process that writes the entries.
    pub kind: OwnerKind,
}

/// The kind of process that writes a container's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerKind {
    /// The parent of the server process.
    Wrapper,
    /// A process in another container of the Pod.
    Sidecar,
    /// The server itself.
    Library,
    /// A command that writes and exits. It replaces the entries of a running registrar of another kind only if the
    /// user has named the container.
    Once {
        /// The user has named the container.
        is_named: bool,
    },
}

impl Owner {
    /// The pairs that mark an entry.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let kind = match self.kind {
            OwnerKind::Wrapper => Some("wrapper"),
            OwnerKind::Sidecar => Some("sidecar"),
            OwnerKind::Library => Some("library"),
            OwnerKind::Once { .. } => None,
        };
        let kind = kind.map(|kind| (offer::REGISTRAR_KIND, kind));
        [(registration::REGISTRAR, &*self.name)].into_iter().chain(kind)
    }
}
