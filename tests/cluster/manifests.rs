//! The reader of manifests and a real API server agree on a Pod's keys, its types, and what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use callsign::source::files::load;
use serde_json::{Value, json};

use crate::harness::cases::{ADDRESSES, HOST_ADDRESSES, REFUSED, TAKEN, annotations, with};
use crate::harness::cluster::Cluster;
use crate::harness::process::scratch;

/// The table that the program reads with.
const TABLE: &str = include_str!("../../src/source/files/pod/pod.keys");

/// How many Pods one file has, so that a load reports all their problems.
const BATCH: usize = 50;

const YAML: &str = "application/yaml";

/// The keys of each type, with their types.
type Types = BTreeMap<String, BTreeMap<String, String>>;

/// The table's two parts: the keys of the API server's version, and those of later versions.
fn table() -> [Types; 2] {
    let (now, later) = TABLE.split_once("\n\n").expect("two parts");
    [now, later].map(|part| {
        let mut types = Types::new();
        let mut name = "";
        for word in part.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace) {
            match word.split_once(':') {
                Some((key, shape)) => _ = types.entry(name.into()).or_default().insert(key.into(), shape.into()),
                None => name = word,
            }
        }
        types
    })
}

/// The API server's description of its types.
fn openapi() -> Value {
    let cluster = Cluster::shared();
    let request = http::Request::get("/openapi/v3/api/v1").body(Vec::new()).expect("a request");
    cluster.block_on(cluster.admin().request(request)).expect("its description")
}

/// The type of a value, in the table's words.
fn shape(value: &Value, todo: &mut Vec<String>) -> String {
    let value = value.get("allOf").and_then(|all| all.get(0)).unwrap_or(value);
    if let Some(name) = value["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        let short = name.rsplit('.').next().expect("a name").to_owned();
        return match &*short {
            "Time" => "time".into(),
            "Quantity" => "quantity".into(),
            "IntOrString" => "int-or-string".into(),
            "FieldsV1" => "any".into(),
            _ => {
                todo.push(name.into());
                short
            }
        };
    }
    match (value["type"].as_str(), value["format"].as_str()) {
        (Some("array"), _) => format!("[{}]", shape(&value["items"], todo)),
        (Some("object"), _) => format!("{{{}}}", shape(&value["additionalProperties"], todo)),
        (Some("boolean"), _) => "bool".into(),
        (Some("string"), None) => "string".into(),
        (Some("integer"), Some(format)) => format.into(),
        other => panic!("{other:?}"),
    }
}

