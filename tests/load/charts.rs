//! All Pods of a cluster of ordinary charts, by `--profiles labels --all-namespaces`.

use std::process::{Command, Output};
use std::thread::scope;
use std::time::Instant;

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::load::{PATIENCE, resident_kib};
use crate::harness::alone::alone;
use crate::harness::charts::{CHARTS, PORTLESS_EVERY, chart_pod};
use crate::harness::cluster::Cluster;
use crate::harness::kubelet::Namespace;
use crate::harness::server::Server;

const PODS: usize = 2_000;

/// Concurrent writes.
const WRITERS: usize = 8;

/// What a server may take beside an empty one, in KiB a Pod: with a C library's allocator, and without optimization.
const KIB_PER_POD_MAX: u64 = 8;

/// What `deploy/deployment.yaml` requests for a server, in KiB.
const REQUEST_KIB: u64 = 128 * 1024;

/// The start, and that all Pods are known.
const LOG_LINES_MAX: usize = 6;

fn write(namespace: &Namespace) {
    let run = |n: usize| {
        let address = format!("10.245.{}.{}", n / 250, n % 250 + 1);
        let pod: core::Pod = serde_json::from_value(chart_pod(n)).expect("a Pod");
        namespace.create(&pod).run(&[&address]);
    };
    scope(|threads| {
        for writer in 0..WRITERS {
            threads.spawn(move || (writer..PODS).step_by(WRITERS).for_each(run));
        }
    });
}

/// Runs a command of the program against a server.
#[track_caller]
fn ask(server: &Server, words: &[&str]) -> String {
    let url = format!("http://{}", server.http);
    let mut command = Command::new(env!("CARGO_BIN_EXE_callsign"));
    let Output { status, stdout, stderr } =
        command.env_clear().args(words).args(["--server", &url]).output().expect("run the program");
    assert!(status.success(), "{words:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

#[test]
fn a_cluster_of_charts_is_served_as_it_is() {
    let _alone = alone();
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("charts");
    let args = ["--kubeconfig", cluster.kubeconfig(), "--all-namespaces", "--profiles", "labels"];
    let empty = resident_kib(&Server::start(&args));
    let started = Instant::now();
    write(&namespace);
    let (written, started) = (started.elapsed(), Instant::now());
    let server = Server::start_within(PATIENCE, &args);
    let (synced, resident) = (started.elapsed(), resident_kib(&server));
    eprintln!("{PODS} Pods written in {written:?}, synced in {synced:?}; {empty} KiB empty, {resident} KiB with them");
    assert!(resident < REQUEST_KIB, "{resident} KiB");
    assert!(resident - empty < PODS as u64 * KIB_PER_POD_MAX, "{empty} KiB empty, {resident} KiB with {PODS} Pods");

    // Each named TCP port is an endpoint of a chart's name, and of a release's.
    let name = format!("_http._tcp.chart-3.g-release--3.{}.rpc.cluster.local.", namespace.name);
    let found = server.dig(&["SRV", &name]);
    let expected = (13..=16).map(|host| format!("0 100 8080 10-245-0-{host}.p.rpc.cluster.local."));
    assert_eq!(found.data(), expected.collect::<Vec<_>>(), "{}", found.text);
    let of_chart = server.dig(&["+tcp", "SRV", &name.replace("_http", "_metrics").replace("g-release--3.", "")]);
    assert_eq!(of_chart.answer.len(), PODS / CHARTS, "{}", of_chart.text);

    // Pods without a named port are counted, listed and explained, and the log has no line for each.
    let portless = PODS / PORTLESS_EVERY;
    let metric = |name: &str| server.metric(name) as usize;
    assert_eq!(metric("callsign_pods"), PODS);
    assert_eq!(metric("callsign_endpoints"), (PODS - portless) * 2);
    assert_eq!(metric("callsign_registrations_refused{reason=\"no-port\"}"), portless);
    let bad: Vec<Value> =
        serde_json::from_str(&ask(&server, &["ls", "--bad", "-n", &namespace.name, "--json"])).expect("JSON");
    assert_eq!(bad.len(), portless);
    let pod = format!("{}/{}", namespace.name, bad[0]["pod"].as_str().expect("a Pod's name"));
    let why = ask(&server, &["why", &pod]);
    assert!(why.contains("labels   0       no port: no TCP container port has a name"), "{why}");
    let log = server.log();
    assert!(log.lines().count() <= LOG_LINES_MAX && !log.contains("port"), "{log}");
}
