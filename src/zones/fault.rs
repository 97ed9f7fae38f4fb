//! Why a zone file is not served, and the position of the fault.

use crate::dns::{Name, Rtype};
use std::fmt;
use std::sync::Arc;

/// A fault in a zone file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ZoneFault {
    /// `None` if something is missing from the zone.
    pub position: Option<FilePosition>,
    pub reason: ZoneReason,
}

/// A position in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// The included file, by its path from the folder. `None`: the zone's own file.
    pub file: Option<Arc<str>>,
    /// The line, from 1. For a record of several lines it is one of them.
    pub line: usize,
    /// The column, from 1. It is 1 if the fault concerns a whole record.
    pub column: usize,
}

/// What is wrong in a zone file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneReason {
    /// The syntax is not that of a master file (RFC 1035 §5.1).
    #[error("{0}")]
    Syntax(String),
    /// The zone has more records than [`RECORDS_MAX`](super::RECORDS_MAX).
    #[error("more than {} records", super::RECORDS_MAX)]
    TooManyRecords,
    /// `$GENERATE` makes more bytes than a file may have.
    #[error("$GENERATE makes more than {} bytes", super::FILE_LEN_MAX)]
    LongGenerate,
    /// The data is longer than [`RDATA_LEN_MAX`](super::RDATA_LEN_MAX).
    #[error("the data of a record has more than {} bytes", super::RDATA_LEN_MAX)]
    LongRdata,
    /// An RRset that no message can hold. Its zone is served all the same.
    #[error(
        "the {rtype} records of {owner} make a reply of {len} bytes, and a message has at most {}: a query for them gets SERVFAIL",
        super::MESSAGE_LEN_MAX
    )]
    LongRrset {
        /// The owner of the records.
        owner: Name,
        /// Their type.
        rtype: Rtype,
        /// The length of the reply, in bytes.
        len: usize,
    },
    /// A type that occurs only in messages and questions (RFC 6895 §3.1).
    #[error("{0} is not a type of data")]
    NotData(Rtype),
    /// A DNSSEC record that only a signed zone has.
    #[error("{0} belongs to a signed zone, and signed zones are not served")]
    Signed(Rtype),
    /// The owner is neither the origin nor below it.
    #[error("{0} is outside the zone")]
    OutOfZone(Name),
    /// The origin has no SOA.
    #[error("no SOA at the origin")]
    NoSoa,
    /// Another owner than the origin has an SOA.
    #[error("an SOA at {0}, which is not the origin")]
    SoaBelowApex(Name),
    /// The origin has no NS.
    #[error("no NS at the origin")]
    NoNs,
    /// A name has two different records of a type that it may have only one of.
    #[error("more than one {rtype} at {owner}")]
    Several {
        /// SOA, CNAME or DNAME.
        rtype: Rtype,
        /// The owner of both records.
        owner: Name,
    },
    /// An owner has a CNAME and other records (RFC 1034 §3.6.2).
    #[error("a CNAME beside other records at {0}")]
    CnameAndOther(Name),
    /// A zone cut has a DNAME (RFC 6672 §2.3).
    #[error("a DNAME beside NS at {0}, which is not the origin")]
    DnameAtCut(Name),
    /// A name is below a DNAME (RFC 6672 §2.4).
    #[error("{owner} is below the DNAME at {dname}")]
    BelowDname {
        /// The name below the DNAME.
        owner: Name,
        /// The owner of the DNAME.
        dname: Name,
    },
    /// An NS or DNAME at a wildcard. Its meaning is undefined (RFC 4592 §4.2, §4.4).
    #[error("a {rtype} at the wildcard {owner}")]
    AtWildcard {
        /// NS or DNAME.
        rtype: Rtype,
        /// The wildcard.
        owner: Name,
    },
    /// A wildcard in the Pod zone's file.
    #[error(
        "{0} is a wildcard, or below one: the Pod zone must not have wildcards, because the names of Pods come and go below them"
    )]
    OverlayWildcard(Name),
    /// A DNAME in the Pod zone's file.
    #[error("a DNAME at {0}: the Pod zone must not have DNAMEs, because the names of Pods come and go below them")]
    OverlayDname(Name),
    /// A delegation in the Pod zone's file.
    #[error(
        "an NS at {0}: the Pod zone must not have NS below its origin, because the names of Pods come and go below them"
    )]
    OverlayCut(Name),
}

impl ZoneFault {
    /// A fault of the record in this line.
    pub(super) fn in_line(line: usize, reason: ZoneReason) -> ZoneFault {
        ZoneFault { position: Some(FilePosition { file: None, line, column: 1 }), reason }
    }

    /// Adds the file, unless the fault already has one.
    pub(super) fn in_file(mut self, file: Option<&Arc<str>>) -> ZoneFault {
        if let Some(position) = &mut self.position
            && position.file.is_none()
        {
            position.file = file.cloned();
        }
        self
    }
}

/// `line:column: reason`, in an included file `in file:line:column: reason`, or the reason alone.
impl fmt::Display for ZoneFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(FilePosition { file, line, column }) = &self.position {
            if let Some(file) = file {
                write!(f, "in {file}:")?;
            }
            write!(f, "{line}:{column}: ")?;
        }
        write!(f, "{}", self.reason)
    }
}
