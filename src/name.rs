//! The schema's names: what a service is called, and what a question's name means. No other module knows them.
//!
//! ```text
//! SERVICE  =  <interface>[.v-<version>][.g-<group>].<ns>.Z   |   x-<alias>.<ns>.Z
//! ```
//!
//! Names are read from the right: zone, namespace, group, version, and the rest is the interface. Reading looks nothing
//! up. It returns what a name would stand for ([`ParsedName`]), and the snapshot knows whether it exists.

mod address;
mod alias;
mod parse;
mod selection;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::dns::{Key, LABEL_LEN_MAX, NAME_LEN_MAX, Name};

pub use address::{TargetLabel, reverse_name, reverse_zones};
pub use alias::Alias;
pub use parse::{Below, BelowNamespace, ParsedName, ReverseName, ServiceName, parse, parse_reverse};
pub use selection::NameSelector;
use selection::{selections, selects};

/// The longest `_<protocol>._tcp.`, which must fit in front of a service's name.
const PREFIX_LEN_MAX: usize = 22;

/// The label of an alias: its length byte, `x-` and 32 characters.
const ALIAS_LABEL_LEN: usize = 35;

/// The longest zone in which every alias fits: 255 − 22 − 35 − a namespace's label of 64.
pub const ZONE_LEN_MAX: usize = NAME_LEN_MAX - PREFIX_LEN_MAX - ALIAS_LABEL_LEN - (LABEL_LEN_MAX + 1);

/// The most labels in an interface with a natural name.
const INTERFACE_LABELS_MAX: usize = 16;

/// The label above the targets: `<target>.p.Z`.
pub const TARGETS_LABEL: &str = "p";

/// The label above the Pods: `<pod>.<ns>.pod.Z`.
pub const PODS_LABEL: &str = "pod";

/// The label of TCP in `_<protocol>._tcp`. All protocols have it (RFC 6763 §7).
pub const TCP_LABEL: &str = "_tcp";

/// The protocol in a name under which every registration is found, whatever its own is: `_rpc._tcp`.
pub const ANY_PROTOCOL: &str = crate::registration::DEFAULT_PROTOCOL;

/// The schema's version, in the TXT record of `dns-version.Z`.
pub const SCHEMA_VERSION: &str = "1.0.0";

/// The namespaces whose names the targets and the Pods use. Services in them have only an alias.
const TAKEN_NAMESPACES: [&str; 2] = [TARGETS_LABEL, PODS_LABEL];

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

    /// The name to query for all of its endpoints, for people: `_rpc._tcp.<service>`.
    pub fn question_name(&self, zone: &Name) -> Option<String> {
        self.exact_name(zone).map(|name| format!("_{ANY_PROTOCOL}.{TCP_LABEL}.{name}"))
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

/// Appends `_<protocol>._tcp` in wire form.
pub fn append_protocol(out: &mut SmallVec<[u8; 256]>, protocol: &str) {
    out.extend_from_slice(&[1 + protocol.len() as u8, b'_']);
    out.extend_from_slice(protocol.as_bytes());
    out.push(TCP_LABEL.len() as u8);
    out.extend_from_slice(TCP_LABEL.as_bytes());
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
    (is_name && label != ANY_PROTOCOL).then_some(label)
}

/// The key of a Pod's labels. `None` if they do not fit below `<ns>.pod.Z`.
pub fn pod_key(pod: &str, namespace: &str, zone: &Name) -> Option<Key> {
    let is_label = |label: &str| {
        (1..=LABEL_LEN_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let room = NAME_LEN_MAX - zone.wire().len() - (1 + PODS_LABEL.len()) - (1 + namespace.len());
    (pod.split('.').all(is_label) && pod.len() < room).then(|| Key::of(pod.split('.').map(str::as_bytes)))
}

/// Whether `<pod>-<port>` can be an instance's label: letters, digits and hyphens in at most 63 bytes.
pub fn is_instance_label(label: &[u8]) -> bool {
    label.len() <= LABEL_LEN_MAX && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

#[cfg(test)]
mod tests;
