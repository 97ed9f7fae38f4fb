//! Odd ways to write a zone, one by one: callsign accepts texts that BIND, Knot and NSD all accept, with BIND's records, and
//! refuses texts that all refuse.
//!
//! `odd.txt` has a text between two lines of `---`. Each follows the head of a zone, in a folder with a file to include.

use std::fmt::Write;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::name;
use super::peers::{Peers, ours};
use callsign::zones::Zones;

const HEAD: &str = "$TTL 300\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n";

/// The content of the file for `$INCLUDE included`.
const INCLUDED: &str = "here A 192.0.2.6\n$ORIGIN deep\n\tAAAA 2001:db8::6\nthere TXT \"t\"\n";

/// The number of threads: the processors of a small machine.
const THREADS: usize = 2;

const SMALLEST_TTL: &str =
    "records of one set with several TTLs have the smallest (RFC 2181 §5.2), not that of the first";
const SIGNED: &str = "signed zones are not served";
const NEWER: &str = "the registry names it, and newer versions of the others know it";
const UNKNOWN_DATA: &str = "a type without a text form here: its bytes are not looked at";

/// The texts that callsign judges differently from all peers, and why.
const EXCEPTIONS: [(&str, &str); 17] = [
    ("w TXT x\n  60 TXT y", SMALLEST_TTL),
    ("w TXT x\n 60 IN TXT y", SMALLEST_TTL),
    ("w TXT x\n$TTL 5\n TXT y", SMALLEST_TTL),
    ("w 6 TXT a\nw 5 TXT b", SMALLEST_TTL),
    ("w CNAME a\nw CNAME A", "of one record in two spellings the first is kept, and not the last"),
    ("* DNAME a", "RFC 4592 §4.4 leaves open what it means"),
    ("w RRSIG A 8 2 300 20300101000000 20200101000000 1 example. AQID", SIGNED),
    ("w NSEC a A", SIGNED),
    ("w NSEC3 1 0 1 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A", SIGNED),
    ("w NSEC3PARAM 1 0 1 -", SIGNED),
    ("@ NSEC3PARAM 1 0 1 -", SIGNED),
    ("w HIP \\# 4 00020001", UNKNOWN_DATA),
    ("w SIG \\# 1 00", UNKNOWN_DATA),
    ("w ATMA \\# 1 00", NEWER),
    ("w SINK \\# 1 00", NEWER),
    ("w CSYNC 66 3 NXNAME", NEWER),
    ("w HTTPS 1 . ohttp", NEWER),
];

/// The number of texts that all peers accept, and that all refuse.
#[derive(Default)]
struct Counts {
    taken: AtomicUsize,
    refused: AtomicUsize,
}

#[test]
fn odd_texts_are_read_as_the_peers_read_them() {
    let texts: Vec<&str> = include_str!("odd.txt").split("\n---\n").collect();
    let counts = Counts::default();
    let wrong: String = thread::scope(|scope| {
        let threads: Vec<_> = texts
            .chunks(texts.len().div_ceil(THREADS))
            .enumerate()
            .map(|(thread, texts)| {
                let counts = &counts;
                scope.spawn(move || judge(&Peers::new(&format!("odd-{thread}")), texts, counts))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    let [taken, refused] = [counts.taken, counts.refused].map(AtomicUsize::into_inner);
    println!("{taken} taken and {refused} refused by all, of {}", texts.len());
    assert!(wrong.is_empty(), "{wrong}");
    assert!(taken > 300 && refused > 200, "{taken} and {refused}: the texts say little");
}

/// Reports the texts that callsign reads differently from all peers.
fn judge(peers: &Peers, texts: &[&str], counts: &Counts) -> String {
    let path = peers.folder().join("example.zone");
    fs::write(peers.folder().join("included"), INCLUDED).expect("a file");
    let mut wrong = String::new();
    for text in texts {
        fs::write(&path, format!("{HEAD}{text}\n")).expect("a file");
        let bind = peers.bind("example", &path);
        let (knot, nsd) = (peers.knot("example", &path), peers.nsd("example", &path));
        let (zones, errors) = Zones::load(peers.folder(), name("pods."));
        let zone = zones.iter().next().map(|zone| ours(zone));
        let (count, is_same) = match (&bind, knot, nsd) {
            (Some(_), true, true) => (&counts.taken, zone == bind),
            (None, false, false) => (&counts.refused, zone.is_none()),
            _ => continue, // they do not agree
        };
        count.fetch_add(1, Ordering::Relaxed);
        if is_same == EXCEPTIONS.iter().any(|(exception, _)| exception == text) {
            let _ = writeln!(wrong, "{text}\nothers {bind:?}\nours {zone:?} {errors:?}\n");
        }
    }
    wrong
}
