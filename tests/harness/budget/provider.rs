//! Pods as in a real cluster: copies of a recorded dubbo-go provider, varied by Pod and interface.

use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The annotations that dubbo-go wrote into the Pods of its samples.
const FIXTURES: &str = include_str!("../../fixtures/dubbo-go.json");

/// The provider's entry in the fixture.
const PROVIDER: &str = "a provider whose path ends in a bean's name";

/// The number of interfaces that one Pod registers.
pub(crate) const INTERFACES: usize = 5;

/// The recorded provider's registry path.
pub(crate) struct Provider(String);

impl Provider {
    /// Reads the fixture.
    pub(crate) fn recorded() -> Provider {
        let fixtures: Vec<Value> = serde_json::from_str(FIXTURES).expect("the fixtures are JSON");
        let fixture = fixtures.into_iter().find(|fixture| fixture["what"] == PROVIDER).expect("the provider is there");
        let json = STANDARD.decode(fixture["annotation"].as_str().expect("an annotation")).expect("base64");
        let pairs: Vec<Value> = serde_json::from_slice(&json).expect("pairs");
        let keys = pairs.iter().filter_map(|pair| pair["k"].as_str());
        Provider(keys.max_by_key(|key| key.len()).expect("a path").to_owned())
    }

    /// The annotation of the `n`-th Pod: the interfaces of a group of Pods, with its own address and start time.
    pub(crate) fn annotation(&self, group: usize, n: usize, address: Ipv4Addr, interfaces: usize) -> String {
        let path = |interface| {
            self.0
                .replace("com.ikurento.user.UserProvider", &interface_name(group, interface))
                .replace("172.17.0.7", &address.to_string())
                .replace("1584070810", &(1_584_070_810 + n).to_string())
        };
        let paths: Vec<Value> = (0..interfaces).map(|interface| json!({ "k": path(interface), "v": "" })).collect();
        STANDARD.encode(Value::Array(paths).to_string())
    }
}

/// The name of an interface of a group of Pods.
pub(crate) fn interface_name(group: usize, interface: usize) -> String {
    format!("com.ikurento.user{group}.UserProvider{interface}")
}
