//! The annotation of a process that registers itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// An annotation's value with these fields.
pub(crate) fn annotation(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<Value> = pairs.iter().map(|(k, v)| json!({ "k": k, "v": v })).collect();
    STANDARD.encode(Value::Array(pairs).to_string())
}
