//! The TYPE group of RFC 8906's tools: for every type with a mnemonic the apex has an answer or NODATA, never FORMERR, NOTIMP
//! or no reply.

use crate::harness::ask::flag;
use crate::harness::dig::dig;
use domain::base::iana::Rtype;

use super::site::{Z, ask, dns, negative_soa};

/// Types 1 to 65535 by number: the group's, and TYPE1000.
const TYPES: &[u16] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 33,
    35, 36, 37, 38, 39, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 99,
    104, 105, 106, 107, 108, 109, 256, 257, 258, 259, 260, 32768, 32769, 1000, 65535,
];

/// The types at the apex: NS and SOA.
const PRESENT: [u16; 2] = [2, 6];

#[test]
fn at_the_apex() {
    for number in TYPES {
        let rtype = Rtype::from_int(*number);
        let reply = ask("Z", rtype).udp(dns());
        assert_eq!((reply.rcode.as_str(), reply.has(flag::AA)), ("NOERROR", true), "{rtype}: {reply:?}");
        assert_eq!(reply.edns, None, "{rtype}");
        match PRESENT.contains(number) {
            true => assert_eq!(reply.answer.len(), 1, "{rtype}: {reply:?}"),
            false => assert_eq!(negative_soa(&reply), (Z, 5), "{rtype}"),
        }
    }
}

#[test]
fn as_dig_asks() {
    // Many questions in one run of dig.
    let names = "A NS MD MF CNAME SOA MB MG MR NULL WKS PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT NSAP NSAP-PTR SIG KEY PX \
                 GPOS AAAA LOC NXT SRV NAPTR KX CERT A6 DNAME APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY DHCID NSEC3 \
                 NSEC3PARAM TLSA SMIMEA HIP CDS CDNSKEY OPENPGPKEY SPF NID L32 L64 LP EUI48 EUI64 URI CAA AVC DOA DLV TYPE1000";
    let names: Vec<&str> = names.split_whitespace().collect();
    let mut args = vec!["+noedns", "+norec", "+noad", "+nocookie"];
    names.iter().for_each(|rtype| args.extend([Z, rtype]));
    let replies = dig(dns(), &args).text;
    assert_eq!(replies.matches("flags: qr aa;").count(), names.len(), "{replies}");
    assert_eq!(replies.matches("status: NOERROR").count(), names.len(), "{replies}");
    assert_eq!(replies.matches(";; AUTHORITY SECTION:").count(), names.len() - PRESENT.len(), "{replies}");
}
