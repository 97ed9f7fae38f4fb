//! Any bytes as a stream of manifests: read without a panic, and read the same in whatever pieces it is read and however it is
//! encoded.
//!
//! The input's first byte says how many bytes are read at a time, the second how long a document may be, the rest is the stream.

#![no_main]

use callsign::source::files::fuzzing::read;
use libfuzzer_sys::fuzz_target;

/// The least that is read at a time: the encoding shows in so many bytes.
const CHUNK_LEN_MIN: usize = 4;

/// How a problem begins that is one of the file, and not of a document.
const OF_FILE: &str = "file: ";

fuzz_target!(|bytes: &[u8]| {
    let [chunk, document, stream @ ..] = bytes else { return };
    let chunk = CHUNK_LEN_MIN + usize::from(*chunk);
    let whole = read(stream, None, None);
    for problem in &whole.problems {
        assert!(!problem.contains(char::is_control), "a problem of one line: {problem:?}");
    }
    let pieces = read(stream, Some(chunk), None);
    if whole.problems.iter().any(|problem| problem.starts_with(OF_FILE)) {
        return; // bytes that are not text: what stands before them in their chunk is not read
    }
    assert_eq!(whole, pieces, "in chunks of {chunk}");
    if let Some(other) = in_utf16(stream) {
        assert_eq!(whole, read(&other, Some(chunk), None), "in UTF-16");
    }
    // Where documents are too long, their items are read one by one.
    read(stream, Some(chunk), Some(usize::from(*document)));
});

/// The same text; none where the bytes are no UTF-8.
fn in_utf16(stream: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(stream).ok().filter(|text| !text.get(..2).unwrap_or_default().contains('\0'))?;
    Some(format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect())
}
