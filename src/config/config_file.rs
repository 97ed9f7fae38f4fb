//! The options of a TOML file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{ConfigError, Options};
use crate::escape::Escaped;

/// The largest file that is read: about a thousand times what all options need.
const FILE_LEN_MAX: u64 = 1024 * 1024;

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
        ConfigError::BadFile {
            path: path.into(),
            line: before.matches('\n').count() + 1,
            message: Escaped(error.message()).to_string(),
        }
    })
}
