//! Annotations of any bytes: TXT records stay valid (row 45 of BAD_INPUT.md). `hostile_text` tests that logs and lists stay
//! plain text.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::base::Message;
use domain::base::iana::Rtype;
use domain::rdata::Txt;
use serde_json::{Value, json};

use crate::harness::server::Server;

use super::site::{ask, manifest, text};

/// Values of published metadata, and whether TXT has them unchanged.
fn values() -> Vec<(&'static str, String, bool)> {
    vec![
        ("quotes", "a\"b\\c;d".into(), true),
        ("nul", "a\0b".into(), true),
        ("controls", "\u{1b}[2J\r\n\t\u{7f}".into(), true),
        ("bidirectional", "\u{202e}gnp.exe\u{2066}".into(), true),
        ("utf-8", "服务".into(), true),
        // `tag=` and 251 bytes are one string. With one byte more there are two.
        ("one-string", "x".repeat(251), true),
        ("two-strings", "x".repeat(252), false),
        ("64-kib", "x".repeat(65_536), false),
        ("spaces", " a  b ".into(), true),
        ("nothing", String::new(), true),
    ]
}

/// A Pod with a value as its annotation.
fn pod(name: &str, n: u8, annotation: &[u8]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": { "app.io/label": "app.io-value" },
            "annotations": { "app.io/annotation": BASE64_STANDARD.encode(annotation) },
        },
        "status": { "podIPs": [{ "ip": format!("10.244.3.{n}") }] },
    })
}

/// The strings of the only TXT record of an interface, from a reply over TCP.
fn strings(server: &Server, interface: &str) -> Vec<Vec<u8>> {
    let reply = ask(&format!("_rpc._tcp.{interface}.default.Z"), Rtype::TXT).tcp(server.dns);
    let message = Message::from_octets(&reply.wire).expect("a message");
    let mut texts = message.answer().expect("an answer").limit_to::<Txt<_>>();
    let text = texts.next().expect("a record").expect("a TXT record");
    text.data().iter().map(|string| string.to_vec()).collect()
}

#[test]
fn annotations_of_any_bytes() {
    let good = |(n, (name, value, _)): (usize, &(&str, String, bool))| {
        let pairs =
            json!([{"k": "interface", "v": format!("odd.{name}")}, {"k": "port", "v": 1}, {"k": "tag", "v": value}]);
        pod(name, n as u8 + 1, pairs.to_string().as_bytes())
    };
    let values = values();
    let mut pods: Vec<Value> = values.iter().enumerate().map(good).collect();
    let broken = [
        ("invalid-utf-8", &b"[{\"k\":\"interface\",\"v\":\"a\xff\xfe\"},{\"k\":\"port\",\"v\":1}]"[..]),
        ("binary", &[0, 1, 2, 0xff][..]),
        ("controls-in-names", b"[{\"k\":\"interface\",\"v\":\"a\\u001b[2J\\nb\"},{\"k\":\"port\",\"v\":1}]"),
    ];
    pods.extend(broken.iter().enumerate().map(|(n, (name, bytes))| pod(name, n as u8 + 100, bytes)));
    let file = manifest(&pods);
    let server = Server::start(&["--manifests", text(&file)]);
    for (name, value, is_whole) in &values {
        let strings = strings(&server, &format!("odd.{name}"));
        let wanted = format!("tag={value}").into_bytes();
        assert_eq!(strings.contains(&wanted), *is_whole, "{name}: {strings:?}");
        assert!(strings.iter().all(|string| !string.is_empty() && string.len() <= 255), "{name}");
        assert!(strings.iter().map(|string| string.len() + 1).sum::<usize>() <= 4096, "{name}: 4 KiB a record");
        assert!(strings[0].starts_with(b"pod="), "{name}: {strings:?}");
    }
    let of_two = strings(&server, "odd.two-strings");
    assert!(of_two.iter().any(|string| string.starts_with(b"tag.1=x")), "what is too long for one goes on: {of_two:?}");
    let of_64_kib = strings(&server, "odd.64-kib");
    assert!(of_64_kib.last().is_some_and(|last| last.starts_with(b"truncated=")), "{of_64_kib:?}");
    let bad = server.get("/v1/bad").1;
    for (name, _) in broken {
        assert!(bad.contains(&format!("\"{name}\"")), "{name} is not in {bad}");
    }
    // dig reads them too.
    assert_eq!(server.dig(&["TXT", "_rpc._tcp.odd.nul.default.rpc.cluster.local."]).answer.len(), 1);
}
