//! `ls` and `why` of a real cluster: the command reads the cluster itself, or asks a running server.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::cluster::Cluster;
use crate::harness::kubelet::Namespace;
use crate::harness::process::free_port;
use crate::harness::server::Server;
use crate::harness::within_a_second;

/// How long a command may take until it reports that there is no API server.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(30);

/// Runs the program. Returns its exit code and both outputs.
fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_callsign")).args(args).env_clear().output().expect("run the program");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), text.concat())
}

/// A namespace with a Pod that is published, one that is not ready, and one without a label.
fn fates(stem: &str) -> Namespace {
    let namespace = Cluster::shared().namespace(stem);
    let greeter = [("interface", "org.acme.Greeter"), ("port", "20880")];
    namespace.endpoint("fine", &[&namespace.ip(1)], &greeter);
    namespace.endpoint("unready", &[&namespace.ip(2)], &greeter).set_ready(false);
    namespace.pod("bare");
    namespace
}

#[test]
fn a_command_reads_the_cluster_itself() {
    let (cluster, namespace) = (Cluster::shared(), fates("commands"));
    let from = ["-n", &namespace.name, "--kubeconfig", cluster.kubeconfig()];
    let name = format!("_rpc._tcp.org.acme.Greeter.{}.rpc.cluster.local.", namespace.name);
    let no_label = format!("no label: the Pod {}/bare exists", namespace.name);
    let no_pod = format!("no such Pod: {}/absent", namespace.name);
    for (args, code, expected) in [
        (&["ls"][..], 0, name.as_str()),
        (&["ls", "org.acme.Other"], 1, "no registration of org.acme.Other"),
        (&["why", "fine"], 0, &name),
        (&["why", "unready"], 0, "not ready: the Pod's condition Ready is not True"),
        (&["why", "bare"], 1, &no_label),
        (&["why", "absent"], 1, &no_pod),
    ] {
        let (ended, text) = run(&[args, &from].concat());
        assert!(ended == Some(code) && text.contains(expected), "{args:?}: {ended:?} {text}");
    }
}

#[test]
fn a_command_asks_a_server() {
    let (cluster, namespace) = (Cluster::shared(), fates("asked"));
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"]);
    let url = format!("http://{}", server.http);
    let from = ["-n", &namespace.name, "--server", &url];
    let name = format!("_rpc._tcp.org.acme.Greeter.{}.rpc.cluster.local.", namespace.name);
    for (args, code, expected) in [
        (&["ls"][..], 0, name.as_str()),
        (&["ls", "--json"], 0, &name),
        (&["ls", "--bad"], 0, "no registration was refused"),
        (&["why", "fine"], 0, &name),
        (&["why", "unready"], 0, "not ready: the Pod's condition Ready is not True"),
        (&["why", "bare"], 1, "with a profile's label"),
    ] {
        within_a_second(|| {
            let (ended, text) = run(&[args, &from].concat());
            let is_told = ended == Some(code) && text.contains(expected);
            is_told.then_some(()).ok_or_else(|| format!("{args:?}: {ended:?} {text}"))
        });
    }
}

#[test]
fn a_missing_cluster_is_reported_soon() {
    let kubeconfig = Cluster::shared().kubeconfig_to(free_port());
    let started = Instant::now();
    let (ended, text) = run(&["ls", "--kubeconfig", &kubeconfig]);
    assert!(ended == Some(2) && text.starts_with("callsign: the cluster did not list its Pods: "), "{ended:?} {text}");
    assert!(started.elapsed() < REFUSAL_PATIENCE, "{:?}", started.elapsed());
}
