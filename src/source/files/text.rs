//! A stream of bytes becomes text as it comes: UTF-8 or UTF-16, up to the next line that separates documents.
//!
//! A line ends with LF, CR LF or CR in the stream, and with LF in the text.

use std::io::{self, Read};

/// How much is read at a time.
pub(super) const CHUNK_LEN: usize = 64 * 1024;

/// How far a line must be known to say whether it separates documents: a byte order mark, three signs and what follows.
const SEPARATOR_LEN: usize = BOM.len() + 4;

/// The byte order mark, in UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// How a stream is written. Without a byte order mark the zero bytes around its first character tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextEncoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// The text of a stream. Of it no more is in memory than what is not taken yet.
pub(super) struct TextReader<R> {
    source: R,
    /// How much is read at a time.
    chunk_len: usize,
    encoding: Option<TextEncoding>,
    /// Bytes that are read and not decoded yet: the beginning of a character.
    raw: Vec<u8>,
    decoded: Vec<u8>,
    /// The last byte that was decoded is CR: an LF behind it ends no other line.
    is_behind_cr: bool,
    /// Where what is not taken yet begins.
    at: usize,
    is_at_end: bool,
    is_at_line_start: bool,
    /// The line in hand, counted from 1.
    line: u64,
}

impl<R: Read> TextReader<R> {
    pub(super) fn new(source: R, chunk_len: usize) -> TextReader<R> {
        TextReader {
            source,
            chunk_len,
            encoding: None,
            raw: Vec::new(),
            decoded: Vec::new(),
            is_behind_cr: false,
            at: 0,
            is_at_end: false,
            is_at_line_start: true,
            line: 1,
        }
    }

