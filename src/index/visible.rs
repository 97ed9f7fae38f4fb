//! Finds the answers that differ between two snapshots.
//!
//! The comparison looks at what both snapshots show, not at the changes between them. If a Pod replaces another one
//! with the same records, no answer changes, and neither if a registration repeats another one's records.
//!
//! Only a changed Pod can change an answer. So the records of the changed Pods name everything to compare: their own
//! names, their addresses, and their targets in each service. All names of a service follow from the own sets of the
//! services that they select, except the DNS-SD instances: an instance lists its registrations in its Pod's order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use super::services::endpoint_of;
use super::{Difference, facts};
use crate::dns::{Name, NamePath};
use crate::name::{self, NameSelector, Service, ServiceName};
use crate::snapshot::{
    Addresses, Endpoint, Found, InstanceLabel, MetadataView, PodKey, PodRecord, PodSlot, Registered, Set, SetFacts,
    Snapshot,
};
use crate::txt::TxtRecord;

/// Adds to the difference what the two snapshots show differently. `difference.pods` says which Pods to look at.
pub(super) fn compare(last: &Snapshot, next: &Snapshot, difference: &mut Difference) {
    let pods = std::mem::take(&mut difference.pods);
    for &slot in &pods {
        let records = [last.pod(slot), next.pod(slot)].map(|pod| pod.map(|pod| &**pod));
        compare_names(last, next, records, difference);
        compare_services(last, next, slot, records, difference);
    }
    difference.pods = pods;
}

/// A Pod's record in the old and the new snapshot.
type RecordPair<'s> = [Option<&'s PodRecord>; 2];

/// Compares a Pod's own name, its reverse names and its targets.
fn compare_names(last: &Snapshot, next: &Snapshot, records: RecordPair<'_>, difference: &mut Difference) {
    if let [Some(old), Some(new)] = records
        && old.has_same_sockets(new)
    {
        return; // another changed Pod of the same name is compared in its turn
    }
    let keys: BTreeSet<PodKey> = records.iter().filter_map(|pod| facts::pod_name_key(next, *pod)).collect();
    for key in &keys {
        let (old, new) = (addresses_of_name(last, key), addresses_of_name(next, key));
        if old != new {
            difference.is_named_anew |= old.is_none() || new.is_none();
            difference.addresses.extend(old.into_iter().chain(new).flatten());
        }
    }
    let pod_ips = records.into_iter().flatten().flat_map(|pod| pod.status.pod_ips.iter().copied());
    let targets = records.into_iter().flat_map(|pod| facts::targets_of(pod).into_keys());
    let addresses: BTreeSet<IpAddr> = pod_ips.chain(targets).collect();
    for address in addresses {
        let has_other_target = last.target_addresses(address) != next.target_addresses(address);
        if has_other_target || (reverse_names(last, address) != reverse_names(next, address) && is_asked(next, address))
        {
            difference.addresses.insert(address);
        }
    }
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

/// Compares the services that a Pod registers in either record, at the targets of its registrations.
fn compare_services(
    last: &Snapshot,
    next: &Snapshot,
    slot: PodSlot,
    records: RecordPair<'_>,
    difference: &mut Difference,
) {
    // Services are interned, so their addresses distinguish them. Two records of a Pod mostly share their services.
    let mut seen: HashSet<(*const Service, Option<SocketAddr>)> = HashSet::new();
    let mut is_shown = false;
    for pod in records.into_iter().flatten().filter(|pod| pod.is_registering()) {
        for (place, registered) in pod.registrations.iter().enumerate().filter(|(_, one)| one.is_admitted()) {
            let service = registered.service();
            let socket = if pod.is_published(registered) { pod.socket(registered) } else { None };
            if !seen.insert((Arc::as_ptr(service), socket)) {
                continue;
            }
            let endpoint = socket.and_then(|_| endpoint_of(pod, slot, place));
            let id = (service.namespace.clone(), service.alias);
            if difference.services.contains(&id) {
                is_shown = true;
            } else if is_visibly_different(last, next, service, endpoint.as_ref()) {
                is_shown = true;
                difference.services.insert(id);
            }
        }
    }
    if !is_shown {
        compare_instances(last, next, records, difference);
    }
}

/// Whether a service's own names, or its records at one target, differ.
fn is_visibly_different(last: &Snapshot, next: &Snapshot, service: &Service, endpoint: Option<&Endpoint>) -> bool {
    let own_set = |snapshot| own_facts(snapshot, service).map(|facts| &facts.set);
    let (old, new) = match (own_set(last), own_set(next)) {
        (None, None) => return false,
        (Some(old), Some(new)) if old.labels().eq(new.labels()) => (old, new),
        _ => return true,
    };
    let Some(endpoint) = endpoint else { return false };
    let (before, after) = (TargetRecords::of(last, old, endpoint), TargetRecords::of(next, new, endpoint));
    if before.0.len() == after.0.len() && before.0.iter().zip(&after.0).all(|(one, other)| one.has_same_content(other))
    {
        return false; // for example if another Pod at this target changed
    }
    before.weights() != after.weights()
        || (before.texts() != after.texts() && before.rendered() != after.rendered())
        || (before.addresses() != after.addresses() && all_addresses(last, old) != all_addresses(next, new))
}

fn own_facts<'s>(snapshot: &'s Snapshot, service: &Service) -> Option<&'s SetFacts> {
    let slot = snapshot.names.alias(service.namespace.as_bytes(), service.alias)?;
    snapshot.names.sets.get(slot)
}

