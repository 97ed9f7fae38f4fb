//! Parts of JSON, read only as far as they are asked for: scalars, arrays, and objects with repeated members.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Reason;

/// Converts a line and a column of serde_json into an offset. Its columns count bytes from 1.
pub(super) fn offset_of(error: &serde_json::Error, text: &str) -> usize {
    if error.is_eof() {
        return text.len();
    }
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    (line_start + error.column().saturating_sub(1)).min(text.len())
}

/// A string, number or boolean as text.
pub(super) fn scalar(raw: &RawValue) -> Result<Cow<'_, str>, Reason> {
    match raw.get().as_bytes().first() {
        Some(b'"') => string(raw).map_err(|_| Reason::BadValue), // half of a surrogate pair
        Some(b'-' | b'0'..=b'9' | b't' | b'f') => Ok(raw.get().into()),
        _ => Err(Reason::BadValue),
    }
}

/// A string, borrowed from the text if it has no escapes.
pub(super) fn string(raw: &RawValue) -> Result<Cow<'_, str>, serde_json::Error> {
    match raw.get().strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(plain) if !plain.as_bytes().contains(&b'\\') => Ok(plain.into()),
        _ => serde_json::from_str::<String>(raw.get()).map(Cow::Owned),
    }
}

pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// The elements of an array. `None` if it is none.
pub(super) fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    if raw.get().starts_with('[') { serde_json::from_str(raw.get()).ok() } else { None }
}

/// The members of an object in the order written. `None` if it is none, or if a name is half of a surrogate pair.
pub(super) fn members(raw: &RawValue) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    serde_json::from_str::<AllMembers<'_>>(raw.get()).ok().map(|members| members.0)
}

/// An object whose members are asked for by name.
pub(super) struct Object<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Object<'t> {
    /// `None` if it is no object.
    pub(super) fn of(raw: &'t RawValue) -> Option<Object<'t>> {
        members(raw).map(Object)
    }

    /// The member of a name, unless it is null.
    pub(super) fn member(&self, name: &str) -> Option<&'t RawValue> {
        let member = self.0.iter().find(|(of, _)| of == name).map(|(_, value)| *value);
        member.filter(|value| !is_null(value))
    }

    /// The text of a member. Empty if it is absent, `None` if it is an array or an object.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'t, str>> {
        self.member(name).map_or(Some("".into()), |value| scalar(value).ok())
    }

    /// The elements of a member. None if it is no array.
    pub(super) fn items(&self, name: &str) -> impl Iterator<Item = &'t RawValue> {
        self.member(name).and_then(items).unwrap_or_default().into_iter()
    }
}

/// All members of an object, with repeats.
struct AllMembers<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

/// A member's name, borrowed from the text if it has no escapes.
#[derive(serde::Deserialize)]
struct MemberName<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'de> Deserialize<'de> for AllMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AllMembersVisitor)
    }
}

struct AllMembersVisitor;

impl<'de> Visitor<'de> for AllMembersVisitor {
    type Value = AllMembers<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AllMembers<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((MemberName(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(AllMembers(members))
    }
}
