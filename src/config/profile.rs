//! Profiles: which Pods are read, and how their registrations are written.

use std::fmt;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::{ConfigError, refused};
use crate::registration::{Encoding, PRESETS, ProfileTable};
use crate::source::selector::LabelSelector;
use crate::source::{WatchProfile, default_profiles};

/// The most profiles. Each selector is one watch per namespace, which costs the API server.
const PROFILES_MAX: usize = 16;

/// The longest label selector, in bytes. It fits into a request line with the rest at any proxy (8 KiB).
const SELECTOR_LEN_MAX: usize = 4096;

/// Reads the tables.
pub(super) fn tables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ProfileTable>, D::Error> {
    struct TablesVisitor;

    impl<'de> Visitor<'de> for TablesVisitor {
        type Value = Vec<ProfileTable>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("tables, each under a line `[[profile]]`")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, tables: A) -> Result<Vec<ProfileTable>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(tables))
        }
    }

    deserializer.deserialize_any(TablesVisitor)
}

/// The profiles of the file's tables, then the presets of the list. The default ones if there are neither.
pub(super) fn read(tables: Vec<ProfileTable>, presets: &[String]) -> Result<Vec<WatchProfile>, ConfigError> {
    if tables.is_empty() && presets.is_empty() {
        return Ok(default_profiles());
    }
    let count = tables.len() + presets.len();
    if count > PROFILES_MAX {
        let message =
            format!("there are {count} profiles, at most {PROFILES_MAX}: each is one more watch per namespace");
        return Err(refused("[[profile]]", message));
    }
    let mut profiles: Vec<WatchProfile> = Vec::with_capacity(count);
    for table in tables {
        let profile = of_table(table)?;
        if is_named(&profiles, &profile.name) {
            return Err(wrong(&profile.name, "the name is given twice"));
        }
        profiles.push(profile);
    }
    for name in presets {
        let Some(profile) = WatchProfile::preset(name) else {
            let known = PRESETS.map(|preset| preset.name).join(", ");
            return Err(refused("--profiles", format!("no preset is called {name:?}: write some of {known}")));
        };
        if is_named(&profiles, name) {
            let message = format!("profile {name:?} is given twice: in this list, or in it and in a [[profile]] table");
            return Err(refused("--profiles", message));
        }
        profiles.push(profile);
    }
    Ok(profiles)
}

fn is_named(profiles: &[WatchProfile], name: &str) -> bool {
    profiles.iter().any(|profile| *profile.name == *name)
}

fn of_table(table: ProfileTable) -> Result<WatchProfile, ConfigError> {
    let ProfileTable { name, selector, annotation, .. } = &table;
    let Some(name) = name else {
        return Err(refused("[[profile]]", "`name` must be given: what metrics and messages call the profile"));
    };
    if !is_name(name) {
        return Err(wrong(name, "its name must be up to 63 lower-case letters, digits and hyphens"));
    }
    let Some(selector) = selector else {
        return Err(wrong(
            name,
            "`selector` must be given: the label selector of its Pods, such as `app.io/label=app.io-value`",
        ));
    };
    if selector.trim().is_empty() {
        return Err(wrong(name, "its selector is empty; without one every Pod would be watched"));
    }
    if selector.len() > SELECTOR_LEN_MAX || selector.chars().any(char::is_control) {
        return Err(wrong(name, "its selector is longer than 4096 bytes or has control characters"));
    }
    let selector = selector.parse::<LabelSelector>().map_err(|error| wrong(name, error))?;
    let encoding = Encoding::parse(&table).map_err(|error| wrong(name, error))?;
    Ok(WatchProfile::new(name, selector, annotation.as_deref(), encoding))
}

fn wrong(name: &str, what: impl std::fmt::Display) -> ConfigError {
    refused("[[profile]]", format!("profile {name:?}: {what}"))
}

fn is_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_word)
}
