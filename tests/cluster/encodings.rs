//! The same Pods in both encodings, and through every way to list them: the readers return the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callsign::registration;
use callsign::source::health::{Restart, SourceHealth};
use callsign::source::kube::{BodyEncoding, Method, Watch};
use callsign::source::{Change, Event, Phase, Pod, WatchProfile};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::harness::cluster::Cluster;
use crate::harness::kubelet::Namespace;

const KEY: &str = "odd.example/annotation";

/// The number of Pods. Each list below repeats with a different period, so that most pairs of odd values meet.
const PODS: usize = 72;

pub(super) const WAYS: [(BodyEncoding, Method); 6] = [
    (BodyEncoding::Json, Method::Whole),
    (BodyEncoding::Json, Method::Pages),
    (BodyEncoding::Json, Method::Streaming),
    (BodyEncoding::Protobuf, Method::Whole),
    (BodyEncoding::Protobuf, Method::Pages),
    (BodyEncoding::Protobuf, Method::Streaming),
];

/// The annotation's value. `None` without the annotation.
fn annotations(n: usize) -> Value {
    let long = "x".repeat(200_000);
    let values = ["", "W10=", "grüße, 世界 🦀", "\"\\/\u{8}\t\r\n\u{1}\u{7f}", "</script>&\u{2028}", &long];
    match n % 8 {
        0 => Value::Null,
        1 => json!({ "odd.example/annotations": "another key", "other.example/annotation": "x" }),
        n => json!({ "a.example/first": "{\"a\":[1]}", KEY: values[n - 2], "z.example/last": "" }),
    }
}

fn status(n: usize) -> Value {
    let phases =
        [Value::Null, "Pending".into(), "Running".into(), "Succeeded".into(), "Failed".into(), "Unknown".into()];
    let times =
        [Value::Null, json!("2026-01-02T03:04:05Z"), json!("1970-01-01T00:00:00Z"), json!("1969-12-31T23:59:58Z")];
    let ips = [
        json!([]),
        json!([{ "ip": "10.244.1.2" }]),
        json!([{ "ip": "fd00::1" }, { "ip": "10.244.1.3" }]),
        json!([{ "ip": "2001:db8:0:0:0:0:0:5" }]),
        json!([{ "ip": "10.244.1.4" }, { "ip": "fd00::2" }]),
    ];
    let hosts = [json!([]), json!([{ "ip": "192.0.2.1" }]), json!([{ "ip": "2001:db8::1" }, { "ip": "192.0.2.2" }])];
    let ready =
        |status: &str| json!([{ "type": "PodScheduled", "status": "True" }, { "type": "Ready", "status": status }]);
    let conditions =
        [json!([]), ready("True"), ready("False"), ready("Unknown"), json!([{ "type": "ready", "status": "True" }])];
    let (ips, hosts) = (&ips[n % ips.len()], &hosts[n / 3 % hosts.len()]);
    json!({
        "phase": phases[n % phases.len()],
        "startTime": times[n / 2 % times.len()],
        "conditions": conditions[n / 5 % conditions.len()],
        "podIPs": ips,
        "podIP": ips[0]["ip"],
        "hostIPs": hosts,
        "hostIP": hosts[0]["ip"],
    })
}

/// The ports of a container, and init containers of which one keeps running.
fn containers_with_ports() -> (Value, Value) {
    let ports = json!([{ "name": "http", "containerPort": 8080 }, { "name": "dns", "containerPort": 53, "protocol": "UDP" },
        { "containerPort": 9090 }]);
    let init = json!([
        { "name": "job", "image": "process", "ports": [{ "name": "job", "containerPort": 1 }] },
        { "name": "proxy", "image": "process", "restartPolicy": "Always", "ports": [{ "name": "admin", "containerPort": 15001 }] },
    ]);
    (ports, init)
}

/// Writes odd Pods. Every twelfth is terminating and runs: others would go at once.
fn write(namespace: &Namespace) {
    for n in 0..PODS {
        let long = ".a".repeat(100);
        let name = if n % 7 == 0 { format!("odd-{n}{long}") } else { format!("odd-{n}") };
        let metadata = json!({ "name": name, "labels": { "odd": "yes", "n": n.to_string() },
            "annotations": annotations(n) });
        let (ports, init) = if n % 3 == 0 { containers_with_ports() } else { (json!([]), json!([])) };
        let spec = json!({ "nodeName": "node", "hostNetwork": n % 4 == 0, "initContainers": init,
            "containers": [{ "name": "main", "image": "process", "env": [{ "name": "A", "value": "b" }], "ports": ports }] });
        let pod = serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).expect("a Pod");
        let pod = namespace.create(&pod);
        pod.patch_status(status(n));
        if n % 12 == 2 {
            pod.terminate();
        }
    }
}

/// A running watch. Dropping it ends it.
pub(super) struct RunningWatch {
    events: Receiver<Event>,
    health: Arc<SourceHealth>,
    task: JoinHandle<()>,
}

