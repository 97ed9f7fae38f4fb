//! What a zone file says to a question, in an answer's terms.

use super::records::{Records, Soa};
use super::{Link, Step};
use crate::dns::{Path, Rtype};
use crate::snapshot::Snapshot;
use crate::zones::{Lookup, Zone};

/// A name in a static zone.
pub(super) fn step<'s>(zone: &'s Zone, name: &Path, rtype: Rtype) -> Step<'s> {
    let soa = Soa::Static(zone);
    match zone.lookup(name, rtype) {
        Lookup::Answer(_) if rtype == Rtype::SOA => Step::Records(Records::Soa(soa)),
        Lookup::Answer(rrset) => Step::Records(Records::Static(rrset)),
        Lookup::Exists => Step::Records(Records::Hinfo),
        Lookup::Cname { rrset, target } => Step::Link(Link::Cname { rrset, target }),
        Lookup::Dname { owner, rrset, target } => Step::Link(Link::Dname { owner, rrset, target }),
        Lookup::Referral { cut, ns } => Step::Referral { cut, ns, zone },
        Lookup::NoData => Step::NoData(soa),
        Lookup::NxDomain => Step::NxDomain(soa),
    }
}

/// A name that the Pods' zone's own file owns: there the file alone speaks. At the apex the two are one.
pub(super) fn overlay_step<'s>(snapshot: &'s Snapshot, name: &Path, rtype: Rtype) -> Option<Step<'s>> {
    let overlay = snapshot.zones.overlay()?;
    let is_apex = name.len() == snapshot.zone_labels();
    if !overlay.owns(name.key()) || (is_apex && matches!(rtype, Rtype::SOA | Rtype::NS | Rtype::ANY)) {
        return None;
    }
    match overlay.lookup(name, rtype) {
        Lookup::NoData if is_apex => None,
        Lookup::NoData => Some(Step::NoData(Soa::Pods(&snapshot.settings.origin))),
        _ => Some(step(overlay, name, rtype)),
    }
}
