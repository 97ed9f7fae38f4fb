//! A Pod that writes its annotation as fast as a connection allows: its cost for the others and for the server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::faults::{at, greeter, greeters, is_at, metric};
use crate::harness::ask::Ask;
use crate::harness::cluster::Cluster;
use crate::harness::kubelet::{Namespace, Pod, annotation};
use crate::harness::server::Server;
use crate::harness::within_a_second;

/// How long the hostile Pod writes.
const CHURN: Duration = Duration::from_secs(8);

/// How often the other namespace's Pod changes.
const OTHER: Duration = Duration::from_millis(200);

/// The longest delay that a hostile Pod may cause for others.
const DELAY_MAX: Duration = Duration::from_millis(100);

/// The longest time of the slowest change, including the API server's part and a busy machine's.
const WORST_MAX: Duration = Duration::from_secs(1);

/// The server's CPU time, in clock ticks of 10 ms, and its memory, in KiB.
fn used(server: &Server) -> (u64, u64) {
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", server.id())).expect("the kernel's word");
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks = [11, 12].map(|at: usize| fields[at].parse::<u64>().expect("ticks"));
    let status = read("status");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    (ticks.iter().sum(), memory.split_whitespace().next().expect("a number").parse().expect("KiB"))
}

/// The hostile Pod's annotation: 64 services that no earlier version had, new metadata, and an error at another offset each
/// time.
fn value(version: usize) -> String {
    let mut pairs = vec![("note".to_owned(), "x".repeat(version % 97)), ("interface".into(), "Bad".into())];
    for number in 0..64 {
        pairs.extend([
            ("interface".to_owned(), format!("org.hostile.I{version}x{number}")),
            ("group".to_owned(), format!("g{version}")),
            ("application".to_owned(), format!("application-{version}-{number}")),
            ("port".to_owned(), "1".to_owned()),
            (format!("key-{version}"), format!("value-{version}-{number}")),
        ]);
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    annotation(&pairs)
}

/// The series of `/metrics`, without their values.
fn series(server: &Server) -> BTreeSet<String> {
    let text = server.get("/metrics").1;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// Starts the writing. Returns the number of writes so far.
fn churn(cluster: &Cluster, namespace: &Namespace, stop: &Arc<AtomicBool>) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let api: Api<core::Pod> = Api::namespaced(cluster.admin(), &namespace.name);
    let (written, stop) = (count.clone(), stop.clone());
    cluster.spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let version = written.load(Ordering::Relaxed);
            let patch = json!({ "metadata": { "annotations": { "app.io/annotation": value(version) } } });
            let patched = api.patch_metadata("hostile-0", &PatchParams::default(), &Patch::Merge(patch)).await;
            patched.expect("patch the hostile Pod");
            written.store(version + 1, Ordering::Relaxed);
        }
    });
    count
}

/// The time of each of the other Pod's changes, from its acknowledgement to the answer.
fn delays(other: &Namespace, pod: &Pod, server: &Server, within: Duration) -> Vec<Duration> {
    let (started, mut delays) = (Instant::now(), Vec::new());
    for port in 1_001.. {
        let begun = Instant::now();
        if started.elapsed() >= within {
            break;
        }
        pod.register(&at(port));
        let acknowledged = Instant::now();
        while is_at(&greeters(other).udp(server.dns), &[port]).is_err() {
            assert!(acknowledged.elapsed() < Duration::from_secs(5), "port {port} is not there");
            std::thread::sleep(Duration::from_millis(1));
        }
        delays.push(acknowledged.elapsed());
        std::thread::sleep(OTHER.saturating_sub(begun.elapsed()));
    }
    delays.sort();
    delays
}