impl RunningWatch {
    /// Starts a watch of the namespace's Pods.
    pub(super) fn start(
        namespace: &Namespace,
        profile: WatchProfile,
        (encoding, method): (BodyEncoding, Method),
    ) -> RunningWatch {
        let watch =
            Watch::new("test".into(), vec![profile], Some(namespace.name.as_str().into())).preferring(encoding, method);
        let (sender, events) = channel(16);
        let health = Arc::new(SourceHealth::new(Instant::now()));
        let (cluster, run_health) = (Cluster::shared(), health.clone());
        let task = cluster.spawn(watch.run(cluster.own_client(), sender, run_health));
        RunningWatch { events, health, task }
    }

    fn next(&mut self) -> Change {
        let event = Cluster::shared().block_on(async { timeout(Duration::from_secs(20), self.events.recv()).await });
        event.expect("in time").expect("an event").change
    }

    /// The Pods of a whole list, by their names.
    pub(super) fn list(&mut self) -> BTreeMap<String, Pod> {
        let mut pods = BTreeMap::new();
        assert!(matches!(self.next(), Change::Begin));
        loop {
            match self.next() {
                Change::Apply(pod) => assert!(pods.insert(pod.name.to_string(), *pod).is_none(), "listed twice"),
                Change::Commit => return pods,
                other => panic!("{other:?} in a list"),
            }
        }
    }
}

impl Drop for RunningWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn odd_profile() -> WatchProfile {
    let encoding = registration::Encoding::Pairs { plain: Some("odd.example/".into()) };
    WatchProfile::new("odd", "odd=yes".parse().expect("a selector"), Some(KEY), encoding)
}

#[test]
fn both_encodings_give_the_same_for_every_odd_pod() {
    let namespace = Cluster::shared().namespace("odd");
    write(&namespace);
    let mut watches = WAYS.map(|way| RunningWatch::start(&namespace, odd_profile(), way));
    let lists = watches.each_mut().map(RunningWatch::list);
    assert_eq!(lists[0].len(), PODS);
    for (way, pods) in WAYS.iter().zip(&lists) {
        assert_eq!(pods, &lists[0], "{way:?}");
    }
    // The odd values have reached the API server, and the readers did not drop all of them.
    let count = |is_so: fn(&Pod) -> bool| lists[0].values().filter(|pod| is_so(pod)).count();
    assert_eq!(count(|pod| pod.status.terminating), PODS / 12);
    assert_eq!(count(|pod| pod.status.host_network), PODS / 4);
    assert_eq!(count(|pod| pod.text.value.is_some()), PODS / 8 * 6);
    assert_eq!(count(|pod| pod.text.value.as_ref().is_some_and(|text| text.len() == 200_000)), PODS / 8);
    let ports = [("http", 8080), ("", 9090), ("admin", 15001)].map(|(name, number)| (name.to_owned(), number)).to_vec();
    let ports_of = |pod: &Pod| -> Option<Vec<(String, u16)>> {
        let ports = &pod.text.parts.as_ref()?.ports;
        Some(ports.iter().map(|port| (port.name.to_string(), port.number)).collect())
    };
    // A Pod without a text has none.
    assert_eq!(lists[0].values().filter(|pod| ports_of(pod).as_ref() == Some(&ports)).count(), PODS / 24 * 7);
    assert_eq!(count(|pod| pod.status.start_time == Some(-2)), PODS / 4);
    assert_eq!(count(|pod| pod.status.phase == Phase::Running), PODS / 6);
    assert_eq!(count(|pod| pod.status.pod_ips.len() == 2), PODS / 5 * 2);
    assert!(count(|pod| pod.status.ready) > 10 && count(|pod| pod.status.host_ips.len() == 2) > 10);

    let moving = namespace.create(
        &serde_json::from_value(json!({ "metadata": { "name": "moving", "labels": { "odd": "yes" } },
            "spec": { "nodeName": "node", "containers": [{ "name": "main", "image": "process" }] } }))
        .expect("a Pod"),
    );
    moving.run(&["10.244.1.9"]);
    for n in 0..8 {
        moving.patch(json!({ "metadata": { "annotations": annotations(n) } }));
        moving.patch_status(status(n));
    }
    moving.terminate();
    moving.patch(json!({ "metadata": { "labels": { "odd": "no" } } }));
    let changes = watches.each_mut().map(|watch| {
        let mut changes = Vec::new();
        while !matches!(changes.last(), Some(Change::Remove(_))) {
            changes.push(watch.next());
        }
        changes.iter().map(|change| format!("{change:?}")).collect::<Vec<_>>()
    });
    assert!(changes[0].len() > 10, "{:?}", changes[0]);
    for ((way, changes), RunningWatch { health, .. }) in WAYS.iter().zip(&changes[..]).zip(&watches) {
        assert!(changes.ends_with(&[format!("{:?}", Change::Remove(moving.uid.as_str().into()))]), "{way:?}");
        assert_eq!((health.skipped(), health.lists(), health.error()), (0, 1, None), "{way:?}");
        assert!(
            Restart::ALL.iter().all(|reason| *reason == Restart::Ended || health.restarts(*reason) == 0),
            "{way:?}"
        );
    }
    assert!(changes.iter().all(|told| *told == changes[0]), "{changes:#?}");
}
