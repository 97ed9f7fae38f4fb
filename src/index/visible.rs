//! Finds the answers that differ between two snapshots.
//!
//! The comparison looks at what both snapshots show at the dirty names, not at the changes between them. If a Pod
//! replaces another one with the same records, no answer changes, and neither if a registration repeats another one's
//! records.
//!
//! All names of a service follow from the own sets of the services that they select, except the DNS-SD instances: an
//! instance lists its registrations in its Pod's order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use super::difference::{Difference, DirtyNames, DirtyService, ServiceId, SetChange};
use crate::dns::{Name, NamePath};
use crate::name::{self, NameSelector, Service, ServiceName};
use crate::snapshot::{Endpoint, Found, InstanceLabel, PodKey, PodRecord, PodSlot, Registered, Set, Snapshot};
use crate::txt::TxtRecord;

/// Compares two snapshots at the names that may have changed.
pub(super) fn compare(last: &Snapshot, next: &Snapshot, dirty: DirtyNames) -> Difference {
    let mut difference = Difference { pods: dirty.pods, ..Difference::default() };
    for key in &dirty.keys {
        let (old, new) = (addresses_of_name(last, key), addresses_of_name(next, key));
        if old != new {
            difference.is_named_anew |= old.is_none() || new.is_none();
            difference.addresses.extend(old.into_iter().chain(new).flatten());
        }
    }
    for address in dirty.addresses {
        let has_other_target = last.target_addresses(address) != next.target_addresses(address);
        if has_other_target || (reverse_names(last, address) != reverse_names(next, address) && is_asked(next, address))
        {
            difference.addresses.insert(address);
        }
    }
    compare_services(last, next, dirty.services, &mut difference);
    difference
}

/// The addresses of a name below `pod.Z`, or `None` if the name does not exist.
fn addresses_of_name(snapshot: &Snapshot, key: &PodKey) -> Option<BTreeSet<IpAddr>> {
    match snapshot.pods_named(key.namespace.as_bytes(), &key.labels) {
        Found::Here(slots) => {
            let pods = slots.into_iter().filter_map(|slot| snapshot.pod(slot));
            Some(pods.flat_map(|pod| pod.status.pod_ips.iter().copied()).collect())
        }
        _ => None,
    }
}

fn reverse_names(snapshot: &Snapshot, address: IpAddr) -> HashSet<Name> {
    let pods = snapshot.pointers(address).filter_map(|slot| snapshot.pod(slot));
    pods.filter_map(|pod| snapshot.pod_name(pod)).collect()
}

/// Whether an address is in one of our reverse zones.
fn is_asked(snapshot: &Snapshot, address: IpAddr) -> bool {
    let name = name::reverse_name(address).parse::<Name>();
    name.is_ok_and(|name| snapshot.reverse_zone(&NamePath::of(name.labels())).is_some())
}

/// Compares services at the targets of the endpoints that changed. The instances of a Pod are compared only if none of
/// its services differs.
fn compare_services(
    last: &Snapshot,
    next: &Snapshot,
    services: BTreeMap<ServiceId, DirtyService>,
    difference: &mut Difference,
) {
    let (mut shown, mut others) = (BTreeSet::new(), BTreeSet::new());
    let changed = services.into_iter().filter_map(|(id, DirtyService { before, endpoints })| {
        let change = SetChange { before, after: next.names.own_set(id.1.as_bytes(), id.0).cloned() };
        let pods = endpoints.iter().map(Endpoint::pod);
        let is_changed = is_changed(last, next, &change, &endpoints);
        let seen = if is_changed { &mut shown } else { &mut others };
        seen.extend(pods);
        is_changed.then_some((id, change))
    });
    difference.services = changed.collect();
    for slot in others.difference(&shown) {
        compare_instances(last, next, *slot, difference);
    }
}

