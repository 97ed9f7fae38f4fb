//! Edits an annotation's value that several writers share: replaces one writer's entries and keeps all others byte for
//! byte.
//!
//! An entry names its writer itself: a registration in fields by a pair `registrar`, an object by that key of its
//! metadata, a registry path by a parameter of that name.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::json;

use super::elements::{Content, Element};
use super::encode::object_of;
use super::field::Field;
use super::{ANNOTATION_LEN_MAX, Problem, Reason, elements, object, path, value};

/// The key of the pair, of the metadata or of the parameter that names a registration's writer.
pub const REGISTRAR: &str = "registrar";

/// Replaces a registrar's entries in a value. The new ones go to its end, in the form of the value: base64 or JSON as it
/// stands, and pairs or objects. `None` if nothing remains.
///
/// An entry is a run of pairs that names its writer: a registration in fields, `interface` first, or a registry path.
///
/// # Errors
/// The value cannot be decoded.
pub fn replace(
    value: Option<&str>,
    registrar: &str,
    entries: &[Vec<(String, String)>],
) -> Result<Option<String>, Problem> {
    let value = value.unwrap_or_default().trim();
    let text = text(value)?;
    let elements = elements::elements(&text)?;
    let others = others(&elements, registrar);
    let inherited =
        inherited(elements.iter().zip(&others).filter_map(|(element, is_others)| is_others.then_some(element)));
    let is_in_paths = |key: &str| key.starts_with('/');
    let is_field = |element: &Element<'_>| element.pair().is_some_and(|pair| !is_in_paths(&pair.key));
    let is_object = |element: &Element<'_>| matches!(element.content, Content::Object(_));
    let has_objects = elements.iter().any(is_object) && !elements.iter().any(is_field);

    let mut list = ArrayWriter::open(&text, &elements);
    elements.iter().zip(others).for_each(|(element, is_others)| list.keep(element, is_others));
    for entry in entries {
        if has_objects && entry.iter().any(|(key, _)| !is_in_paths(key)) {
            let pairs: Vec<(&str, &str)> = entry.iter().map(|(key, value)| (&**key, &**value)).collect();
            list.push(&object_of(&pairs));
        } else {
            let plain = blanks_for_inherited(entry, &inherited);
            entry.iter().chain(&plain).for_each(|(key, value)| list.push(&json!({ "k": key, "v": value }).to_string()));
        }
    }
    let Some(text) = list.close() else { return Ok(None) };
    if value::is_as_it_stands(value) {
        return Ok(Some(text));
    }
    let has_paths = elements.iter().any(|element| element.pair().is_some_and(|pair| is_in_paths(&pair.key)))
        || entries.iter().flatten().any(|(key, _)| is_in_paths(key));
    // dubbo-go reads only the URL-safe alphabet. A value in fields keeps the alphabet that it has.
    let alphabet = if has_paths || value.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    Ok(Some(alphabet.encode(text)))
}

/// Whether a value has entries of a registrar.
///
/// # Errors
/// The value cannot be decoded.
pub fn has_entries(value: Option<&str>, registrar: &str) -> Result<bool, Problem> {
    let text = text(value.unwrap_or_default().trim())?;
    Ok(others(&elements::elements(&text)?, registrar).contains(&false))
}

/// The JSON in a value. An empty value is an empty list.
fn text(value: &str) -> Result<Cow<'_, str>, Problem> {
    if value.len() > ANNOTATION_LEN_MAX {
        return Err(Problem { offset: 0, key: None, reason: Reason::TooLarge });
    }
    if value.is_empty() { Ok("[]".into()) } else { value::text(value) }
}

