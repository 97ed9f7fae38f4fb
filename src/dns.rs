//! The vocabulary of the wire: names, types, classes, codes (RFC 1035, RFC 6895).
//!
//! A [`Name`] keeps its letter case, and comparisons ignore it (RFC 4343). A [`Key`] is the same name in lower case and
//! reversed, root first. So an ordered map of keys is a tree: the names below a name are the keys that start with its
//! key.

mod key;
mod name;

use std::fmt;

pub use key::{Key, NamePath};
pub use name::{Labels, Name, NameError};

/// The longest name on the wire, including its root label (RFC 1035 §2.3.4).
pub const NAME_LEN_MAX: usize = 255;

/// The longest label (RFC 1035 §2.3.4).
pub const LABEL_LEN_MAX: usize = 63;

/// A record type (RFC 1035 §3.2.2 and the IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

impl Rtype {
    /// IPv4 address.
    pub const A: Rtype = Rtype(1);
    /// Name server (RFC 1035 §3.3.11).
    pub const NS: Rtype = Rtype(2);
    /// Canonical name.
    pub const CNAME: Rtype = Rtype(5);
    /// Start of authority.
    pub const SOA: Rtype = Rtype(6);
    /// Pointer to a name (RFC 1035 §3.3.12).
    pub const PTR: Rtype = Rtype(12);
    /// Host information. It is the answer to an ANY query (RFC 8482 §4.2).
    pub const HINFO: Rtype = Rtype(13);
    /// Mail exchange.
    pub const MX: Rtype = Rtype(15);
    /// Character strings (RFC 1035 §3.3.14).
    pub const TXT: Rtype = Rtype(16);
    /// IPv6 address (RFC 3596).
    pub const AAAA: Rtype = Rtype(28);
    /// Service location (RFC 2782).
    pub const SRV: Rtype = Rtype(33);
    /// Redirection of a subtree (RFC 6672).
    pub const DNAME: Rtype = Rtype(39);
    /// EDNS pseudo-record (RFC 6891).
    pub const OPT: Rtype = Rtype(41);
    /// Delegation signer (RFC 4035): the only type that the parent answers at a zone cut.
    pub const DS: Rtype = Rtype(43);
    /// Key negotiation (RFC 2930).
    pub const TKEY: Rtype = Rtype(249);
    /// Transaction signature (RFC 8945).
    pub const TSIG: Rtype = Rtype(250);
    /// Incremental transfer (RFC 1995).
    pub const IXFR: Rtype = Rtype(251);
    /// Full transfer (RFC 5936).
    pub const AXFR: Rtype = Rtype(252);
    /// A question for every type (RFC 8482).
    pub const ANY: Rtype = Rtype(255);
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Rtype::A => "A",
            Rtype::NS => "NS",
            Rtype::CNAME => "CNAME",
            Rtype::SOA => "SOA",
            Rtype::PTR => "PTR",
            Rtype::HINFO => "HINFO",
            Rtype::MX => "MX",
            Rtype::TXT => "TXT",
            Rtype::AAAA => "AAAA",
            Rtype::SRV => "SRV",
            Rtype::DNAME => "DNAME",
            Rtype::OPT => "OPT",
            Rtype::DS => "DS",
            Rtype::TKEY => "TKEY",
            Rtype::TSIG => "TSIG",
            Rtype::IXFR => "IXFR",
            Rtype::AXFR => "AXFR",
            Rtype::ANY => "ANY",
            Rtype(other) => return write!(f, "TYPE{other}"), // RFC 3597 §5
        };
        f.write_str(name)
    }
}

/// A query or record class (RFC 1035 §3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(pub u16);

impl Class {
    /// The Internet, the only class that is served.
    pub const IN: Class = Class(1);
    /// Any class. A TSIG record carries it.
    pub const ANY: Class = Class(255);
}

/// A response code, including the extended ones of EDNS (RFC 6895 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Rcode = Rcode(0);
    /// The message could not be read.
    pub const FORMERR: Rcode = Rcode(1);
    /// The server cannot answer now.
    pub const SERVFAIL: Rcode = Rcode(2);
    /// The name does not exist.
    pub const NXDOMAIN: Rcode = Rcode(3);
    /// The operation is not implemented.
    pub const NOTIMP: Rcode = Rcode(4);
    /// The server will not answer.
    pub const REFUSED: Rcode = Rcode(5);
    /// A name that a DNAME synthesizes is too long (RFC 6672 §2.2).
    pub const YXDOMAIN: Rcode = Rcode(6);
    /// Not authoritative, or not authorized (RFC 8945).
    pub const NOTAUTH: Rcode = Rcode(9);
    /// EDNS version not supported (RFC 6891 §9).
    pub const BADVERS: Rcode = Rcode(16);
    /// The cookie is not one of ours (RFC 7873 §8).
    pub const BADCOOKIE: Rcode = Rcode(23);
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Rcode::NOERROR => "NOERROR",
            Rcode::FORMERR => "FORMERR",
            Rcode::SERVFAIL => "SERVFAIL",
            Rcode::NXDOMAIN => "NXDOMAIN",
            Rcode::NOTIMP => "NOTIMP",
            Rcode::REFUSED => "REFUSED",
            Rcode::YXDOMAIN => "YXDOMAIN",
            Rcode::NOTAUTH => "NOTAUTH",
            Rcode::BADVERS => "BADVERS",
            Rcode::BADCOOKIE => "BADCOOKIE",
            Rcode(other) => return write!(f, "RCODE{other}"),
        };
        f.write_str(name)
    }
}
