//! Profiles: the label selector and the annotation of registrations.

use std::collections::HashSet;

use super::{ConfigError, ProfileOption, refused};
use crate::source::{WatchProfile, default_profiles};

/// The most profiles. Each is one watch per namespace, which costs the API server.
const PROFILES_MAX: usize = 16;

/// The longest label selector, in bytes. It fits into a request line with the rest at any proxy (8 KiB).
const SELECTOR_LEN_MAX: usize = 4096;

/// The longest annotation key by the API server's rules: a DNS subdomain, a slash and a name.
const ANNOTATION_KEY_LEN_MAX: usize = 253 + 1 + 63;

/// The profiles of the file, or the default ones.
pub(super) fn read(options: Vec<ProfileOption>) -> Result<Vec<WatchProfile>, ConfigError> {
    if options.is_empty() {
        return Ok(default_profiles());
    }
    if options.len() > PROFILES_MAX {
        let message = format!("{} tables, at most {PROFILES_MAX}: each is one more watch per namespace", options.len());
        return Err(refused("[[profile]]", message));
    }
    let mut names = HashSet::new();
    let mut profiles = Vec::with_capacity(options.len());
    for ProfileOption { name, selector, annotation } in options {
        let wrong = |what: &str| Err(refused("[[profile]]", format!("profile {name:?}: {what}")));
        if !is_name(&name) {
            return wrong("its name must be up to 63 lower-case letters, digits and hyphens");
        }
        if !names.insert(name.clone()) {
            return wrong("the name is given twice");
        }
        if selector.trim().is_empty() {
            return wrong("its selector is empty; without one every Pod would be watched");
        }
        if selector.len() > SELECTOR_LEN_MAX || selector.chars().any(char::is_control) {
            return wrong("its selector is longer than 4096 bytes or has control characters");
        }
        if !is_annotation_key(&annotation) {
            return wrong("its annotation is not an annotation key such as app.io/annotation");
        }
        let selector = match selector.parse() {
            Ok(selector) => selector,
            Err(error) => return wrong(&format!("{error}")),
        };
        profiles.push(WatchProfile { name: name.into(), selector, annotation });
    }
    Ok(profiles)
}

fn is_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_word)
}

/// Whether the API server accepts the key: `[prefix/]name`.
fn is_annotation_key(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let (prefix, name) = text.split_once('/').unwrap_or(("x", text));
    text.len() <= ANNOTATION_KEY_LEN_MAX
        && !prefix.is_empty()
        && (1..=63).contains(&name.len())
        && prefix.bytes().chain(name.bytes()).all(is_plain)
}
