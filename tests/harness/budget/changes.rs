//! Changes of single Pods.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::ProfileText;
use callsign::source::{Change, Pod};
use serde_json::{Value, json};

use super::pods::pod;
use super::provider::Provider;
use super::zone::Zone;

impl Zone {
    /// Sends a Pod in a version above all before, and publishes.
    pub(crate) fn apply(&mut self, pod: Pod) {
        self.steps += 1;
        self.send(Change::Apply(Box::new(Pod { resource_version: self.steps + 1, ..pod })));
        self.publish();
    }

    /// Sends a Pod that registers this many services, with every field new in each version, and publishes.
    pub(crate) fn write_anew(&mut self, provider: &Provider, version: usize, services: usize) {
        let field = |k: &str, v: String| json!({ "k": k, "v": v });
        let pairs: Vec<Value> = (0..services)
            .flat_map(|number| {
                [
                    field("interface", format!("a.I{version}x{number}")),
                    field("group", format!("g{version}-{number}")),
                    field("version", format!("v{version}-{number}")),
                    field("protocol", format!("p{version}-{number}")),
                    field("application", format!("a{version}-{number}")),
                    field("method", format!("m{version}-{number}")),
                    field("port", "1".to_owned()),
                    field(&format!("k{version}-{number}"), format!("v{version}-{number}")),
                ]
            })
            .collect();
        let annotation = STANDARD.encode(Value::Array(pairs).to_string());
        self.apply(Pod { text: ProfileText::of_value(annotation), ..pod(provider, 0, true) });
    }
}
