//! Reads JSON as Go does, which kubectl is written in, but refuses an object that has a key twice.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DocumentFault, Flaw, Node, NodeMap, yaml};

pub(super) fn read(text: &str) -> Result<Node, DocumentFault> {
    match parse(text) {
        Err(DocumentFault { line, flaw: Flaw::NotJson }) => match without_half_pairs(text) {
            Some(text) => parse(&text),
            None => Err(DocumentFault { line, flaw: Flaw::NotJson }),
        },
        read => read,
    }
}

fn parse(text: &str) -> Result<Node, DocumentFault> {
    let seen = JsonSeed::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = seen.deserialize(&mut deserializer).and_then(|node| deserializer.end().map(|()| node));
    match read {
        // serde_json drops the text of a number. YAML keeps it, and reads valid JSON alike.
        Ok(node) if seen.fraction.get() => Ok(yaml::read(text).unwrap_or(node)),
        Ok(node) => Ok(node),
        Err(error) => {
            let flaw = if seen.twice.get() { Flaw::Twice("JSON") } else { Flaw::NotJson };
            Err(DocumentFault { line: u64::try_from(error.line()).ok(), flaw })
        }
    }
}

/// Replaces each escape of half a UTF-16 pair, such as `\ud800` alone, with `\ufffd`, as Go reads it. serde_json refuses
/// such an escape. `None` if there is none.
fn without_half_pairs(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let (kept, len) = match (unit(escape), escape.get(ESCAPE_LEN..).and_then(unit)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (escape.get(..2 * ESCAPE_LEN), 2 * ESCAPE_LEN),
            (Some(0xd800..0xe000), _) => (Some("\\ufffd"), ESCAPE_LEN),
            // The second character of an escape may be another backslash.
            _ => (escape.get(..2), 2),
        };
        mended.push_str(kept?);
        rest = escape.get(len..)?;
    }
    mended.push_str(rest);
    (mended != text).then_some(mended)
}

/// The bytes of an escape with a UTF-16 unit: `\u` and four hexadecimal digits.
const ESCAPE_LEN: usize = 6;

/// The UTF-16 unit of the escape that a text begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// What the reader finds beside the values.
#[derive(Default)]
struct JsonSeed {
    /// Whether an object has a key twice.
    twice: Cell<bool>,
    /// Whether a number is not whole, or too large for 64 bits.
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
        let mut fields = NodeMap::new();
        while let Some(key) = entries.next_key()? {
            if fields.insert(key, entries.next_value_seed(self)?).is_some() {
                self.twice.set(true);
                return Err(A::Error::custom("an object has a key twice"));
            }
        }
        Ok(Node::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of Go 1.25.
    #[test]
    fn an_escape_of_half_a_pair_is_read_as_go_reads_it() {
        for (text, expected) in [
            (r"\ud800x", Some("\u{fffd}x")),
            (r"a\udc00", Some("a\u{fffd}")),
            (r"\ud800\u0041", Some("\u{fffd}A")),
            (r"\ud800\ud800\udc00", Some("\u{fffd}\u{10000}")),
            (r"\uD800\n\uDFFF", Some("\u{fffd}\n\u{fffd}")),
            (r"\\ud800\ud800", Some("\\ud800\u{fffd}")),
            (r"\ud83d\ude00", Some("\u{1f600}")),
            (r"\ud8", None),
            (r"\ud800\q", None),
            (r"\ud800\é", None),
        ] {
            let read = read(&format!("[\"{text}\", 1.50]")).ok();
            let expected =
                expected.map(|text| Node::List(vec![Node::Text(text.to_owned()), Node::Number("1.50".into())]));
            assert_eq!(read, expected, "{text}");
        }
        let twice = read(r#"{"\ud800": 1, "\udc00": 2}"#).err();
        assert_eq!(twice.map(|fault| fault.flaw), Some(Flaw::Twice("JSON")));
    }
}
