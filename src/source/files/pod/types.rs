//! Checks a Pod's keys and the types of its values, as the API server's strict decoding does.
//!
//! An unknown key is a fault, because it is most likely a misspelt key with a meaning.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use super::rule::{self, no_string};
use crate::registration::{is_secret_key, shown_key};
use crate::source::files::node::{Node, NodeMap, Number};
use crate::source::kube::pod_object::seconds;

/// The type of a Pod in the table.
const POD: &str = "Pod";

/// The most characters of a key that an error shows.
const KEY_LEN_MAX: usize = 63;

static TYPES: LazyLock<PodTypes> = LazyLock::new(|| PodTypes::read(include_str!("pod.keys")));

/// Calls `refuse` for each value of a wrong type, and for each key that a Pod does not have.
pub(super) fn check(pod: &NodeMap, refuse: &mut dyn FnMut(String)) {
    TYPES.check_object(POD, pod, &ValuePath::Root, refuse);
}

/// All types, each with its keys.
struct PodTypes(HashMap<&'static str, BTreeMap<&'static str, ValueType>>);

/// The type of a value. Null means absent everywhere, as for the API server.
#[derive(Debug)]
enum ValueType {
    Text,
    /// The text `True`, `False` or `Unknown`.
    Truth,
    Flag,
    Int32,
    Int64,
    IntOrString,
    Quantity,
    Time,
    Any,
    List(Box<ValueType>),
    /// An object with free keys.
    Each(Box<ValueType>),
    /// An object of this type.
    Object(&'static str),
}

/// The path of a value.
enum ValuePath<'p> {
    Root,
    Key(&'p ValuePath<'p>, &'p str),
    FreeKey(&'p ValuePath<'p>, &'p str),
    Item(&'p ValuePath<'p>, usize),
}

impl PodTypes {
    /// Reads the table. A word without a colon names a type, and the words after it are its keys.
    fn read(table: &'static str) -> PodTypes {
        let mut types: HashMap<_, BTreeMap<_, _>> = HashMap::new();
        let mut name = "";
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            for word in line.split_whitespace() {
                match word.split_once(':') {
                    Some((key, value_type)) => {
                        _ = types.entry(name).or_default().insert(key, ValueType::read(value_type))
                    }
                    None => name = word,
                }
            }
        }
        PodTypes(types)
    }

    fn check_object(&self, name: &str, object: &NodeMap, path: &ValuePath, refuse: &mut dyn FnMut(String)) {
        let Some(keys) = self.0.get(name) else { return };
        for (key, value) in object {
            match keys.get(key.as_str()) {
                Some(value_type) => self.check(value_type, value, &ValuePath::Key(path, key), refuse),
                None => refuse(self.no_key(keys, key, path)),
            }
        }
    }

    fn check(&self, value_type: &ValueType, value: &Node, path: &ValuePath, refuse: &mut dyn FnMut(String)) {
        match (value_type, value) {
            (ValueType::Any, _) | (_, Node::Null) | (ValueType::Text | ValueType::Truth, Node::Text(_)) => {}
            (ValueType::Flag, Node::Bool(..)) | (ValueType::IntOrString, Node::Text(_)) => {}
            (ValueType::Int32 | ValueType::IntOrString, Node::Number(text)) if is_whole(text, i32::MIN, i32::MAX) => {}
            (ValueType::Int64, Node::Number(text)) if is_whole(text, i64::MIN, i64::MAX) => {}
            (ValueType::Quantity, Node::Text(text)) if is_quantity(text) => {}
            (ValueType::Quantity, Node::Number(text)) if text.contains(|c: char| c.is_ascii_digit()) => {} // neither .inf nor .nan
            (ValueType::Time, Node::Text(text)) if is_time(text) => {}
            (ValueType::Object(name), Node::Map(object)) => self.check_object(name, object, path, refuse),
            (ValueType::List(value_type), Node::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.check(value_type, item, &ValuePath::Item(path, at), refuse);
                }
            }
            (ValueType::Each(value_type), Node::Map(object)) => {
                for (key, value) in object {
                    self.check(value_type, value, &ValuePath::FreeKey(path, key), refuse);
                }
            }
            _ => refuse(self.no_such_type(value_type, value, path)),
        }
    }

