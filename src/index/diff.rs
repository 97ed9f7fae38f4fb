//! The difference between two records of one Pod. It is made once, where a Pod is settled: the facts that change and
//! the names that may answer otherwise follow from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::name::Service;
use crate::snapshot::{
    Addresses, Endpoint, EndpointParts, Member, MetadataView, PodRecord, PodSlot, Registered, ServiceKeyRef, order_seed,
};

/// What a Pod's new record changes.
pub(super) struct PodDiff<'p> {
    pub slot: PodSlot,
    /// `None` if the Pod is new.
    pub old: Option<&'p Arc<PodRecord>>,
    /// `None` if the Pod is gone.
    pub new: Option<&'p Arc<PodRecord>>,
    /// The services of which it registers something else than before.
    pub services: Vec<ServiceDiff<'p>>,
    /// Its own name, its reverse names or its targets may differ. Most changes are of readiness, and move nothing.
    pub is_moved: bool,
}

/// A Pod's registrations of one service in both records.
pub(super) struct ServiceDiff<'p> {
    pub service: &'p Arc<Service>,
    pub old: ServiceMembers,
    pub new: ServiceMembers,
    /// Subscribers see other endpoints than before.
    pub is_seen: bool,
}

/// A Pod's members in one service, usually one.
pub(super) type ServiceMembers = SmallVec<[Member; 1]>;

/// What subscribers see of one endpoint, besides its service.
type VisibleEndpoint<'p> = (&'p str, &'p str, Addresses, u16, u16, MetadataView<'p>);

impl<'p> PodDiff<'p> {
    pub fn of(slot: PodSlot, old: Option<&'p Arc<PodRecord>>, new: Option<&'p Arc<PodRecord>>) -> PodDiff<'p> {
        let mut services: BTreeMap<ServiceKeyRef<'p>, (u64, ServiceDiff<'p>)> = BTreeMap::new();
        for (pod, is_new) in [(old, false), (new, true)] {
            let Some(pod) = pod.filter(|pod| pod.is_registering()) else { continue };
            for (place, registered) in pod.registrations.iter().enumerate().filter(|(_, one)| one.is_admitted()) {
                let service = registered.service();
                let key = ServiceKeyRef { namespace: service.namespace.as_bytes(), alias: service.alias };
                let (seed, diff) = services.entry(key).or_insert_with(|| (seed_of(service), ServiceDiff::of(service)));
                let members = if is_new { &mut diff.new } else { &mut diff.old };
                members.push(member(pod, registered, slot, place, *seed));
            }
        }
        let services = services.into_values().filter_map(|(_, mut diff)| {
            diff.is_seen = !seen(old, &diff.old).eq(seen(new, &diff.new));
            (diff.is_seen || diff.is_of_set()).then_some(diff)
        });
        let is_moved = !old.zip(new).is_some_and(|(old, new)| has_same_sockets(old, new));
        PodDiff { slot, old, new, services: services.collect(), is_moved }
    }
}

impl<'p> ServiceDiff<'p> {
    fn of(service: &'p Arc<Service>) -> ServiceDiff<'p> {
        ServiceDiff { service, old: ServiceMembers::new(), new: ServiceMembers::new(), is_seen: false }
    }

    /// Whether the service's set changes, and not only content that a set does not hold.
    pub fn is_of_set(&self) -> bool {
        self.old != self.new
    }

    /// The endpoints of both records.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        self.old.iter().chain(&self.new).filter_map(|member| member.endpoint)
    }
}

fn member(pod: &PodRecord, registered: &Registered, slot: PodSlot, place: usize, seed: u64) -> Member {
    let protocol = registered.protocol_label();
    let endpoint = Endpoint::new(EndpointParts {
        seed,
        addresses: &pod.published_addresses(registered),
        port: registered.port,
        weight: registered.weight,
        protocol: protocol.map(|label| &**label),
        pod: slot,
        registration: place as u16, // below REGISTRATIONS_MAX
    });
    Member { protocol: protocol.cloned(), endpoint }
}

/// Services that share a natural name share an order, so that their endpoints fit into one set.
fn seed_of(service: &Service) -> u64 {
    match service.is_natural() {
        true => order_seed(&service.namespace, &service.interface_key()),
        false => order_seed(&service.namespace, service.interface.as_bytes()),
    }
}

fn seen<'p>(pod: Option<&'p Arc<PodRecord>>, members: &[Member]) -> impl Iterator<Item = VisibleEndpoint<'p>> {
    members.iter().filter_map(move |member| {
        let pod = pod?;
        let one = pod.registrations.get(member.endpoint?.registration())?;
        Some((pod.name(), &*one.template.common.protocol, pod.addresses(one), one.port, one.weight, one.metadata()))
    })
}

/// Whether both records have the same name, and their registrations the same targets with the same addresses behind
/// them.
fn has_same_sockets(old: &PodRecord, new: &PodRecord) -> bool {
    let of = |pod: &PodRecord| (pod.is_registering(), pod.status.host_network);
    let at = |one: &Registered| (one.address(), one.port, one.standing, one.repeated, one.is_enabled);
    of(old) == of(new)
        && old.status.pod_ips == new.status.pod_ips
        && (old.name(), &old.namespace) == (new.name(), &new.namespace)
        && old.rare().lost == new.rare().lost
        && old.registrations.iter().map(at).eq(new.registrations.iter().map(at))
}
