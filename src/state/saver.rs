//! Decides when the zone is saved.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

use super::{StateCounters, StateError, save};
use crate::snapshot::{PublishedZone, Snapshot};
use crate::source::SourceId;

/// The shortest time between two writes.
const INTERVAL: Duration = Duration::from_secs(10);

/// A write waits this many times as long as the one before it took, so that writing uses a twentieth of a processor.
const REST: u32 = 19;

/// How often an unchanged zone is written, so that its file stays recent.
const REFRESH: Duration = Duration::from_secs(600);

/// Saves the zone after changes while the process runs, and once at its end.
pub struct StateSaver {
    folder: PathBuf,
    sources: Vec<SourceId>,
    zone: Arc<PublishedZone>,
    counters: Arc<StateCounters>,
    age: Box<dyn Fn() -> Option<Duration> + Send + Sync>,
    /// Held while the file is written. The process may end in the middle of a write.
    writing: Mutex<()>,
}

impl std::fmt::Debug for StateSaver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateSaver").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl StateSaver {
    /// Saves into a folder. `age` returns how long ago the sources were last known to be whole.
    pub fn new(
        folder: PathBuf,
        sources: Vec<SourceId>,
        zone: Arc<PublishedZone>,
        counters: Arc<StateCounters>,
        age: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) -> StateSaver {
        StateSaver { folder, sources, zone, counters, age: Box::new(age), writing: Mutex::default() }
    }

    /// Saves until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut saved: Option<(u64, Instant)> = None;
        let mut wait = INTERVAL;
        loop {
            tokio::time::sleep(wait).await;
            let snapshot = self.zone.snapshot.load_full();
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

    /// Saves the current zone.
    pub async fn finish(self: Arc<Self>) {
        let snapshot = self.zone.snapshot.load_full();
        if is_live(&snapshot) {
            self.save(snapshot).await;
        }
    }

    /// Saves a snapshot. Logs only the first of several failures in a row, so that a full disk does not fill the log.
    async fn save(self: Arc<Self>, snapshot: Arc<Snapshot>) {
        let _alone = self.writing.lock().await;
        let heard_at = now().saturating_sub((self.age)().unwrap_or_default().as_secs());
        let saver = self.clone();
        let write = move || save(&saver.folder, &snapshot, &saver.sources, heard_at);
        let written = tokio::task::spawn_blocking(write).await;
        match written {
            Ok(Ok(())) => drop(self.counters.state_written(true)),
            Ok(Err(error)) if self.counters.state_written(false) => {
                tracing::error!(
                    "the zone is not saved, so a restart has no answers while the API server is away: {error}"
                );
            }
            Ok(Err(StateError::Io { .. })) => {}
            Ok(Err(_)) | Err(_) => drop(self.counters.state_written(false)),
        }
    }
}

/// Whether the zone is complete, and comes from this run's sources.
fn is_live(snapshot: &Snapshot) -> bool {
    snapshot.is_synced && snapshot.heard_at.is_none()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
