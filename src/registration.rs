//! Decodes an annotation's value into registrations. It is pure and accepts any bytes.
//!
//! Two encodings share one JSON array of `{"k": …, "v": …}` pairs (`fields`, `path`). What cannot be decoded becomes a
//! [`Problem`] with the offset and the reason, never with a value. Everything else in the annotation is kept.

mod collector;
mod draft;
mod edit;
mod elements;
mod encode;
mod field;
mod fields;
mod keys;
mod metadata;
mod pairs;
mod path;
mod secret;

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use collector::Collector;

pub use edit::{REGISTRAR, has_entries, replace};
pub use encode::{encode, pairs};
pub use pairs::PairList;

/// The largest annotation value that is decoded, in bytes. It is the API server's own limit on all annotations of an
/// object.
pub const ANNOTATION_LEN_MAX: usize = 256 * 1024;

/// The most registrations of one Pod.
pub const REGISTRATIONS_MAX: usize = 1024;

/// The most bytes of decoded JSON in one Pod, over all its annotations.
pub const DECODED_LEN_MAX: usize = 1024 * 1024;

/// The weight of a registration that gives none.
pub const DEFAULT_WEIGHT: u16 = 100;

/// The protocol of a registration that gives none. It is found only under `_rpc`.
pub const DEFAULT_PROTOCOL: &str = "rpc";

/// A decoded annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The endpoints that the process offers, in the order written.
    pub registrations: Vec<Registration>,
    /// The interfaces that the process calls.
    pub consumers: Vec<Consumer>,
    /// What could not be decoded.
    pub problems: Vec<Problem>,
    /// The length of the JSON inside the base64, in bytes.
    pub decoded_len: usize,
}

impl Decoded {
    /// Roughly what its registrations take in memory, in bytes.
    pub fn len_in_memory(&self) -> usize {
        let texts = |metadata: &Metadata| {
            let methods: usize = metadata.methods.iter().map(|method| size_of::<Box<str>>() + method.len()).sum();
            methods + metadata.pairs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
        };
        self.registrations.iter().map(|one| size_of::<Registration>() + texts(&one.metadata)).sum()
    }
}

/// An interface that a process offers at one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The interface in its exact letter case, dotted: `org.acme.Greeter`.
    pub interface: Arc<str>,
    /// The group. `None` if it is empty.
    pub group: Option<Arc<str>>,
    /// The version. `None` if it is empty, or `0.0.0` in a registry path.
    pub version: Option<Arc<str>>,
    /// The protocol as written, or [`DEFAULT_PROTOCOL`] if it is absent or empty.
    pub protocol: Arc<str>,
    /// The address that it names. `None` for the Pod's own (absent, `0.0.0.0` or `::`).
    pub address: Option<IpAddr>,
    /// Never 0.
    pub port: u16,
    /// Never 0. A weight of 0 disables the registration.
    pub weight: u16,
    /// False for `enabled=false`, `disabled=true` and a weight of 0. Its names then exist without its records.
    pub enabled: bool,
    /// Everything else that it publishes.
    pub metadata: Metadata,
    /// Where it begins, in bytes of the decoded JSON.
    pub offset: usize,
}

/// A registration's metadata, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The application's name, if the process gives one.
    pub application: Option<Box<str>>,
    /// The methods in the order written, without repeats.
    pub methods: Box<[Box<str>]>,
    /// Every other pair that may be published, by key. Keys are printable ASCII without `=`, differ in more than letter
    /// case, and are no keys of our own. The weight is among them if it was given, with the registration's value.
    pub pairs: PairList,
    /// How many pairs were withheld because their key or value looks like a secret.
    pub withheld: u32,
    /// How many pairs were left out because their key cannot be a TXT key.
    pub left_out: u32,
}

/// A process that calls an interface, from a registry path. It is never an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The called interface.
    pub interface: Arc<str>,
    /// The group that it asks for. `None` if it is empty.
    pub group: Option<Arc<str>>,
    /// The version that it asks for. `None` if it is empty or `0.0.0`.
    pub version: Option<Arc<str>>,
    /// The application's name, if the process gives one.
    pub application: Option<Box<str>>,
}

/// A part of an annotation that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The offset in bytes: into the annotation's value for [`Reason::BadBase64`] and [`Reason::TooLarge`], otherwise
    /// into the decoded JSON.
    pub offset: usize,
    /// The key at fault, if it is a single one: a field's name, `k` or `v`. Never text from the annotation.
    pub key: Option<&'static str>,
    /// What is wrong.
    pub reason: Reason,
}

