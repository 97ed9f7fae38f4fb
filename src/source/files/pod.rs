//! Reads a Pod from an object of the kind Pod, or lists what the API server would refuse in it.

mod rule;
mod template;
mod types;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub(super) use self::rule::no_string;
pub use self::template::{MisplacedAnnotation, PodTemplate};
pub(super) use self::template::{WORKLOADS, Workload};
use self::types::whole;
use super::node::{Node, NodeMap};
use super::{ManifestPod, Unselected};
use crate::object_name::{is_namespace, is_pod_name};
use crate::registration::{ContainerPort, ProfileText, is_port_name, shown_key};
use crate::source::kube::pod_object::{addresses, is_tcp, keeps_running, seconds};
use crate::source::selector::{check_key, check_value};
use crate::source::{Phase, Pod, PodIps, PodStatus, WatchProfile};

/// The most faults of an object that are reported. The others are counted.
const FAULTS_MAX: usize = 8;

/// The API server's bound for all annotations of a Pod together, keys and values, in bytes.
const ANNOTATIONS_LEN_MAX: usize = 256 * 1024;

/// The namespace of a Pod that names none.
const NAMESPACE: &str = "default";

/// Why an object is not a valid Pod.
pub(super) struct InvalidPod {
    /// `namespace/name`, or the name alone if the namespace is invalid.
    pub(super) pod: Option<String>,
    /// Each begins with the field's name.
    pub(super) faults: Vec<String>,
    /// The number of faults beyond the first [`FAULTS_MAX`].
    pub(super) left_out: usize,
}

/// Reads a Pod, and fills in the values that a manifest may leave out.
pub(super) fn read(object: &NodeMap, profiles: &[WatchProfile]) -> Result<ManifestPod, InvalidPod> {
    let mut reader = PodReader { faults: Vec::new(), left_out: 0 };
    types::check(object, &mut |fault| reader.refuse(fault));
    // A value of a wrong type reads as absent below, which would lead to a second, wrong fault.
    let pod = if reader.faults.is_empty() { reader.pod(object, profiles) } else { None };
    let PodReader { faults, left_out } = reader;
    pod.filter(|_| faults.is_empty()).ok_or_else(|| InvalidPod { pod: title(object), faults, left_out })
}

/// The Pod's name for an error.
fn title(object: &NodeMap) -> Option<String> {
    let metadata = fields(object.get("metadata"))?;
    let name = name_of(metadata)?;
    let namespace = match metadata.get("namespace") {
        None | Some(Node::Null) => Some(NAMESPACE),
        namespace => text(namespace).filter(|namespace| is_namespace(namespace)),
    };
    Some(namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}")))
}

/// The valid name of an object. If it has none, the API server gives it one that begins with its `generateName`.
fn name_of(metadata: &NodeMap) -> Option<&str> {
    match text(metadata.get("name")) {
        Some(name) => Some(name).filter(|name| is_pod_name(name)),
        None => text(metadata.get("generateName")).filter(|start| is_pod_name(&format!("{start}x"))),
    }
}

/// Reads a Pod whose keys and types are right.
struct PodReader {
    faults: Vec<String>,
    left_out: usize,
}

impl PodReader {
    fn pod(&mut self, object: &NodeMap, profiles: &[WatchProfile]) -> Option<ManifestPod> {
        let nothing = NodeMap::new();
        if text(object.get("apiVersion")).is_some_and(|version| version != "v1") {
            self.refuse(format!("apiVersion is not that of a Pod: write {}", rule::VERSION));
        }
        let [metadata, spec, status] =
            ["metadata", "spec", "status"].map(|part| fields(object.get(part)).unwrap_or(&nothing));
        let namespace = self.namespace(metadata);
        let name = self.name(metadata);
        let uid = text(metadata.get("uid"));
        let texts = self.texts(metadata, spec);
        let status = PodStatus {
            phase: self.phase(status),
            ready: self.is_ready(status),
            terminating: text(metadata.get("deletionTimestamp")).is_some(),
            host_network: matches!(spec.get("hostNetwork"), Some(Node::Bool(true, _))),
            pod_ips: self.pod_ips(status),
            host_ips: self.host_ips(status).into_vec().into(),
            start_time: text(status.get("startTime")).and_then(seconds),
        };
        let name = name?;
        let uid = uid.map_or_else(|| format!("{namespace}/{name}").into(), Into::into);
        let (namespace, name) = (namespace.into(), name.into());
        let (by_profile, unselected) = (texts.by_profile(profiles), texts.unselected(profiles));
        let text = ProfileText::default();
        let pod = Pod { namespace, name, uid, resource_version: 1, status, text };
        Some(ManifestPod { pod, by_profile, unselected })
    }

