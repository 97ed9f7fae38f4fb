//! A process registers itself in its own Pod: one implementation for the wrapper, the sidecar, the one-shot commands and
//! the library.
//!
//! ```text
//! offers ─► registrar ─(GET, one merge PATCH)─► the Pod's label and annotation
//!              ▲
//!           keeper: the list that is wanted becomes what is, with patience
//!              ▲
//!           wrapper (a server of its own), sidecar (a port beside it), once; the library's guards
//! ```
//!
//! Everything that a registrar writes says so: each registration carries a pair `registrar` with the container's name.
//! So a restart replaces its own entries, and several containers of a Pod share one list. A registrar that looks after its
//! entries says that too, by a pair `registrar-kind`.

pub mod error;
pub mod init;
pub mod keeper;
pub mod offer;
pub mod probe;
pub mod profile;
mod proof;
pub mod registrar;
pub mod sidecar;
pub mod signals;
mod terminal;
pub mod wrapper;

use std::sync::Arc;

use crate::registration;

pub use error::RegisterError;
pub use keeper::Keeper;
pub use offer::Offer;
pub use probe::Probe;
pub use profile::Profile;
pub use registrar::{Registrar, Wanted, Wrote};

/// The Pod that a process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid, where it was told: then no other Pod is taken for it.
    pub uid: Option<Arc<str>>,
    /// Why it may be another Pod: without a uid, an address has to show that it is this process's.
    pub doubt: Option<Doubt>,
    /// There is a doubt, or a flag may contradict the uid: it is looked at before a server is started.
    pub is_doubtful: bool,
}

/// Why a Pod may be another one than this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The name is the host's.
    #[error(
        "nothing but HOSTNAME says which Pod this process is in, and the kubelet cuts host names at 63 bytes, so the name may \
             be another Pod's"
    )]
    HostName,
    /// One of name and namespace comes from the Pod, and the other one from a flag or a kubeconfig.
    #[error(
        "the Pod's name and its namespace come from different places (a flag, the environment, a kubeconfig), so that together \
             they may name another Pod"
    )]
    Mixed,
}

/// Whose entries of a Pod's list are ours: the pairs that they carry say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The container's name.
    pub name: Arc<str>,
    /// What writes them.
    pub kind: Kind,
}

/// What writes a container's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The parent of the server.
    Wrapper,
    /// A process beside the server.
    Sidecar,
    /// The server itself.
    Library,
    /// A command that ends when it has written them. It replaces what another kind looks after only if the container was
    /// named.
    Once {
        /// The user has given the container's name.
        is_named: bool,
    },
}

impl Owner {
    /// The pairs that mark an entry.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let kind = match self.kind {
            Kind::Wrapper => Some("wrapper"),
            Kind::Sidecar => Some("sidecar"),
            Kind::Library => Some("library"),
            Kind::Once { .. } => None,
        };
        let kind = kind.map(|kind| (offer::REGISTRAR_KIND, kind));
        [(registration::REGISTRAR, &*self.name)].into_iter().chain(kind)
    }
}
