//! Encodes bodies that the scripts write in JSON, as a server sends them in either encoding.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::source::kube::body::BodyEncoding;
use crate::source::kube::protobuf::write::{bytes, frame, number, wrapped};

/// Marks a body whose last bytes are missing.
pub(super) const CUT: char = '✂';

/// The number of missing bytes: fewer than the last object of any body has, and more than come after it.
const CUT_LEN: usize = 10;

/// A body in an encoding. Text that is not JSON is sent as it is.
pub(super) fn body(text: &str, encoding: BodyEncoding) -> Vec<u8> {
    let whole = text.trim_end_matches(CUT).trim_end();
    let mut sent = match encoding {
        BodyEncoding::Json => whole.as_bytes().to_vec(),
        BodyEncoding::Protobuf => protobuf(whole),
    };
    if text.ends_with(CUT) {
        sent.truncate(sent.len() - CUT_LEN);
    }
    sent
}

fn protobuf(text: &str) -> Vec<u8> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>();
    let mut sent = Vec::new();
    loop {
        let start = values.byte_offset();
        match values.next() {
            Some(Ok(raw)) => sent.extend(value(raw.get())),
            Some(Err(_)) => return [sent.as_slice(), text[start..].trim_start().as_bytes()].concat(),
            None => return sent,
        }
    }
}

/// An event, a list or a `Status`.
fn value(json: &str) -> Vec<u8> {
    if let Ok(List { kind, metadata, items }) = serde_json::from_str(json) {
        return wrapped(&kind, &list(&metadata, &items));
    }
    let value: Value = serde_json::from_str(json).expect("an event");
    match &value["type"] {
        Value::String(kind) => frame(&[bytes(1, kind.as_bytes()), bytes(2, &bytes(1, &object(&value)))].concat()),
        _ if value["kind"] == "Status" => object(&serde_json::json!({ "object": value })),
        _ => frame(&number(9, 1)),
    }
}

/// A list whose own fields can be read even if an item cannot.
#[derive(serde::Deserialize)]
struct List {
    kind: String,
    metadata: Value,
    items: Vec<Box<RawValue>>,
}

fn list(metadata: &Value, items: &[Box<RawValue>]) -> Vec<u8> {
    let meta = [string(2, &metadata["resourceVersion"]), string(3, &metadata["continue"])].concat();
    let items = items.iter().map(|item| match serde_json::from_str::<Value>(item.get()) {
        Ok(item) => bytes(2, &pod(&item)),
        Err(_) => bytes(2, &[0xff; 12]),
    });
    [bytes(1, &meta)].into_iter().chain(items).collect::<Vec<_>>().concat()
}

/// The object of an event as a self-contained object.
fn object(event: &Value) -> Vec<u8> {
    let object = &event["object"];
    let kind = object["kind"].as_str().unwrap_or(if event["type"] == "ERROR" { "" } else { "Pod" });
    if kind != "Status" {
        return wrapped(kind, &pod(object));
    }
    let code = number(6, object["code"].as_u64().unwrap_or_default());
    wrapped(kind, &[string(3, &object["message"]), string(4, &object["reason"]), code].concat())
}

pub(super) fn pod(pod: &Value) -> Vec<u8> {
    let metadata = &pod["metadata"];
    let names = [(1, "name"), (3, "namespace"), (5, "uid"), (6, "resourceVersion")];
    let names = names.map(|(field, name)| string(field, &metadata[name])).concat();
    let maps = [(11, "labels"), (12, "annotations")].map(|(field, name)| map(field, &metadata[name]));
    let spec = &pod["spec"];
    let containers = [(2, "containers"), (20, "initContainers")];
    let containers = containers.map(|(field, name)| list_of(&spec[name], |one| bytes(field, &container(one))));
    [bytes(1, &[names, maps.concat()].concat()), bytes(2, &containers.concat())].concat()
}

fn container(container: &Value) -> Vec<u8> {
    let port = |port: &Value| {
        let number = number(3, port["containerPort"].as_u64().unwrap_or_default());
        bytes(6, &[string(1, &port["name"]), number, string(4, &port["protocol"])].concat())
    };
    [list_of(&container["ports"], port), string(24, &container["restartPolicy"])].concat()
}

fn list_of(list: &Value, encode: impl FnMut(&Value) -> Vec<u8>) -> Vec<u8> {
    list.as_array().into_iter().flatten().map(encode).collect::<Vec<_>>().concat()
}

fn map(field: u64, entries: &Value) -> Vec<u8> {
    let entries = entries.as_object().into_iter().flatten();
    let entry = |(key, value): (&String, &Value)| bytes(field, &[bytes(1, key.as_bytes()), string(2, value)].concat());
    entries.map(entry).collect::<Vec<_>>().concat()
}

/// A string's field. A number if the value is not a string.
fn string(field: u64, value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => bytes(field, text.as_bytes()),
        Value::Null => Vec::new(),
        _ => number(field, 1),
    }
}
