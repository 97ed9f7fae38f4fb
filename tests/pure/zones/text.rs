//! The forms of real zone files: each kind of text that BIND, Knot and NSD read, and texts that they refuse.

use super::{check, name, zone};
use callsign::dns::Rtype;
use callsign::zones::{Lookup, Role, Zone};

/// Data of a type with a name, written as `@` and as `\@`.
const NAMED: [(&str, u16, &str); 18] = [
    ("NS", 2, "%"),
    ("CNAME", 5, "%"),
    ("PTR", 12, "%"),
    ("MINFO", 14, "% %"),
    ("MX", 15, "1 %"),
    ("RP", 17, "% %"),
    ("AFSDB", 18, "1 %"),
    ("RT", 21, "1 %"),
    ("PX", 26, "1 % %"),
    ("SRV", 33, "1 2 3 %"),
    ("NAPTR", 35, "1 2 s x \"\" %"),
    ("KX", 36, "1 %"),
    ("DNAME", 39, "%"),
    ("IPSECKEY", 45, "1 3 2 % AQ=="),
    ("SVCB", 64, "1 % alpn=h2"),
    ("HTTPS", 65, "1 % alpn=h2"),
    ("LP", 107, "1 %"),
    ("MB", 7, "%"),
];

/// The data of a type at a zone's name `w`.
#[track_caller]
fn data(text: &str, rtype: u16) -> Vec<u8> {
    let zone =
        Zone::parse(text.as_bytes(), &name("example."), Role::Own).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    let (_, set) = zone
        .rrsets()
        .find(|(owner, set)| owner.labels().next() == Some(b"w") && set.rtype == Rtype(rtype))
        .unwrap_or_else(|| panic!("no such records in\n{text}"));
    set.records[0].to_vec()
}

fn fault(line: &str) -> Option<String> {
    let text = zone(&format!("{line}\n"));
    Zone::parse(text.as_bytes(), &name("example."), Role::Own).err().map(|fault| fault.to_string())
}

#[test]
fn an_at_sign_is_the_origin_in_the_data_of_every_type() {
    for (rtype, number, form) in NAMED {
        for origin in ["", "$ORIGIN deep.example.\n", "$ORIGIN deep\n", "$ORIGIN \\@\n"] {
            let read =
                |written: &str| data(&zone(&format!("{origin}w {rtype} {}\n", form.replace('%', written))), number);
            let whole = match origin {
                "" => "example.",
                "$ORIGIN \\@\n" => "\\@.example.",
                _ => "deep.example.",
            };
            assert_eq!(read("@"), read(whole), "{rtype} {origin}");
            assert_eq!(read("\\@"), read(&format!("\\064.{whole}")), "{rtype} {origin}");
            assert_ne!(read("@"), read("\\@"), "{rtype} {origin}");
        }
    }
    let zone_soa = |text: &str| Zone::parse(text.as_bytes(), &name("w.example."), Role::Own).unwrap().soa().clone();
    let at = zone_soa("@ SOA @ \\@ 1 2 3 4 5\n@ NS ns\n");
    assert_eq!((at.mname.to_string(), at.rname.to_string()), ("w.example.".into(), "\\@.w.example.".into()));
}

