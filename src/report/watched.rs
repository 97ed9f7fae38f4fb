//! The endpoints of a selection as subscribers see them, from a snapshot or from some Pods.

use super::{metadata, text};
use crate::api::{Filter, WatchedEndpoint, WatchedSet};
use crate::snapshot::{PodRecord, Registered, Snapshot};

impl WatchedSet {
    /// The endpoints of a selection in a snapshot. The selection must name an interface.
    pub fn of(snapshot: &Snapshot, filter: &Filter) -> WatchedSet {
        let services = snapshot.services_of(filter.interface.as_deref().unwrap_or_default());
        let services = services.filter(|facts| filter.matches(facts.service));
        let endpoints = services.flat_map(|facts| facts.set.endpoints().iter());
        let registered = endpoints.filter_map(|endpoint| snapshot.registered(endpoint));
        WatchedSet::from_unordered(registered.filter_map(|(pod, one)| watched(pod, one)).collect())
    }

    /// The endpoints of a selection among some Pods.
    pub fn of_pods<'p>(pods: impl Iterator<Item = &'p PodRecord>, filter: &Filter) -> WatchedSet {
        let registered = pods.flat_map(|pod| pod.registrations.iter().map(move |one| (pod, one)));
        let asked = registered.filter(|(pod, one)| filter.matches(one.service()) && pod.is_published(one));
        WatchedSet::from_unordered(asked.filter_map(|(pod, one)| watched(pod, one)).collect())
    }
}

/// `None` if the registration has no address: then it is not an endpoint.
fn watched(pod: &PodRecord, registered: &Registered) -> Option<WatchedEndpoint> {
    let addresses = pod.addresses(registered);
    Some(WatchedEndpoint {
        pod: pod.name().to_owned(),
        namespace: pod.namespace.to_string(),
        address: *addresses.first()?,
        port: registered.port,
        protocol: registered.template.common.protocol.to_string(),
        group: text(&registered.service().group),
        version: text(&registered.service().version),
        weight: registered.weight,
        addresses: addresses.into_vec(),
        metadata: metadata(registered),
    })
}
