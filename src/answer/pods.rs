//! Answers questions in the Pods' zone and in the reverse zones.

use std::ops::ControlFlow;

use super::records::{Members, Records, ZoneSoa};
use super::{Freshness, Question, Step};
use crate::dns::{Class, LABEL_LEN_MAX, NAME_LEN_MAX, Name, NamePath, Rtype};
use crate::name::{self, Below, BelowNamespace, ParsedName, ReverseName, ServiceName};
use crate::snapshot::{Addresses, Found, Selected, Snapshot};

/// The types that names of Pods may have, the most frequent first. An ANY question tries them in this order.
const TYPES: [Rtype; 7] = [Rtype::SRV, Rtype::A, Rtype::AAAA, Rtype::TXT, Rtype::PTR, Rtype::SOA, Rtype::NS];

/// Looks up a name in the Pods' zone.
pub(super) fn step<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Step<'s> {
    let name = question.name;
    let soa = ZoneSoa::Pods(&snapshot.settings.origin);
    let look = |rtype| lookup(snapshot, &Question { rtype, ..question.clone() });
    step_of(question.rtype, soa, look, || snapshot.has_fixed_name_below(name))
}

/// The step that follows from what is found. A name that is missing still exists if `exists`.
fn step_of<'s>(
    rtype: Rtype,
    soa: ZoneSoa<'s>,
    look: impl Fn(Rtype) -> Found<Records<'s>>,
    exists: impl Fn() -> bool,
) -> Step<'s> {
    let found = match rtype {
        Rtype::ANY => any(look),
        rtype => look(rtype),
    };
    match found {
        Found::Here(records) => Step::Records(records),
        Found::Between => Step::NoData(soa),
        Found::Missing if exists() => Step::NoData(soa),
        Found::Missing => Step::NxDomain(soa),
    }
}

/// Whether Pods have records at a name.
pub(super) fn has_records(snapshot: &Snapshot, name: &Name) -> bool {
    let path = NamePath::of(name.labels());
    let (client, freshness) = (std::net::IpAddr::from([0; 4]), Freshness::Fresh);
    let question =
        Question { name: &path, spelling: name.wire(), rtype: Rtype::ANY, class: Class::IN, client, freshness };
    matches!(step(snapshot, &question), Step::Records(_))
}

/// Looks up a name in a reverse zone.
pub(super) fn reverse_step<'s>(snapshot: &'s Snapshot, question: &Question<'_>, origin: &'s Name) -> Step<'s> {
    let name = question.name;
    let soa = ZoneSoa::Pods(origin);
    let is_apex = name.len() == origin.label_count();
    let look = |rtype| match (is_apex, rtype) {
        (true, Rtype::SOA) => Found::Here(Records::Soa(soa)),
        (true, Rtype::NS) => Found::Here(Records::Ns),
        (true, _) if !matches!(name::parse_reverse(name), Some(ReverseName::Address(_))) => Found::Between,
        (_, rtype) => pointers(snapshot, name, rtype),
    };
    step_of(question.rtype, soa, look, || is_apex)
}

/// Answers ANY: a name with records of any type has HINFO (RFC 8482 §4.2).
fn any<'s>(look: impl Fn(Rtype) -> Found<Records<'s>>) -> Found<Records<'s>> {
    let mut found = Found::Missing;
    for rtype in TYPES {
        match look(rtype) {
            Found::Here(_) => return Found::Here(Records::Hinfo),
            other => found = other,
        }
    }
    found
}

fn pointers<'s>(snapshot: &'s Snapshot, name: &NamePath, rtype: Rtype) -> Found<Records<'s>> {
    let address = match name::parse_reverse(name) {
        Some(ReverseName::Address(address)) => address,
        Some(ReverseName::Network(first, last)) if snapshot.has_pointer_within(first, last) => return Found::Between,
        _ => return Found::Missing,
    };
    let pods = snapshot.pointers(address).filter_map(|slot| snapshot.pod(slot));
    let names: Vec<Name> = pods.filter_map(|pod| snapshot.pod_name(pod)).collect();
    match rtype {
        _ if names.is_empty() => Found::Missing,
        Rtype::PTR => Found::Here(Records::Names(names)),
        _ => Found::Between,
    }
}