#[test]
fn every_type_that_peers_have_a_mnemonic_for_is_read() {
    // The bytes are from BIND's `named-compilezone -F raw`, in hexadecimal.
    for (line, rtype, expected) in [
        ("LOC 37 46 30 N 122 23 30 W 10m", 29, "00121613881b0af065bcd33000989a68"),
        ("LOC \\# 16 01121613881b0af065bcd33000989a68", 29, "01121613881b0af065bcd33000989a68"), // another version
        ("SPF \"v=spf1 -all\"", 99, "0b763d73706631202d616c6c"),
        ("AFSDB 1 mail.test.", 18, "0001046d61696c047465737400"),
        ("CERT PKIX 1 RSASHA256 AA==", 37, "000100010800"),
        ("EUI48 00-00-5e-00-53-2a", 108, "00005e00532a"),
        ("EUI64 00-00-5e-ef-10-00-00-2a", 109, "00005eef1000002a"),
        ("APL 1:192.0.2.0/24 !2:2001:db8::/32", 42, "000118 03c00002 00022084 20010db8"),
        ("CSYNC 66 3 A NS AAAA", 62, "000000420003 0004 60000008"),
        ("NID 10 0014:4fff:ff20:ee64", 104, "000a00144fffff20ee64"),
        ("L32 10 10.1.2.0", 105, "000a0a010200"),
        ("L64 10 2001:0DB8:1140:1000", 106, "000a20010db811401000"),
        ("URI 10 1 \"ftp://x/\"", 256, "000a00016674703a2f2f782f"),
        ("URI 10 1 \"\"", 256, "000a0001"),
        ("CAA 0 issue \"\"", 257, "00056973737565"),
        ("CAA 0 issue \"ca.test\"", 257, "0005697373756563612e74657374"),
        (
            "DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
            49,
            "000201636fc0b8271c82825bb1ac5c41cf5351aa69b4febd94e8f17cdb95000da48c40",
        ),
        ("SMIMEA 3 1 1 aabb", 53, "030101aabb"),
        ("SSHFP 1 1 00112233445566778899aabbccddeeff00112233", 44, "0101 00112233445566778899aabbccddeeff00112233"),
        ("DNSKEY 256 3 ECDSAP256SHA256 AAAA", 48, "0100030d000000"),
        ("KEY 256 3 RSASHA256 AAAA", 25, "01000308000000"),
        ("CDS 0 0 0 00", 59, "0000000000"),
        ("X25 311061700956", 19, "0c333131303631373030393536"),
        ("ISDN 150862028003217 004", 20, "0f313530383632303238303033323137 03303034"),
        ("GPOS -32.6882 116.8652 10.0", 27, "082d33322e36383832 083131362e38363532 0431302e30"),
        ("HINFO PC Unix", 13, "02504304556e6978"),
        ("TYPE1 192.0.2.1", 1, "c0000201"),
        ("CLASS1 TYPE1 \\# 4 c0 000 201", 1, "c0000201"),
        ("TXT \\# 2 0161", 16, "0161"),
        ("TYPE65280 \\# 0", 65280, ""),
        (
            "SVCB 1 . key65000=abc alpn=\"h2,h3\" port=443",
            64,
            "000100 0001 0006 026832026833 0003 0002 01bb fde8 0003 616263",
        ),
        ("SVCB 1 . key1=\\002h2", 64, "000100 0001 0003 026832"), // `keyN` has the bytes of the wire
        ("SVCB 1 . key3=\\001\\187", 64, "000100 0003 0002 01bb"),
        ("SVCB 1 . key5=AQID", 64, "000100 0005 0004 41514944"),
        ("SVCB 1 . key65535=x", 64, "000100 ffff 0001 78"),
        ("SVCB 1 . alpn=a\\\\b", 64, "000100 0001 0003 026162"),
        ("SVCB 1 . mandatory=key1 key1=\\002h2", 64, "000100 0000 0002 0001 0001 0003 026832"),
        ("HTTPS 0 pool.test.", 65, "000004706f6f6c047465737400"),
        ("HTTPS 1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", 65, "000100 0001 000c 08665c6f6f2c626172 026832"),
        (
            "HTTPS 1 . mandatory=port,alpn alpn=h3 port=8 no-default-alpn",
            65,
            "000100 0000 0004 00010003 0001 0003 026833 0002 0000 0003 0002 0008",
        ),
        (
            "HTTPS 1 . ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1",
            65,
            "000100 0004 0008 c0000201c0000202 0006 0010 20010db8000000000000000000000001",
        ),
    ] {
        let expected = expected.replace(' ', "");
        let is = data(&zone(&format!("w {line}\n")), rtype);
        assert_eq!(data_encoding::HEXLOWER.encode(&is), expected, "{line}");
    }
}

