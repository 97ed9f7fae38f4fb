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
//! So a restart replaces its own entries, and several containers of a Pod share one list.

pub mod error;
pub mod init;
pub mod keeper;
pub mod offer;
pub mod probe;
pub mod profile;
pub mod registrar;
pub mod sidecar;
mod signals;
pub mod wrapper;

use std::sync::Arc;

pub use error::RegisterError;
pub use keeper::Keeper;
pub use offer::Offer;
pub use probe::Probe;
pub use profile::Profile;
pub use registrar::{Registrar, Wrote};

/// The Pod that a process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid, where it was told: then no other Pod is taken for it.
    pub uid: Option<Arc<str>>,
}
