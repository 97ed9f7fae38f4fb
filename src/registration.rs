//! An annotation's value becomes registrations: pure, and total on any bytes.
//!
//! Two encodings share one JSON array of `{"k": …, "v": …}` pairs (`fields`, `path`). What cannot be read becomes a
//! [`Problem`] that names the place and the reason and never quotes a value; what can be read beside it is kept.

mod collector;
mod draft;
mod encode;
mod fields;
mod json;
mod keys;
mod list;
mod metadata;
mod pairs;
mod path;
mod secret;

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use collector::Collector;

pub use encode::{encode, pairs};
pub use list::{REGISTRAR, has_entries, replace};
pub use pairs::PairList;

/// The largest annotation value that is read, in bytes: the API server's own bound on all annotations of an object.
pub const ANNOTATION_LEN_MAX: usize = 256 * 1024;

/// The most registrations that one Pod may hold.
pub const REGISTRATIONS_MAX: usize = 1024;

/// The most bytes of decoded JSON that one Pod may hold, over all its annotations.
pub const DECODED_LEN_MAX: usize = 1024 * 1024;

/// The weight of a registration that names none.
pub const DEFAULT_WEIGHT: u16 = 100;

/// The protocol of a registration that names none: found under `_rpc` alone.
pub const DEFAULT_PROTOCOL: &str = "rpc";

/// What an annotation's value holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The endpoints that the process offers, in the order written.
    pub registrations: Vec<Registration>,
    /// The interfaces that the process calls.
    pub consumers: Vec<Consumer>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Bytes of JSON behind the base64.
    pub decoded_len: usize,
}

impl Decoded {
    /// What its registrations take in memory, in bytes, roughly.
    pub fn len_in_memory(&self) -> usize {
        let texts = |metadata: &Metadata| {
            let methods: usize = metadata.methods.iter().map(|method| size_of::<Box<str>>() + method.len()).sum();
            methods + metadata.pairs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
        };
        self.registrations.iter().map(|one| size_of::<Registration>() + texts(&one.metadata)).sum()
    }
}

/// One thing that a process offers at one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The interface in its exact case, dotted: `org.acme.Greeter`.
    pub interface: Arc<str>,
    /// The group; absent where it was empty.
    pub group: Option<Arc<str>>,
    /// The version; absent where it was empty, or `0.0.0` in a registry path.
    pub version: Option<Arc<str>>,
    /// The protocol as it was written, [`DEFAULT_PROTOCOL`] where it was absent or empty.
    pub protocol: Arc<str>,
    /// The address that it names; none where the Pod's own are meant (absent, `0.0.0.0`, `::`).
    pub address: Option<IpAddr>,
    /// The port, never 0.
    pub port: u16,
    /// The weight, never 0.
    pub weight: u16,
    /// False for `enabled=false`, `disabled=true` and a weight of 0: its names exist, and no answer has it.
    pub enabled: bool,
    /// What else is told about it.
    pub metadata: Metadata,
    /// Where it begins, in bytes of the decoded JSON.
    pub offset: usize,
}

/// What is told about a registration beside its place; secrets are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The application's name.
    pub application: Option<Box<str>>,
    /// The methods, in the order written, repeats left out.
    pub methods: Box<[Box<str>]>,
    /// Every other pair that may be published, by key; keys are printable ASCII without `=`, distinct without letter
    /// case, and none of ours. The weight is one of them where it was given, as the registration has it.
    pub pairs: PairList,
    /// How many pairs were kept back because their key or value looks like a secret.
    pub withheld: u32,
    /// How many pairs were left out because their key cannot be one of a TXT record.
    pub left_out: u32,
}

/// A process that calls an interface, from a registry path; never an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The interface that it calls.
    pub interface: Arc<str>,
    /// The group that it asks for.
    pub group: Option<Arc<str>>,
    /// The version that it asks for.
    pub version: Option<Arc<str>>,
    /// Its application's name.
    pub application: Option<Box<str>>,
}

