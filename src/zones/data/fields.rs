//! The fields of each type.
//!
//! A type is a row of [`fields_of`]. The same table serves text, which is parsed field by field, and data in the generic form (RFC 3597 §5),
//! which is checked field by field.

use crate::dns::Rtype;

/// A kind of field. Fields that extend to the end of the data come last in their row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RdataField {
    /// A domain name, uncompressed.
    Name,
    U8,
    U16,
    U32,
    /// A time in seconds or with units (`1h30m`), of 32 bits.
    Time,
    Ipv4,
    Ipv6,
    /// A character string: a length byte and up to 255 bytes.
    String,
    /// A character string that may be missing at the end.
    StringMaybe,
    /// One or more character strings, to the end.
    Strings,
    /// The bytes of a text without a length, to the end.
    Text,
    /// The tag of a CAA record: a character string of letters and digits.
    Tag,
    /// Bytes in hexadecimal to the end, at least one.
    Hex,
    /// Bytes in base64 to the end, at least one.
    Base64,
    /// A DNSSEC algorithm: an 8-bit number or its mnemonic.
    Algorithm,
    /// A certificate type: a 16-bit number or its mnemonic (RFC 4398 §2.1).
    CertType,
    /// Record types as a bitmap (RFC 4034 §4.1.2), to the end.
    Types,
    /// Four groups of 16 bits in hexadecimal (RFC 6742 §2.1).
    Locator,
    /// This many bytes in hexadecimal, separated by hyphens (RFC 7043).
    Eui(usize),
    /// A place on Earth (RFC 1876).
    Location,
    /// Address prefixes to the end (RFC 3123).
    Prefixes,
    /// Service parameters to the end (RFC 9460).
    Parameters,
    /// The fields of an IPSECKEY record after its precedence (RFC 4025).
    Gateway,
}

/// The fields of a type. `None` for a type that has only the generic text form here.
pub(super) fn fields_of(rtype: Rtype) -> Option<&'static [RdataField]> {
    use RdataField::*;
    Some(match rtype.0 {
        1 => &[Ipv4],                                          // A
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 23 | 39 => &[Name],   // NS MD MF CNAME MB MG MR PTR NSAP-PTR DNAME
        6 => &[Name, Name, U32, Time, Time, Time, Time],       // SOA
        13 => &[String, String],                               // HINFO
        14 | 17 | 58 => &[Name, Name],                         // MINFO RP TALINK
        15 | 18 | 21 | 36 | 107 => &[U16, Name],               // MX AFSDB RT KX LP
        16 | 56 | 99 | 258 => &[Strings],                      // TXT NINFO SPF AVC
        19 => &[String],                                       // X25
        20 => &[String, StringMaybe],                          // ISDN
        25 | 48 | 57 | 60 => &[U16, U8, Algorithm, Base64],    // KEY DNSKEY RKEY CDNSKEY
        26 => &[U16, Name, Name],                              // PX
        27 => &[String, String, String],                       // GPOS
        28 => &[Ipv6],                                         // AAAA
        29 => &[Location],                                     // LOC
        33 => &[U16, U16, U16, Name],                          // SRV
        35 => &[U16, U16, String, String, String, Name],       // NAPTR
        37 => &[CertType, U16, Algorithm, Base64],             // CERT
        42 => &[Prefixes],                                     // APL
        43 | 59 | 32768 | 32769 => &[U16, Algorithm, U8, Hex], // DS CDS TA DLV
        44 => &[U8, U8, Hex],                                  // SSHFP
        45 => &[U8, Gateway],                                  // IPSECKEY
        49 | 61 => &[Base64],                                  // DHCID OPENPGPKEY
        52 | 53 => &[U8, U8, U8, Hex],                         // TLSA SMIMEA
        62 => &[U32, U16, Types],                              // CSYNC
        63 => &[U32, U8, U8, Hex],                             // ZONEMD
        64 | 65 => &[U16, Name, Parameters],                   // SVCB HTTPS
        104 | 106 => &[U16, Locator],                          // NID L64
        105 => &[U16, Ipv4],                                   // L32
        108 => &[Eui(6)],                                      // EUI48
        109 => &[Eui(8)],                                      // EUI64
        256 => &[U16, U16, Text],                              // URI
        257 => &[U8, Tag, Text],                               // CAA
        _ => return None,
    })
}
