//! Splits a body into its objects while the bytes arrive, in either encoding, so that no list is ever in memory as a
//! whole.

use hyper::body::Bytes;

use super::event::Envelope;
use super::fault::WatchFault;
use super::{json_splitter, protobuf};

/// The largest object that is read, in bytes. etcd accepts no request over 1.5 MiB, so no Pod is larger.
pub(in crate::source) const OBJECT_LEN_MAX: usize = 4 * 1024 * 1024;

/// The most bytes of a list besides its items: kind, version and a continue token.
pub(in crate::source) const ENVELOPE_LEN_MAX: usize = 64 * 1024;

/// The encoding of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/vnd.kubernetes.protobuf`, or JSON if the server has nothing else.
    Protobuf,
    /// `application/json`
    Json,
}

/// The shape of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum BodyShape {
    /// A watch: a sequence of events.
    Sequence,
    /// A list: one object that contains the objects.
    List,
}

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) enum Piece<'s> {
    /// The bytes of an object, or of a value in the place of one.
    Object(&'s [u8]),
    /// An object larger than [`OBJECT_LEN_MAX`], or a value that cannot be an object.
    Unreadable,
}

/// Takes chunks and returns objects.
#[derive(Debug)]
pub(super) enum Splitter {
    Json(json_splitter::JsonSplitter),
    Protobuf(protobuf::ProtobufSplitter),
}

impl Splitter {
    pub(super) fn new(encoding: Encoding, shape: BodyShape) -> Splitter {
        match encoding {
            Encoding::Json => Splitter::Json(json_splitter::JsonSplitter::new(shape)),
            Encoding::Protobuf => Splitter::Protobuf(protobuf::ProtobufSplitter::new(shape)),
        }
    }

    /// The encoding of the objects.
    pub(super) fn encoding(&self) -> Encoding {
        match self {
            Splitter::Json(_) => Encoding::Json,
            Splitter::Protobuf(_) => Encoding::Protobuf,
        }
    }

    /// Takes the next chunk. The one before must be read to its end.
    pub(super) fn push(&mut self, chunk: Bytes) {
        match self {
            Splitter::Json(splitter) => splitter.push(chunk),
            Splitter::Protobuf(splitter) => splitter.push(chunk),
        }
    }

    /// The next object. `None` until the next chunk.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'_>>, WatchFault> {
        match self {
            Splitter::Json(splitter) => Ok(splitter.next()?),
            Splitter::Protobuf(splitter) => Ok(splitter.next()?),
        }
    }

    /// Whether the body may end here.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Splitter::Json(splitter) => splitter.is_whole(),
            Splitter::Protobuf(splitter) => splitter.is_whole(),
        }
    }

    /// The list without its items, as far as it has been read.
    pub(super) fn envelope(&self) -> Result<Envelope, WatchFault> {
        match self {
            Splitter::Json(splitter) => Envelope::of_json(&splitter.envelope()),
            Splitter::Protobuf(splitter) => Ok(splitter.envelope()),
        }
    }
}
