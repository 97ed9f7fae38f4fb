//! The commands of `deploy/`'s documents, run unchanged by the real kubectl against the real API server.

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::harness::cluster::{Cluster, OWN_NAMESPACE};
use crate::harness::coredns::{SERVICE_ADDRESS, stub};
use crate::harness::process::{output, scratch};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// The indentation of a code block inside a numbered step.
const INDENT: &str = "       ";

/// The code block with a text, among a document's numbered steps.
#[track_caller]
fn block(file: &str, text: &str) -> String {
    let document = fs::read_to_string(format!("{DEPLOY}/{file}")).expect("a document");
    let lines: Vec<Option<&str>> = document.lines().map(|line| line.strip_prefix(INDENT)).collect();
    let mut blocks =
        lines.split(Option::is_none).map(|block| block.iter().flatten().copied().collect::<Vec<_>>().join("\n"));
    blocks.find(|block| block.contains(text)).unwrap_or_else(|| panic!("no block with {text:?} in {file}"))
}

/// A copy of `deploy/` with another namespace and Service address, and without the cluster-wide objects.
struct Copy {
    folder: PathBuf,
    namespace: String,
}

impl Copy {
    fn new(namespace: &str, address: &str) -> Copy {
        let folder = scratch("deploy");
        output("cp", ["-r", DEPLOY, &folder.join("deploy").display().to_string()]);
        let copy = Copy { folder, namespace: namespace.to_owned() };
        copy.edit("kustomization.yaml", |text| text.replace(OWN_NAMESPACE, namespace).replace("  - rbac.yaml\n", ""));
        copy.edit("namespace.yaml", |text| text.replace(OWN_NAMESPACE, namespace));
        copy.edit("service.yaml", |text| text.replace(SERVICE_ADDRESS, address));
        copy
    }

    /// Changes one of its files.
    #[track_caller]
    fn edit(&self, file: &str, change: impl Fn(&str) -> String) {
        let path = self.folder.join("deploy").join(file);
        let before = fs::read_to_string(&path).expect("read a file");
        let after = change(&before);
        assert_ne!(before, after, "{file}");
        fs::write(&path, after).expect("write a file");
    }

    /// The API server's state of it: the ports of the Service and the policy, and the container's arguments.
    fn live(&self) -> Live {
        let cluster = Cluster::shared();
        let (admin, namespace) = (cluster.admin(), self.namespace.as_str());
        let service = cluster.block_on(Api::<Service>::namespaced(admin.clone(), namespace).get("callsign"));
        let policy = cluster.block_on(Api::<NetworkPolicy>::namespaced(admin.clone(), namespace).get("callsign"));
        let deployment = cluster.block_on(Api::<Deployment>::namespaced(admin, namespace).get("callsign"));
        let service = service.expect("a Service").spec.expect("a spec").ports.unwrap_or_default();
        let policy = policy.expect("a NetworkPolicy").spec.expect("a spec").ingress.unwrap_or_default();
        let pod = deployment.expect("a Deployment").spec.and_then(|spec| spec.template.spec).expect("a Pod's spec");
        let text = |port: Option<&IntOrString>| match port {
            Some(IntOrString::Int(number)) => number.to_string(),
            Some(IntOrString::String(name)) => name.clone(),
            None => String::new(),
        };
        let service = service.iter().map(|port| {
            format!("{}/{} {}", port.port, port.protocol.as_deref().unwrap_or(""), text(port.target_port.as_ref()))
        });
        let ports = policy.iter().take(1).flat_map(|rule| rule.ports.iter().flatten());
        let policy =
            ports.map(|port| format!("{}/{}", text(port.port.as_ref()), port.protocol.as_deref().unwrap_or("")));
        let args = pod.containers[0].args.clone().unwrap_or_default();
        let volumes = pod.volumes.iter().flatten().map(|volume| volume.name.clone());
        Live {
            service: sorted(service),
            policy: sorted(policy),
            encrypted_args: args
                .into_iter()
                .filter(|arg| arg.starts_with("--listen-") || arg.starts_with("--tls-"))
                .count(),
            volumes: volumes.collect(),
        }
    }
}

/// The parts of an install that belong to the encrypted transports.
#[derive(Debug, PartialEq)]
struct Live {
    service: Vec<String>,
    policy: Vec<String>,
    encrypted_args: usize,
    volumes: Vec<String>,
}

