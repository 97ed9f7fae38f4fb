//! Kubernetes label selectors, parsed to select Pods of manifests. For a cluster the API server selects.
//!
//! The text form is that of `kubectl -l`: requirements joined by commas, all of which must hold. A profile's selector
//! is parsed at start, so that a typing error is reported there instead of as an API server's 400 later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The longest name part of a label's key, and the longest value (Kubernetes: "Labels and Selectors").
const NAME_LEN_MAX: usize = 63;

/// The longest prefix of a label's key, a DNS subdomain.
const PREFIX_LEN_MAX: usize = 253;

/// A label selector. The empty one selects everything. Two are equal if they have the same requirements, in whatever order
/// and spelling.
#[derive(Clone, Debug)]
pub struct LabelSelector {
    text: String,
    requirements: BTreeSet<Requirement>,
}

/// Why a selector cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label selector, character {}: {reason}", .at + 1)]
pub struct SelectorError {
    /// The offset in bytes.
    pub at: usize,
    /// What is wrong at the offset.
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Requirement {
    key: String,
    test: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Exists,
    Missing,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
}

impl LabelSelector {
    /// The text that it was parsed from, for the API server's `labelSelector`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.test {
                Operator::Exists => value.is_some(),
                Operator::Missing => value.is_none(),
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                // Objects without the label match too, as in the API server.
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            }
        })
    }
}

impl PartialEq for LabelSelector {
    fn eq(&self, other: &LabelSelector) -> bool {
        self.requirements == other.requirements
    }
}

impl Eq for LabelSelector {}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<LabelSelector, SelectorError> {
        let mut parser = SelectorParser { text, at: 0 };
        let mut requirements = BTreeSet::new();
        if parser.peek().is_some() {
            requirements.insert(parser.requirement()?);
            while parser.take(",") {
                requirements.insert(parser.requirement()?);
            }
            if parser.peek().is_some() {
                return Err(parser.error("expected a comma or the end"));
            }
        }
        Ok(LabelSelector { text: text.to_owned(), requirements })
    }
}

/// Parses the text from left to right.
struct SelectorParser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> SelectorParser<'t> {
    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.take("!") {
            return Ok(Requirement { key: self.key()?, test: Operator::Missing });
        }
        let key = self.key()?;
        let test = match self.peek() {
            None | Some(',') => Operator::Exists,
            Some('!') if self.take("!=") => Operator::NotIn([self.value()?].into()),
            Some('=') => {
                let _ = self.take("==") || self.take("=");
                Operator::In([self.value()?].into())
            }
            Some('<' | '>') => return Err(self.error("< and > are not supported")),
            Some(_) => {
                let (at, operator) = self.word();
                match operator {
                    "in" => Operator::In(self.values()?),
                    "notin" => Operator::NotIn(self.values()?),
                    _ => {
                        let reason = "expected one of =, ==, !=, in, notin, a comma or the end";
                        return Err(SelectorError { at, reason });
                    }
                }
            }
        };
        Ok(Requirement { key, test })
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        let (at, key) = self.word();
        check_key(key).map_err(|reason| SelectorError { at, reason })?;
        Ok(key.to_owned())
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let (at, value) = self.word();
        check_value(value).map_err(|reason| SelectorError { at, reason })?;
        Ok(value.to_owned())
    }

    fn values(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        if !self.take("(") {
            return Err(self.error("expected ( and a list of values"));
        }
        if self.peek() == Some(')') {
            return Err(self.error("a list of values must not be empty"));
        }
        let mut values = BTreeSet::from([self.value()?]);
        while self.take(",") {
            values.insert(self.value()?);
        }
        if !self.take(")") {
            return Err(self.error("expected a comma or )"));
        }
        Ok(values)
    }

    /// The characters up to the next blank or sign, and their offset.
    fn word(&mut self) -> (usize, &'t str) {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "=!,()<>".contains(c)).unwrap_or(rest.len());
        let at = self.at;
        self.at += end;
        (at, rest.get(..end).unwrap_or_default())
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip_blanks();
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len();
        }
        is_next
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, reason: &'static str) -> SelectorError {
        SelectorError { at: self.at, reason }
    }
}

