//! `[[profile]]` tables as the operator writes them.

use std::fmt;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};
use toml::Value;

use super::options::split_list;

/// A `[[profile]]` table. The keys from `interface` on are those of a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileOption {
    /// The name in metrics and messages.
    pub name: Option<String>,
    pub selector: Option<String>,
    pub annotation: Option<String>,
    pub encoding: Option<String>,
    pub plain: bool,
    #[serde(deserialize_with = "source")]
    pub interface: Option<String>,
    #[serde(deserialize_with = "source")]
    pub group: Option<String>,
    #[serde(deserialize_with = "source")]
    pub version: Option<String>,
    #[serde(deserialize_with = "source")]
    pub protocol: Option<String>,
    #[serde(deserialize_with = "source")]
    pub port: Option<String>,
    #[serde(deserialize_with = "source")]
    pub ports: Option<String>,
    #[serde(deserialize_with = "source")]
    pub weight: Option<String>,
    #[serde(deserialize_with = "source")]
    pub application: Option<String>,
    #[serde(deserialize_with = "sources")]
    pub metadata: Vec<String>,
}

/// Reads the tables.
pub(super) fn tables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ProfileOption>, D::Error> {
    struct TablesVisitor;

    impl<'de> Visitor<'de> for TablesVisitor {
        type Value = Vec<ProfileOption>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("tables, each under a line `[[profile]]`")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, tables: A) -> Result<Vec<ProfileOption>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(tables))
        }
    }

    deserializer.deserialize_any(TablesVisitor)
}

/// Reads a text of a mapping.
fn source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Value::deserialize(deserializer).map(|value| Some(text(value)))
}

/// Reads an array of such texts, or one text with commas.
fn sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(values) => values.into_iter().map(text).collect(),
        value => split_list(&text(value)).map(str::to_owned).collect(),
    })
}

/// A value that is no text, such as `8080`, becomes a text that means nothing in a mapping. The mapping's error then names
/// the key, and what may stand there.
fn text(value: Value) -> String {
    if let Value::String(text) = value { text } else { "?".to_owned() }
}
