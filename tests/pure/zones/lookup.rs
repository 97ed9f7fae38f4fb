//! Questions to one zone (RFC 1034 §4.3.2, RFC 4592, RFC 6672).

use super::{check, zone};

/// The example of RFC 4592 §2.2.1, with data for the records that the RFC leaves open.
const RFC_4592: &str = r#"
$ORIGIN example.
@                  3600 SOA  ns.example.com. hostmaster ( 1 7200 900 604800 300 )
                   3600 NS   ns.example.com.
                   3600 NS   ns.example.net.
*                  3600 TXT  "this is a wildcard"
*                  3600 MX   10 host1.example.
sub.*              3600 TXT  "this is not a wildcard"
host1              3600 A    192.0.2.1
_ssh._tcp.host1    3600 SRV  0 100 22 host1
_ssh._tcp.host2    3600 SRV  0 100 22 host2
subdel             3600 NS   ns.example.com.
subdel             3600 NS   ns.example.net.
"#;

#[test]
fn wildcards_as_rfc_4592_has_them() {
    check(
        "example.",
        RFC_4592,
        &[
            // synthesized from the wildcard
            ("host3.example. MX", "answer 3600 MX 10 host1.example."),
            ("host3.example. A", "nodata"),
            ("foo.bar.example. TXT", "answer 3600 TXT \"this is a wildcard\""),
            ("HOST3.Example. mx", "answer 3600 MX 10 host1.example."),
            ("host3.example. ANY", "exists"),
            // not synthesized: the name exists
            ("host1.example. MX", "nodata"),
            ("sub.*.example. MX", "nodata"),
            ("sub.*.example. TXT", "answer 3600 TXT \"this is not a wildcard\""),
            ("*.example. MX", "answer 3600 MX 10 host1.example."),
            // not synthesized: a closer encloser exists
            ("_telnet._tcp.host1.example. SRV", "nxdomain"),
            ("ghost.*.example. MX", "nxdomain"),
            ("x.host1.example. TXT", "nxdomain"),
            ("x.host2.example. TXT", "nxdomain"),
            // empty non-terminals exist and match no wildcard
            ("_tcp.host1.example. TXT", "nodata"),
            ("host2.example. TXT", "nodata"),
            ("_tcp.host2.example. ANY", "nodata"),
            // delegated
            ("host.subdel.example. A", "referral subdel.example. 3600 NS ns.example.com. | NS ns.example.net."),
            ("subdel.example. MX", "referral subdel.example. 3600 NS ns.example.com. | NS ns.example.net."),
        ],
    );
}

#[test]
fn a_wildcard_that_is_only_an_empty_name_gives_no_data() {
    check(
        "example.",
        &zone("a.* TXT below\nwww.*.b A 192.0.2.1\n*.c TXT no\n"),
        &[
            ("x.example. TXT", "nodata"),
            ("x.b.example. A", "nodata"),
            ("x.y.b.example. A", "nodata"),
            ("*.b.example. A", "nodata"),
            ("www.*.b.example. A", "answer 300 A 192.0.2.1"),
            ("c.example. TXT", "nodata"),
            ("x.c.example. TXT", "answer 300 TXT \"no\""),
        ],
    );
}

#[test]
fn plain_names() {
    let text = zone(
        "@ TXT apex\n@ MX 10 @\nwww A 192.0.2.1\nWWW A 192.0.2.2\nwww AAAA 2001:db8::1\na.b.c A 192.0.2.3\n\
         alias CNAME WWW.Elsewhere.Test.\n*.w CNAME @\nraw TYPE65280 \\# 3 010203\n$ORIGIN deep\nx CNAME y\n",
    );
    check(
        "example.",
        &text,
        &[
            ("example. SOA", "answer 300 SOA ns.example. hostmaster.example. 1 7200 900 604800 60"),
            ("example. NS", "answer 300 NS ns.example."),
            ("example. MX", "answer 300 MX 10 example."),
            ("example. A", "nodata"),
            ("example. ANY", "exists"),
            ("example. DS", "nodata"),
            ("www.example. A", "answer 300 A 192.0.2.1 | A 192.0.2.2"),
            ("wWw.eXample. AAAA", "answer 300 AAAA 2001:db8::1"),
            ("www.example. TXT", "nodata"),
            ("www.example. NS", "nodata"),
            ("x.www.example. A", "nxdomain"),
            ("ww.example. A", "nxdomain"),
            ("wwww.example. A", "nxdomain"),
            ("c.example. A", "nodata"),
            ("b.c.example. A", "nodata"),
            ("a.b.c.example. A", "answer 300 A 192.0.2.3"),
            ("d.b.c.example. A", "nxdomain"),
            ("alias.example. A", "cname 300 CNAME WWW.Elsewhere.Test. to WWW.Elsewhere.Test."),
            ("alias.example. CNAME", "answer 300 CNAME WWW.Elsewhere.Test."),
            ("alias.example. ANY", "exists"),
            ("x.alias.example. A", "nxdomain"),
            ("q.w.example. A", "cname 300 CNAME example. to example."),
            ("raw.example. TYPE65280", "answer 300 TYPE65280 \\# 3 01 02 03"),
            ("x.deep.example. A", "cname 300 CNAME y.deep.example. to y.deep.example."),
            ("other. A", "nxdomain"),
            (". NS", "nxdomain"),
        ],
    );
}

