//! What a file for the Pod zone itself may not hold.
//!
//! Such a file only adds owner names beside those of the Pods. A wildcard, a DNAME or a zone cut would speak for names
//! that it does not list, and Pods' names come and go among those.

use super::fault::Reason;
use super::file::Record;
use crate::dns::{Key, Rtype};

/// Refuses a record that would speak for names below or beside its owner.
pub(super) fn check_record(record: &Record, origin: &Key) -> Result<(), Reason> {
    let owner = || record.owner.clone();
    // Below `*` as well: `x.*.ns` makes `*.ns` exist, and then every name without Pods would be NODATA (RFC 4592 §3.3.1).
    if record.owner.labels().any(|label| label == b"*") {
        return Err(Reason::OverlayWildcard(owner()));
    }
    match record.rtype {
        Rtype::DNAME => Err(Reason::OverlayDname(owner())),
        Rtype::NS if record.key != *origin => Err(Reason::OverlayCut(owner())),
        _ => Ok(()),
    }
}
