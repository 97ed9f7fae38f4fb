//! An object that says it is a Pod becomes one, or a list of what the API server would refuse about it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use super::ManifestPod;
use super::node::{Fields, Node};
use crate::name::{is_namespace, is_pod_name};
use crate::source::kube::pod::{addresses, seconds};
use crate::source::selector::{check_key, check_value};
use crate::source::{Phase, Pod, PodIps, PodStatus, Profile};

/// The most faults of one object that are told.
const FAULTS_MAX: usize = 8;

/// Reads a Pod and fills in what a manifest need not say. Each fault begins with the field's name.
pub(super) fn read(object: &Fields, profiles: &[Profile]) -> Result<ManifestPod, Vec<String>> {
    let mut reader = Reader { faults: Vec::new() };
    let pod = reader.pod(object, profiles);
    match pod.filter(|_| reader.faults.is_empty()) {
        Some(pod) => Ok(pod),
        None => Err(reader.faults),
    }
}

/// Why a value is refused where a string is due, and what to write instead.
pub(super) fn no_string(field: impl Display, value: &Node) -> String {
    let noun = value.noun();
    match value {
        Node::Null => format!("{field} is null, and a string is due: write \"\", or leave the field out"),
        Node::Bool(value) => {
            let others = if *value { "y, yes and on" } else { "n, no and off" };
            format!("{field} is {noun}, and a string is due: write \"{value}\" (YAML takes {others} for {value} too)")
        }
        Node::Number(value) => format!("{field} is {noun}, and a string is due: write \"{value}\""),
        _ => format!("{field} is {noun}, and a string is due: write a text in quotes"),
    }
}

struct Reader {
    faults: Vec<String>,
}

impl Reader {
    fn pod(&mut self, object: &Fields, profiles: &[Profile]) -> Option<ManifestPod> {
        let nothing = Fields::new();
        if self.text(object.get("apiVersion"), "apiVersion").is_some_and(|version| version != "v1") {
            self.refuse("apiVersion is not that of a Pod: write \"v1\"".to_owned());
        }
        let metadata = match object.get("metadata") {
            None | Some(Node::Null) => &nothing,
            metadata => self.fields(metadata, "metadata")?,
        };
        let spec = self.fields(object.get("spec"), "spec").unwrap_or(&nothing);
        let status = self.fields(object.get("status"), "status").unwrap_or(&nothing);
        let namespace = self.namespace(metadata);
        let name = self.name(metadata);
        let uid = self.text(metadata.get("uid"), "metadata.uid");
        self.text(metadata.get("resourceVersion"), "metadata.resourceVersion");
        self.time(metadata.get("creationTimestamp"), "metadata.creationTimestamp");
        let labels = self.texts(metadata.get("labels"), "metadata.labels");
        for (key, value) in &labels {
            if let Err(reason) = check_value(value) {
                self.refuse(format!("metadata.labels[{key:?}] has a value that is none of a label: {reason}"));
            }
        }
        let annotations = self.texts(metadata.get("annotations"), "metadata.annotations");
        let status = PodStatus {
            phase: self.phase(status),
            ready: self.is_ready(status),
            terminating: self.time(metadata.get("deletionTimestamp"), "metadata.deletionTimestamp").is_some(),
            host_network: self.flag(spec.get("hostNetwork"), "spec.hostNetwork"),
            pod_ips: self.addresses(status, "podIP", "podIPs"),
            host_ips: self.addresses(status, "hostIP", "hostIPs").into_vec().into(),
            start_time: self.time(status.get("startTime"), "status.startTime"),
        };
        let name = name?;
        let uid = uid.map_or_else(|| format!("{namespace}/{name}").into(), Into::into);
        let (namespace, name) = (namespace.into(), name.into());
        let chosen = profiles.iter().enumerate().filter(|(_, profile)| profile.selector.matches(&labels));
        let told =
            chosen.map(|(at, profile)| (at, annotations.get(&profile.annotation).map(|value| value.as_str().into())));
        Some(ManifestPod {
            told: told.collect(),
            pod: Pod { namespace, name, uid, resource_version: 1, status, annotation: None },
        })
    }

