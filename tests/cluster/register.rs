//! `callsign register` on a real API server: what it writes, and that the entries of others stay.

use std::process::{Command, Output};
use std::thread::scope;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::kubelet::{Namespace, Pod, annotation};
use crate::harness::process::{Process, free_port};
use crate::harness::tenant::{ACCOUNT, Tenant};
use callsign::registration::{self, Registration};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callsign");

/// How long a program that waits for the API server may take once that is up: its longest backoff is 10 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A namespace whose processes may read and patch Pods, and their kubeconfig.
pub(super) struct Site {
    pub(super) namespace: Namespace,
    pub(super) kubeconfig: String,
}

impl Site {
    pub(super) fn new(stem: &str) -> Site {
        let cluster = Cluster::shared();
        Site { namespace: cluster.namespace(stem), kubeconfig: cluster.admin_kubeconfig().to_owned() }
    }

    /// The end of the command line, which names the Pod.
    pub(super) fn of(&self, pod: &Pod) -> Vec<String> {
        ["--namespace", &self.namespace.name, "--pod", &pod.name, "--kubeconfig", &self.kubeconfig]
            .map(str::to_owned)
            .into()
    }

    /// Runs the program.
    pub(super) fn run(&self, pod: &Pod, args: &[&str]) -> Output {
        let (command, rest) = args.split_first().expect("a command");
        Command::new(PROGRAM).arg(command).args(self.of(pod)).args(rest).env_clear().output().expect("run the program")
    }