    /// What profiles may name of a Pod or of a template.
    fn texts<'n>(&mut self, metadata: &'n NodeMap, spec: &'n NodeMap) -> PodTexts<'n> {
        PodTexts { labels: self.labels(metadata), annotations: self.annotations(metadata), ports: self.ports(spec) }
    }

    /// The names and numbers of the TCP ports of the containers, then those of the init containers that keep running
    /// beside them.
    fn ports<'n>(&mut self, spec: &'n NodeMap) -> Vec<(&'n str, u16)> {
        let mut ports = Vec::new();
        for (list, is_init) in [("containers", false), ("initContainers", true)] {
            for (at, container) in items(spec.get(list)).iter().enumerate() {
                let Some(container) = object(container) else { continue };
                let is_kept = keeps_running(is_init, text(container.get("restartPolicy")));
                for (port_at, port) in items(container.get("ports")).iter().enumerate() {
                    let field = format!("spec.{list}[{at}].ports[{port_at}]");
                    let port = object(port).and_then(|port| self.port(port, &field));
                    ports.extend(port.filter(|_| is_kept));
                }
            }
        }
        ports
    }

    /// The name and number of a port. `None` if it is not TCP, or if the API server refuses it.
    fn port<'n>(&mut self, port: &'n NodeMap, field: &str) -> Option<(&'n str, u16)> {
        let number = match port.get("containerPort") {
            Some(Node::Number(text)) => whole(text).and_then(|number| u16::try_from(number).ok()),
            _ => None,
        };
        let number = number.filter(|number| *number != 0);
        if number.is_none() {
            self.refuse(format!("{field}.containerPort is not a port: write a number from 1 to 65535"));
        }
        let protocol = text(port.get("protocol"));
        if !matches!(protocol, None | Some("TCP" | "UDP" | "SCTP")) {
            self.refuse(format!("{field}.protocol is not a protocol: write {}", rule::PROTOCOL));
        }
        let name = text(port.get("name"));
        if name.is_some_and(|name| !is_port_name(name)) {
            self.refuse(format!("{field}.name is not a port's name: write {}", rule::PORT_NAME));
        }
        Some((name.unwrap_or_default(), number.filter(|_| is_tcp(protocol))?))
    }

    fn namespace<'n>(&mut self, metadata: &'n NodeMap) -> &'n str {
        let namespace = text(metadata.get("namespace")).unwrap_or(NAMESPACE);
        if !is_namespace(namespace) {
            self.refuse(format!("metadata.namespace is not a DNS label: write {}", rule::NAMESPACE));
        }
        namespace
    }

    fn name<'n>(&mut self, metadata: &'n NodeMap) -> Option<&'n str> {
        let name = text(metadata.get("name"));
        match name {
            Some(name) if !is_pod_name(name) => {
                self.refuse(format!("metadata.name is not a DNS subdomain: write {}", rule::NAME));
            }
            Some(_) => {}
            None => self.refuse("metadata.name is missing: a Pod without a name cannot be published".to_owned()),
        }
        name
    }

    fn labels(&mut self, metadata: &NodeMap) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for (key, value) in texts(metadata.get("labels")) {
            if let Err(reason) = check_key(key) {
                self.refuse(format!("metadata.labels[\"{}\"] has an invalid key: {reason}", shown_key(key)));
            }
            if let Err(reason) = check_value(value) {
                self.refuse(format!("metadata.labels[\"{}\"] has an invalid value: {reason}", shown_key(key)));
            }
            labels.insert(key.to_owned(), value.to_owned());
        }
        labels
    }

    /// Checks and collects the annotations. Their keys have the form of label keys, but in any letter case.
    fn annotations<'n>(&mut self, metadata: &'n NodeMap) -> BTreeMap<&'n str, &'n str> {
        let annotations: BTreeMap<_, _> = texts(metadata.get("annotations")).collect();
        for key in annotations.keys() {
            let lower: String = key.chars().filter_map(|c| c.to_lowercase().next()).collect();
            if let Err(reason) = check_key(&lower) {
                self.refuse(format!("metadata.annotations[\"{}\"] has an invalid key: {reason}", shown_key(key)));
            }
        }
        let len: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        if len > ANNOTATIONS_LEN_MAX {
            let most = "and a Pod has at most 262144: write shorter ones";
            self.refuse(format!("metadata.annotations has {len} bytes of keys and values, {most}"));
        }
        annotations
    }

    fn phase(&mut self, status: &NodeMap) -> Phase {
        match text(status.get("phase")) {
            None | Some("Running") => Phase::Running,
            Some("Pending") => Phase::Pending,
            Some("Succeeded") => Phase::Succeeded,
            Some("Failed") => Phase::Failed,
            Some("Unknown") => Phase::Unknown,
            Some(_) => {
                self.refuse(format!("status.phase is not a phase of a Pod: write {}", rule::PHASE));
                Phase::Unknown
            }
        }
    }

    /// Whether the Pod is ready. A Pod without conditions is.
    fn is_ready(&mut self, status: &NodeMap) -> bool {
        let Some(Node::List(conditions)) = status.get("conditions") else { return true };
        let mut is_ready = false;
        for (at, condition) in conditions.iter().enumerate() {
            let Some(condition) = object(condition) else { continue };
            let kind = text(condition.get("type"));
            let value = text(condition.get("status"));
            if kind.is_none() {
                self.refuse(format!("status.conditions[{at}].type is missing: write one such as \"Ready\""));
            }
            if !matches!(value, None | Some("True" | "False" | "Unknown")) {
                self.refuse(format!("status.conditions[{at}].status is not valid: write {}", rule::TRUTH));
            }
            is_ready |= kind == Some("Ready") && value == Some("True");
        }
        is_ready
    }

    /// The Pod's addresses. If `podIP` is not the first address of `podIPs`, the API server keeps only `podIP`.
    fn pod_ips(&mut self, status: &NodeMap) -> PodIps {
        let (single, mut list) = self.addresses(status, "podIP", "podIPs");
        if single.is_some() && single != list.first().copied() {
            list.clear();
        }
        self.check_families(&list, "podIPs");
        addresses(list.into_iter(), single)
    }

    /// The node's addresses. The API server refuses a `hostIP` that is not the first address of `hostIPs`.
    fn host_ips(&mut self, status: &NodeMap) -> PodIps {
        let (single, list) = self.addresses(status, "hostIP", "hostIPs");
        if single.is_some() && list.first().is_some_and(|first| Some(*first) != single) {
            self.refuse("status.hostIPs[0].ip is not status.hostIP: write the same address in both".to_owned());
        }
        self.check_families(&list, "hostIPs");
        addresses(list.into_iter(), single)
    }

    /// The single address, and the addresses of the list.
    fn addresses<'n>(&mut self, status: &'n NodeMap, single: &str, list: &str) -> (Option<&'n str>, Vec<&'n str>) {
        let mut texts = Vec::new();
        for (at, item) in items(status.get(list)).iter().enumerate() {
            let Some(item) = object(item) else { continue };
            let field = format!("status.{list}[{at}].ip");
            match text(item.get("ip")) {
                Some(ip) => texts.extend(self.address(ip, &field)),
                None => self.refuse(format!("{field} is missing: write {}", rule::ADDRESS)),
            }
        }
        let single = text(status.get(single)).and_then(|ip| self.address(ip, &format!("status.{single}")));
        (single, texts)
    }

    fn address<'n>(&mut self, text: &'n str, field: &str) -> Option<&'n str> {
        if is_address(text) {
            return Some(text);
        }
        let bare = text.split_once('/').and_then(|(address, _)| address.parse::<IpAddr>().ok());
        self.refuse(match bare {
            Some(bare) => format!("{field} is an address with a prefix: write \"{bare}\""),
            None => format!("{field} is not an address: write {}", rule::ADDRESS),
        });
        None
    }

    fn check_families(&mut self, addresses: &[&str], list: &str) {
        let parsed = addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        let (four, six): (Vec<IpAddr>, Vec<IpAddr>) = parsed.partition(|address| address.to_canonical().is_ipv4());
        if four.len() > 1 || six.len() > 1 {
            let most = "write one of IPv4, one of IPv6, or one of each";
            self.refuse(format!("status.{list} has several addresses of one family: {most}"));
        }
    }

    fn refuse(&mut self, fault: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else {
            self.left_out += 1;
        }
    }
}

