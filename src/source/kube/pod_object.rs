//! A Pod of the API server in either encoding, and what its values mean.

use std::net::IpAddr;

use crate::source::profile::{ProfileTexts, with_texts};
use crate::source::{Phase, Pod, PodIps, ProfilePods, WatchProfile};

/// The most addresses that are read from `podIPs` or `hostIPs`. Kubernetes allows one per family.
pub(super) const ADDRESSES_MAX: usize = 16;

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

/// Whether a container runs as long as the Pod does.
pub(in crate::source) fn keeps_running(is_init: bool, restart_policy: Option<&str>) -> bool {
    !is_init || restart_policy == Some("Always")
}

/// Whether a container port has TCP, which is the default.
pub(in crate::source) fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
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

/// Parses an address. An IPv4-mapped IPv6 address becomes IPv4.
fn ip(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// A time in seconds since the epoch.
pub(in crate::source) fn seconds(rfc3339: &str) -> Option<i64> {
    rfc3339.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// A running Pod, as the tests of both encodings read it.
#[cfg(test)]
pub(super) fn running() -> Pod {
    Pod {
        namespace: "n".into(),
        name: "p".into(),
        uid: "u".into(),
        resource_version: 42,
        status: crate::source::PodStatus {
            phase: Phase::Running,
            ready: true,
            terminating: false,
            host_network: true,
            pod_ips: ["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap()).into_iter().collect(),
            host_ips: ["192.0.2.1".parse().unwrap()].into(),
            start_time: Some(1_704_164_645),
        },
        text: crate::registration::ProfileText::of_value("W10="),
    }
}
