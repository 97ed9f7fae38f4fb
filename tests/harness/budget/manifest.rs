//! The Pods of the zone as manifests, and a zone from such a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use callsign::registration::Encoding;
use callsign::source::files::Manifests;
use callsign::source::health::SourceHealth;
use callsign::source::{Change, WatchProfile};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::channel;

use super::pods::pod;
use super::provider::Provider;
use super::zone::Zone;

/// Reads a file as the server does.
pub(crate) fn read(path: PathBuf) -> Zone {
    let encoding = Encoding::Pairs { plain: None };
    let profile = WatchProfile::new("dubbo", "".parse().expect("a selector"), Some("dubbo.io/a"), encoding);
    let mut zone = Zone::empty();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (sender, mut events) = channel(8);
        let health = Arc::new(SourceHealth::new(Instant::now()));
        tokio::spawn(Manifests::new(vec![path], vec![profile]).run(sender, health, Arc::new(Notify::new())));
        let mut is_whole = false;
        while !is_whole {
            let change = events.recv().await.expect("an event").change;
            is_whole = matches!(change, Change::Commit);
            zone.take_in(change);
        }
    });
    zone
}

/// This many Pods, as an API server sends them.
pub(crate) fn stream(provider: &Provider, count: usize) -> Vec<Value> {
    (0..count).map(|number| object(provider, number)).collect()
}

/// The same as a JSON list.
pub(crate) fn list(provider: &Provider, count: usize) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": stream(provider, count) }).to_string()
}

/// One after another.
pub(crate) fn json(pods: &[Value]) -> String {
    pods.iter().map(|pod| format!("{pod}\n")).collect()
}

/// In YAML, each after a prefix, with its other lines indented.
pub(crate) fn yaml(pods: &[Value], before: &str, indent: &str) -> String {
    let part = |key: &str, pod: &Value| format!("{key}: {}\n", pod[key]);
    let text = |pod: &Value| {
        let parts = ["kind", "metadata", "status"].map(|key| part(key, pod));
        format!("{before}{}", parts.join(indent))
    };
    pods.iter().map(text).collect()
}

fn object(provider: &Provider, number: usize) -> Value {
    let pod = pod(provider, number, true);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": &*pod.namespace, "name": &*pod.name, "uid": &*pod.uid,
            "annotations": { "dubbo.io/a": pod.text.value.as_deref() },
        },
        "status": { "phase": "Running", "podIP": pod.status.pod_ips[0].to_string(), "startTime": "2023-11-14T22:13:20Z" },
    })
}
