//! What other registrars, charts and people have written, read from a real API server.

use std::collections::BTreeMap;

use callsign::registration::decode;
use callsign::source::{self, WatchProfile};
use serde_json::json;

use super::encodings::{RunningWatch, WAYS};
use crate::harness::cluster::Cluster;
use crate::harness::kubelet::Namespace;
use crate::harness::recorded::{RecordedPod, pods_of_files, profiles_of_file, recorded_pods};
use crate::harness::server::Server;
use crate::harness::within_a_second;

/// The Pods that a profile selects. All ways to list them give the same.
fn list(namespace: &Namespace, profile: &WatchProfile) -> BTreeMap<String, source::Pod> {
    let mut watches = WAYS.map(|way| RunningWatch::start(namespace, profile.clone(), way));
    let [first, others @ ..] = watches.each_mut().map(RunningWatch::list);
    for (way, other) in WAYS[1..].iter().zip(others) {
        assert_eq!(other, first, "{way:?}");
    }
    first
}

#[test]
fn recorded_pods_give_what_they_should_in_every_encoding() {
    let namespace = Cluster::shared().namespace("recorded");
    let recorded = recorded_pods().into_iter().map(|pod| (vec![pod.profile()], pod));
    let of_files = pods_of_files().into_iter().map(|(file, pod)| (profiles_of_file(&file), pod));
    let cases: Vec<(Vec<WatchProfile>, RecordedPod)> = recorded.chain(of_files).collect();
    let by_id: BTreeMap<&String, &RecordedPod> = cases.iter().map(|(_, recorded)| (&recorded.id, recorded)).collect();
    for (id, recorded) in by_id {
        let mut object = recorded.object(id);
        object["spec"]["nodeName"] = "node".into();
        let status = object["status"].take();
        namespace.create(&serde_json::from_value(object).expect("a Pod")).patch_status(status);
    }
    let mut lists: Vec<(&WatchProfile, BTreeMap<String, source::Pod>)> = Vec::new();
    for profile in cases.iter().flat_map(|(profiles, _)| profiles) {
        if !lists.iter().any(|(listed, _)| *listed == profile) {
            lists.push((profile, list(&namespace, profile)));
        }
    }
    for (profiles, recorded) in &cases {
        let decode_by = |profile: &WatchProfile| {
            let (_, pods) = lists.iter().find(|(listed, _)| *listed == profile).expect("a list");
            let pod = pods.get(&recorded.id);
            assert_eq!(pod.is_some(), profile.selector.matches(&recorded.labels), "{}", recorded.id);
            pod.map(|pod| decode(&pod.text, &profile.encoding))
        };
        recorded.check(&profiles.iter().filter_map(decode_by).collect::<Vec<_>>());
    }
}

/// Patroni writes an annotation with its position each second, and go-micro patches its Pod each 30 s.
#[test]
fn what_no_profile_names_moves_nothing() {
    const PATRONI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/profiles/patroni.toml");
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("quiet");
    let ports = json!([{ "name": "postgresql", "containerPort": 5432 }]);
    let pod =
        namespace.pod_with("shop-0", json!({ "containers": [{ "name": "main", "image": "process", "ports": ports }] }));
    let ip = namespace.ip(1);
    pod.run(&[&ip]);
    let service = |version: &str| {
        json!({ "name": "micro", "version": version, "nodes": [
            { "id": "micro-1", "address": format!("{ip}:9000"), "metadata": { "protocol": "grpc" } }] })
        .to_string()
    };
    // What the four profiles read, in two versions.
    let named = |version: &str| {
        json!({ "metadata": {
            "labels": {
                "app.io/label": "app.io-value", "micro.mu/type": "service", "app.kubernetes.io/name": "chart",
                "app.kubernetes.io/version": version, "cluster-name": "patroni", "role": "replica",
            },
            "annotations": {
                "app.io/interface": "plain", "app.io/version": version, "micro.mu/service-micro": service(version),
            },
        } })
    };
    pod.patch(named("1"));
    let profiles = ["--config", PATRONI, "--profiles", "app,micro,labels"];
    let source = ["--kubeconfig", cluster.kubeconfig(), "--namespace", &namespace.name];
    let server = Server::start(&[&source[..], &profiles].concat());
    let has = |name: &str, port: u16| {
        let name = format!("{name}.{}.rpc.cluster.local.", namespace.name);
        let target = ip.replace('.', "-");
        let record = format!("_rpc._tcp.{name} 5 IN SRV 0 100 {port} {target}.p.rpc.cluster.local.");
        within_a_second(|| server.dig(&["SRV", &format!("_rpc._tcp.{name}")]).shows("NOERROR", &[&record]));
    };
    let all_have = |version: &str| {
        has(&format!("plain.v-{version}"), 5432);
        has(&format!("chart.v-{version}"), 5432);
        has(&format!("micro.v-{version}"), 9000);
    };
    all_have("1");
    has("patroni.g-replica", 5432);

    let moves = || ["callsign_zone_serial", "callsign_snapshot_revision"].map(|name| server.metric(name));
    let before = moves();
    for n in 0..40 {
        let status = json!({ "xlog_location": 67_109_112 + n, "role": "replica" }).to_string();
        let annotations = json!({ "status": status, "example.com/heartbeat": n.to_string() });
        pod.patch(json!({ "metadata": { "labels": { "turn": n.to_string() }, "annotations": annotations } }));
    }
    assert_eq!(moves(), before);

    // Each of the four watches brings its events in order, so the server has read all of them once it shows the last one.
    let mut last = named("2");
    last["metadata"]["labels"]["role"] = "primary".into();
    pod.patch(last);
    all_have("2");
    has("patroni.g-primary", 5432);
    let snapshots = moves()[1] - before[1];
    assert!(snapshots <= 4, "{snapshots} snapshots, and each watch brought one change");
}