/// Fails with a new version of Kubernetes until the table has its keys.
#[test]
fn the_table_of_keys_is_that_of_the_api_server() {
    let openapi = openapi();
    let schemas = &openapi["components"]["schemas"];
    let mut told = Types::new();
    let mut todo = vec!["io.k8s.api.core.v1.Pod".to_owned()];
    while let Some(name) = todo.pop() {
        let short = name.rsplit('.').next().expect("a name").to_owned();
        if told.contains_key(&short) {
            continue;
        }
        let keys = schemas[&name]["properties"].as_object().expect("its keys");
        let keys = keys.iter().map(|(key, value)| (key.clone(), shape(value, &mut todo))).collect();
        told.insert(short, keys);
    }
    let [mut now, later] = table();
    *now.get_mut("PodCondition").expect("a type").get_mut("status").expect("a key") = "string".into();
    for (name, keys) in &told {
        assert_eq!(now.get(name), Some(keys), "{name}");
    }
    let unknown: Vec<&String> = now.keys().filter(|name| !told.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for (name, keys) in &later {
        let early: Vec<&String> =
            keys.keys().filter(|key| told.get(name).is_some_and(|of| of.contains_key(*key))).collect();
        assert!(early.is_empty(), "{name} has these already: {early:?}");
    }
}

/// Sends a Pod with `dryRun`: the Pod that the API server would store, or why it refuses.
fn dry_run(method: &str, path: &str, media_type: &str, pod: &str) -> Result<Value, Box<kube::core::Status>> {
    let cluster = Cluster::shared();
    let request = http::Request::builder()
        .method(method)
        .uri(format!("/api/v1/namespaces/{path}?dryRun=All&fieldValidation=Strict"))
        .header("content-type", media_type)
        .body(pod.as_bytes().to_vec())
        .expect("a request");
    match cluster.block_on(cluster.admin().request(request)) {
        Err(kube::Error::Api(status)) => Err(status),
        other => Ok(other.expect("an answer")),
    }
}

/// Why the API server does not decode a Pod; none if it does. It may still refuse the Pod later, by its rules for values.
fn undecoded(pod: &str, media_type: &str) -> Option<String> {
    let status = dry_run("POST", "default/pods", media_type, pod).err()?;
    let is_decoded = status.code != 400 || status.message.contains("does not match the namespace");
    (!is_decoded).then_some(status.message)
}

#[test]
fn the_api_server_agrees_with_the_cases() {
    let asked = |place, fragment| undecoded(&format!("apiVersion: v1\n{}", with(place, fragment)), YAML);
    for (place, fragment, _) in REFUSED {
        let reason = asked(place, fragment).unwrap_or_else(|| panic!("it takes {fragment}"));
        assert!(reason.contains("cannot be handled as a Pod"), "{fragment}: {reason}");
    }
    for (place, fragment) in TAKEN {
        assert_eq!(asked(place, fragment), None, "{fragment}");
    }
}

#[test]
fn the_api_server_agrees_with_addresses_and_annotations() {
    let namespace = Cluster::shared().namespace("manifests");
    let pod = namespace.pod("p");
    let path = format!("{}/pods/p/status", namespace.name);
    let written = |status: &str| {
        let pod = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p, uid: {}}}\nstatus: {{{status}}}\n", pod.uid);
        dry_run("PUT", &path, YAML, &pod)
    };
    for (fragment, expected) in ADDRESSES {
        let ips = written(fragment).ok().map(|pod| {
            let ips = pod["status"]["podIPs"].as_array().expect("addresses").iter();
            ips.map(|ip| ip["ip"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
        });
        let expected = expected.map(|ips| ips.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(ips, expected, "{fragment}");
    }
    for fragment in HOST_ADDRESSES {
        assert!(written(fragment).is_err(), "{fragment}");
    }
    for (fragment, is_taken) in annotations() {
        let asked = dry_run("POST", "default/pods", YAML, &format!("apiVersion: v1\n{}", with("metadata", &fragment)));
        let start = fragment.get(..30).unwrap_or(&fragment);
        assert_eq!(asked.is_ok(), is_taken, "{start}: {:?}", asked.err());
    }
}

/// For each key of each type the shortest path to it.
fn places(types: &Types) -> BTreeMap<(String, String), Vec<String>> {
    let mut found = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut todo = std::collections::VecDeque::from([("Pod".to_owned(), Vec::<String>::new())]);
    while let Some((name, path)) = todo.pop_front() {
        if !seen.insert(name.clone()) {
            continue;
        }
        for (key, shape) in &types[&name] {
            let mut path = path.clone();
            path.push(key.clone());
            found.insert((name.clone(), key.clone()), path.clone());
            let mut inner = shape.as_str();
            while let Some(item) = inner.strip_prefix(['[', '{']) {
                path.push(if inner.starts_with('[') { "[]" } else { "{}" }.to_owned());
                inner = &item[..item.len() - 1];
            }
            if types.contains_key(inner) {
                todo.push_back((inner.to_owned(), path));
            }
        }
    }
    found
}

/// A Pod with a value at a path.
fn pod_with(name: &str, path: &[String], value: &Value) -> Value {
    let value = path.iter().rev().fold(value.clone(), |value, step| match &**step {
        "[]" => json!([value]),
        "{}" => json!({ "a": value }),
        key => json!({ key: value }),
    });
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name } });
    for (key, part) in value.as_object().expect("an object") {
        match (pod.get_mut(key), part) {
            (Some(Value::Object(fields)), Value::Object(more)) => fields.extend(more.clone()),
            _ => pod[key] = part.clone(),
        }
    }
    pod
}

/// For a value of each type at each place of a Pod, our verdict is the API server's, except for the contents of a few fields
/// that decide what is published.
#[test]
fn the_types_are_those_of_the_api_server() {
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(7.5),
        json!("x"),
        json!([]),
        json!({}),
        json!([7]),
        json!({ "a": 7 }),
    ];
    let [now, _] = table();
    let mut cases = Vec::new();
    for path in places(&now).into_values() {
        for value in &values {
            let name = format!("p{}", cases.len());
            cases.push((path.clone(), pod_with(&name, &path, value).to_string()));
        }
    }
    assert!(cases.len() > 5000, "{}", cases.len());
    let file = scratch("manifests").join("pods.yaml");
    let mut undecided = 0;
    for batch in cases.chunks(BATCH) {
        let documents: Vec<&str> = batch.iter().map(|(_, pod)| pod.as_str()).collect();
        fs::write(&file, documents.join("\n---\n")).expect("a file");
        let loaded = load(std::slice::from_ref(&file), &[], |_| {});
        assert_eq!(loaded.problems_left_out, 0);
        for ((path, pod), document) in batch.iter().zip(1..) {
            let told: Vec<_> = loaded.problems.iter().filter(|problem| problem.document == Some(document)).collect();
            if path == &["kind"] || path == &["apiVersion"] {
                continue; // without them it is not a Pod
            }
            match undecoded(pod, "application/json") {
                Some(reason) => assert!(!told.is_empty(), "taken: {pod}: {reason}"),
                None if told.iter().all(|problem| decides(&problem.reason)) => undecided += told.len(),
                None => panic!("refused: {pod}: {told:?}"),
            }
        }
    }
    assert!((1..150).contains(&undecided), "{undecided}");
}

/// Whether a fault is one of contents, which the API server decodes.
fn decides(reason: &str) -> bool {
    let parts = ["metadata.name", "status.phase is no", "status.podIP", "status.hostIP", "status.conditions["];
    let ports = ["spec.containers[0].ports[", "spec.initContainers[0].ports["];
    parts.iter().chain(&ports).any(|part| reason.starts_with(part)) && !reason.contains(" but must be ")
}
