//! Reads what a question's name would stand for, from the right.

use std::net::IpAddr;

use super::address::{TargetLabel, v4_from, v6_from};
use super::{ANY_PROTOCOL, Alias, NameSelector, PODS_LABEL, TARGETS_LABEL, TCP_LABEL};
use crate::dns::NamePath;

const TARGETS: &[u8] = TARGETS_LABEL.as_bytes();
const PODS: &[u8] = PODS_LABEL.as_bytes();
const TCP: &[u8] = TCP_LABEL.as_bytes();

/// What a name in the Pods' zone would stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedName<'q> {
    /// `Z`
    Apex,
    /// `dns-version.Z`
    DnsVersion,
    /// `p.Z`, the parent of the targets.
    Targets,
    /// `<target>.p.Z`
    Target(IpAddr),
    /// `pod.Z`, the parent of the Pods' namespaces.
    Pods,
    /// `<ns>.pod.Z` and what is below it.
    Pod {
        /// The bytes of the namespace's label.
        namespace: &'q [u8],
        /// The Pod's labels as key bytes. Empty for the namespace itself.
        labels: &'q [u8],
    },
    /// `<ns>.Z`, and the DNS-SD names that belong to the whole namespace.
    Namespace {
        /// The bytes of the namespace's label.
        namespace: &'q [u8],
        /// Which of its names.
        below: BelowNamespace,
    },
    /// A service's name, or one below it.
    Service {
        /// The bytes of the namespace's label.
        namespace: &'q [u8],
        /// How the name selects services.
        name: ServiceName<'q>,
        /// Which of its names.
        below: Below<'q>,
    },
    /// Not a name of the schema.
    Missing,
}

/// How a name selects services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceName<'q> {
    /// `<interface>[.v-<version>][.g-<group>]`
    Natural {
        /// Which groups it selects.
        group: NameSelector<&'q [u8]>,
        /// Which versions it selects.
        version: NameSelector<&'q [u8]>,
        /// The interface's labels, or the first of them, as key bytes.
        interface: &'q [u8],
    },
    /// `x-<alias>`
    Alias(Alias),
}

/// The names at and below a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BelowNamespace {
    /// `<ns>`
    Itself,
    /// `_udp` and `_dns-sd._udp`: empty non-terminals.
    Between,
    /// `b._dns-sd._udp`: every interface.
    Browse,
}

/// The names at and below a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below<'q> {
    /// `SERVICE`
    Itself,
    /// `_tcp`: an empty non-terminal.
    Tcp,
    /// `_<protocol>._tcp`. `None` for `_rpc`, which means any protocol.
    Protocol(Option<&'q [u8]>),
    /// `<instance>._<protocol>._tcp`
    Instance(Option<&'q [u8]>, &'q [u8]),
    /// `_udp` and `_dns-sd._udp`: empty non-terminals of the names without selectors.
    Between,
    /// `_services._dns-sd._udp`: the protocols.
    Protocols,
    /// `b._dns-sd._udp`. Only a namespace has it.
    Interfaces,
}

/// Reads a name within the zone. Its first `zone_labels` labels from the root are the zone's.
pub fn parse(name: &NamePath, zone_labels: usize) -> ParsedName<'_> {
    let Some(namespace) = name.label(zone_labels) else { return ParsedName::Apex };
    let below = zone_labels + 1;
    match (namespace, name.label(below)) {
        (b"dns-version", None) => ParsedName::DnsVersion,
        (TARGETS, None) => ParsedName::Targets,
        (PODS, None) => ParsedName::Pods,
        (TARGETS, Some(label)) => match TargetLabel::read(label) {
            Some(address) if name.len() == below + 1 => ParsedName::Target(address),
            _ => read_service(name, namespace, below),
        },
        (PODS, Some(label)) if !label.starts_with(b"_") && !reads_as_alias(name, label, below) => {
            ParsedName::Pod { namespace: label, labels: name.span(below + 1, name.len()) }
        }
        _ => read_service(name, namespace, below),
    }
}

/// Below `pod.Z` an alias may take the place of a namespace. No Pod's name begins with `_`, so the two
/// differ.
fn reads_as_alias(name: &NamePath, label: &[u8], at: usize) -> bool {
    Alias::read(label).is_some() && name.label(at + 1).is_none_or(|next| next.starts_with(b"_"))
}