/// The records of one type at a name. `Between` if the name exists without them.
fn lookup<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Found<Records<'s>> {
    let name = question.name;
    if let Some(addresses) = snapshot.settings.ns_addresses.get(name.key()) {
        return of_addresses(addresses.iter().copied().collect(), question.rtype);
    }
    match name::parse(name, snapshot.zone_labels()) {
        ParsedName::Apex => match question.rtype {
            Rtype::SOA => Found::Here(Records::Soa(ZoneSoa::Pods(&snapshot.settings.origin))),
            Rtype::NS => Found::Here(Records::Ns),
            _ => Found::Between,
        },
        ParsedName::DnsVersion if question.rtype == Rtype::TXT => Found::Here(Records::Version),
        ParsedName::DnsVersion | ParsedName::Targets | ParsedName::Pods => Found::Between,
        ParsedName::Target(address) => match snapshot.target_addresses(address) {
            Some(addresses) => of_addresses(addresses, question.rtype),
            None => Found::Missing,
        },
        ParsedName::Pod { namespace, labels } => of_pod(snapshot, namespace, labels, question.rtype),
        ParsedName::Namespace { namespace, .. } if !snapshot.has_namespace(namespace) => Found::Missing,
        ParsedName::Namespace { namespace, below: BelowNamespace::Browse } if question.rtype == Rtype::PTR => {
            match snapshot.interfaces_of(namespace, 0).next() {
                Some(first) => {
                    Found::Here(Records::Interfaces { namespace: &first.namespace, client: question.client })
                }
                None => Found::Between,
            }
        }
        ParsedName::Namespace { .. } => Found::Between,
        ParsedName::Service { namespace, name, below } => match snapshot.service(namespace, &name) {
            Found::Here(selected) => of_service(snapshot, question, selected, below),
            Found::Between if below == Below::Itself => Found::Between,
            _ => beside_alias(snapshot, namespace, &name, below),
        },
        ParsedName::Missing => Found::Missing,
    }
}

/// Looks up an alias's name below `pod`. A Kubernetes namespace may have the same name as the alias: then the name exists,
/// because the names of its Pods are below it.
fn beside_alias<'s>(
    snapshot: &Snapshot,
    namespace: &[u8],
    name: &ServiceName<'_>,
    below: Below<'_>,
) -> Found<Records<'s>> {
    match (namespace, name, below) {
        (namespace, ServiceName::Alias(alias), Below::Itself) if namespace == name::PODS_LABEL.as_bytes() => {
            match snapshot.pods_named(alias.label().as_bytes(), b"") {
                Found::Missing => Found::Missing,
                _ => Found::Between,
            }
        }
        _ => Found::Missing,
    }
}

/// Looks up `<pod>.<ns>.pod.Z`, and the names between it and `pod.Z`.
fn of_pod<'s>(snapshot: &'s Snapshot, namespace: &[u8], labels: &[u8], rtype: Rtype) -> Found<Records<'s>> {
    match snapshot.pods_named(namespace, labels) {
        Found::Here(slots) => {
            let pods = slots.iter().filter_map(|slot| snapshot.pod(*slot));
            let mut addresses = Addresses::new();
            for address in pods.flat_map(|pod| &pod.status.pod_ips) {
                if !addresses.contains(address) {
                    addresses.push(*address);
                }
            }
            of_addresses(addresses, rtype)
        }
        Found::Between => Found::Between,
        Found::Missing => Found::Missing,
    }
}

fn of_addresses<'s>(mut addresses: Addresses, rtype: Rtype) -> Found<Records<'s>> {
    addresses.retain(|address| match rtype {
        Rtype::A => address.is_ipv4(),
        Rtype::AAAA => address.is_ipv6(),
        _ => false,
    });
    if addresses.is_empty() { Found::Between } else { Found::Here(Records::Addresses(addresses)) }
}

