//! What to write for a value that must be a string and is not.

use std::fmt::Display;

use crate::object_name::{is_namespace, is_pod_name};
use crate::source::files::node::Node;
use crate::source::selector::check_value;

use super::is_address;

pub(super) const VERSION: &str = "\"v1\"";
pub(super) const NAMESPACE: &str = "lower case letters, digits and - inside, up to 63";
pub(super) const NAME: &str = "lower case letters, digits, and - and . inside, up to 253";
pub(super) const PHASE: &str = "\"Pending\", \"Running\", \"Succeeded\", \"Failed\" or \"Unknown\"";
pub(super) const TRUTH: &str = "\"True\", \"False\" or \"Unknown\"";
pub(super) const ADDRESS: &str = "one such as \"10.0.0.1\" or \"fd00::1\"";
pub(super) const PROTOCOL: &str = "\"TCP\", \"UDP\" or \"SCTP\"";
pub(super) const PORT_NAME: &str =
    "up to 15 lower-case letters, digits and hyphens, with a letter, and without a hyphen at an end or beside another";
pub(super) const TIME: &str = "one such as \"2026-01-02T03:04:05Z\"";

/// Why a value that must be a string is refused, and what to write instead: its own text in quotes, if that fits the field
/// and is not private.
pub(in crate::source::files) fn no_string(field: impl Display, value: &Node, is_private: bool) -> String {
    let (field, noun) = (field.to_string(), value.noun());
    let due = match value {
        Node::Null => "\"\", or leave the field out".to_owned(),
        Node::Bool(_, text) | Node::Number(text) => match of(&field) {
            Some(Rule { fits, due }) if !fits(text) => due.to_owned(),
            _ if is_private => "the value in quotes".to_owned(),
            _ => format!("\"{text}\""),
        },
        _ => "a text in quotes".to_owned(),
    };
    format!("{field} is {noun} but must be a string: write {due}")
}

/// The valid texts of a field.
struct Rule {
    fits: fn(&str) -> bool,
    due: &'static str,
}

/// The rule of a field. `None` if every text fits.
fn of(field: &str) -> Option<Rule> {
    let (fits, due): (fn(&str) -> bool, _) = match field.rsplit("].").next().unwrap_or(field) {
        "kind" => (|_| false, "one such as \"Pod\""),
        "apiVersion" => (|_| false, VERSION),
        "metadata.namespace" => (is_namespace, NAMESPACE),
        "metadata.name" => (is_pod_name, NAME),
        "status.phase" => (|_| false, PHASE),
        "status.podIP" | "status.hostIP" | "ip" => (is_address, ADDRESS),
        _ if field.contains("metadata.labels[") => (|text| check_value(text).is_ok(), "the value of a label in quotes"),
        _ => return None,
    };
    Some(Rule { fits, due })
}
