//! Random zone files, compared with peers: callsign accepts files that BIND and Knot accept, with BIND's records, and refuses
//! files that these two and NSD refuse.
//!
//! `CALLSIGN_ZONE_FILES` is their number (default 10,000). `CALLSIGN_ZONE_SEED` repeats the files of another run.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::name;
use super::peers::{Peers, ours};
use callsign::zones::{Role, Zone};

/// The number of files of a run.
const FILES: u64 = 10_000;

/// The number of threads: the processors of a small machine.
const THREADS: u64 = 2;

/// A type's mnemonic and its fields: each letter is a way to write one.
///
/// `n` name, `b` number of 8 bits, `w` of 16, `d` of 32, `t` time, `4` and `6` addresses, `s` string, `S` strings, `x`
/// hexadecimal, `B` base64, `a` algorithm, `c` certificate type, `y` types, `l` locator, `e` EUI, `L` place, `p` prefixes, `k`
/// parameters, `u` text in quotes, `g` tag.
const TYPES: [(&str, &str); 48] = [
    ("A", "4"),
    ("A", "4"),
    ("AAAA", "6"),
    ("AAAA", "6"),
    ("TXT", "S"),
    ("TXT", "S"),
    ("SPF", "S"),
    ("MX", "wn"),
    ("CNAME", "n"),
    ("PTR", "n"),
    ("NS", "n"),
    ("DNAME", "n"),
    ("SRV", "wwwn"),
    ("HINFO", "ss"),
    ("MINFO", "nn"),
    ("RP", "nn"),
    ("AFSDB", "wn"),
    ("RT", "wn"),
    ("KX", "wn"),
    ("LP", "wn"),
    ("NAPTR", "wwsssn"),
    ("DS", "wabx"),
    ("CDS", "wabx"),
    ("DNSKEY", "wbaB"),
    ("CDNSKEY", "wbaB"),
    ("KEY", "wbaB"),
    ("CERT", "cwaB"),
    ("SSHFP", "bbx"),
    ("TLSA", "bbbx"),
    ("SMIMEA", "bbbx"),
    ("OPENPGPKEY", "B"),
    ("DHCID", "B"),
    ("CSYNC", "dwy"),
    ("NID", "wl"),
    ("L64", "wl"),
    ("L32", "w4"),
    ("EUI48", "e"),
    ("EUI64", "e"),
    ("LOC", "L"),
    ("LOC", "L"),
    ("APL", "p"),
    ("APL", "p"),
    ("SVCB", "wnk"),
    ("HTTPS", "wnk"),
    ("URI", "wwu"),
    ("CAA", "bgu"),
    ("IPSECKEY", "b*"),
    ("TYPE65280", "#"),
];

/// A random number generator with a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in this many times.
    fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// An element of the first list, or occasionally of the second.
    fn mostly<'a>(&mut self, good: &[&'a str], odd: &[&'a str]) -> &'a str {
        if self.rarely(40) { self.pick(odd) } else { self.pick(good) }
    }

    fn hex(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from_digit(self.below(16) as u32, 16).expect("a digit")).collect()
    }
}

/// One field as text.
fn field(random: &mut Random, kind: char) -> String {
    let text = match kind {
        'n' => random.mostly(
            &["@", "a", "b.c", "h.example.", "other.test.", ".", "\\@", "x\\.y", "_tcp", "A-b", "\\065", "\\000z"],
            &["a..b", "..", "a\\", "\\300", "\\1", "\"a\"", "b.c..", ""],
        ),
        'b' => random.mostly(&["0", "1", "2", "255", "007"], &["256", "-1", "0x1", "x", ""]),
        'w' => random.mostly(&["0", "1", "10", "443", "65535", "00012"], &["65536", "-1", "1.0", "x", ""]),
        'd' => random.mostly(&["0", "66", "4294967295"], &["4294967296", "-1", "x", ""]),
        '4' => random.mostly(
            &["192.0.2.1", "0.0.0.0", "255.255.255.255", "10.1.2.3"],
            &["192.0.2", "192.0.2.256", "192.0.2.1.", "a", "192.0.2.01", "0x7f.1", "::1", ""],
        ),
        '6' => random.mostly(
            &["::", "::1", "2001:db8::1", "2001:DB8:0:0:1:2:3:4", "::ffff:192.0.2.1", "fe80::1:0:0:2"],
            &["2001:db8", ":::", "1::2::3", "12345::", "::192.0.2.256", "fe80::1%lo", "192.0.2.1", ""],
        ),
        's' => random.mostly(
            &[
                "a",
                "\"\"",
                "\"a b\"",
                "\"é\"",
                "\"a;b(\"",
                "a\\;b",
                "\"q\\\"q\"",
                "\\\\",
                "\\255\\000",
                "\"\\046\"",
                "a=b",
            ],
            &["\"open", "\\300", "a\\", "\\12", ""],
        ),
        'a' => random.mostly(
            &["5", "8", "13", "RSASHA256", "ECDSAP256SHA256", "ed25519", "15", "RSASHA1", "PRIVATEOID"],
            &["256", "NOALG", "-1", ""],
        ),
        'c' => random.mostly(&["1", "PKIX", "PGP", "253", "65535", "SPKI"], &["65536", "NOTYPE", ""]),
        'l' => random.mostly(
            &["0014:4fff:ff20:ee64", "1:2:3:4", "FFFF:0:0:1"],
            &["1:2:3", "1:2:3:4:5", "12345:1:1:1", "1::2:3", "g:1:1:1", ""],
        ),
        'g' => random.mostly(&["issue", "iodef", "issuewild"], &["a-b", "\"\"", ""]),
        'u' => random.mostly(&["\"ftp://x/\"", "\"a b\"", "\"mailto:a@b\"", "\"\\\"\""], &["\"open", ""]),
        _ => return compound(random, kind),
    };
    text.to_owned()
}

