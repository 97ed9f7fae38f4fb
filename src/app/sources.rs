//! The sources that a configuration names, running.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use crate::config::{Config, Kubernetes, Namespaces};
use crate::metrics::SourceStats;
use crate::source::again::{Teller, Tellers, WANTED_MAX};
use crate::source::files::Manifests;
use crate::source::health::{Restart, SourceHealth};
use crate::source::kube::{Watch, client};
use crate::source::{Arrival, SourceId};

/// What the cluster that is watched is called.
const CLUSTER: &str = "kubernetes";

/// Running sources.
#[derive(Debug)]
pub struct Sources {
    watches: Vec<(SourceId, Arc<SourceHealth>)>,
    manifests: Vec<(SourceId, Arc<SourceHealth>)>,
    tellers: Tellers,
}

impl Sources {
    /// Starts every source; their tasks end with the receiver of the events.
    ///
    /// # Errors
    /// A kubeconfig that cannot be used.
    pub async fn start(config: &Config, events: mpsc::Sender<Arrival>, reread: Arc<Notify>) -> anyhow::Result<Sources> {
        let started = Instant::now();
        let mut sources = Sources { watches: Vec::new(), manifests: Vec::new(), tellers: Tellers::default() };
        if let Some(kubernetes) = &config.kubernetes {
            sources.start_watches(config, kubernetes, &events, started).await?;
        }
        if !config.manifests.is_empty() {
            let manifests = Manifests::new(config.manifests.clone(), config.profiles.clone());
            let health = Arc::new(SourceHealth::new(started));
            sources.manifests = manifests.ids().map(|id| (id, health.clone())).collect();
            manifests.ids().for_each(|id| sources.tellers.add(id, Teller::Files(reread.clone())));
            tokio::spawn(manifests.run(events, health, reread));
        }
        Ok(sources)
    }

    /// One watch a profile and namespace.
    async fn start_watches(
        &mut self,
        config: &Config,
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
                let (sender, wanted) = mpsc::channel(WANTED_MAX);
                self.tellers.add(watch.id().clone(), Teller::Cluster(sender));
                tokio::spawn(watch.clone().tell_again(client.clone(), events.clone(), wanted));
                tokio::spawn(watch.run(client.clone(), events.clone(), health));
            }
        }
        Ok(())
    }

    /// Whose events will come.
    pub fn ids(&self) -> Vec<SourceId> {
        self.watches.iter().chain(&self.manifests).map(|(id, _)| id.clone()).collect()
    }

    /// Whom to ask for a Pod again.
    pub fn tellers(&self) -> Tellers {
        self.tellers.clone()
    }

    /// How each source is.
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

    /// The age of what is shown: that of the watch whose Pods were known to be whole the longest ago. A file is as old as
    /// it is.
    pub fn age(&self) -> Option<Duration> {
        self.watches.iter().filter_map(|(_, health)| health.age()).max()
    }

    /// What is wrong with the sources now, for people.
    pub fn errors(&self) -> String {
        let errors = self.watches.iter().chain(&self.manifests).filter_map(|(_, health)| health.error());
        errors.collect::<Vec<_>>().join("; ")
    }
}
