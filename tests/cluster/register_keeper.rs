//! A registration stays while its process runs, whoever removes it and whatever address the Pod gets.

use std::time::Duration;

use callsign::registration;
use callsign::registry::{Config, Registration, Registry};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::register::{PATIENCE, Site, metadata, published, registered, value};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::kubelet::Pod;
use crate::harness::process::{Process, scratch};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callsign");

/// The longest time between two checks, with its spread, and some time for a busy machine.
const LOOK_PATIENCE: Duration = Duration::from_secs(40);

fn wrapper(site: &Site, pod: &Pod, more: &[&str]) -> Process {
    let of = site.of(pod);
    let of = of.iter().map(String::as_str);
    let register = ["register", "--interface", "org.acme.Greeter", "--port", "20880", "--no-wait", "--drain", "0"];
    let end = ["--", "sh", "-c", "exec sleep 600"];
    Process::start(PROGRAM, register.into_iter().chain(of).chain(more.iter().copied()).chain(end))
}

/// Removes the entries of both profiles, as another user would, or a restored etcd.
fn remove(pod: &Pod) {
    let (label, annotation) = (
        json!({ "app.io/label": Value::Null, "dubbo.io/label": Value::Null }),
        json!({
            "app.io/annotation": Value::Null, "dubbo.io/annotation": Value::Null,
        }),
    );
    pod.patch(json!({ "metadata": { "labels": label, "annotations": annotation } }));
}

#[track_caller]
fn comes_back(pod: &Pod, before: &Value, log: impl Fn() -> String) {
    eventually(LOOK_PATIENCE, || if metadata(pod) == *before { Ok(()) } else { Err(log()) });
}

#[test]
fn a_removed_entry_is_written_again() {
    let site = Site::new("keeper");
    for profile in ["app", "dubbo"] {
        let pod = site.namespace.pod(&format!("greeter-{profile}"));
        pod.run(&["127.0.0.1"]);
        let mut process = wrapper(&site, &pod, &["--profile", profile]);
        eventually(PATIENCE, || process.log().contains("registered").then_some(()).ok_or_else(|| process.log()));
        let before = metadata(&pod);
        for times in 1..=2 {
            remove(&pod);
            comes_back(&pod, &before, || process.log());
            let told = format!("times={times}");
            eventually(PATIENCE, || process.log().contains(&told).then_some(()).ok_or_else(|| process.log()));
        }
        assert!(process.log().contains("written again"), "{}", process.log());
        process.signal(Signal::SIGTERM);
        assert!(process.ended(PATIENCE).is_some(), "{}", process.log());
        assert_eq!(published(&pod), [""; 0]);
        if profile == "dubbo" {
            assert_eq!(value(&pod, "dubbo.io/annotation"), None, "others read it, so it goes");
        }
    }
}

#[test]
fn an_entry_that_returns_while_the_server_is_down_is_withdrawn_again() {
    let site = Site::new("keeper");
    for profile in ["app", "dubbo"] {
        let pod = site.namespace.pod(&format!("greeter-{profile}"));
        pod.run(&["127.0.0.1"]);
        let key = format!("{profile}.io/annotation");
        let gate = scratch("gate").join("open");
        std::fs::write(&gate, "").expect("open the gate");
        let probe = format!("test -e {}", gate.display());
        let register = ["register", "--interface", "org.acme.Greeter", "--port", "20880", "--ready-exec", &probe];
        let of = site.of(&pod);
        let of = of.iter().map(String::as_str).chain(["--profile", profile]);
        let process = Process::start(PROGRAM, register.into_iter().chain(of));
        let tells = |text: &str| {
            eventually(PATIENCE, || process.log().contains(text).then_some(()).ok_or_else(|| process.log()));
        };
        tells("registered");
        let before = value(&pod, &key).expect("an annotation");
        std::fs::remove_file(&gate).expect("close the gate");
        tells("withdrew");
        let withdrawn = value(&pod, &key);
        assert_ne!(withdrawn.as_ref(), Some(&before));
        // As after a restore of etcd.
        pod.patch(json!({ "metadata": { "annotations": { &key: before } } }));
        eventually(LOOK_PATIENCE, || if value(&pod, &key) == withdrawn { Ok(()) } else { Err(process.log()) });
        tells("withdrew again");
    }
}

