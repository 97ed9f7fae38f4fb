//! Pods that were written for other readers, in manifests.

use callsign::registration::decode;
use callsign::source::WatchProfile;
use callsign::source::files::ManifestPod;

use super::{Folder, Held};

use crate::harness::recorded::{pods_of_files, profiles_of_file, recorded_pods};

/// The registrations of a Pod under a profile.
fn registered(pod: &ManifestPod, profiles: &[WatchProfile]) -> Vec<String> {
    let decoded = pod.by_profile.iter().flat_map(|(at, text)| decode(text, &profiles[*at].encoding).registrations);
    decoded.map(|one| format!("{} {} {}", one.interface, one.protocol, one.port)).collect()
}

#[test]
fn recorded_pods_are_read_from_manifests() {
    let folder = Folder::new("registrars");
    let recorded = recorded_pods().into_iter().map(|pod| (vec![pod.profile()], pod));
    let of_files = pods_of_files().into_iter().map(|(file, pod)| (profiles_of_file(&file), pod));
    for (profiles, recorded) in recorded.chain(of_files) {
        let path = folder.write("pod.json", &recorded.object("p").to_string());
        let held = Held::load_for(&[path], &profiles);
        assert_eq!(held.problems(), [], "{}", recorded.id);
        let [pod] = &held.pods[..] else { panic!("{}: {} Pods", recorded.id, held.pods.len()) };
        let selected = profiles.iter().filter(|profile| profile.selector.matches(&recorded.labels));
        assert_eq!(pod.by_profile.len(), selected.count(), "{}", recorded.id);
        let decoded = pod.by_profile.iter().map(|(at, text)| decode(text, &profiles[*at].encoding));
        recorded.check(&decoded.collect::<Vec<_>>());
    }
}

#[test]
fn container_ports_stand_in_for_names() {
    let profiles = ["app", "labels"].map(|name| WatchProfile::preset(name).expect("a preset"));
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
