//! Manifests that are read again when they change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::SendError;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::read::Kept;
use super::{CLUSTER, FileProblem, Loaded};
use crate::source::health::SourceHealth;
use crate::source::poll::{Fingerprint, POLL_INTERVAL};
use crate::source::{Arrival, Event, Profile, SourceId};

/// One source of manifests, which serves every profile.
#[derive(Clone, Debug)]
pub struct Manifests {
    paths: Vec<PathBuf>,
    profiles: Vec<Profile>,
}

impl Manifests {
    /// Manifests in files and folders, for these profiles.
    pub fn new(paths: Vec<PathBuf>, profiles: Vec<Profile>) -> Manifests {
        Manifests { paths, profiles }
    }

    /// The sources that its events name, one a profile.
    pub fn ids(&self) -> impl Iterator<Item = SourceId> {
        self.profiles.iter().map(id)
    }

    /// Runs until the receiver of the events is gone: reads, tells every profile its Pods, and does so again whenever the
    /// files have changed or `reread` is notified.
    pub async fn run(self, events: Sender<Arrival>, health: Arc<SourceHealth>, reread: Arc<Notify>) {
        let mut kept = Kept::default();
        let mut told = BTreeSet::new();
        loop {
            let (paths, read_at) = (self.paths.clone(), Instant::now());
            let read = spawn_blocking(move || {
                let seen = Fingerprint::of(&paths);
                let loaded = kept.load(&paths);
                (kept, seen, loaded)
            });
            let Ok((back, seen, loaded)) = read.await else { return };
            kept = back;
            told = tell(&loaded, &told, &health);
            if self.emit(&loaded, &events).await.is_err() {
                return;
            }
            drop(loaded);
            health.confirm(read_at);
            health.commit();
            tokio::select! {
                () = events.closed() => return,
                () = reread.notified() => {}
                () = self.changed(&seen, &health) => {}
            }
        }
    }

    async fn emit(&self, loaded: &Loaded, events: &Sender<Arrival>) -> Result<(), SendError<Arrival>> {
        let received = Instant::now();
        for profile in &self.profiles {
            let source = id(profile);
            for change in loaded.changes(profile) {
                let event = Event { source: source.clone(), change };
                events.send(Arrival { event, received, decoded: None }).await?;
            }
        }
        Ok(())
    }

    /// Returns when the files do not look as they did. Each look counts as a sign of life.
    async fn changed(&self, seen: &Fingerprint, health: &SourceHealth) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let paths = self.paths.clone();
            let looked = Instant::now();
            let now = spawn_blocking(move || Fingerprint::of(&paths)).await;
            health.hear();
            match now {
                Ok(now) if now != *seen => return,
                Ok(_) => health.confirm(looked),
                Err(_) => {}
            }
        }
    }
}

fn id(profile: &Profile) -> SourceId {
    SourceId { cluster: CLUSTER.into(), profile: profile.name.clone(), namespace: None }
}

/// Logs what is new among the problems, and gives those there are, for the next time.
fn tell(loaded: &Loaded, told: &BTreeSet<FileProblem>, health: &SourceHealth) -> BTreeSet<FileProblem> {
    for problem in loaded.problems.iter().filter(|problem| !told.contains(problem)) {
        warn!("manifests: {problem}");
    }
    let summary = loaded.problems.first().map(|first| match loaded.problems.len() {
        1 => format!("manifests: {first}"),
        more => format!("manifests: {first}, and {} more", more - 1),
    });
    health.set_error(summary);
    info!(pods = loaded.pods.len(), ignored = loaded.ignored, problems = loaded.problems.len(), "manifests read");
    loaded.problems.iter().cloned().collect()
}
