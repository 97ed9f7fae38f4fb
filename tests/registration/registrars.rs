//! Pods that other registrars, charts and people have written: recorded ones (`tests/fixtures/registrars.json`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use callsign::registration::{
    ContainerPort, Decoded, Encoding, MappingTable, PRESETS, ProfileText, Registration, decode,
};
use callsign::source::selector::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    #[serde(default)]
    registrar: String,
    /// A preset, the keys of a table, or in `profiles.json` a file of `deploy/profiles`.
    profile: Value,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<IpAddr>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    ports: Vec<Port>,
    expect: Vec<Expected>,
    refused: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    #[serde(default)]
    name: String,
    container_port: u16,
    protocol: Option<String>,
}

/// A registration that may be published.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    interface: String,
    group: Option<String>,
    version: Option<String>,
    protocol: String,
    port: u16,
    weight: u16,
    /// Without the weight.
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    methods: Vec<String>,
}

/// A profile's selector, annotation and encoding: a preset, or the keys of a table.
fn profile_of(profile: &Value) -> (LabelSelector, Option<String>, Encoding) {
    if let Some(name) = profile.as_str() {
        let preset = PRESETS.iter().find(|preset| preset.name == name).expect("a preset");
        return (preset.selector.parse().unwrap(), preset.annotation.map(String::from), preset.encoding());
    }
    let mut keys = profile.as_object().unwrap().clone();
    let mut text = |key: &str| keys.remove(key).map(|value| value.as_str().unwrap().to_owned());
    let _name = text("name");
    let (encoding, selector, annotation) = (text("encoding"), text("selector").unwrap(), text("annotation"));
    let is_plain = keys.remove("plain").is_some_and(|plain| plain == true);
    let table: MappingTable = serde_json::from_value(keys.into()).unwrap();
    let encoding = Encoding::parse(encoding.as_deref(), annotation.as_deref(), is_plain, &table).unwrap();
    (selector.parse().unwrap(), annotation, encoding)
}

/// What a source hands over of a Pod.
fn text_of(case: &Case, annotation: Option<&str>, encoding: &Encoding) -> ProfileText {
    let pairs = |pairs: &'_ BTreeMap<String, String>| -> Vec<(String, String)> { pairs.clone().into_iter().collect() };
    let (labels, annotations) = (pairs(&case.labels), pairs(&case.annotations));
    let is_tcp = |port: &&Port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
    let ports = case.ports.iter().filter(is_tcp);
    let ports = ports.map(|port| ContainerPort { name: port.name.as_str().into(), number: port.container_port });
    ProfileText::of(
        annotation,
        &encoding.wanted(),
        labels.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        ports,
    )
}

fn published(decoded: &Decoded, pod_ips: &[IpAddr]) -> Vec<Expected> {
    let is_published =
        |one: &&Registration| one.enabled && one.address.is_none_or(|address| pod_ips.contains(&address));
    let text = |text: &str| text.to_owned();
    let mut published: Vec<Expected> = decoded
        .registrations
        .iter()
        .filter(is_published)
        .map(|one| Expected {
            interface: text(&one.interface),
            group: one.group.as_deref().map(text),
            version: one.version.as_deref().map(text),
            protocol: text(&one.protocol),
            port: one.port,
            weight: one.weight,
            metadata: one
                .metadata
                .pairs
                .iter()
                .filter(|(key, _)| *key != "weight")
                .map(|(key, value)| (text(key), text(value)))
                .collect(),
            methods: one.metadata.methods.iter().map(|method| text(method)).collect(),
        })
        .collect();
    published.sort();
    published
}

#[test]
fn recorded_pods() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/registrars.json")).unwrap();
    assert!(cases.len() >= 41);
    let mut passed: BTreeMap<String, usize> = BTreeMap::new();
    for mut case in cases {
        let (selector, annotation, encoding) = profile_of(&case.profile);
        let decoded = match selector.matches(&case.labels) {
            true => decode(&text_of(&case, annotation.as_deref(), &encoding), &encoding),
            false => Decoded::default(),
        };
        case.expect.sort();
        assert_eq!(published(&decoded, &case.pod_ips), case.expect, "{}: {:?}", case.id, decoded.problems);
        let refused: Vec<&str> = decoded.problems.iter().map(|problem| problem.reason.kind()).collect();
        assert_eq!(refused, case.refused, "{}", case.id);
        *passed.entry(case.profile.as_str().unwrap_or("a table").to_owned()).or_default() += 1;
    }
    println!("{passed:?}");
}

/// The file of `deploy/profiles` that reads a recorded Pod.
fn file_of(case: &Case) -> Option<&str> {
    match (&*case.registrar, &case.profile) {
        ("", profile) => profile.as_str(),
        ("patroni", _) if case.id.contains("spilo") => Some("spilo"),
        (registrar @ ("vault" | "openbao" | "patroni" | "consul" | "dubbo3"), _) => Some(registrar),
        _ => None,
    }
}

/// What the tables of a file register and refuse.
fn read_by_file(file: &str, case: &Case) -> (Vec<Expected>, Vec<&'static str>) {
    let path = format!("{}/deploy/profiles/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let tables: Value = toml::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path);
    let (mut registered, mut refused) = (Vec::new(), Vec::new());
    for table in tables["profile"].as_array().expect(&path) {
        let (selector, annotation, encoding) = profile_of(table);
        if selector.matches(&case.labels) {
            let decoded = decode(&text_of(case, annotation.as_deref(), &encoding), &encoding);
            registered.extend(published(&decoded, &case.pod_ips));
            refused.extend(decoded.problems.iter().map(|problem| problem.reason.kind()));
        }
    }
    registered.sort();
    (registered, refused)
}

/// Each file reads what its registrar has written, whatever the mapping is that the recorded Pod comes with.
#[test]
fn the_files_of_deploy_read_their_registrars_pods() {
    let mut cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/registrars.json")).unwrap();
    cases.extend(serde_json::from_str::<Vec<Case>>(include_str!("../fixtures/profiles.json")).unwrap());
    let mut passed: BTreeMap<String, usize> = BTreeMap::new();
    for case in &mut cases {
        case.expect.sort();
        let Some(file) = file_of(case) else { continue };
        let (registered, refused) = read_by_file(file, case);
        assert_eq!((&registered, &refused[..]), (&case.expect, &as_str(&case.refused)[..]), "{}", case.id);
        *passed.entry(file.to_owned()).or_default() += 1;
    }
    println!("{passed:?}");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/profiles");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let names = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let names: std::collections::BTreeSet<String> = names.filter(|name| name != "callsign").collect();
    assert!(names.iter().eq(passed.keys()), "each file has its Pods: {names:?}");
}

fn as_str(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// A registrar's heartbeat, and the position in a log that Patroni writes each second, are no change.
#[test]
fn a_text_has_only_what_the_profile_names() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/registrars.json")).unwrap();
    for mut case in cases {
        let (_, annotation, encoding) = profile_of(&case.profile);
        let before = text_of(&case, annotation.as_deref(), &encoding);
        case.annotations.insert("status".into(), "{\"xlog_location\":67109113}".into());
        case.annotations.insert("example.com/heartbeat".into(), "7".into());
        case.labels.insert("pod-template-hash".into(), "6b7f".into());
        case.labels.insert("kratos-service-id".into(), "another".into());
        let after = text_of(&case, annotation.as_deref(), &encoding);
        assert_eq!(after, before, "{}", case.id);
    }
}
