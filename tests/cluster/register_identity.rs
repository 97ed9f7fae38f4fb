//! How a process finds its own Pod: a uid takes precedence over the flags, and a host name alone proves nothing.

use std::process::{Command, Output};

use serde_json::json;

use super::register::{PATIENCE, Site, metadata, registered};
use crate::harness::eventually;
use crate::harness::kubelet::Pod;
use crate::harness::process::{Process, scratch};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callsign");

const REGISTER: [&str; 6] = ["register", "--once", "--interface", "org.acme.Greeter", "--port", "20880"];
const WITHDRAW: [&str; 3] = ["withdraw", "--container", "20880"];

/// Runs the program with this environment and the namespace as a flag.
fn run(site: &Site, environment: &[(&str, &str)], args: &[&str]) -> Output {
    let (command, rest) = args.split_first().expect("a command");
    let of = [command, "-n", &site.namespace.name, "--kubeconfig", &site.kubeconfig];
    let environment = environment.iter().copied().chain([("PATH", "/usr/bin:/bin")]);
    Command::new(PROGRAM).args(of).args(rest).env_clear().envs(environment).output().expect("run the program")
}

#[track_caller]
fn is_refused(site: &Site, pod: &Pod, environment: &[(&str, &str)], parts: &[&str]) {
    let before = metadata(pod);
    let gate = scratch("server").join("started");
    let touch = format!("touch {}", gate.display());
    let wrapper = ["register", "--interface", "a.B", "--port", "1", "--no-wait", "--", "sh", "-c", &touch];
    let sidecar = ["register", "--interface", "a.B", "--port", "1"];
    for args in [&REGISTER[..], &WITHDRAW, &wrapper, &sidecar] {
        let output = run(site, environment, args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        for part in parts.iter().chain(&["fieldPath: metadata.uid"]) {
            assert!(told.contains(part), "{args:?}: no {part:?} in {told}");
        }
        assert_eq!(metadata(pod), before, "{args:?}");
    }
    assert!(!gate.exists(), "a server that could never be registered is not started");
}

#[test]
fn a_host_name_of_another_pod_is_refused() {
    let site = Site::new("identity");
    // The kubelet cuts a longer Pod name to this host name, which is the name of another Pod.
    let name = format!("greeter-{}", "x".repeat(55));
    let (other, own) = (site.namespace.pod(&name), site.namespace.pod(&format!("{name}-0")));
    other.run(&[&site.namespace.ip(1)]);
    own.run(&["127.0.0.1"]);
    is_refused(&site, &other, &[("HOSTNAME", &name)], &["nothing but HOSTNAME", "63 bytes", &name]);
    let with_uid = [("HOSTNAME", name.as_str()), ("POD_UID", own.uid.as_str())];
    is_refused(&site, &other, &with_uid, &[&own.uid, &other.uid]);
    let absent = [("HOSTNAME", "greeter-absent")];
    is_refused(&site, &other, &absent, &["there is no Pod", "greeter-absent"]);

    let on_host = site.namespace.pod_with("on-host", json!({ "hostNetwork": true }));
    on_host.run(&["127.0.0.1"]);
    is_refused(&site, &on_host, &[("HOSTNAME", "on-host")], &["prove nothing"]);
    let output = run(&site, &[("HOSTNAME", "on-host"), ("POD_UID", &on_host.uid)], &REGISTER);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(registered(&on_host), ["org.acme.Greeter 20880"]);
}

#[test]
fn a_host_name_is_accepted_if_an_address_proves_it() {
    let site = Site::new("identity");
    let pod = site.namespace.pod("greeter-0");
    let of = ["-n", &site.namespace.name, "--kubeconfig", &site.kubeconfig];
    let words = [&["HOSTNAME=greeter-0", PROGRAM][..], &REGISTER, &of].concat();
    let mut waiting = Process::start("env", words);
    eventually(PATIENCE, || waiting.log().contains("to have an address").then_some(()).ok_or("no log line yet"));
    assert_eq!(registered(&pod), [""; 0]);
    pod.run(&[&site.namespace.ip6(1), "127.0.0.1"]);
    assert!(waiting.ended(PATIENCE).is_some_and(|status| status.success()), "{}", waiting.log());
    assert_eq!(registered(&pod), ["org.acme.Greeter 20880"]);
    let output = run(&site, &[("HOSTNAME", "greeter-0")], &WITHDRAW);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(registered(&pod), [""; 0]);
}

#[test]
fn no_flag_overrides_the_uid() {
    let site = Site::new("identity");
    let (own, other) = (site.namespace.pod("greeter-0"), site.namespace.pod("greeter-1"));
    let before = metadata(&other);
    let wrapper = ["register", "--interface", "a.B", "--port", "1", "--pod", "greeter-1", "--", "sleep", "600"];
    let named = |args: &[&'static str]| [args, &["--pod", "greeter-1"]].concat();
    for args in [named(&REGISTER), named(&WITHDRAW), wrapper.to_vec()] {
        let output = run(&site, &[("POD_NAME", "greeter-0"), ("POD_UID", &own.uid)], &args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(&own.uid), "{args:?}: {told}");
        assert_eq!(metadata(&other), before, "{args:?}");
    }
    let output = run(&site, &[("POD_UID", &own.uid)], &[&REGISTER[..], &["--pod", "greeter-0"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_name_and_a_namespace_from_two_sources_are_not_combined() {
    let site = Site::new("identity");
    // It has the name of this process's Pod, which is in another namespace.
    let pod = site.namespace.pod("web-0");
    pod.run(&[&site.namespace.ip(1)]);
    is_refused(&site, &pod, &[("POD_NAME", "web-0")], &["come from different places", "web-0"]);
    // An address proves it.
    let own = site.namespace.pod("web-1");
    own.run(&["127.0.0.1"]);
    let output = run(&site, &[("POD_NAME", "web-1")], &REGISTER);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(registered(&own), ["org.acme.Greeter 20880"]);
}
