//! No control character of a Pod reaches a terminal: every control character and every bidirectional control, through every
//! field, to every output.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::harness::process::{Process, scratch};
use crate::harness::{eventually, server::Server};

/// The fields of an annotation.
const FIELDS: [&str; 17] = [
    "interface",
    "group",
    "version",
    "protocol",
    "application",
    "method",
    "methods",
    "weight",
    "ip",
    "port",
    "enabled",
    "zone",
    "key",
    "path",
    "path-parameter",
    "path-interface",
    "consumer",
];

/// The characters that could mislead a terminal or a reader: C0, DEL, C1, line separators, and bidirectional controls.
fn hostile() -> impl Iterator<Item = char> {
    let controls = ('\0'..='\x1f').chain('\x7f'..='\u{9f}');
    controls
        .chain("\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}".chars())
        .chain('\u{202a}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}')
}

/// A Pod whose annotation has a text in a field, with a unique name.
fn pod(number: usize, field: &str, text: &str) -> serde_json::Value {
    let url = |query: &str| format!("tri://0.0.0.0:50051/x?{query}");
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let providers = |url: &str| json!([{ "k": format!("/dubbo/a.Hostile/providers/{}", encoded(url)), "v": "" }]);
    let pairs = match field {
        "path" => {
            json!([{ "k": format!("/dubbo/{text}/providers/{}", encoded(&url("interface=a.Hostile"))), "v": "" }])
        }
        "path-parameter" => providers(&url(&format!("interface=a.Hostile&{0}={0}&application={0}", encoded(text)))),
        "path-interface" => providers(&url(&format!("interface={0}&group={0}", encoded(text)))),
        "consumer" => {
            let url = format!("consumer://10.0.0.1/x?interface={0}&application={0}", encoded(text));
            json!([{ "k": format!("/dubbo/{text}/consumers/{}", encoded(&url)), "v": "" }])
        }
        "key" => json!([{ "k": "interface", "v": "a.Hostile" }, { "k": "port", "v": 1 }, { "k": text, "v": text }]),
        "interface" => json!([{ "k": "interface", "v": text }, { "k": "port", "v": 1 }]),
        "port" => json!([{ "k": "interface", "v": "a.Hostile" }, { "k": "port", "v": text }]),
        field => json!([{ "k": "interface", "v": "a.Hostile" }, { "k": "port", "v": 1 }, { "k": field, "v": text }]),
    };
    json!({ "kind": "Pod", "metadata": {
            "name": format!("pod-{number}"),
            "labels": { "app.io/label": "app.io-value" },
            "annotations": { "app.io/annotation": BASE64_STANDARD.encode(pairs.to_string()) } },
        "status": { "podIPs": [{ "ip": format!("10.8.{}.{}", number / 250, number % 250 + 1) }] } })
}

/// A Pod for each field and character, one for each field with all characters that an interface may have, and two with a
/// hostile name and namespace.
fn pods() -> Vec<serde_json::Value> {
    let mut texts: Vec<String> = hostile().map(|character| format!("a{character}[2Jb")).collect();
    texts.push(hostile().filter(|character| !character.is_control()).collect());
    texts.push(hostile().collect());
    let texts = FIELDS.iter().flat_map(|field| texts.iter().map(move |text| (field, text)));
    let mut pods: Vec<_> = texts.enumerate().map(|(number, (field, text))| pod(number, field, text)).collect();
    for part in ["name", "namespace"] {
        let mut odd = pod(pods.len(), "zone", "x");
        odd["metadata"][part] = "a\u{1b}[2J\u{9b}\u{202e}".into();
        pods.push(odd);
    }
    pods
}

/// Panics if an output has a character that a terminal obeys, except line ends.
#[track_caller]
fn assert_plain(what: &str, output: &str, shows: &str) {
    let bad: BTreeSet<char> = hostile().filter(|character| *character != '\n').collect();
    if let Some(at) = output.find(|character| bad.contains(&character)) {
        panic!("{what}: {:?}", output[at..].chars().take(80).collect::<String>());
    }
    assert!(output.contains(shows), "{what} shows nothing of it: {output:.2000}");
}

