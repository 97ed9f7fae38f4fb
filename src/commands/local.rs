//! The commands' own source: reads manifests and a cluster once, without a server.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as api;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::timeout;

use super::check::ManifestRegistrations;
use crate::app::{start_sources, zone_settings};
use crate::cluster::{ClientError, client};
use crate::config::{Kubernetes, ServeConfig};
use crate::index::{Index, Now};
use crate::snapshot::Snapshot;
use crate::source::files::{self, FileProblem, LoadReport, ManifestObject, ManifestPod};
use crate::source::{Change, Event, SourceId, Sources, WatchProfile};
use crate::writer::QUEUE_LEN_MAX;
use crate::zones::Zones;

/// The time limit of the first lists of a cluster. 100,000 Pods take some ten seconds.
const SYNC_WAIT: Duration = Duration::from_secs(60);

/// How long a faulty source may be silent before the command gives up: long enough for a retry or two.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// The time limit of reading one Pod.
const POD_WAIT: Duration = Duration::from_secs(10);

/// Why reading Pods without a server failed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The kubeconfig cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The sources or the zone cannot be set up.
    #[error("{0:#}")]
    Setup(anyhow::Error),
    /// The cluster did not list its Pods.
    #[error("the cluster did not list its Pods: {0}")]
    NotListed(String),
    /// The cluster did not return a single Pod.
    #[error("the cluster did not return the Pod: {0}")]
    NotTold(String),
    /// The task that reads files ended early.
    #[error("reading the manifests failed: {0}")]
    Broken(#[from] JoinError),
}

/// The result of a read.
pub(super) struct LocalRead {
    /// The Pods with a profile's label.
    pub(super) snapshot: Arc<Snapshot>,
    /// The manifests' problems and counts.
    pub(super) manifests: LoadReport,
    /// The namespaces and names of the manifests' Pods that no profile selects.
    unlabelled: PodNames,
    /// What the manifests would register, if templates were read.
    pub(super) registered: Option<ManifestRegistrations>,
    config: ServeConfig,
}

type PodNames = BTreeSet<(Arc<str>, Arc<str>)>;

/// Why a Pod is not in the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// There is no Pod of that name.
    NoPod,
    /// The Pod has no profile's label.
    NoLabel,
    /// The Pod has a profile's label, but its namespace is not read, or the Pod has only just been created.
    NotWatched,
}

impl LocalRead {
    /// Reads everything that the configuration names: manifests once, because standard input can be read only once,
    /// and a cluster until each watch has committed its first list.
    pub(super) async fn read(config: ServeConfig) -> Result<LocalRead, LocalError> {
        LocalRead::read_into(config, None).await
    }

    /// Reads the manifests with their Pod templates, and no cluster.
    pub(super) async fn read_templates(config: ServeConfig) -> Result<LocalRead, LocalError> {
        let registered = ManifestRegistrations::new(config.profiles.clone());
        LocalRead::read_into(ServeConfig { kubernetes: None, ..config }, Some(registered)).await
    }

    async fn read_into(
        config: ServeConfig,
        registered: Option<ManifestRegistrations>,
    ) -> Result<LocalRead, LocalError> {
        let (sender, mut events) = mpsc::channel(QUEUE_LEN_MAX);
        let watched = ServeConfig { manifests: Vec::new(), ..config.clone() };
        let watches = start_sources(&watched, sender, Arc::default()).await?;
        let of_files = config.profiles.iter().map(|profile| manifest_source(&profile.name));
        let ids = watches.ids().into_iter().chain(of_files).collect();
        let settings = zone_settings(&config).map_err(LocalError::Setup)?;
        let index = Index::new(Arc::new(settings), Arc::new(Zones::none(config.zone.clone())), ids);
        let index = index.of_profiles(&config.profiles);
        let (paths, profiles) = (config.manifests.clone(), config.profiles.clone());
        let read = tokio::task::spawn_blocking(move || read_manifests(index, &paths, &profiles, registered));
        let (mut index, manifests, unlabelled, registered) = read.await?;
        let snapshot = snapshot(&mut index, &watches, &mut events).await?;
        Ok(LocalRead { snapshot, manifests, unlabelled, registered, config })
    }

    /// The problems of the manifests.
    pub(super) fn problems(&self) -> &[FileProblem] {
        &self.manifests.problems
    }

    pub(super) fn profiles(&self) -> &[WatchProfile] {
        &self.config.profiles
    }

    /// The namespace of the cluster's configuration. `None` if no cluster is read.
    pub(super) async fn own_namespace(&self) -> Result<Option<Arc<str>>, LocalError> {
        let Some(Kubernetes { kubeconfig, context, namespaces: _ }) = &self.config.kubernetes else {
            return Ok(None);
        };
        let (_, namespace) = client(kubeconfig.as_deref(), context.as_deref()).await?;
        Ok(Some(namespace))
    }

