//! Splits a JSON body into its objects while the bytes arrive.
//!
//! It knows only enough of JSON to find the end of an object (nesting, strings, escapes). The reader of the object
//! checks the rest. A watch is a sequence of objects, optionally separated by whitespace. A list is one object: its
//! `items` are cut out, and the rest, the envelope, is kept until the end.

use hyper::body::Bytes;

use super::body::{BodyShape, ENVELOPE_LEN_MAX, OBJECT_LEN_MAX, Piece};

/// The body is not JSON of the requested shape.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) struct NotJson;

/// The position in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyPosition {
    /// Outside of every object that is to be cut out.
    Around,
    /// Among the items of a list, outside of each.
    Between,
    /// Inside an object. If it began in an earlier chunk, its first bytes are in `partial`.
    Inside,
}

/// Takes chunks and returns objects.
#[derive(Debug)]
pub(in crate::source) struct JsonSplitter {
    shape: BodyShape,
    position: BodyPosition,
    chunk: Bytes,
    at: usize,
    /// Nesting of the envelope.
    around: Nesting,
    /// Nesting of the object that is being cut out.
    inside: Nesting,
    envelope: Vec<u8>,
    partial: Vec<u8>,
    /// The current object is too large: skip to its end.
    is_oversized: bool,
    /// The items contain a value that is not an object, array or string.
    is_odd: bool,
    /// The last call returned `partial`.
    is_given: bool,
}

impl JsonSplitter {
    pub(in crate::source) fn new(shape: BodyShape) -> JsonSplitter {
        JsonSplitter {
            shape,
            position: BodyPosition::Around,
            chunk: Bytes::new(),
            at: 0,
            around: Nesting::default(),
            inside: Nesting::default(),
            envelope: Vec::new(),
            partial: Vec::new(),
            is_oversized: false,
            is_odd: false,
            is_given: false,
        }
    }

    /// Takes the next chunk. The one before must be read to its end.
    pub(in crate::source) fn push(&mut self, chunk: Bytes) {
        debug_assert_eq!(self.at, self.chunk.len());
        self.chunk = chunk;
        self.at = 0;
    }

