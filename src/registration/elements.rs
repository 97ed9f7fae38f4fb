//! Splits an annotation's JSON into its elements. Keeps the offset of each, and decodes no more than `k` and `v`.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::field::MEMBERS;
use super::json::{members, offset_of, scalar, string};
use super::{Problem, Reason};

/// One element of the array, or the object that stands for an array of one.
pub(super) struct Element<'t> {
    /// Where it begins, in bytes of the JSON.
    pub offset: usize,
    /// Its length, in bytes of the JSON.
    pub len: usize,
    /// Its decoded content.
    pub content: Content<'t>,
}

/// What an element is.
pub(super) enum Content<'t> {
    /// A pair of `k` and `v`.
    Pair(Pair<'t>),
    /// A registration of its own.
    Object(&'t RawValue),
    /// Neither.
    Bad(BadPair),
}

impl<'t> Element<'t> {
    /// Its pair, if it is one.
    pub(super) fn pair(&self) -> Option<&Pair<'t>> {
        match &self.content {
            Content::Pair(pair) => Some(pair),
            Content::Object(_) | Content::Bad(_) => None,
        }
    }
}

/// A `k` with its `v`. If the `v` is invalid, the `k` still names the lost field.
pub(super) struct Pair<'t> {
    /// The value of `k`.
    pub key: Cow<'t, str>,
    /// The value of `v` as text. Empty if there is none; numbers as written.
    pub value: Result<Cow<'t, str>, Reason>,
}

/// Why an element is not a pair.
#[derive(Clone, Copy)]
pub(super) struct BadPair {
    /// The member at fault, if it is a single one.
    pub member: Option<&'static str>,
    /// What is wrong.
    pub reason: Reason,
}

/// Splits JSON into its elements: those of an array, or one object.
///
/// # Errors
/// [`Reason::BadJson`] where the text stops being JSON. Nothing is kept then, because a torn write may have lost the
/// rest. [`Reason::NotAnArray`] for any other JSON, and for a pair outside an array.
pub(super) fn elements(text: &str) -> Result<Vec<Element<'_>>, Problem> {
    let bad_json = |error| Problem { offset: offset_of(&error, text), key: None, reason: Reason::BadJson };
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'); // RFC 8259 §2
    let start = text.bytes().take_while(is_white).count();
    if text.as_bytes().get(start) != Some(&b'[') {
        let raw: &RawValue = serde_json::from_str(text).map_err(bad_json)?;
        let is_object = raw.get().starts_with('{') && !matches!(content(raw), Content::Pair(_));
        let element = || Element { offset: start, len: raw.get().len(), content: Content::Object(raw) };
        let not_an_array = Problem { offset: start, key: None, reason: Reason::NotAnArray };
        return if is_object { Ok(vec![element()]) } else { Err(not_an_array) };
    }
    let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(bad_json)?;
    let elements = raw.into_iter().map(|raw| Element {
        offset: raw.get().as_ptr().addr() - text.as_ptr().addr(), // the element is a slice of the text
        len: raw.get().len(),
        content: content(raw),
    });
    Ok(elements.collect())
}

fn content(raw: &RawValue) -> Content<'_> {
    let bad = |member, reason| Content::Bad(BadPair { member, reason });
    if !raw.get().starts_with('{') {
        return bad(None, Reason::NotAPair);
    }
    let Ok(members) = serde_json::from_str::<RawPair<'_>>(raw.get()) else {
        return bad(None, Reason::NotAPair);
    };
    if members.has_interface {
        return Content::Object(raw);
    }
    if let Some(member) = members.repeated {
        return bad(Some(member), Reason::Repeated);
    }
    match (members.k.map(string), members.v) {
        (Some(Ok(key)), value) => Content::Pair(Pair { key, value: value.map_or(Ok("".into()), scalar) }),
        (Some(Err(_)), _) => bad(None, Reason::NotAPair),
        (None, None) if has_member(raw) => Content::Object(raw),
        (None, _) => bad(None, Reason::NoKey),
    }
}

/// Whether an object without `interface` is meant as a registration: it has another of its members.
fn has_member(raw: &RawValue) -> bool {
    members(raw).is_some_and(|members| members.iter().any(|(name, _)| MEMBERS.contains(&&**name)))
}

/// The members `k` and `v` of an object, and whether it has an `interface`. A derived implementation would accept an array
/// too, and would take `null` for an absent member.
#[derive(Default)]
struct RawPair<'t> {
    k: Option<&'t RawValue>,
    v: Option<&'t RawValue>,
    repeated: Option<&'static str>,
    has_interface: bool,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum RawPairKey {
    K,
    V,
    Interface,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for RawPair<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawPairVisitor)
    }
}