/// For each element, whether it belongs to another writer. What follows an `interface` belongs to it, up to the next
/// one. An object stands alone.
fn others(elements: &[Element<'_>], registrar: &str) -> Vec<bool> {
    let mut opened = 0;
    let mut homes = Vec::with_capacity(elements.len());
    let mut own = HashSet::new();
    for element in elements {
        let home = match &element.content {
            Content::Pair(pair) if pair.key.starts_with('/') => {
                homes.push(ElementScope::Alone {
                    is_own: path::parameter(pair, REGISTRAR).as_deref() == Some(registrar),
                });
                continue;
            }
            Content::Object(object) => {
                homes.push(ElementScope::Alone {
                    is_own: object::metadata_text(object, REGISTRAR).as_deref() == Some(registrar),
                });
                continue;
            }
            Content::Pair(pair) if Field::of(&pair.key) == Some(Field::Interface) => {
                opened += 1;
                opened
            }
            Content::Pair(pair) => {
                let names_us = pair.value.as_deref() == Ok(registrar);
                if opened > 0 && names_us && pair.key.eq_ignore_ascii_case(REGISTRAR) {
                    own.insert(opened);
                }
                opened
            }
            Content::Bad(_) => opened,
        };
        homes.push(ElementScope::Registration(home));
    }
    let is_others = |home: ElementScope| match home {
        ElementScope::Alone { is_own } => !is_own,
        ElementScope::Registration(number) => !own.contains(&number),
    };
    homes.into_iter().map(is_others).collect()
}

/// What an element is part of.
enum ElementScope {
    /// Of nothing else: a registry path, or an object.
    Alone { is_own: bool },
    /// The registration with this number. 0 is what comes before the first one.
    Registration(usize),
}

/// The fields of the whole process: those before the first `interface`.
fn inherited<'e>(elements: impl Iterator<Item = &'e Element<'e>>) -> BTreeSet<Field> {
    let fields = elements.filter_map(|element| Field::of(&element.pair()?.key));
    fields.take_while(|field| *field != Field::Interface).collect()
}

/// Empty fields that keep a registration from inheriting another writer's fields: one for each that it does not give.
fn blanks_for_inherited(entry: &[(String, String)], inherited: &BTreeSet<Field>) -> Vec<(String, String)> {
    if entry.first().is_none_or(|(key, _)| Field::of(key) != Some(Field::Interface)) {
        return Vec::new();
    }
    let once = |field: Field| if field == Field::Method { Field::Methods } else { field };
    let given: BTreeSet<Field> = entry.iter().filter_map(|(key, _)| Field::of(key)).map(once).collect();
    let wanted: BTreeSet<Field> = inherited.iter().copied().map(once).filter(|field| *field != Field::Port).collect();
    wanted.difference(&given).map(|field| (field.name().to_owned(), String::new())).collect()
}

/// A JSON array under construction, copied in part from the text of another one, or of one object.
struct ArrayWriter<'t> {
    from: &'t str,
    text: String,
    count: usize,
    /// Where the last element ends that was kept or skipped.
    end: usize,
    /// Whether `from` is one object.
    is_object: bool,
}

