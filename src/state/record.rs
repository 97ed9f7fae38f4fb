//! A Pod in the state file.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::registration::{self, ANNOTATION_LEN_MAX, Metadata, ProfileText, Registration};
use crate::snapshot::{PodRecord, Registered};
use crate::source::{Phase, Pod, PodStatus, SourceId};

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StateLine {
    /// One Pod.
    Pod(Box<SavedPod>),
    /// The end, with the number of Pods.
    End(usize),
}

/// What is saved of a Pod.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedPod {
    cluster: String,
    namespace: String,
    name: String,
    uid: String,
    phase: String,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    terminating: bool,
    #[serde(default)]
    host_network: bool,
    #[serde(default)]
    pod_ips: Vec<IpAddr>,
    #[serde(default)]
    host_ips: Vec<IpAddr>,
    #[serde(default)]
    start_time: Option<i64>,
    /// Its registrations by profile, as the pairs of an annotation.
    offers: Vec<(String, serde_json::Value)>,
}

impl SavedPod {
    /// What is saved of a record. `None` if no answer depends on it.
    pub fn of(record: &PodRecord) -> Option<SavedPod> {
        if record.registrations.is_empty() || !record.is_registering() {
            return None;
        }
        let PodStatus { phase, ready, terminating, host_network, pod_ips, host_ips, start_time } = &record.status;
        let mut offers: Vec<(String, Vec<Registration>)> = Vec::new();
        for registered in &record.registrations {
            let profile = &*registered.template.common.profile;
            match offers.iter_mut().find(|(known, _)| known == profile) {
                Some((_, list)) => list.push(registration_of(registered)),
                None => offers.push((profile.to_owned(), vec![registration_of(registered)])),
            }
        }
        Some(SavedPod {
            cluster: record.cluster.to_string(),
            namespace: record.namespace.to_string(),
            name: record.name().to_string(),
            uid: record.uid().to_string(),
            phase: phase_name(*phase).to_owned(),
            ready: *ready,
            terminating: *terminating,
            host_network: *host_network,
            pod_ips: pod_ips.to_vec(),
            host_ips: host_ips.to_vec(),
            start_time: *start_time,
            offers: offers.into_iter().map(|(profile, list)| (profile, pairs(list))).collect(),
        })
    }

    /// The Pod as the source of each profile would send it.
    pub fn pods<'s>(&'s self, sources: &'s [SourceId]) -> impl Iterator<Item = (SourceId, Pod)> + 's {
        self.offers.iter().filter_map(|(profile, pairs)| {
            let is_its = |source: &&SourceId| {
                *source.cluster == *self.cluster
                    && *source.profile == **profile
                    && source.namespace.as_deref().is_none_or(|namespace| namespace == self.namespace)
            };
            let source = sources.iter().find(is_its)?;
            Some((source.clone(), self.pod(STANDARD.encode(pairs.to_string()))))
        })
    }

    fn pod(&self, annotation: String) -> Pod {
        Pod {
            namespace: self.namespace.as_str().into(),
            name: self.name.as_str().into(),
            uid: self.uid.as_str().into(),
            resource_version: 0,
            status: PodStatus {
                phase: phase_of(&self.phase),
                ready: self.ready,
                terminating: self.terminating,
                host_network: self.host_network,
                pod_ips: self.pod_ips.as_slice().into(),
                host_ips: self.host_ips.as_slice().into(),
                start_time: self.start_time,
            },
            text: ProfileText::of_value(annotation),
        }
    }
}

/// The pairs of an equivalent annotation. If it would exceed the size limit of an annotation, the metadata is left out:
/// a restart must not lose the endpoints.
fn pairs(mut registrations: Vec<Registration>) -> serde_json::Value {
    let whole = registration::pairs(&registrations);
    if whole.to_string().len() <= ANNOTATION_LEN_MAX / 4 * 3 {
        return whole;
    }
    registrations.iter_mut().for_each(|one| one.metadata = Metadata::default());
    registration::pairs(&registrations)
}

fn registration_of(registered: &Registered) -> Registration {
    let (service, metadata) = (registered.service(), registered.metadata());
    Registration {
        interface: service.interface.clone(),
        group: service.group.clone(),
        version: service.version.clone(),
        protocol: registered.template.common.protocol.clone(),
        address: registered.address(),
        port: registered.port,
        weight: registered.weight,
        enabled: registered.is_enabled,
        metadata: Metadata {
            application: metadata.application().map(Into::into),
            methods: metadata.methods().into(),
            pairs: metadata.pairs().collect(),
            ..Metadata::default()
        },
        offset: 0,
    }
}

const PHASES: [(Phase, &str); 5] = [
    (Phase::Pending, "Pending"),
    (Phase::Running, "Running"),
    (Phase::Succeeded, "Succeeded"),
    (Phase::Failed, "Failed"),
    (Phase::Unknown, "Unknown"),
];

fn phase_name(phase: Phase) -> &'static str {
    PHASES.iter().find(|(one, _)| *one == phase).map_or("Unknown", |(_, name)| name)
}

fn phase_of(name: &str) -> Phase {
    PHASES.iter().find(|(_, one)| *one == name).map_or(Phase::Unknown, |(phase, _)| *phase)
}

/// A source in the head: `cluster/profile/namespace`, with `*` for all namespaces.
pub(super) fn source_name(source: &SourceId) -> String {
    let namespace: Option<&Arc<str>> = source.namespace.as_ref();
    format!("{}/{}/{}", source.cluster, source.profile, namespace.map_or("*", |namespace| namespace))
}
