//! The library's guards on a real API server: what they write, and when it goes.

use std::time::{Duration, Instant};

use callsign::registry::{Config, Guard, RegisterError, Registration, Registry, RegistryError};

use super::register::{PATIENCE, Site, metadata, registered};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::kubelet::Pod;
use crate::harness::process::free_port;

fn with_meta(interface: &str, port: u16, meta: &[(&str, &str)]) -> Registration {
    let mut registration = Registration::new(interface, port);
    registration.meta = meta.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    registration
}

/// A registry for the Pod's container with this name.
fn registry(site: &Site, pod: &Pod, container: &str) -> Registry {
    let mut config = Config::default();
    config.kubeconfig = Some(site.kubeconfig.clone().into());
    config.namespace = Some(site.namespace.name.clone());
    config.pod = Some(pod.name.clone());
    config.container = Some(container.into());
    Cluster::shared().block_on(Registry::connect(config)).expect("a registry")
}

fn register(registry: &Registry, interface: &str, port: u16) -> Guard {
    Cluster::shared().block_on(registry.register(Registration::new(interface, port))).expect("a guard")
}

fn written(guard: &Guard) {
    Cluster::shared().block_on(guard.registered()).expect("registered");
}

#[track_caller]
fn becomes(pod: &Pod, expected: &[&str]) {
    eventually(PATIENCE, || {
        let found = registered(pod);
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn each_guard_registers_and_withdraws_alone() {
    let site = Site::new("registry");
    let pod = site.namespace.pod("greeter-0");
    let before = metadata(&pod);
    let own = registry(&site, &pod, "main");
    let [one, two, three] = [("a.One", 1), ("a.Two", 2), ("a.Three", 3)].map(|(name, port)| register(&own, name, port));
    written(&three);
    assert_eq!(registered(&pod), ["a.One main", "a.Two main", "a.Three main"]);

    let other = registry(&site, &pod, "sidecar");
    let others = register(&other, "b.Other", 4);
    written(&others);
    drop(two);
    becomes(&pod, &["b.Other sidecar", "a.One main", "a.Three main"]);
    Cluster::shared().block_on(one.withdraw()).expect("withdrawn");
    assert_eq!(registered(&pod), ["b.Other sidecar", "a.Three main"], "acknowledged before it returns");
    drop((three, others));
    for registry in [own, other] {
        Cluster::shared().block_on(registry.shutdown()).expect("all is written");
    }
    assert_eq!(metadata(&pod), before, "a shutdown waits for what dropped guards have queued");
}

#[test]
fn a_hundred_guards_at_once() {
    let site = Site::new("registry");
    let pod = site.namespace.pod("greeter-0");
    let own = registry(&site, &pod, "main");
    let guards: Vec<Guard> = (1..=100).map(|port| register(&own, "a.One", port)).collect();
    guards.last().map(written);
    assert_eq!(registered(&pod).len(), 100);
    drop(guards);
    Cluster::shared().block_on(own.shutdown()).expect("all is written");
    assert_eq!(registered(&pod), [""; 0]);
}

#[test]
fn a_restart_replaces_the_entries_of_the_last_run() {
    let site = Site::new("registry");
    let pod = site.namespace.pod("greeter-0");
    let first = registry(&site, &pod, "main");
    let guard = register(&first, "a.Old", 1);
    written(&guard);
    std::mem::forget(guard); // killed: nothing is dropped
    drop(first);

    let second = registry(&site, &pod, "main");
    let guard = register(&second, "a.New", 1);
    written(&guard);
    assert_eq!(registered(&pod), ["a.New main"]);
    // The entries of guards that exist at a shutdown stay.
    Cluster::shared().block_on(second.shutdown()).expect("all is written");
    assert_eq!(registered(&pod), ["a.New main"]);
}

#[test]
fn an_invalid_registration_is_refused_and_harms_no_other() {
    let site = Site::new("registry");
    let (cluster, pod) = (Cluster::shared(), site.namespace.pod("greeter-0"));
    let own = registry(&site, &pod, "main");
    let refused = |registration| match cluster.block_on(own.register(registration)) {
        Err(RegistryError::Refused(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(refused(Registration::new("", 1)).contains("no interface"));
    let told = refused(with_meta("a.B", 1, &[("api-token", "hunter2")]));
    assert!(told.contains("looks like a secret") && !told.contains("hunter2"), "{told}");

    let fine = register(&own, "a.Fine", 1);
    written(&fine);
    let note = "x".repeat(300 * 1024);
    let large = cluster.block_on(own.register(with_meta("a.Large", 2, &[("note", &note)])));
    match large {
        Ok(guard) => {
            let error = cluster.block_on(guard.registered()).expect_err("too large");
            assert!(matches!(error, RegisterError::TooLarge { .. }), "{error}");
            drop(guard);
        }
        Err(error) => assert!(error.to_string().contains("large"), "{error}"),
    }
    assert_eq!(registered(&pod), ["a.Fine main"]);
    cluster.block_on(fine.withdraw()).expect("the other's fault is over with its guard");

    let absent = site.namespace.pod("absent");
    absent.delete();
    let guard = register(&registry(&site, &absent, "main"), "a.B", 1);
    let error = cluster.block_on(guard.registered()).expect_err("no such Pod");
    assert!(matches!(error, RegisterError::NoSuchPod(_)), "{error}");
    for server in ["ftp://127.0.0.1", "callsign:8053"] {
        let config = Config::of_server(server);
        assert!(cluster.block_on(Registry::connect(config)).is_err(), "{server}");
    }
}

#[test]
fn registering_waits_for_the_api_server_but_not_for_ever() {
    let (cluster, site) = (Cluster::shared(), Site::new("registry"));
    let pod = site.namespace.pod("greeter-0");
    let port = free_port();
    let site = Site { kubeconfig: cluster.admin_kubeconfig_to(port), ..site };
    let own = registry(&site, &pod, "main");
    let guard = register(&own, "a.B", 1);
    let _proxy = {
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(registered(&pod), [""; 0]);
        cluster.proxy(port)
    };
    written(&guard);
    assert_eq!(registered(&pod), ["a.B main"]);
    drop(_proxy);
    drop(guard);
    let asked = Instant::now();
    let error = cluster.block_on(own.shutdown()).expect_err("there is no API server");
    assert!(error.is_passing() && error.to_string().contains("waiting for the API server"), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
}