    /// The next object. `None` until the next chunk.
    pub(in crate::source) fn next(&mut self) -> Result<Option<Piece<'_>>, NotJson> {
        if self.is_given {
            self.partial.clear();
            self.is_given = false;
        }
        loop {
            let is_at_end = match self.position {
                BodyPosition::Inside => break,
                BodyPosition::Around => self.read_around()?,
                BodyPosition::Between => self.read_between(),
            };
            if is_at_end {
                return Ok(None);
            }
            if self.is_odd {
                self.is_odd = false;
                return Ok(Some(Piece::Unreadable));
            }
        }
        let start = self.at;
        let rest = self.chunk.get(start..).unwrap_or_default();
        let Some(len) = self.inside.end(rest) else {
            self.keep_partial();
            return Ok(None);
        };
        self.at += len;
        self.position = if self.shape == BodyShape::List { BodyPosition::Between } else { BodyPosition::Around };
        Ok(Some(self.give(start)))
    }

    /// Whether the body may end here.
    pub(in crate::source) fn is_whole(&self) -> bool {
        self.position == BodyPosition::Around
            && match self.shape {
                BodyShape::Sequence => true,
                BodyShape::List => self.around.depth == 0 && !self.envelope.is_empty(),
            }
    }

    /// The part of the chunk that was not read: what follows the list, or what is not JSON.
    #[cfg(feature = "server")]
    pub(in crate::source) fn rest(&self) -> &[u8] {
        self.chunk.get(self.at..).unwrap_or_default()
    }

    /// The list without its items. It is closed so that it parses, even while the items are being read.
    pub(in crate::source) fn envelope(&self) -> Vec<u8> {
        let end: &[u8] = if self.is_whole() { b"" } else { b"]}" };
        [self.envelope.as_slice(), end].concat()
    }

    /// Reads up to the next object. Returns true if the chunk ended first.
    fn read_around(&mut self) -> Result<bool, NotJson> {
        while let Some(&byte) = self.chunk.get(self.at) {
            let is_blank = byte.is_ascii_whitespace();
            if self.around.depth == 0 && is_blank {
                self.at += 1;
                continue;
            }
            if self.around.depth == 0 && (byte != b'{' || !self.envelope.is_empty()) {
                return Err(NotJson);
            }
            if self.shape == BodyShape::Sequence {
                self.position = BodyPosition::Inside;
                return Ok(false);
            }
            self.at += 1;
            if is_blank && !self.around.is_string {
                continue;
            }
            let is_items = byte == b'[' && self.around.is_plain_at(1) && self.envelope.ends_with(b"\"items\":");
            if self.envelope.len() >= ENVELOPE_LEN_MAX {
                return Err(NotJson);
            }
            self.envelope.push(byte);
            self.around.step(byte);
            if is_items {
                self.position = BodyPosition::Between;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads up to the next item, the end of an odd value, or the end of the items. Returns true if the chunk ended
    /// first.
    fn read_between(&mut self) -> bool {
        while let Some(&byte) = self.chunk.get(self.at) {
            match byte {
                b',' | b']' if self.is_odd => return false,
                b']' => {
                    self.at += 1;
                    self.envelope.push(byte);
                    self.around.step(byte);
                    self.position = BodyPosition::Around;
                    return false;
                }
                b'{' | b'[' | b'"' if !self.is_odd => {
                    self.position = BodyPosition::Inside;
                    return false;
                }
                b',' => {}
                _ if byte.is_ascii_whitespace() => {}
                _ => self.is_odd = true,
            }
            self.at += 1;
        }
        true
    }

    /// Keeps the rest of the chunk until the object's end arrives.
    fn keep_partial(&mut self) {
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        if self.partial.len() + rest.len() > OBJECT_LEN_MAX {
            self.is_oversized = true;
            self.partial = Vec::new();
        } else if !self.is_oversized {
            self.partial.extend_from_slice(rest);
        }
        self.at = self.chunk.len();
    }

    /// Returns the object that ends at `at` and began at `start` or in an earlier chunk.
    fn give(&mut self, start: usize) -> Piece<'_> {
        let end = self.chunk.get(start..self.at).unwrap_or_default();
        let len = self.partial.len() + end.len();
        if std::mem::take(&mut self.is_oversized) || len > OBJECT_LEN_MAX {
            self.partial = Vec::new();
            return Piece::Unreadable;
        }
        if self.partial.is_empty() {
            return Piece::Object(end);
        }
        self.partial.extend_from_slice(end);
        self.is_given = true;
        Piece::Object(&self.partial)
    }
}

/// The depth in braces and brackets, and whether the position is inside a string.
#[derive(Debug, Default)]
pub(in crate::source) struct Nesting {
    depth: usize,
    is_string: bool,
    is_escaped: bool,
}

impl Nesting {
    fn is_plain_at(&self, depth: usize) -> bool {
        self.depth == depth && !self.is_string
    }

    /// Takes a byte. Returns true if it ends a value.
    fn step(&mut self, byte: u8) -> bool {
        if self.is_escaped {
            self.is_escaped = false;
        } else if self.is_string {
            self.is_escaped = byte == b'\\';
            self.is_string = byte != b'"';
            return !self.is_string && self.depth == 0;
        } else {
            match byte {
                b'"' => self.is_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    return self.depth == 0;
                }
                _ => {}
            }
        }
        false
    }

    /// The number of bytes up to the end of the current value. `None` if it does not end in them.
    pub(in crate::source) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.is_string && !self.is_escaped {
                // Most bytes of a Pod are in strings: skip them in one step.
                let rest = bytes.get(at..).unwrap_or_default();
                let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
                if plain > 0 {
                    at += plain;
                    continue;
                }
            }
            at += 1;
            if self.step(byte) {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The pieces of a body in chunks of this many bytes. `!` is an unreadable one.
    fn split(shape: BodyShape, body: &[u8], chunk_len: usize) -> Result<(Vec<String>, JsonSplitter), NotJson> {
        let mut splitter = JsonSplitter::new(shape);
        let mut pieces = Vec::new();
        for chunk in body.chunks(chunk_len) {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(piece) = splitter.next()? {
                pieces.push(match piece {
                    Piece::Object(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Piece::Unreadable => "!".to_owned(),
                });
            }
        }
        Ok((pieces, splitter))
    }

    #[test]
    fn cuts_sequences() {
        let cases: [(&str, &[&str], bool); 8] = [
            ("", &[], true),
            (" \n", &[], true),
            ("{}", &["{}"], true),
            ("{\"a\":1}\n{\"b\":[{}]}\n", &["{\"a\":1}", "{\"b\":[{}]}"], true),
            ("{}{}", &["{}", "{}"], true),
            (r#"{"a":"}\"}{"}{"b":"\\"}"#, &[r#"{"a":"}\"}{"}"#, r#"{"b":"\\"}"#], true),
            ("{}\n{\"a\":", &["{}"], false),
            ("{\"a\":\"}", &[], false),
        ];
        for (body, expected, is_whole) in cases {
            for chunk_len in [1, 2, 3, 1000] {
                let (pieces, splitter) = split(BodyShape::Sequence, body.as_bytes(), chunk_len).expect(body);
                assert_eq!(pieces, expected, "{body} by {chunk_len}");
                assert_eq!(splitter.is_whole(), is_whole, "{body} by {chunk_len}");
            }
        }
    }

    #[test]
    fn cuts_lists() {
        let cases: [(&str, &[&str], &str); 8] = [
            (r#"{"kind":"PodList","items":[]}"#, &[], r#"{"kind":"PodList","items":[]}"#),
            (
                r#"{"items":[{"a":[1]} , {"b":"]"}],"kind":"L"}"#,
                &[r#"{"a":[1]}"#, r#"{"b":"]"}"#],
                r#"{"items":[],"kind":"L"}"#,
            ),
            (" { \"items\" : [ { } ] } \n", &["{ }"], r#"{"items":[]}"#),
            (r#"{"items":null}"#, &[], r#"{"items":null}"#),
            (r#"{"metadata":{"items":[1]},"x":"[ {"}"#, &[], r#"{"metadata":{"items":[1]},"x":"[ {"}"#),
            (r#"{"items":[1,{},null,"s,]",[{}],true]}"#, &["!", "{}", "!", "\"s,]\"", "[{}]", "!"], r#"{"items":[]}"#),
            (r#"{"items":[{"a":1}"#, &[r#"{"a":1}"#], r#"{"items":[]}"#),
            (r#"{"items":[{"a":1},{"b""#, &[r#"{"a":1}"#], r#"{"items":[]}"#),
        ];
        for (body, expected, envelope) in cases {
            for chunk_len in [1, 2, 3, 1000] {
                let (pieces, splitter) = split(BodyShape::List, body.as_bytes(), chunk_len).expect(body);
                assert_eq!(pieces, expected, "{body} by {chunk_len}");
                assert_eq!(String::from_utf8_lossy(&splitter.envelope()), envelope, "{body} by {chunk_len}");
                assert_eq!(splitter.is_whole(), body.trim_end().ends_with('}') && !body.ends_with("1}"), "{body}");
            }
        }
    }

    #[test]
    fn refuses_what_is_no_json() {
        for body in ["<html>", "[]", "null", "\"a\"", "}"] {
            assert_eq!(split(BodyShape::Sequence, body.as_bytes(), 2).err(), Some(NotJson), "{body}");
            assert_eq!(split(BodyShape::List, body.as_bytes(), 2).err(), Some(NotJson), "{body}");
        }
        assert_eq!(split(BodyShape::List, b"{} {}", 2).err(), Some(NotJson), "two lists");
        let endless = format!("{{\"a\":\"{}", "x".repeat(ENVELOPE_LEN_MAX));
        assert_eq!(split(BodyShape::List, endless.as_bytes(), 4096).err(), Some(NotJson), "a long envelope");
    }

    #[test]
    fn skips_an_object_over_the_bound_and_keeps_its_neighbours() {
        let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(OBJECT_LEN_MAX - 8));
        assert_eq!(fits.len(), OBJECT_LEN_MAX);
        let over = fits.replacen('x', "xx", 1);
        for chunk_len in [4096, 65_537, 16 * 1024 * 1024] {
            let body = format!("{{}}\n{fits}\n{over}\n{{\"b\":1}}\n");
            let (pieces, splitter) = split(BodyShape::Sequence, body.as_bytes(), chunk_len).expect("JSON");
            let lens: Vec<usize> = pieces.iter().map(String::len).collect();
            assert_eq!(lens, [2, OBJECT_LEN_MAX, 1, 7], "by {chunk_len}");
            assert!(splitter.is_whole());
        }
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(objects in prop::collection::vec(json(), 0..6), chunk_len in 1usize..40) {
            let texts: Vec<String> = objects.iter().map(|object| serde_json::json!({ "o": object }).to_string()).collect();
            let list = format!("{{\"kind\":\"PodList\",\"items\":[{}],\"metadata\":{{}}}}", texts.join(","));
            let (pieces, splitter) = split(BodyShape::List, list.as_bytes(), chunk_len).map_err(|_| TestCaseError::fail("list"))?;
            prop_assert_eq!(&pieces, &texts);
            prop_assert!(splitter.is_whole());
            let (pieces, splitter) = split(BodyShape::Sequence, texts.join("\n").as_bytes(), chunk_len).map_err(|_| TestCaseError::fail("sequence"))?;
            prop_assert_eq!(&pieces, &texts);
            prop_assert!(splitter.is_whole());
        }

        #[test]
        fn any_bytes_are_survived(body in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ items1<".to_vec()), 0..60), chunk_len in 1usize..9) {
            for shape in [BodyShape::Sequence, BodyShape::List] {
                let whole = split(shape, &body, 1000).map(|(pieces, splitter)| (pieces, splitter.is_whole()));
                let parts = split(shape, &body, chunk_len).map(|(pieces, splitter)| (pieces, splitter.is_whole()));
                prop_assert_eq!(whole, parts);
            }
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[a-z{}\\[\\]\"\\\\,: ü]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-z\"{}]{0,4}", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }
}