/// A field of several words.
fn compound(random: &mut Random, kind: char) -> String {
    match kind {
        'S' => (0..1 + random.below(3)).map(|_| field(random, 's')).collect::<Vec<_>>().join(" "),
        'x' => {
            let len = if random.rarely(30) { random.below(4) } else { [2, 8, 40, 64][random.below(4)] };
            let text = random.hex(len);
            let at = random.below(len + 1);
            if random.rarely(3) { format!("{} {}", &text[..at], &text[at..]) } else { text }
        }
        'B' => random
            .mostly(&["AQ==", "AQI=", "AQID", "AQ ID", "(AQ\n ID )", "//+/"], &["AQ", "AQ=", "A", "A*==", ""])
            .to_owned(),
        'y' => random
            .mostly(&["A", "A NS SOA", "TYPE65280 A", "MX AAAA mx", ""], &["NOTYPE", "A 5", "TYPE65536"])
            .to_owned(),
        'e' => {
            let len = if random.rarely(2) { 6 } else { 8 };
            let pairs: Vec<String> = (0..len).map(|_| random.hex(2)).collect();
            pairs.join(if random.rarely(30) { ":" } else { "-" })
        }
        'L' => random
            .mostly(
                &[
                    "37 46 30 N 122 23 30 W 10m",
                    "0 N 0 E 0",
                    "90 S 180 W -100000m 1m 1m 1m",
                    "1 2 3.5 N 4 5 6.789 E 12.34m 0.01m 90000000m 15",
                    "52 22 N 4 53 E -2.00m 0.00m",
                ],
                &[
                    "91 N 0 E 0",
                    "1 60 N 1 E 0",
                    "1 N 1 E",
                    "1 2 3 4 N 1 E 0",
                    "1 N 1 N 0",
                    "1 2 3.1234 N 4 E 0",
                    "1 N 181 E 0m",
                ],
            )
            .to_owned(),
        'p' => random
            .mostly(
                &[
                    "1:192.0.2.0/24",
                    "!1:10.0.0.0/8 2:2001:db8::/32",
                    "2:::/0",
                    "1:192.0.2.1/24",
                    "1:0.0.0.0/0",
                    "2:ff00::/8",
                ],
                &["1:192.0.2.0/33", "3:1/1", "1:192.0.2.0", "192.0.2.0/24", "!", "2:192.0.2.0/8"],
            )
            .to_owned(),
        'k' => random
            .mostly(
                &[
                    "",
                    "alpn=h2",
                    "alpn=\"h2,h3\" port=443",
                    "port=8443 alpn=h2",
                    "mandatory=alpn alpn=h2",
                    "ipv4hint=192.0.2.1,192.0.2.2",
                    "ipv6hint=\"2001:db8::1\"",
                    "key65000=abc",
                    "key667=\"hello\\210qoo\"",
                    "alpn=h2 no-default-alpn",
                    "ech=AQID",
                    "key65000",
                ],
                &[
                    "alpn",
                    "port=",
                    "port=65536",
                    "alpn=h2 alpn=h3",
                    "mandatory=port",
                    "ipv4hint=::1",
                    "nokey=1",
                    "mandatory=mandatory",
                ],
            )
            .to_owned(),
        '*' => random
            .mostly(
                &["1 2 192.0.2.1 AQID", "2 2 2001:db8::1 AQID", "3 2 gw AQID", "3 2 @ AQ==", "0 2 . AQID"],
                &["4 2 x AQID", "1 2 ::1 AQID", "1 2", "3 2 a..b AQID"],
            )
            .to_owned(),
        '#' => random
            .mostly(
                &["\\# 0", "\\# 3 010203", "\\# 4 0102 0304", "\\# 2 AbCd"],
                &["\\# 1", "\\# 2 01", "\\# x 01", "1.2.3.4"],
            )
            .to_owned(),
        other => unreachable!("{other}"),
    }
}

