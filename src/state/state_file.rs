//! The state file. It is written whole, and read whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};

use super::record::{SavedPod, StateLine, source_name};
use super::{FILE_NAME, StateError, StateHeader};
use crate::index::{Index, Now};
use crate::snapshot::Snapshot;
use crate::source::{Change, SourceId};

/// The value of `format` in the head.
const FORMAT: &str = "callsign-state";

/// The version that is written. A later version's file may need more than this program knows.
const VERSION: u32 = 1;

/// The longest head. A source has some 300 bytes, and there are at most a few hundred.
const HEAD_LEN_MAX: u64 = 1 << 20;

/// The longest line: a Pod with the largest annotation, and its escapes.
const LINE_LEN_MAX: u64 = 4 << 20;

/// Writes a zone into a folder, and replaces the file there.
///
/// # Errors
/// The system's error. The old file is then still there.
pub fn save(folder: &Path, snapshot: &Snapshot, sources: &[SourceId], heard_at: u64) -> Result<(), StateError> {
    let path = folder.join(FILE_NAME);
    let new = folder.join(format!(".{FILE_NAME}.new"));
    let head = StateHeader {
        format: FORMAT.into(),
        version: VERSION,
        zone: snapshot.settings.origin.to_string(),
        sources: names(sources),
        serial: snapshot.serial,
        heard_at,
    };
    let write = || -> io::Result<()> {
        let file = write(File::create(&new)?, &head, snapshot)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all() // makes the rename durable
    };
    write().map_err(|source| StateError::Io { path: path.clone(), source })
}

fn write(file: File, head: &StateHeader, snapshot: &Snapshot) -> io::Result<File> {
    let mut out = BufWriter::new(file);
    serde_json::to_writer(&mut out, head)?;
    out.write_all(b"\n")?;
    let mut frame = FrameEncoder::with_frame_info(FrameInfo::new().content_checksum(true), out);
    let mut line = Vec::new();
    let mut pods = 0;
    for saved in snapshot.pods().filter_map(|record| SavedPod::of(record)) {
        line.clear();
        serde_json::to_writer(&mut line, &StateLine::Pod(Box::new(saved)))?;
        line.push(b'\n');
        frame.write_all(&line)?;
        pods += 1;
    }
    serde_json::to_writer(&mut frame, &StateLine::End(pods))?;
    let out = frame.finish().map_err(io::Error::other)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// Loads a folder's zone through an empty index of these sources. Whatever a profile's encoding is, the file has pairs.
///
/// `now` is Unix time in seconds.
///
/// # Errors
/// There is no file, or its zone must not be served.
pub fn load(
    folder: &Path,
    mut index: Index,
    zone: &str,
    sources: &[SourceId],
    now: u64,
    age_max: Duration,
) -> Result<Arc<Snapshot>, StateError> {
    let path = folder.join(FILE_NAME);
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => StateError::Absent,
        _ => StateError::Io { path: path.clone(), source },
    };
    let broken = |reason: String| StateError::Broken { path: path.clone(), reason };
    let mut file = BufReader::new(File::open(&path).map_err(unreadable)?);
    let head = read_head(&mut file).map_err(broken)?;
    let (theirs, ours) = ((&*head.zone, &head.sources), (zone, &names(sources)));
    if theirs != ours {
        let told = |(zone, sources): (&str, &Vec<String>)| format!("{zone} from {}", sources.join(", "));
        return Err(StateError::Foreign { path, theirs: told(theirs), ours: told(ours) });
    }
    let age_s = now.saturating_sub(head.heard_at);
    if age_s > age_max.as_secs() {
        return Err(StateError::TooOld { path, age_s, max_s: age_max.as_secs() });
    }
    sources.iter().for_each(|source| index.apply(source, Change::Begin));
    read_pods(FrameDecoder::new(file), &mut index, sources).map_err(broken)?;
    sources.iter().for_each(|source| index.apply(source, Change::Commit));
    let at = Now { monotonic: Duration::ZERO, wall_eighths: head.serial };
    let (snapshot, _) = index.publish(at).ok_or_else(|| broken("it holds no zone".into()))?;
    Ok(Arc::new(Snapshot { revision: u64::MAX, heard_at: Some(head.heard_at), ..Snapshot::clone(&snapshot) }))
}

/// The serial of a folder's zone, however old it is. `None` if the file is unusable; [`load`] reports why.
pub fn serial(folder: &Path, zone: &str) -> Option<u32> {
    let file = File::open(folder.join(FILE_NAME)).ok()?;
    let head = read_head(&mut BufReader::new(file)).ok()?;
    (head.zone == zone).then_some(head.serial)
}

fn read_head(file: &mut impl BufRead) -> Result<StateHeader, String> {
    let mut line = Vec::new();
    file.take(HEAD_LEN_MAX).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    let wrong = |error: serde_json::Error| format!("its first line is not the head of a callsign state file: {error}");
    // Read first what every version has. A later version may have changed everything else.
    #[derive(serde::Deserialize)]
    struct Kind {
        format: String,
        version: u32,
    }
    let Kind { format, version } = serde_json::from_slice(&line).map_err(wrong)?;
    if format != FORMAT {
        return Err(format!("its format is {format:?}, not {FORMAT}"));
    }
    if version > VERSION {
        return Err(format!("it has version {version}, and this program reads versions up to {VERSION}"));
    }
    serde_json::from_slice(&line).map_err(wrong)
}

/// Sends every Pod to the index. Reads to the end, because the checksum is there.
fn read_pods(content: impl Read, index: &mut Index, sources: &[SourceId]) -> Result<(), String> {
    let mut content = BufReader::new(content);
    let torn = |error: io::Error| format!("it is torn: {error}");
    let (mut line, mut pods) = (Vec::new(), 0);
    loop {
        line.clear();
        (&mut content).take(LINE_LEN_MAX).read_until(b'\n', &mut line).map_err(torn)?;
        match serde_json::from_slice(&line) {
            Ok(StateLine::Pod(saved)) => {
                pods += 1;
                for (source, pod) in saved.pods(sources) {
                    index.apply(&source, Change::Apply(Box::new(pod)));
                }
            }
            Ok(StateLine::End(count)) if count == pods => break,
            Ok(StateLine::End(count)) => return Err(format!("it is torn: it has {pods} Pods of {count}")),
            Err(error) => return Err(format!("it is torn after {pods} Pods: {error}")),
        }
    }
    match content.read(&mut [0]).map_err(torn)? {
        0 => Ok(()),
        _ => Err("it has data after its end".into()),
    }
}

fn names(sources: &[SourceId]) -> Vec<String> {
    sources.iter().map(source_name).collect()
}
