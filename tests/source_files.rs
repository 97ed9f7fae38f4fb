//! Manifests: what is read of them, what is told of what cannot be, and how changes arrive.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callsign::source::files::{FileProblem, Loaded, ManifestPod, Manifests, load};
use callsign::source::health::SourceHealth;
use callsign::source::{Arrival, Change, Phase, Profile};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// A folder of its own for each test, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("callsign-files-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        // As a careful writer does it: nobody sees half a file.
        let draft = self.0.join(".draft");
        fs::write(&draft, text).expect("a file");
        fs::rename(&draft, &path).expect("a file");
        path
    }

    fn load(&self) -> Held {
        Held::load(std::slice::from_ref(&self.0))
    }
}

/// What files hold, and their Pods by uid, for the profiles `app` and `all`.
struct Held {
    loaded: Loaded,
    pods: Vec<ManifestPod>,
}

impl Held {
    fn load(paths: &[PathBuf]) -> Held {
        let profiles = [profile("app", "app.io/label=app.io-value"), profile("all", "")];
        let mut pods = BTreeMap::new();
        let loaded = load(paths, &profiles, |found| _ = pods.insert(found.pod.uid.clone(), found));
        assert_eq!(loaded.pods, pods.len());
        Held { loaded, pods: pods.into_values().collect() }
    }

    fn problems(&self) -> &[FileProblem] {
        &self.loaded.problems
    }

    fn ignored(&self) -> String {
        self.loaded.ignored.to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pod(name: &str) -> String {
    format!(
        "kind: Pod\nmetadata:\n  name: {name}\n  labels: {{app.io/label: app.io-value}}\n  annotations: {{app.io/annotation: W10=}}\n\
         status: {{podIP: 10.0.0.1}}\n"
    )
}

fn names(held: &Held) -> Vec<&str> {
    held.pods.iter().map(|found| &*found.pod.uid).collect()
}

/// The problems of a file's text: document, line, reason.
fn problems(text: &str) -> Vec<(Option<usize>, Option<u64>, String)> {
    let folder = Folder::new("problems");
    folder.write("a.yaml", text);
    folder.load().loaded.problems.into_iter().map(|problem| (problem.document, problem.line, problem.reason)).collect()
}

#[test]
fn fills_in_what_a_manifest_need_not_say() {
    let folder = Folder::new("defaults");
    folder.write("a.yaml", &pod("p"));
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems(), &*loaded.ignored()), (vec!["default/p"], &[][..], "none"));
    let found = &loaded.pods[0];
    assert_eq!((&*found.pod.namespace, &*found.pod.name), ("default", "p"));
    assert!(found.pod.status.ready && found.pod.status.phase == Phase::Running);
    assert_eq!(found.pod.status.pod_ips[..], ["10.0.0.1".parse::<std::net::IpAddr>().expect("an address")]);
    assert_eq!(found.told, [(0, Some("W10=".into())), (1, None)]);
    assert_eq!(found.pod.annotation, None);
}

#[test]
fn believes_what_a_manifest_does_say() {
    let folder = Folder::new("said");
    folder.write(
        "a.yaml",
        "kind: Pod\nmetadata: {name: p, namespace: 'n', uid: u, deletionTimestamp: 2024-01-02T03:04:05Z}\nspec: {hostNetwork: true}\n\
         status: {phase: Failed, conditions: [{type: Ready, status: 'False'}], startTime: '2024-01-02T03:04:05Z'}",
    );
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems()), (vec!["u"], &[][..]));
    let status = &loaded.pods[0].pod.status;
    assert!(!status.ready && status.terminating && status.host_network);
    assert_eq!((status.phase, status.start_time), (Phase::Failed, Some(1_704_164_645)));
}