    /// The fault of a value of a wrong type, with what to write.
    fn no_such_type(&self, value_type: &ValueType, value: &Node, path: &ValuePath) -> String {
        let noun = value.noun();
        match (value_type, value) {
            (ValueType::Truth, Node::Bool(value, _)) => {
                let due = if *value { "True" } else { "False" };
                format!("{path} is {noun} but must be a string: write \"{due}\"")
            }
            (ValueType::Truth, _) => format!("{path} is {noun} but must be a string: write {}", rule::TRUTH),
            (ValueType::Text, value) => no_string(path, value, path.is_private()),
            (ValueType::Flag, _) => format!("{path} is {noun} but must be a boolean: write true or false"),
            (ValueType::Int32 | ValueType::Int64, Node::Number(_)) => {
                let most = if matches!(value_type, ValueType::Int32) { i64::from(i32::MAX) } else { i64::MAX };
                format!("{path} is a number but must be a whole number of at most {most}: write one such as 1")
            }
            (ValueType::Int32 | ValueType::Int64, _) => {
                format!("{path} is {noun} but must be a number: write a whole one, without quotes")
            }
            (ValueType::IntOrString, _) => {
                format!("{path} is {noun} but must be a whole number or a string: write one such as 8080 or \"http\"")
            }
            (ValueType::Quantity, _) => {
                format!("{path} is not a quantity: write one such as \"500m\", \"1.5\" or \"64Mi\"")
            }
            (ValueType::Time, Node::Text(_)) => format!("{path} is not a time: write {}", rule::TIME),
            (ValueType::Time, _) => format!("{path} is {noun} but must be a string: write {}", rule::TIME),
            (ValueType::List(_), _) => format!("{path} is {noun} but must be a list"),
            (ValueType::Object(name), Node::Text(_)) if matches!(*name, "PodIP" | "HostIP") => {
                format!("{path} is a string but must be an object: write {{ip: \"...\"}}")
            }
            (ValueType::Object(_) | ValueType::Each(_) | ValueType::Any, _) => {
                format!("{path} is {noun} but must be an object")
            }
        }
    }

    /// The fault of an unknown key, with the key to write.
    fn no_key(&self, keys: &BTreeMap<&'static str, ValueType>, key: &str, path: &ValuePath) -> String {
        let place = ValuePath::Key(path, key);
        if let Some(meant) = alike(keys.keys().copied(), key) {
            return format!("{place} is not a key of a Pod: write {meant}");
        }
        let is_in = |name: &str| self.0.get(name).is_some_and(|keys| keys.contains_key(key));
        let parts = [("metadata", "ObjectMeta"), ("spec", "PodSpec"), ("status", "PodStatus")];
        match parts.iter().find(|(_, name)| is_in(name)) {
            Some((part, _)) => format!("{place} is not a key of a Pod: write it below {part}"),
            None => format!("{place} is not a key of a Pod of Kubernetes 1.37 or older: leave it out"),
        }
    }
}

impl ValueType {
    fn read(word: &'static str) -> ValueType {
        let inside = |open, close| word.strip_prefix(open).and_then(|word| word.strip_suffix(close));
        if let Some(item) = inside('[', ']') {
            return ValueType::List(Box::new(ValueType::read(item)));
        }
        if let Some(value) = inside('{', '}') {
            return ValueType::Each(Box::new(ValueType::read(value)));
        }
        match word {
            "string" => ValueType::Text,
            "truth" => ValueType::Truth,
            "bool" => ValueType::Flag,
            "int32" => ValueType::Int32,
            "int64" => ValueType::Int64,
            "int-or-string" => ValueType::IntOrString,
            "quantity" => ValueType::Quantity,
            "time" => ValueType::Time,
            "any" => ValueType::Any,
            name => ValueType::Object(name),
        }
    }
}

impl ValuePath<'_> {
    /// Whether an error must not show the value: a key above it names a secret, or what the value is for stands elsewhere,
    /// as for an argument of a command or the value of an environment variable.
    fn is_private(&self) -> bool {
        matches!(self, ValuePath::Item(..) | ValuePath::Key(_, "value")) || self.names_secret()
    }

    fn names_secret(&self) -> bool {
        match self {
            ValuePath::Root => false,
            ValuePath::Key(path, key) | ValuePath::FreeKey(path, key) => is_secret_key(key) || path.names_secret(),
            ValuePath::Item(path, _) => path.names_secret(),
        }
    }
}

