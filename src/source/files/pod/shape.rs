//! Checks a Pod's keys and the types of its values, as the API server's strict decoding does.
//!
//! A key that a Pod does not have is a fault, because it is most likely a misspelt one that has a meaning.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use super::rule::{self, no_string};
use crate::source::files::node::{Fields, Node, Number};
use crate::source::kube::pod::seconds;

/// The type that a manifest's Pod has.
const POD: &str = "Pod";

/// An error shows this many characters of a key.
const KEY_LEN_MAX: usize = 63;

static TYPES: LazyLock<Types> = LazyLock::new(|| Types::read(include_str!("pod.keys")));

/// Calls `refuse` for each value of a wrong type, and for each key that a Pod does not have.
pub(super) fn check(pod: &Fields, refuse: &mut dyn FnMut(String)) {
    TYPES.check_object(POD, pod, &Path::Root, refuse);
}

/// All types, each with its keys.
struct Types(HashMap<&'static str, BTreeMap<&'static str, Shape>>);

/// The type of a value. Null means absent everywhere, as for the API server.
#[derive(Debug)]
enum Shape {
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
    List(Box<Shape>),
    /// An object with free keys.
    Each(Box<Shape>),
    /// An object of this type.
    Object(&'static str),
}

/// Where a value stands.
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    FreeKey(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl Types {
    /// Reads the table. A word without a colon names a type, and the words after it are its keys.
    fn read(table: &'static str) -> Types {
        let mut types: HashMap<_, BTreeMap<_, _>> = HashMap::new();
        let mut name = "";
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            for word in line.split_whitespace() {
                match word.split_once(':') {
                    Some((key, shape)) => _ = types.entry(name).or_default().insert(key, Shape::read(shape)),
                    None => name = word,
                }
            }
        }
        Types(types)
    }

    fn check_object(&self, name: &str, object: &Fields, path: &Path, refuse: &mut dyn FnMut(String)) {
        let Some(keys) = self.0.get(name) else { return };
        for (key, value) in object {
            match keys.get(key.as_str()) {
                Some(shape) => self.check(shape, value, &Path::Key(path, key), refuse),
                None => refuse(self.no_key(keys, key, path)),
            }
        }
    }

    fn check(&self, shape: &Shape, value: &Node, path: &Path, refuse: &mut dyn FnMut(String)) {
        match (shape, value) {
            (Shape::Any, _) | (_, Node::Null) | (Shape::Text | Shape::Truth, Node::Text(_)) => {}
            (Shape::Flag, Node::Bool(..)) | (Shape::IntOrString, Node::Text(_)) => {}
            (Shape::Int32 | Shape::IntOrString, Node::Number(text)) if is_whole(text, i32::MIN, i32::MAX) => {}
            (Shape::Int64, Node::Number(text)) if is_whole(text, i64::MIN, i64::MAX) => {}
            (Shape::Quantity, Node::Text(text)) if is_quantity(text) => {}
            (Shape::Quantity, Node::Number(text)) if text.contains(|c: char| c.is_ascii_digit()) => {} // neither .inf nor .nan
            (Shape::Time, Node::Text(text)) if is_time(text) => {}
            (Shape::Object(name), Node::Map(object)) => self.check_object(name, object, path, refuse),
            (Shape::List(shape), Node::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.check(shape, item, &Path::Item(path, at), refuse);
                }
            }
            (Shape::Each(shape), Node::Map(object)) => {
                for (key, value) in object {
                    self.check(shape, value, &Path::FreeKey(path, key), refuse);
                }
            }
            _ => refuse(self.no_such_type(shape, value, path)),
        }
    }