impl<'t> ArrayWriter<'t> {
    /// Starts with the text before the first element.
    fn open(from: &'t str, elements: &[Element<'_>]) -> ArrayWriter<'t> {
        let is_object = !from.trim_start().starts_with('[');
        let bracket = from.find('[').map_or(0, |at| at + 1);
        let start = elements.first().map_or(bracket, |element| element.offset);
        let text = from.get(..start).unwrap_or_default().to_owned() + if is_object { "[" } else { "" };
        ArrayWriter { from, text, count: 0, end: start, is_object }
    }

    /// Keeps an element and the separator before it, or skips both.
    fn keep(&mut self, element: &Element<'_>, is_kept: bool) {
        let after = element.offset + element.len;
        if is_kept {
            let start = if self.count == 0 { element.offset } else { self.end };
            self.text += self.from.get(start..after).unwrap_or_default();
            self.count += 1;
        }
        self.end = after;
    }

    /// Appends an element to the array.
    fn push(&mut self, element: &str) {
        if self.count > 0 {
            self.text.push(',');
        }
        self.text += element;
        self.count += 1;
    }

    /// Ends the array. `None` if it is empty. One object in place of one object stays an object.
    fn close(self) -> Option<String> {
        let rest = self.from.get(self.end..).unwrap_or_default();
        match (self.count, self.is_object) {
            (0, _) => None,
            (1, true) => Some(self.text.replacen('[', "", 1) + rest),
            (_, true) => Some(self.text + "]" + rest),
            (_, false) => Some(self.text + rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode_value;
    use super::*;

    const FOREIGN: &str = r#"[ {"k":"interface", "v":"org.acme.Other"} , {"v":1,"k":"port","x":[]},7,
        {"k":"/dubbo/a/providers/tri%3A%2F%2F10.0.0.1%3A1%2Fa%3Fregistrar%3Dother","v":""} ]"#;

    fn entry(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn greeter(registrar: &str) -> Vec<(String, String)> {
        entry(&[("interface", "org.acme.Greeter"), ("port", "20880"), (REGISTRAR, registrar)])
    }

    fn path(registrar: &str) -> Vec<(String, String)> {
        let url = format!("/dubbo/a.B/providers/tri%3A%2F%2F10.0.0.1%3A1%2Fa%3Fa%3Db%26registrar%3D{registrar}");
        entry(&[(&url, "")])
    }

    fn text(value: &str) -> String {
        value::text(value).unwrap().into_owned()
    }

    #[test]
    fn a_removed_entry_leaves_the_others_unchanged() {
        let odd = "[ {\"k\":\"zone\",\"v\":\"a\"} ]";
        for before in
            [None, Some(STANDARD.encode(FOREIGN)), Some(STANDARD.encode(odd)), Some(URL_SAFE.encode("[{\"k\":\"/\"}]"))]
        {
            for entries in [vec![greeter("main")], vec![greeter("main"), path("main")], vec![]] {
                let with = replace(before.as_deref(), "main", &entries).unwrap();
                assert_eq!(has_entries(with.as_deref(), "main").unwrap(), !entries.is_empty());
                let again = replace(with.as_deref(), "main", &entries).unwrap();
                assert_eq!(again, with, "a restart replaces its own");
                let two = replace(with.as_deref(), "other-1", &[greeter("other-1")]).unwrap();
                let one = replace(two.as_deref(), "main", &[]).unwrap();
                assert!(!has_entries(one.as_deref(), "main").unwrap());
                let none = replace(one.as_deref(), "other-1", &[]).unwrap();
                assert_eq!(none.as_deref().map(text), before.as_deref().map(text), "{entries:?}");
            }
        }
    }

    #[test]
    fn a_registrar_replaces_only_its_own_entries() {
        let list = format!(
            "[{},{},{},{}]",
            r#"{"k":"registrar","v":"main"}"#, // of the whole process, so another writer's
            r#"{"k":"interface","v":"a.B"},{"k":"port","v":1},{"k":"Registrar","v":"main"},{"k":"zone","v":"x"}"#,
            r#"{"k":"interface","v":"c.D"},{"k":"port","v":2},{"k":"registrar","v":"main2"}"#,
            r#"{"k":"interface","v":"e.F"},{"k":"port","v":3},{"k":"note","v":"main"}"#,
        );
        let left = replace(Some(&STANDARD.encode(&list)), "main", &[]).unwrap().unwrap();
        let interfaces: Vec<String> =
            decode_value(&left).registrations.iter().map(|registration| registration.interface.to_string()).collect();
        assert_eq!(interfaces, ["c.D", "e.F"]);
        assert!(text(&left).starts_with(r#"[{"k":"registrar","v":"main"},{"k":"interface","v":"c.D"}"#));
    }

    #[test]
    fn the_fields_of_another_process_are_not_inherited() {
        let others = r#"[{"k":"group","v":"gray"},{"k":"Weight","v":"0"},{"k":"method","v":"x"},{"k":"ip","v":"10.0.0.9"},
            {"k":"protocol","v":"tri"},{"k":"interface","v":"a.B"},{"k":"port","v":1},{"k":"version","v":"2"}]"#;
        let own = entry(&[("interface", "c.D"), ("port", "2"), ("protocol", "http"), (REGISTRAR, "main")]);
        let value = replace(Some(&STANDARD.encode(others)), "main", &[own]).unwrap().unwrap();
        let decoded = decode_value(&value);
        assert_eq!(decoded.problems, []);
        let [_, ours] = &decoded.registrations[..] else { panic!("{decoded:?}") };
        assert_eq!((&*ours.interface, &*ours.protocol, ours.group.as_deref()), ("c.D", "http", None));
        assert_eq!((ours.weight, ours.enabled, ours.address), (100, true, None));
        assert!(ours.metadata.methods.is_empty());
        assert_eq!(replace(Some(&value), "main", &[]).unwrap().map(|value| text(&value)), Some(others.to_owned()));
    }

    #[test]
    fn paths_are_written_in_the_alphabet_that_dubbo_go_reads() {
        let value = replace(None, "a~?", &[entry(&[("/dubbo/~?~?~?>>>", "")])]).unwrap().unwrap();
        assert!(value.contains(['-', '_']) && !value.contains(['+', '/']), "{value}");
        let plain = replace(None, "main", &[entry(&[("interface", "~?~?~?>>>")])]).unwrap().unwrap();
        assert!(plain.contains(['+', '/']), "{plain}");
    }

    #[test]
    fn what_cannot_be_read_is_reported() {
        for (value, told) in [
            ("%%%", Some(Reason::BadBase64)),
            ("Nw==", Some(Reason::NotAnArray)),
            ("W1", Some(Reason::BadBase64)),
            (&"A".repeat(ANNOTATION_LEN_MAX + 1), Some(Reason::TooLarge)),
            ("W10", None), // an empty list without padding
            (" ", None),
        ] {
            let outcome = replace(Some(value), "main", &[greeter("main")]);
            assert_eq!(outcome.err().map(|problem| problem.reason), told, "{:.20}", value);
        }
    }
}