#[test]
fn finds_pods_wherever_they_stand() {
    let json = |name: &str| format!(r#"{{"kind":"Pod","metadata":{{"name":"{name}"}}}}"#);
    let bare = r#"{"metadata":{"name":"bare"}}"#;
    let service = r#"{"kind":"Service","metadata":{"name":"s"}}"#;
    let cases: [(&str, String, &[&str], &str); 9] = [
        ("a.yaml", format!("---\n{}---\n{}", pod("p"), pod("q")), &["default/p", "default/q"], "none"),
        ("b.yml", format!("# nothing\n---\n---\n{}\n---\n", pod("p")), &["default/p"], "none"),
        ("c.yaml", format!("{}---\nkind: Service\nmetadata: {{name: p}}\n", pod("p")), &["default/p"], "1 Service"),
        ("d.json", json("p"), &["default/p"], "none"),
        ("e.json", format!("{}\n{}", json("p"), json("q")), &["default/p", "default/q"], "none"),
        ("f.json", format!(r#"{{"kind":"List","items":[{},{service}]}}"#, json("p")), &["default/p"], "1 Service"),
        (
            "g.json",
            format!(r#"{{"kind":"PodList","items":[{},{bare},{service}]}}"#, json("p")),
            &["default/bare", "default/p"],
            "1 Service",
        ),
        ("h.yaml", "kind: List\nitems:\n- kind: Pod\n  metadata: {name: p}\n".to_owned(), &["default/p"], "none"),
        ("i.txt", json("p"), &[], "none"),
    ];
    for (name, text, uids, ignored) in cases {
        let folder = Folder::new("wherever");
        folder.write(name, &text);
        let loaded = folder.load();
        assert_eq!((names(&loaded), &*loaded.ignored()), (uids.to_vec(), ignored), "{name}: {:?}", loaded.problems());
        assert_eq!(loaded.problems(), [], "{name}");
    }
}

#[test]
fn a_problem_names_its_place_and_keeps_the_rest() {
    let good = pod("p");
    let long = "x".repeat(254);
    let cases = [
        (format!("{good}---\nkind: Pod\n"), Some(2), None, "without a name"),
        (format!("{good}---\nkind: Pod\nmetadata: {{name: A}}\n"), Some(2), None, "metadata.name"),
        (format!("{good}---\nkind: Pod\nmetadata: {{name: a..b}}\n"), Some(2), None, "metadata.name"),
        (format!("{good}---\nkind: Pod\nmetadata: {{name: {long}}}\n"), Some(2), None, "metadata.name"),
        (format!("{good}---\nkind: Pod\nmetadata: {{name: a, namespace: b.c}}\n"), Some(2), None, "metadata.namespace"),
        (format!("{good}---\nmetadata: {{name: a}}\n"), Some(2), None, "without a kind"),
        (format!("{good}---\n- a\n"), Some(2), None, "not a Kubernetes object"),
        (format!("{good}---\nkind: List\nitems: [7]\n"), Some(2), None, "no object"),
    ];
    for (text, document, line, reason) in cases {
        let found = problems(&text);
        assert!(
            matches!(&found[..], [(d, l, r)] if *d == document && *l == line && r.contains(reason)),
            "{text}: {found:?}"
        );
        let folder = Folder::new("rest");
        folder.write("a.yaml", &text);
        assert_eq!(names(&folder.load()), ["default/p"], "{text}");
    }
    let name = "x".repeat(253);
    assert_eq!(problems(&format!("kind: Pod\nmetadata: {{name: {name}}}\n")), []);
}

/// What the API server refuses is refused, with the field and what to write; the Pod is published nowhere.
#[test]
fn a_value_that_the_api_server_refuses_is_told_with_its_field() {
    let long = format!("labels: {{a: {}}}", "x".repeat(64));
    let metadata = [
        ("namespace: 123", "metadata.namespace is a number, and a string is due: write \"123\""),
        ("namespace: 1e3", "metadata.namespace is a number"),
        ("namespace: 0x1f", "metadata.namespace is a number"),
        ("namespace: true", "metadata.namespace is a boolean, and a string is due: write \"true\""),
        ("namespace: no", "metadata.namespace is a boolean, and a string is due: write \"false\""),
        ("namespace: null", "metadata.namespace is null"),
        ("namespace: ~", "metadata.namespace is null"),
        ("namespace: [a]", "metadata.namespace is a list"),
        ("namespace: a.b", "metadata.namespace is not a DNS label"),
        ("namespace: A", "metadata.namespace is not a DNS label"),
        ("namespace: ' '", "metadata.namespace is not a DNS label"),
        ("namespace: a/b", "metadata.namespace is not a DNS label"),
        ("uid: 123", "metadata.uid is a number, and a string is due: write \"123\""),
        ("uid: false", "metadata.uid is a boolean"),
        ("resourceVersion: 7", "metadata.resourceVersion is a number"),
        ("labels: {app.io/label: true}", "metadata.labels[\"app.io/label\"] is a boolean"),
        (
            "labels: {app.io/label: 1.5}",
            "metadata.labels[\"app.io/label\"] is a number, and a string is due: write \"1.5\"",
        ),
        ("labels: {other: 7}", "metadata.labels[\"other\"] is a number"),
        ("labels: {other: }", "metadata.labels[\"other\"] is null"),
        ("labels: {other: {a: b}}", "metadata.labels[\"other\"] is an object"),
        ("labels: {other: a b}", "metadata.labels[\"other\"] has a value that is none of a label"),
        (&long, "metadata.labels[\"a\"] has a value"),
        ("labels: {a b: c}", "metadata.labels[\"a b\"] has a key that is none"),
        ("labels: [a]", "metadata.labels is a list, and an object is due"),
        ("annotations: {app.io/annotation: 7}", "metadata.annotations[\"app.io/annotation\"] is a number"),
        ("annotations: {other: yes}", "metadata.annotations[\"other\"] is a boolean"),
        ("annotations: text", "metadata.annotations is a string, and an object is due"),
        ("deletionTimestamp: 7", "metadata.deletionTimestamp is a number"),
        ("deletionTimestamp: yesterday", "metadata.deletionTimestamp is no time"),
    ];
    let status = [
        ("phase: true", "status.phase is a boolean"),
        ("phase: 1", "status.phase is a number"),
        ("phase: running", "status.phase is no phase of a Pod: write \"Pending\", \"Running\""),
        ("podIP: 10", "status.podIP is a number"),
        ("podIP: 10.0", "status.podIP is a number"),
        ("podIP: 10.0.0.1/24", "status.podIP is an address with a prefix: write \"10.0.0.1\""),
        ("podIP: 'fd00::1/64'", "status.podIP is an address with a prefix: write \"fd00::1\""),
        ("podIP: 10.0.0.256", "status.podIP is no address"),
        ("podIP: 010.0.0.1", "status.podIP is no address"),
        ("podIP: 'fe80::1%eth0'", "status.podIP is no address"),
        ("podIP: localhost", "status.podIP is no address"),
        ("podIPs: [{ip: 10.0.0.1/24}]", "status.podIPs[0].ip is an address with a prefix: write \"10.0.0.1\""),
        ("podIPs: [{ip: 10.0.0.1}, {ip: 7}]", "status.podIPs[1].ip is a number"),
        ("podIPs: [10.0.0.1]", "status.podIPs[0] is a string, and an object is due: write {ip: "),
        ("podIPs: {ip: 10.0.0.1}", "status.podIPs is an object, and a list is due"),
        ("hostIP: 10.0.0.1/8", "status.hostIP is an address with a prefix"),
        ("hostIPs: [{ip: x}]", "status.hostIPs[0].ip is no address"),
        (
            "conditions: [{type: Ready, status: True}]",
            "status.conditions[0].status is a boolean, and a string is due: write \"True\"",
        ),
        (
            "conditions: [{type: Ready, status: no}]",
            "status.conditions[0].status is a boolean, and a string is due: write \"False\"",
        ),
        ("conditions: [{type: Ready, status: 'true'}]", "status.conditions[0].status is none: write \"True\""),
        ("conditions: [{type: 1, status: 'True'}]", "status.conditions[0].type is a number"),
        ("conditions: [Ready]", "status.conditions[0] is a string, and an object is due"),
        ("conditions: Ready", "status.conditions is a string, and a list is due"),
        ("startTime: 7", "status.startTime is a number"),
        ("startTime: 2024-01-02", "status.startTime is no time"),
    ];
    let others = [
        ("kind: Pod\nmetadata: {name: 7}", "metadata.name is a number, and a string is due: write \"7\""),
        ("kind: Pod\nmetadata: {name: on}", "metadata.name is a boolean"),
        ("kind: Pod\nmetadata: {name: p_q}", "metadata.name is not a DNS subdomain"),
        ("kind: Pod\nmetadata: null", "metadata.name is missing"),
        ("kind: Pod\nmetadata: p", "metadata is a string, and an object is due"),
        ("kind: 7\nmetadata: {name: p}", "kind is a number"),
        ("kind: true\nmetadata: {name: p}", "kind is a boolean"),
        ("kind: \nmetadata: {name: p}", "kind is null"),
        ("kind: 'Po d'\nmetadata: {name: p}", "kind is none"),
        ("apiVersion: 1\nkind: Pod\nmetadata: {name: p}", "apiVersion is a number"),
        ("apiVersion: apps/v1\nkind: Pod\nmetadata: {name: p}", "apiVersion is not that of a Pod: write \"v1\""),
        (
            "kind: Pod\nmetadata: {name: p}\nspec: {hostNetwork: 'true'}",
            "spec.hostNetwork is a string, and a boolean is due",
        ),
        ("kind: Pod\nmetadata: {name: p}\nstatus: []", "status is a list, and an object is due"),
        ("kind: Pod\nmetadata: {name: p, name: q}", "not YAML: "),
        ("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":123}}", "metadata.namespace is a number"),
        ("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"name\":\"q\"}}", "not JSON: a key stands twice"),
        ("kind: List\nitems:\n- kind: Pod\n  metadata: {name: p, uid: 7}", "items[0].metadata.uid is a number"),
    ];
    let metadata = metadata.map(|(field, reason)| (format!("kind: Pod\nmetadata: {{name: p, {field}}}"), reason));
    let status =
        status.map(|(field, reason)| (format!("kind: Pod\nmetadata: {{name: p}}\nstatus: {{{field}}}"), reason));
    let others = others.map(|(text, reason)| (text.to_owned(), reason));
    for (text, reason) in metadata.into_iter().chain(status).chain(others) {
        let folder = Folder::new("strict");
        folder.write("a.yaml", &format!("{}---\n{text}\n", pod("default-p")));
        let held = folder.load();
        let [problem] = held.problems() else { panic!("{text}: {:?}", held.problems()) };
        assert_eq!(problem.document, Some(2), "{text}: {problem}");
        assert!(problem.reason.starts_with(reason), "{text}: {problem}");
        assert!(problem.file.ends_with("a.yaml"), "{problem:?}");
        assert_eq!(names(&held), ["default/default-p"], "{text}");
    }
}

/// What looks like a number and stands in quotes is a string, and what the API server fills in may be null.
#[test]
fn what_the_api_server_takes_is_taken() {
    let texts = [
        "kind: Pod\nmetadata: {name: '7', namespace: '123', uid: \"123\", labels: {a: 'true', b.c/d: ''}}",
        "kind: Pod\nmetadata: {name: !!str 7, namespace: !!str 123, uid: !!str 123}",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: '7', namespace: '123', uid: '123', creationTimestamp: null}\nspec: {}\nstatus: {}",
        "kind: Pod\nmetadata: {name: '7', namespace: '123', uid: '123', labels: null, deletionTimestamp: null}\nspec: null\nstatus: null",
        "kind: Pod\nmetadata: {name: '7', namespace: '123', uid: '123'}\nstatus: {podIP: '', podIPs: [], conditions: [], startTime: null}",
    ];
    for text in texts {
        let folder = Folder::new("lenient");
        folder.write("a.yaml", text);
        let held = folder.load();
        assert_eq!((names(&held), held.problems()), (vec!["123"], &[][..]), "{text}");
        assert_eq!((&*held.pods[0].pod.namespace, &*held.pods[0].pod.name), ("123", "7"), "{text}");
    }
}

/// Streams as tools write them and as people join them.
#[test]
fn real_streams_are_read() {
    let json = |name: &str| format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\"}}}}");
    let pretty =
        |name: &str| format!("{{\n  \"kind\": \"Pod\",\n  \"metadata\": {{\n    \"name\": \"{name}\"\n  }}\n}}\n");
    let flow = |name: &str| format!("{{kind: Pod, metadata: {{name: {name}}}}}");
    let (p, q, r) = ("default/p", "default/q", "default/r");
    let cases: Vec<(&str, String, Vec<&str>, &str)> = vec![
        ("flow", flow("p"), vec![p], "none"),
        ("flow, documents", format!("{}\n---\n{}\n", flow("p"), flow("q")), vec![p, q], "none"),
        ("flow behind the marker", format!("--- {}\n--- {}\n", flow("p"), flow("q")), vec![p, q], "none"),
        ("flow over lines", "{kind: Pod, # a brace: }\n metadata: {name: p,\n annotations: {a: '}'}},}\n---\n{kind: Pod, metadata: {name: q}}".into(), vec![p, q], "none"),
        ("flow with JSON's quotes", "{\"kind\": Pod, \"metadata\": {\"name\": p}}\n---\n".to_owned() + &json("q"), vec![p, q], "none"),
        ("JSON, one behind another", format!("{}{}\n{}", json("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("JSON between separators", format!("{}\n---\n{}\n---\n", json("p"), json("q")), vec![p, q], "none"),
        ("pretty JSON, one behind another", pretty("p") + &pretty("q"), vec![p, q], "none"),
        ("both", format!("{}\n---\n{}---\n{}", pretty("p"), pod("q"), flow("r")), vec![p, q, r], "none"),
        ("YAML and then JSON", format!("{}---\n{}{}", pod("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("comments", format!("# a\n\n---\n# b\n{}\n# c\n---\n  # d\n{}# e\n", json("p"), pod("q")), vec![p, q], "none"),
        ("empty documents", format!("---\n---\n...\n---\n{}---\n---\n# c\n---\n~\n", pod("p")), vec![p], "none"),
        ("ends of documents", format!("{}...\n---\n{}...\n{}...\n", pod("p"), pod("q"), pod("r")), vec![p, q, r], "none"),
        ("directives", format!("%YAML 1.2\n---\n{}...\n%YAML 1.1\n---\n{}", pod("p"), pod("q")), vec![p, q], "none"),
        ("separators with blanks", format!("--- \n{}---\t# c\n{}", pod("p"), pod("q")), vec![p, q], "none"),
        ("no separator in a text", format!("{}x: |\n   --- no\n   ---\n---\n{}", pod("p"), pod("q")), vec![p, q], "none"),
        ("indented", "  kind: Pod\n  metadata:\n    name: p\n".to_owned(), vec![p], "none"),
        ("a mark before YAML", format!("\u{feff}{}", pod("p")), vec![p], "none"),
        ("a mark before JSON", format!("\u{feff}{}\u{feff}{}\n\u{feff}{}", json("p"), json("q"), json("r")), vec![p, q, r], "none"),
        ("marks before separators", format!("\u{feff}---\n{}\u{feff}---\n{}---\n\u{feff}{}", pod("p"), pod("q"), json("r")), vec![p, q, r], "none"),
        ("a list in a list", format!("{{\"kind\":\"List\",\"items\":[{},{{\"kind\":\"List\",\"items\":[{},{{\"kind\":\"PodList\",\"items\":[{{\"metadata\":{{\"name\":\"r\"}}}}]}}]}}]}}", json("p"), json("q")), vec![p, q, r], "none"),
        ("a list in a list, YAML", "kind: List\nitems:\n- kind: List\n  items:\n  - {kind: Pod, metadata: {name: p}}\n  - {kind: Job}\n- {kind: Pod, metadata: {name: q}}\n".to_owned(), vec![p, q], "1 Job"),
        ("an empty list", "kind: List\nitems: []\n---\nkind: PodList\nitems: null\n---\nkind: List\n".to_owned(), vec![], "none"),
        ("aliases that multiply a text", format!("kind: List\nitems:\n- {{kind: Pod, metadata: {{name: p, annotations: &a {{x: {}}}}}}}\n- {{kind: Pod, metadata: {{name: q, annotations: *a}}}}\n- {{kind: Pod, metadata: {{name: r, annotations: *a}}}}\n", "y".repeat(2_000)), vec![p, q, r], "none"),
        ("other kinds", format!("kind: Service\n---\nkind: Deployment\n---\n{}---\n{{\"kind\":\"Deployment\"}}{{\"kind\":\"Deployment\"}}", pod("p")), vec![p], "3 Deployment, 1 Service"),
        ("anchors", "kind: Pod\nmetadata: {name: p, labels: &l {a: b}, annotations: *l}\n---\nkind: Pod\nmetadata: {name: q}\n".to_owned(), vec![p, q], "none"),
    ];
    for (name, text, uids, ignored) in &cases {
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let powershell: Vec<u8> =
            format!("\u{feff}{}", text.replace('\n', "\r\n")).encode_utf16().flat_map(u16::to_le_bytes).collect();
        let encodings = [
            ("UTF-8", text.as_bytes().to_vec()),
            ("CRLF", text.replace('\n', "\r\n").into_bytes()),
            ("UTF-16, little", little.clone()),
            ("UTF-16, big", big.clone()),
            ("UTF-16, little, marked", [&[0xff, 0xfe][..], &little].concat()),
            ("UTF-16, big, marked", [&[0xfe, 0xff][..], &big].concat()),
            ("PowerShell", powershell),
        ];
        for (encoding, bytes) in encodings {
            let folder = Folder::new("streams");
            fs::write(folder.0.join("a.yaml"), bytes).expect("a file");
            let held = folder.load();
            assert_eq!(held.problems(), [], "{name}, {encoding}");
            assert_eq!((names(&held), &*held.ignored()), (uids.clone(), *ignored), "{name}, {encoding}");
        }
    }
}

/// A document that is broken is told of, and those around it stand.
#[test]
fn a_broken_document_loses_no_other() {
    let json = |name: &str| format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\"}}}}");
    let (p, q) = (json("p"), json("q"));
    let cases = [
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}},,}}\n{q}\n"),
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}}\n{q}\n"),
        format!("{p}\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b}}}}\n{q}\n"),
        format!("{p}\n---\n{{\"kind\":\"Pod\",\"metadata\":{{\"na\n---\n{q}\n"),
        format!("{p}\n---\n{{kind: Pod, metadata: {{name: [}}\n---\n{q}\n"),
        format!("{p}\n---\nkind: Pod\nmetadata: [\n---\n{q}\n"),
        format!("{p}\n---\nkind: Pod\n\tmetadata: x\n---\n{q}\n"),
        format!("{p}\n---\ntext\n---\n{q}\n"),
        format!("{p}}}\n---\n{q}"),
        format!(
            "{p}\n{{\"kind\":\"Service\",\"kind\":\"Service\",\"metadata\":\n{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}}}}\n}}\n{q}\n"
        ),
        format!("{p}\n---\nkind: List\nitems: {{}}\n---\n{q}\n"),
        format!("{p}\n---\nkind: List\nitems: [[]]\n---\n{q}\n"),
    ];
    for text in cases {
        let folder = Folder::new("between");
        folder.write("a.json", &text);
        let held = folder.load();
        assert_eq!(names(&held), ["default/p", "default/q"], "{text}: {:?}", held.problems());
        assert_eq!((held.problems().len(), held.problems()[0].document), (1, Some(2)), "{text}: {:?}", held.problems());
    }
}