/// Whether a text is valid as the key of a label or an annotation.
pub(super) fn check_key(key: &str) -> Result<(), &'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if key.is_empty() {
        return Err("expected a label key");
    }
    if !is_name(name) {
        return Err("a key has up to 63 letters, digits, -, _ and ., with a letter or digit at both ends");
    }
    if prefix.is_some_and(|prefix| prefix.len() > PREFIX_LEN_MAX || !prefix.split('.').all(is_prefix_label)) {
        return Err("a key's prefix must be a DNS name of lower-case letters, digits, - and .");
    }
    Ok(())
}

/// Whether a text is valid as a label's value.
pub(super) fn check_value(value: &str) -> Result<(), &'static str> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err("a value has up to 63 letters, digits, -, _ and ., with a letter or digit at both ends")
}

fn is_name(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= NAME_LEN_MAX
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_prefix_label(label: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    !label.is_empty() && label.bytes().all(|byte| is_inner(&byte)) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        text.split_whitespace().filter_map(pair).collect()
    }

    #[test]
    fn selects() {
        let cases = [
            ("", "", true),
            ("", "a=b", true),
            ("a=b", "a=b", true),
            ("a==b", "a=b", true),
            (" a = b ", "a=b", true),
            ("a=b", "a=c", false),
            ("a=b", "", false),
            ("a=", "a=", true),
            ("a!=b", "a=c", true),
            ("a!=b", "a=b", false),
            ("a!=b", "", true),
            ("a", "a=", true),
            ("a", "b=c", false),
            ("!a", "b=c", true),
            ("! a", "a=c", false),
            ("a in (x, y)", "a=y", true),
            ("a in (x,y)", "a=z", false),
            ("a in (x)", "", false),
            ("a in (x,)", "a=", true),
            ("a notin (x)", "a=x", false),
            ("a notin (x)", "a=y", true),
            ("a notin (x)", "", true),
            ("a=b,!c,d in (e)", "a=b d=e", true),
            ("a=b,!c,d in (e)", "a=b d=e c=", false),
            ("app.io/label=app.io-value", "app.io/label=app.io-value", true),
            ("dubbo.io/label in (dubbo.io-value, dubbo.io.provider)", "dubbo.io/label=dubbo.io.provider", true),
            ("in in (in)", "in=in", true),
        ];
        for (selector, given, expected) in cases {
            let parsed: LabelSelector = selector.parse().expect(selector);
            assert_eq!(parsed.matches(&labels(given)), expected, "{selector:?} on {given:?}");
            assert_eq!(parsed.as_str(), selector);
        }
    }

    #[test]
    fn selectors_of_the_same_requirements_are_equal() {
        let parsed = |text: &str| text.parse::<LabelSelector>().expect(text);
        for (one, other, is_equal) in [
            ("a=b,c", "c , a == b", true),
            ("a=b", "a in (b)", true),
            ("a in (b,c)", "a in (c, b, c)", true),
            ("a!=b", "a notin (b)", true),
            ("a,a", "a", true),
            ("a=b", "a=c", false),
            ("a=b", "a", false),
            ("a", "!a", false),
            ("a in (b,c)", "a notin (b,c)", false),
            ("a,b", "a", false),
        ] {
            assert_eq!(parsed(one) == parsed(other), is_equal, "{one:?} and {other:?}");
        }
    }

    #[test]
    fn an_error_names_what_is_wrong_and_where() {
        let cases = [
            (",", 0, "expected a label key"),
            ("a,", 2, "expected a label key"),
            ("a=b c", 4, "expected a comma or the end"),
            ("a like b", 2, "expected one of"),
            ("a in x", 5, "expected ("),
            ("a in (", 6, "expected a comma or )"),
            ("a in ()", 6, "not be empty"),
            ("a in (x", 7, "expected a comma or )"),
            ("a>5", 1, "not supported"),
            ("a=ü", 2, "a value has"),
            ("a=-", 2, "a value has"),
            ("_a", 0, "a key has"),
            ("a/b/c", 0, "a key has"),
            ("A.io/b", 0, "prefix"),
            ("/b", 0, "prefix"),
            ("a!b", 1, "expected one of"),
        ];
        for (selector, at, reason) in cases {
            let error = selector.parse::<LabelSelector>().expect_err(selector);
            assert_eq!(error.at, at, "{selector:?}: {error}");
            assert!(error.reason.contains(reason), "{selector:?}: {error}");
        }
        let long = "x".repeat(64);
        assert!(long.parse::<LabelSelector>().is_err());
        assert!(format!("a={long}").parse::<LabelSelector>().is_err());
        assert!(format!("{}/a", "x".repeat(254)).parse::<LabelSelector>().is_err());
    }
}
