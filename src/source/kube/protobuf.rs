//! Kubernetes' protobuf: fields of messages, and the wrapper with an object's kind.
//!
//! A message is read in place, field by field, and fields that are not needed are skipped by their length. Of a Pod
//! some twenty fields are needed, and nothing is copied before the Pod is known to matter. The numbers and types of
//! the fields come from the `generated.proto` files of `k8s.io/api` and `k8s.io/apimachinery`; the encoding is
//! <https://protobuf.dev/programming-guides/encoding/>.

mod pod;
mod splitter;

use std::borrow::Cow;

pub(super) use self::pod::PodMessage;
pub(super) use self::splitter::ProtobufSplitter;

/// The media type of lists and watches.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// The first bytes of every self-contained object.
pub(super) const MAGIC: &[u8] = b"k8s\0";

/// The bytes are not protobuf, or not of the requested shape.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotProtobuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'b> {
    /// An integer or a boolean.
    Number(u64),
    /// A string, a message or an entry of a map.
    Bytes(&'b [u8]),
    /// A number of fixed length. None of the needed fields is one.
    Fixed,
}

/// The fields of a message in order. It ends after the first broken field.
#[derive(Clone, Debug)]
pub(super) struct MessageFields<'b>(&'b [u8]);

impl<'b> MessageFields<'b> {
    /// The fields of the message in these bytes.
    pub(super) fn of(message: &'b [u8]) -> MessageFields<'b> {
        MessageFields(message)
    }

    fn read(&mut self) -> Result<(u64, Value<'b>), NotProtobuf> {
        let (number, wire_type) = tag(self.number()?);
        let value = match wire_type {
            WireType::Number => Value::Number(self.number()?),
            WireType::Bytes => {
                let len = self.number()?;
                Value::Bytes(self.take(len)?)
            }
            WireType::Fixed(len) => {
                self.take(len)?;
                Value::Fixed
            }
            WireType::Unknown => return Err(NotProtobuf),
        };
        Ok((number, value))
    }

    fn number(&mut self) -> Result<u64, NotProtobuf> {
        let (number, len) = varint(self.0)?.ok_or(NotProtobuf)?;
        self.take(len as u64)?;
        Ok(number)
    }

    fn take(&mut self, len: u64) -> Result<&'b [u8], NotProtobuf> {
        let (taken, rest) =
            usize::try_from(len).ok().and_then(|len| self.0.split_at_checked(len)).ok_or(NotProtobuf)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'b> Iterator for MessageFields<'b> {
    type Item = Result<(u64, Value<'b>), NotProtobuf>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireType {
    Number,
    Bytes,
    /// This many bytes.
    Fixed(u64),
    /// A group, which Kubernetes never sends, or an invalid type.
    Unknown,
}

/// The field number and wire type of a tag.
pub(super) fn tag(tag: u64) -> (u64, WireType) {
    let wire_type = match tag & 7 {
        0 => WireType::Number,
        1 => WireType::Fixed(8),
        2 => WireType::Bytes,
        5 => WireType::Fixed(4),
        _ => WireType::Unknown,
    };
    (tag >> 3, wire_type)
}

/// The number at the start and its length in bytes. `None` if it does not end in them.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, NotProtobuf> {
    // 64 bits, 7 in each byte.
    const LEN_MAX: usize = 10;
    let mut number = 0;
    for (at, byte) in bytes.iter().take(LEN_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((number, at + 1)));
        }
    }
    if bytes.len() < LEN_MAX { Ok(None) } else { Err(NotProtobuf) }
}

/// Text. Invalid UTF-8 becomes U+FFFD, as in the server's JSON.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A self-contained object: `runtime.Unknown` after [`MAGIC`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrapped<'b> {
    /// `typeMeta.kind`
    kind: Option<&'b [u8]>,
    /// The object's message.
    pub(super) message: &'b [u8],
}

impl<'b> Wrapped<'b> {
    /// Parses the wrapper.
    pub(super) fn read(bytes: &'b [u8]) -> Result<Wrapped<'b>, NotProtobuf> {
        let mut wrapped = Wrapped::default();
        for field in MessageFields::of(bytes.strip_prefix(MAGIC).ok_or(NotProtobuf)?) {
            match field? {
                (1, Value::Bytes(type_meta)) => wrapped.kind = kind(type_meta),
                (2, Value::Bytes(message)) => wrapped.message = message,
                _ => {}
            }
        }
        Ok(wrapped)
    }

    /// The object's kind, if present.
    pub(super) fn kind(&self) -> Option<Cow<'b, str>> {
        self.kind.filter(|kind| !kind.is_empty()).map(text)
    }
}

/// The kind in a `TypeMeta`.
pub(super) fn kind(type_meta: &[u8]) -> Option<&[u8]> {
    last_bytes(type_meta, 2)
}

/// The last value of a bytes field in a message. `None` if the message has none or is broken.
pub(super) fn last_bytes(message: &[u8], number: u64) -> Option<&[u8]> {
    let mut found = None;
    for field in MessageFields::of(message) {
        match field {
            Ok((this, Value::Bytes(bytes))) if this == number => found = Some(bytes),
            Ok(_) => {}
            Err(NotProtobuf) => return None,
        }
    }
    found
}

#[cfg(test)]
pub(super) mod write;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::write::{bytes, number, wrapped};
    use super::*;

    #[test]
    fn reads_fields() {
        let message =
            [number(1, 300), bytes(2, b"abc"), vec![0x1d, 1, 2, 3, 4], vec![0x21, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
        let fields: Result<Vec<_>, _> = MessageFields::of(&message).collect();
        let expected =
            vec![(1, Value::Number(300)), (2, Value::Bytes(b"abc".as_slice())), (3, Value::Fixed), (4, Value::Fixed)];
        assert_eq!(fields, Ok(expected));
    }

    #[test]
    fn a_broken_field_is_the_end() {
        let cases: [&[u8]; 6] = [
            &[0x08],
            &[0x12, 5, 1],
            &[0x0b],
            &[0x0e, 1],
            &[0x80],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ];
        for message in cases {
            assert_eq!(MessageFields::of(message).collect::<Vec<_>>(), [Err(NotProtobuf)], "{message:x?}");
        }
        let endless = [[0x12].as_slice(), &[0xff; 9], &[1]].concat();
        assert_eq!(MessageFields::of(&endless).collect::<Vec<_>>(), [Err(NotProtobuf)], "a length of 2^64");
    }

    #[test]
    fn takes_wrappers_off() {
        let pod = wrapped("Pod", b"message");
        let read = Wrapped::read(&pod).expect("a wrapper");
        assert_eq!((read.kind().as_deref(), read.message), (Some("Pod"), b"message".as_slice()));
        assert_eq!(Wrapped::read(MAGIC), Ok(Wrapped::default()));
        for bytes in [b"".as_slice(), b"k8s", b"{}", b"k8s\0\x0a\x05"] {
            assert_eq!(Wrapped::read(bytes), Err(NotProtobuf), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_are_written(value: u64, rest in prop::collection::vec(any::<u8>(), 0..3)) {
            let written = number(1, value);
            let digits = written.get(1..).unwrap_or_default();
            prop_assert_eq!(varint(&[digits, &rest].concat()), Ok(Some((value, digits.len()))));
            prop_assert_eq!(varint(digits.get(..digits.len() - 1).unwrap_or_default()), Ok(None));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let fields = MessageFields::of(&bytes).count();
            prop_assert!(fields <= bytes.len());
            let _ = Wrapped::read(&[MAGIC, &bytes].concat());
        }
    }
}
