//! A document as a tree, whether it is written in YAML or in JSON. It knows a string from a number, and refuses a key that
//! stands twice.

mod json;
mod scalar;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;

pub(super) use self::scalar::Number;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    /// With its text in the file, such as `yes`.
    Bool(bool, Box<str>),
    /// As the file writes it.
    Number(Box<str>),
    Text(String),
    List(Vec<Node>),
    Map(Mapping),
}

/// What an object holds.
pub(super) type Mapping = BTreeMap<String, Node>;

/// Why a text is no document.
#[derive(Debug)]
pub(super) struct DocumentFault {
    /// The line of the text, counted from 1, where it is known.
    pub(super) line: Option<u64>,
    pub(super) flaw: Flaw,
}

/// What is wrong with a text. Its words never quote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    NotJson,
    NotYaml(&'static str),
    /// All of it is YAML, but the end is missing.
    BreaksOff(&'static str),
    /// A key stands twice in an object of this language. All before it is right.
    Twice(&'static str),
    /// It is longer than this reader takes.
    TooLong(&'static str),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::NotJson => f.write_str("not JSON: the syntax is wrong"),
            Flaw::NotYaml(reason) | Flaw::BreaksOff(reason) => write!(f, "not YAML: {reason}"),
            Flaw::Twice(language) => write!(f, "not {language}: a key stands twice in one object"),
            Flaw::TooLong(reason) => f.write_str(reason),
        }
    }
}

impl Node {
    /// Reads one document of JSON.
    pub(super) fn of_json(text: &[u8]) -> Result<Node, DocumentFault> {
        json::read(text)
    }

    /// Reads one document of YAML; the text has no other.
    pub(super) fn of_yaml(text: &[u8]) -> Result<Node, DocumentFault> {
        yaml::read(text)
    }

    /// Reads what stands in braces: JSON, or YAML in flow style. The fault is that of JSON.
    pub(super) fn in_braces(text: &[u8]) -> Result<Node, DocumentFault> {
        json::read(text).or_else(|fault| yaml::read(text).map_err(|_| fault))
    }

    /// What it is, for people.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(..) => "a boolean",
            Node::Number(_) => "a number",
            Node::Text(_) => "a string",
            Node::List(_) => "a list",
            Node::Map(_) => "an object",
        }
    }
}
