//! The records that the file for the Pod zone must not have.
//!
//! This file only adds owner names besides those of the Pods. A wildcard, a DNAME or a zone cut would answer for names
//! that the file does not list, and the names of Pods come and go among them.

use super::fault::ZoneReason;
use super::master_file::ZoneRecord;
use crate::dns::{Key, Rtype};

/// Refuses a record that would answer for names below or beside its owner.
pub(super) fn check_record(record: &ZoneRecord, origin: &Key) -> Result<(), ZoneReason> {
    let owner = || record.owner.clone();
    // Also below `*`: `x.*.ns` makes `*.ns` exist, and then every name without Pods would be NODATA (RFC 4592 §3.3.1).
    if record.owner.labels().any(|label| label == b"*") {
        return Err(ZoneReason::OverlayWildcard(owner()));
    }
    match record.rtype {
        Rtype::DNAME => Err(ZoneReason::OverlayDname(owner())),
        Rtype::NS if record.key != *origin => Err(ZoneReason::OverlayCut(owner())),
        _ => Ok(()),
    }
}
