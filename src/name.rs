//! The schema's names: what a service is called, and what a question's name means. No other module knows them.
//!
//! ```text
//! SERVICE  =  <interface>[.v-<version>][.g-<group>].<ns>.Z   |   x-<alias>.<ns>.Z
//! ```
//!
//! Names are read from the right: zone, namespace, group, version, and the rest is the interface. Reading looks nothing
//! up. It returns what a name would stand for ([`ParsedName`]), and the snapshot knows whether it exists.

mod address;
mod parse;

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE32HEX_NOPAD;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use crate::dns::{Key, LABEL_LEN_MAX, NAME_LEN_MAX, Name};

pub use address::{TargetLabel, reverse_name, reverse_zones};
pub use parse::{Below, BelowNamespace, ParsedName, ReverseName, ServiceName, parse, parse_reverse};

/// The longest `_<protocol>._tcp.`, which must fit in front of a service's name.
const PREFIX_LEN_MAX: usize = 22;

/// The longest name that Kubernetes allows for a Pod.
const POD_NAME_LEN_MAX: usize = 253;

/// The label of an alias: its length byte, `x-` and 32 characters.
const ALIAS_LABEL_LEN: usize = 35;

/// The longest zone in which every alias fits: 255 − 22 − 35 − a namespace's label of 64.
pub const ZONE_LEN_MAX: usize = NAME_LEN_MAX - PREFIX_LEN_MAX - ALIAS_LABEL_LEN - (LABEL_LEN_MAX + 1);

/// The most labels in an interface with a natural name.
const INTERFACE_LABELS_MAX: usize = 16;

/// The namespaces whose names the targets and the Pods use. Services in them have only an alias.
const TAKEN_NAMESPACES: [&str; 2] = ["p", "pod"];

/// A name that every service has, whatever its parts are: 32 characters of base32hex in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias([u8; 32]);

impl Alias {
    /// The first 160 bits of SHA-256 over group, interface and version, separated by line feeds. An absent part is
    /// empty.
    pub fn of(group: Option<&str>, interface: &str, version: Option<&str>) -> Alias {
        let digest = Sha256::new()
            .chain_update(group.unwrap_or(""))
            .chain_update("\n")
            .chain_update(interface)
            .chain_update("\n")
            .chain_update(version.unwrap_or(""))
            .finalize();
        let mut text = [0; 32];
        BASE32HEX_NOPAD.encode_mut(&digest[..20], &mut text);
        text.make_ascii_lowercase();
        Alias(text)
    }

    /// Reads the label `x-<alias>` in lower case.
    fn read(label: &[u8]) -> Option<Alias> {
        let text: [u8; 32] = label.strip_prefix(b"x-")?.try_into().ok()?;
        text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v')).then_some(Alias(text))
    }

    /// Its 32 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The label `x-<alias>`.
    pub fn label(&self) -> String {
        format!("x-{self}")
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x-{self}")
    }
}

/// What a name says about a group or a version, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameSelector<V = Arc<[u8]>> {
    /// No selector: any value matches.
    Any,
    /// `v--none`, `g--none`: registered without one.
    None,
    /// The value's label, without `v-` or `g-`.
    Value(V),
}

impl NameSelector {
    /// The borrowed form, for lookups.
    pub fn as_slice(&self) -> NameSelector<&[u8]> {
        match self {
            NameSelector::Any => NameSelector::Any,
            NameSelector::None => NameSelector::None,
            NameSelector::Value(value) => NameSelector::Value(value),
        }
    }

    /// The selector of a group or version. `None` for a value without a label.
    fn of(value: Option<&str>) -> Option<NameSelector> {
        match value {
            None => Some(NameSelector::None),
            Some(value) => selector_label(value).map(|label| NameSelector::Value(label.into())),
        }
    }

    /// How many bytes its label takes on the wire.
    fn wire_len(&self) -> usize {
        match self {
            NameSelector::Any => 0,
            NameSelector::None => 1 + "v--none".len(),
            NameSelector::Value(value) => 1 + "v-".len() + value.len(),
        }
    }
}

/// A value as the rest of a label after `v-` or `g-`, in lower case: `.` becomes `-`, and `-` becomes `--`.
///
/// `None` if two values could get the same label. So every `.` and `-` must be between two letters, digits or `_`.
fn selector_label(value: &str) -> Option<Vec<u8>> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = value.as_bytes();
    let mut label = Vec::with_capacity(bytes.len() + 2);
    for (at, byte) in bytes.iter().enumerate() {
        let between = at > 0 && is_plain(&bytes[at - 1]) && bytes.get(at + 1).is_some_and(is_plain);
        match byte {
            b'.' if between => label.push(b'-'),
            b'-' if between => label.extend_from_slice(b"--"),
            byte if is_plain(byte) => label.push(byte.to_ascii_lowercase()),
            _ => return None,
        }
    }
    (!label.is_empty() && "v-".len() + label.len() <= LABEL_LEN_MAX).then_some(label)
}

