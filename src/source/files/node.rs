//! A document as a tree, from YAML or JSON. A string stays different from a number, and an object that has a key twice is refused.

mod json;
mod scalar;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;

pub(super) use self::scalar::Number;

/// The text of a document, or the line of its first byte that is not text.
fn text_of(bytes: &[u8]) -> Result<&str, DocumentFault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let lines = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        DocumentFault { line: u64::try_from(lines + 1).ok(), flaw: Flaw::NotText }
    })
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    /// The value, and its text in the file, such as `yes`.
    Bool(bool, Box<str>),
    /// As the file writes it.
    Number(Box<str>),
    Text(String),
    List(Vec<Node>),
    Map(NodeMap),
}

/// The keys and values of an object.
pub(super) type NodeMap = BTreeMap<String, Node>;

/// Why a text is not a document.
#[derive(Debug)]
pub(super) struct DocumentFault {
    /// The line of the text, counted from 1, if known.
    pub(super) line: Option<u64>,
    pub(super) flaw: Flaw,
}

/// What is wrong with a text. Its words never quote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A byte is not text.
    NotText,
    NotJson,
    NotYaml(&'static str),
    /// An alias of YAML has no anchor before it.
    NoAnchor,
    /// The text is YAML, but its end is missing.
    BreaksOff(&'static str),
    /// An object in this language has a key twice. The text before it is correct.
    Twice(&'static str),
    /// The text is longer than this reader takes.
    TooLong(&'static str),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::NotText => f.write_str("a byte is neither UTF-8 nor UTF-16: save the file as UTF-8"),
            Flaw::NotJson => f.write_str("not JSON: the syntax is wrong"),
            Flaw::NotYaml(reason) | Flaw::BreaksOff(reason) => write!(f, "not YAML: {reason}"),
            Flaw::NoAnchor => f.write_str(
                "not YAML: an alias (*) has no anchor (&) before it: write a text that begins with * in quotes",
            ),
            Flaw::Twice(language) => write!(f, "not {language}: an object has a key twice"),
            Flaw::TooLong(reason) => f.write_str(reason),
        }
    }
}

impl Node {
    /// Reads one document of JSON.
    pub(super) fn of_json(text: &[u8]) -> Result<Node, DocumentFault> {
        json::read(text_of(text)?)
    }

    /// Reads a text of one document of YAML.
    pub(super) fn of_yaml(text: &[u8]) -> Result<Node, DocumentFault> {
        yaml::read(text_of(text)?)
    }

    /// Reads JSON or YAML in flow style. The fault is that of JSON.
    pub(super) fn in_braces(text: &[u8]) -> Result<Node, DocumentFault> {
        let text = text_of(text)?;
        json::read(text).or_else(|fault| yaml::read(text).map_err(|_| fault))
    }

    /// The kind of value, for people.
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
