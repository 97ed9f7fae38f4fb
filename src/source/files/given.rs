//! What a person hands to `callsign decode`: an annotation's value, annotations alone, or objects of Kubernetes.

use std::collections::BTreeMap;

use super::node::{Node, NodeMap};
use super::pod::no_string;
use crate::registration::{is_secret_key, shown_key};
use crate::source::WatchProfile;

/// Labels and annotations, by key.
pub type Texts = BTreeMap<String, String>;

/// What a text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenText {
    /// An annotation's value, if it is anything.
    Value,
    /// The annotations of a Pod, and its labels if the text has them.
    Metadata {
        /// By key.
        labels: Texts,
        /// By key.
        annotations: Texts,
    },
    /// An object of Kubernetes, or several.
    Objects,
}

/// Why the annotations in a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenError {
    /// The text is not YAML. The reason never quotes the text.
    NotYaml(String),
    /// A value is not a string: its key as it may be shown, and what to write instead.
    NotString(String, String),
}

/// Says what a text is. An annotation that one of the profiles names is distinguished from a registration's member.
///
/// # Errors
/// It has annotations that cannot be read.
pub fn given(text: &str, profiles: &[WatchProfile]) -> Result<GivenText, GivenError> {
    let text = text.trim();
    let is_in_braces = text.starts_with('{');
    if text.starts_with('[') || !text.contains(':') {
        return Ok(GivenText::Value); // a value in base64 has no colon
    }
    if !is_in_braces && text.lines().any(|line| line.starts_with("kind:") || line.starts_with("---")) {
        return Ok(GivenText::Objects);
    }
    let node = if is_in_braces { Node::in_braces(text.as_bytes()) } else { Node::of_yaml(text.as_bytes()) };
    match node {
        Ok(Node::Map(map)) => of_map(&map, is_in_braces, profiles),
        Err(fault) if !is_in_braces => Err(GivenError::NotYaml(fault.flaw.to_string())),
        Ok(_) | Err(_) => Ok(GivenText::Value),
    }
}

fn of_map(map: &NodeMap, is_in_braces: bool, profiles: &[WatchProfile]) -> Result<GivenText, GivenError> {
    if map.contains_key("kind") || map.contains_key("apiVersion") {
        return Ok(GivenText::Objects);
    }
    let metadata = match map.get("metadata") {
        Some(Node::Map(metadata)) => metadata,
        _ => map,
    };
    let part = |name| match metadata.get(name) {
        Some(Node::Map(part)) => Some(part),
        _ => None,
    };
    if let Some(annotations) = part("annotations") {
        let labels = part("labels").map(texts).transpose()?.unwrap_or_default();
        return Ok(GivenText::Metadata { labels, annotations: texts(annotations)? });
    }
    // A member of a registration has no slash. An annotation of ours has one, but some of Kratos' have none.
    let is_annotation =
        |key: &String| key.contains('/') || profiles.iter().any(|profile| profile.takes_annotation(key));
    if is_in_braces && !map.keys().any(is_annotation) {
        return Ok(GivenText::Value);
    }
    Ok(GivenText::Metadata { labels: Texts::new(), annotations: texts(map)? })
}

fn texts(map: &NodeMap) -> Result<Texts, GivenError> {
    let text = |(key, value): (&String, &Node)| match value {
        Node::Text(text) => Ok((key.clone(), text.clone())),
        other => Err(GivenError::NotString(shown_key(key).into(), no_string("it", other, is_secret_key(key)))),
    };
    map.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Result<GivenText, GivenError> {
        let kratos = WatchProfile::preset("kratos").expect("a preset");
        super::given(text, &[kratos])
    }

    fn metadata(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> GivenText {
        let texts =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        GivenText::Metadata { labels: texts(labels), annotations: texts(annotations) }
    }

    #[test]
    fn a_text_is_told_by_its_form() {
        let plain = metadata(&[], &[("app.io/interface", "a.B"), ("app.io/port", "1")]);
        let labelled = metadata(&[("a", "b")], &[("app.io/port", "1")]);
        for (text, expected) in [
            ("", GivenText::Value),
            ("W10=", GivenText::Value),
            ("nonsense", GivenText::Value),
            ("http://example.com", GivenText::Value),
            (r#"[{"k":"interface","v":"a"}]"#, GivenText::Value),
            (r#"{"interface":"a","port":1}"#, GivenText::Value),
            (r#"{"interface":"a","port":1"#, GivenText::Value),
            ("app.io/interface: a.B\napp.io/port: \"1\"\n", plain.clone()),
            (r#" {"app.io/interface":"a.B","app.io/port":"1"}"#, plain.clone()),
            ("annotations:\n  app.io/interface: a.B\n  app.io/port: '1'\n", plain.clone()),
            ("metadata:\n  annotations: {app.io/interface: a.B, app.io/port: '1'}\n", plain),
            (r#"{"kratos-service-protocols":"{}"}"#, metadata(&[], &[("kratos-service-protocols", "{}")])),
            (r#"{"interface":"a","kratos":"x"}"#, GivenText::Value),
            (r#"{"labels":{"a":"b"},"annotations":{"app.io/port":"1"}}"#, labelled),
            ("kind: Pod\n", GivenText::Objects),
            ("apiVersion: v1\nkind: Pod\n", GivenText::Objects),
            ("---\na: b\n---\nkind: Pod\n", GivenText::Objects),
            (r#"{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"app.io/port":"1"}}}"#, GivenText::Objects),
        ] {
            assert_eq!(given(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn annotations_that_cannot_be_read_have_a_reason() {
        let no_string = "it is a number but must be a string: write \"50051\"";
        let not_string = GivenError::NotString("app.io/port".into(), no_string.into());
        assert_eq!(given("app.io/interface: a\napp.io/port: 50051\n"), Err(not_string));
        assert!(matches!(given("a: b: c"), Err(GivenError::NotYaml(_))));
    }
}
