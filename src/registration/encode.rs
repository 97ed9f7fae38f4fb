//! Encodes registrations as an annotation's value, in fields.

use std::iter;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::field::Field;
use super::{DEFAULT_PROTOCOL, DEFAULT_WEIGHT, Registration};

/// Encodes registrations as padded standard base64 of fields.
///
/// [`decode`](super::decode) returns the same registrations, except for their offsets and for what was withheld or left
/// out. This function checks no bounds: the value may exceed [`ANNOTATION_LEN_MAX`](super::ANNOTATION_LEN_MAX).
pub fn encode(registrations: &[Registration]) -> String {
    STANDARD.encode(pairs(registrations).to_string())
}

/// The JSON array of pairs in such a value.
pub fn pairs(registrations: &[Registration]) -> Value {
    registrations.iter().flat_map(pairs_of).map(|(key, value)| json!({ "k": key, "v": value })).collect()
}

fn pairs_of(registration: &Registration) -> Vec<(&str, String)> {
    let Registration { interface, group, version, protocol, address, port, weight, enabled, metadata, offset: _ } =
        registration;
    let field = |field: Field, value: &str| (field.name(), value.to_owned());
    let mut pairs = vec![field(Field::Interface, interface)];
    pairs.extend(group.iter().map(|group| field(Field::Group, group)));
    pairs.extend(version.iter().map(|version| field(Field::Version, version)));
    pairs.extend((**protocol != *DEFAULT_PROTOCOL).then(|| field(Field::Protocol, protocol)));
    pairs.extend(address.map(|address| field(Field::Ip, &address.to_string())));
    pairs.push(field(Field::Port, &port.to_string()));
    pairs.extend(metadata.application.iter().map(|application| field(Field::Application, application)));
    pairs.extend(metadata.methods.iter().map(|method| field(Field::Method, method)));
    pairs.extend(iter::once(field(Field::Enabled, "false")).filter(|_| !enabled));
    let others = metadata.pairs.iter().filter(|(key, _)| *key != Field::Weight.name());
    let tells_weight = *weight != DEFAULT_WEIGHT || others.clone().count() < metadata.pairs.len();
    pairs.extend(tells_weight.then(|| field(Field::Weight, &weight.to_string())));
    pairs.extend(others.map(|(key, value)| (key, value.to_owned())));
    pairs
}

#[cfg(test)]
mod tests {
    use super::super::{Metadata, decode};
    use super::*;

    #[test]
    fn a_weight_without_a_pair_is_encoded() {
        for (weight, pairs) in [(DEFAULT_WEIGHT, vec![]), (7, vec![("weight", "7")])] {
            let registration = Registration {
                interface: "org.acme.Greeter".into(),
                group: None,
                version: None,
                protocol: DEFAULT_PROTOCOL.into(),
                address: None,
                port: 20880,
                weight,
                enabled: true,
                metadata: Metadata::default(),
                offset: 1,
            };
            let metadata = Metadata { pairs: pairs.into_iter().collect(), ..Metadata::default() };
            let decoded = decode(&encode(std::slice::from_ref(&registration)));
            assert_eq!(decoded.registrations, [Registration { metadata, ..registration }]);
        }
        assert_eq!(decode(&encode(&[])).problems, []);
    }
}
