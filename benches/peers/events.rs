//! The time from a write's acknowledgement to a subscriber's event: by the server's stream, by a watch inside the process,
//! and by a bare watch.
//!
//! All three receive the same writes at the same time, in this process. Each records when it has the new port.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use callsign::registry::{Config, Registry, Selector, Update};
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde_json::json;

use super::change::PAUSE;
use super::report::{Sample, table};
use super::world::{self, PORT, SMALL};
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

/// The number of changes.
const CHANGES: u16 = 100;

/// The run fails if an event does not come within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The Pod whose annotation changes, and its interface below `org.acme.`.
const TELLING: &str = "telling";

/// A port, and when a listener had it.
type Heard = (u16, Instant);

/// Measures and prints the table.
pub(crate) fn measure(cluster: &'static Cluster) {
    world::write_single(cluster, TELLING, 2);
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--namespace", SMALL]);
    let stream = Config::of_server(format!("http://{}", server.http));
    let mut own = Config::default();
    own.kubeconfig = Some(cluster.kubeconfig().into());
    own.namespaces = vec![SMALL.to_owned()];
    let listeners = [
        ("callsign: a subscription by the server's stream", subscribe(cluster, stream)),
        ("callsign: a subscription by a watch inside the process", subscribe(cluster, own)),
        ("a bare watch of the same Pods, each decoded by k8s-openapi", watch(cluster)),
    ];
    for (_, receiver) in &listeners {
        assert_eq!(receiver.recv_timeout(PATIENCE).map(|(port, _)| port), Ok(PORT), "the port before the first change");
    }

    let mut millis = listeners.each_ref().map(|_| Vec::new());
    let (client, path) = (cluster.admin(), format!("/api/v1/namespaces/{SMALL}/pods/{TELLING}"));
    for port in PORT + 1..=PORT + CHANGES {
        sleep(PAUSE);
        let value = world::fields(TELLING, port);
        world::patch(
            cluster,
            &client,
            &path,
            &json!({ "metadata": { "annotations": { "app.io/annotation": value } } }),
        );
        let acknowledged = Instant::now();
        for ((_, receiver), millis) in listeners.iter().zip(&mut millis) {
            let (found, at) = receiver.recv_timeout(PATIENCE).expect("an event");
            assert_eq!(found, port, "each change comes as one event");
            let late = at.saturating_duration_since(acknowledged).as_secs_f64();
            let early = acknowledged.saturating_duration_since(at).as_secs_f64();
            millis.push((late - early) * 1e3);
        }
    }
    let rows = listeners.iter().zip(&millis).map(|((title, _), millis)| {
        let sample = Sample::new(millis);
        let early = millis.iter().filter(|&&millis| millis < 0.0).count();
        let figures = [sample.median(), sample.quantile(0.9), sample.worst()].map(|millis| format!("{millis:.2}"));
        let counts = [millis.len(), early].map(|count| count.to_string());
        [&[(*title).to_owned()], counts.as_slice(), figures.as_slice()].concat()
    });
    table(
        "Change to event: ms from the acknowledgement of the PATCH until a subscriber has the event",
        &["subscriber", "times", "before it", "median", "p90", "worst"],
        rows,
    );
}

/// The ports that a subscription of the library returns, with their times.
fn subscribe(cluster: &'static Cluster, config: Config) -> Receiver<Heard> {
    let (sender, receiver) = channel();
    cluster.spawn(async move {
        let registry = Registry::connect(config).await.expect("a registry");
        let interface = format!("org.acme.{TELLING}");
        let mut subscription = registry.subscribe(&interface, Selector::default()).await.expect("a subscription");
        loop {
            let endpoints = match subscription.next().await {
                Update::Set(set) => set.endpoints,
                Update::Change(change) => change.added,
                other => panic!("{other:?}"),
            };
            let at = Instant::now();
            if endpoints.into_iter().any(|one| sender.send((one.port, at)).is_err()) {
                return;
            }
        }
    });
    receiver
}

/// The ports that kube's watch returns, with their times.
fn watch(cluster: &'static Cluster) -> Receiver<Heard> {
    let (sender, receiver) = channel();
    let client = cluster.own_client();
    cluster.spawn(async move {
        let pods: Api<Pod> = Api::namespaced(client, SMALL);
        let labels = "app.io/label=app.io-value";
        let list = pods.list(&ListParams::default().labels(labels)).await.expect("a list");
        list.items.iter().for_each(|pod| send(pod, &sender));
        let version = list.metadata.resource_version.expect("a list's version");
        let params = WatchParams::default().labels(labels);
        let mut events = Box::pin(pods.watch(&params, &version).await.expect("a watch"));
        while let Some(event) = events.try_next().await.expect("an event") {
            if let WatchEvent::Modified(pod) = event {
                send(&pod, &sender);
            }
        }
    });
    receiver
}

fn send(pod: &Pod, sender: &Sender<Heard>) {
    let value = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get("app.io/annotation"));
    let (Some(TELLING), Some(value)) = (pod.metadata.name.as_deref(), value) else { return };
    let at = Instant::now();
    for one in callsign::registration::decode_value(value).registrations {
        let _ = sender.send((one.port, at)); // the measurement may have ended
    }
}
