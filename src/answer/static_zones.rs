//! Answers questions from zone files.

use super::records::{Records, ZoneSoa};
use super::{Link, Question, Step};
use crate::dns::{Name, Rtype};
use crate::snapshot::Snapshot;
use crate::zones::{Lookup, Zone};

/// Looks up a name in a static zone.
pub(super) fn step<'s>(zone: &'s Zone, question: &Question<'_>) -> Step<'s> {
    let soa = ZoneSoa::Static(zone);
    match zone.lookup(question.name.key(), question.rtype) {
        Lookup::Answer { .. } if question.rtype == Rtype::SOA => Step::Records(Records::Soa(soa)),
        Lookup::Answer { rrset } => Step::Records(Records::Static(rrset)),
        Lookup::Exists => Step::Records(Records::Hinfo),
        Lookup::Cname { rrset, target } => Step::Link(Link::Cname { rrset, target }),
        Lookup::Dname(dname) => {
            let target = Name::from_wire(question.spelling).ok().and_then(|name| dname.target_of(&name));
            Step::Link(Link::Dname { owner: dname.owner, rrset: dname.rrset, is_repeated: false, target })
        }
        Lookup::Referral(referral) => Step::Referral(referral),
        Lookup::NoData => Step::NoData(soa),
        Lookup::NxDomain => Step::NxDomain(soa),
    }
}

/// Looks up a name in the file of the Pods' zone. The file alone answers for the names that it owns. At the apex the Pods'
/// zone answers SOA, NS and ANY, and each type that the file does not have. `None` if the Pods' zone answers.
pub(super) fn overlay_step<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Option<Step<'s>> {
    let overlay = snapshot.zones.overlay()?;
    let is_apex = question.name.len() == snapshot.zone_labels();
    let is_of_both = is_apex && matches!(question.rtype, Rtype::SOA | Rtype::NS | Rtype::ANY);
    if is_of_both || !overlay.owns(question.name.key()) {
        return None;
    }
    match step(overlay, question) {
        Step::NoData(_) if is_apex => None,
        Step::NoData(_) => Some(Step::NoData(ZoneSoa::Pods(&snapshot.settings.origin))),
        step => Some(step),
    }
}