/// A service: an interface with its exact group and version in a namespace, and its names.
#[derive(Debug)]
pub struct Service {
    /// The Kubernetes namespace, a single label.
    pub namespace: Arc<str>,
    /// The interface in its exact letter case.
    pub interface: Arc<str>,
    /// `None` if it has no group.
    pub group: Option<Arc<str>>,
    /// `None` if it has no version.
    pub version: Option<Arc<str>>,
    /// The name that every service has.
    pub alias: Alias,
    /// Whether the interface fits into a natural name.
    is_natural: bool,
}

impl Service {
    /// Creates a service and its names in a zone.
    pub fn new(
        namespace: &Arc<str>,
        interface: &Arc<str>,
        group: Option<&Arc<str>>,
        version: Option<&Arc<str>>,
        zone: &Name,
    ) -> Service {
        let is_natural = natural_interface(interface)
            .is_some_and(|key| key.as_bytes().len() <= room(namespace, zone) && !is_taken_namespace(namespace));
        Service {
            alias: Alias::of(group.map(|value| &**value), interface, version.map(|value| &**value)),
            namespace: namespace.clone(),
            interface: interface.clone(),
            group: group.cloned(),
            version: version.cloned(),
            is_natural,
        }
    }

    /// Whether the service has natural names.
    pub fn is_natural(&self) -> bool {
        self.is_natural
    }

    /// The key of the interface, if the service has natural names.
    pub fn natural(&self) -> Option<Key> {
        self.is_natural.then(|| Key::of(self.interface.split('.').map(str::as_bytes)))
    }

    /// The key bytes of the interface, on the stack. Only for a service with natural names.
    pub fn interface_key(&self) -> SmallVec<[u8; 256]> {
        let mut key = SmallVec::<[u8; 256]>::new();
        for label in self.interface.rsplit('.') {
            key.push(label.len() as u8);
            key.extend_from_slice(label.as_bytes());
        }
        key.make_ascii_lowercase(); // a length is at most 63, below any letter
        key
    }

    /// The (group, version) selectors of its natural names in the zone that it was created for. Omits selectors without
    /// a label and names that are too long. The first is (any, any).
    pub fn selections(&self, zone: &Name) -> Vec<(NameSelector, NameSelector)> {
        let room = room(&self.namespace, zone);
        let room = self.natural().and_then(|key| room.checked_sub(key.as_bytes().len()));
        room.map_or_else(Vec::new, |room| selections(self.group.as_deref(), self.version.as_deref(), room))
    }

    /// Whether these selectors, which must be valid labels, and this interface's key select it.
    pub fn is_selected(&self, group: NameSelector<&[u8]>, version: NameSelector<&[u8]>, interface: &[u8]) -> bool {
        self.is_natural
            && is_key_of(interface, &self.interface)
            && selects(group, self.group.as_deref())
            && selects(version, self.version.as_deref())
    }

    /// The name without selectors, or if there is none the alias, in wire form on the stack. It always fits.
    pub fn plain_wire(&self, zone: &Name) -> SmallVec<[u8; 256]> {
        let mut wire = SmallVec::new();
        let mut push = |label: &str| {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label.as_bytes());
        };
        match self.is_natural {
            true => self.interface.split('.').for_each(&mut push),
            false => push(self.alias.label().as_str()),
        }
        push(&self.namespace);
        wire.extend_from_slice(zone.wire());
        wire
    }

    /// The whole name of its alias.
    pub fn alias_name(&self, zone: &Name) -> Option<Name> {
        service_name([self.alias.label().as_str()].into_iter(), &self.namespace, zone)
    }

    /// The most exact name for people: the natural name with all selectors, or the alias.
    pub fn exact_name(&self, zone: &Name) -> Option<Name> {
        let selections = self.selections(zone);
        let Some((group, version)) = selections.last() else { return self.alias_name(zone) };
        let spell = |kind: &str, selector: &NameSelector, value: &Option<Arc<str>>| match (selector, value) {
            (NameSelector::Value(_), Some(value)) => {
                Some(format!("{kind}-{}", value.replace('-', "--").replace('.', "-")))
            }
            _ => None,
        };
        let (version_label, group_label) = (spell("v", version, &self.version), spell("g", group, &self.group));
        if version_label.is_some() != self.version.is_some() || group_label.is_some() != self.group.is_some() {
            return self.alias_name(zone);
        }
        let selectors = [version_label, group_label];
        let labels = self.interface.split('.').chain(selectors.iter().flatten().map(String::as_str));
        service_name(labels, &self.namespace, zone)
    }
}

impl PartialEq for Service {
    fn eq(&self, other: &Service) -> bool {
        self.alias == other.alias && self.namespace == other.namespace
    }
}

impl Eq for Service {}

impl std::hash::Hash for Service {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.namespace, self.alias).hash(state);
    }
}

fn service_name<'l>(labels: impl Iterator<Item = &'l str>, namespace: &'l str, zone: &'l Name) -> Option<Name> {
    let below = labels.chain([namespace]).map(str::as_bytes);
    Name::from_labels(below.chain(zone.labels())).ok()
}