#[test]
fn bytes_that_are_no_text_are_told() {
    let pod = pod("p");
    let cases: [(&str, Vec<u8>); 4] = [
        ("Latin-1", [pod.as_bytes(), b"# \xe9\n"].concat()),
        ("half a character", [pod.as_bytes(), b"# \xc3"].concat()),
        ("half a unit", [&[0xff, 0xfe][..], b"a\0b"].concat()),
        ("half a pair", [0xff, 0xfe, 0, 0xd8, b'a', 0].into()),
    ];
    for (name, bytes) in cases {
        let folder = Folder::new("bytes");
        fs::write(folder.0.join("a.yaml"), bytes).expect("a file");
        let held = folder.load();
        assert_eq!(held.problems().len(), 1, "{name}: {:?}", held.problems());
        assert!(names(&held).is_empty(), "{name}");
    }
}

/// Lists over the bound of a document are read item by item.
#[test]
fn a_long_list_is_read_as_it_comes() {
    let filler = "x".repeat(60_000);
    let count = 150;
    let item = |at: usize| {
        format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"p{at:03}\",\"annotations\":{{\"a\":\"{filler}\"}}}}}}")
    };
    let items: Vec<String> = (0..count).map(item).collect();
    let block = |dash: &str| {
        let item = |at: usize| {
            format!(
                "{dash}- apiVersion: v1\n{dash}  kind: Pod\n{dash}  # c\n\n{dash}  metadata:\n{dash}    name: p{at:03}\n{dash}    annotations:\n{dash}      a: |\n{dash}        - {filler}\n\n{dash}        # no comment\n"
            )
        };
        format!("apiVersion: v1\nitems:\n{}kind: List\nmetadata: {{}}\n", (0..count).map(item).collect::<String>())
    };
    let cases = [
        ("JSON", format!("{{\"kind\":\"List\",\"items\":[{}]}}", items.join(","))),
        ("its kind behind", format!("{{\"items\":[{}],\n\"kind\":\"List\"}}\n", items.join(",\n"))),
        (
            "its items' kind not told",
            format!("{{\"kind\":\"PodList\",\"items\":[{}]}}", items.join(",").replace("\"kind\":\"Pod\",", "")),
        ),
        ("YAML", block("")),
        ("YAML, indented", block("  ")),
        ("YAML, CRLF", block("").replace('\n', "\r\n")),
    ];
    for (name, text) in &cases {
        let folder = Folder::new("long");
        folder.write("a.yaml", &format!("{}---\n{text}---\n{}", pod("before"), pod("later")));
        let held = folder.load();
        assert_eq!((held.problems(), names(&held).len()), (&[][..], count + 2), "{name}");
        // One bad item is told by its place, and is the only one that is lost.
        let bad = text.replacen("p077", "P_077", 1);
        folder.write("a.yaml", &format!("{bad}\n---\n{}", pod("later")));
        let held = folder.load();
        assert!(
            matches!(held.problems(), [one] if one.reason.starts_with("items[77].metadata.name")),
            "{name}: {:?}",
            held.problems()
        );
        assert_eq!(names(&held).len(), count, "{name}");
        // A list that breaks off is told, and the next document is read.
        let half = text.get(..text.len() / 2).expect("ASCII");
        folder.write("a.yaml", &format!("{half}\n---\n{}", pod("later")));
        let held = folder.load();
        assert!(!held.problems().is_empty(), "{name}");
        assert!(names(&held).contains(&"default/later") && names(&held).len() > count / 3, "{name}");
    }
    // What is as long and no list is told, and harms no other.
    let long = "x".repeat(5 * 1024 * 1024);
    for text in [
        format!("kind: Pod\nmetadata: {{name: b}}\nx: {long}\n"),
        format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"b\"}},\"x\":\"{long}\"}}\n"),
        format!("{{kind: Pod, metadata: {{name: b}}, x: {long}}}\n"),
        format!("{{\"kind\":\"List\",\"items\":[{{\"kind\":\"Pod\",\"x\":\"{long}\"}}]}}\n"),
        format!("kind: List\nitems:\n- kind: Pod\n  x: {long}\n"),
    ] {
        let folder = Folder::new("over");
        folder.write("a.yaml", &format!("{}---\n{text}---\n{}", pod("p"), pod("q")));
        let held = folder.load();
        let start = text.get(..30).expect("ASCII");
        assert_eq!(
            (names(&held), held.problems().len()),
            (vec!["default/p", "default/q"], 1),
            "{start}: {:?}",
            held.problems()
        );
        assert!(held.problems()[0].reason.contains("over 4 MiB"), "{start}: {:?}", held.problems());
    }
}