impl fmt::Display for ValuePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValuePath::Root => Ok(()),
            ValuePath::Key(ValuePath::Root, key) => f.write_str(&plain(key)),
            ValuePath::Key(path, key) => write!(f, "{path}.{}", plain(key)),
            ValuePath::FreeKey(path, key) => write!(f, "{path}[\"{}\"]", shown_key(key)),
            ValuePath::Item(path, at) => write!(f, "{path}[{at}]"),
        }
    }
}

/// A key, for an error.
fn plain(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let shown = shown_key(key);
    if !shown.is_empty() && shown.len() <= KEY_LEN_MAX && shown.bytes().all(is_plain) {
        return shown.into();
    }
    let start: String = shown.chars().take(KEY_LEN_MAX).collect();
    let rest = if start.len() < shown.len() { "..." } else { "" };
    format!("\"{start}\"{rest}")
}

/// The known key that differs only in letter case, or by one or two typing errors.
fn alike(keys: impl Iterator<Item = &'static str>, key: &str) -> Option<&'static str> {
    let bare = |key: &str| key.replace(['-', '_'], "").to_lowercase();
    let (written, slips) = (bare(key), if key.len() < 6 { 1 } else { 2 });
    let distance = |known: &str| strsim::osa_distance(&bare(known), &written);
    keys.map(|known| (distance(known), known)).min().filter(|(distance, _)| *distance <= slips).map(|(_, known)| known)
}

/// Whether a number is an integer in a range.
fn is_whole(text: &str, least: impl Into<i128>, most: impl Into<i128>) -> bool {
    whole(text).is_some_and(|value| (least.into()..=most.into()).contains(&value))
}

/// A number that is an integer. kubectl reads `80.0`, `8e1`, `0x50`, `0120` and `8_0` as 80.
pub(super) fn whole(text: &str) -> Option<i128> {
    match Number::of(text)? {
        Number::Whole(value) => Some(value),
        Number::Float(value) => (value.fract() == 0.0).then_some(value as i128),
    }
}

/// Whether the API server takes a text as a quantity.
fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let suffix = unsigned.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = unsigned.strip_suffix(suffix).unwrap_or_default();
    let exponent = suffix.strip_prefix(['e', 'E']).map(|digits| digits.strip_prefix(['+', '-']).unwrap_or(digits));
    let has_exponent =
        exponent.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    !text.is_empty() && number.matches('.').count() <= 1 && (SUFFIXES.contains(&suffix) || has_exponent)
}

/// Whether the API server takes a text as a time: RFC 3339, with `T` and `Z` in upper case and no leap second.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    let has_form = text.len() > FORM.len() && text.bytes().zip(FORM).all(|(byte, form)| fits((&byte, form)));
    has_form && text.as_bytes().get(17) != Some(&b'6') && !text.ends_with(['z', ']']) && seconds(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reader of the table takes any unknown word for a type's name, and such a type would accept everything.
    #[test]
    fn every_type_that_the_table_names_is_in_it() {
        fn named(value_type: &ValueType) -> Option<&'static str> {
            match value_type {
                ValueType::List(value_type) | ValueType::Each(value_type) => named(value_type),
                ValueType::Object(name) => Some(name),
                _ => None,
            }
        }
        let shapes = || TYPES.0.values().flat_map(BTreeMap::values);
        let missing: Vec<&str> = shapes().filter_map(named).filter(|name| !TYPES.0.contains_key(name)).collect();
        assert_eq!(missing, [""; 0]);
        assert!(shapes().count() > 590, "{}", shapes().count());
    }

    #[test]
    fn whole_numbers_are_those_of_kubectl() {
        for (text, is) in [
            ("80", true),
            ("80.0", true),
            ("8e1", true),
            ("0x50", true),
            ("0o120", true),
            ("0120", true),
            ("8_0", true),
            ("-2147483648", true),
            ("-2147483649", false),
            ("2147483647", true),
            ("2147483648", false),
            ("0x80000000", false),
            ("80.5", false),
            ("8e-1", false),
            ("1e300", false),
            (".inf", false),
            ("-.inf", false),
            (".nan", false),
            ("", false),
        ] {
            assert_eq!(is_whole(text, i32::MIN, i32::MAX), is, "{text}");
        }
        assert!(is_whole("9223372036854775807", i64::MIN, i64::MAX));
        assert!(!is_whole("9223372036854775808", i64::MIN, i64::MAX));
    }
}
