//! The sources that a configuration names, running.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::{Notify, mpsc};

use super::{statics, zone_settings};
use crate::config::{Config, Kubernetes, Namespaces};
use crate::index::{Index, Now};
use crate::metrics::SourceStats;
use crate::snapshot::Snapshot;
use crate::source::files::Manifests;
use crate::source::health::{Restart, SourceHealth};
use crate::source::kube::{Watch, client};
use crate::source::{Event, SourceId};
use crate::writer::QUEUE_LEN_MAX;

/// What the cluster that is watched is called.
const CLUSTER: &str = "kubernetes";

/// How long a command waits for the sources' first lists.
const SYNC_WAIT: Duration = Duration::from_secs(30);

/// Running sources.
#[derive(Debug)]
pub struct Sources {
    watches: Vec<(SourceId, Arc<SourceHealth>)>,
    manifests: Vec<(SourceId, Arc<SourceHealth>)>,
}

impl Sources {
    /// Starts every source; their tasks end with the receiver of the events.
    ///
    /// # Errors
    /// A kubeconfig that cannot be used.
    pub async fn start(config: &Config, events: mpsc::Sender<Event>, reread: Arc<Notify>) -> anyhow::Result<Sources> {
        let started = Instant::now();
        let mut sources = Sources { watches: Vec::new(), manifests: Vec::new() };
        if let Some(kubernetes) = &config.kubernetes {
            sources.start_watches(config, kubernetes, &events, started).await?;
        }
        if !config.manifests.is_empty() {
            let manifests = Manifests::new(config.manifests.clone(), config.profiles.clone());
            let health = Arc::new(SourceHealth::new(started));
            sources.manifests = manifests.ids().map(|id| (id, health.clone())).collect();
            tokio::spawn(manifests.run(events, health, reread));
        }
        Ok(sources)
    }

    /// One watch a profile and namespace.
    async fn start_watches(
        &mut self,
        config: &Config,
        kubernetes: &Kubernetes,
        events: &mpsc::Sender<Event>,
        started: Instant,
    ) -> anyhow::Result<()> {
        let Kubernetes { kubeconfig, context, namespaces } = kubernetes;
        let (client, own) = client(kubeconfig.as_deref(), context.as_deref()).await?;
        let namespaces = match namespaces {
            Namespaces::All => vec![None],
            Namespaces::Own => vec![Some(own)],
            Namespaces::Named(names) => names.iter().cloned().map(Some).collect(),
        };
        for namespace in namespaces {
            for profile in &config.profiles {
                let watch = Watch::new(CLUSTER.into(), profile.clone(), namespace.clone());
                let health = Arc::new(SourceHealth::new(started));
                self.watches.push((watch.id().clone(), health.clone()));
                tokio::spawn(watch.run(client.clone(), events.clone(), health));
            }
        }
        Ok(())
    }

    /// Whose events will come.
    pub fn ids(&self) -> Vec<SourceId> {
        self.watches.iter().chain(&self.manifests).map(|(id, _)| id.clone()).collect()
    }

    /// How each source is.
    pub fn stats(&self) -> Vec<SourceStats> {
        let stats = |(id, health): &(SourceId, Arc<SourceHealth>)| SourceStats {
            source: id.clone(),
            is_synced: health.is_synced(),
            silence: health.silence(),
            restarts: Restart::ALL.map(|reason| (reason.label(), health.restarts(reason))).to_vec(),
            relists: health.lists(),
            skipped: health.skipped(),
        };
        self.watches.iter().chain(&self.manifests).map(stats).collect()
    }

    /// How long the most silent watch has told nothing; files are silent by nature.
    pub fn longest_silence(&self) -> Option<Duration> {
        self.watches.iter().filter_map(|(_, health)| health.silence()).max()
    }

    /// What is wrong with the sources now, for people.
    pub fn errors(&self) -> String {
        let errors = self.watches.iter().chain(&self.manifests).filter_map(|(_, health)| health.error());
        errors.collect::<Vec<_>>().join("; ")
    }
}

/// The zone as the sources tell it now, for a command that runs without a server.
///
/// # Errors
/// A source that does not tell all that it has within [`SYNC_WAIT`], with what it said was wrong.
pub async fn snapshot_of(config: &Config) -> anyhow::Result<Arc<Snapshot>> {
    let (events, mut incoming) = mpsc::channel(QUEUE_LEN_MAX);
    let sources = Sources::start(config, events, Arc::default()).await?;
    let mut index = Index::new(Arc::new(zone_settings(config)?), statics::load(config), sources.ids());
    let sync = async {
        let mut batch = Vec::new();
        while incoming.recv_many(&mut batch, QUEUE_LEN_MAX).await > 0 {
            batch.drain(..).for_each(|event| index.apply(event));
            let published = index.publish(Now { monotonic: Duration::ZERO, wall_eighths: 1 });
            if let Some((snapshot, _)) = published.filter(|(snapshot, _)| snapshot.is_synced) {
                return Some(snapshot);
            }
        }
        None
    };
    let synced = tokio::time::timeout(SYNC_WAIT, sync).await;
    match synced {
        Ok(snapshot) => snapshot.context("the sources ended"),
        Err(_) => bail!("the Pods were not all told within {} s: {}", SYNC_WAIT.as_secs(), sources.errors()),
    }
}