#[test]
fn a_broken_file_is_told_with_its_line_and_never_quoted() {
    let cases = [
        ("a.yaml", "kind: Pod\nmetadata:\n  name: [hunter2\n", true),
        ("b.yaml", "kind: Pod\nmetadata: {name: p, x: !!int hunter2}\n", false),
        ("c.json", "{\"kind\":\"Pod\",\n\"metadata\" hunter2 \"x\"}", true),
        ("d.yaml", "kind: Pod\nx: *hunter2\n", false),
        ("e.yaml", "a: 1\n\tb: hunter2\n", true),
    ];
    for (name, text, has_line) in cases {
        let folder = Folder::new("broken");
        folder.write(name, text);
        folder.write("z.yaml", &pod("p"));
        let loaded = folder.load();
        for problem in loaded.problems() {
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
            assert!(!problem.to_string().contains('\n'), "{problem}");
            assert!(!has_line || problem.line.is_some(), "{problem}");
        }
        assert_eq!(loaded.problems().len(), 1, "{name}: {:?}", loaded.problems());
        assert_eq!(names(&loaded), ["default/p"], "{name}");
    }
}

#[test]
fn folders_are_one_level_and_links_are_followed() {
    let folder = Folder::new("links");
    // As the kubelet mounts a ConfigMap: ..data points to a folder, and the files are links through it.
    fs::create_dir_all(folder.0.join("..2024/deeper.yaml")).expect("a folder");
    fs::write(folder.0.join("..2024/a.yaml"), pod("linked")).expect("a file");
    std::os::unix::fs::symlink("..2024", folder.0.join("..data")).expect("a link");
    std::os::unix::fs::symlink("..data/a.yaml", folder.0.join("a.yaml")).expect("a link");
    fs::create_dir_all(folder.0.join("below.yaml")).expect("a folder");
    fs::write(folder.0.join("below.yaml/b.yaml"), pod("below")).expect("a file");
    fs::write(folder.0.join(".hidden.yaml"), pod("hidden")).expect("a file");
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems().len()), (vec!["default/linked"], 0));
}

