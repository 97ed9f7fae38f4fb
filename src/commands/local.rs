//! The commands' own source: a snapshot of what files or a cluster hold now, made without a server.

use std::sync::Arc;

use crate::config::Config;
use crate::snapshot::Snapshot;

/// Why Pods could not be read without a server.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// .
    #[error("reading Pods without a server is not built yet; ask one with --server URL")]
    NotBuilt,
}

/// Why a Pod is not in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// There is no Pod of that name.
    NoPod,
    /// It carries no profile's label.
    NoLabel,
}

pub async fn snapshot_of(config: &Config) -> Result<Arc<Snapshot>, LocalError> {
    let _ = config;
    Err(LocalError::NotBuilt)
}

pub(super) async fn own_namespace(config: &Config) -> Result<Option<String>, LocalError> {
    let _ = config;
    Err(LocalError::NotBuilt)
}

pub(super) async fn absence(config: &Config, _: &str, _: &str) -> Result<Absence, LocalError> {
    let _ = config;
    Err(LocalError::NotBuilt)
}