    fn namespace<'n>(&mut self, metadata: &'n Fields) -> &'n str {
        let namespace = self.text(metadata.get("namespace"), "metadata.namespace").unwrap_or("default");
        if !is_namespace(namespace) {
            let rule = "lower case letters, digits and - inside, up to 63";
            self.refuse(format!("metadata.namespace is not a DNS label: write {rule}"));
        }
        namespace
    }

    fn name<'n>(&mut self, metadata: &'n Fields) -> Option<&'n str> {
        let name = self.text(metadata.get("name"), "metadata.name");
        match name {
            Some(name) if !is_pod_name(name) => {
                let rule = "lower case letters, digits, and - and . inside, up to 253";
                self.refuse(format!("metadata.name is not a DNS subdomain: write {rule}"));
            }
            None if matches!(metadata.get("name"), None | Some(Node::Text(_))) => {
                self.refuse("metadata.name is missing: a Pod without a name cannot be published".to_owned());
            }
            _ => {}
        }
        name
    }

    fn phase(&mut self, status: &Fields) -> Phase {
        match self.text(status.get("phase"), "status.phase") {
            None | Some("Running") => Phase::Running,
            Some("Pending") => Phase::Pending,
            Some("Succeeded") => Phase::Succeeded,
            Some("Failed") => Phase::Failed,
            Some("Unknown") => Phase::Unknown,
            Some(_) => {
                let known = "\"Pending\", \"Running\", \"Succeeded\", \"Failed\" or \"Unknown\"";
                self.refuse(format!("status.phase is no phase of a Pod: write {known}"));
                Phase::Unknown
            }
        }
    }

    /// Whether the Pod is ready. One that tells no conditions is.
    fn is_ready(&mut self, status: &Fields) -> bool {
        let Some(conditions) = self.list(status.get("conditions"), "status.conditions") else { return true };
        let mut is_ready = false;
        for (at, condition) in conditions.iter().enumerate() {
            let field = format!("status.conditions[{at}]");
            let Some(condition) = self.fields(Some(condition), &field) else { continue };
            let kind = self.text(condition.get("type"), &format!("{field}.type"));
            let field = format!("{field}.status");
            let value = match condition.get("status") {
                Some(Node::Bool(value)) => {
                    let due = if *value { "True" } else { "False" };
                    self.refuse(format!("{field} is a boolean, and a string is due: write \"{due}\""));
                    continue;
                }
                value => self.text(value, &field),
            };
            if !matches!(value, None | Some("True" | "False" | "Unknown")) {
                self.refuse(format!("{field} is none: write \"True\", \"False\" or \"Unknown\""));
            }
            is_ready |= kind == Some("Ready") && value == Some("True");
        }
        is_ready
    }

    /// The addresses of a list of objects, or the single one where that has none.
    fn addresses(&mut self, status: &Fields, single: &str, list: &str) -> PodIps {
        let mut texts = Vec::new();
        let field = format!("status.{list}");
        for (at, item) in self.list(status.get(list), &field).into_iter().flatten().enumerate() {
            let field = format!("{field}[{at}]");
            if let Node::Text(_) = item {
                self.refuse(format!("{field} is a string, and an object is due: write {{ip: \"...\"}}"));
                continue;
            }
            let ip = self.fields(Some(item), &field).and_then(|item| item.get("ip"));
            texts.extend(self.address(ip, &format!("{field}.ip")));
        }
        let single = self.address(status.get(single), &format!("status.{single}"));
        addresses(texts.into_iter(), single)
    }

    fn address<'n>(&mut self, value: Option<&'n Node>, field: &str) -> Option<&'n str> {
        let text = self.text(value, field)?;
        if text.parse::<IpAddr>().is_ok() {
            return Some(text);
        }
        let bare = text.split_once('/').and_then(|(address, _)| address.parse::<IpAddr>().ok());
        self.refuse(match bare {
            Some(bare) => format!("{field} is an address with a prefix: write \"{bare}\""),
            None => format!("{field} is no address: write one such as \"10.0.0.1\" or \"fd00::1\""),
        });
        None
    }

    fn time(&mut self, value: Option<&Node>, field: &str) -> Option<i64> {
        let text = self.text(value.filter(|value| **value != Node::Null), field)?;
        let time = seconds(text);
        if time.is_none() {
            self.refuse(format!("{field} is no time: write one such as \"2026-01-02T03:04:05Z\""));
        }
        time
    }

    fn flag(&mut self, value: Option<&Node>, field: &str) -> bool {
        match value {
            None | Some(Node::Null) => false,
            Some(Node::Bool(value)) => *value,
            Some(value) => {
                self.refuse(format!("{field} is {}, and a boolean is due: write true or false", value.noun()));
                false
            }
        }
    }

    /// A string; an empty one counts as absent, as it does in the API.
    fn text<'n>(&mut self, value: Option<&'n Node>, field: &str) -> Option<&'n str> {
        match value? {
            Node::Text(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
            value => {
                self.refuse(no_string(field, value));
                None
            }
        }
    }

    /// An object of strings.
    fn texts(&mut self, value: Option<&Node>, field: &str) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (key, value) in self.fields(value, field).into_iter().flatten() {
            if let Err(reason) = check_key(key) {
                self.refuse(format!("{field}[{key:?}] has a key that is none: {reason}"));
            }
            match value {
                Node::Text(value) => _ = texts.insert(key.clone(), value.clone()),
                value => self.refuse(no_string(format_args!("{field}[{key:?}]"), value)),
            }
        }
        texts
    }

    fn fields<'n>(&mut self, value: Option<&'n Node>, field: &str) -> Option<&'n Fields> {
        match value? {
            Node::Null => None,
            Node::Map(fields) => Some(fields),
            value => {
                self.refuse(format!("{field} is {}, and an object is due", value.noun()));
                None
            }
        }
    }

    fn list<'n>(&mut self, value: Option<&'n Node>, field: &str) -> Option<&'n [Node]> {
        match value? {
            Node::Null => None,
            Node::List(items) => Some(items),
            value => {
                self.refuse(format!("{field} is {}, and a list is due", value.noun()));
                None
            }
        }
    }

    fn refuse(&mut self, fault: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }
}
