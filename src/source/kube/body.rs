//! A body of a response: its encoding, its shape, the objects in it, and what a list has around them.

use serde::Deserialize;

/// The largest object that is read, in bytes. etcd accepts no request over 1.5 MiB, so no Pod is larger.
pub(in crate::source) const OBJECT_LEN_MAX: usize = 4 * 1024 * 1024;

/// The most bytes of a list besides its items: kind, version and a continue token.
pub(in crate::source) const ENVELOPE_LEN_MAX: usize = 64 * 1024;

/// The encoding of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEncoding {
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

/// A piece of a body, cut out and not yet decoded. It borrows the splitter's bytes, so that no object is copied twice.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) enum Piece<'s> {
    /// The bytes of an object, or of a value where an object must be.
    Object(&'s [u8]),
    /// An object larger than [`OBJECT_LEN_MAX`], or a value that cannot be an object.
    Unreadable,
}

/// A list without its items.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Envelope {
    pub(super) kind: Option<String>,
    pub(super) metadata: ListMeta,
}

/// `meta.v1.ListMeta`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMeta {
    pub(super) resource_version: Option<String>,
    /// The token of the next page.
    #[serde(rename = "continue")]
    pub(super) more: Option<String>,
}
