//! Why a zone file is not served, and where in it.

use crate::dns::{Name, Rtype};
use std::fmt;
use std::sync::Arc;

/// What is wrong with a zone file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// Where it is; `None` for what is missing from the zone.
    pub place: Option<Place>,
    /// What it is.
    pub reason: Reason,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The included file, by its path from the folder on; `None` for the zone's own.
    pub file: Option<Arc<str>>,
    /// The line, from 1; of a record over several lines, one of them.
    pub line: usize,
    /// The column, from 1; 1 where a whole record is meant.
    pub column: usize,
}

/// What can be wrong with a zone file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is no master file (RFC 1035 §5.1).
    #[error("{0}")]
    Syntax(String),
    /// More records than [`RECORDS_MAX`](super::RECORDS_MAX).
    #[error("more than {} records", super::RECORDS_MAX)]
    TooManyRecords,
    /// `$GENERATE` makes more bytes than a file may have.
    #[error("$GENERATE makes more than {} bytes", super::FILE_LEN_MAX)]
    LongGenerate,
    /// Data over [`RDATA_LEN_MAX`](super::RDATA_LEN_MAX).
    #[error("a record of more than {} bytes fits no answer", super::RDATA_LEN_MAX)]
    LongRdata,
    /// A type that only messages and questions have (RFC 6895 §3.1).
    #[error("{0} is not a type of data")]
    NotData(Rtype),
    /// A record of DNSSEC that only a signed zone has.
    #[error("{0} belongs to a signed zone, and signed zones are not served")]
    Signed(Rtype),
    /// An owner that is neither the origin nor below it.
    #[error("{0} is outside the zone")]
    OutOfZone(Name),
    /// No SOA at the origin.
    #[error("no SOA at the origin")]
    NoSoa,
    /// An SOA elsewhere than at the origin.
    #[error("an SOA at {0}, which is not the origin")]
    SoaBelowApex(Name),
    /// No NS at the origin.
    #[error("no NS at the origin")]
    NoNs,
    /// Two different records of a type that a name can have one of.
    #[error("more than one {rtype} at {owner}")]
    Several {
        /// SOA, CNAME or DNAME.
        rtype: Rtype,
        /// Their owner.
        owner: Name,
    },
    /// A CNAME and something else at one owner (RFC 1034 §3.6.2).
    #[error("a CNAME beside other records at {0}")]
    CnameAndOther(Name),
    /// A DNAME at a zone cut (RFC 6672 §2.3).
    #[error("a DNAME beside NS at {0}, which is not the origin")]
    DnameAtCut(Name),
    /// Something below a DNAME (RFC 6672 §2.4).
    #[error("{owner} is below the DNAME at {dname}")]
    BelowDname {
        /// What is below.
        owner: Name,
        /// Where the DNAME is.
        dname: Name,
    },
    /// An NS or DNAME at a wildcard, whose meaning is undefined (RFC 4592 §4.2, §4.4).
    #[error("a {rtype} at the wildcard {owner}")]
    AtWildcard {
        /// NS or DNAME.
        rtype: Rtype,
        /// The wildcard.
        owner: Name,
    },
    /// A wildcard in the Pod zone's file.
    #[error("{0} is a wildcard, or below one: the Pod zone has none, since Pods' names come and go under it")]
    OverlayWildcard(Name),
    /// A DNAME in the Pod zone's file.
    #[error("a DNAME at {0}: the Pod zone has none, since Pods' names come and go under it")]
    OverlayDname(Name),
    /// A delegation in the Pod zone's file.
    #[error("an NS at {0}: the Pod zone has none below its origin, since Pods' names come and go under it")]
    OverlayCut(Name),
}

impl Fault {
    /// A fault of the record in this line.
    pub(super) fn in_line(line: usize, reason: Reason) -> Fault {
        Fault { place: Some(Place { file: None, line, column: 1 }), reason }
    }

    /// The same in a file, unless it is in one already.
    pub(super) fn in_file(mut self, file: Option<&Arc<str>>) -> Fault {
        if let Some(place) = &mut self.place
            && place.file.is_none()
        {
            place.file = file.cloned();
        }
        self
    }
}

/// `line:column: reason`, in an included file `in file:line:column: reason`, or the reason alone.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { file, line, column }) = &self.place {
            if let Some(file) = file {
                write!(f, "in {file}:")?;
            }
            write!(f, "{line}:{column}: ")?;
        }
        write!(f, "{}", self.reason)
    }
}
