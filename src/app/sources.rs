//! Starts the sources of a configuration, and reads their state for the metrics.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use crate::cluster::{ClientError, client};
use crate::config::{Kubernetes, Namespaces, ServeConfig};
use crate::metrics::SourceStats;
use crate::source::files::Manifests;
use crate::source::health::Restart;
use crate::source::{Event, Sources};

/// Starts all sources of a configuration.
///
/// # Errors
/// The kubeconfig is unusable.
pub async fn start_sources(
    config: &ServeConfig,
    events: mpsc::Sender<Event>,
    reread: Arc<Notify>,
) -> Result<Sources, ClientError> {
    let mut sources = Sources::default();
    if let Some(Kubernetes { kubeconfig, context, namespaces }) = &config.kubernetes {
        let (client, own) = client(kubeconfig.as_deref(), context.as_deref()).await?;
        let namespaces = match namespaces {
            Namespaces::All => vec![None],
            Namespaces::Own => vec![Some(own)],
            Namespaces::Named(names) => names.iter().cloned().map(Some).collect(),
        };
        sources.watch(&client, &namespaces, &config.profiles, &events);
    }
    if !config.manifests.is_empty() {
        let manifests = Manifests::new(config.manifests.clone(), config.profiles.clone());
        sources.read(manifests, events, reread);
    }
    Ok(sources)
}

/// The state of each source, for the metrics.
pub(super) fn stats(sources: &Sources) -> Vec<SourceStats> {
    let stats = sources.states().map(|(id, health)| SourceStats {
        source: id.clone(),
        is_synced: health.is_synced(),
        silence: health.silence(),
        age: health.age(),
        restarts: Restart::ALL.map(|reason| (reason.label(), health.restarts(reason))).to_vec(),
        relists: health.lists(),
        skipped: health.skipped(),
    });
    stats.collect()
}
