//! Pods that other registrars, charts and people have written (`tests/fixtures/registrars.json`), read from both
//! encodings of the API.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::encode;
use crate::registration::{ContainerPort, Encoding, PRESETS, PodParts, ProfileTable, ProfileText, decode};
use crate::source::kube::json_pod::RawPod;
use crate::source::kube::pod_object::PodObject;
use crate::source::kube::protobuf::PodMessage;
use crate::source::{ProfilePods, WatchProfile};

#[derive(Deserialize)]
struct Case {
    id: String,
    profile: Value,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<std::net::IpAddr>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    ports: Value,
    expect: Vec<Expected>,
    refused: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Expected {
    interface: String,
    protocol: String,
    port: u16,
    weight: u16,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../../tests/fixtures/registrars.json")).expect("the fixtures")
}

/// A preset, or the keys of a table.
fn profile(profile: &Value) -> WatchProfile {
    if let Some(name) = profile.as_str() {
        return WatchProfile::of_preset(PRESETS.iter().find(|preset| preset.name == name).expect("a preset"));
    }
    let table: ProfileTable = serde_json::from_value(profile.clone()).expect("a table");
    let encoding = Encoding::parse(&table).expect("an encoding");
    let selector = table.selector.expect("a selector").parse().expect("a selector");
    WatchProfile::new("table", selector, table.annotation.as_deref(), encoding)
}

fn object(case: &Case, version: u64) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "name": "p", "namespace": "n", "uid": "u", "resourceVersion": version.to_string(),
            "labels": case.labels, "annotations": case.annotations,
        },
        "spec": { "containers": [{ "name": "c", "ports": case.ports }] },
    })
}

/// The Pod as its source sends it, the same from both encodings.
fn read(object: &Value, profiles: &[WatchProfile]) -> ProfilePods {
    let json = object.to_string();
    let of_json = RawPod::read(json.as_bytes()).expect("JSON").to_pods(profiles).expect("a Pod");
    let protobuf = encode::pod(object);
    let of_protobuf = PodMessage::read(&protobuf).expect("a message").to_pods(profiles).expect("a Pod");
    assert_eq!(of_json, of_protobuf, "{object}");
    of_json
}

#[test]
fn recorded_pods_are_read_from_both_encodings() {
    for case in cases() {
        let profile = profile(&case.profile);
        if !profile.selector.matches(&case.labels) {
            continue; // the API server does not send it
        }
        let pods = read(&object(&case, 1), std::slice::from_ref(&profile));
        let decoded = decode(&pods[0].text, &profile.encoding);
        let is_own = |address: std::net::IpAddr| case.pod_ips.contains(&address);
        let published = decoded.registrations.iter().filter(|one| one.enabled && one.address.is_none_or(is_own));
        let mut published: Vec<Expected> = published
            .map(|one| Expected {
                interface: one.interface.to_string(),
                protocol: one.protocol.to_string(),
                port: one.port,
                weight: one.weight,
            })
            .collect();
        let mut expected = case.expect;
        published.sort();
        expected.sort();
        assert_eq!(published, expected, "{}", case.id);
        let refused: Vec<&str> = decoded.problems.iter().map(|problem| problem.reason.kind()).collect();
        assert_eq!(refused, case.refused, "{}", case.id);
    }
}

/// go-micro's heartbeat changes the Pod's version, and Patroni writes an annotation with its position each second.
#[test]
fn what_no_profile_names_is_no_change() {
    for mut case in cases() {
        let profile = profile(&case.profile);
        let before = read(&object(&case, 1), std::slice::from_ref(&profile));
        case.annotations.insert("status".into(), "{\"xlog_location\":67109113}".into());
        case.annotations.insert("example.com/heartbeat".into(), "7".into());
        case.labels.insert("pod-template-hash".into(), "6b7f".into());
        let mut object = object(&case, 2);
        object["spec"]["containers"][0]["image"] = "other".into();
        let after = read(&object, std::slice::from_ref(&profile));
        assert_eq!(after[0].text, before[0].text, "{}", case.id);
        assert_eq!((before[0].resource_version, after[0].resource_version), (1, 2));
    }
}

#[test]
fn each_profile_of_a_watch_gets_its_own_text() {
    let profiles: Vec<WatchProfile> = PRESETS.iter().map(WatchProfile::of_preset).collect();
    let object = json!({
        "metadata": {
            "name": "p", "namespace": "n", "uid": "u",
            "labels": { "app.kubernetes.io/name": "nginx", "app.kubernetes.io/part-of": "x", "app": "y" },
            "annotations": { "app.io/annotation": "W10=", "app.io/port": "http", "micro.mu/service-a": "{\"name\":\"a\"}", "b": "c" },
        },
        "spec": {
            "initContainers": [
                { "restartPolicy": "Always", "ports": [{ "name": "proxy", "containerPort": 15001 }] },
                { "ports": [{ "name": "job", "containerPort": 1 }] },
                { "restartPolicy": "Never", "ports": [{ "name": "job", "containerPort": 2 }] },
            ],
            "containers": [
                { "ports": [{ "name": "http", "containerPort": 80, "protocol": "TCP" }, { "name": "dns", "containerPort": 53, "protocol": "UDP" }] },
                { "name": "portless" },
                { "ports": [{ "containerPort": 9090 }, { "name": "large", "containerPort": 65_536 }] },
            ],
        },
    });
    let port = |name: &str, number| ContainerPort { name: name.into(), number };
    let ports = || -> Box<[ContainerPort]> {
        vec![port("http", 80), port("", 9090), port("large", 0), port("proxy", 15001)].into()
    };
    let pair = |key: &str, value: &str| -> Box<[(Box<str>, Box<str>)]> { vec![(key.into(), value.into())].into() };
    let texts = [
        ProfileText {
            value: Some("W10=".into()),
            parts: Some(
                PodParts { annotations: pair("app.io/port", "http"), ports: ports(), ..PodParts::default() }.into(),
            ),
        },
        ProfileText::default(), // without its annotation it needs no ports
        ProfileText { value: None, parts: Some(PodParts { ports: ports(), ..PodParts::default() }.into()) },
        ProfileText {
            value: None,
            parts: Some(
                PodParts { annotations: pair("micro.mu/service-a", "{\"name\":\"a\"}"), ..PodParts::default() }.into(),
            ),
        },
        ProfileText {
            value: None,
            parts: Some(
                PodParts { labels: pair("app.kubernetes.io/name", "nginx"), ports: ports(), ..PodParts::default() }
                    .into(),
            ),
        },
    ];
    let pods = read(&object, &profiles);
    for ((pod, profile), text) in pods.iter().zip(&profiles).zip(texts) {
        assert_eq!(pod.text, text, "{}", profile.name);
    }
}
