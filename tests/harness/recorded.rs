//! The Pods of `registrars.json` and `profiles.json`: what other registrars, charts and people have written, and what each Pod
//! gives.

use std::collections::BTreeMap;
use std::net::IpAddr;

use callsign::registration::{Decoded, Encoding, Problem, ProfileTable, Registration};
use callsign::source::WatchProfile;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedPod {
    pub(crate) id: String,
    #[serde(default)]
    registrar: String,
    /// A preset's name, a `[[profile]]` table, or in `profiles.json` the name of a file of `deploy/profiles`.
    profile: Value,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<IpAddr>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Container ports.
    pub(crate) ports: Value,
    expect: Vec<Expected>,
    refused: Vec<String>,
}

/// A registration that may be published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    interface: String,
    group: Option<String>,
    version: Option<String>,
    protocol: String,
    port: u16,
    weight: u16,
    /// Without the weight.
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    methods: Vec<String>,
}

/// The Pods that a preset or a table reads ([`RecordedPod::profile`]).
pub(crate) fn recorded_pods() -> Vec<RecordedPod> {
    let pods: Vec<RecordedPod> =
        serde_json::from_str(include_str!("../fixtures/registrars.json")).expect("the recorded Pods");
    assert!(pods.len() >= 41, "{} Pods", pods.len());
    pods
}

/// The Pods that a file of `deploy/profiles` reads, each with the file's name.
pub(crate) fn pods_of_files() -> Vec<(String, RecordedPod)> {
    let more: Vec<RecordedPod> =
        serde_json::from_str(include_str!("../fixtures/profiles.json")).expect("the files' Pods");
    let pods = recorded_pods().into_iter().chain(more);
    pods.filter_map(|pod| Some((pod.file()?.to_owned(), pod))).collect()
}

/// The tables of a file of `deploy/profiles`.
pub(crate) fn profiles_of_file(file: &str) -> Vec<WatchProfile> {
    let path = format!("{}/deploy/profiles/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let config: Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    config["profile"].as_array().expect("tables").iter().map(profile_of_table).collect()
}

fn profile_of_table(table: &Value) -> WatchProfile {
    let table: ProfileTable = serde_json::from_value(table.clone()).expect("a table");
    let encoding = Encoding::parse(&table).expect("an encoding");
    let selector = table.selector.expect("a selector").parse().expect("a selector");
    WatchProfile::new(table.name.as_deref().unwrap_or("a table"), selector, table.annotation.as_deref(), encoding)
}

impl RecordedPod {
    /// The profile that reads it: a preset, or a table.
    pub(crate) fn profile(&self) -> WatchProfile {
        match self.profile.as_str() {
            Some(name) => WatchProfile::preset(name).expect("a preset"),
            None => profile_of_table(&self.profile),
        }
    }

    /// The file of `deploy/profiles` that reads it.
    fn file(&self) -> Option<&str> {
        match &*self.registrar {
            "" => self.profile.as_str(),
            "patroni" if self.id.contains("spilo") => Some("spilo"),
            registrar @ ("vault" | "openbao" | "patroni" | "consul" | "dubbo3") => Some(registrar),
            _ => None,
        }
    }

    /// The Pod as an API server has it.
    pub(crate) fn object(&self, name: &str) -> Value {
        let ips: Vec<Value> = self.pod_ips.iter().map(|ip| json!({ "ip": ip })).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "labels": self.labels, "annotations": self.annotations },
            "spec": { "containers": [{ "name": "main", "image": "process", "ports": self.ports }] },
            "status": { "podIP": self.pod_ips.first(), "podIPs": ips },
        })
    }

    /// Checks what a reader made of it with each of its profiles: the registrations that may be published, and the reasons of
    /// the problems.
    #[track_caller]
    pub(crate) fn check(&self, decoded: &[Decoded]) {
        let is_published =
            |one: &&Registration| one.enabled && one.address.is_none_or(|address| self.pod_ips.contains(&address));
        let registrations = decoded.iter().flat_map(|decoded| &decoded.registrations);
        let mut published: Vec<Expected> = registrations.filter(is_published).map(Expected::of).collect();
        let mut expected = self.expect.clone();
        published.sort();
        expected.sort();
        let problems: Vec<&Problem> = decoded.iter().flat_map(|decoded| &decoded.problems).collect();
        assert_eq!(published, expected, "{}: {problems:?}", self.id);
        let refused: Vec<&str> = problems.iter().map(|problem| problem.reason.kind()).collect();
        assert_eq!(refused, self.refused, "{}", self.id);
    }
}

impl Expected {
    fn of(one: &Registration) -> Expected {
        let text = |text: &str| text.to_owned();
        let pairs = one.metadata.pairs.iter().filter(|(key, _)| *key != "weight");
        Expected {
            interface: text(&one.interface),
            group: one.group.as_deref().map(text),
            version: one.version.as_deref().map(text),
            protocol: text(&one.protocol),
            port: one.port,
            weight: one.weight,
            metadata: pairs.map(|(key, value)| (text(key), text(value))).collect(),
            methods: one.metadata.methods.iter().map(|method| text(method)).collect(),
        }
    }
}