#[test]
fn what_is_not_there_is_a_problem() {
    let folder = Folder::new("absent");
    let good = folder.write("a.yaml", &pod("p"));
    let loaded = Held::load(&[folder.0.join("b.yaml"), good.clone(), good]);
    assert_eq!((names(&loaded), loaded.problems().len()), (vec!["default/p"], 1));
    assert!(loaded.problems()[0].to_string().contains("b.yaml: "), "{}", loaded.problems()[0]);
}

#[test]
fn the_later_of_two_with_one_uid_wins() {
    let folder = Folder::new("twice");
    folder.write("a.yaml", &pod("p"));
    folder.write("b.yaml", &pod("p").replace("10.0.0.1", "10.0.0.2"));
    let loaded = folder.load();
    assert_eq!(names(&loaded), ["default/p"]);
    assert_eq!(loaded.pods[0].pod.status.pod_ips[0].to_string(), "10.0.0.2");
    assert!(loaded.problems()[0].reason.contains("default/p"), "{:?}", loaded.problems());
    let turned = Held::load(&[folder.0.join("b.yaml"), folder.0.join("a.yaml")]);
    assert_eq!(turned.pods[0].pod.status.pod_ips[0].to_string(), "10.0.0.1");
}

fn profile(name: &str, selector: &str) -> Profile {
    Profile {
        name: name.into(),
        selector: selector.parse().expect("a selector"),
        annotation: format!("{name}.io/annotation"),
    }
}

