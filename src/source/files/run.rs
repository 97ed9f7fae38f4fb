//! A source of manifests, which reads them again when they change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::read::{LoadEvent, LoadState, bit};
use super::{CLUSTER, FileProblem, LoadReport};
use crate::poll::{Fingerprint, POLL_INTERVAL, settled};
use crate::source::health::SourceHealth;
use crate::source::{Change, Event, SourceId, WatchProfile};

/// One source of manifests for all profiles.
#[derive(Clone, Debug)]
pub struct Manifests {
    paths: Vec<PathBuf>,
    profiles: Vec<WatchProfile>,
}

impl Manifests {
    /// A source of files and folders for these profiles.
    pub fn new(paths: Vec<PathBuf>, profiles: Vec<WatchProfile>) -> Manifests {
        Manifests { paths, profiles }
    }

    /// The sources of its events, one for each profile.
    pub fn ids(&self) -> impl Iterator<Item = SourceId> {
        self.profiles.iter().map(id)
    }

    /// Reads the files and sends each profile its Pods, now and again whenever the files change or `reread` is notified. Ends
    /// when the receiver of the events is gone.
    pub async fn run(self, events: Sender<Event>, health: Arc<SourceHealth>, reread: Arc<Notify>) {
        let mut state = LoadState::new(self.profiles.clone());
        let mut logged = BTreeSet::new();
        loop {
            let (paths, events_of_load, read_at) = (self.paths.clone(), events.clone(), Instant::now());
            let read = spawn_blocking(move || {
                let seen = Fingerprint::of(&paths);
                let report = emit(&mut state, &paths, &events_of_load);
                (state, seen, report)
            });
            let Ok((back, seen, Some(report))) = read.await else { return };
            state = back;
            logged = log_problems(&report, &logged, &health);
            drop(report);
            health.confirm(read_at);
            health.commit();
            tokio::select! {
                () = events.closed() => return,
                () = reread.notified() => {}
                () = self.changed(&seen, &health) => {}
            }
        }
    }

    /// Returns when the files have changed and settled. Each look is a sign of life.
    async fn changed(&self, seen: &Fingerprint, health: &SourceHealth) {
        let look = || {
            let paths = self.paths.clone();
            health.record_frame();
            spawn_blocking(move || Fingerprint::of(&paths))
        };
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let looked = Instant::now();
            match look().await {
                Ok(now) if now == *seen => health.confirm(looked),
                Ok(now) => {
                    settled(Some(now), || look().map(Result::ok)).await;
                    return;
                }
                Err(_) => {}
            }
        }
    }
}

/// Reads the files, and sends each profile its Pods meanwhile. Blocks. `None` if the receiver of the events is gone.
fn emit(state: &mut LoadState, paths: &[PathBuf], events: &Sender<Event>) -> Option<LoadReport> {
    let profiles: Vec<SourceId> = state.profiles().iter().map(id).collect();
    let mut is_heard = true;
    let mut send = |source: &SourceId, change| {
        if is_heard {
            let event = Event { source: source.clone(), change, received: Instant::now(), decoded: None };
            is_heard = events.blocking_send(event).is_ok();
        }
    };
    profiles.iter().for_each(|source| send(source, Change::Begin));
    let report = state.load(paths, &mut |event| match event {
        LoadEvent::Found { pod, before } => {
            for (at, source) in profiles.iter().enumerate() {
                match pod.of_profile(at) {
                    Some(chosen) => send(source, Change::Apply(chosen)),
                    None if before & bit(at) != 0 => send(source, Change::Remove(pod.pod.uid.clone())),
                    None => {}
                }
            }
        }
        LoadEvent::Template(_) => {} // not asked for
        LoadEvent::Gone(uid) => profiles.iter().for_each(|source| send(source, Change::Remove(uid.clone()))),
    });
    let is_whole = state.is_whole();
    profiles.iter().for_each(|source| send(source, if is_whole { Change::Commit } else { Change::Close }));
    is_heard.then_some(report)
}

fn id(profile: &WatchProfile) -> SourceId {
    SourceId { cluster: CLUSTER.into(), profile: profile.name.clone(), namespace: None }
}

/// Logs the new problems. Returns all of them, for the next call.
fn log_problems(report: &LoadReport, logged: &BTreeSet<FileProblem>, health: &SourceHealth) -> BTreeSet<FileProblem> {
    for problem in report.problems.iter().filter(|problem| !logged.contains(problem)) {
        warn!("manifests: {problem}");
    }
    if report.problems_left_out > 0 {
        warn!("manifests: {} more problems", report.problems_left_out);
    }
    let summary = report.problems.first().map(|first| match report.problems.len() + report.problems_left_out {
        1 => format!("manifests: {first}"),
        more => format!("manifests: {first}, and {} more", more - 1),
    });
    health.set_error(summary);
    let LoadReport { files, pods, ignored, .. } = report;
    let problems = report.problems.len() + report.problems_left_out;
    info!(files, pods, %ignored, problems, "manifests read");
    report.problems.iter().cloned().collect()
}
