//! Pods of ordinary charts, as Helm and a Deployment make them.

use serde_json::{Value, json};

/// The Pods of a release.
pub(crate) const REPLICAS: usize = 4;

/// The charts. Each has many releases.
pub(crate) const CHARTS: usize = 50;

/// Of this many releases one has no port with a name.
pub(crate) const PORTLESS_EVERY: usize = 10;

/// The port called `http`, which all other releases have.
pub(crate) const HTTP: u16 = 8080;

/// The chart of a release.
pub(crate) fn chart_of(release: usize) -> String {
    format!("chart-{}", release % CHARTS)
}

/// The `n`-th Pod, without a status.
pub(crate) fn chart_pod(n: usize) -> Value {
    let release = n / REPLICAS;
    let (chart, instance) = (chart_of(release), format!("release-{release}"));
    let named = json!([
        { "name": "http", "containerPort": HTTP },
        { "name": "metrics", "containerPort": 9090 },
        { "containerPort": 7946 },
        { "name": "dns", "containerPort": 5353, "protocol": "UDP" },
    ]);
    let is_portless = release % PORTLESS_EVERY == PORTLESS_EVERY - 1;
    let ports = if is_portless { json!([{ "containerPort": HTTP }]) } else { named };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{instance}-{chart}-{n}"),
            "labels": {
                "app.kubernetes.io/name": chart,
                "app.kubernetes.io/instance": instance,
                "app.kubernetes.io/component": "server",
                "app.kubernetes.io/managed-by": "Helm",
                "app.kubernetes.io/version": "1.27.3",
                "helm.sh/chart": format!("{chart}-15.4.2"),
                "pod-template-hash": format!("{release:010x}"),
            },
            "annotations": {
                "checksum/config": format!("{release:064x}"),
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "9090",
                "kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z",
            },
        },
        "spec": { "nodeName": "node", "containers": [{ "name": "main", "image": "process", "ports": ports }] },
    })
}