fn of_service<'s>(
    snapshot: &'s Snapshot,
    question: &Question<'_>,
    selected: Selected<'s>,
    below: Below<'_>,
) -> Found<Records<'s>> {
    let members = |protocol| Members::new(selected.set, protocol, question.client);
    match below {
        Below::Itself => match question.rtype {
            Rtype::A | Rtype::AAAA => of_endpoints(snapshot, members(None), question.rtype),
            Rtype::SRV => non_empty(members(None), Records::Srv),
            _ => Found::Between,
        },
        Below::Tcp => Found::Between,
        Below::Protocol(protocol) => {
            let protocol = match protocol.map(|protocol| selected.set.ready(protocol)) {
                None => None,
                Some(Some((protocol, _))) => Some(protocol),
                Some(None) => return Found::Missing,
            };
            match question.rtype {
                Rtype::SRV => non_empty(members(protocol), Records::Srv),
                Rtype::TXT => non_empty(members(protocol), Records::Txt),
                Rtype::PTR if selected.has_instances => instances(snapshot, question, members(protocol)),
                _ => Found::Between,
            }
        }
        Below::Instance(protocol, label) if selected.has_instances => {
            of_instance(snapshot, question, selected, protocol, label)
        }
        Below::Between if selected.has_instances => Found::Between,
        Below::Protocols if selected.has_instances => match (question.rtype, selected.services.first()) {
            (Rtype::PTR, Some(service)) => {
                Found::Here(Records::Protocols { service, set: selected.set, client: question.client })
            }
            _ => Found::Between,
        },
        Below::Instance(..) | Below::Between | Below::Protocols | Below::Interfaces => Found::Missing,
    }
}

fn non_empty<'s>(members: Members<'s>, records: impl Fn(Members<'s>) -> Records<'s>) -> Found<Records<'s>> {
    if members.is_empty() { Found::Between } else { Found::Here(records(members)) }
}

/// The instances directly below a name, if at least one of their names is short enough.
fn instances<'s>(snapshot: &'s Snapshot, question: &Question<'_>, members: Members<'s>) -> Found<Records<'s>> {
    let room = NAME_LEN_MAX.saturating_sub(question.spelling.len() + 1);
    let records = Records::Instances { members, room };
    if room >= LABEL_LEN_MAX {
        return non_empty(members, |_| records.clone());
    }
    let found = records.visit(snapshot, |_| ControlFlow::Break(()));
    if found.is_break() { Found::Here(records) } else { Found::Between }
}

/// The addresses of the ready endpoints, if any endpoint has one of this family.
fn of_endpoints<'s>(snapshot: &'s Snapshot, members: Members<'s>, rtype: Rtype) -> Found<Records<'s>> {
    let is_v4 = rtype == Rtype::A;
    if !is_v4 && members.are_sole_ipv4() {
        return Found::Between; // most clients ask for AAAA beside A: no walk over a large set
    }
    let has_one = members.iter(snapshot).any(|endpoint| match endpoint.sole_ipv4() {
        Some(_) => is_v4,
        None => snapshot.addresses_of(endpoint).iter().any(|address| address.is_ipv4() == is_v4),
    });
    if has_one { Found::Here(Records::Of { members, is_v4 }) } else { Found::Between }
}

/// One DNS-SD instance: the registrations of one Pod at one port.
fn of_instance<'s>(
    snapshot: &'s Snapshot,
    question: &Question<'_>,
    selected: Selected<'s>,
    protocol: Option<&[u8]>,
    label: &[u8],
) -> Found<Records<'s>> {
    match snapshot.instance(&selected, protocol, label) {
        None => Found::Missing,
        Some((pod, registered)) => match question.rtype {
            Rtype::SRV => Found::Here(Records::InstanceSrv { pod, registered }),
            Rtype::TXT => Found::Here(Records::InstanceTxt { pod, registered }),
            _ => Found::Between,
        },
    }
}