/// A whole zone file with one record under test.
fn file(random: &mut Random) -> String {
    let (rtype, fields) = TYPES[random.below(TYPES.len())];
    let mut words: Vec<String> = fields.chars().map(|kind| field(random, kind)).collect();
    if random.rarely(60) {
        words.push("extra".to_owned());
    }
    if random.rarely(60) {
        words.pop();
    }
    let owner = random.mostly(&["w", "w.x", "W.example.", "*.w", "w\\.x", "_w"], &["w..x", "w\\", "\\256"]);
    let ttl =
        random.mostly(&["", "", "5", "1h", "1w2d", "1H30M", "90s", "0"], &["1h30", "h", "1y", "99999999999", "-1"]);
    let class = if random.rarely(3) { random.mostly(&["IN", "in"], &["CH", "CLASS2", "XX"]) } else { "" };
    let rtype = if random.rarely(4) { rtype.to_ascii_lowercase() } else { rtype.to_owned() };
    let (first, second) = if random.rarely(2) { (ttl, class) } else { (class, ttl) };
    let gap = random.pick(&[" ", "\t", "  ", " \t "]);
    let data = match random.below(6) {
        0 => format!("({gap}{} )", words.join(gap)),
        1 => format!("{} ; comment \" (", words.join(gap)),
        2 => format!("(\n {}\n ; comment\n)", words.join("\n ")),
        _ => words.join(gap),
    };
    let origin = random.pick(&["", "", "", "$ORIGIN sub.example.\n", "$ORIGIN example.\n$TTL 1h\n"]);
    let soa = random.pick(&["1 3600 600 86400 60", "1 1h 10m 1d 1m", "4294967295 1H 10M 1w 0", "( 1 1h\n 10m 1d 60 )"]);
    let lines = [first, second, &rtype].iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(gap);
    format!("$TTL 300\n@ SOA ns admin {soa}\n@ NS ns\nns A 192.0.2.53\n{origin}{owner}{gap}{lines}{gap}{data}\n")
}

#[test]
fn random_files_are_read_as_the_peers_read_them() {
    let number =
        |name: &str| std::env::var_os(name).map(|text| text.to_str().expect("a number").parse().expect("a number"));
    let files: u64 = number("CALLSIGN_ZONE_FILES").unwrap_or(FILES);
    let seed: u64 = number("CALLSIGN_ZONE_SEED").unwrap_or_else(rand_seed);
    let (taken, refused, split) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong: Vec<String> = thread::scope(|scope| {
        let run = |thread: u64| {
            let peers = Peers::new(&format!("generated-{thread}"));
            let path = peers.folder().join("file");
            let mut wrong = Vec::new();
            for number in (thread..files).step_by(THREADS as usize) {
                let text = file(&mut Random(seed.wrapping_add(number)));
                fs::write(&path, &text).expect("a file");
                let verdict = judge(&peers, &path, &text);
                match verdict {
                    Verdict::Taken => taken.fetch_add(1, Ordering::Relaxed),
                    Verdict::Refused => refused.fetch_add(1, Ordering::Relaxed),
                    Verdict::Split => split.fetch_add(1, Ordering::Relaxed),
                    Verdict::Wrong(what) => {
                        let seed = seed.wrapping_add(number);
                        wrong.push(format!("CALLSIGN_ZONE_SEED={seed} CALLSIGN_ZONE_FILES=1: {what}\n{text}"));
                        0
                    }
                };
            }
            wrong
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    });
    let [taken, refused, split] = [taken, refused, split].map(AtomicUsize::into_inner);
    println!(
        "seed {seed}: {taken} taken and {refused} refused by both and by us, {split} judged otherwise by one of them"
    );
    assert!(
        wrong.is_empty(),
        "{} of {files}\n{}",
        wrong.len(),
        wrong.iter().take(12).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(files < FILES || taken > 5_000 && refused > 500, "{taken} and {refused}: the files say little");
}

enum Verdict {
    Taken,
    Refused,
    Split,
    Wrong(String),
}

fn judge(peers: &Peers, path: &Path, text: &str) -> Verdict {
    let ours_is = Zone::parse(text.as_bytes(), &name("example."), Role::Own);
    let bind = peers.bind("example", path);
    let knot = peers.knot("example", path);
    match (bind, knot, ours_is) {
        (Some(records), true, Ok(zone)) if ours(&zone) == records => Verdict::Taken,
        (Some(records), true, Ok(zone)) => {
            Verdict::Wrong(format!("other records: BIND {records:?}, ours {:?}", ours(&zone)))
        }
        // RFC 4592 §4.4 does not define a DNAME at a wildcard.
        (Some(_), true, Err(fault)) if fault.to_string().contains("a DNAME at the wildcard") => Verdict::Split,
        (Some(_), true, Err(fault)) => Verdict::Wrong(format!("refused, and both take it: {fault}")),
        (None, false, Err(_)) => Verdict::Refused,
        // BIND and Knot refuse a NAPTR for its regular expression, and NSD for a backslash.
        (None, false, Ok(_)) if text.to_ascii_uppercase().contains("NAPTR") => Verdict::Split,
        (None, false, Ok(_)) if !peers.nsd("example", path) => Verdict::Wrong("taken, and all refuse it".to_owned()),
        _ => Verdict::Split,
    }
}

fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    now.as_nanos() as u64
}
