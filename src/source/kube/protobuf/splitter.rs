//! Splits a protobuf body into its objects while the bytes arrive.
//!
//! A watch is a sequence of frames: a length of four bytes, big-endian, then an event. A list is [`MAGIC`] and a
//! `runtime.Unknown`. Field 2 of that is a `PodList`, and each field 2 of the `PodList` is an item. Everything has its
//! length, so an object is taken from the chunk that has it, and copied only if it spans two chunks.

use hyper::body::Bytes;

use super::{MAGIC, NotProtobuf, WireType, kind, last_bytes, tag, text, varint};
use crate::source::kube::body::{BodyShape, ENVELOPE_LEN_MAX, Envelope, OBJECT_LEN_MAX, Piece};

/// The longest plausible frame. If a proxy sends text instead of a watch, its first byte is at least 9 (a tab), and
/// the length that it stands for is longer than this.
const FRAME_LEN_MAX: u32 = 128 * 1024 * 1024;

/// The bytes of a frame's length.
const FRAME_HEAD_LEN: usize = 4;

/// Takes chunks and returns objects.
#[derive(Debug)]
pub(in crate::source::kube) struct ProtobufSplitter {
    chunk: Bytes,
    at: usize,
    /// The bytes of earlier chunks that belong to the current `state`.
    partial: Vec<u8>,
    /// The last call returned `partial`.
    is_given: bool,
    state: SplitterState,
    shape: BodyShape,
    /// The position in a list.
    level: Level,
    envelope: Envelope,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SplitterState {
    /// A list's first bytes.
    Magic,
    /// A frame's length, or a field's tag with its number or length.
    Head,
    /// This many bytes that are needed.
    Body(Meaning, usize),
    /// This many bytes that are skipped.
    Skip(u64),
}

/// The meaning of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Object,
    TypeMeta,
    ListMeta,
}

/// The position in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// In the wrapper, before the list.
    Before,
    /// In the list, with this many bytes left.
    Inside(u64),
    /// In the wrapper, after the list.
    Behind,
}

/// A field's tag, and the length that follows it.
struct FieldHead {
    field: u64,
    wire_type: WireType,
    /// The bytes that follow.
    len: u64,
    /// The bytes of the head itself.
    head_len: usize,
}

impl ProtobufSplitter {
    pub(in crate::source::kube) fn new(shape: BodyShape) -> ProtobufSplitter {
        ProtobufSplitter {
            chunk: Bytes::new(),
            at: 0,
            partial: Vec::new(),
            is_given: false,
            state: if shape == BodyShape::List { SplitterState::Magic } else { SplitterState::Head },
            shape,
            level: Level::Before,
            envelope: Envelope::default(),
        }
    }

    /// Takes the next chunk. The one before must be read to its end.
    pub(in crate::source::kube) fn push(&mut self, chunk: Bytes) {
        debug_assert_eq!(self.at, self.chunk.len());
        self.chunk = chunk;
        self.at = 0;
    }