/// What profiles may name of a Pod or of a template.
#[derive(Default)]
struct PodTexts<'n> {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'n str, &'n str>,
    ports: Vec<(&'n str, u16)>,
}

impl PodTexts<'_> {
    /// What each profile names, for the profiles whose selectors match.
    fn by_profile(&self, profiles: &[WatchProfile]) -> Vec<(usize, ProfileText)> {
        let text = |profile: &WatchProfile| {
            let labels = self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let annotations = self.annotations.iter().map(|(key, value)| (*key, *value));
            let ports = self.ports.iter().map(|(name, number)| ContainerPort { name: (*name).into(), number: *number });
            profile.text_of(labels, annotations, ports)
        };
        let chosen = profiles.iter().enumerate().filter(|(_, profile)| profile.selector.matches(&self.labels));
        chosen.map(|(at, profile)| (at, text(profile))).collect()
    }

    /// The profiles that do not select it, although it has an annotation for them that no other profile reads.
    fn unselected(&self, profiles: &[WatchProfile]) -> Vec<Unselected> {
        let (chosen, others): (Vec<_>, Vec<_>) =
            profiles.iter().enumerate().partition(|(_, profile)| profile.selector.matches(&self.labels));
        let is_read = |key: &str| chosen.iter().any(|(_, profile)| profile.takes_annotation(key));
        let missed = others.into_iter().filter_map(|(profile, of)| {
            let is_own = |key: &&str| of.takes_pairs_from(key) && !is_read(key);
            let is_offer = of.register_key().is_some_and(|key| {
                self.annotations.get(key.as_str()).is_some_and(|value| value.eq_ignore_ascii_case("true"))
            });
            let key = self.annotations.keys().copied().find(is_own).filter(|_| !is_offer)?;
            Some(Unselected { profile, key: shown_key(key), has_label_above: false })
        });
        missed.collect()
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// A string; an empty one counts as absent, as it does in the API.
fn text(value: Option<&Node>) -> Option<&str> {
    match value? {
        Node::Text(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

fn fields(value: Option<&Node>) -> Option<&NodeMap> {
    match value? {
        Node::Map(fields) => Some(fields),
        _ => None,
    }
}

/// An item of a list of objects. Null means an object without keys.
fn object(item: &Node) -> Option<&NodeMap> {
    static NOTHING: NodeMap = NodeMap::new();
    match item {
        Node::Map(fields) => Some(fields),
        Node::Null => Some(&NOTHING),
        _ => None,
    }
}

fn items(value: Option<&Node>) -> &[Node] {
    match value {
        Some(Node::List(items)) => items,
        _ => &[],
    }
}

/// The entries of an object of strings. The API server reads null here as the empty string.
fn texts(value: Option<&Node>) -> impl Iterator<Item = (&str, &str)> {
    fields(value).into_iter().flatten().filter_map(|(key, value)| match value {
        Node::Text(text) => Some((key.as_str(), text.as_str())),
        Node::Null => Some((key.as_str(), "")),
        _ => None,
    })
}