impl Live {
    fn new(policy: &[&str], encrypted_args: usize, volumes: &[&str]) -> Live {
        let service = ["443/TCP 1443", "443/UDP 1443", "53/TCP dns-tcp", "53/UDP dns", "8080/TCP http", "853/TCP 1853"];
        let owned = |parts: &[&str]| parts.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        let service = [owned(&service), vec!["853/UDP 1853".to_owned()]].concat();
        Live { service, policy: owned(policy), encrypted_args, volumes: owned(volumes) }
    }
}

fn sorted(parts: impl Iterator<Item = String>) -> Vec<String> {
    let mut parts: Vec<String> = parts.collect();
    parts.sort();
    parts
}

/// A running plain install, then the component and a command: all parts must exist. Then the way back.
fn upgrade(copy: &Copy, command: &str) {
    let cluster = Cluster::shared();
    cluster.shell(&copy.folder, "kubectl apply -k deploy");
    copy.edit("kustomization.yaml", |text| text.replace("# components: [encrypted]", "components: [encrypted]"));
    cluster.shell(&copy.folder, command);
    let policy = ["1443/TCP", "1443/UDP", "1853/TCP", "1853/UDP", "dns-tcp/TCP", "dns/UDP"];
    assert_eq!(copy.live(), Live::new(&policy, 5, &["tls"]));
    copy.edit("kustomization.yaml", |text| text.replace("components: [encrypted]", "# components: [encrypted]"));
    cluster.shell(&copy.folder, command);
    assert_eq!(copy.live(), Live::new(&["dns-tcp/TCP", "dns/UDP"], 0, &[]));
}

#[test]
fn encryption_is_complete_over_a_running_plain_install() {
    let documented = block("encrypted/README.md", "kubectl apply");
    upgrade(&Copy::new("upgrade-documented", "10.96.0.61"), &documented);
    // A user who does not read the document uses kubectl's default, which merges ports by number.
    upgrade(&Copy::new("upgrade-client-side", "10.96.0.62"), "kubectl apply -k deploy");
}

#[test]
fn encryption_is_complete_over_an_install_whose_service_lacks_its_ports() {
    let copy = Copy::new("upgrade-older", "10.96.0.63");
    let present = fs::read_to_string(copy.folder.join("deploy/service.yaml")).expect("a file");
    let older = present.split("    # DNS over TLS").next().expect("what comes before").to_owned();
    copy.edit("service.yaml", |_| older.clone());
    Cluster::shared().shell(&copy.folder, "kubectl apply -k deploy");
    assert_eq!(copy.live().service, ["53/TCP dns-tcp", "53/UDP dns", "8080/TCP http"]);
    copy.edit("service.yaml", |_| present.clone());
    copy.edit("kustomization.yaml", |text| text.replace("# components: [encrypted]", "components: [encrypted]"));
    Cluster::shared().shell(&copy.folder, &block("encrypted/README.md", "kubectl apply"));
    let policy = ["1443/TCP", "1443/UDP", "1853/TCP", "1853/UDP", "dns-tcp/TCP", "dns/UDP"];
    assert_eq!(copy.live(), Live::new(&policy, 5, &["tls"]));
}

#[test]
fn the_documented_command_adds_the_stub_to_the_corefile() {
    let cluster = Cluster::shared();
    let system = json!({ "metadata": { "name": "kube-system" } });
    let system: Namespace = serde_json::from_value(system).expect("a namespace");
    // The API server creates it itself, a moment after its start.
    let _ = cluster.block_on(Api::all(cluster.admin()).create(&PostParams::default(), &system));
    let before = ".:53 {\n    errors\n    reload\n    forward . /etc/resolv.conf\n}\n";
    let map = json!({
        "metadata": { "name": "coredns", "namespace": "kube-system", "labels": { "kept": "yes" } },
        "data": { "Corefile": before, "Other": "kept" },
    });
    let map: ConfigMap = serde_json::from_value(map).expect("a ConfigMap");
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin(), "kube-system");
    cluster.block_on(maps.create(&PostParams::default(), &map)).expect("create it");

    let folder = scratch("paste");
    output("cp", ["-r".as_ref(), Path::new(DEPLOY), &folder]);
    cluster.shell(&folder, &block("README.md", "get configmap coredns"));

    let after = cluster.block_on(maps.get("coredns")).expect("read it");
    let data = after.data.expect("data");
    assert_eq!(data["Corefile"], format!("{before}\n{}", stub("coredns-stub.Corefile")));
    assert_eq!(data["Other"], "kept");
    assert_eq!(after.metadata.labels.expect("labels")["kept"], "yes");
}
