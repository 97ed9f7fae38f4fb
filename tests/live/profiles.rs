//! `deploy/profiles`: the program with each file as it stands, over the Pods of the registrar that the file is for.

use std::collections::BTreeMap;
use std::fs;

use domain::base::iana::Rtype;
use serde_json::{Value, json};

use crate::harness::process::scratch;
use crate::harness::server::Server;

use super::site::{Z, ask, data, manifest, text};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/profiles");

/// The files, with one name of each to ask for.
const FILES: [(&str, &str); 7] = [
    ("consul", "_grpc._tcp.payments.v-2-1"),
    ("dapr", "_http._tcp.nodeapp"),
    ("dubbo3", "_tri._tcp.hello-app"),
    ("openbao", "_http._tcp.openbao.g-active"),
    ("patroni", "_postgresql._tcp.batman.g-primary"),
    ("spilo", "_postgresql._tcp.acid-minimal.g-replica"),
    ("vault", "_https._tcp.vault.v-1-10-11.g-active"),
];

/// The recorded Pods, and those of `profiles.json`, that a file is for.
fn cases(file: &str) -> Vec<Value> {
    let mut cases = Vec::new();
    for text in [include_str!("../fixtures/registrars.json"), include_str!("../fixtures/profiles.json")] {
        let all: Vec<Value> = serde_json::from_str(text).expect("the fixtures");
        cases.extend(all.into_iter().filter(|case| {
            let id = case["id"].as_str().expect("an id");
            match case["registrar"].as_str() {
                None => case["profile"] == file,
                Some("patroni") => file == if id.contains("spilo") { "spilo" } else { "patroni" },
                Some(registrar) => registrar == file,
            }
        }));
    }
    cases
}

/// A case as a Pod with an address of its own.
fn pod(case: &Value, n: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": case["id"], "labels": case["labels"], "annotations": case["annotations"] },
        "spec": { "containers": [{ "name": "c", "image": "i", "ports": case["ports"] }] },
        "status": { "podIPs": [{ "ip": format!("10.244.6.{n}") }] },
    })
}

/// The SRV data that each name must have: all selectors of a registration, and its protocol.
fn expected(cases: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (n, case) in cases.iter().enumerate() {
        for one in case["expect"].as_array().expect("expectations") {
            let value = |key: &str| one[key].as_str();
            let selector = |key: &str, letter: char| {
                value(key).map(|value| format!(".{letter}-{}", value.replace('-', "--").replace('.', "-")))
            };
            let (version, group) = (selector("version", 'v'), selector("group", 'g'));
            let name = format!(
                "_{}._tcp.{}{}{}.default.Z",
                value("protocol").expect("a protocol"),
                value("interface").expect("an interface"),
                version.unwrap_or_default(),
                group.unwrap_or_default(),
            );
            names.entry(name).or_default().push(format!("0 {} {} 10-244-6-{n}.p.Z", one["weight"], one["port"]));
        }
    }
    names.values_mut().for_each(|records| records.sort());
    names
}

/// The registrations that the server refused: Pod and reason.
fn refused(server: &Server) -> Vec<(String, String)> {
    let page: Value = serde_json::from_str(&server.get("/v1/bad").1).expect("JSON");
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    let rows = page["items"].as_array().expect("items").iter();
    let mut rows: Vec<_> = rows.map(|row| (text(row, "pod"), text(row, "reason"))).collect();
    rows.sort();
    rows
}

/// dig, and the `domain` crate, read exactly the expected records, and nothing else is published or refused.
fn check(server: &Server, cases: &[Value]) {
    let names = expected(cases);
    for (name, records) in &names {
        let question = name.replace('Z', Z);
        let shown = server.dig(&["SRV", &question]);
        assert_eq!(shown.status, "NOERROR", "{name}\n{}", server.log());
        assert_eq!(data(&shown.answer), *records, "{name}");
        let reply = ask(name, Rtype::SRV).udp(server.dns);
        assert_eq!(data(&reply.answer), *records, "{name}: read by `domain`");
        assert_eq!(reply.additional.len(), records.len(), "{name}: an address for each");
    }
    let count: usize = names.values().map(Vec::len).sum();
    let metrics = server.get("/metrics").1;
    assert!(metrics.lines().any(|line| line == format!("callsign_endpoints {count}")), "{count} wanted: {metrics}");
    let reasons = |case: &Value| case["refused"].as_array().expect("reasons").clone();
    let mut wanted: Vec<(String, String)> = Vec::new();
    for case in cases {
        let id = case["id"].as_str().expect("an id");
        wanted.extend(reasons(case).iter().map(|reason| (id.into(), reason.as_str().expect("a reason").into())));
    }
    wanted.sort();
    assert_eq!(refused(server), wanted);
}

#[test]
fn each_file_serves_its_registrars_pods() {
    for (file, name) in FILES {
        let cases = cases(file);
        let pods: Vec<Value> = cases.iter().enumerate().map(|(n, case)| pod(case, n)).collect();
        let (config, pods) = (format!("{FOLDER}/{file}.toml"), manifest(&pods));
        let server = Server::start(&["--config", &config, "--manifests", text(&pods)]);
        check(&server, &cases);
        assert!(!server.dig(&["SRV", &format!("{name}.default.{Z}")]).answer.is_empty(), "{file}: {name}");
    }
}

/// As README.md says: one after the other in one file, behind the presets.
#[test]
fn the_files_are_combined_by_appending_them() {
    let mut config = fs::read_to_string(format!("{FOLDER}/callsign.toml")).expect("a file");
    let mut all = Vec::new();
    for (file, _) in FILES {
        config += &fs::read_to_string(format!("{FOLDER}/{file}.toml")).expect(file);
        // Of Dubbo's selector is every Pod with the label `app`. Only Dubbo's have its annotation.
        all.extend(cases(file));
    }
    let path = scratch("profiles").join("callsign.toml");
    fs::write(&path, config).expect("write a file");
    let mut pods: Vec<Value> = all.iter().enumerate().map(|(n, case)| pod(case, n)).collect();
    pods.push(super::site::pod("greeter", std::net::Ipv4Addr::new(10, 244, 7, 1), "interface=org.acme.Greeter port=1"));
    let pods = manifest(&pods);
    let server = Server::start(&["--config", text(&path), "--manifests", text(&pods)]);
    let greeter = server.dig(&["SRV", &format!("_rpc._tcp.org.acme.greeter.default.{Z}")]);
    assert_eq!(greeter.answer.len(), 1, "the presets of callsign.toml");
    let names = expected(&all);
    for (name, records) in &names {
        assert_eq!(data(&server.dig(&["SRV", &name.replace('Z', Z)]).answer), *records, "{name}");
    }
}