/// What a profile is told in one round of events: of each Pod that was applied the uid, version and annotation, the uids of
/// those that were removed, and whether the list was whole.
#[derive(Debug, Default, PartialEq)]
struct Told {
    applied: Vec<(String, u64, Option<String>)>,
    removed: Vec<String>,
    is_whole: bool,
}

/// One round of events, by profile.
async fn round(events: &mut Receiver<Arrival>, profiles: usize) -> BTreeMap<String, Told> {
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut ended = 0;
    while ended < profiles {
        let event = timeout(Duration::from_secs(20), events.recv()).await.expect("in time").expect("an event").event;
        let name = event.source.profile.to_string();
        if let Change::Begin = event.change {
            assert_eq!(told.insert(name, Told::default()), None, "two lists at once");
            continue;
        }
        let of_profile = told.get_mut(&name).expect("a list that has begun");
        ended += usize::from(matches!(event.change, Change::Commit | Change::Close));
        match event.change {
            Change::Apply(pod) => of_profile.applied.push((
                pod.uid.to_string(),
                pod.resource_version,
                pod.annotation.as_deref().map(str::to_owned),
            )),
            Change::Remove(uid) => of_profile.removed.push(uid.to_string()),
            Change::Commit => of_profile.is_whole = true,
            Change::Close => {}
            other => panic!("{other:?}"),
        }
    }
    told
}