#[test]
fn times_have_units() {
    check(
        "example.",
        "$TTL 1h\n@ 1w2d SOA ns a 1 6h 1H30M 1w 1d\n@ NS ns\nw 1d A 192.0.2.1\nx A 192.0.2.1\n",
        &[
            ("example. SOA", "answer 777600 SOA ns.example. a.example. 1 21600 5400 604800 86400"),
            ("w.example. A", "answer 86400 A 192.0.2.1"),
            ("x.example. A", "answer 3600 A 192.0.2.1"),
        ],
    );
    // Without $TTL the SOA's minimum is the TTL, as in BIND.
    check("example.", "@ SOA ns a 1 2 3 4 60\n@ NS ns\nw A 192.0.2.1\n", &[("w.example. A", "answer 60 A 192.0.2.1")]);
    for line in [
        "w 1h30 A 192.0.2.1",
        "w h A 192.0.2.1",
        "w 1x A 192.0.2.1",
        "w 99999999999 A 192.0.2.1",
        "w 9999w9999w A 192.0.2.1",
    ] {
        assert!(fault(line).is_some(), "{line}");
    }
    let marked = format!("\u{feff}{}", zone(""));
    let fault = Zone::parse(marked.as_bytes(), &name("example."), Role::Own).err().map(|fault| fault.to_string());
    assert!(fault.is_some_and(|fault| fault.contains("byte order mark")));
}

#[test]
fn quotes_may_contain_any_byte() {
    let bytes: Vec<u8> = (1..=255_u8).filter(|byte| !matches!(byte, b'\n' | b'"' | b'\\')).collect();
    let mut text = zone("w TXT \"").into_bytes();
    text.extend_from_slice(&bytes[..200]);
    text.extend_from_slice(b"\" \"");
    text.extend_from_slice(&bytes[200..]);
    text.extend_from_slice(b"\"\n");
    let zone = Zone::parse(&text, &name("example."), Role::Own).unwrap();
    let Lookup::Answer { rrset } = zone.lookup(name("w.example.").key().as_bytes(), Rtype::TXT) else { panic!() };
    let strings = [&[200][..], &bytes[..200], &[(bytes.len() - 200) as u8], &bytes[200..]].concat();
    assert_eq!(*rrset.records[0], *strings);
    assert_eq!(data(&super::zone("w TXT \"é\"\n"), 16), [2, 195, 169]);
    assert_eq!(data(&super::zone("w TXT a(b\n)c d;e\n"), 16), *b"\x01a\x01b\x01c\x01d");
    assert_eq!(data(&super::zone("w TXT \\;\\\"\\\\ \\046\n"), 16), *b"\x03;\"\\\x01.");
}

#[test]
fn files_that_all_peers_refuse_are_refused() {
    for line in [
        "w DS 1 13 2",
        "w CDS 1 13 2",
        "w OPENPGPKEY",
        "w TLSA 3 1 1",
        "w SMIMEA 3 1 1",
        "w CERT 1 1 8",
        "w DHCID",
        "w SSHFP 1 1",
        "w URI 1 1",
        "w CAA 0 issue",
        "w DS 1 DELETE 2 00",
        "w TXT",
        "w NAPTR 1 2 s x \"\"",
        "w A 192.0.2.01",
        "w A 192.0.2",
        "w AAAA ::g",
        "w MX 65536 a",
        "w CERT 1 1 8 AA",
        "w LOC 91 N 0 E 0m",
        "w LOC 0 S 0.5 E 0m", // no seconds without minutes
        "w LOC 1 N 1 E 0M",
        "w EUI48 00-00-5e-00-53",
        "w APL 1:192.0.2.0/33",
        "w HTTPS 1 . alpn=h2 alpn=h3",
        "w HTTPS 1 . mandatory=alpn",
        "w HTTPS 1 . port=65536",
        "w HTTPS 1 . ALPN=h2",
        "w HTTPS 1 . KEY667=a",
        "w HTTPS 1 . key667=a\"b\"",
        "w HTTPS 1 . key1=h2", // only NSD accepts it
        "w SVCB \\# 7 000100 0003 0001",
        "w A \\# 4 c000020101",
        "w CLASS3 A 192.0.2.1",
        "w NOTYPE x",
        "w WKS 192.0.2.1 tcp smtp",
        "\"w\" A 192.0.2.1\nw A",
        "$GENERATE \"1-3\" h$ A 192.0.2.$",
        "$ORIGIN \"sub\"",
        "$GENERATE 1-3 \"h$\" A 192.0.2.$",
        "$GENERATE 1-3 ( h$ A 192.0.2.$ )",
        "w\r TXT x",
        "w TXT a\rb",
        "w TXT \"a",
        "w TXT a\\",
        "w TXT a\\300",
        "w A 192.0.2.1 )",
        "w A ( 192.0.2.1",
    ] {
        assert!(fault(line).is_some(), "{line}");
    }
}

