//! Cuts a body into its objects as the bytes come, in either encoding, so that no list is ever in memory as a whole.

use hyper::body::Bytes;

use super::event::Envelope;
use super::fault::Fault;
use super::{json, protobuf};

/// The largest object that is read, in bytes. etcd takes no request over 1.5 MiB, so no Pod is larger.
pub(in crate::source) const OBJECT_LEN_MAX: usize = 4 * 1024 * 1024;

/// The most bytes of a list that are not its items: kind, version and a continue token.
pub(in crate::source) const ENVELOPE_LEN_MAX: usize = 64 * 1024;

/// How the API server writes objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/vnd.kubernetes.protobuf`, or JSON where the server has nothing else.
    Protobuf,
    /// `application/json`
    Json,
}

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Shape {
    /// A watch: events one after another.
    Sequence,
    /// A list: one object, which holds the objects.
    List,
}

/// What was cut out.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) enum Piece<'s> {
    /// The bytes of an object, or of what stands where one should.
    Object(&'s [u8]),
    /// An object over [`OBJECT_LEN_MAX`], or what cannot be one.
    Unreadable,
}

/// Takes chunks, gives objects.
#[derive(Debug)]
pub(super) enum Splitter {
    Json(json::Splitter),
    Protobuf(protobuf::Splitter),
}

impl Splitter {
    pub(super) fn new(encoding: Encoding, shape: Shape) -> Splitter {
        match encoding {
            Encoding::Json => Splitter::Json(json::Splitter::new(shape)),
            Encoding::Protobuf => Splitter::Protobuf(protobuf::Splitter::new(shape)),
        }
    }

    /// How the objects are written.
    pub(super) fn encoding(&self) -> Encoding {
        match self {
            Splitter::Json(_) => Encoding::Json,
            Splitter::Protobuf(_) => Encoding::Protobuf,
        }
    }

    /// Takes the next chunk; the one before must have been read to its end.
    pub(super) fn push(&mut self, chunk: Bytes) {
        match self {
            Splitter::Json(splitter) => splitter.push(chunk),
            Splitter::Protobuf(splitter) => splitter.push(chunk),
        }
    }

    /// The next object, or none until there is another chunk.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'_>>, Fault> {
        match self {
            Splitter::Json(splitter) => Ok(splitter.next()?),
            Splitter::Protobuf(splitter) => Ok(splitter.next()?),
        }
    }

    /// Whether the body could end here.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Splitter::Json(splitter) => splitter.is_whole(),
            Splitter::Protobuf(splitter) => splitter.is_whole(),
        }
    }

    /// The list without its items, as far as it was read.
    pub(super) fn envelope(&self) -> Result<Envelope, Fault> {
        match self {
            Splitter::Json(splitter) => Envelope::of_json(&splitter.envelope()),
            Splitter::Protobuf(splitter) => Ok(splitter.envelope()),
        }
    }
}