#[test]
fn delegations() {
    let text = zone(
        "sub NS ns.sub\nsub NS NS2.Sub\nsub NS ns.other\nsub NS ns.example.net.\nsub NS none.sub\nsub DS 1 8 2 00\n\
         ns.sub A 192.0.2.1\nns.sub AAAA 2001:db8::1\nns2.sub A 192.0.2.2\nsub A 192.0.2.9\nsub TXT hidden\n\
         deeper.sub NS ns.sub\nns.other A 192.0.2.3\nns.other TXT t\n\
         sibling NS ns.cousin\ncousin NS ns.cousin\nns.cousin A 192.0.2.4\n",
    );
    let sub = "referral sub.example. 300 NS ns.sub.example. | NS NS2.Sub.example. | NS ns.other.example. | NS ns.example.net. \
               | NS none.sub.example. + ns.sub.example. A 192.0.2.1, AAAA 2001:db8::1 + NS2.Sub.example. A 192.0.2.2 \
               + (ns.other.example. A 192.0.2.3)";
    check(
        "example.",
        &text,
        &[
            ("sub.example. A", sub),
            ("sub.example. NS", sub),
            ("sub.example. SOA", sub),
            ("sub.example. ANY", sub),
            ("sub.example. CNAME", sub),
            ("www.sub.example. A", sub),
            ("ns.sub.example. A", sub),
            ("a.b.c.sub.example. TXT", sub),
            ("x.deeper.sub.example. DS", sub),
            ("sub.example. DS", "answer 300 DS 1 8 2 00"),
            ("sibling.example. DS", "nodata"),
            (
                "sibling.example. A",
                "referral sibling.example. 300 NS ns.cousin.example. + (ns.cousin.example. A 192.0.2.4)",
            ),
            (
                "cousin.example. A",
                "referral cousin.example. 300 NS ns.cousin.example. + ns.cousin.example. A 192.0.2.4",
            ),
            ("ns.other.example. A", "answer 300 A 192.0.2.3"),
            ("other.example. A", "nodata"),
        ],
    );
}

#[test]
fn dname_as_rfc_6672_has_it() {
    let text = zone(
        "d DNAME target.test.\nd A 192.0.2.1\nself DNAME x.self\nroot DNAME .\ndeep DNAME @\nafter A 192.0.2.2\nd-e A 192.0.2.3\n",
    );
    let label = "x".repeat(63);
    let fits = format!("{label}.{label}.{label}.{}.d.example. A", "x".repeat(48));
    let long = format!("{label}.{label}.{label}.{}.d.example. A", "x".repeat(50));
    let fitting =
        format!("dname d.example. 300 DNAME target.test. to {label}.{label}.{label}.{}.target.test.", "x".repeat(48));
    check(
        "example.",
        &text,
        &[
            ("www.d.example. A", "dname d.example. 300 DNAME target.test. to www.target.test."),
            ("Www.B.D.Example. CNAME", "dname d.example. 300 DNAME target.test. to Www.B.target.test."),
            ("www.d.example. DNAME", "dname d.example. 300 DNAME target.test. to www.target.test."),
            ("www.d.example. DS", "dname d.example. 300 DNAME target.test. to www.target.test."),
            ("d.example. DNAME", "answer 300 DNAME target.test."),
            ("d.example. A", "answer 300 A 192.0.2.1"),
            ("d.example. TXT", "nodata"),
            ("a.self.example. A", "dname self.example. 300 DNAME x.self.example. to a.x.self.example."),
            ("a.b.root.example. A", "dname root.example. 300 DNAME . to a.b."),
            ("a.deep.example. A", "dname deep.example. 300 DNAME example. to a.example."),
            ("d-e.example. A", "answer 300 A 192.0.2.3"),
            ("after.example. A", "answer 300 A 192.0.2.2"),
            (&fits, &fitting),
            (&long, "dname d.example. 300 DNAME target.test. too long"),
        ],
    );
    let apex = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns.test.\n@ 300 DNAME test.\n";
    check(
        "example.",
        apex,
        &[
            ("a.example. A", "dname example. 300 DNAME test. to a.test."),
            ("example. NS", "answer 300 NS ns.test."),
            ("example. A", "nodata"),
        ],
    );
}
