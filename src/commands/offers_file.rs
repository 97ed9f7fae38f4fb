//! Reads offers from the file that `--from` names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::register::Offer;
use crate::registration::ANNOTATION_LEN_MAX;

/// The largest file of offers, in bytes: four times the longest annotation.
const FILE_LEN_MAX: u64 = 4 * ANNOTATION_LEN_MAX as u64;

/// Why a file of offers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OffersError {
    /// Reading the file failed.
    #[error("--from {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file's content is not offers. The message does not quote the file's text.
    #[error("--from {}: {message}", path.display())]
    BadFile { path: PathBuf, message: String },
}

/// The content of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offers {
    registration: Vec<Offer>,
}

/// Reads offers from a file: JSON if its name ends in `.json`, else TOML with `[[registration]]` tables.
///
/// # Errors
/// The file cannot be read or is something else. The error never quotes the file: a path typed wrong may name a file
/// with secrets.
pub(super) fn read(path: &Path) -> Result<Vec<Offer>, OffersError> {
    let unreadable = |source| OffersError::Unreadable { path: path.into(), source };
    let bad = |message: String| OffersError::BadFile { path: path.into(), message };
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_string(&mut text)).map_err(unreadable)?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(bad(format!("it has more than {FILE_LEN_MAX} bytes")));
    }
    let form = "it must have a list `registration`, each with `interface`, `port` and optionally `group`, `version`, \
                `protocol`, `ip`, `methods`, `weight`, `application`, `meta`";
    let offers: Offers = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        serde_json::from_str(&text)
            .map_err(|error| bad(format!("line {}: not JSON of this form; {form}", error.line())))?
    } else {
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            bad(format!("line {}: not TOML of this form; {form}", before.matches('\n').count() + 1))
        })?
    };
    if offers.registration.is_empty() { Err(bad("it has no registration".into())) } else { Ok(offers.registration) }
}
