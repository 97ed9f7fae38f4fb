//! Values of JSON that count as absent if they have another type than expected.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value that counts as absent if it has another type than expected.
#[derive(Debug)]
pub(super) struct Lenient<T>(pub(super) Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Lenient<T> {
        Lenient(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lenient<T>, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Lenient(serde_json::from_str(raw.get()).ok()))
    }
}

impl Lenient<JsonText<'_>> {
    /// The text. An empty one counts as absent, as in the API.
    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_ref().map(|text| text.0.as_ref()).filter(|text| !text.is_empty())
    }
}

impl<T> Lenient<Vec<Lenient<T>>> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten().filter_map(|item| item.0.as_ref())
    }
}

/// A string, borrowed from the JSON unless it has escapes.
#[derive(Debug, Deserialize)]
pub(super) struct JsonText<'j>(#[serde(borrow)] Cow<'j, str>);

/// Calls `put` for each key of an object that is taken, with its value if that is a text. Skips the others.
pub(super) fn each_text(object: Option<&RawValue>, takes: impl Fn(&str) -> bool, put: impl FnMut(&str, Option<&str>)) {
    if let Some(object) = object {
        // An object that is none has no keys.
        _ = serde_json::Deserializer::from_str(object.get()).deserialize_map(TextVisitor { takes, put });
    }
}

struct TextVisitor<T, P> {
    takes: T,
    put: P,
}

impl<'de, T: Fn(&str) -> bool, P: FnMut(&str, Option<&str>)> Visitor<'de> for TextVisitor<T, P> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(TakenKey(&self.takes))? {
            match key {
                Some(key) => {
                    let value = map.next_value::<Lenient<JsonText<'de>>>()?.0;
                    (self.put)(&key, value.as_ref().map(|text| text.0.as_ref()));
                }
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// Deserializes a key. `None` if it is not taken.
struct TakenKey<'t, T>(&'t T);

impl<'de, T: Fn(&str) -> bool> DeserializeSeed<'de> for TakenKey<'_, T> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, T: Fn(&str) -> bool> Visitor<'de> for TakenKey<'_, T> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok((self.0)(key).then_some(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok((self.0)(key).then(|| Cow::Owned(key.to_owned())))
    }
}
