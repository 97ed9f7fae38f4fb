//! Reads JSON.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DocumentFault, Flaw, Mapping, Node, yaml};

pub(super) fn read(text: &[u8]) -> Result<Node, DocumentFault> {
    let seen = JsonSeed::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = seen.deserialize(&mut deserializer).and_then(|node| deserializer.end().map(|()| node));
    match read {
        // serde_json gives no number's text. YAML does, and valid JSON reads the same in it.
        Ok(node) if seen.fraction.get() => Ok(yaml::read(text).unwrap_or(node)),
        Ok(node) => Ok(node),
        Err(error) => {
            let flaw = if seen.twice.get() { Flaw::Twice("JSON") } else { Flaw::NotJson };
            Err(DocumentFault { line: u64::try_from(error.line()).ok(), flaw })
        }
    }
}

/// What the reader met beside the values.
#[derive(Default)]
struct JsonSeed {
    /// A key that stands twice.
    twice: Cell<bool>,
    /// A number that is not whole, or that is too large for 64 bits.
    fraction: Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for &JsonSeed {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &JsonSeed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value, if value { "true" } else { "false" }.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string().into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string().into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        self.fraction.set(true);
        Ok(Node::Number(value.to_string().into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields = Mapping::new();
        while let Some(key) = entries.next_key()? {
            if fields.insert(key, entries.next_value_seed(self)?).is_some() {
                self.twice.set(true);
                return Err(A::Error::custom("a key stands twice"));
            }
        }
        Ok(Node::Map(fields))
    }
}
