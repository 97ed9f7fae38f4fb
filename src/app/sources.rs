//! Starts the sources of a configuration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use crate::cluster::client;
use crate::config::{Kubernetes, Namespaces, ServeConfig};
use crate::metrics::SourceStats;
use crate::source::files::Manifests;
use crate::source::health::{Restart, SourceHealth};
use crate::source::kube::Watch;
use crate::source::refetch::{REFETCH_MAX, RefetchSender, RefetchSenders};
use crate::source::{Arrival, SourceId};

/// The name of the watched cluster in source labels.
const CLUSTER: &str = "kubernetes";

/// Running sources.
#[derive(Debug)]
pub struct Sources {
    watches: Vec<(SourceId, Arc<SourceHealth>)>,
    manifests: Vec<(SourceId, Arc<SourceHealth>)>,
    refetch_senders: RefetchSenders,
}

impl Sources {
    /// Starts a task for every source. The tasks end when the receiver of the events is dropped.
    ///
    /// # Errors
    /// The kubeconfig is unusable.
    pub async fn start(
        config: &ServeConfig,
        events: mpsc::Sender<Arrival>,
        reread: Arc<Notify>,
    ) -> anyhow::Result<Sources> {
        let started = Instant::now();
        let mut sources =
            Sources { watches: Vec::new(), manifests: Vec::new(), refetch_senders: RefetchSenders::default() };
        if let Some(kubernetes) = &config.kubernetes {
            sources.start_watches(config, kubernetes, &events, started).await?;
        }
        if !config.manifests.is_empty() {
            let manifests = Manifests::new(config.manifests.clone(), config.profiles.clone());
            let health = Arc::new(SourceHealth::new(started));
            sources.manifests = manifests.ids().map(|id| (id, health.clone())).collect();
            manifests.ids().for_each(|id| sources.refetch_senders.add(id, RefetchSender::Files(reread.clone())));
            tokio::spawn(manifests.run(events, health, reread));
        }
        Ok(sources)
    }

    /// Starts one watch for each profile and namespace.
    async fn start_watches(
        &mut self,
        config: &ServeConfig,
        kubernetes: &Kubernetes,
        events: &mpsc::Sender<Arrival>,
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
                let (sender, wanted) = mpsc::channel(REFETCH_MAX);
                self.refetch_senders.add(watch.id().clone(), RefetchSender::Cluster(sender));
                tokio::spawn(watch.clone().refetch(client.clone(), events.clone(), wanted));
                tokio::spawn(watch.run(client.clone(), events.clone(), health));
            }
        }
        Ok(())
    }

    /// The sources that send events.
    pub fn ids(&self) -> Vec<SourceId> {
        self.watches.iter().chain(&self.manifests).map(|(id, _)| id.clone()).collect()
    }

    /// The sources' handles that ask for a Pod again.
    pub fn refetch_senders(&self) -> RefetchSenders {
        self.refetch_senders.clone()
    }

    /// The state of each source, for the metrics.
    pub fn stats(&self) -> Vec<SourceStats> {
        let stats = |(id, health): &(SourceId, Arc<SourceHealth>)| SourceStats {
            source: id.clone(),
            is_synced: health.is_synced(),
            silence: health.silence(),
            age: health.age(),
            restarts: Restart::ALL.map(|reason| (reason.label(), health.restarts(reason))).to_vec(),
            relists: health.lists(),
            skipped: health.skipped(),
        };
        self.watches.iter().chain(&self.manifests).map(stats).collect()
    }

    /// The age of the data: the largest age of any watch, counted from when its Pods were last known to be complete.
    /// Manifest files do not count.
    pub fn age(&self) -> Option<Duration> {
        self.watches.iter().filter_map(|(_, health)| health.age()).max()
    }

    /// The current errors of the sources, as text for a person.
    pub fn errors(&self) -> String {
        let errors = self.watches.iter().chain(&self.manifests).filter_map(|(_, health)| health.error());
        errors.collect::<Vec<_>>().join("; ")
    }
}
