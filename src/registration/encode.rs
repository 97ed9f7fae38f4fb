//! Encodes registrations: as an annotation's value, in fields or objects, and as plain annotations.

use std::iter;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::field::{Field, META, META_PREFIX};
use super::mapping::is_annotation_key;
use super::{DEFAULT_PROTOCOL, DEFAULT_WEIGHT, Registration};

/// Encodes registrations as padded standard base64 of fields.
///
/// [`decode_value`](super::decode_value) returns the same registrations, except for their offsets and for what was withheld or left
/// out. This function checks no bounds: the value may exceed [`ANNOTATION_LEN_MAX`](super::ANNOTATION_LEN_MAX).
pub fn encode(registrations: &[Registration]) -> String {
    STANDARD.encode(pairs(registrations).to_string())
}

/// The JSON array of pairs in such a value.
pub fn pairs(registrations: &[Registration]) -> Value {
    registrations.iter().flat_map(pairs_of).map(|(key, value)| json!({ "k": key, "v": value })).collect()
}

/// A container port that is written instead of a registration's port. Only the Pod knows its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenPort<'n> {
    /// Its name. `None`: nothing is written, and the Pod has one port, or one that is called as the protocol.
    pub name: Option<&'n str>,
    /// Whether the protocol is written. If it is not, it is the name of the port that the Pod has.
    pub has_protocol: bool,
}

/// Encodes registrations as JSON as it stands: an object, or an array of objects. `ports` has for each registration what is
/// written instead of its port. Those beyond its end are written with their own.
///
/// [`decode`](super::decode) returns the same registrations, as of [`encode`].
pub fn encode_objects(registrations: &[Registration], ports: &[Option<WrittenPort<'_>>]) -> String {
    let object = |(at, one)| object_text_of(written(&pairs_of(one), ports.get(at).copied().flatten()));
    let objects: Vec<String> = registrations.iter().enumerate().map(object).collect();
    if objects.len() == 1 { objects.concat() } else { format!("[{}]", objects.join(",")) }
}

/// Why a registration cannot be written in plain annotations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// It names an address.
    #[error("plain annotations have no address: the Pod's own count")]
    Address,
    /// A method's name has a comma, or white space around it.
    #[error("a method's name has a comma or white space around it, and commas separate the methods")]
    Method,
    /// A key of the metadata cannot be part of an annotation's key.
    #[error("a metadata key is not 58 letters, digits, `-`, `_` and `.` at most, a letter or digit last")]
    MetadataKey,
}

/// The plain annotations of a registration under a prefix, such as `app.io/`, each key with its value. `port` is what is
/// written instead of its port.
///
/// [`decode`](super::decode) returns the same registration, as of [`encode`].
///
/// # Errors
/// Plain annotations cannot say it.
pub fn encode_plain(
    prefix: &str,
    registration: &Registration,
    port: Option<WrittenPort<'_>>,
) -> Result<Vec<(String, String)>, PlainError> {
    let methods = &registration.metadata.methods;
    if registration.address.is_some() {
        return Err(PlainError::Address);
    }
    if methods.iter().any(|method| method.contains(',') || method.trim() != &**method) {
        return Err(PlainError::Method);
    }
    let mut annotations = Vec::new();
    for (key, value) in written(&pairs_of(registration), port) {
        let name = match Field::of(key) {
            Some(Field::Method) => continue,
            Some(field) => field.name().to_owned(),
            None => format!("{}{key}", META_PREFIX),
        };
        let annotation = format!("{prefix}{name}");
        if !is_annotation_key(&annotation) {
            return Err(PlainError::MetadataKey);
        }
        annotations.push((annotation, value.to_owned()));
    }
    let methods = (!methods.is_empty()).then(|| (format!("{prefix}{}", Field::Methods.name()), methods.join(",")));
    annotations.extend(methods);
    Ok(annotations)
}

/// Pairs that give a protocol. Objects and plain annotations without one have the name of their container port.
fn with_protocol<'p, V: AsRef<str>>(pairs: &'p [(&'p str, V)]) -> Vec<(&'p str, &'p str)> {
    let is_protocol = |key: &str| Field::of(key) == Some(Field::Protocol);
    let mut pairs: Vec<(&'p str, &'p str)> = pairs.iter().map(|(key, value)| (*key, value.as_ref())).collect();
    if !pairs.iter().any(|(key, value)| is_protocol(key) && !value.is_empty()) {
        pairs.retain(|(key, _)| !is_protocol(key));
        pairs.insert(pairs.len().min(1), (Field::Protocol.name(), DEFAULT_PROTOCOL));
    }
    pairs
}

/// The pairs as objects and plain annotations have them.
fn written<'p>(pairs: &'p [(&'p str, String)], port: Option<WrittenPort<'p>>) -> Vec<(&'p str, &'p str)> {
    let pairs = with_protocol(pairs);
    let Some(WrittenPort { name, has_protocol }) = port else { return pairs };
    let at_port = |(key, value)| match Field::of(key) {
        Some(Field::Protocol) => Some((key, value)).filter(|_| has_protocol),
        Some(Field::Port) => name.map(|name| (key, name)),
        _ => Some((key, value)),
    };
    pairs.into_iter().filter_map(at_port).collect()
}

/// The object that says the same as the pairs of one registration, with its members in the pairs' order.
pub(super) fn object_of<V: AsRef<str>>(pairs: &[(&str, V)]) -> String {
    object_text_of(with_protocol(pairs))
}

fn object_text_of(pairs: Vec<(&str, &str)>) -> String {
    let (mut members, mut methods, mut metadata) = (Vec::new(), Vec::new(), Vec::new());
    let mut enabled = None;
    for (key, value) in pairs {
        match Field::of(key) {
            None => metadata.push((key, json!(value))),
            Some(Field::Method) => methods.push(value),
            Some(Field::Methods) => methods.extend(value.split(',').map(str::trim).filter(|name| !name.is_empty())),
            Some(Field::Enabled) if value.eq_ignore_ascii_case("false") => enabled = Some(false),
            Some(Field::Disabled) if value.eq_ignore_ascii_case("true") => enabled = Some(false),
            Some(Field::Enabled | Field::Disabled) => {}
            Some(field @ (Field::Port | Field::Weight)) => {
                members.push((field.name(), value.parse().map_or(json!(value), |number: u64| json!(number))));
            }
            Some(field) => members.push((field.name(), json!(value))),
        }
    }
    members.extend(enabled.map(|enabled| (Field::Enabled.name(), json!(enabled))));
    members.extend((!methods.is_empty()).then(|| (Field::Methods.name(), json!(methods))));
    let metadata = (!metadata.is_empty()).then(|| format!("{}:{}", json!(META), object_text(&metadata)));
    let text = object_text(&members);
    match (metadata, text.strip_suffix('}')) {
        (Some(metadata), Some(open)) => format!("{open},{metadata}}}"),
        _ => text,
    }
}

fn object_text(members: &[(&str, Value)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", members.join(","))
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
    use super::super::{Metadata, decode_value};
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
            let decoded = decode_value(&encode(std::slice::from_ref(&registration)));
            assert_eq!(decoded.registrations, [Registration { metadata, ..registration }]);
        }
        assert_eq!(decode_value(&encode(&[])).problems, []);
    }
}
