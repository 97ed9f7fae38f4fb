//! A document as a tree, whether it is written in YAML or in JSON. It knows a string from a number, and refuses a key that
//! stands twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The most nodes of a document, and how deep they may lie.
const NODES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 100;

/// The most bytes of all scalars of a document. Aliases multiply its text, of at most 4 MiB, and this bounds by how much.
const SCALAR_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// As it reads in decimal.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Fields),
}

/// What an object holds.
pub(super) type Fields = BTreeMap<String, Node>;

/// Why a text is no document.
#[derive(Debug)]
pub(super) struct Fault {
    /// The line of the text, counted from 1, where it is known.
    pub(super) line: Option<u64>,
    /// Never quotes the text.
    pub(super) reason: String,
}

impl Node {
    pub(super) fn of_json(text: &[u8]) -> Result<Node, Fault> {
        serde_json::from_slice(text).map_err(|error| {
            let text = error.to_string();
            let reason = if text.contains(TWICE) { TWICE } else { "the syntax is wrong" };
            Fault { line: u64::try_from(error.line()).ok(), reason: format!("not JSON: {reason}") }
        })
    }

    /// Reads one document; the text has no other.
    pub(super) fn of_yaml(text: &[u8]) -> Result<Node, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| Fault { line: None, reason: "not YAML".to_owned() })?;
        let options = serde_saphyr::options! {
            with_snippet: false, // it would quote the file
            budget: serde_saphyr::budget! {
                max_nodes: NODES_MAX,
                max_events: 2 * NODES_MAX,
                max_depth: DEPTH_MAX,
                max_total_scalar_bytes: SCALAR_BYTES_MAX,
            },
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().map(|location| location.line());
            Fault { line, reason: format!("not YAML: {}", plain(&error)) }
        })
    }

    /// What it is, for people.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Number(_) => "a number",
            Node::Text(_) => "a string",
            Node::List(_) => "a list",
            Node::Map(_) => "an object",
        }
    }
}

pub(super) const TWICE: &str = "a key stands twice in one object";

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields = Fields::new();
        while let Some((key, value)) = entries.next_entry()? {
            if fields.insert(key, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Node::Map(fields))
    }
}

/// A YAML error's text in a line, without the place, which is told apart.
fn plain(error: &serde_saphyr::Error) -> String {
    let text = error.render();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text).to_owned()
}