/// Something in an annotation that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, in bytes: of the annotation's value for [`Reason::BadBase64`] and [`Reason::TooLarge`], else of the decoded
    /// JSON.
    pub offset: usize,
    /// The key it is about, if it is about one: a known field's name, or `k` or `v`; never a stranger's text.
    pub key: Option<&'static str>,
    /// What is wrong.
    pub reason: Reason,
}

/// Why something was refused. The text never quotes a value; the label is for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The value is no base64 in either alphabet.
    #[error("bad base64")]
    BadBase64,
    /// The decoded bytes are no UTF-8.
    #[error("invalid UTF-8")]
    BadUtf8,
    /// The decoded text is no JSON.
    #[error("bad JSON")]
    BadJson,
    /// The JSON is something other than an array.
    #[error("not a JSON array")]
    NotAnArray,
    /// An element of the array is something other than an object, or its `k` is no string.
    #[error("not a pair of k and v")]
    NotAPair,
    /// A pair without `k`.
    #[error("a pair without k")]
    NoKey,
    /// A `v` that is null, an array or an object.
    #[error("v is no string, number or boolean")]
    BadValue,
    /// Pairs, but no interface among them.
    #[error("no interface")]
    NoInterface,
    /// A registration without a port.
    #[error("no port")]
    NoPort,
    /// A port that is no number from 1 to 65535.
    #[error("port is not a number from 1 to 65535")]
    BadPort,
    /// A weight that is no whole number.
    #[error("weight is not a whole number")]
    BadWeight,
    /// An address that is none.
    #[error("address is not an IP address")]
    BadAddress,
    /// A field that may stand once was given twice.
    #[error("given twice")]
    Repeated,
    /// Control characters in a name.
    #[error("control characters")]
    ControlCharacters,
    /// An interface, group, version or protocol that looks like a secret.
    #[error("looks like a secret")]
    Secret,
    /// A registry path that is not one of ours, or whose URL cannot be read.
    #[error("not a registry path")]
    BadPath,
    /// The value is over [`ANNOTATION_LEN_MAX`], or the Pod's values together are over [`DECODED_LEN_MAX`]; or a value's
    /// registrations would be, were each written with all the pairs that it inherits.
    #[error("too large")]
    TooLarge,
    /// The Pod holds more than [`REGISTRATIONS_MAX`] registrations.
    #[error("too many")]
    TooMany,
    /// The older Pods of its namespace take all the memory that a namespace may take.
    #[error("namespace full")]
    NamespaceFull,
    /// All namespaces take all the memory that they may take, and this one's is among those that take the most.
    #[error("server full")]
    ServerFull,
    /// The address is none of the Pod's own.
    #[error("foreign address")]
    ForeignAddress,
    /// The Pod's name or namespace cannot be one of Kubernetes.
    #[error("not a name of a Pod")]
    BadPodName,
}

impl Reason {
    /// The label for metrics: the same as its serialized form.
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

/// Reads an annotation's value; total on any text, in time and memory that its bounds limit.
pub fn decode(value: &str) -> Decoded {
    if value.len() > ANNOTATION_LEN_MAX {
        return refused(Problem { offset: 0, key: None, reason: Reason::TooLarge }, 0);
    }
    let bytes = match json::bytes(value) {
        Ok(bytes) => bytes,
        Err(problem) => return refused(problem, 0),
    };
    let decoded_len = bytes.len();
    let decoded =
        json::text(&bytes).and_then(|text| json::elements(text)).map(|elements| registrations(&elements, decoded_len));
    decoded.unwrap_or_else(|problem| refused(problem, decoded_len))
}

fn refused(problem: Problem, decoded_len: usize) -> Decoded {
    Decoded { problems: vec![problem], decoded_len, ..Decoded::default() }
}

fn registrations(elements: &[json::Element<'_>], decoded_len: usize) -> Decoded {
    let mut collector = Collector::new(decoded_len);
    let mut fields = fields::Reader::default();
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