    /// The line that the next byte stands in.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// What is decoded and not taken yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.decoded.get(self.at..).unwrap_or_default()
    }

    /// Takes so many bytes of the rest.
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let start = self.at;
        self.at = (start + len).min(self.decoded.len());
        let taken = self.decoded.get(start..self.at).unwrap_or_default();
        if let Some(last) = taken.last() {
            self.is_at_line_start = *last == b'\n';
        }
        self.line += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        taken
    }

    /// Puts back what was taken last, from a place in it.
    pub(super) fn put_back(&mut self, taken: &[u8], start: usize) {
        let (before, text) = taken.split_at(start.min(taken.len()));
        if text.is_empty() {
            return;
        }
        self.decoded.splice(..self.at, text.iter().copied());
        self.at = 0;
        self.line -= text.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.is_at_line_start = before.ends_with(b"\n");
    }

    /// The bytes up to the next line that separates documents, as far as they are read; none where one comes next, or
    /// where the stream ends.
    pub(super) fn stretch(&mut self) -> io::Result<Option<usize>> {
        while self.rest().len() <= SEPARATOR_LEN && self.fill()? {}
        let rest = self.rest();
        // Of the last bytes nobody knows yet whether they begin a separator.
        let known = if self.is_at_end { rest.len() } else { rest.len() - SEPARATOR_LEN };
        if known == 0 || (self.is_at_line_start && is_separator(rest)) {
            return Ok(None);
        }
        let mut start = 0;
        while let Some(end) = rest.get(start..known).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
            start += end + 1;
            if rest.get(start..).is_some_and(is_separator) {
                return Ok(Some(start));
            }
        }
        Ok(Some(known))
    }

    /// Goes to the next document's first byte: over blank lines, comments, separators, directives and byte order marks.
    /// A line's indentation stays, unless the document begins with a brace. False where the stream ends.
    pub(super) fn find_document(&mut self) -> io::Result<bool> {
        loop {
            while !self.rest().contains(&b'\n') && self.rest().len() < CHUNK_LEN && self.fill()? {}
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(false);
            }
            if rest.starts_with(BOM) {
                self.take_mark();
                continue;
            }
            if self.is_at_line_start && is_separator(rest) {
                self.take("---".len());
                continue;
            }
            let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            match rest.get(blank) {
                None => _ = self.take(blank),
                Some(b'\n') => _ = self.take(blank + 1),
                Some(b'#') => self.skip_line()?,
                Some(b'%') if blank == 0 && self.is_at_line_start => self.skip_line()?,
                Some(b'{') => {
                    self.take(blank);
                    return Ok(true);
                }
                Some(_) => return Ok(true),
            }
        }
    }

    /// Skips to the next separator, or to the end.
    pub(super) fn skip_document(&mut self) -> io::Result<()> {
        while let Some(len) = self.stretch()? {
            self.take(len);
        }
        Ok(())
    }

    /// Skips to the next line that begins with a brace, to the next separator, or to the end.
    pub(super) fn skip_object(&mut self) -> io::Result<()> {
        while let Some(len) = self.stretch()? {
            if self.is_at_line_start && self.rest().starts_with(b"{") {
                break;
            }
            let line = self.rest().get(..len).unwrap_or_default().iter().position(|byte| *byte == b'\n');
            self.take(line.map_or(len, |end| end + 1));
        }
        Ok(())
    }

    /// Skips to the next line's start.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let end = self.rest().iter().position(|byte| *byte == b'\n');
            self.take(end.map_or(self.rest().len(), |end| end + 1));
            if end.is_some() || !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Takes a byte order mark. A line that it stands at the start of still starts behind it.
    fn take_mark(&mut self) {
        let is_at_line_start = self.is_at_line_start;
        self.take(BOM.len());
        self.is_at_line_start = is_at_line_start;
    }

    /// Reads more; false where there is no more.
    fn fill(&mut self) -> io::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        self.decoded.drain(..self.at);
        self.at = 0;
        let read = (&mut self.source).take(self.chunk_len as u64).read_to_end(&mut self.raw)?;
        self.is_at_end = read < self.chunk_len;
        let old = self.decoded.len();
        let encoding = *self.encoding.get_or_insert_with(|| encoding_of(&self.raw));
        match encoding {
            TextEncoding::Utf8 => self.decode_utf8(),
            TextEncoding::Utf16Le => self.decode_utf16(u16::from_le_bytes),
            TextEncoding::Utf16Be => self.decode_utf16(u16::from_be_bytes),
        }?;
        self.end_lines(old);
        if self.is_at_end && !self.raw.is_empty() {
            return Err(broken("it ends within a character"));
        }
        Ok(true)
    }

    /// Ends the lines of what was decoded behind a place with LF.
    fn end_lines(&mut self, start: usize) {
        let Some(fresh) = self.decoded.get(start..) else { return };
        if !self.is_behind_cr && !fresh.contains(&b'\r') {
            return;
        }
        let fresh = self.decoded.split_off(start);
        for byte in fresh {
            let is_behind_cr = std::mem::replace(&mut self.is_behind_cr, byte == b'\r');
            match byte {
                b'\r' => self.decoded.push(b'\n'),
                b'\n' if is_behind_cr => {}
                other => self.decoded.push(other),
            }
        }
    }

    fn decode_utf8(&mut self) -> io::Result<()> {
        let whole = match std::str::from_utf8(&self.raw) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(broken("it is neither UTF-8 nor UTF-16")),
        };
        self.decoded.extend(self.raw.drain(..whole));
        Ok(())
    }

    fn decode_utf16(&mut self, unit: fn([u8; 2]) -> u16) -> io::Result<()> {
        let mut units: Vec<u16> = self.raw.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        if !self.is_at_end && units.last().is_some_and(|last| (0xd800..0xdc00).contains(last)) {
            units.pop(); // its other half comes with the next chunk
        }
        self.raw.drain(..2 * units.len());
        for character in char::decode_utf16(units) {
            let character = character.map_err(|_| broken("its UTF-16 has half a character"))?;
            self.decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

fn encoding_of(start: &[u8]) -> TextEncoding {
    match start {
        [0xff, 0xfe, ..] => TextEncoding::Utf16Le,
        [0xfe, 0xff, ..] => TextEncoding::Utf16Be,
        [first, 0, ..] if *first != 0 => TextEncoding::Utf16Le,
        [0, second, ..] if *second != 0 => TextEncoding::Utf16Be,
        _ => TextEncoding::Utf8,
    }
}

/// Whether a line begins or ends a document. In no YAML scalar and in no JSON can one stand.
fn is_separator(line: &[u8]) -> bool {
    let line = line.strip_prefix(BOM).unwrap_or(line);
    let behind = line.strip_prefix(b"---").or_else(|| line.strip_prefix(b"..."));
    behind.is_some_and(|behind| behind.first().is_none_or(u8::is_ascii_whitespace))
}

fn broken(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
