//! Pods that were written for other readers, in manifests.

use callsign::registration::{PRESETS, decode};
use callsign::source::WatchProfile;
use callsign::source::files::ManifestPod;

use super::{Folder, Held};

fn preset(name: &str) -> WatchProfile {
    WatchProfile::of_preset(PRESETS.iter().find(|preset| preset.name == name).expect("a preset"))
}

/// The registrations of a Pod under a profile.
fn registered(pod: &ManifestPod, profiles: &[WatchProfile]) -> Vec<String> {
    let decoded = pod.by_profile.iter().flat_map(|(at, text)| decode(text, &profiles[*at].encoding).registrations);
    decoded.map(|one| format!("{} {} {}", one.interface, one.protocol, one.port)).collect()
}

#[test]
fn recorded_pods_of_presets_are_read_from_manifests() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../fixtures/registrars.json")).expect("the fixtures");
    let folder = Folder::new("registrars");
    let mut count = 0;
    for case in cases.iter().filter(|case| case["profile"].is_string()) {
        let pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "p", "labels": case["labels"], "annotations": case["annotations"] },
            "spec": { "containers": [{ "name": "c", "image": "i", "ports": case["ports"] }] },
            "status": { "podIPs": case["podIPs"].as_array().expect("addresses").iter().map(|ip| serde_json::json!({ "ip": ip })).collect::<Vec<_>>() },
        });
        let path = folder.write("pod.json", &pod.to_string());
        let profiles = [preset(case["profile"].as_str().expect("a name"))];
        let held = Held::load_for(&[path], &profiles);
        assert_eq!(held.problems(), [], "{}", case["id"]);
        let is_selected = !held.pods[0].by_profile.is_empty();
        let texts = held.pods[0].by_profile.iter().map(|(_, text)| decode(text, &profiles[0].encoding));
        let refused: Vec<&str> =
            texts.flat_map(|decoded| decoded.problems).map(|problem| problem.reason.kind()).collect();
        let expected: Vec<&str> =
            case["refused"].as_array().expect("reasons").iter().filter_map(|reason| reason.as_str()).collect();
        assert_eq!(refused, if is_selected { expected } else { Vec::new() }, "{}", case["id"]);
        count += usize::from(is_selected);
    }
    assert!(count > 20, "{count} were selected");
}

#[test]
fn container_ports_stand_in_for_names() {
    let profiles = [preset("app"), preset("labels")];
    let pod = "\
kind: Pod
metadata:
  name: greeter
  labels: {app.io/label: app.io-value, app.kubernetes.io/name: greeter}
  annotations: {app.io/interface: org.acme.Greeter, app.io/port: grpc, example.com/other: x}
spec:
  initContainers:
  - {name: proxy, image: i, restartPolicy: Always, ports: [{name: admin, containerPort: 0x3a99}]}
  - {name: job, image: i, ports: [{name: job, containerPort: 1}]}
  containers:
  - {name: c, image: i, ports: [{name: grpc, containerPort: 50051}, {name: dns, containerPort: 53, protocol: UDP}, {containerPort: 9090}]}
status: {podIP: 10.0.0.1}
";
    let folder = Folder::new("container-ports");
    let path = folder.write("a.yaml", pod);
    let held = Held::load_for(&[path], &profiles);
    assert_eq!(held.problems(), []);
    let expected = ["org.acme.Greeter grpc 50051", "greeter grpc 50051", "greeter admin 15001"];
    assert_eq!(registered(&held.pods[0], &profiles), expected);

    // What no profile names makes no other Pod.
    let path = folder.write("a.yaml", &pod.replace("example.com/other: x", "example.com/other: z"));
    assert_eq!(Held::load_for(&[path], &profiles).pods[0], held.pods[0]);
}

#[test]
fn a_container_port_that_the_api_server_refuses_is_an_error() {
    let folder = Folder::new("bad-container-ports");
    for (port, expected) in [
        ("{name: http}", "spec.containers[0].ports[0].containerPort is not a port: write a number from 1 to 65535"),
        ("{containerPort: 0}", "spec.containers[0].ports[0].containerPort is not a port"),
        ("{containerPort: 65536}", "spec.containers[0].ports[0].containerPort is not a port"),
        ("{containerPort: 80, protocol: tcp}", "spec.containers[0].ports[0].protocol is not a protocol: write \"TCP\""),
        ("{containerPort: 80, name: HTTP}", "spec.containers[0].ports[0].name is not a port's name: write up to 15"),
    ] {
        let path = folder.write(
            "a.yaml",
            &format!(
                "kind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: c, image: i, ports: [{port}]}}]}}\n"
            ),
        );
        let held = Held::load(&[path]);
        assert!(held.problems()[0].reason.contains(expected), "{port}: {:?}", held.problems());
    }
}