fn run(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_callsign")).args(args).env_clear().output().expect("run it");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The reply to a GET with its head, or the part of it that comes within two seconds.
fn get(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.http).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("ask");
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply); // a stream of events does not end
    String::from_utf8_lossy(&reply).replace("\r\n", "\n")
}

#[test]
fn no_text_of_a_pod_controls_a_terminal() {
    let file = scratch("hostile").join("pods.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": pods() });
    std::fs::write(&file, list.to_string()).expect("write the manifests");
    let file = file.to_str().expect("a path of UTF-8");
    let all = ["--manifests", file, "--txt-keys", "all", "--log-level", "debug", "--log-queries"];
    for format in ["text", "json"] {
        let server = Server::start(&[&all[..], &["--log-format", format]].concat());
        let http = format!("http://{}", server.http);
        // In an interface, and in published metadata: a bidirectional control is no control character.
        for (path, shows) in [
            ("/v1/interfaces?limit=5000", r"\u202e"),
            ("/v1/endpoints?limit=5000", r"\u009b"),
            ("/v1/pods?limit=5000", r"\u2066"),
            ("/v1/bad?limit=5000", "control-characters"),
            ("/v1/watch?interface=a.Hostile", r"\u009b"),
            ("/v1/endpoints?%1b%c2%9b%e2%80%ae=1", "error"),
            ("/v1/pods?limit=%1b%c2%9b%e2%80%ae", "error"),
            ("/metrics", "callsign_registrations_refused"),
            ("/readyz", "ok"),
        ] {
            assert_plain(path, &get(&server, path), shows);
        }
        let watch = Process::start(env!("CARGO_BIN_EXE_callsign"), ["watch", "a.Hostile", "--server", &http]);
        let watch_json =
            Process::start(env!("CARGO_BIN_EXE_callsign"), ["watch", "a.Hostile", "--json", "--server", &http]);
        for (what, watch) in [("watch", watch), ("watch --json", watch_json)] {
            let shown = || if watch.log().contains(r"\u009b") { Ok(()) } else { Err("nothing yet") };
            eventually(Duration::from_secs(10), shown);
            assert_plain(what, &watch.log(), r"\u202e");
        }
        for (args, shows) in [
            (&["ls"][..], r"\u202e"),
            (&["ls", "--json"], r"\u202e"),
            (&["ls", "--bad"], "control characters"),
            (&["ls", "--bad", "--json"], "control-characters"),
            (&["ls", "a\u{202e}[2Jb\u{1b}"], ""),
        ] {
            assert_plain(&format!("{args:?}"), &run(&[args, &["--server", &http]].concat()), shows);
        }
        server.dig(&["+tries=1", "SRV", r"a\027\155.default.rpc.cluster.local."]);
        std::thread::sleep(Duration::from_millis(1_100)); // until the log reports the number of refusals without a line
        assert_plain(format, &server.log(), "registration refused");
        assert_plain(format, &server.log(), "more registrations refused");
    }
    let texts = hostile().count() + 2;
    let few: Vec<_> = pods()
        .chunks(texts)
        .flat_map(|of_field| of_field.iter().skip(texts - 2).cloned().collect::<Vec<_>>())
        .collect();
    std::fs::write(file, json!({ "apiVersion": "v1", "kind": "List", "items": few }).to_string()).expect("write them");
    assert_eq!(few.len(), 2 * FIELDS.len());
    for pod in few {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        assert_plain(name, &run(&["why", name, "--manifests", file]), name);
        assert_plain(name, &run(&["why", name, "--json", "--manifests", file]), name);
        let annotation = pod["metadata"]["annotations"]["app.io/annotation"].as_str().expect("a value");
        assert_plain(name, &run(&["decode", annotation]), "");
        assert_plain(name, &run(&["decode", "--json", annotation]), "");
    }
    assert_plain("check", &run(&["check", "--manifests", file]), "control characters");
}