    #[track_caller]
    pub(super) fn succeeds(&self, pod: &Pod, args: &[&str]) -> String {
        let output = self.run(pod, args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {} {told}", output.status);
        told
    }
}

/// The parts of a Pod's metadata that a test compares.
pub(super) fn metadata(pod: &Pod) -> Value {
    let metadata = pod.now().expect("the Pod").metadata;
    json!({ "labels": metadata.labels, "annotations": metadata.annotations, "finalizers": metadata.finalizers })
}

/// An annotation's value.
pub(super) fn value(pod: &Pod, key: &str) -> Option<String> {
    pod.now().expect("the Pod").metadata.annotations.unwrap_or_default().remove(key)
}

/// `interface registrar` of each registration, in order.
pub(super) fn registered(pod: &Pod) -> Vec<String> {
    registered_as(pod, |_| true)
}

/// The same for those that are not disabled.
pub(super) fn published(pod: &Pod) -> Vec<String> {
    registered_as(pod, |one| one.enabled)
}

fn registered_as(pod: &Pod, is_it: impl Fn(&Registration) -> bool) -> Vec<String> {
    let decoded = registration::decode_value(&value(pod, "app.io/annotation").unwrap_or_else(|| STANDARD.encode("[]")));
    assert_eq!(decoded.problems, []);
    decoded
        .registrations
        .iter()
        .filter(|one| is_it(one))
        .map(|one| format!("{} {}", one.interface, registrar(one)))
        .collect()
}

fn registrar(registration: &Registration) -> &str {
    let pair = registration.metadata.pairs.iter().find(|(key, _)| *key == "registrar");
    pair.map_or("-", |(_, value)| value)
}

const GREETER: [&str; 4] = ["--interface", "org.acme.Greeter", "--port", "20880"];

#[test]
fn a_withdrawal_restores_the_pod() {
    let site = Site::new("register");
    let pod = site.namespace.pod("greeter-0");
    pod.patch(json!({ "metadata": { "labels": { "app": "greeter" }, "annotations": { "note": "a b" } } }));
    let before = metadata(&pod);

    let told =
        site.succeeds(&pod, &[&["register", "--once", "--group", "gray", "--meta", "zone=a"], &GREETER[..]].concat());
    assert!(told.contains("registered") && told.contains(&format!("{}/greeter-0", site.namespace.name)), "{told}");
    let decoded = registration::decode_value(&value(&pod, "app.io/annotation").expect("an annotation"));
    let [one] = &decoded.registrations[..] else { panic!("{decoded:?}") };
    assert_eq!((&*one.interface, one.group.as_deref(), one.port), ("org.acme.Greeter", Some("gray"), 20880));
    assert_eq!(registrar(one), "20880", "the container's name is the first port");
    assert_eq!(metadata(&pod)["labels"]["app.io/label"], "app.io-value");

    let version = |pod: &Pod| pod.now().expect("the Pod").metadata.resource_version;
    let written = version(&pod);
    site.succeeds(&pod, &[&["register", "--once", "--group", "gray", "--meta", "zone=a"], &GREETER[..]].concat());
    assert_eq!(version(&pod), written, "what is so already is not written again");

    site.succeeds(&pod, &["withdraw", "--container", "20880"]);
    assert_eq!(metadata(&pod), before);
    site.succeeds(&pod, &["withdraw", "--container", "20880"]);
    assert_eq!(metadata(&pod), before);
}

#[test]
fn the_entries_of_others_stay_byte_for_byte() {
    let site = Site::new("register");
    let pod = site.namespace.pod("greeter-0");
    let others =
        r#"[ {"k": "interface", "v": "org.acme.Other"}, {"v":1, "k":"port"} ,{"k":"registrar","v":"else"}, 7 ]"#;
    pod.register(&STANDARD.encode(others));
    let before = metadata(&pod);
    site.succeeds(&pod, &[&["register", "--once", "--container", "server"], &GREETER[..]].concat());
    let text = STANDARD.decode(value(&pod, "app.io/annotation").expect("an annotation")).expect("base64");
    assert!(String::from_utf8_lossy(&text).starts_with(others.trim_end_matches(" ]")));
    site.succeeds(&pod, &["withdraw", "--container", "server"]);
    assert_eq!(metadata(&pod), before);
}

#[test]
fn a_label_that_was_there_before_stays() {
    let site = Site::new("register");
    let pod = site.namespace.pod("greeter-0");
    pod.patch(json!({ "metadata": { "labels": { "app.io/label": "app.io-value" } } }));
    let before = metadata(&pod);
    site.succeeds(&pod, &[&["register", "--once"], &GREETER[..]].concat());
    site.succeeds(&pod, &["withdraw", "--container", "20880"]);
    assert_eq!(metadata(&pod), before, "a ReplicaSet may find its Pods by it");
}

#[test]
fn two_containers_of_a_pod_register_concurrently() {
    let site = Site::new("register");
    let pod = site.namespace.pod("greeter-0");
    for round in 0..50 {
        scope(|scope| {
            for container in ["one", "two"] {
                let (site, pod) = (&site, &pod);
                let interface = format!("org.acme.{container}");
                scope.spawn(move || {
                    let args =
                        ["register", "--once", "--container", container, "--interface", &interface, "--port", "20880"];
                    site.succeeds(pod, &args);
                });
            }
        });
        let mut both = registered(&pod);
        both.sort();
        assert_eq!(both, ["org.acme.one one", "org.acme.two two"], "round {round}");
        if round % 2 == 1 {
            scope(|scope| {
                for container in ["one", "two"] {
                    let (site, pod) = (&site, &pod);
                    scope.spawn(move || site.succeeds(pod, &["withdraw", "--container", container]));
                }
            });
            assert_eq!(registered(&pod), [""; 0], "round {round}");
        }
    }
}

#[test]
fn a_restart_replaces_the_containers_own_entry() {
    let site = Site::new("register");
    let pod = site.namespace.pod("greeter-0");
    for restart in 0..50 {
        let version = restart.to_string();
        site.succeeds(
            &pod,
            &[&["register", "--once", "--container", "server", "--version", &version], &GREETER[..]].concat(),
        );
    }
    assert_eq!(registered(&pod), ["org.acme.Greeter server"]);
    let decoded = registration::decode_value(&value(&pod, "app.io/annotation").expect("an annotation"));
    assert_eq!(decoded.registrations[0].version.as_deref(), Some("49"));
}

#[test]
fn many_interfaces_from_a_file() {
    let site = Site::new("register");
    let pod = site.namespace.pod("greeter-0");
    let folder = crate::harness::process::scratch("offers");
    let toml = folder.join("reg.toml");
    let text = "[[registration]]\ninterface = 'a.B'\nport = [1, 2]\nmethods = ['x']\nmeta = { zone = 'a' }\n\
                [[registration]]\ninterface = 'c.D'\nport = 3\nweight = 7\n";
    std::fs::write(&toml, text).expect("write a file");
    let from = toml.to_str().expect("a path of UTF-8");
    site.succeeds(
        &pod,
        &["register", "--once", "--from", from, "--interface", "e.F", "--interface", "g.H", "--port", "9"],
    );
    assert_eq!(registered(&pod), ["e.F 9", "g.H 9", "a.B 9", "a.B 9", "c.D 9"]);
    site.succeeds(&pod, &["withdraw", "--container", "9"]);
    assert_eq!(registered(&pod), [""; 0]);

    for (text, expected) in [
        ("[[registration]]\ninterface = 'a.B'\nport = 1\ntoken = 'hunter2'\n", "line 4"),
        ("[[registration]]\ninterface = 'a.B'\nport = 0\n", "a port from 1"),
        ("[[registration]]\ninterface = 'a.B'\nport = 1\nmeta = { pass-token = 'hunter2' }", "looks like a secret"),
        ("registration = []", "no registration"),
    ] {
        std::fs::write(&toml, text).expect("write a file");
        let output = site.run(&pod, &["register", "--once", "--from", from]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(expected) && !told.contains("hunter2"), "{told}");
    }
    assert_eq!(registered(&pod), [""; 0]);
}

#[test]
fn an_error_says_what_to_change() {
    let cluster = Cluster::shared();
    let site = Site::new("register");
    let pod = site.namespace.pod_with("greeter-0", json!({ "serviceAccountName": "greeter" }));
    let register = [&["register", "--once"], &GREETER[..]].concat();
    let fails = |output: Output, expected: &[&str]| {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        expected.iter().for_each(|part| assert!(told.contains(part), "{part}: {told}"));
        told
    };

    let program = |environment: &[(&str, &str)]| {
        let mut command = Command::new(PROGRAM);
        command.args(&register).args(["--kubeconfig", &site.kubeconfig]).env_clear().envs(environment.iter().copied());
        command.output().expect("run the program")
    };
    fails(program(&[("POD_NAMESPACE", &site.namespace.name)]), &["Its name is unknown", "fieldPath: metadata.name}"]);
    let named = [("POD_NAMESPACE", site.namespace.name.as_str()), ("HOSTNAME", "greeter-9")];
    fails(program(&named), &["there is no Pod", "greeter-9", "env: [{name: POD_NAMESPACE"]);
    let replaced = [named[0], ("POD_NAME", "greeter-0"), ("POD_UID", "1-2-3")];
    fails(program(&replaced), &["has been replaced", &pod.uid, "1-2-3"]);

    pod.register("%%%");
    fails(site.run(&pod, &register), &["cannot be read", "bad base64", "annotate pod greeter-0 app.io/annotation-"]);
    pod.register(&annotation(&[("note", &"x".repeat(180_000))]));
    fails(
        site.run(&pod, &[&register[..], &["--meta", &format!("a={}", "y".repeat(30_000))]].concat()),
        &["262144", "fewer"],
    );
    pod.register(&annotation(&[]));

    cluster.kubectl(&["-n", &site.namespace.name, "create", "serviceaccount", "greeter"]);
    // As the Pod itself, because other tests have put the policy into effect.
    let bound = ["--bound-object-kind", "Pod", "--bound-object-name", &pod.name, "--bound-object-uid", &pod.uid];
    let token = cluster.kubectl(&[&["-n", &site.namespace.name, "create", "token", "greeter"], &bound[..]].concat());
    let kubeconfig = cluster.kubeconfig_with(&format!("{}-greeter", site.namespace.name), &token);
    let of = ["--namespace", &site.namespace.name, "--pod", "greeter-0", "--kubeconfig", &kubeconfig];
    let output = || Command::new(PROGRAM).args(&register).args(of).env_clear().output().expect("run the program");
    let told = fails(output(), &["may not get the Pod", "kind: RoleBinding"]);
    let yaml = told.split_once("{apiVersion").map(|(_, rest)| format!("{{apiVersion{rest}")).expect("YAML to paste");
    let file = crate::harness::process::scratch("yaml").join("role.yaml");
    std::fs::write(&file, yaml).expect("write a file");
    cluster.kubectl(&["apply", "-f", file.to_str().expect("a path of UTF-8")]);
    eventually(PATIENCE, || {
        let output = output();
        output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    });
    assert_eq!(registered(&pod), ["org.acme.Greeter 20880"]);
}

#[test]
fn no_process_registers_another_pod() {
    let tenant = Tenant::new("register-policy");
    let (pod, neighbour) = (tenant.pod("greeter-0"), tenant.pod("greeter-1"));
    let before = metadata(&pod);
    let unbound = tenant.cluster.kubeconfig_of(&tenant.namespace.name, ACCOUNT);
    let named = format!("is bound to Pod greeter-1 (uid {})", neighbour.uid);
    for (kubeconfig, expected) in
        [(tenant.kubeconfig_inside(&neighbour), named.as_str()), (unbound, "is bound to no Pod")]
    {
        let of = ["--namespace", &tenant.namespace.name, "--pod", "greeter-0", "--kubeconfig", &kubeconfig];
        let args = [&["register", "--once"], &GREETER[..], &of[..]].concat();
        let output = Command::new(PROGRAM).args(args).env_clear().output().expect("run the program");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        for part in [expected, "can be changed only by that Pod itself", "Register from inside the Pod"] {
            assert!(told.contains(part), "no {part:?} in {told}");
        }
        assert_eq!(metadata(&pod), before);
    }
}

#[test]
fn it_waits_for_the_api_server_and_says_so() {
    let cluster = Cluster::shared();
    let site = Site::new("register");
    let pod = site.namespace.pod("greeter-0");
    let port = free_port();
    let kubeconfig = cluster.admin_kubeconfig_to(port);
    let of = ["--namespace", &site.namespace.name, "--pod", &pod.name, "--kubeconfig", &kubeconfig];
    let mut waiting = Process::start(PROGRAM, [&["register", "--once"], &GREETER[..], &of[..]].concat());
    eventually(PATIENCE, || {
        waiting.log().contains("waiting for the API server").then_some(()).ok_or("no log line yet")
    });
    let _proxy = cluster.proxy(port);
    assert!(waiting.ended(PATIENCE).is_some_and(|status| status.success()), "{}", waiting.log());
    assert_eq!(registered(&pod), ["org.acme.Greeter 20880"]);
}
