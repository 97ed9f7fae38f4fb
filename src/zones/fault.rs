//! Why a zone file is not served, and where in it.

use crate::dns::{Name, NameError, Rtype};
use std::fmt;

/// What is wrong with a zone file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// Where it is; none for what is missing from the file.
    pub place: Option<Place>,
    /// What it is.
    pub reason: Reason,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
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
    /// It asks for another file.
    #[error("$INCLUDE is refused: a zone is one file")]
    Include,
    /// More records than [`RECORDS_MAX`](super::RECORDS_MAX).
    #[error("more than {} records", super::RECORDS_MAX)]
    TooManyRecords,
    /// An owner that is no domain name.
    #[error("not an owner name: {0}")]
    BadOwner(NameError),
    /// Data that is not of its type.
    #[error("not the data of a {0} record")]
    BadRdata(Rtype),
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
        Fault { place: Some(Place { line, column: 1 }), reason }
    }
}

/// `line:column: reason`, or the reason alone.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        write!(f, "{}", self.reason)
    }
}
