//! The options of a TOML file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{ConfigError, Options};
use crate::escape::Escaped;

/// The largest file that is read: about a thousand times what all options need.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// The removed key in the list of those that may stand there.
const REMOVED: &str = "`max-registrations-per-namespace`, ";

/// Reads a file.
///
/// # Errors
/// The file cannot be read, is too large, is not TOML, or has an unknown key. The error has the line number
/// without the line's text: a path typed wrong may name a file with secrets.
pub(super) fn read(path: &Path) -> Result<Options, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_LEN_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(ConfigError::FileTooLarge { path: path.into(), limit: FILE_LEN_MAX });
    }
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count();
        let message = error.message().replace(REMOVED, "");
        let message = Escaped(&message);
        let key = text.lines().nth(line).and_then(key).filter(|_| error.message().starts_with("invalid type"));
        let message = key.map_or_else(|| message.to_string(), |key| format!("`{key}`: {message}"));
        ConfigError::BadFile { path: path.into(), line: line + 1, message }
    })
}

/// The key of a line `key = value` or `[key]`, if it can be one of ours.
fn key(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches('[');
    let (key, _) = line.split_once(['=', ']'])?;
    let key = key.trim_end();
    let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (is_key && (1..=40).contains(&key.len())).then_some(key)
}
