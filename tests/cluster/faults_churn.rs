//! Many changes, and odd ones, on the real API server: DNS shows the last state within a second.

use std::time::Duration;

use domain::base::iana::Rtype;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::task::JoinSet;

use super::faults::{at, greeter, greeters, is_at, metric};
use crate::harness::ask::Ask;
use crate::harness::cluster::Cluster;
use crate::harness::kubelet::Namespace;
use crate::harness::server::Server;
use crate::harness::{eventually, within_a_second};

fn start(stem: &str) -> (Namespace, Server) {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace(stem);
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--namespace", &namespace.name]);
    (namespace, server)
}

#[test]
fn the_last_state_of_a_readiness_that_flaps_shows() {
    let (namespace, server) = start("flap");
    let pod = greeter(&namespace, "greeter-0", 1, 1000);
    for last in [true, false] {
        for flap in 0..20 {
            pod.set_ready((flap % 2 == 0) == last);
            std::thread::sleep(Duration::from_millis(50));
        }
        pod.set_ready(last);
        let ports: &[u16] = if last { &[1000] } else { &[] };
        within_a_second(|| is_at(&greeters(&namespace).udp(server.dns), ports));
    }
}

#[test]
fn a_pods_new_address_replaces_its_old_one() {
    let (namespace, server) = start("address");
    let pod = greeter(&namespace, "greeter-0", 1, 1000);
    let [old, new] = [1, 2].map(|host| namespace.ip(host));
    within_a_second(|| is_at(&greeters(&namespace).udp(server.dns), &[1000]));
    pod.patch_status(json!({ "podIP": new, "podIPs": [{ "ip": new }] }));
    let target = |ip: &str| format!("{}.p.rpc.cluster.local.", ip.replace('.', "-"));
    within_a_second(|| {
        let reply = greeters(&namespace).udp(server.dns);
        assert_eq!(reply.answer.len(), 1, "in one step: {reply:?}");
        if reply.answer[0].ends_with(&target(&new)) { Ok(()) } else { Err(format!("{reply:?}")) }
    });
    let address = |ip: &str| Ask::new(&target(ip), Rtype::A).udp(server.dns);
    assert_eq!((address(&old).rcode.as_str(), address(&new).answer.len()), ("NXDOMAIN", 1));
}

#[test]
fn a_namespace_of_a_thousand_pods_ends_at_once() {
    const PODS: usize = 1_000;
    let (namespace, server) = start("thousand");
    let cluster = Cluster::shared();
    let api: Api<core::Pod> = Api::namespaced(cluster.admin(), &namespace.name);
    let pod = |n: usize| {
        json!({ "metadata": { "name": format!("greeter-{n}"), "labels": { "app.io/label": "app.io-value" },
                "annotations": { "app.io/annotation": at(1000) } },
            "spec": { "nodeName": "node", "containers": [{ "name": "main", "image": "process" }] } })
    };
    let status = |n: usize| {
        json!({ "status": { "phase": "Running", "podIP": format!("10.200.{}.{}", n / 250, n % 250 + 1),
            "podIPs": [{ "ip": format!("10.200.{}.{}", n / 250, n % 250 + 1) }],
            "conditions": [{ "type": "Ready", "status": "True" }] } })
    };
    cluster.block_on(async {
        let mut writing = JoinSet::new();
        for n in 0..PODS {
            let (api, pod, status) = (api.clone(), pod(n), status(n));
            writing.spawn(async move {
                let pod: core::Pod = serde_json::from_value(pod).expect("a Pod");
                let made = api.create(&PostParams::default(), &pod).await.expect("create a Pod");
                let name = made.metadata.name.expect("a name");
                let patch = Patch::Merge(&status);
                api.patch_status(&name, &PatchParams::default(), &patch).await.expect("patch its status");
            });
            if writing.len() == 16 {
                writing.join_next().await.expect("a writer").expect("written");
            }
        }
        while writing.join_next().await.is_some_and(|written| written.is_ok()) {}
    });
    let endpoints = |count: u64| match metric(&server, "callsign_endpoints ", "") {
        found if found == count => Ok(()),
        found => Err(format!("{found} endpoints")),
    };
    within_a_second(|| endpoints(PODS as u64));
    let before = server.log().lines().count();
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.block_on(api.delete_collection(&now, &ListParams::default())).expect("delete all Pods");
    let took = eventually(Duration::from_secs(2), || endpoints(0));
    assert_eq!(greeters(&namespace).udp(server.dns).rcode, "NXDOMAIN");
    let lines = server.log().lines().count() - before;
    eprintln!("{PODS} Pods were gone {took:?} behind the last acknowledgement, in {lines} lines of the log");
    assert!(lines < 10, "{}", server.log());
}
