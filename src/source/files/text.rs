//! Decodes a stream of bytes in UTF-8 or UTF-16, and finds where its documents begin and end.
//!
//! A line ends with LF, CR LF or CR in the stream, and with LF in the text. A byte that does not decode becomes
//! [`NO_TEXT`], so it harms only its own document.

use std::io::{self, Read};

/// How much is read at a time.
pub(super) const CHUNK_LEN: usize = 64 * 1024;

/// The byte in a text for what does not decode. UTF-8 has no such byte, so the document that holds it is refused.
const NO_TEXT: u8 = 0xff;

/// The bytes of a line that show whether it separates documents: a byte order mark, `---` or `...`, and the next byte.
const SEPARATOR_LEN: usize = BOM.len() + 4;

/// The byte order mark, in UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// The encoding of a stream. Without a byte order mark it follows from the zero bytes around the first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextEncoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// How a document starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With a brace: JSON, or YAML in flow style.
    Brace,
    /// With anything else: YAML.
    Line,
    /// In a way that kubectl does not read, and what to write instead.
    Refused(&'static str),
}

const BESIDE_MARKER: &str = "text follows --- in its line: write it in the next line";
const DIRECTIVE: &str = "a line begins with %: leave out YAML's directives";
const BEHIND_END: &str = "text follows ... before the next ---: write --- instead of ...";

/// What `find_document` has passed since the last document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    Nothing,
    /// `---`, in the current line.
    Marker,
    /// `...`, and no `---` since.
    End,
}

/// The text of a stream. Only the part that is not taken yet is in memory.
pub(super) struct TextReader<R> {
    source: R,
    /// The number of bytes of one read.
    chunk_len: usize,
    encoding: Option<TextEncoding>,
    /// Bytes that are read and not decoded yet: the first bytes of a character.
    raw: Vec<u8>,
    decoded: Vec<u8>,
    /// Whether the last decoded byte is CR. Then an LF does not end another line.
    is_behind_cr: bool,
    /// The offset in `decoded` of the first byte that is not taken.
    at: usize,
    is_at_end: bool,
    is_at_line_start: bool,
    /// The current line, counted from 1.
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

    /// The line of the next byte.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The bytes that are decoded and not taken yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.decoded.get(self.at..).unwrap_or_default()
    }

    /// Takes this many bytes of the rest.
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

    /// Puts back the bytes that were taken last, from this offset on.
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

    /// The number of bytes up to the next separator, as far as they are read. `None` if a separator or the end is next.
    pub(super) fn stretch(&mut self) -> io::Result<Option<usize>> {
        while self.rest().len() <= SEPARATOR_LEN && self.fill()? {}
        let rest = self.rest();
        // The last bytes may be the first ones of a separator.
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

    /// Skips blank lines, comments, separators and byte order marks up to the next document. It keeps the indentation of a
    /// line, but not of a brace. `None` at the end of the stream.
    ///
    /// kubectl ignores what follows `...`, up to the next `---`. Here that must be nothing but comments and directives.
    pub(super) fn find_document(&mut self) -> io::Result<Option<Start>> {
        let mut passed = Passed::Nothing;
        loop {
            while !self.rest().contains(&b'\n') && self.rest().len() < CHUNK_LEN && self.fill()? {}
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(None);
            }
            if rest.starts_with(BOM) {
                self.take_mark();
                continue;
            }
            if self.is_at_line_start && is_separator(rest) {
                passed = if rest.starts_with(b"...") { Passed::End } else { Passed::Marker };
                self.take("---".len());
                continue;
            }
            let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let is_directive = self.is_at_line_start && rest.starts_with(b"%");
            match rest.get(blank) {
                None => _ = self.take(blank),
                Some(b'\n' | b'#') => {
                    self.skip_line()?;
                    passed = if passed == Passed::Marker { Passed::Nothing } else { passed };
                }
                Some(_) if is_directive && passed == Passed::End => self.skip_line()?,
                Some(_) if passed == Passed::End => return Ok(Some(Start::Refused(BEHIND_END))),
                Some(_) if passed == Passed::Marker => return Ok(Some(Start::Refused(BESIDE_MARKER))),
                Some(_) if is_directive => return Ok(Some(Start::Refused(DIRECTIVE))),
                Some(b'{') => {
                    self.take(blank);
                    return Ok(Some(Start::Brace));
                }
                Some(_) => return Ok(Some(Start::Line)),
            }
        }
    }

    /// Skips to the next separator or to the end.
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

    /// Skips the rest of the line.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let end = self.rest().iter().position(|byte| *byte == b'\n');
            self.take(end.map_or(self.rest().len(), |end| end + 1));
            if end.is_some() || !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Takes a byte order mark. A mark at the start of a line leaves the next byte there too.
    fn take_mark(&mut self) {
        let is_at_line_start = self.is_at_line_start;
        self.take(BOM.len());
        self.is_at_line_start = is_at_line_start;
    }

    /// Reads and decodes more bytes. Returns false at the end of the stream.
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
        }
        self.end_lines(old);
        Ok(true)
    }

    /// Ends the lines of the decoded bytes from this offset on with LF.
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

    fn decode_utf8(&mut self) {
        let mut rest = self.raw.as_slice();
        while !rest.is_empty() {
            let (whole, bad) = match std::str::from_utf8(rest) {
                Ok(text) => (text.len(), 0),
                Err(error) => {
                    let behind = rest.len() - error.valid_up_to();
                    // Without a length, the end of the character may come with the next chunk.
                    (error.valid_up_to(), error.error_len().unwrap_or(if self.is_at_end { behind } else { 0 }))
                }
            };
            let (text, behind) = rest.split_at(whole);
            self.decoded.extend_from_slice(text);
            rest = behind;
            if bad == 0 {
                break;
            }
            self.decoded.push(NO_TEXT);
            rest = rest.get(bad..).unwrap_or_default();
        }
        let decoded = self.raw.len() - rest.len();
        self.raw.drain(..decoded);
    }

    fn decode_utf16(&mut self, unit: fn([u8; 2]) -> u16) {
        let mut units: Vec<u16> = self.raw.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        if !self.is_at_end && units.last().is_some_and(|last| (0xd800..0xdc00).contains(last)) {
            units.pop(); // its other half comes with the next chunk
        }
        self.raw.drain(..2 * units.len());
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => self.decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(_) => self.decoded.push(NO_TEXT),
            }
        }
        if self.is_at_end && !self.raw.is_empty() {
            self.raw.clear();
            self.decoded.push(NO_TEXT);
        }
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

/// Whether a line begins or ends a document. Neither a scalar of YAML nor JSON can contain such a line.
fn is_separator(line: &[u8]) -> bool {
    let line = line.strip_prefix(BOM).unwrap_or(line);
    let behind = line.strip_prefix(b"---").or_else(|| line.strip_prefix(b"..."));
    behind.is_some_and(|behind| behind.first().is_none_or(u8::is_ascii_whitespace))
}