#[test]
fn a_pod_that_writes_without_end_delays_no_other() {
    let cluster = Cluster::shared();
    let (hostile, other) = (cluster.namespace("hostile"), cluster.namespace("other"));
    // Only these two namespaces: the test counts snapshots, and other tests' Pods cause some too.
    let namespaces = ["--namespace", &hostile.name, "--namespace", &other.name];
    let server = Server::start(&[&["--kubeconfig", cluster.kubeconfig()], &namespaces[..]].concat());
    let _hostile_pod = greeter(&hostile, "hostile-0", 1, 1000);
    let pod = greeter(&other, "greeter-0", 1, 1000);
    within_a_second(|| is_at(&greeters(&other).udp(server.dns), &[1000]));
    let quiet = delays(&other, &pod, &server, Duration::from_secs(2));

    let stop = Arc::new(AtomicBool::new(false));
    let written = churn(cluster, &hostile, &stop);
    std::thread::sleep(Duration::from_secs(1)); // one-time allocations are done
    let (before, lines, revision) =
        (used(&server), server.log().lines().count(), metric(&server, "callsign_snapshot_revision ", ""));
    let known = series(&server);
    let (started, first) = (Instant::now(), written.load(Ordering::Relaxed));
    let busy = delays(&other, &pod, &server, CHURN);
    let (seconds, writes) = (started.elapsed().as_secs_f64(), written.load(Ordering::Relaxed) - first);
    let (after, lines) = (used(&server), server.log().lines().count() - lines);
    let revisions = metric(&server, "callsign_snapshot_revision ", "") - revision;
    stop.store(true, Ordering::Relaxed);

    let cpu = (after.0 - before.0) as f64 / 100.0 / seconds;
    let at = |delays: &[Duration], tenths: usize| delays[(delays.len() - 1) * tenths / 10];
    eprintln!(
        "{:.0} writes a second of one Pod, {:.0} snapshots; others' changes: nine of ten within {:?}, worst {:?} (at rest {:?}, {:?}), of {}; \
         {:.0} % of a processor; {} KiB, {} KiB before; {lines} lines of the log",
        writes as f64 / seconds,
        revisions as f64 / seconds,
        at(&busy, 9),
        at(&busy, 10),
        at(&quiet, 9),
        at(&quiet, 10),
        busy.len(),
        cpu * 100.0,
        after.1,
        before.1
    );
    let lags = |label| metric(&server, "callsign_event_lag_seconds_bucket", label);
    let (soon, late, all) = (lags("0.1\""), lags("0.25\""), lags("+Inf"));
    eprintln!(
        "from receipt to answer, the hostile Pod's waits among it: {soon} of {all} within 100 ms, {late} within 250"
    );
    assert!(writes as f64 / seconds > 20.0, "it wrote {writes} times: no churn");
    assert!(busy.len() > 20, "{} changes are no measure", busy.len());
    assert!(at(&busy, 9) < DELAY_MAX && at(&busy, 10) < WORST_MAX, "{busy:?}");
    // The hostile Pod ten times a second, each change of the other Pod, and the serial after each.
    assert!((revisions as f64) < seconds * 35.0, "{revisions} snapshots in {seconds} s");
    assert!(cpu < 0.8, "{cpu} of a processor");
    assert!(after.1 < before.1 + 16 * 1024, "{} KiB more", after.1 - before.1);
    assert!((lines as f64) < 3.0 * seconds, "{lines} lines of the log");
    assert!(server.log().contains("left_out="), "the log has the number of refusals without a line: {}", server.log());
    assert_eq!(series(&server), known, "no series comes from a Pod");
    // It has only the names that it wrote last.
    std::thread::sleep(Duration::from_millis(500));
    let last = written.load(Ordering::Relaxed) - 1;
    let name = |version: usize| format!("org.hostile.i{version}x0.{}.rpc.cluster.local.", hostile.name);
    within_a_second(|| match Ask::new(&name(last), Rtype::SRV).udp(server.dns).answer.len() {
        1 => Ok(()),
        found => Err(format!("{found} records at {}", name(last))),
    });
    assert_eq!(Ask::new(&name(last - 1), Rtype::SRV).udp(server.dns).rcode, "NXDOMAIN");
}