    /// The fault of a value of a wrong type, with what to write.
    fn no_such_type(&self, shape: &Shape, value: &Node, path: &Path) -> String {
        let noun = value.noun();
        match (shape, value) {
            (Shape::Truth, Node::Bool(value, _)) => {
                let due = if *value { "True" } else { "False" };
                format!("{path} is {noun}, and a string is due: write \"{due}\"")
            }
            (Shape::Truth, _) => format!("{path} is {noun}, and a string is due: write {}", rule::TRUTH),
            (Shape::Text, value) => no_string(path, value),
            (Shape::Flag, _) => format!("{path} is {noun}, and a boolean is due: write true or false"),
            (Shape::Int32 | Shape::Int64, Node::Number(_)) => {
                let most = if matches!(shape, Shape::Int32) { i64::from(i32::MAX) } else { i64::MAX };
                format!("{path} is a number, and a whole one of at most {most} is due: write one such as 1")
            }
            (Shape::Int32 | Shape::Int64, _) => {
                format!("{path} is {noun}, and a number is due: write a whole one, without quotes")
            }
            (Shape::IntOrString, _) => {
                format!("{path} is {noun}, and a whole number or a string is due: write one such as 8080 or \"http\"")
            }
            (Shape::Quantity, _) => format!("{path} is no quantity: write one such as \"500m\", \"1.5\" or \"64Mi\""),
            (Shape::Time, Node::Text(_)) => format!("{path} is no time: write {}", rule::TIME),
            (Shape::Time, _) => format!("{path} is {noun}, and a string is due: write {}", rule::TIME),
            (Shape::List(_), _) => format!("{path} is {noun}, and a list is due"),
            (Shape::Object(name), Node::Text(_)) if matches!(*name, "PodIP" | "HostIP") => {
                format!("{path} is a string, and an object is due: write {{ip: \"...\"}}")
            }
            (Shape::Object(_) | Shape::Each(_) | Shape::Any, _) => format!("{path} is {noun}, and an object is due"),
        }
    }

    /// The fault of an unknown key, with the key to write.
    fn no_key(&self, keys: &BTreeMap<&'static str, Shape>, key: &str, path: &Path) -> String {
        let place = Path::Key(path, key);
        if let Some(meant) = alike(keys.keys().copied(), key) {
            return format!("{place} is no key of a Pod: write {meant}");
        }
        let is_in = |name: &str| self.0.get(name).is_some_and(|keys| keys.contains_key(key));
        let parts = [("metadata", "ObjectMeta"), ("spec", "PodSpec"), ("status", "PodStatus")];
        match parts.iter().find(|(_, name)| is_in(name)) {
            Some((part, _)) => format!("{place} is no key of a Pod: write it below {part}"),
            None => format!("{place} is no key of a Pod of Kubernetes 1.37 or older: leave it out"),
        }
    }
}

impl Shape {
    fn read(word: &'static str) -> Shape {
        let inside = |open, close| word.strip_prefix(open).and_then(|word| word.strip_suffix(close));
        if let Some(item) = inside('[', ']') {
            return Shape::List(Box::new(Shape::read(item)));
        }
        if let Some(value) = inside('{', '}') {
            return Shape::Each(Box::new(Shape::read(value)));
        }
        match word {
            "string" => Shape::Text,
            "truth" => Shape::Truth,
            "bool" => Shape::Flag,
            "int32" => Shape::Int32,
            "int64" => Shape::Int64,
            "int-or-string" => Shape::IntOrString,
            "quantity" => Shape::Quantity,
            "time" => Shape::Time,
            "any" => Shape::Any,
            name => Shape::Object(name),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => f.write_str(&plain(key)),
            Path::Key(path, key) => write!(f, "{path}.{}", plain(key)),
            Path::FreeKey(path, key) => write!(f, "{path}[{key:?}]"),
            Path::Item(path, at) => write!(f, "{path}[{at}]"),
        }
    }
}

/// A key as an error shows it.
fn plain(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !key.is_empty() && key.len() <= KEY_LEN_MAX && key.bytes().all(is_plain) {
        return key.to_owned();
    }
    let start: String = key.chars().take(KEY_LEN_MAX).collect();
    let rest = if start.len() < key.len() { "..." } else { "" };
    format!("{start:?}{rest}")
}

/// The known key that differs only in letter case, or by one or two typing errors.
fn alike(keys: impl Iterator<Item = &'static str>, key: &str) -> Option<&'static str> {
    let bare = |key: &str| key.replace(['-', '_'], "").to_lowercase();
    let (written, slips) = (bare(key), if key.len() < 6 { 1 } else { 2 });
    let distance = |known: &str| strsim::osa_distance(&bare(known), &written);
    keys.map(|known| (distance(known), known)).min().filter(|(distance, _)| *distance <= slips).map(|(_, known)| known)
}

/// Whether a number is an integer in a range. kubectl reads `80.0`, `8e1`, `0x50`, `0120` and `8_0` as 80.
fn is_whole(text: &str, least: impl Into<i128>, most: impl Into<i128>) -> bool {
    let value = match Number::of(text) {
        Some(Number::Whole(value)) => value,
        Some(Number::Float(value)) if value.fract() == 0.0 => value as i128,
        _ => return false,
    };
    (least.into()..=most.into()).contains(&value)
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
        fn named(shape: &Shape) -> Option<&'static str> {
            match shape {
                Shape::List(shape) | Shape::Each(shape) => named(shape),
                Shape::Object(name) => Some(name),
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
