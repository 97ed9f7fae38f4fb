//! Decodes what a Pod says of itself into registrations. It is pure and accepts any bytes.
//!
//! An annotation's value is JSON, in base64 or as it stands: pairs of `{"k": …, "v": …}` (`fields`, `path`), or one object
//! for each registration (`object`). Other encodings read plain annotations (`plain`) and what other registrars write
//! (`mapped`, `micro`, `dubbo3`). What cannot be decoded becomes a [`Problem`] with the key and the reason, never with a
//! value. Everything else is kept.

mod collector;
mod draft;
mod dubbo3;
mod edit;
mod elements;
mod encode;
mod encoding;
mod field;
mod fields;
mod json;
mod keys;
mod mapped;
mod mapping;
mod metadata;
mod micro;
mod object;
mod pairs;
mod path;
mod plain;
mod ports;
mod presets;
mod problem;
mod profile_table;
mod secret;
mod table;
mod text;
mod text_collector;
mod value;

use std::net::IpAddr;
use std::sync::Arc;

use collector::Collector;
use elements::Content;
use ports::ContainerPorts;

pub use edit::{REGISTRAR, has_entries, replace};
pub use encode::{PlainError, WrittenPort, encode, encode_objects, encode_plain, pairs};
pub use encoding::Encoding;
pub use mapping::{Mapping, MappingError, is_port_name};
pub use pairs::PairList;
pub use presets::{PRESETS, Preset};
pub use problem::{Problem, ProblemKey, Reason, shown_key};
pub use profile_table::ProfileTable;
pub use secret::is_secret_key;
pub use text::{ContainerPort, PodParts, ProfileText, Wanted};
pub use text_collector::TextCollector;

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

/// What a Pod says of itself under one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The endpoints that the process offers, in the order written.
    pub registrations: Vec<Registration>,
    /// The interfaces that the process calls.
    pub consumers: Vec<Consumer>,
    /// What could not be decoded.
    pub problems: Vec<Problem>,
    /// The length of the decoded JSON and of the Pod's other parts, in bytes.
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
    /// Where it begins, in bytes of the decoded JSON. 0 if it is not from an annotation's value.
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

/// Decodes what a Pod says of itself under one profile. Accepts any text, and uses bounded time and memory.
pub fn decode(text: &ProfileText, encoding: &Encoding) -> Decoded {
    let mut collector = Collector::default();
    let empty = PodParts::default();
    let parts = text.parts.as_deref().unwrap_or(&empty);
    let is_too_large = parts.len() > ANNOTATION_LEN_MAX;
    let parts = if is_too_large { &empty } else { parts };
    collector.add_len(parts.len());
    if is_too_large {
        collector.problem(Problem { offset: 0, key: None, reason: Reason::TooLarge });
    }
    if parts.ports.len() > ports::PORTS_MAX {
        collector.problem(Problem { offset: 0, key: Some(ProblemKey::every_port()), reason: Reason::TooMany });
    }
    match encoding {
        Encoding::Pairs { plain } => {
            if let Some(value) = &text.value {
                read_value(value, ContainerPorts::of(parts), &mut collector);
            }
            if let Some(prefix) = plain {
                plain::read(prefix, parts, &mut collector);
            }
        }
        _ if is_too_large => {}
        Encoding::Keys(mapping) => mapped::read(mapping, parts, &mut collector),
        Encoding::Kratos => mapped::read(&mapping::KRATOS, parts, &mut collector),
        Encoding::Micro => micro::read(parts, &mut collector),
        Encoding::Dubbo3(mapping) => dubbo3::read(mapping, parts, &mut collector),
    }
    collector.finish()
}

/// Decodes an annotation's value alone: nothing else of the Pod is known. Accepts any text, and uses bounded time and
/// memory.
pub fn decode_value(value: &str) -> Decoded {
    let mut collector = Collector::default();
    read_value(value, ContainerPorts::default(), &mut collector);
    collector.finish()
}

fn read_value(value: &str, ports: ContainerPorts<'_>, collector: &mut Collector) {
    if value.len() > ANNOTATION_LEN_MAX {
        return collector.problem(Problem { offset: 0, key: None, reason: Reason::TooLarge });
    }
    let elements = value::text(value).map(|text| {
        collector.add_len(text.len());
        elements::elements(&text).map(|elements| read_elements(&elements, ports, collector))
    });
    if let Err(problem) | Ok(Err(problem)) = elements {
        collector.problem(problem);
    }
}

fn read_elements(elements: &[elements::Element<'_>], ports: ContainerPorts<'_>, collector: &mut Collector) {
    let mut fields = fields::FieldsDecoder::default();
    let mut has_paths = false;
    for element in elements {
        match &element.content {
            Content::Pair(pair) if pair.key.starts_with('/') => {
                has_paths = true;
                path::read(pair, element, collector);
            }
            Content::Pair(pair) => fields.pair(pair, element, collector),
            Content::Object(object) => object::read(object, element, ports, collector),
            Content::Bad(bad) => fields.bad(*bad, element.offset, collector),
        }
    }
    fields.finish(has_paths, collector);
    collector.sort();
}