    /// The next object. `None` until the next chunk.
    pub(in crate::source::kube) fn next(&mut self) -> Result<Option<Piece<'_>>, NotProtobuf> {
        loop {
            if std::mem::take(&mut self.is_given) {
                self.partial.clear();
            }
            match self.state {
                SplitterState::Skip(0) => self.state = SplitterState::Head,
                SplitterState::Skip(left) => {
                    let len = left.min((self.chunk.len() - self.at) as u64);
                    if len == 0 {
                        return Ok(None);
                    }
                    self.at += len as usize;
                    self.state = SplitterState::Skip(left - len);
                }
                SplitterState::Body(Meaning::Object, len) => {
                    if !self.collect(len) {
                        return Ok(None);
                    }
                    self.state = SplitterState::Head;
                    return Ok(Some(Piece::Object(self.collected(len))));
                }
                SplitterState::Body(meaning, len) => {
                    if !self.collect(len) {
                        return Ok(None);
                    }
                    self.state = SplitterState::Head;
                    self.keep(meaning, len);
                }
                SplitterState::Magic => {
                    if !self.collect(MAGIC.len()) {
                        return Ok(None);
                    }
                    if self.collected(MAGIC.len()) != MAGIC {
                        return Err(NotProtobuf);
                    }
                    self.state = SplitterState::Head;
                }
                SplitterState::Head => {
                    let is_oversized = match self.shape {
                        BodyShape::Sequence => self.frame_head()?,
                        BodyShape::List => self.field_head()?,
                    };
                    match is_oversized {
                        None => return Ok(None),
                        Some(true) => return Ok(Some(Piece::Unreadable)),
                        Some(false) => {}
                    }
                }
            }
        }
    }

    /// Whether the body may end here.
    pub(in crate::source::kube) fn is_whole(&self) -> bool {
        let is_between = matches!(self.state, SplitterState::Head | SplitterState::Skip(0));
        is_between
            && (self.partial.is_empty() || self.is_given)
            && (self.shape == BodyShape::Sequence || self.level == Level::Behind)
    }

    /// The list without its items, as far as it has been read.
    pub(in crate::source::kube) fn envelope(&self) -> Envelope {
        self.envelope.clone()
    }

    /// Reads a frame's length. Returns whether the frame is too large, or `None` until the next chunk.
    fn frame_head(&mut self) -> Result<Option<bool>, NotProtobuf> {
        if !self.collect(FRAME_HEAD_LEN) {
            return Ok(None);
        }
        let len = self.collected(FRAME_HEAD_LEN).iter().fold(0_u32, |len, byte| len << 8 | u32::from(*byte));
        if len > FRAME_LEN_MAX {
            return Err(NotProtobuf);
        }
        Ok(Some(self.expect_object(u64::from(len))))
    }

    /// Reads a field's head. Returns whether it is an item that is too large, or `None` until the next chunk.
    fn field_head(&mut self) -> Result<Option<bool>, NotProtobuf> {
        if self.level == Level::Inside(0) {
            self.level = Level::Behind;
        }
        let Some(head) = self.head()? else { return Ok(None) };
        if let Level::Inside(left) = &mut self.level {
            let whole_len = head.len.checked_add(head.head_len as u64).ok_or(NotProtobuf)?;
            *left = left.checked_sub(whole_len).ok_or(NotProtobuf)?;
        }
        self.state = match (self.level, head.field, head.wire_type) {
            (Level::Inside(_), 2, WireType::Bytes) => return Ok(Some(self.expect_object(head.len))),
            (Level::Inside(_), 1, WireType::Bytes) => SplitterState::Body(Meaning::ListMeta, envelope_len(head.len)?),
            (Level::Before, 2, WireType::Bytes) => {
                self.level = Level::Inside(head.len);
                SplitterState::Head
            }
            (Level::Before, 1, WireType::Bytes) => SplitterState::Body(Meaning::TypeMeta, envelope_len(head.len)?),
            _ => SplitterState::Skip(head.len),
        };
        Ok(Some(false))
    }

    /// Expects an object, or skips it if it is too large. Returns whether it is too large.
    fn expect_object(&mut self, len: u64) -> bool {
        let fits = usize::try_from(len).ok().filter(|len| *len <= OBJECT_LEN_MAX);
        self.state = fits.map_or(SplitterState::Skip(len), |len| SplitterState::Body(Meaning::Object, len));
        fits.is_none()
    }

    /// Reads a field's head. `None` until the next chunk.
    fn head(&mut self) -> Result<Option<FieldHead>, NotProtobuf> {
        loop {
            if let Some(head) = FieldHead::read(&self.partial)? {
                self.partial.clear();
                return Ok(Some(head));
            }
            let Some(byte) = self.chunk.get(self.at) else { return Ok(None) };
            self.partial.push(*byte);
            self.at += 1;
        }
    }

    /// Collects `len` bytes. Returns false until the next chunk.
    fn collect(&mut self, len: usize) -> bool {
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let missing = len.saturating_sub(self.partial.len());
        if self.partial.is_empty() && rest.len() >= len {
            return true;
        }
        let taken = rest.get(..missing).unwrap_or(rest);
        self.partial.extend_from_slice(taken);
        self.at += taken.len();
        self.partial.len() == len
    }

    /// The bytes that [`ProtobufSplitter::collect`] has collected. They are valid until the next call.
    fn collected(&mut self, len: usize) -> &[u8] {
        if !self.partial.is_empty() {
            self.is_given = true;
            return &self.partial;
        }
        let start = self.at;
        self.at += len;
        self.chunk.get(start..self.at).unwrap_or_default()
    }

    /// Keeps the list's own fields.
    fn keep(&mut self, meaning: Meaning, len: usize) {
        let bytes = self.collected(len);
        let read = |number| last_bytes(bytes, number).map(|bytes| text(bytes).into_owned());
        match meaning {
            Meaning::TypeMeta => self.envelope.kind = kind(bytes).map(|kind| text(kind).into_owned()),
            Meaning::ListMeta => {
                let (version, more) = (read(2), read(3));
                self.envelope.metadata.resource_version = version;
                self.envelope.metadata.more = more;
            }
            Meaning::Object => {}
        }
    }
}

