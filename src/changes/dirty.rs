//! The services whose endpoints a Pod's change touches, as subscribers see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::Service;
use crate::snapshot::{Addresses, MetadataView, PodRecord};

/// Everything that subscribers see of one endpoint, besides its service.
type VisibleEndpoint<'p> = (&'p str, &'p str, Addresses, u16, u16, MetadataView<'p>);

/// A service, and a Pod's endpoints in it.
type ServiceEndpoints<'p> = (&'p Arc<Service>, Vec<VisibleEndpoint<'p>>);

/// The services whose endpoints differ between a Pod's two records.
pub(super) fn dirty_services(before: Option<&PodRecord>, after: Option<&PodRecord>) -> Vec<Arc<Service>> {
    let (mut before, after) = (visible_endpoints(before), visible_endpoints(after));
    let mut dirty_services = Vec::new();
    for (key, (service, shows)) in after {
        if before.remove(&key).is_none_or(|(_, showed)| showed != shows) {
            dirty_services.push(service.clone());
        }
    }
    dirty_services.extend(before.into_values().map(|(service, _)| service.clone()));
    dirty_services
}

/// A Pod's endpoints by namespace and alias.
fn visible_endpoints(pod: Option<&PodRecord>) -> BTreeMap<(&str, &str), ServiceEndpoints<'_>> {
    let mut services: BTreeMap<_, ServiceEndpoints<'_>> = BTreeMap::new();
    let Some(pod) = pod.filter(|pod| pod.is_serving) else { return services };
    for one in pod.registrations.iter().filter(|one| pod.is_published(one)) {
        let shown: VisibleEndpoint<'_> =
            (pod.name(), &one.template.common.protocol, pod.addresses(one), one.port, one.weight, one.metadata());
        let key = (&*one.service().namespace, one.service().alias.as_str());
        services.entry(key).or_insert_with(|| (one.service(), Vec::new())).1.push(shown);
    }
    services
}
