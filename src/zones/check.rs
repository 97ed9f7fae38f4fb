//! The rules between a zone's records that must hold before it is served.

use super::Role;
use super::data::folded;
use super::fault::{ZoneFault, ZoneReason};
use super::master_file::ZoneRecord;
use super::overlay;
use crate::dns::{Key, Name, Rtype};

/// Checks records that are sorted by key, then by type.
///
/// # Errors
/// The first violation in the order of the names. Records that are missing at the origin come last.
pub(super) fn check(records: &[ZoneRecord], origin: &Key, role: Role) -> Result<(), ZoneFault> {
    for record in records {
        check_record(record, origin).map_err(|reason| record.fault(reason))?;
        if role == Role::Overlay {
            overlay::check_record(record, origin).map_err(|reason| record.fault(reason))?;
        }
    }
    for owner in records.chunk_by(|one, next| one.key == next.key) {
        check_owner(owner, origin)?;
    }
    check_below_dnames(records)?;
    check_apex(records, origin, role)
}

/// Checks one record by itself.
fn check_record(record: &ZoneRecord, origin: &Key) -> Result<(), ZoneReason> {
    let owner = || record.owner.clone();
    if !record.key.is_within(origin) {
        return Err(ZoneReason::OutOfZone(owner()));
    }
    match record.rtype {
        Rtype::SOA if record.key != *origin => Err(ZoneReason::SoaBelowApex(owner())),
        rtype @ (Rtype::NS | Rtype::DNAME) if is_wildcard(&record.owner) => {
            Err(ZoneReason::AtWildcard { rtype, owner: owner() })
        }
        _ => Ok(()),
    }
}

/// Whether a name's leftmost label is `*` (RFC 4592 §2.1.1).
pub(super) fn is_wildcard(name: &Name) -> bool {
    name.labels().next() == Some(b"*")
}

/// Checks the records of one owner together.
fn check_owner(records: &[ZoneRecord], origin: &Key) -> Result<(), ZoneFault> {
    let Some(first) = records.first() else { return Ok(()) };
    for set in records.chunk_by(|one, next| one.rtype == next.rtype) {
        let Some((first, others)) = set.split_first() else { continue };
        let rtype = first.rtype;
        if !matches!(rtype, Rtype::SOA | Rtype::CNAME | Rtype::DNAME) {
            continue;
        }
        let first_rdata = folded(rtype, &first.rdata);
        if let Some(second) = others.iter().find(|other| folded(rtype, &other.rdata) != first_rdata) {
            return Err(second.fault(ZoneReason::Several { rtype, owner: first.owner.clone() }));
        }
    }
    let of_type = |rtype| records.iter().find(|record| record.rtype == rtype);
    if let Some(cname) = of_type(Rtype::CNAME)
        && let Some(other) = records.iter().find(|record| record.rtype != Rtype::CNAME)
    {
        let later = if cname.line > other.line { cname } else { other }; // probably the one that was added
        return Err(later.fault(ZoneReason::CnameAndOther(cname.owner.clone())));
    }
    if first.key != *origin
        && let Some(dname) = of_type(Rtype::DNAME)
        && of_type(Rtype::NS).is_some()
    {
        return Err(dname.fault(ZoneReason::DnameAtCut(dname.owner.clone())));
    }
    Ok(())
}

/// Refuses records below a DNAME. In the sort order they come right after it.
fn check_below_dnames(records: &[ZoneRecord]) -> Result<(), ZoneFault> {
    let mut last_dname: Option<&ZoneRecord> = None;
    for record in records {
        if let Some(dname) = last_dname.filter(|dname| record.key != dname.key && record.key.is_within(&dname.key)) {
            let reason = ZoneReason::BelowDname { owner: record.owner.clone(), dname: dname.owner.clone() };
            return Err(record.fault(reason));
        }
        if record.rtype == Rtype::DNAME {
            last_dname = Some(record);
        }
    }
    Ok(())
}

/// Requires an SOA at the origin, and NS except in the Pod zone's file: there the server has its own.
fn check_apex(records: &[ZoneRecord], origin: &Key, role: Role) -> Result<(), ZoneFault> {
    let has = |rtype| records.iter().any(|record| record.key == *origin && record.rtype == rtype);
    let missing = |reason| Err(ZoneFault { position: None, reason });
    if !has(Rtype::SOA) {
        return missing(ZoneReason::NoSoa);
    }
    if role == Role::Own && !has(Rtype::NS) {
        return missing(ZoneReason::NoNs);
    }
    Ok(())
}
