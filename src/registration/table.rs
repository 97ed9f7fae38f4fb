//! JSON objects of texts in the annotations of other registrars.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Problem, ProblemKey, Reason, json};

/// A key and its value.
pub(super) type Entry<'t> = (Cow<'t, str>, Cow<'t, str>);

/// A member of a JSON object.
type JsonMember<'t> = (Cow<'t, str>, &'t RawValue);

/// Metadata from the annotations of another registrar.
#[derive(Default)]
pub(super) struct MetadataTable<'t> {
    pub entries: Vec<Entry<'t>>,
    /// How many members were left out: their values are arrays or objects.
    pub left_out: u32,
}

impl<'t> MetadataTable<'t> {
    /// Adds the members of a JSON object in an annotation, in the order written.
    ///
    /// # Errors
    /// [`Reason::BadJson`]
    pub(super) fn add(&mut self, text: &'t str, key: &str) -> Result<(), Problem> {
        self.add_members(members(text, key)?);
        Ok(())
    }

    pub(super) fn add_members(&mut self, members: Vec<JsonMember<'t>>) {
        for (name, value) in members {
            match text_of(value) {
                Some(value) => self.entries.push((name, value)),
                None => self.left_out += 1,
            }
        }
    }

    /// The entry of a key, taken out.
    pub(super) fn take(&mut self, key: &str) -> Option<Cow<'t, str>> {
        let at = self.entries.iter().position(|(of, _)| of == key)?;
        Some(self.entries.remove(at).1)
    }

    /// The length of all keys and values, in bytes.
    pub(super) fn len(&self) -> usize {
        self.entries.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

/// The ports in a JSON object of ports and protocols, in the order written. An object with a value that is an array or
/// an object cannot be read.
///
/// # Errors
/// [`Reason::BadJson`]
pub(super) fn ports<'t>(text: &'t str, key: &str) -> Result<Vec<Entry<'t>>, Problem> {
    let entry = |(number, value): JsonMember<'t>| match text_of(value) {
        Some(protocol) => Ok((number, protocol)),
        None => Err(bad_json(value.get().as_ptr().addr().saturating_sub(text.as_ptr().addr()), key)),
    };
    members(text, key)?.into_iter().map(entry).collect()
}

/// The JSON in an annotation.
///
/// # Errors
/// [`Reason::BadJson`] where the text stops being JSON.
pub(super) fn parse<'t>(text: &'t str, key: &str) -> Result<&'t RawValue, Problem> {
    serde_json::from_str(text).map_err(|error| bad_json(json::offset_of(&error, text), key))
}

/// The members of an object. An absent or empty annotation has none, and so has what Kratos takes for empty.
fn members<'t>(text: &'t str, key: &str) -> Result<Vec<JsonMember<'t>>, Problem> {
    if matches!(text.trim_ascii(), "" | "{}" | "null" | "nil" | "[]") {
        return Ok(Vec::new());
    }
    json::members(parse(text, key)?).ok_or_else(|| bad_json(0, key))
}

/// A string, number or boolean as text. Empty for null.
fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    if json::is_null(value) { Some("".into()) } else { json::scalar(value).ok() }
}

fn bad_json(offset: usize, key: &str) -> Problem {
    Problem { offset, key: Some(ProblemKey::json(key)), reason: Reason::BadJson }
}
