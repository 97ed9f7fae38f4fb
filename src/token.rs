//! A bearer token in a file: the server requires it, and its clients send it.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest accepted token, in bytes. Tokens of Kubernetes have some 1,000.
const TOKEN_LEN_MAX: usize = 16 * 1024;

/// Why there is no token. It never shows the file's content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Reading the file failed.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The token's file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file's content is not a token.
    #[error("{}: it must have one token, up to {TOKEN_LEN_MAX} printable characters without a space", path.display())]
    Malformed {
        /// The token's file.
        path: PathBuf,
    },
}

/// Reads the token in a file, without surrounding whitespace.
///
/// # Errors
/// The file cannot be read, or its content is not a token.
pub fn read(file: &Path) -> Result<String, TokenError> {
    let text = fs::read_to_string(file).map_err(|source| TokenError::Unreadable { path: file.into(), source })?;
    let token = text.trim();
    let is_token = (1..=TOKEN_LEN_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| token.to_owned()).ok_or_else(|| TokenError::Malformed { path: file.into() })
}