/// Why something was refused. The text never quotes a value. The label is for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The value is not base64 in either alphabet.
    #[error("bad base64")]
    BadBase64,
    /// The decoded bytes are not UTF-8.
    #[error("invalid UTF-8")]
    BadUtf8,
    /// The decoded text is not JSON.
    #[error("bad JSON")]
    BadJson,
    /// The JSON is not an array.
    #[error("not a JSON array")]
    NotAnArray,
    /// An element of the array is not an object, or its `k` is not a string.
    #[error("not a pair of k and v")]
    NotAPair,
    /// A pair without `k`.
    #[error("a pair without k")]
    NoKey,
    /// A `v` is null, an array or an object.
    #[error("v is not a string, number or boolean")]
    BadValue,
    /// There are pairs, and no interface among them.
    #[error("no interface")]
    NoInterface,
    /// A registration without a port.
    #[error("no port")]
    NoPort,
    /// A port is not a number from 1 to 65535.
    #[error("port is not a number from 1 to 65535")]
    BadPort,
    /// A weight is not a whole number.
    #[error("weight is not a whole number")]
    BadWeight,
    /// An address is not an IP address.
    #[error("address is not an IP address")]
    BadAddress,
    /// A field that may appear once is given twice.
    #[error("given twice")]
    Repeated,
    /// A name has control characters.
    #[error("control characters")]
    ControlCharacters,
    /// An interface, group, version or protocol that looks like a secret.
    #[error("looks like a secret")]
    Secret,
    /// A path is not a registry path that we know, or its URL cannot be decoded.
    #[error("not a registry path")]
    BadPath,
    /// The value exceeds [`ANNOTATION_LEN_MAX`], or the Pod's values together exceed [`DECODED_LEN_MAX`]. Also if the
    /// registrations of a value would exceed it when each is written with all the pairs that it inherits.
    #[error("too large")]
    TooLarge,
    /// The Pod has more than [`REGISTRATIONS_MAX`] registrations.
    #[error("too many")]
    TooMany,
    /// The older Pods of its namespace use the namespace's whole quota.
    #[error("namespace full")]
    NamespaceFull,
    /// All namespaces together use the whole quota, and this one is among those that use the most.
    #[error("server full")]
    ServerFull,
    /// The address is not the Pod's own.
    #[error("foreign address")]
    ForeignAddress,
    /// The Pod's name or namespace is not a valid Kubernetes name.
    #[error("not a valid name of a Pod or namespace")]
    BadPodName,
}

impl Reason {
    /// The label in metrics, equal to the serialized form.
    pub fn kind(self) -> &'static str {
        match self {
            Reason::BadBase64 => "bad-base64",
            Reason::BadUtf8 => "bad-utf8",
            Reason::BadJson => "bad-json",
            Reason::NotAnArray => "not-an-array",
            Reason::NotAPair => "not-a-pair",
            Reason::NoKey => "no-key",
            Reason::BadValue => "bad-value",
            Reason::NoInterface => "no-interface",
            Reason::NoPort => "no-port",
            Reason::BadPort => "bad-port",
            Reason::BadWeight => "bad-weight",
            Reason::BadAddress => "bad-address",
            Reason::Repeated => "repeated",
            Reason::ControlCharacters => "control-characters",
            Reason::Secret => "secret",
            Reason::BadPath => "bad-path",
            Reason::TooLarge => "too-large",
            Reason::TooMany => "too-many",
            Reason::NamespaceFull => "namespace-full",
            Reason::ServerFull => "server-full",
            Reason::ForeignAddress => "foreign-address",
            Reason::BadPodName => "bad-pod-name",
        }
    }
}

/// Decodes an annotation's value. Accepts any text, and uses bounded time and memory.
pub fn decode(value: &str) -> Decoded {
    if value.len() > ANNOTATION_LEN_MAX {
        return refused(Problem { offset: 0, key: None, reason: Reason::TooLarge }, 0);
    }
    let bytes = match elements::bytes(value) {
        Ok(bytes) => bytes,
        Err(problem) => return refused(problem, 0),
    };
    let decoded_len = bytes.len();
    let decoded = elements::text(&bytes)
        .and_then(|text| elements::elements(text))
        .map(|elements| registrations(&elements, decoded_len));
    decoded.unwrap_or_else(|problem| refused(problem, decoded_len))
}

fn refused(problem: Problem, decoded_len: usize) -> Decoded {
    Decoded { problems: vec![problem], decoded_len, ..Decoded::default() }
}

fn registrations(elements: &[elements::Element<'_>], decoded_len: usize) -> Decoded {
    let mut collector = Collector::new(decoded_len);
    let mut fields = fields::FieldsDecoder::default();
    let mut has_paths = false;
    for element in elements {
        match path::pair(element) {
            Some(pair) => {
                has_paths = true;
                path::read(pair, element, &mut collector);
            }
            None => fields.element(element, &mut collector),
        }
    }
    fields.finish(has_paths, &mut collector);
    collector.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_serialized_as_its_label() {
        for reason in [
            Reason::BadBase64,
            Reason::BadUtf8,
            Reason::BadJson,
            Reason::NotAnArray,
            Reason::NotAPair,
            Reason::NoKey,
            Reason::BadValue,
            Reason::NoInterface,
            Reason::NoPort,
            Reason::BadPort,
            Reason::BadWeight,
            Reason::BadAddress,
            Reason::Repeated,
            Reason::ControlCharacters,
            Reason::Secret,
            Reason::BadPath,
            Reason::TooLarge,
            Reason::TooMany,
            Reason::NamespaceFull,
            Reason::ServerFull,
            Reason::ForeignAddress,
            Reason::BadPodName,
        ] {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.kind()));
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
        }
    }
}