/// Whether a service's own names, or its records at the targets of these endpoints, differ.
fn is_changed(last: &Snapshot, next: &Snapshot, change: &SetChange, endpoints: &[Endpoint]) -> bool {
    let (old, new) = match (&change.before, &change.after) {
        (None, None) => return false,
        (Some(old), Some(new)) if old.set.labels().eq(new.set.labels()) => (&old.set, &new.set),
        _ => return true,
    };
    let mut targets: SmallVec<[&Endpoint; 2]> = endpoints.iter().collect();
    targets.sort_unstable_by_key(|endpoint| endpoint.target());
    targets.dedup_by_key(|endpoint| endpoint.target());
    targets.into_iter().any(|endpoint| is_changed_at(last, next, [old, new], endpoint))
}

/// Whether a service's records at one target differ.
fn is_changed_at(last: &Snapshot, next: &Snapshot, [old, new]: [&Set; 2], endpoint: &Endpoint) -> bool {
    let (before, after) = (at_target(last, old, endpoint), at_target(next, new, endpoint));
    if have_same_content(&before, &after) {
        return false; // for example if another Pod at this target changed
    }
    before.is_empty() != after.is_empty()
        || weights(&before) != weights(&after)
        || texts(&before) != texts(&after)
        || (addresses(&before) != addresses(&after) && all_addresses(last, old) != all_addresses(next, new))
}

fn all_addresses(snapshot: &Snapshot, set: &Set) -> BTreeSet<IpAddr> {
    set.endpoints().iter().flat_map(|endpoint| snapshot.addresses_of(endpoint)).collect()
}

/// The protocol in a name, or `None` for `_rpc`.
type Protocol<'s> = Option<&'s str>;

/// A published registration and its Pod.
type PublishedRegistration<'s> = (&'s PodRecord, &'s Registered);

/// A service's registrations at the target of an endpoint.
fn at_target<'s>(snapshot: &'s Snapshot, set: &'s Set, of: &Endpoint) -> SmallVec<[PublishedRegistration<'s>; 2]> {
    let registered = set.endpoints().at_target(of).filter_map(|endpoint| snapshot.registered(endpoint));
    registered.map(|(pod, registered)| (&**pod, registered)).collect()
}

/// Each registration, once for each name that publishes it.
fn by_name<'s>(
    registrations: &[PublishedRegistration<'s>],
) -> impl Iterator<Item = (Protocol<'s>, PublishedRegistration<'s>)> {
    let names = |&(pod, one): &PublishedRegistration<'s>| protocols_of(one).map(move |protocol| (protocol, (pod, one)));
    registrations.iter().flat_map(names)
}

/// The SRV records at one target: the largest weight for each port.
fn weights<'s>(registrations: &[PublishedRegistration<'s>]) -> BTreeMap<(Protocol<'s>, u16), u16> {
    let mut weights = BTreeMap::new();
    for (protocol, (_, registered)) in by_name(registrations) {
        let weight = weights.entry((protocol, registered.port)).or_default();
        *weight = registered.weight.max(*weight);
    }
    weights
}

/// The TXT records byte for byte. They may be equal though the content differs, because rendering cuts long texts.
fn texts<'s>(registrations: &[PublishedRegistration<'s>]) -> HashSet<(Protocol<'s>, Vec<u8>)> {
    let text = |(pod, registered)| rendered(pod, std::iter::once(registered).collect());
    by_name(registrations).map(|(protocol, registration)| (protocol, text(registration))).collect()
}

fn addresses(registrations: &[PublishedRegistration<'_>]) -> BTreeSet<IpAddr> {
    registrations.iter().flat_map(|(pod, registered)| pod.addresses(registered)).collect()
}

/// The protocols whose names publish a registration.
fn protocols_of(registered: &Registered) -> impl Iterator<Item = Protocol<'_>> {
    std::iter::once(None).chain(registered.protocol_label().map(|label| Some(&**label)))
}

fn rendered<'s>(pod: &'s PodRecord, registered: SmallVec<[&'s Registered; 1]>) -> Vec<u8> {
    let mut text = Vec::new();
    TxtRecord { pod, registered }.append_rdata(&mut text);
    text
}

