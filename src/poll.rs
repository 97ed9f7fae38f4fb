//! Detects changes in files and folders by polling every [`POLL_INTERVAL`].
//!
//! Polling works everywhere. Kernel notification does not work on network file systems, nor for the links that the
//! kubelet replaces when it updates a mounted ConfigMap.

use std::fs::Metadata;
use std::future::ready;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The polling interval, and the longest delay before a change is noticed.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long files must stay the same before a change is read. Many programs empty a file before they write it again.
const SETTLE_INTERVAL: Duration = Duration::from_millis(250);

/// After this many intervals a change is read anyway: a file may change all the time.
const SETTLE_INTERVALS_MAX: usize = 20;

/// The depth to which folders are read. A link may lead back to a parent folder.
const DEPTH_MAX: usize = 8;

/// The most files and folders that are read below a folder.
const MARKS_MAX: usize = 50_000;

/// The path that means standard input.
pub const STDIN: &str = "-";

/// The state of a set of paths. Two equal fingerprints mean that nothing has to be read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, Option<FileStamp>)>);

/// What changes with a file: length, time of change in nanoseconds, device and inode.
type FileStamp = (u64, i128, u64, u64);

impl Fingerprint {
    /// Reads the state of files, and of the files in folders. Take it before the files are read, so that a change in
    /// between is noticed.
    pub fn of(paths: &[PathBuf]) -> Fingerprint {
        let mut marks = Vec::new();
        for path in paths.iter().filter(|path| !is_stdin(path)) {
            marks.push((path.clone(), stamp(path)));
            for file in entries(path).unwrap_or_default() {
                let mark = stamp(&file);
                marks.push((file, mark));
            }
        }
        Fingerprint(marks)
    }

    /// Reads the state of all files below a folder.
    pub fn below(folder: &Path) -> Fingerprint {
        let mut marks = Vec::new();
        mark_below(folder, DEPTH_MAX, &mut marks);
        Fingerprint(marks)
    }
}

/// Adds a path, and what is below it if it is a folder.
fn mark_below(path: &Path, depth_left: usize, marks: &mut Vec<(PathBuf, Option<FileStamp>)>) {
    if marks.len() == MARKS_MAX {
        return;
    }
    marks.push((path.to_owned(), stamp(path)));
    if depth_left > 0 {
        entries(path).unwrap_or_default().iter().for_each(|path| mark_below(path, depth_left - 1, marks));
    }
}

/// Waits until the paths differ from `seen` and have settled, and updates `seen`.
pub async fn changed(paths: &[PathBuf], seen: &mut Fingerprint) {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let now = Fingerprint::of(paths);
        if now != *seen {
            *seen = settled(now, || ready(Fingerprint::of(paths))).await;
            return;
        }
    }
}

/// Calls `look` until two results in a row are equal, at most `SETTLE_INTERVALS_MAX` times.
pub async fn settled<T: PartialEq, F: Future<Output = T>>(mut seen: T, mut look: impl FnMut() -> F) -> T {
    for _ in 0..SETTLE_INTERVALS_MAX {
        tokio::time::sleep(SETTLE_INTERVAL).await;
        let now = look().await;
        if now == seen {
            break;
        }
        seen = now;
    }
    seen
}

/// Whether the path means standard input.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// The visible entries of a folder, sorted. Empty if the path is not a folder. Hidden entries are left out: editors'
/// files, and the `..data` of a mounted ConfigMap, to whose files visible links point.
pub fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a folder, or a folder below it, has a visible file that `is_wanted` accepts.
pub fn has_below(folder: &Path, is_wanted: fn(&Path) -> bool) -> bool {
    fn has(folder: &Path, is_wanted: fn(&Path) -> bool, depth_left: usize) -> bool {
        let mut found = entries(folder).unwrap_or_default().into_iter();
        found.any(|path| {
            is_wanted(&path) || (depth_left > 0 && !path.is_symlink() && has(&path, is_wanted, depth_left - 1))
        })
    }
    has(folder, is_wanted, DEPTH_MAX)
}

/// The mark of a file, or of the target of a link. `None` if it does not exist.
fn stamp(path: &Path) -> Option<FileStamp> {
    let metadata: Metadata = std::fs::metadata(path).ok()?;
    let changed_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Some((metadata.len(), changed_ns, metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use std::cell::Cell;

    use super::*;

    /// A change is read once the files have settled, and after some seconds even if they never do.
    #[tokio::test]
    async fn a_file_is_read_once_its_writer_is_done() {
        for (changes, looks) in [(0, 1), (1, 2), (3, 4), (1000, SETTLE_INTERVALS_MAX)] {
            let count = Cell::new(0);
            let look = || {
                count.set(count.get() + 1);
                ready(count.get().min(changes))
            };
            assert_eq!(settled(0, look).await, looks.min(changes), "{changes}");
            assert_eq!(count.get(), looks, "{changes}");
        }
    }

    #[test]
    fn every_change_is_noticed_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("callsign-poll-{}", std::process::id()));
        fs::create_dir_all(folder.join("..1")).expect("a folder");
        fs::create_dir_all(folder.join("..2")).expect("a folder");
        fs::write(folder.join("..1/linked"), "same").expect("a file");
        fs::write(folder.join("..2/linked"), "same").expect("a file");
        symlink("..1", folder.join("..data")).expect("a link");
        symlink("..data/linked", folder.join("linked")).expect("a link");
        fs::write(folder.join("a"), "1").expect("a file");
        let paths = [folder.clone(), folder.join("absent"), PathBuf::from(STDIN)];

        let changes: [(&str, &dyn Fn(), bool); 7] = [
            ("nothing", &|| {}, false),
            ("another length", &|| fs::write(folder.join("a"), "12").expect("a file"), true),
            (
                "another file of the same length",
                &|| {
                    fs::write(folder.join(".new"), "34").expect("a file");
                    fs::rename(folder.join(".new"), folder.join("a")).expect("a file");
                },
                true,
            ),
            ("one more", &|| fs::write(folder.join("b"), "").expect("a file"), true),
            ("one less", &|| fs::remove_file(folder.join("b")).expect("a file"), true),
            (
                "a ConfigMap's link turned",
                &|| {
                    symlink("..2", folder.join("..new")).expect("a link");
                    fs::rename(folder.join("..new"), folder.join("..data")).expect("a link");
                },
                true,
            ),
            ("a path that was absent", &|| fs::write(folder.join("absent"), "").expect("a file"), true),
        ];
        let mut before = Fingerprint::of(&paths);
        for (name, change, shows) in changes {
            change();
            let after = Fingerprint::of(&paths);
            assert_eq!(after != before, shows, "{name}");
            before = after;
        }
        fs::remove_dir_all(&folder).expect("the folder");
    }
}
