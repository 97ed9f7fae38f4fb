//! The largest sets, and who asks for them.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::ProfileText;
use callsign::source::Pod;
use serde_json::{Value, json};

use super::pods::pod;
use super::provider::Provider;
use super::zone::Zone;

/// The number of interfaces that a Pod in the namespace `wide` registers.
const INTERFACES_OF_WIDE: usize = 500;

/// Interfaces with large sets: one with an ordinary name, and one whose name leaves no room for an instance.
pub(crate) const LARGE: [&str; 2] = [
    "org.acme.Large",
    "a123456789012345678901234567890123456789012345678901234567890.b123456789012345678901234567890123456789012345678901\
     234567890.c12345678901234567890123456789012345678901234567890123456789.Long",
];

impl Zone {
    /// A namespace `wide` with this many interfaces, and one `large` in which this many Pods register each of
    /// [`LARGE`].
    pub(crate) fn of_extremes(interfaces: usize, endpoints: usize) -> Zone {
        let provider = Provider::recorded();
        let offer = |interface: &str, protocol: &str| {
            [("interface", interface), ("protocol", protocol), ("port", "20880")]
                .map(|(k, v)| json!({ "k": k, "v": v }))
        };
        let text = |offers: Vec<Value>| ProfileText::of_value(STANDARD.encode(Value::Array(offers).to_string()));
        let wide = (0..interfaces / INTERFACES_OF_WIDE).map(|number| {
            let names =
                (0..INTERFACES_OF_WIDE).map(|at| format!("org.acme.shop.Service{}", number * INTERFACES_OF_WIDE + at));
            let offers = names.flat_map(|name| offer(&name, "dubbo")).collect();
            Pod { namespace: "wide".into(), text: text(offers), ..pod(&provider, number, true) }
        });
        let large = (0..endpoints).map(|number| {
            let protocol = if number % 1_000 == 7 { "rare" } else { "dubbo" };
            let offers = LARGE.iter().flat_map(|interface| offer(interface, protocol)).collect();
            Pod { namespace: "large".into(), text: text(offers), ..pod(&provider, 50_000 + number, true) }
        });
        let mut zone = Zone::empty();
        zone.list(wide.chain(large));
        zone
    }
}

/// The address of the client.
pub(crate) fn client() -> SocketAddr {
    SocketAddr::from(([10, 1, 2, 3], 5353))
}
