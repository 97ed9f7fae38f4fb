//! Splits an annotation's value into the elements of its JSON. Keeps the offset of each, and decodes no more than `k` and
//! `v`.

use std::borrow::Cow;

use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::field::MEMBERS;
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

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_ALPHABET: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const URL_SAFE_ALPHABET: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The JSON in a value: the value as it stands if it begins with `[` or `{`, which are in no base64 alphabet.
///
/// # Errors
/// [`Reason::BadBase64`] at the byte that is not in the alphabet, or at the value's end. [`Reason::BadUtf8`] at the first
/// byte that is not text.
pub(super) fn text(value: &str) -> Result<Cow<'_, str>, Problem> {
    if is_as_it_stands(value) {
        return Ok(value.into());
    }
    String::from_utf8(bytes(value)?).map(Cow::Owned).map_err(|error| Problem {
        offset: error.utf8_error().valid_up_to(),
        key: None,
        reason: Reason::BadUtf8,
    })
}

/// Whether a value is JSON without base64 around it.
pub(super) fn is_as_it_stands(value: &str) -> bool {
    value.trim_ascii_start().starts_with(['[', '{'])
}

/// Decodes base64: in either alphabet but not a mix, padded or not, with white space anywhere (`base64` wraps its
/// lines, and `kubectl annotate` keeps the breaks).
///
/// # Errors
/// [`Reason::BadBase64`] at the byte that is not in the alphabet, or at the value's end.
fn bytes(value: &str) -> Result<Vec<u8>, Problem> {
    if let Ok(bytes) = STANDARD_ALPHABET.decode(value) {
        return Ok(bytes); // most values are on one line
    }
    let symbols: Vec<u8> = value.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let is_url_safe = symbols.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if is_url_safe { URL_SAFE_ALPHABET } else { STANDARD_ALPHABET };
    engine.decode(&symbols).map_err(|error| {
        let symbol = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol { offset: at, .. } => at,
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => symbols.len(),
        };
        let mut places = value.bytes().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
        let offset = places.nth(symbol).map_or(value.len(), |(place, _)| place);
        Problem { offset, key: None, reason: Reason::BadBase64 }
    })
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

/// Converts a line and a column of serde_json into an offset. Its columns count bytes from 1.
pub(super) fn offset_of(error: &serde_json::Error, text: &str) -> usize {
    if error.is_eof() {
        return text.len();
    }
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    (line_start + error.column().saturating_sub(1)).min(text.len())
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

/// A string, number or boolean as text.
pub(super) fn scalar(raw: &RawValue) -> Result<Cow<'_, str>, Reason> {
    match raw.get().as_bytes().first() {
        Some(b'"') => string(raw).map_err(|_| Reason::BadValue), // half of a surrogate pair
        Some(b'-' | b'0'..=b'9' | b't' | b'f') => Ok(raw.get().into()),
        _ => Err(Reason::BadValue),
    }
}

/// A string, borrowed from the text if it has no escapes.
fn string(raw: &RawValue) -> Result<Cow<'_, str>, serde_json::Error> {
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
    fn base64_is_read_in_either_alphabet() {
        for (value, expected) in [
            ("", Ok(&b""[..])),
            ("+/8=", Ok(b"\xfb\xff")),
            ("-_8=", Ok(b"\xfb\xff")),
            ("-_8", Ok(b"\xfb\xff")),
            (" +/\r\n8\t=\n", Ok(b"\xfb\xff")),
            ("+_8=", Err(0)),
            ("-/8=", Err(1)),
            ("QUJD*", Err(4)),
            ("QU\nJD\n*", Err(6)),
            ("QUJDé", Err(4)),
            ("QUJDR", Err(5)),
            ("QUJD\nR", Err(6)),
            ("QR==", Err(1)),
            ("QQ==QQ==", Err(2)),
        ] {
            let read = bytes(value).map_err(|problem| {
                assert_eq!((problem.key, problem.reason), (None, Reason::BadBase64), "{value:?}");
                problem.offset
            });
            assert_eq!(read.as_deref(), expected.as_deref(), "{value:?}");
        }
    }

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
