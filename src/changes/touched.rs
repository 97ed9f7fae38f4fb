//! The services whose endpoints a Pod's change touches, as subscribers see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::Service;
use crate::snapshot::{Addresses, PodRecord, Told};

/// Everything that subscribers see of one endpoint, besides its service.
type Shown<'p> = (&'p str, &'p str, Addresses, u16, u16, Told<'p>);

/// A service, and a Pod's endpoints in it.
type OfService<'p> = (&'p Arc<Service>, Vec<Shown<'p>>);

/// The services whose endpoints differ between a Pod's two records.
pub(super) fn touched(before: Option<&PodRecord>, after: Option<&PodRecord>) -> Vec<Arc<Service>> {
    let (mut before, after) = (shown(before), shown(after));
    let mut touched = Vec::new();
    for (key, (service, shows)) in after {
        if before.remove(&key).is_none_or(|(_, showed)| showed != shows) {
            touched.push(service.clone());
        }
    }
    touched.extend(before.into_values().map(|(service, _)| service.clone()));
    touched
}

/// A Pod's endpoints by namespace and alias.
fn shown(pod: Option<&PodRecord>) -> BTreeMap<(&str, &str), OfService<'_>> {
    let mut services: BTreeMap<_, OfService<'_>> = BTreeMap::new();
    let Some(pod) = pod.filter(|pod| pod.is_serving) else { return services };
    for one in pod.registrations.iter().filter(|one| pod.is_published(one)) {
        let shown: Shown<'_> =
            (pod.name(), &one.template.common.protocol, pod.addresses(one), one.port, one.weight, one.told());
        let key = (&*one.service().namespace, one.service().alias.as_str());
        services.entry(key).or_insert_with(|| (one.service(), Vec::new())).1.push(shown);
    }
    services
}
