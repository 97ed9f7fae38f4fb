//! dnsviz checks the server: `probe` sends its queries, and `grok` reports what it finds wrong.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::harness::process::{output, scratch};
use crate::harness::server::Server;

use super::site::{Z, manifests, text};

/// The name server's address in the zones. dnsviz queries it too, at port 53, where no server may run.
const NS: &str = "127.99.99.99";

/// A static zone.
const STATIC: &str = "judged.test.";

/// The zones with names in them: a service, an empty non-terminal, an alias, an address.
const NAMES: [&str; 6] = [
    Z,
    "_tri._tcp.org.acme.greeter.default.rpc.cluster.local.",
    "acme.greeter.default.rpc.cluster.local.",
    STATIC,
    "alias.judged.test.",
    "81.0.244.10.in-addr.arpa.",
];

/// `probe`'s report on this server, queried alone and as the authority for our zones.
fn probe(server: SocketAddr) -> PathBuf {
    let file = scratch("dnsviz").join("probe.json");
    let mut args = ["probe", "-4", "-A", "-E", "-R", "SOA,NS,A,AAAA,SRV,TXT,PTR", "-o"].map(str::to_owned).to_vec();
    args.push(file.display().to_string());
    for zone in [Z, STATIC, "244.10.in-addr.arpa."] {
        // `+`: it queries no server above.
        args.extend(["-x".to_owned(), format!("{zone}+:ns.{zone}={server}")]);
    }
    // It also queries a root server to find out which networks it has. Without any, that may take long.
    args.extend(["-x".to_owned(), format!(".+:ns={server}")]);
    output("timeout", ["240", "dnsviz"].into_iter().chain(args.iter().map(String::as_str)).chain(NAMES));
    file
}

/// The codes of `grok`'s findings, and the number of names that it checked.
fn judged(probed: &Path) -> (BTreeSet<String>, usize) {
    let file = probed.display().to_string();
    let whole: Value = serde_json::from_str(&output("dnsviz", ["grok", "-l", "info", "-r", &file])).expect("JSON");
    let faults = output("dnsviz", ["grok", "-l", "warning", "-r", &file]);
    let mut codes = BTreeSet::new();
    if !faults.trim().is_empty() {
        collect_codes(&serde_json::from_str(&faults).expect("JSON"), &mut codes);
    }
    (codes, whole.as_object().map_or(0, serde_json::Map::len))
}

fn collect_codes(value: &Value, codes: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            codes.extend(fields.get("code").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_codes(value, codes));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_codes(value, codes)),
        _ => {}
    }
}

/// Checks a server and returns `probe`'s report.
#[track_caller]
fn check(args: &[&str]) -> PathBuf {
    let zones = scratch("zones");
    let zone = format!(
        "@ 5 SOA ns hostmaster 1 7200 1800 86400 5\n@ 5 NS ns\nns 5 A {NS}\nwww 5 A 192.0.2.80\nalias 5 CNAME www\n"
    );
    fs::write(zones.join("judged.test.zone"), zone).expect("write a zone");
    let ns = format!("ns={NS}");
    let own = ["--manifests", manifests(), "--zones", text(&zones), "--reverse", "10.244.0.0/16", "--ns", &ns];
    let server = Server::start(&[&own[..], args].concat());
    let probed = probe(server.dns);
    let (codes, names) = judged(&probed);
    assert_eq!(codes, BTreeSet::new());
    assert!(names >= NAMES.len(), "it looked at {names} names alone");
    probed
}

/// A change of a reply's bytes.
type Damage = fn(&mut Vec<u8>);

#[test]
fn dnsviz_finds_nothing_wrong() {
    let probed = check(&[]);
    // dnsviz notices faults: replies without AA are not authoritative, and replies without their last bytes are malformed.
    let text = fs::read_to_string(&probed).expect("what was heard");
    let damages: [(&str, Damage); 2] =
        [("NOT_AUTHORITAT", |reply| reply[2] &= !4), ("FORMERR", |reply| reply.truncate(reply.len() - 12))];
    for (code, damage) in damages {
        let mut heard: Value = serde_json::from_str(&text).expect("JSON");
        damage_replies(&mut heard, damage);
        let file = scratch("dnsviz").join("damaged.json");
        fs::write(&file, heard.to_string()).expect("write");
        let (codes, _) = judged(&file);
        assert!(codes.iter().any(|found| found.starts_with(code)), "{code} is not among {codes:?}");
    }
}

fn damage_replies(value: &mut Value, damage: Damage) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "message" => {
                        let mut reply = BASE64_STANDARD.decode(&*text).expect("a message");
                        damage(&mut reply);
                        *text = BASE64_STANDARD.encode(reply);
                    }
                    value => damage_replies(value, damage),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| damage_replies(value, damage)),
        _ => {}
    }
}

#[test]
fn dnsviz_finds_nothing_wrong_with_cookies() {
    check(&["--cookies"]);
}
