//! `[[profile]]` tables as the operator writes them.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// A `[[profile]]` table. The keys from `interface` on are those of a mapping: they say where each field stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileTable {
    /// The name in metrics and messages.
    pub name: Option<String>,
    /// The label selector of its Pods.
    pub selector: Option<String>,
    /// The key of the annotation with the registrations.
    #[serde(deserialize_with = "source")]
    pub annotation: Option<String>,
    /// The name of an encoding. `None`: pairs.
    #[serde(deserialize_with = "source")]
    pub encoding: Option<String>,
    /// Whether plain annotations are read too.
    pub plain: bool,
    /// `=TEXT`, `label:KEY` or `annotation:KEY`
    #[serde(deserialize_with = "source")]
    pub interface: Option<String>,
    /// `=TEXT`, `label:KEY` or `annotation:KEY`
    #[serde(deserialize_with = "source")]
    pub group: Option<String>,
    /// `=TEXT`, `label:KEY` or `annotation:KEY`
    #[serde(deserialize_with = "source")]
    pub version: Option<String>,
    /// `=TEXT`, `label:KEY` or `annotation:KEY`
    #[serde(deserialize_with = "source")]
    pub protocol: Option<String>,
    /// `=TEXT`, `label:KEY`, `annotation:KEY`, `port:NAME` or `port:*`
    #[serde(deserialize_with = "source")]
    pub port: Option<String>,
    /// `annotation:KEY`
    #[serde(deserialize_with = "source")]
    pub ports: Option<String>,
    /// `=NUMBER`, `label:KEY` or `annotation:KEY`
    #[serde(deserialize_with = "source")]
    pub weight: Option<String>,
    /// `=TEXT`, `label:KEY` or `annotation:KEY`
    #[serde(deserialize_with = "source")]
    pub application: Option<String>,
    /// Each is `annotation:KEY` or `prefix:KEY`.
    #[serde(deserialize_with = "sources")]
    pub metadata: Vec<String>,
}

impl ProfileTable {
    /// The first key of a mapping that is given.
    pub(super) fn first_mapping_key(&self) -> Option<&'static str> {
        let ProfileTable { interface, group, version, protocol, port, ports, weight, application, metadata, .. } = self;
        let keys = [
            ("interface", interface.is_some()),
            ("group", group.is_some()),
            ("version", version.is_some()),
            ("protocol", protocol.is_some()),
            ("port", port.is_some()),
            ("ports", ports.is_some()),
            ("weight", weight.is_some()),
            ("application", application.is_some()),
            ("metadata", !metadata.is_empty()),
        ];
        keys.into_iter().find_map(|(key, is_given)| is_given.then_some(key))
    }
}

/// A value of a mapping.
#[derive(Deserialize)]
#[serde(untagged)]
enum MappingValue {
    Text(String),
    Other(IgnoredAny),
}

impl MappingValue {
    /// Its text. A value that is no text, such as `8080`, becomes a text that means nothing in a mapping. The mapping's error then names
    /// the key, and what may stand there.
    fn into_text(self) -> String {
        match self {
            MappingValue::Text(text) => text,
            MappingValue::Other(_) => "?".to_owned(),
        }
    }
}

/// One or several values of a mapping.
#[derive(Deserialize)]
#[serde(untagged)]
enum MappingValues {
    Several(Vec<MappingValue>),
    One(MappingValue),
}

fn source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    MappingValue::deserialize(deserializer).map(|value| Some(value.into_text()))
}

/// Reads an array of texts, or one text with commas.
fn sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match MappingValues::deserialize(deserializer)? {
        MappingValues::Several(values) => values.into_iter().map(MappingValue::into_text).collect(),
        MappingValues::One(value) => {
            let text = value.into_text();
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
    })
}