/// Compares a Pod's DNS-SD instances: one may list its registrations in another order.
fn compare_instances(last: &Snapshot, next: &Snapshot, slot: PodSlot, difference: &mut Difference) {
    let [old, new] = [last, next].map(|snapshot| published(snapshot.pod(slot)));
    if have_same_content(&old, &new) {
        return;
    }
    // Grouped by what one instance covers: a name without selectors, a port and a protocol.
    let mut instances: BTreeMap<_, [Vec<PublishedRegistration<'_>>; 2]> = BTreeMap::new();
    for (side, registrations) in [old, new].into_iter().enumerate() {
        for (pod, registered) in registrations {
            let service = registered.service();
            for protocol in protocols_of(registered) {
                let key = (&*service.namespace, plain_key(service), registered.port, protocol);
                instances.entry(key).or_default()[side].push((pod, registered));
            }
        }
    }
    for ((.., protocol), [old, new]) in instances.iter().filter(|(_, [old, new])| !have_same_content(old, new)) {
        let metadata = || old.iter().chain(new);
        let labels: HashSet<InstanceLabel> = metadata().filter_map(|(pod, one)| InstanceLabel::of(pod, one)).collect();
        let Some(service) = metadata().next().map(|(_, one)| one.service()) else { continue };
        let says = |snapshot, label| instance(snapshot, service, *protocol, label);
        if labels.iter().any(|label| says(last, label) != says(next, label)) {
            let id = (service.alias, service.namespace.clone());
            let [before, after] = [last, next].map(|snapshot| snapshot.names.own_set(id.1.as_bytes(), id.0).cloned());
            difference.services.insert(id, SetChange { before, after });
            return;
        }
    }
}

/// A Pod's published registrations, in the Pod's order.
fn published(pod: Option<&Arc<PodRecord>>) -> Vec<PublishedRegistration<'_>> {
    let Some(pod) = pod else { return Vec::new() };
    pod.registrations.iter().filter(|one| pod.is_published(one)).map(|one| (&**pod, one)).collect()
}

/// Whether two lists publish the same in the same order.
fn have_same_content(old: &[PublishedRegistration<'_>], new: &[PublishedRegistration<'_>]) -> bool {
    let is_same = |((pod, one), (other_pod, other)): (&PublishedRegistration<'_>, &PublishedRegistration<'_>)| {
        (pod.name(), one.service(), one.port, one.weight, one.protocol_label())
            == (other_pod.name(), other.service(), other.port, other.weight, other.protocol_label())
            && pod.addresses(one) == other_pod.addresses(other)
            && one.published() == other.published()
    };
    old.len() == new.len() && old.iter().zip(new).all(is_same)
}

/// What distinguishes a service's name without selectors in its namespace: the interface, or the alias.
fn plain_key(service: &Service) -> Vec<u8> {
    match service.is_natural() {
        true => service.interface_key().into_vec(),
        false => service.alias.label().into_bytes(),
    }
}

/// An instance's SRV and TXT content, or `None` if the instance does not exist.
fn instance(
    snapshot: &Snapshot,
    service: &Arc<Service>,
    protocol: Protocol<'_>,
    label: &InstanceLabel,
) -> Option<(Option<SocketAddr>, Option<u16>, Vec<u8>)> {
    let interface = service.natural();
    let name = match &interface {
        Some(key) => {
            let (group, version) = (NameSelector::Any, NameSelector::Any);
            ServiceName::Natural { group, version, interface: key.as_bytes() }
        }
        None => ServiceName::Alias(service.alias),
    };
    let Found::Here(selected) = snapshot.service(service.namespace.as_bytes(), &name) else { return None };
    let label = label.as_bytes().to_ascii_lowercase();
    let (pod, registered) = snapshot.instance(&selected, protocol.map(str::as_bytes), &label)?;
    let socket = registered.first().and_then(|first| pod.socket(first));
    let weight = registered.iter().map(|one| one.weight).max();
    Some((socket, weight, rendered(pod, registered)))
}