#[test]
fn a_guards_entry_is_written_again_and_a_dropped_guards_is_not() {
    let (cluster, site) = (Cluster::shared(), Site::new("keeper"));
    let pod = site.namespace.pod("greeter-0");
    let mut config = Config::default();
    config.kubeconfig = Some(site.kubeconfig.clone().into());
    config.namespace = Some(site.namespace.name.clone());
    config.pod = Some(pod.name.clone());
    let registry = cluster.block_on(Registry::connect(config));
    let registry = registry.expect("a registry");
    let offer = Registration::new("a.B", 1);
    let guard = cluster.block_on(registry.register(offer)).expect("a registration");
    cluster.block_on(guard.registered()).expect("written");
    let before = metadata(&pod);
    remove(&pod);
    comes_back(&pod, &before, || "not put back".into());
    cluster.block_on(guard.withdraw()).expect("withdrawn");
    assert_eq!(registered(&pod), [""; 0]);
    std::thread::sleep(Duration::from_secs(3)); // as long as the first checks would take
    assert_eq!(registered(&pod), [""; 0]);
}

#[test]
fn a_registry_path_follows_the_pods_address() {
    let site = Site::new("keeper");
    let pod = site.namespace.pod("greeter-0");
    let (first, second) = (site.namespace.ip(1), site.namespace.ip(2));
    let address = || {
        let decoded = registration::decode_value(&value(&pod, "dubbo.io/annotation")?);
        let [one] = &decoded.registrations[..] else { panic!("{decoded:?}") };
        one.address.map(|address| address.to_string())
    };
    // The sandbox is new, and the kubelet reports its address after the process has started.
    pod.run(&[&first]);
    let process = wrapper(&site, &pod, &["--profile", "dubbo"]);
    let is_at = |ip: &String| if address().as_ref() == Some(ip) { Ok(()) } else { Err(process.log()) };
    eventually(PATIENCE, || is_at(&first));
    pod.run(&[&second]);
    eventually(LOOK_PATIENCE, || is_at(&second));
}

#[test]
fn register_once_does_not_replace_a_wrappers_entry() {
    let site = Site::new("keeper");
    let pod = site.namespace.pod("greeter-0");
    let mut process = wrapper(&site, &pod, &[]);
    eventually(PATIENCE, || process.log().contains("registered").then_some(()).ok_or_else(|| process.log()));
    let before = metadata(&pod);
    let once = ["register", "--once", "--interface", "org.acme.Other", "--port", "20880"];
    let output = site.run(&pod, &once);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for part in ["20880", "a wrapper keeps them in place", "give --container another name"] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    assert_eq!(metadata(&pod), before);
    // Another entry fits beside it, and a named entry is replaced, but the wrapper still runs.
    site.succeeds(&pod, &[&once[..], &["--container", "hand"]].concat());
    assert_eq!(registered(&pod), ["org.acme.Greeter 20880", "org.acme.Other hand"]);
    site.succeeds(&pod, &[&once[..], &["--container", "20880"]].concat());
    let both = ["org.acme.Greeter 20880", "org.acme.Other hand"].map(str::to_owned);
    eventually(LOOK_PATIENCE, || {
        let mut all = registered(&pod);
        all.sort();
        if all == both { Ok(()) } else { Err(format!("{all:?}\n{}", process.log())) }
    });
    // The disabled entry that it leaves at its end has no owner.
    process.signal(Signal::SIGTERM);
    assert!(process.ended(PATIENCE).is_some(), "{}", process.log());
    assert_eq!(published(&pod), ["org.acme.Other hand"]);
    site.succeeds(&pod, &once);
    assert_eq!(published(&pod), ["org.acme.Other hand", "org.acme.Other 20880"]);
}