struct RawPairVisitor;

impl<'de> Visitor<'de> for RawPairVisitor {
    type Value = RawPair<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with k and v")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPair<'de>, A::Error> {
        let mut members = RawPair::default();
        while let Some(member) = map.next_key::<RawPairKey>()? {
            let (name, place) = match member {
                RawPairKey::K => ("k", &mut members.k),
                RawPairKey::V => ("v", &mut members.v),
                RawPairKey::Interface | RawPairKey::Other => {
                    members.has_interface |= matches!(member, RawPairKey::Interface);
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if place.replace(map.next_value()?).is_some() {
                members.repeated = Some(name);
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_array_is_refused_whole() {
        for (json, offset, reason) in [
            ("", 0, Reason::BadJson),
            ("  ", 2, Reason::BadJson),
            ("这", 0, Reason::BadJson),
            ("{\"k\":\"a\"}", 0, Reason::NotAnArray),
            ("\n \"[]\"", 2, Reason::NotAnArray),
            ("null", 0, Reason::NotAnArray),
            ("{\"k\":", 5, Reason::BadJson),
            ("[1,2", 4, Reason::BadJson),
            ("[1,\n2,\nx]", 7, Reason::BadJson),
            ("[1,]", 3, Reason::BadJson),
            ("[] x", 3, Reason::BadJson),
            ("[\"\n\"]", 1, Reason::BadJson), // a string must not contain it
            ("\u{feff}[]", 0, Reason::BadJson),
        ] {
            let problem = elements(json).err().map(|problem| (problem.offset, problem.key, problem.reason));
            assert_eq!(problem, Some((offset, None, reason)), "{json:?}");
        }
    }

    #[test]
    fn elements_have_their_places() {
        let json = " [ {\"k\":\"é\"} ,\n7,{\"v\":1e3,\"x\":[[]],\"k\":\"\\u00e9\"}]";
        let places: Vec<&str> = elements(json).unwrap().iter().map(|one| &json[one.offset..][..one.len]).collect();
        assert_eq!(places, ["{\"k\":\"é\"}", "7", "{\"v\":1e3,\"x\":[[]],\"k\":\"\\u00e9\"}"]);
        assert!(elements(&format!("[{}1{}]", "[".repeat(90_000), "]".repeat(90_000))).is_ok(), "depth costs no stack");
    }

    #[test]
    fn a_pair_is_an_object_with_k() {
        for (json, expected) in [
            (r#"{"k":"a","v":"b"}"#, Ok(("a", Ok("b")))),
            (r#"{"k":"a"}"#, Ok(("a", Ok("")))),
            (r#"{"v":20880,"k":"a","more":{"k":1}}"#, Ok(("a", Ok("20880")))),
            (r#"{"k":"a","v":-1.50}"#, Ok(("a", Ok("-1.50")))),
            (r#"{"k":"a","v":true}"#, Ok(("a", Ok("true")))),
            (r#"{"k":"a","v":null}"#, Ok(("a", Err(Reason::BadValue)))),
            (r#"{"k":"a","v":[]}"#, Ok(("a", Err(Reason::BadValue)))),
            (r#"{"k":"a","v":{}}"#, Ok(("a", Err(Reason::BadValue)))),
            (r#"{"k":"a","v":"\ud800"}"#, Ok(("a", Err(Reason::BadValue)))),
            (r#"{"v":"b"}"#, Err((None, Reason::NoKey))),
            (r#"{"K":"a"}"#, Err((None, Reason::NoKey))),
            (r#"{"k":null}"#, Err((None, Reason::NotAPair))),
            (r#"{"k":"\ud800"}"#, Err((None, Reason::NotAPair))),
            (r#"["a","b"]"#, Err((None, Reason::NotAPair))),
            (r#""a""#, Err((None, Reason::NotAPair))),
            (r#"{"k":"a","k":"a"}"#, Err((Some("k"), Reason::Repeated))),
            (r#"{"k":"a","v":1,"v":2}"#, Err((Some("v"), Reason::Repeated))),
        ] {
            let content = content(serde_json::from_str(json).unwrap());
            let read = match &content {
                Content::Pair(pair) => Ok((&*pair.key, pair.value.as_deref().map_err(|reason| *reason))),
                Content::Object(_) => panic!("{json} is an object"),
                Content::Bad(bad) => Err((bad.member, bad.reason)),
            };
            assert_eq!(read, expected, "{json}");
        }
    }
}
