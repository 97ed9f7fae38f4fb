//! When the zone is saved.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

use super::{StateError, save};
use crate::metrics::Metrics;
use crate::server::Responder;
use crate::snapshot::Snapshot;
use crate::source::SourceId;

/// The least time between two writes.
const INTERVAL: Duration = Duration::from_secs(10);

/// A write waits so many times as long as the one before it took: a twentieth of a processor.
const REST: u32 = 19;

/// A zone that did not change is written so often, so that its file tells that it was true until then.
const REFRESH: Duration = Duration::from_secs(600);

/// Saves the zone whenever it has changed, for as long as the process lives, and once at its end.
pub struct Keeper {
    folder: PathBuf,
    sources: Vec<SourceId>,
    responder: Arc<Responder>,
    age: Box<dyn Fn() -> Option<Duration> + Send + Sync>,
    /// Held while the file is written: the end may come in the middle of a write.
    writing: Mutex<()>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Into this folder, of these sources, of which `age` tells how long ago they were known to be whole.
    pub fn new(
        folder: PathBuf,
        sources: Vec<SourceId>,
        responder: Arc<Responder>,
        age: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) -> Keeper {
        Keeper { folder, sources, responder, age: Box::new(age), writing: Mutex::default() }
    }

    /// Saves until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut saved: Option<(u64, Instant)> = None;
        let mut wait = INTERVAL;
        loop {
            tokio::time::sleep(wait).await;
            let snapshot = self.responder.snapshot.load_full();
            let is_as_saved =
                saved.is_some_and(|(revision, at)| revision == snapshot.revision && at.elapsed() < REFRESH);
            if is_as_saved || !is_live(&snapshot) {
                continue;
            }
            let (revision, started) = (snapshot.revision, Instant::now());
            self.clone().save(snapshot).await;
            saved = Some((revision, started));
            wait = INTERVAL.max(started.elapsed() * REST);
        }
    }

    /// Saves what there is now.
    pub async fn finish(self: Arc<Self>) {
        let snapshot = self.responder.snapshot.load_full();
        if is_live(&snapshot) {
            self.save(snapshot).await;
        }
    }

    /// A write that fails is told once, until one succeeds: a disk that is full fills no log.
    async fn save(self: Arc<Self>, snapshot: Arc<Snapshot>) {
        let _alone = self.writing.lock().await;
        let heard_at = now().saturating_sub((self.age)().unwrap_or_default().as_secs());
        let keeper = self.clone();
        let write = move || save(&keeper.folder, &snapshot, &keeper.sources, heard_at);
        let written = tokio::task::spawn_blocking(write).await;
        let metrics: &Metrics = &self.responder.metrics;
        match written {
            Ok(Ok(())) => drop(metrics.state_written(true)),
            Ok(Err(error)) if metrics.state_written(false) => {
                tracing::error!(
                    "the zone is not saved, and a restart will know nothing while the API server is away: {error}"
                );
            }
            Ok(Err(StateError::Io { .. })) => {}
            Ok(Err(_)) | Err(_) => drop(metrics.state_written(false)),
        }
    }
}

/// What the sources have told in this run, all of it.
fn is_live(snapshot: &Snapshot) -> bool {
    snapshot.is_synced && snapshot.heard_at.is_none()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
