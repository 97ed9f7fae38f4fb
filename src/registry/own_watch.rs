//! A process's own watch: the sources, the index and the recent changes of a server, without its listeners.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::{Config, RegistryError};
use crate::api::{Filter, WatchedChange, WatchedSet};
use crate::app::{Sources, zone_settings};
use crate::changes::{self, Changes, Gap, TooManySubscriptions};
use crate::config::{Environment, Kubernetes, Namespaces, Options, ServeArgs, ServeConfig};
use crate::index::Index;
use crate::metrics::Metrics;
use crate::server::clients::ClientPolicy;
use crate::server::{Responder, SharedFreshness};
use crate::snapshot::Snapshot;
use crate::version::{COMMIT, VERSION};
use crate::writer::{self, Inputs};
use crate::zones::Zones;

/// A running watch. Dropping it ends the watch.
pub(super) struct OwnWatch {
    responder: Arc<Responder>,
    changes: Arc<Changes>,
    /// The writer task. The sources end with it, because it receives their events.
    writer: AbortHandle,
}

impl OwnWatch {
    /// Starts to list and watch Pods.
    pub(super) async fn start(config: &Config) -> Result<OwnWatch, RegistryError> {
        let config = serve_config(config)?;
        let wrong = |error: anyhow::Error| RegistryError::Watch(format!("{error:#}"));
        let settings = Arc::new(zone_settings(&config).map_err(wrong)?);
        let zones = Arc::new(Zones::none(config.zone.clone()));
        let responder = Arc::new(Responder {
            snapshot: ArcSwap::from_pointee(Snapshot::empty(settings.clone(), zones.clone())),
            freshness: SharedFreshness::default(),
            nsid: Box::default(),
            clients: ClientPolicy::default(),
            metrics: Arc::new(Metrics::new(VERSION, COMMIT)),
            logs_queries: false,
        });
        let (events, incoming) = mpsc::channel(writer::QUEUE_LEN_MAX);
        let sources = Sources::start(&config, events, Arc::default()).await.map_err(wrong)?;
        let index = Index::new(settings, zones.clone(), sources.ids());
        let changes = Arc::new(Changes::new(RandomState::new().hash_one(std::process::id())));
        let (_, zones) = watch::channel(zones);
        let inputs = Inputs { events: incoming, zones, refetch_senders: sources.refetch_senders() };
        let run = writer::run(index, inputs, responder.clone(), changes.clone(), Arc::default());
        Ok(OwnWatch { responder, changes, writer: tokio::spawn(run).abort_handle() })
    }

    pub(super) fn subscribe(self: &Arc<Self>, filter: Filter) -> Result<WatchSubscription, TooManySubscriptions> {
        Ok(WatchSubscription { place: self.changes.subscribe(filter)?, own_watch: self.clone() })
    }
}

impl Drop for OwnWatch {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// A subscription to the process's own watch.
pub(super) struct WatchSubscription {
    place: changes::ChangeSubscription,
    own_watch: Arc<OwnWatch>,
}

pub(super) enum WatchUpdate {
    Set(WatchedSet),
    Change(WatchedChange),
}

impl WatchSubscription {
    /// Waits for the next update. The first is the set of the first whole list.
    pub(super) async fn next(&mut self) -> WatchUpdate {
        loop {
            match self.place.take_changes() {
                Ok(Some(change)) => return WatchUpdate::Change(change),
                Ok(None) => self.place.changed().await,
                Err(Gap) => {
                    let snapshot = self.own_watch.responder.snapshot.load_full();
                    self.place.start_from(snapshot.revision);
                    return WatchUpdate::Set(WatchedSet::of(&snapshot, &self.place.topic().filter));
                }
            }
        }
    }
}

/// The configuration of a server that watches the same namespaces and does not listen.
fn serve_config(config: &Config) -> Result<ServeConfig, RegistryError> {
    let Config { kubeconfig, context, namespaces, namespace, .. } = config;
    let namespace = if namespaces.is_empty() { namespace.iter().cloned().collect() } else { namespaces.clone() };
    let options = Options { kubeconfig: kubeconfig.clone(), context: context.clone(), namespace, ..Options::default() };
    // A server may run in the same environment, so its variables are not read.
    let config = ServeConfig::load(ServeArgs { config: None, options }, &Environment::default())?;
    let own = || Kubernetes { kubeconfig: None, context: None, namespaces: Namespaces::Own };
    Ok(ServeConfig { kubernetes: Some(config.kubernetes.unwrap_or_else(own)), ..config })
}