/// A whole list.
fn told(pods: &[(&str, u64, Option<&str>)]) -> Told {
    let applied = pods.iter().map(|(uid, version, value)| (uid.to_string(), *version, value.map(str::to_owned)));
    Told { applied: applied.collect(), removed: Vec::new(), is_whole: true }
}

/// A list that is not whole.
fn told_in_part(pods: &[(&str, u64, Option<&str>)], removed: &[&str]) -> Told {
    Told { is_whole: false, removed: removed.iter().map(|uid| uid.to_string()).collect(), ..told(pods) }
}

#[tokio::test]
async fn changes_arrive_and_a_bad_file_keeps_what_it_held() {
    let folder = Folder::new("changes");
    folder.write("a.yaml", &pod("p"));
    folder.write("b.yaml", &pod("q").replace("app.io", "dubbo.io"));
    let profiles =
        vec![profile("app", "app.io/label=app.io-value"), profile("dubbo", "dubbo.io/label"), profile("all", "")];
    let health = Arc::new(SourceHealth::new(Instant::now()));
    let reread = Arc::new(Notify::new());
    let (sender, mut events) = channel(1);
    let manifests = Manifests::new(vec![folder.0.clone()], profiles);
    assert_eq!(manifests.ids().count(), 3);
    let task = tokio::spawn(manifests.run(sender, health.clone(), reread.clone()));

    let first = round(&mut events, 3).await;
    assert_eq!(first["app"], told(&[("default/p", 1, Some("W10="))]));
    assert_eq!(first["dubbo"], told(&[("default/q", 1, Some("W10="))]));
    assert_eq!(first["all"], told(&[("default/p", 1, None), ("default/q", 1, None)]));

    folder.write("a.yaml", &pod("p").replace("W10=", "W3tdXQ=="));
    let second = round(&mut events, 3).await;
    assert_eq!(second["app"], told(&[("default/p", 2, Some("W3tdXQ=="))]));
    assert_eq!(second["dubbo"], told(&[("default/q", 1, Some("W10="))]));
    assert!(health.is_synced() && health.error().is_none());

    // What the bad file held stays, and the list that is not whole takes nothing away.
    folder.write("a.yaml", "kind: [");
    folder.write("c.yaml", &pod("r"));
    while health.error().is_none() {
        let third = round(&mut events, 3).await;
        if third["app"].applied.is_empty() {
            continue; // one of the two files was not written yet
        }
        assert_eq!(third["app"], told_in_part(&[("default/r", 3, Some("W10="))], &[]));
        assert_eq!(third["dubbo"], told_in_part(&[("default/q", 1, Some("W10="))], &[]));
        while health.error().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(health.error().is_some_and(|error| error.contains("a.yaml")));

    // A reread without a change tells the same, with the same versions; what other files no longer hold goes.
    fs::remove_file(folder.0.join("c.yaml")).expect("the file");
    reread.notify_one();
    let again = round(&mut events, 3).await;
    assert_eq!(again["app"], told_in_part(&[], &["default/r"]));
    assert_eq!(again["dubbo"], told_in_part(&[("default/q", 1, Some("W10="))], &["default/r"]));

    // A bad document harms no other of its file, and takes none away.
    folder.write("a.yaml", &format!("{}---\nkind: [\n---\n{}", pod("s"), pod("t")));
    let fifth = loop {
        let told = round(&mut events, 3).await;
        if told["app"].applied.len() == 2 {
            break told;
        }
    };
    assert!(!fifth["app"].is_whole && fifth["app"].removed.is_empty(), "{fifth:?}");

    // A Pod that a selector finds no more goes, also where the list is not whole.
    folder.write("a.yaml", &format!("{}---\nkind: [\n", pod("p").replace("app.io-value", "other")));
    let sixth = loop {
        let told = round(&mut events, 3).await;
        if !told["app"].removed.is_empty() {
            break told;
        }
    };
    assert_eq!((&sixth["app"].applied[..], &sixth["app"].removed[..]), (&[][..], &["default/p".to_owned()][..]));

    // Once it is mended the list is whole, and what it does not name is gone.
    folder.write("a.yaml", &pod("s"));
    let whole = loop {
        let told = round(&mut events, 3).await;
        if told["app"].is_whole {
            break told;
        }
    };
    assert_eq!(whole["app"].applied.iter().map(|(uid, ..)| &**uid).collect::<Vec<_>>(), ["default/s"]);

    fs::remove_file(folder.0.join("a.yaml")).expect("the file");
    fs::remove_file(folder.0.join("b.yaml")).expect("the file");
    while !round(&mut events, 3).await["all"].applied.is_empty() {}

    drop(events);
    timeout(Duration::from_secs(20), task).await.expect("it ends").expect("in peace");
}

/// Set in the process that this test starts as its own child, to have a standard input to give.
const CHILD: &str = "CALLSIGN_TEST_CHILD";

#[tokio::test]
async fn standard_input_is_read_once() {
    if std::env::var_os(CHILD).is_some() {
        let (sender, mut events) = channel(8);
        let health = Arc::new(SourceHealth::new(Instant::now()));
        let reread = Arc::new(Notify::new());
        tokio::spawn(Manifests::new(vec!["-".into()], vec![profile("all", "")]).run(sender, health, reread.clone()));
        let first = round(&mut events, 1).await;
        assert_eq!(first["all"], told(&[("default/p", 1, None)]));
        reread.notify_one();
        assert_eq!(round(&mut events, 1).await, first);
        return;
    }
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "standard_input_is_read_once"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a child");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(br#"{"kind":"PodList","items":[{"metadata":{"name":"p"}}]}"#).expect("room");
    drop(input);
    assert!(child.wait().expect("its end").success());
}
