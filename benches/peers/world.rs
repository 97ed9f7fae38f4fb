//! The objects in the API server: the same endpoints as registered Pods and as headless Services.

use std::net::Ipv4Addr;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::harness::budget::provider::Provider;
use crate::harness::charts::{HTTP, chart_of, chart_pod};
use crate::harness::cluster::Cluster;
use crate::harness::kubelet::{NODE_ADDRESS, annotation};

/// Endpoints of one service, in both worlds.
pub(crate) const ENDPOINTS: usize = 4;

/// Services of the small world: 8,000 Pods.
pub(crate) const SMALL_SERVICES: usize = 2000;

/// Pods of the large world.
pub(crate) const LARGE_PODS: usize = 10_000;

/// Registrations of each of these Pods.
pub(crate) const LARGE_INTERFACES: usize = 5;

/// The namespace of the small world, for the measurements of changes and queries.
pub(crate) const SMALL: &str = "small";

/// The namespace of the large world, for the measurement of memory. Its Services and slices have a label of this name.
pub(crate) const LARGE: &str = "large";

/// The namespace of the Pods for the measurements of first lists.
pub(crate) const SYNC: &str = "sync";

/// The namespace of the Pods of charts.
pub(crate) const CHARTS: &str = "charts";

/// The port of every registration that has fields.
pub(crate) const PORT: u16 = 20_880;

/// The most concurrent writes: enough to keep the API server busy, and few enough that none waits for long.
const WRITES_MAX: usize = 32;

/// An object to create, and the status that it gets then.
struct Object {
    collection: String,
    body: Value,
    status: Option<Value>,
}

/// Writes the small world: [`SMALL_SERVICES`] interfaces of [`ENDPOINTS`] Pods, and as many headless Services.
pub(crate) fn write_small(cluster: &Cluster) {
    create_small(cluster);
    let pods = (0..SMALL_SERVICES * ENDPOINTS).map(|n| small_pod(&format!("pod-{n}"), n / ENDPOINTS, n));
    let services = (0..SMALL_SERVICES).flat_map(|n| {
        let addresses: Vec<_> = (n * ENDPOINTS..(n + 1) * ENDPOINTS).map(address).collect();
        headless(SMALL, &small_service(n), &addresses)
    });
    write_all(cluster, "small", pods.chain(services));
}

/// Writes the large world: [`LARGE_PODS`] Pods with [`LARGE_INTERFACES`] registry paths each, every interface in
/// [`ENDPOINTS`] Pods, and as many headless Services with as many endpoints.
pub(crate) fn write_large(cluster: &Cluster) {
    cluster.kubectl(&["create", "namespace", LARGE]);
    let provider = Provider::recorded();
    let pods = (0..LARGE_PODS).map(|n| large_pod(LARGE, &provider, n));
    write_all(cluster, "large", pods.chain(services_of(LARGE, LARGE_PODS)));
}

/// Writes the headless Services of this many Pods of the large world, into a separate namespace, and no Pods.
pub(crate) fn write_services(cluster: &Cluster, namespace: &str, pods: usize) {
    cluster.kubectl(&["create", "namespace", namespace]);
    write_all(cluster, namespace, services_of(namespace, pods));
}

fn services_of(namespace: &str, pods: usize) -> impl Iterator<Item = Object> {
    (0..pods / ENDPOINTS * LARGE_INTERFACES).flat_map(move |n| {
        let first = n / LARGE_INTERFACES * ENDPOINTS;
        let addresses: Vec<_> = (first..first + ENDPOINTS).map(address).collect();
        headless(namespace, &large_service(n), &addresses)
    })
}

/// The name of the `n`-th headless Service of the large world.
pub(crate) fn large_service(n: usize) -> String {
    format!("user-provider-{n}")
}

/// Writes this many Pods like those of the large world, into a separate namespace.
pub(crate) fn write_sync(cluster: &Cluster, count: usize) {
    cluster.kubectl(&["create", "namespace", SYNC]);
    let provider = Provider::recorded();
    write_all(cluster, "sync", (0..count).map(|n| large_pod(SYNC, &provider, n)));
}

/// Writes this many Pods of charts. Each also registers its port for the profile `app`, under the name that the profile
/// `labels` gives it.
pub(crate) fn write_charts(cluster: &Cluster, count: usize) {
    cluster.kubectl(&["create", "namespace", CHARTS]);
    let pods = (0..count).map(|n| {
        let mut body = chart_pod(n);
        let (release, port) = (format!("release-{}", n / ENDPOINTS), HTTP.to_string());
        let chart = chart_of(n / ENDPOINTS);
        let fields = [("interface", &*chart), ("group", &release), ("protocol", "http"), ("port", &port)];
        body["metadata"]["labels"]["app.io/label"] = "app.io-value".into();
        body["metadata"]["annotations"]["app.io/annotation"] = annotation(&fields).into();
        Object { collection: format!("/api/v1/namespaces/{CHARTS}/pods"), body, status: Some(status(address(n))) }
    });
    write_all(cluster, CHARTS, pods);
}

/// Changes all registrations of one of those Pods, and removes some.
pub(crate) async fn turn_sync(client: Client, provider: &Provider, n: usize, turn: usize) {
    let value = provider.annotation(n / ENDPOINTS, n + turn, address(n), LARGE_INTERFACES - 1 - turn % 2);
    let patch = json!({ "metadata": { "annotations": { "dubbo.io/annotation": value } } });
    send(&client, Method::PATCH, &format!("/api/v1/namespaces/{SYNC}/pods/pod-{n}"), &patch).await;
}

