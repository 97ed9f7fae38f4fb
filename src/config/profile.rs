//! What registrations are found by.

use std::collections::HashSet;

use super::{ConfigError, ProfileOption, refused};
use crate::source::Profile;

/// The most profiles: each is a watch of its own in every namespace, and costs the API server one.
const PROFILES_MAX: usize = 16;

/// The longest label selector, in bytes: what fits a request's line beside the rest at any proxy (8 KiB).
const SELECTOR_LEN_MAX: usize = 4096;

/// The longest annotation key: a DNS subdomain, a slash and a name, by the API server's rules.
const ANNOTATION_KEY_LEN_MAX: usize = 253 + 1 + 63;

/// The profiles that are on unless the file has its own.
pub fn default_profiles() -> Vec<Profile> {
    let profile = |name: &str, selector: &str, annotation: &str| Profile {
        name: name.into(),
        selector: selector.parse().expect("a selector that a test reads"),
        annotation: annotation.into(),
    };
    vec![
        profile("app", "app.io/label=app.io-value", "app.io/annotation"),
        profile(
            "dubbo",
            "dubbo.io/label in (dubbo.io-value, dubbo.io.provider, dubbo.io.consumer)",
            "dubbo.io/annotation",
        ),
    ]
}

/// The profiles of the file, or the default ones.
pub(super) fn read(options: Vec<ProfileOption>) -> Result<Vec<Profile>, ConfigError> {
    if options.is_empty() {
        return Ok(default_profiles());
    }
    if options.len() > PROFILES_MAX {
        let message = format!("{} tables, at most {PROFILES_MAX}: each is one watch more a namespace", options.len());
        return Err(refused("[[profile]]", message));
    }
    let mut names = HashSet::new();
    let mut profiles = Vec::with_capacity(options.len());
    for ProfileOption { name, selector, annotation } in options {
        let wrong = |what: &str| Err(refused("[[profile]]", format!("profile {name:?}: {what}")));
        if !is_name(&name) {
            return wrong("its name is no word of up to 63 lower-case letters, digits and hyphens");
        }
        if !names.insert(name.clone()) {
            return wrong("the name is given twice");
        }
        if selector.trim().is_empty() {
            return wrong("its selector is empty; without one every Pod would be watched");
        }
        if selector.len() > SELECTOR_LEN_MAX || selector.chars().any(char::is_control) {
            return wrong("its selector is over 4096 bytes or holds control characters");
        }
        if !is_annotation_key(&annotation) {
            return wrong("its annotation is no annotation's key, such as app.io/annotation");
        }
        let selector = match selector.parse() {
            Ok(selector) => selector,
            Err(error) => return wrong(&format!("{error}")),
        };
        profiles.push(Profile { name: name.into(), selector, annotation });
    }
    Ok(profiles)
}

fn is_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_word)
}

/// Whether the API server could know it: `[prefix/]name`.
fn is_annotation_key(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let (prefix, name) = text.split_once('/').unwrap_or(("x", text));
    text.len() <= ANNOTATION_KEY_LEN_MAX
        && !prefix.is_empty()
        && (1..=63).contains(&name.len())
        && prefix.bytes().chain(name.bytes()).all(is_plain)
}