impl FieldHead {
    /// Parses a head. `None` if it does not end in these bytes.
    fn read(bytes: &[u8]) -> Result<Option<FieldHead>, NotProtobuf> {
        let Some((number, tag_len)) = varint(bytes)? else { return Ok(None) };
        let (field, wire_type) = tag(number);
        let rest = bytes.get(tag_len..).unwrap_or_default();
        let (len, head_len) = match wire_type {
            WireType::Fixed(len) => (len, tag_len),
            WireType::Unknown => return Err(NotProtobuf),
            WireType::Bytes | WireType::Number => {
                let Some((number, number_len)) = varint(rest)? else { return Ok(None) };
                (if wire_type == WireType::Bytes { number } else { 0 }, tag_len + number_len)
            }
        };
        Ok(Some(FieldHead { field, wire_type, len, head_len }))
    }
}

fn envelope_len(len: u64) -> Result<usize, NotProtobuf> {
    usize::try_from(len).ok().filter(|len| *len <= ENVELOPE_LEN_MAX).ok_or(NotProtobuf)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::write::{bytes, frame, number, wrapped};
    use super::*;

    /// The pieces. `None` is an unreadable one.
    type Pieces = Vec<Option<Vec<u8>>>;

    /// The pieces of a body in chunks of this many bytes.
    fn split(shape: BodyShape, body: &[u8], chunk_len: usize) -> Result<(Pieces, ProtobufSplitter), NotProtobuf> {
        let mut splitter = ProtobufSplitter::new(shape);
        let mut pieces = Vec::new();
        for chunk in body.chunks(chunk_len) {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(piece) = splitter.next()? {
                pieces.push(match piece {
                    Piece::Object(bytes) => Some(bytes.to_vec()),
                    Piece::Unreadable => None,
                });
            }
        }
        Ok((pieces, splitter))
    }

    fn list(kind: &str, items: &[Vec<u8>]) -> Vec<u8> {
        let meta = bytes(1, &[bytes(2, b"7"), bytes(3, b"token")].concat());
        let items = items.iter().map(|item| bytes(2, item)).collect::<Vec<_>>().concat();
        wrapped(kind, &[meta, items].concat())
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(objects in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6), chunk_len in 1usize..400) {
            let expected: Vec<_> = objects.iter().cloned().map(Some).collect();
            let frames: Vec<_> = objects.iter().map(|object| frame(object)).collect();
            for (shape, body) in [(BodyShape::Sequence, frames.concat()), (BodyShape::List, list("PodList", &objects))] {
                let (pieces, splitter) = split(shape, &body, chunk_len).map_err(|_| TestCaseError::fail("refused"))?;
                prop_assert_eq!(&pieces, &expected);
                prop_assert!(splitter.is_whole());
                if shape == BodyShape::List {
                    prop_assert!(!splitter.envelope().is_foreign());
                    prop_assert_eq!(splitter.envelope().end().ok(), Some(("7".to_owned(), Some("token".to_owned()))));
                }
            }
        }

        #[test]
        fn a_body_that_is_cut_is_not_whole(objects in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..4), cut in 1usize..30) {
            let body = list("PodList", &objects);
            // After the list come two empty fields of the wrapper, two bytes each.
            let cut = cut.min(body.len());
            let (pieces, splitter) = split(BodyShape::List, &body[..body.len() - cut], 7).map_err(|_| TestCaseError::fail("refused"))?;
            prop_assert_eq!(splitter.is_whole(), cut == 2 || cut == 4);
            prop_assert!(pieces.len() == objects.len() || cut > 4);
        }

        #[test]
        fn any_bytes_are_survived(body in prop::collection::vec(prop_oneof![0u8..32, any::<u8>()], 0..60), chunk_len in 1usize..9, is_list: bool) {
            let body = if is_list { [MAGIC, &body].concat() } else { body };
            for shape in [BodyShape::Sequence, BodyShape::List] {
                let outcome = |len| split(shape, &body, len).map(|(pieces, splitter)| (pieces, splitter.is_whole()));
                prop_assert_eq!(outcome(1000), outcome(chunk_len));
            }
        }
    }

    #[test]
    fn refuses_bytes_that_are_no_protobuf() {
        for body in [b"<html>".as_slice(), b"{\"kind\":\"PodList\"}", b"k8s\0\x0b", b"HTTP"] {
            assert_eq!(split(BodyShape::List, body, 2).err(), Some(NotProtobuf), "{body:?}");
        }
        for body in [b"<html>".as_slice(), b"{\"type\":\"ADDED\"}", b"\n\t\n<", b"\t\t\t\t"] {
            assert_eq!(split(BodyShape::Sequence, body, 2).err(), Some(NotProtobuf), "{body:?}");
        }
        let long_item = wrapped("PodList", &[bytes(1, b""), vec![0x12, 0xff, 0x7f]].concat());
        assert_eq!(split(BodyShape::List, &long_item, 3).err(), Some(NotProtobuf), "an item longer than its list");
        let long_meta = wrapped("PodList", &bytes(1, &bytes(3, &vec![b'x'; ENVELOPE_LEN_MAX])));
        assert_eq!(split(BodyShape::List, &long_meta, 4096).err(), Some(NotProtobuf), "a long envelope");
    }

    #[test]
    fn skips_an_object_over_the_bound_and_keeps_its_neighbours() {
        let objects = [vec![1], vec![2; OBJECT_LEN_MAX], vec![3; OBJECT_LEN_MAX + 1], vec![4]];
        let frames: Vec<_> = objects.iter().map(|object| frame(object)).collect();
        for (shape, body) in [(BodyShape::Sequence, frames.concat()), (BodyShape::List, list("PodList", &objects))] {
            for chunk_len in [4096, 65_537, 16 * 1024 * 1024] {
                let (pieces, splitter) = split(shape, &body, chunk_len).expect("protobuf");
                let lens: Vec<_> = pieces.iter().map(|piece| piece.as_ref().map(Vec::len)).collect();
                assert_eq!(lens, [Some(1), Some(OBJECT_LEN_MAX), None, Some(1)], "by {chunk_len}");
                assert!(splitter.is_whole());
            }
        }
    }

    #[test]
    fn unknown_fields_are_skipped_anywhere() {
        let message =
            [number(9, 300), bytes(1, &bytes(2, b"7")), bytes(2, b"a"), bytes(8, b"xyz"), bytes(2, b"b")].concat();
        let body = [bytes(7, b"new"), wrapped("PodList", &message)[MAGIC.len()..].to_vec(), number(6, 1)].concat();
        let (pieces, splitter) = split(BodyShape::List, &[MAGIC, &body].concat(), 3).expect("protobuf");
        assert_eq!(pieces, [Some(b"a".to_vec()), Some(b"b".to_vec())]);
        assert_eq!(splitter.envelope().end().ok(), Some(("7".to_owned(), None)));
        assert!(splitter.is_whole());
    }
}