fn read_service<'q>(name: &'q NamePath, namespace: &'q [u8], mut at: usize) -> ParsedName<'q> {
    if let Some(alias) = name.label(at).and_then(Alias::read) {
        let Some(below) = read_below(name, at + 1) else { return ParsedName::Missing };
        return ParsedName::Service { namespace, name: ServiceName::Alias(alias), below };
    }
    let group = read_selector(name, b"g-", &mut at);
    let version = read_selector(name, b"v-", &mut at);
    let end = (at..name.len()).find(|at| name.label(*at).is_some_and(|label| label.starts_with(b"_")));
    let end = end.unwrap_or(name.len());
    let interface = name.span(at, end);
    let Some(below) = read_below(name, end) else { return ParsedName::Missing };
    if interface.is_empty() && group == NameSelector::Any && version == NameSelector::Any {
        return read_namespace(namespace, below);
    }
    ParsedName::Service { namespace, name: ServiceName::Natural { group, version, interface }, below }
}

/// Reads the next label if it begins with `g-` or `v-`.
fn read_selector<'q>(name: &'q NamePath, prefix: &[u8], at: &mut usize) -> NameSelector<&'q [u8]> {
    let Some(value) = name.label(*at).and_then(|label| label.strip_prefix(prefix)) else { return NameSelector::Any };
    *at += 1;
    if value == b"-none" { NameSelector::None } else { NameSelector::Value(value) }
}

/// Reads a name below `<ns>` itself. Of the names of a service, only the DNS-SD ones exist there.
fn read_namespace<'q>(namespace: &'q [u8], below: Below<'q>) -> ParsedName<'q> {
    let below = match below {
        Below::Itself => BelowNamespace::Itself,
        Below::Between => BelowNamespace::Between,
        Below::Interfaces => BelowNamespace::Browse,
        _ => return ParsedName::Missing,
    };
    ParsedName::Namespace { namespace, below }
}

/// Reads what is below a service's name, from label `at` on.
fn read_below(name: &NamePath, at: usize) -> Option<Below<'_>> {
    let label = |index| name.label(at + index);
    let below = match (label(0), label(1), label(2)) {
        (None, ..) => Below::Itself,
        (Some(TCP), None, _) => Below::Tcp,
        (Some(TCP), Some(protocol), instance) => {
            let protocol = protocol.strip_prefix(b"_")?;
            let protocol = (protocol != ANY_PROTOCOL.as_bytes()).then_some(protocol);
            instance.map_or(Below::Protocol(protocol), |instance| Below::Instance(protocol, instance))
        }
        (Some(b"_udp"), None, _) | (Some(b"_udp"), Some(b"_dns-sd"), None) => Below::Between,
        (Some(b"_udp"), Some(b"_dns-sd"), Some(b"_services")) => Below::Protocols,
        (Some(b"_udp"), Some(b"_dns-sd"), Some(b"b")) => Below::Interfaces,
        _ => return None,
    };
    label(3).is_none().then_some(below)
}

/// What a name in the reverse trees stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReverseName {
    /// A whole address.
    Address(IpAddr),
    /// An ancestor of the addresses from the first to the last.
    Network(IpAddr, IpAddr),
}

/// Reads a name below `in-addr.arpa.` or `ip6.arpa.`. `None` if no address is written like that.
pub fn parse_reverse(name: &NamePath) -> Option<ReverseName> {
    if name.label(0)? != b"arpa" {
        return None;
    }
    match name.label(1)? {
        b"in-addr" => read_reverse_v4(name),
        b"ip6" => read_reverse_v6(name),
        _ => None,
    }
}

fn read_reverse_v4(name: &NamePath) -> Option<ReverseName> {
    let mut octets = [0; 4];
    let count = name.len() - 2;
    for (at, octet) in octets.get_mut(..count)?.iter_mut().enumerate() {
        let text = std::str::from_utf8(name.label(at + 2)?).ok()?;
        *octet = text.parse().ok().filter(|octet: &u8| octet.to_string() == text)?;
    }
    let first = v4_from(&octets[..count]);
    if count == 4 {
        return Some(ReverseName::Address(first.into()));
    }
    let last = u32::from(first) | u32::MAX.checked_shr(8 * count as u32).unwrap_or(0);
    Some(ReverseName::Network(first.into(), IpAddr::V4(last.into())))
}

fn read_reverse_v6(name: &NamePath) -> Option<ReverseName> {
    let mut nibbles = [0; 32];
    let count = name.len() - 2;
    for (at, nibble) in nibbles.get_mut(..count)?.iter_mut().enumerate() {
        *nibble = match name.label(at + 2)? {
            [digit @ b'0'..=b'9'] => digit - b'0',
            [digit @ b'a'..=b'f'] => digit - b'a' + 10,
            _ => return None,
        };
    }
    let first = v6_from(&nibbles[..count]);
    if count == 32 {
        return Some(ReverseName::Address(first.into()));
    }
    let last = u128::from(first) | u128::MAX.checked_shr(4 * count as u32).unwrap_or(0);
    Some(ReverseName::Network(first.into(), IpAddr::V6(last.into())))
}