#[test]
fn an_soa_that_repeats_in_another_letter_case_is_one() {
    check(
        "example.",
        "$TTL 9\n@ SOA ns a 1 2 3 4 5\n@ NS ns\nEXAMPLE. SOA NS.Example. A 1 2 3 4 5\n",
        &[("example. SOA", "answer 9 SOA ns.example. a.example. 1 2 3 4 5")],
    );
}

#[test]
fn generate_makes_a_record_a_number() {
    check(
        "example.",
        &zone(
            "$GENERATE 1-3 h$ A 192.0.2.$\n$GENERATE 0-4/2 ${10,4,d} 60 IN CNAME x${0,2,x}\n\
             $GENERATE 10-11 ${0,3,n} PTR a-${-9}.test.\n$GENERATE 7-7 m$ MX \"1${0,0,o} mail$\"\n\
             $GENERATE 1-1 t\\$ TXT \"$$ ${5,3,X}\"\n\
             $GENERATE 1-1 q$ TXT \"\\\"a b\\\"\"\n$GENERATE 1-1 t${-2} A 192.0.2.1\nlast TXT l\n$GENERATE 1-1 n$ A 192.0.2.1\n\
             \tAAAA 2001:db8::1\n",
        ),
        &[
            ("h1.example. A", "answer 300 A 192.0.2.1"),
            ("h3.example. A", "answer 300 A 192.0.2.3"),
            ("h4.example. A", "nxdomain"),
            ("0012.example. CNAME", "answer 60 CNAME x02.example."),
            ("0011.example. CNAME", "nxdomain"),
            ("a.0.example. PTR", "answer 300 PTR a-1.test."),
            ("b.0.example. PTR", "answer 300 PTR a-2.test."),
            ("m7.example. MX", "answer 300 MX 17 mail7.example."),
            ("t\\$.example. TXT", "answer 300 TXT \"$\" \"006\""),
            ("q1.example. TXT", "answer 300 TXT \"a b\""),
            ("t-1.example. A", "answer 300 A 192.0.2.1"),
            ("last.example. AAAA", "answer 300 AAAA 2001:db8::1"), // $GENERATE does not change the owner
        ],
    );
    for (line, expected) in [
        ("$GENERATE 3-1 a$ A 192.0.2.$", "6:11: expected a range, as in 1-10 or 0-254/2"),
        ("$GENERATE 1-2/0 a$ A 192.0.2.$", "6:11: expected a range, as in 1-10 or 0-254/2"),
        ("$GENERATE 1-2", "6:1: expected $GENERATE, a range, an owner, a type, and its data in one word"),
        ("$GENERATE 1-2 a$ MX 1 a", "6:1: expected $GENERATE, a range, an owner, a type, and its data in one word"),
        ("$GENERATE 254-256 a$ A 192.0.2.$", "6:1: at 256: expected an IPv4 address"),
        (
            "$GENERATE 1-2 a${1,2,y} A 192.0.2.1",
            "6:1: at 1: expected ${offset,width,base}, where base is one of d, o, x, X, n and N",
        ),
        (
            "$GENERATE 1-2 a${-2,0,x} A 192.0.2.1",
            "6:1: at 1: a number below 0 or over 4294967295 has only a decimal form",
        ),
        ("$GENERATE 0-2147483647 a$ A 192.0.2.1", "6:1: more than 1000000 records"),
        (&format!("$GENERATE 0-99999 a$ TXT {}", "x".repeat(2000)), "6:1: at 0: a string of more than 255 bytes"),
        (
            &format!("$GENERATE 0-99999 a$ TXT \"{}\"", "x ".repeat(1000)),
            "6:1: $GENERATE makes more than 67108864 bytes",
        ),
    ] {
        assert_eq!(fault(line).as_deref(), Some(expected), "{line}");
    }
}