/// Creates the namespace for [`write_single`] if the small world is not written.
pub(crate) fn create_small(cluster: &Cluster) {
    cluster.kubectl(&["create", "namespace", SMALL]);
}

/// Writes one Pod with a new interface and a headless Service of one endpoint, both called `name`.
pub(crate) fn write_single(cluster: &Cluster, name: &str, number: usize) {
    let address = address(SMALL_SERVICES * ENDPOINTS + number);
    let pod = pod(SMALL, name, address, "app.io/label", "app.io-value", "app.io/annotation", fields(name, PORT));
    write_all(cluster, name, std::iter::once(pod).chain(headless(SMALL, name, &[address])));
}

/// The name of the `n`-th interface and of its headless Service.
pub(crate) fn small_service(n: usize) -> String {
    format!("greeter-{n:04}")
}

/// An annotation's value that registers an interface at a port.
pub(crate) fn fields(interface: &str, port: u16) -> String {
    annotation(&[("interface", &format!("org.acme.{interface}")), ("protocol", "tri"), ("port", &port.to_string())])
}

/// The name of an interface of the small world in callsign's zone.
pub(crate) fn callsign_name(interface: &str) -> String {
    format!("_tri._tcp.org.acme.{interface}.{SMALL}.rpc.cluster.local.")
}

/// The name of a headless Service in CoreDNS's zone.
pub(crate) fn coredns_name(service: &str, namespace: &str) -> String {
    format!("_tri._tcp.{service}.{namespace}.svc.cluster.local.")
}

/// The conditions of a Pod, by whether it is ready.
pub(crate) fn conditions(is_ready: bool) -> Value {
    json!([{ "type": "Ready", "status": if is_ready { "True" } else { "False" } }])
}

/// Sends a merge patch, waits for its acknowledgement, and returns the object's new resource version.
pub(crate) fn patch(cluster: &Cluster, client: &Client, path: &str, patch: &Value) -> String {
    let text = cluster.block_on(send(client, Method::PATCH, path, patch));
    let object: Value = serde_json::from_str(&text).expect("an object");
    object["metadata"]["resourceVersion"].as_str().expect("a resource version").to_owned()
}

fn write_all(cluster: &Cluster, what: &str, objects: impl Iterator<Item = Object>) {
    let (client, start) = (cluster.admin(), Instant::now());
    let writes = stream::iter(objects).map(|object| write(client.clone(), object)).buffer_unordered(WRITES_MAX);
    let count = cluster.block_on(writes.count());
    eprintln!("wrote {what}: {count} objects in {:.1} s", start.elapsed().as_secs_f64());
}

async fn write(client: Client, object: Object) {
    let Object { collection, body, status } = object;
    send(&client, Method::POST, &collection, &body).await;
    if let Some(status) = status {
        let name = body.pointer("/metadata/name").and_then(Value::as_str).expect("an object has a name");
        send(&client, Method::PATCH, &format!("{collection}/{name}/status"), &json!({ "status": status })).await;
    }
}

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> String {
    let content_type = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", content_type);
    let request = request.body(body.to_string().into_bytes()).expect("a request");
    client.request_text(request).await.unwrap_or_else(|error| panic!("write {path}: {error}"))
}

/// The `n`-th Pod's address.
fn address(n: usize) -> Ipv4Addr {
    let n = u32::try_from(n).expect("few addresses");
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 64, 0, 1).to_bits() + n)
}

fn small_pod(name: &str, service: usize, n: usize) -> Object {
    let value = fields(&small_service(service), PORT);
    pod(SMALL, name, address(n), "app.io/label", "app.io-value", "app.io/annotation", value)
}

fn large_pod(namespace: &str, provider: &Provider, n: usize) -> Object {
    let (group, address) = (n / ENDPOINTS, address(n));
    let value = provider.annotation(group, n, address, LARGE_INTERFACES);
    pod(namespace, &format!("pod-{n}"), address, "dubbo.io/label", "dubbo.io.provider", "dubbo.io/annotation", value)
}

/// A Pod that is Running and Ready.
fn pod(
    namespace: &str,
    name: &str,
    address: Ipv4Addr,
    label: &str,
    label_value: &str,
    annotation: &str,
    value: String,
) -> Object {
    let metadata = json!({ "name": name, "labels": { label: label_value }, "annotations": { annotation: value } });
    Object {
        collection: format!("/api/v1/namespaces/{namespace}/pods"),
        body: json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": { "nodeName": "node", "containers": [{ "name": "main", "image": "process" }] } }),
        status: Some(status(address)),
    }
}

/// The status of a Pod that runs and is ready.
fn status(address: Ipv4Addr) -> Value {
    json!({
        "phase": "Running",
        "startTime": "2026-01-01T00:00:00Z",
        "hostIP": NODE_ADDRESS,
        "hostIPs": [{ "ip": NODE_ADDRESS }],
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "conditions": conditions(true),
    })
}

/// A headless Service and its EndpointSlice, as a cluster's controllers would write them.
fn headless(namespace: &str, name: &str, addresses: &[Ipv4Addr]) -> [Object; 2] {
    let labels = json!({ "world": namespace, "kubernetes.io/service-name": name });
    let metadata = json!({ "name": name, "labels": labels });
    let ports = json!([{ "name": "tri", "port": PORT, "protocol": "TCP" }]);
    let endpoint = |address| json!({ "addresses": [address], "conditions": { "ready": true } });
    let service = Object {
        collection: format!("/api/v1/namespaces/{namespace}/services"),
        body: json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": { "clusterIP": "None", "ports": ports } }),
        status: None,
    };
    let slice = Object {
        collection: format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
        body: json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": "IPv4", "ports": ports, "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>() }),
        status: None,
    };
    [service, slice]
}