/// Every pair of selectors whose name fits, (any, any) first and the most exact last.
fn selections(group: Option<&str>, version: Option<&str>, room: usize) -> Vec<(NameSelector, NameSelector)> {
    let choices = |value| [Some(NameSelector::Any), NameSelector::of(value)].into_iter().flatten();
    let mut selections = Vec::with_capacity(4);
    for group in choices(group) {
        for version in choices(version) {
            if group.wire_len() + version.wire_len() <= room {
                selections.push((group.clone(), version));
            }
        }
    }
    selections
}

/// How many bytes a natural name has for the interface and its selectors.
fn room(namespace: &str, zone: &Name) -> usize {
    NAME_LEN_MAX - PREFIX_LEN_MAX - zone.wire().len() - (1 + namespace.len())
}

/// Whether a key is that of a dotted name: its labels, reversed and in lower case.
pub fn is_key_of(key: &[u8], dotted: &str) -> bool {
    let (mut key, mut text) = (key, dotted.as_bytes());
    loop {
        let label = key.split_first().and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)));
        let Some((label, below)) = label else { return false };
        let Some((before, last)) = text.len().checked_sub(label.len()).map(|at| text.split_at(at)) else {
            return false;
        };
        if !last.eq_ignore_ascii_case(label) || label.contains(&b'.') {
            return false;
        }
        match before.split_last() {
            None => return below.is_empty(),
            Some((b'.', before)) => (key, text) = (below, before),
            Some(_) => return false,
        }
    }
}

/// Whether a selector, which must be a valid label, matches a value.
fn selects(selector: NameSelector<&[u8]>, value: Option<&str>) -> bool {
    match (selector, value) {
        (NameSelector::Any, _) | (NameSelector::None, None) => true,
        (NameSelector::Value(label), Some(value)) => {
            let spelt = value.bytes().flat_map(|byte| match byte {
                b'.' => [Some(b'-'), None],
                b'-' => [Some(b'-'), Some(b'-')],
                byte => [Some(byte.to_ascii_lowercase()), None],
            });
            spelt.flatten().eq(label.iter().copied())
        }
        _ => false,
    }
}

/// The interface's key, if its labels fit into a name and mean nothing else there.
fn natural_interface(interface: &str) -> Option<Key> {
    let labels: Vec<&[u8]> = interface.split('.').map(str::as_bytes).collect();
    let is_plain = |label: &&[u8]| {
        !label.is_empty()
            && label.len() <= LABEL_LEN_MAX
            && label[0] != b'_'
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = labels.last()?.to_ascii_lowercase();
    let reads_as_other = last.starts_with(b"v-") || last.starts_with(b"g-") || Alias::read(&last).is_some();
    (labels.len() <= INTERFACE_LABELS_MAX && labels.iter().all(is_plain) && !reads_as_other)
        .then(|| Key::of(labels.into_iter()))
}

fn is_taken_namespace(namespace: &str) -> bool {
    TAKEN_NAMESPACES.contains(&namespace)
}

/// A protocol as it appears in a name after `_`: a service name of RFC 6335 §5.1, in lower case.
///
/// `None` for `rpc`, under which every registration is found, and for an invalid service name.
pub fn protocol_label(protocol: &str) -> Option<String> {
    let bytes = protocol.as_bytes();
    let hyphens_stand_alone = !protocol.starts_with('-') && !protocol.ends_with('-') && !protocol.contains("--");
    let is_name = (1..=15).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && bytes.iter().any(u8::is_ascii_alphabetic)
        && hyphens_stand_alone;
    let label = protocol.to_ascii_lowercase();
    (is_name && label != crate::registration::DEFAULT_PROTOCOL).then_some(label)
}

/// Whether a text is a valid namespace: an RFC 1123 label in lower case (Kubernetes: "Object Names and IDs").
pub fn is_namespace(text: &str) -> bool {
    text.len() <= LABEL_LEN_MAX && is_lower_label(text)
}

/// Whether a text is a valid Pod name: a DNS subdomain in lower case. One of its labels may exceed 63 bytes.
pub fn is_pod_name(text: &str) -> bool {
    text.len() <= POD_NAME_LEN_MAX && text.split('.').all(is_lower_label)
}

fn is_lower_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// The key of a Pod's labels. `None` if they do not fit below `<ns>.pod.Z`.
pub fn pod_key(pod: &str, namespace: &str, zone: &Name) -> Option<Key> {
    let is_label = |label: &str| {
        (1..=LABEL_LEN_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let room = NAME_LEN_MAX - zone.wire().len() - "\x03pod".len() - (1 + namespace.len());
    (pod.split('.').all(is_label) && pod.len() < room).then(|| Key::of(pod.split('.').map(str::as_bytes)))
}

/// Whether `<pod>-<port>` can be an instance's label: letters, digits and hyphens in at most 63 bytes.
pub fn is_instance_label(label: &[u8]) -> bool {
    label.len() <= LABEL_LEN_MAX && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

#[cfg(test)]
mod tests;
