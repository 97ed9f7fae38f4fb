//! Pods that a full namespace refuses: once there is room, callsign asks the API server for each of them again.

use std::time::Duration;

use serde_json::json;

use super::faults::{Site, is_at};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::faults::{End, Fault, FaultyWay, Point};
use crate::harness::kubelet::{Namespace, Pod};

/// A Pod of this age takes more than a fifth of the smallest bound of a namespace.
fn large(namespace: &Namespace, number: u8) -> Pod {
    let (group, port) = ("g".repeat(300), (1000 + u16::from(number)).to_string());
    let others: Vec<String> = (0..999).map(|at| format!("a{number}b{at}")).collect();
    let mut pairs =
        vec![("group", group.as_str()), ("version", &group), ("interface", "org.acme.Greeter"), ("port", &port)];
    pairs.extend(others.iter().flat_map(|other| [("interface", other.as_str()), ("port", "1")]));
    let pod = namespace.endpoint(&format!("large-{number}"), &[&namespace.ip(number + 1)], &pairs);
    pod.patch_status(json!({ "startTime": format!("2026-01-01T00:00:{number:02}Z") }));
    pod
}

#[test]
fn a_refused_pod_is_read_again_despite_faults_of_the_request() {
    const PODS: u8 = 5;
    let cluster = Cluster::shared();
    let way = FaultyWay::start(cluster, cluster.own_client());
    let site = Site::by(cluster.namespace("again"), way, &["--max-namespace-bytes", "4MiB"]);
    let pods: Vec<Pod> = (0..PODS).map(|number| large(&site.namespace, number)).collect();
    let all: Vec<u16> = (1000..1000 + u16::from(PODS)).collect();
    let mut kept = 0;
    eventually(Duration::from_secs(30), || {
        let (bad, reply) = (site.server.get("/v1/bad").1, site.ask());
        let out = pods.iter().filter(|pod| bad.contains(&pod.name)).count();
        kept = pods.len() - out;
        let is_settled = bad.contains(&pods[usize::from(PODS) - 1].name); // the youngest comes last
        if is_settled { is_at(&reply, &all[..kept]) } else { Err(format!("{kept} are kept: {bad}")) }
    });
    assert!((1..usize::from(PODS)).contains(&kept), "{kept}");

    let (lists, asked) = (site.relists(), site.way.asked(Point::Pod));
    let (refused, broken) = (Fault::status(406, "NotAcceptable", "only JSON"), Fault::After(20_000, End::Whole));
    site.way.next(Point::Pod, [Fault::Hangup, refused, broken]);
    pods[0].delete();
    // callsign asks again 10 s later for a Pod that has not come.
    eventually(Duration::from_secs(60), || site.shows(&all[1..=kept]));
    assert!(site.way.asked(Point::Pod) >= asked + 4, "three that failed, and one");
    assert_eq!(site.relists(), lists, "nothing else was asked for");
    let (status, page) = site.server.get(&format!("/v1/pods/{}/{}", site.namespace.name, pods[kept].name));
    assert!(status == 200 && page.contains(&format!("a{kept}b998")), "not all of it was read: {page:.200}");
}
