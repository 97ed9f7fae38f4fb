//! Plays the other parts of a cluster: the scheduler, the kubelet, and the process that registers itself.

use std::sync::atomic::{AtomicU8, Ordering};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

pub(crate) use super::annotation::annotation;
use super::cluster::Cluster;

/// The Pod network, as in `deploy/coredns-reverse.Corefile`.
pub(crate) const POD_NETWORK: &str = "10.244.0.0/16";

/// The address of the only node.
pub(crate) const NODE_ADDRESS: &str = "192.0.2.1";

/// A namespace of one test with separate addresses, so that tests can run in parallel.
pub(crate) struct Namespace {
    pub(crate) name: String,
    cluster: &'static Cluster,
    number: u8,
}

impl Cluster {
    /// Creates a namespace whose name begins with `stem`.
    pub(crate) fn namespace(&'static self, stem: &str) -> Namespace {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        assert!(number < u8::MAX, "a suite has addresses for 255 namespaces");
        let name = format!("{stem}-{number}");
        let namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).expect("a namespace");
        let api: Api<core::Namespace> = Api::all(self.admin());
        self.block_on(api.create(&PostParams::default(), &namespace)).expect("create a namespace");
        Namespace { name, cluster: self, number }
    }
}

impl Namespace {
    /// The `host`-th of this namespace's addresses in [`POD_NETWORK`].
    pub(crate) fn ip(&self, host: u8) -> String {
        format!("10.244.{}.{host}", self.number)
    }

    /// The `host`-th of its IPv6 addresses.
    pub(crate) fn ip6(&self, host: u8) -> String {
        format!("fd00::{:x}:{host:x}", u16::from(self.number) + 1)
    }

    /// Creates a Pod that is bound to a node and has not started.
    #[track_caller]
    pub(crate) fn pod(&self, name: &str) -> Pod {
        self.pod_with(name, json!({}))
    }

    /// The same, with an extended spec.
    #[track_caller]
    pub(crate) fn pod_with(&self, name: &str, more: Value) -> Pod {
        let mut spec = json!({ "nodeName": "node", "containers": [{ "name": "main", "image": "process" }] });
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        let pod = json!({ "metadata": { "name": name }, "spec": spec });
        let pod: core::Pod = serde_json::from_value(pod).expect("a Pod");
        self.create(&pod)
    }

    /// Creates this Pod.
    #[track_caller]
    pub(crate) fn create(&self, pod: &core::Pod) -> Pod {
        let api = Api::namespaced(self.cluster.admin(), &self.name);
        let made = self.cluster.block_on(api.create(&PostParams::default(), pod)).expect("create a Pod");
        let name = made.metadata.name.expect("a Pod has a name");
        let uid = made.metadata.uid.expect("a Pod has a uid");
        Pod { namespace: self.name.clone(), name, uid, api, cluster: self.cluster }
    }

    /// Creates a Pod that is Running, is Ready at these addresses, and has registered itself.
    #[track_caller]
    pub(crate) fn endpoint(&self, name: &str, ips: &[&str], pairs: &[(&str, &str)]) -> Pod {
        let pod = self.pod(name);
        pod.run(ips);
        pod.register(&annotation(pairs));
        pod
    }
}

/// A Pod in the API server. Every write waits for the API server's acknowledgement.
pub(crate) struct Pod {
    /// The name of its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    pub(crate) uid: String,
    api: Api<core::Pod>,
    cluster: &'static Cluster,
}

impl Pod {
    /// Makes all containers run and be ready, at these addresses.
    #[track_caller]
    pub(crate) fn run(&self, ips: &[&str]) {
        let pod_ips: Vec<Value> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
        self.patch_status(json!({
            "phase": "Running",
            "startTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "hostIP": NODE_ADDRESS,
            "hostIPs": [{ "ip": NODE_ADDRESS }],
            "podIP": ips.first(),
            "podIPs": pod_ips,
            "conditions": conditions(true),
        }));
    }

    /// Changes its readiness.
    #[track_caller]
    pub(crate) fn set_ready(&self, ready: bool) {
        self.patch_status(json!({ "conditions": conditions(ready) }));
    }

    /// Registers, like the Pod's process: labels and annotates the Pod, in one patch.
    #[track_caller]
    pub(crate) fn register(&self, annotation: &str) {
        self.patch(json!({ "metadata": {
            "labels": { "app.io/label": "app.io-value" },
            "annotations": { "app.io/annotation": annotation },
        } }));
    }

    /// Finishes its containers (`Succeeded` or `Failed`). The Pod keeps its address.
    #[track_caller]
    pub(crate) fn finish(&self, phase: &str) {
        self.patch_status(json!({ "phase": phase, "conditions": conditions(false) }));
    }

    /// Asks it to end within 30 s: it gets a deletionTimestamp, and stays and is ready until then.
    #[track_caller]
    pub(crate) fn terminate(&self) {
        self.delete_within(30);
    }

    /// Deletes it at once, as the kubelet does after its end.
    #[track_caller]
    pub(crate) fn delete(&self) {
        self.delete_within(0);
    }

    /// Patches everything but the status (a JSON merge patch).
    #[track_caller]
    pub(crate) fn patch(&self, patch: Value) {
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        self.cluster.block_on(self.api.patch(&self.name, &params, &patch)).expect("patch a Pod");
    }

    /// Patches the status (a JSON merge patch of the content of `status`).
    #[track_caller]
    pub(crate) fn patch_status(&self, status: Value) {
        let (params, patch) = (PatchParams::default(), Patch::Merge(json!({ "status": status })));
        self.cluster.block_on(self.api.patch_status(&self.name, &params, &patch)).expect("patch a Pod's status");
    }

    /// The Pod in the API server. `None` if it is gone, or if another Pod has its name.
    #[track_caller]
    pub(crate) fn now(&self) -> Option<core::Pod> {
        let pod = self.cluster.block_on(self.api.get_opt(&self.name)).expect("get a Pod");
        pod.filter(|pod| pod.metadata.uid.as_ref() == Some(&self.uid))
    }

    #[track_caller]
    fn delete_within(&self, grace_seconds: u32) {
        let params = DeleteParams { grace_period_seconds: Some(grace_seconds), ..DeleteParams::default() };
        self.cluster.block_on(self.api.delete(&self.name, &params)).expect("delete a Pod");
    }
}

/// A Pod's conditions as the kubelet writes them.
fn conditions(ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!([
        { "type": "Initialized", "status": "True" },
        { "type": "ContainersReady", "status": status },
        { "type": "Ready", "status": status },
        { "type": "PodScheduled", "status": "True" },
    ])
}