    pub(super) async fn absence(&self, namespace: &str, name: &str) -> Result<Absence, LocalError> {
        if self.unlabelled.contains(&(namespace.into(), name.into())) {
            return Ok(Absence::NoLabel);
        }
        let Some(Kubernetes { kubeconfig, context, namespaces: _ }) = &self.config.kubernetes else {
            return Ok(Absence::NoPod);
        };
        let (client, _) = client(kubeconfig.as_deref(), context.as_deref()).await?;
        let pods: kube::Api<api::Pod> = kube::Api::namespaced(client, namespace);
        match timeout(POD_WAIT, pods.get_metadata_opt(name)).await {
            Ok(Ok(Some(pod))) => {
                let labels = pod.metadata.labels.unwrap_or_default();
                let has_label = self.profiles().iter().any(|profile| profile.selector.matches(&labels));
                Ok(if has_label { Absence::NotWatched } else { Absence::NoLabel })
            }
            Ok(Ok(None)) => Ok(Absence::NoPod),
            Ok(Err(error)) => Err(LocalError::NotTold(error.to_string())),
            Err(_) => Err(LocalError::NotTold(format!("no answer within {} seconds", POD_WAIT.as_secs()))),
        }
    }
}

/// Reads the manifests into the index. Also returns the names of the Pods that no profile selects. With `registered`
/// Pod templates are read too.
fn read_manifests(
    mut index: Index,
    paths: &[PathBuf],
    profiles: &[WatchProfile],
    mut registered: Option<ManifestRegistrations>,
) -> (Index, LoadReport, PodNames, Option<ManifestRegistrations>) {
    let sources: Vec<SourceId> = profiles.iter().map(|profile| manifest_source(&profile.name)).collect();
    let mut unlabelled = PodNames::new();
    let mut apply = |source: &SourceId, change| index.apply(source, change);
    sources.iter().for_each(|source| apply(source, Change::Begin));
    let mut add = |found: ManifestPod| {
        for (source, at) in sources.iter().zip(0..) {
            // An earlier Pod may have had the same uid.
            apply(source, found.of_profile(at).map_or_else(|| Change::Remove(found.pod.uid.clone()), Change::Apply));
        }
        if found.by_profile.is_empty() {
            unlabelled.insert((found.pod.namespace, found.pod.name));
        }
    };
    let manifests = match &mut registered {
        None => files::load(paths, profiles, add),
        Some(registered) => files::load_with_templates(paths, profiles, |found| {
            registered.add(&found);
            if let ManifestObject::Pod(pod) = found {
                add(pod);
            }
        }),
    };
    sources.iter().for_each(|source| apply(source, Change::Commit));
    (index, manifests, unlabelled, registered)
}

/// The snapshot of the manifests in the index and of a cluster's lists.
async fn snapshot(
    index: &mut Index,
    watches: &Sources,
    events: &mut mpsc::Receiver<Event>,
) -> Result<Arc<Snapshot>, LocalError> {
    let sync = async {
        loop {
            if let Some(snapshot) = synced(index) {
                return Ok(snapshot);
            }
            match timeout(SILENCE_MAX, events.recv()).await {
                Ok(Some(Event { source, change, decoded, .. })) => index.apply_decoded(&source, change, decoded),
                Ok(None) => return Err(LocalError::NotListed("its watch ended".into())),
                Err(_) if watches.errors().is_empty() => {} // a silent server without errors may only be slow
                Err(_) => return Err(LocalError::NotListed(watches.errors())),
            }
            while let Ok(Event { source, change, decoded, .. }) = events.try_recv() {
                index.apply_decoded(&source, change, decoded);
            }
        }
    };
    match timeout(SYNC_WAIT, sync).await {
        Ok(result) => result,
        Err(_) => {
            Err(LocalError::NotListed(format!("no list within {} seconds. {}", SYNC_WAIT.as_secs(), watches.errors())))
        }
    }
}

fn manifest_source(profile: &Arc<str>) -> SourceId {
    SourceId { cluster: files::CLUSTER.into(), profile: profile.clone(), namespace: None }
}

/// The snapshot, once every source has committed its first list.
fn synced(index: &mut Index) -> Option<Arc<Snapshot>> {
    let now = Now { monotonic: Duration::ZERO, wall_eighths: 0 }; // nothing reads this snapshot's serial
    index.publish(now).map(|(snapshot, _)| snapshot).filter(|snapshot| snapshot.is_synced)
}
