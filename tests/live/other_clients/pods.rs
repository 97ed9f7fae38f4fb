//! Pods as manifests, for a server to serve and a test to change.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::annotation::annotation;
use crate::harness::process::scratch;

/// A folder with one manifest.
pub(crate) struct Pods {
    dir: PathBuf,
}

impl Pods {
    /// A folder of these Pods.
    pub(crate) fn of(pods: &[Value]) -> Pods {
        let folder = Pods { dir: scratch("pods") };
        folder.become_these(pods);
        folder
    }

    /// The value for `--manifests`.
    pub(crate) fn path(&self) -> &str {
        self.dir.to_str().expect("a path of UTF-8")
    }

    /// Replaces all Pods at once, so that no reader sees half a file.
    pub(crate) fn become_these(&self, pods: &[Value]) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": pods });
        let draft = self.dir.join(".draft");
        fs::write(&draft, list.to_string()).expect("write a manifest");
        fs::rename(&draft, self.dir.join("pods.json")).expect("replace a manifest");
    }
}

/// A ready Pod named after its address, in the namespace `shop`, with these registrations.
pub(crate) fn pod(address: &str, pairs: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "shop",
            "name": format!("pod-{}", address.replace('.', "-")),
            "labels": { "app.io/label": "app.io-value" },
            "annotations": { "app.io/annotation": annotation(pairs) },
        },
        "status": { "phase": "Running", "podIPs": [{ "ip": address }] },
    })
}
