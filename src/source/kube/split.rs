//! Splits a body into its objects while the bytes arrive, in either encoding, so that no list is ever in memory as a
//! whole.

use hyper::body::Bytes;

use super::body::{BodyEncoding, BodyShape, Envelope, Piece};
use super::fault::WatchFault;
use super::{json_splitter, protobuf};

/// Takes chunks and returns objects.
#[derive(Debug)]
pub(super) enum Splitter {
    Json(json_splitter::JsonSplitter),
    Protobuf(protobuf::ProtobufSplitter),
}

impl Splitter {
    pub(super) fn new(encoding: BodyEncoding, shape: BodyShape) -> Splitter {
        match encoding {
            BodyEncoding::Json => Splitter::Json(json_splitter::JsonSplitter::new(shape)),
            BodyEncoding::Protobuf => Splitter::Protobuf(protobuf::ProtobufSplitter::new(shape)),
        }
    }

    /// The encoding of the objects.
    pub(super) fn encoding(&self) -> BodyEncoding {
        match self {
            Splitter::Json(_) => BodyEncoding::Json,
            Splitter::Protobuf(_) => BodyEncoding::Protobuf,
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
