//! Reads the needed parts of a Pod from its JSON.
//!
//! Every field is optional and parsed by itself: a field of a wrong type counts as absent and does not affect the
//! others. An object that another client got past the API server must not hide its neighbours. Fields that are not
//! needed are skipped without allocating.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::registration::ProfileText;
use crate::source::profile::{ProfileTexts, with_texts};
use crate::source::{Phase, Pod, PodIps, PodStatus, ProfilePods, WatchProfile};

/// The most addresses that are read from `podIPs` or `hostIPs`. Kubernetes allows one per family.
const ADDRESSES_MAX: usize = 16;

/// A Pod of the API server, in either encoding.
pub(in crate::source) trait PodObject {
    /// `kind`, if present: items of a list have none.
    fn kind(&self) -> Option<&str>;

    /// `metadata.uid`
    fn uid(&self) -> Option<&str>;

    /// `metadata.resourceVersion`, an opaque text by the API's convention.
    fn resource_version(&self) -> Option<&str>;

    /// Whether an annotation has this value.
    fn has_annotation(&self, key: &str, value: &str) -> bool;

    /// The Pod without a text. `None` without a name, a namespace or a uid, because these identify it.
    fn pod(&self) -> Option<Pod>;

    /// Puts what profiles name of the Pod into a collector.
    fn collect(&self, texts: &mut ProfileTexts<'_>);

    /// The Pod as the source of each profile sends it. `None` without a name, a namespace or a uid.
    fn to_pods(&self, profiles: &[WatchProfile]) -> Option<ProfilePods> {
        let pod = self.pod()?;
        let mut texts = ProfileTexts::new(profiles);
        self.collect(&mut texts);
        Some(with_texts(pod, texts))
    }
}

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

/// Whether a container runs as long as the Pod does.
pub(in crate::source) fn keeps_running(is_init: bool, restart_policy: Option<&str>) -> bool {
    !is_init || restart_policy == Some("Always")
}

/// Whether a container port has TCP, which is the default.
pub(in crate::source) fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
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

/// The phase with this name.
pub(super) fn phase(text: Option<&str>) -> Phase {
    match text {
        Some("Pending") => Phase::Pending,
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        _ => Phase::Unknown,
    }
}

/// The addresses of the list, or else the single one.
pub(in crate::source) fn addresses<'t>(list: impl Iterator<Item = &'t str>, single: Option<&str>) -> PodIps {
    let mut found = PodIps::new();
    for text in list {
        if found.len() < ADDRESSES_MAX
            && let Some(address) = ip(text)
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    if found.is_empty() {
        found.extend(single.and_then(ip));
    }
    found
}

fn texts<'l>(list: &'l Lenient<Vec<Lenient<RawAddress<'_>>>>) -> impl Iterator<Item = &'l str> {
    list.iter().filter_map(|address| address.ip.text())
}

/// Parses an address. An IPv4-mapped IPv6 address becomes IPv4.
fn ip(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// A time in seconds since the epoch.
pub(in crate::source) fn seconds(rfc3339: &str) -> Option<i64> {
    rfc3339.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// A value that counts as absent if it has another type than expected.
#[derive(Debug)]
struct Lenient<T>(Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Lenient<T> {
        Lenient(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lenient<T>, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Lenient(serde_json::from_str(raw.get()).ok()))
    }
}

impl Lenient<JsonText<'_>> {
    /// The text. An empty one counts as absent, as in the API.
    fn text(&self) -> Option<&str> {
        self.0.as_ref().map(|text| text.0.as_ref()).filter(|text| !text.is_empty())
    }
}

impl<T> Lenient<Vec<Lenient<T>>> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten().filter_map(|item| item.0.as_ref())
    }
}

/// A string, borrowed from the JSON unless it has escapes.
#[derive(Debug, Deserialize)]
struct JsonText<'j>(#[serde(borrow)] Cow<'j, str>);

/// Calls `put` for each key of an object that is taken, with its value if that is a text. Skips the others.
fn each_text(object: Option<&RawValue>, takes: impl Fn(&str) -> bool, put: impl FnMut(&str, Option<&str>)) {
    if let Some(object) = object {
        // An object that is none has no keys.
        _ = serde_json::Deserializer::from_str(object.get()).deserialize_map(TextVisitor { takes, put });
    }
}

struct TextVisitor<T, P> {
    takes: T,
    put: P,
}

impl<'de, T: Fn(&str) -> bool, P: FnMut(&str, Option<&str>)> Visitor<'de> for TextVisitor<T, P> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(TakenKey(&self.takes))? {
            match key {
                Some(key) => {
                    let value = map.next_value::<Lenient<JsonText<'de>>>()?.0;
                    (self.put)(&key, value.as_ref().map(|text| text.0.as_ref()));
                }
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// Deserializes a key. `None` if it is not taken.
struct TakenKey<'t, T>(&'t T);

impl<'de, T: Fn(&str) -> bool> DeserializeSeed<'de> for TakenKey<'_, T> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, T: Fn(&str) -> bool> Visitor<'de> for TakenKey<'_, T> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok((self.0)(key).then_some(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok((self.0)(key).then(|| Cow::Owned(key.to_owned())))
    }
}

#[cfg(test)]
mod tests;
