//! The files that a zone includes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FILE_LEN_MAX;
use super::token::Token;

/// The deepest chain of files that include each other.
pub(super) const INCLUDE_DEPTH_MAX: usize = 8;

/// The most files that one zone includes. A file counts each time it is included.
const INCLUDES_MAX: usize = 1_000;

/// The folder of a zone's files, and what has been read from it.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// `None` if the zone's text comes from no folder.
    root: Option<PathBuf>,
    /// All files that the zone includes, in order.
    pub(super) included: Vec<Included>,
    len: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Included {
    pub(super) path: PathBuf,
    pub(super) text: Arc<[u8]>,
}

impl Folder {
    /// No folder: `$INCLUDE` is refused.
    pub(super) fn none() -> Folder {
        Folder::default()
    }

    pub(super) fn at(root: &Path) -> Folder {
        Folder { root: Some(root.to_owned()), ..Folder::default() }
    }

    /// Reads a file. Its path is relative to the file that includes it. Returns its path relative to the root.
    ///
    /// # Errors
    /// The path leads out of the folder, the file cannot be read, or a limit is exceeded.
    pub(super) fn open(&mut self, including: Option<&Path>, file: &Token<'_>) -> Result<(Arc<str>, Arc<[u8]>), String> {
        let root = self.root.as_deref().ok_or("$INCLUDE needs a folder of zone files")?;
        // A file name has no escapes: a backslash is a backslash, as in BIND.
        let name = std::str::from_utf8(file.raw).map_err(|_| "the file's name is not UTF-8")?;
        let beside = including.and_then(Path::parent).unwrap_or(Path::new(""));
        let relative = beside.join(name);
        let path = root.join(&relative);
        let cannot = |error: std::io::Error| format!("cannot read {name}: {error}");
        // Links are resolved before the check: the files of a mounted ConfigMap are links into the same folder.
        let real = path.canonicalize().map_err(cannot)?;
        if !real.starts_with(root.canonicalize().map_err(cannot)?) {
            return Err(format!("{name} is not below the folder of the zone files"));
        }
        if !real.is_file() {
            return Err(format!("{name} is not a regular file"));
        }
        if self.included.len() == INCLUDES_MAX {
            return Err(format!("more than {INCLUDES_MAX} included files"));
        }
        let mut text = Vec::new();
        let left = FILE_LEN_MAX - self.len;
        File::open(&real).and_then(|file| file.take(left + 1).read_to_end(&mut text)).map_err(cannot)?;
        if text.len() as u64 > left {
            return Err(format!("the zone's files are larger than {FILE_LEN_MAX} bytes in all"));
        }
        self.len += text.len() as u64;
        let text: Arc<[u8]> = text.into();
        self.included.push(Included { path, text: text.clone() });
        Ok((relative.to_string_lossy().into(), text))
    }
}
