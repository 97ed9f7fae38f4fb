//! Reads the needed parts of a Pod from its JSON.
//!
//! Every field is optional and parsed by itself: a field of a wrong type counts as absent and does not affect the
//! others. An object that another client got past the API server must not hide its neighbours. Fields that are not
//! needed are skipped without allocating.

mod lenient;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::pod_object::{PodObject, addresses, is_tcp, keeps_running, phase, seconds};
use crate::registration::ProfileText;
use crate::source::profile::ProfileTexts;
use crate::source::{Pod, PodStatus};
use lenient::{JsonText, Lenient, each_text};

/// A Pod's JSON, split into the needed fields. Borrows from the text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::source) struct RawPod<'j> {
    #[serde(borrow)]
    kind: Lenient<JsonText<'j>>,
    #[serde(borrow)]
    metadata: Lenient<RawMetadata<'j>>,
    #[serde(borrow)]
    spec: Lenient<RawSpec<'j>>,
    #[serde(borrow)]
    status: Lenient<RawStatus<'j>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMetadata<'j> {
    #[serde(borrow)]
    namespace: Lenient<JsonText<'j>>,
    #[serde(borrow)]
    name: Lenient<JsonText<'j>>,
    #[serde(borrow)]
    uid: Lenient<JsonText<'j>>,
    #[serde(borrow)]
    resource_version: Lenient<JsonText<'j>>,
    /// Any value but null means that it is set: better one endpoint less for a moment than one that is ending.
    #[serde(borrow)]
    deletion_timestamp: Option<&'j RawValue>,
    #[serde(borrow)]
    labels: Option<&'j RawValue>,
    #[serde(borrow)]
    annotations: Option<&'j RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec<'j> {
    host_network: Lenient<bool>,
    /// Parsed only if a profile needs the ports.
    #[serde(borrow)]
    containers: Option<&'j RawValue>,
    #[serde(borrow)]
    init_containers: Option<&'j RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawContainer<'j> {
    #[serde(borrow)]
    restart_policy: Lenient<JsonText<'j>>,
    #[serde(borrow)]
    ports: Lenient<Vec<Lenient<RawPort<'j>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawPort<'j> {
    #[serde(borrow)]
    name: Lenient<JsonText<'j>>,
    container_port: Lenient<u16>,
    #[serde(borrow)]
    protocol: Lenient<JsonText<'j>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawStatus<'j> {
    #[serde(borrow)]
    phase: Lenient<JsonText<'j>>,
    #[serde(borrow)]
    conditions: Lenient<Vec<Lenient<RawCondition<'j>>>>,
    #[serde(borrow, rename = "podIP")]
    pod_ip: Lenient<JsonText<'j>>,
    #[serde(borrow, rename = "podIPs")]
    pod_ips: Lenient<Vec<Lenient<RawAddress<'j>>>>,
    #[serde(borrow, rename = "hostIP")]
    host_ip: Lenient<JsonText<'j>>,
    #[serde(borrow, rename = "hostIPs")]
    host_ips: Lenient<Vec<Lenient<RawAddress<'j>>>>,
    #[serde(borrow)]
    start_time: Lenient<JsonText<'j>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawCondition<'j> {
    #[serde(borrow, rename = "type")]
    kind: Lenient<JsonText<'j>>,
    #[serde(borrow)]
    status: Lenient<JsonText<'j>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawAddress<'j> {
    #[serde(borrow)]
    ip: Lenient<JsonText<'j>>,
}

impl<'j> RawPod<'j> {
    /// Splits the JSON of a Pod. Fails only if it is not a JSON object.
    pub(in crate::source) fn read(json: &'j [u8]) -> Result<RawPod<'j>, serde_json::Error> {
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(serde::de::Error::custom("not an object")); // serde would read an array's items as fields
        }
        serde_json::from_slice(json)
    }

    /// `metadata.namespace`
    fn namespace(&self) -> Option<&str> {
        self.metadata()?.namespace.text()
    }

    /// `metadata.name`
    fn name(&self) -> Option<&str> {
        self.metadata()?.name.text()
    }

    fn status(&self) -> PodStatus {
        let nothing = RawStatus::default();
        let status = self.status.0.as_ref().unwrap_or(&nothing);
        PodStatus {
            phase: phase(status.phase.text()),
            ready: status.conditions.iter().any(RawCondition::is_ready),
            terminating: self.metadata().is_some_and(|metadata| metadata.deletion_timestamp.is_some()),
            host_network: self.spec.0.as_ref().and_then(|spec| spec.host_network.0).unwrap_or(false),
            pod_ips: addresses(texts(&status.pod_ips), status.pod_ip.text()),
            host_ips: addresses(texts(&status.host_ips), status.host_ip.text()).into_vec().into(),
            start_time: status.start_time.text().and_then(seconds),
        }
    }

    fn metadata(&self) -> Option<&RawMetadata<'j>> {
        self.metadata.0.as_ref()
    }

    /// The TCP ports of the containers, then those of the init containers that keep running beside them.
    fn collect_ports(&self, texts: &mut ProfileTexts<'_>) {
        let Some(spec) = &self.spec.0 else { return };
        for (list, is_init) in [(spec.containers, false), (spec.init_containers, true)] {
            let Some(list) = list else { continue };
            let Ok(containers) = serde_json::from_str::<Lenient<Vec<Lenient<RawContainer<'_>>>>>(list.get()) else {
                continue;
            };
            let stays = |container: &&RawContainer<'_>| keeps_running(is_init, container.restart_policy.text());
            for port in containers.iter().filter(stays).flat_map(|container| container.ports.iter()) {
                if is_tcp(port.protocol.text()) {
                    texts.put_port(port.name.text().unwrap_or_default(), port.container_port.0.unwrap_or_default());
                }
            }
        }
    }
}

impl PodObject for RawPod<'_> {
    fn kind(&self) -> Option<&str> {
        self.kind.text()
    }

    fn uid(&self) -> Option<&str> {
        self.metadata()?.uid.text()
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata()?.resource_version.text()
    }

    fn has_annotation(&self, key: &str, value: &str) -> bool {
        let mut has_value = false;
        let annotations = self.metadata().and_then(|metadata| metadata.annotations);
        each_text(annotations, |of| of == key, |_, text| has_value = text == Some(value));
        has_value
    }

    fn pod(&self) -> Option<Pod> {
        Some(Pod {
            namespace: self.namespace()?.into(),
            name: self.name()?.into(),
            uid: self.uid()?.into(),
            resource_version: self.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0),
            status: self.status(),
            text: ProfileText::default(),
        })
    }

    fn collect(&self, texts: &mut ProfileTexts<'_>) {
        let Some(metadata) = self.metadata() else { return };
        let keys = texts.keys();
        if keys.have_labels() {
            each_text(metadata.labels, |key| keys.take_label(key), |key, value| texts.put_label(key, value));
        }
        each_text(metadata.annotations, |key| keys.take_annotation(key), |key, value| texts.put_annotation(key, value));
        if texts.takes_ports() {
            self.collect_ports(texts);
        }
    }
}

impl RawCondition<'_> {
    fn is_ready(&self) -> bool {
        self.kind.text() == Some("Ready") && self.status.text() == Some("True")
    }
}

fn texts<'l>(list: &'l Lenient<Vec<Lenient<RawAddress<'_>>>>) -> impl Iterator<Item = &'l str> {
    list.iter().filter_map(|address| address.ip.text())
}

#[cfg(test)]
mod tests;
