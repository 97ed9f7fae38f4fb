//! Reads the needed parts of a Pod from its JSON.
//!
//! Every field is optional and parsed by itself: a field of a wrong type counts as absent and does not affect the
//! others. An object that another client got past the API server must not hide its neighbours. Fields that are not
//! needed are skipped without allocating.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::source::{Phase, Pod, PodIps, PodStatus};

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

    fn annotation(&self, key: &str) -> Option<Arc<str>>;

    /// The Pod with one annotation. `None` without a name, a namespace or a uid, because these identify it.
    fn to_pod(&self, annotation: &str) -> Option<Pod>;
}

/// A Pod's JSON, split into the needed fields. Borrows from the text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::source) struct RawPod<'j> {
    #[serde(borrow)]
    kind: Loose<Text<'j>>,
    #[serde(borrow)]
    metadata: Loose<Metadata<'j>>,
    spec: Loose<Spec>,
    #[serde(borrow)]
    status: Loose<Status<'j>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'j> {
    #[serde(borrow)]
    namespace: Loose<Text<'j>>,
    #[serde(borrow)]
    name: Loose<Text<'j>>,
    #[serde(borrow)]
    uid: Loose<Text<'j>>,
    #[serde(borrow)]
    resource_version: Loose<Text<'j>>,
    /// Any value but null means that it is set: better one endpoint less for a moment than one that is ending.
    #[serde(borrow)]
    deletion_timestamp: Option<&'j RawValue>,
    #[serde(borrow)]
    annotations: Option<&'j RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    host_network: Loose<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status<'j> {
    #[serde(borrow)]
    phase: Loose<Text<'j>>,
    #[serde(borrow)]
    conditions: Loose<Vec<Loose<Condition<'j>>>>,
    #[serde(borrow, rename = "podIP")]
    pod_ip: Loose<Text<'j>>,
    #[serde(borrow, rename = "podIPs")]
    pod_ips: Loose<Vec<Loose<Address<'j>>>>,
    #[serde(borrow, rename = "hostIP")]
    host_ip: Loose<Text<'j>>,
    #[serde(borrow, rename = "hostIPs")]
    host_ips: Loose<Vec<Loose<Address<'j>>>>,
    #[serde(borrow)]
    start_time: Loose<Text<'j>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition<'j> {
    #[serde(borrow, rename = "type")]
    kind: Loose<Text<'j>>,
    #[serde(borrow)]
    status: Loose<Text<'j>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address<'j> {
    #[serde(borrow)]
    ip: Loose<Text<'j>>,
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
        let nothing = Status::default();
        let status = self.status.0.as_ref().unwrap_or(&nothing);
        PodStatus {
            phase: phase(status.phase.text()),
            ready: status.conditions.iter().any(Condition::is_ready),
            terminating: self.metadata().is_some_and(|metadata| metadata.deletion_timestamp.is_some()),
            host_network: self.spec.0.as_ref().and_then(|spec| spec.host_network.0).unwrap_or(false),
            pod_ips: addresses(texts(&status.pod_ips), status.pod_ip.text()),
            host_ips: addresses(texts(&status.host_ips), status.host_ip.text()).into_vec().into(),
            start_time: status.start_time.text().and_then(seconds),
        }
    }

    fn metadata(&self) -> Option<&Metadata<'j>> {
        self.metadata.0.as_ref()
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

    fn annotation(&self, key: &str) -> Option<Arc<str>> {
        let annotations = self.metadata()?.annotations?;
        serde_json::Deserializer::from_str(annotations.get()).deserialize_map(Pick(key)).ok().flatten()
    }

    fn to_pod(&self, annotation: &str) -> Option<Pod> {
        Some(Pod {
            namespace: self.namespace()?.into(),
            name: self.name()?.into(),
            uid: self.uid()?.into(),
            resource_version: self.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0),
            status: self.status(),
            annotation: self.annotation(annotation),
        })
    }
}

impl Condition<'_> {
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

fn texts<'l>(list: &'l Loose<Vec<Loose<Address<'_>>>>) -> impl Iterator<Item = &'l str> {
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
struct Loose<T>(Option<T>);

impl<T> Default for Loose<T> {
    fn default() -> Loose<T> {
        Loose(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Loose<T>, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Loose(serde_json::from_str(raw.get()).ok()))
    }
}

impl Loose<Text<'_>> {
    /// The text. An empty one counts as absent, as in the API.
    fn text(&self) -> Option<&str> {
        self.0.as_ref().map(|text| text.0.as_ref()).filter(|text| !text.is_empty())
    }
}

impl<T> Loose<Vec<Loose<T>>> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten().filter_map(|item| item.0.as_ref())
    }
}

/// A string, borrowed from the JSON unless it has escapes.
#[derive(Debug, Deserialize)]
struct Text<'j>(#[serde(borrow)] Cow<'j, str>);

/// Deserializes the value of one key of an object and skips the others.
struct Pick<'k>(&'k str);

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<Arc<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Arc<str>>, A::Error> {
        let mut picked = None;
        while let Some(is_it) = map.next_key_seed(Equals(self.0))? {
            if is_it {
                picked = map.next_value::<Loose<Text<'de>>>()?.0.map(|text| Arc::from(text.0.as_ref()));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked)
    }
}

/// Deserializes a key as whether it equals this one.
struct Equals<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Equals<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Equals<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests;