fn all_addresses(snapshot: &Snapshot, set: &Set) -> BTreeSet<IpAddr> {
    set.endpoints().iter().flat_map(|endpoint| snapshot.addresses_of(endpoint)).collect()
}

/// The protocol in a name, or `None` for `_rpc`.
type Protocol<'s> = Option<&'s str>;

/// What a service's names publish about one target, one member per registration.
struct TargetRecords<'s>(SmallVec<[TargetMember<'s>; 2]>);

/// One registration at a target.
struct TargetMember<'s> {
    weight: u16,
    pod: &'s PodRecord,
    registered: &'s Registered,
    addresses: Addresses,
}

impl TargetMember<'_> {
    fn has_same_content(&self, other: &TargetMember<'_>) -> bool {
        let (one, two) = (self.registered, other.registered);
        (self.weight, one.port, one.protocol_label()) == (other.weight, two.port, two.protocol_label())
            && self.addresses == other.addresses
            && self.pod.name() == other.pod.name()
            && one.published() == two.published()
    }
}

impl<'s> TargetRecords<'s> {
    fn of(snapshot: &'s Snapshot, set: &'s Set, of: &Endpoint) -> TargetRecords<'s> {
        let member = |endpoint: &'s Endpoint| {
            let (pod, registered) = snapshot.registered(endpoint)?;
            Some(TargetMember {
                weight: endpoint.weight(),
                pod,
                registered,
                addresses: snapshot.addresses_of(endpoint),
            })
        };
        TargetRecords(set.endpoints().at_target(of).filter_map(member).collect())
    }

    /// Each registration, once for each name that publishes it.
    fn by_name(&self) -> impl Iterator<Item = (Protocol<'s>, &TargetMember<'s>)> {
        self.0.iter().flat_map(|member| protocols_of(member.registered).map(move |protocol| (protocol, member)))
    }

    /// The SRV records: the largest weight for each port.
    fn weights(&self) -> BTreeMap<(Protocol<'s>, u16), u16> {
        let mut weights = BTreeMap::new();
        for (protocol, member) in self.by_name() {
            let weight = weights.entry((protocol, member.registered.port)).or_default();
            *weight = member.weight.max(*weight);
        }
        weights
    }

    /// The TXT records by content, before rendering.
    fn texts(&self) -> HashSet<(Protocol<'s>, u16, &'s str, MetadataView<'s>)> {
        let text =
            |member: &TargetMember<'s>| (member.registered.port, member.pod.name(), member.registered.published());
        let texts = self.by_name().map(|(protocol, member)| (protocol, text(member)));
        texts.map(|(protocol, (port, name, metadata))| (protocol, port, name, metadata)).collect()
    }

    /// The TXT records byte for byte. They may be equal though the content differs, because rendering cuts long texts.
    fn rendered(&self) -> HashSet<(Protocol<'s>, Vec<u8>)> {
        let text = |member: &TargetMember<'s>| rendered(member.pod, std::iter::once(member.registered).collect());
        self.by_name().map(|(protocol, member)| (protocol, text(member))).collect()
    }

    fn addresses(&self) -> BTreeSet<IpAddr> {
        self.0.iter().flat_map(|member| member.addresses.iter().copied()).collect()
    }
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

/// A published registration and its Pod.
type PublishedRegistration<'s> = (&'s PodRecord, &'s Registered);

/// Compares a Pod's DNS-SD instances if its services are unchanged: an instance may list its registrations in another
/// order.
fn compare_instances(last: &Snapshot, next: &Snapshot, records: RecordPair<'_>, difference: &mut Difference) {
    let [old, new] = records.map(published);
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
            difference.services.insert((service.namespace.clone(), service.alias));
            return;
        }
    }
}

/// A Pod's published registrations, in the Pod's order.
fn published(pod: Option<&PodRecord>) -> Vec<PublishedRegistration<'_>> {
    let Some(pod) = pod else { return Vec::new() };
    pod.registrations.iter().filter(|one| pod.is_published(one)).map(|one| (pod, one)).collect()
}

fn have_same_content(old: &[PublishedRegistration<'_>], new: &[PublishedRegistration<'_>]) -> bool {
    let is_same = |((pod, one), (other_pod, other)): (&PublishedRegistration<'_>, &PublishedRegistration<'_>)| {
        (pod.name(), one.service(), one.weight, one.protocol_label())
            == (other_pod.name(), other.service(), other.weight, other.protocol_label())
            && pod.socket(one) == other_pod.socket(other)
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
