//! `deploy/register/annotations.yaml`: a person who applies an annotation that callsign cannot read gets a warning, and no refusal.
//!
//! The API server's answer is compared with the program's own readers: what they cannot read, or cannot name, must be warned
//! of, and nothing else.

mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use callsign::dns::Name;
use callsign::name::{ANY_PROTOCOL, Service, protocol_label};
use callsign::registration::{ContainerPort, Decoded, PRESETS, Problem, ProblemKey, ProfileText, Reason, decode};
use kube::client::Body;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use table::PLAIN;

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::kubelet::Namespace;
use crate::harness::process::scratch;
use crate::harness::seeds::{config, seeds_of};

use crate::harness::tenant::{POLICY_PATIENCE, REGISTER, Tenant};

/// What stands in front of each of the policy's messages.
const OURS: &str = "Validation failed for ValidatingAdmissionPolicy 'callsign-annotations' with binding 'callsign-annotations': callsign: ";

/// A namespace where the policy is in effect.
fn tenant(stem: &str) -> Tenant {
    let tenant = Tenant::new(stem);
    eventually(POLICY_PATIENCE, || {
        let warnings = warnings(&tenant.namespace, &pod("interfce=x", ""));
        (!warnings.is_empty()).then_some(()).ok_or("no warning yet")
    });
    tenant
}

/// A Pod with annotations `name=value …` after the prefix, where `~` is a space in a value, and container ports
/// `name=number …`.
fn pod(annotations: &str, ports: &str) -> Value {
    let pairs = |text: &str| -> Vec<(String, String)> {
        let pairs =
            text.split(' ').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').expect("key=value"));
        pairs.map(|(key, value)| (key.to_owned(), value.replace("\\n", "\n").replace('~', " "))).collect()
    };
    let annotations: BTreeMap<String, String> =
        pairs(annotations).into_iter().map(|(name, value)| (format!("app.io/{name}"), value)).collect();
    let port = |(name, number): (String, String)| {
        let (number, protocol) = number.split_once('/').unwrap_or((&number, "TCP"));
        let number: u16 = number.parse().expect("a port");
        match name.as_str() {
            "" => json!({ "containerPort": number, "protocol": protocol }),
            name => json!({ "name": name, "containerPort": number, "protocol": protocol }),
        }
    };
    let ports: Vec<Value> = pairs(ports).into_iter().map(port).collect();
    json!({
        "metadata": { "name": "p", "labels": { "app.io/label": "app.io-value" }, "annotations": annotations },
        "spec": { "containers": [{ "name": "c", "image": "i", "ports": ports }] },
    })
}

/// Posts an object that is not kept, and returns the policy's warnings from the HTTP headers.
#[track_caller]
fn warnings_at(path: &str, object: &Value) -> Vec<String> {
    let request = http::Request::post(format!("{path}?dryRun=All")).header("content-type", "application/json");
    let request = request.body(Body::from(object.to_string().into_bytes())).expect("a request");
    let cluster = Cluster::shared();
    let response = cluster.block_on(cluster.admin().send(request)).expect("an answer");
    assert_eq!(response.status(), 201, "refused: {object:.300}");
    let headers = response.headers().get_all("warning").iter().map(|value| value.to_str().expect("text"));
    let texts = headers.filter_map(|value| value.strip_prefix("299 - \"")?.strip_suffix('"')?.strip_prefix(OURS));
    texts.map(str::to_owned).collect()
}

#[track_caller]
fn warnings(namespace: &Namespace, pod: &Value) -> Vec<String> {
    warnings_at(&format!("/api/v1/namespaces/{}/pods", namespace.name), pod)
}

/// What the program reads of a Pod under the profile `app`.
fn read(pod: &Value) -> Decoded {
    let preset = PRESETS.iter().find(|preset| preset.name == "app").expect("the preset");
    let pairs = |value: &Value| -> Vec<(String, String)> {
        serde_json::from_value::<BTreeMap<_, _>>(value.clone()).expect("texts").into_iter().collect()
    };
    let (labels, annotations) = (pairs(&pod["metadata"]["labels"]), pairs(&pod["metadata"]["annotations"]));
    let ports = pod["spec"]["containers"].as_array().expect("containers").iter();
    let ports = ports.flat_map(|container| container["ports"].as_array().cloned().unwrap_or_default());
    let ports = ports.filter(|port| port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP"));
    let ports: Vec<ContainerPort> = ports
        .map(|port| ContainerPort {
            name: port["name"].as_str().unwrap_or_default().into(),
            number: port["containerPort"].as_u64().and_then(|number| number.try_into().ok()).expect("a port"),
        })
        .collect();
    let encoding = preset.encoding();
    let text = ProfileText::of(
        preset.annotation,
        &encoding.wanted(),
        labels.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        ports,
    );
    decode(&text, &encoding)
}

/// How many natural names each registration has: four, if all selectors fit.
fn natural_names(decoded: &Decoded, namespace: &str) -> Vec<usize> {
    let zone: Name = "rpc.cluster.local.".parse().expect("a name");
    let namespace: Arc<str> = namespace.into();
    let names = decoded.registrations.iter().map(|one| {
        let service = Service::new(&namespace, &one.interface, one.group.as_ref(), one.version.as_ref(), &zone);
        service.selections(&zone).len()
    });
    names.collect()
}

/// Whether every registration has a natural name, with each selector, under its protocol.
fn has_all_names(decoded: &Decoded, namespace: &str) -> bool {
    let has_protocol =
        |protocol: &str| protocol.eq_ignore_ascii_case(ANY_PROTOCOL) || protocol_label(protocol).is_some();
    natural_names(decoded, namespace).iter().all(|names| *names == 4)
        && decoded.registrations.iter().all(|one| has_protocol(&one.protocol))
}

/// Checks that there is a warning exactly where the program cannot read or name something.
#[track_caller]
fn check(tenant: &Tenant, pod: &Value, expected: &str) {
    let warnings = warnings(&tenant.namespace, pod);
    let decoded = read(pod);
    let is_fine = decoded.problems.is_empty() && has_all_names(&decoded, &tenant.namespace.name);
    let about = &pod["metadata"]["annotations"];
    assert_eq!(is_fine, expected.is_empty(), "{about}: the program says {:?}", decoded.problems);
    assert_eq!(warnings.is_empty(), is_fine, "{about}: {warnings:?}, but the program says {:?}", decoded.problems);
    assert!(is_fine || warnings.iter().any(|warning| warning.contains(expected)), "{about}: {warnings:?}");
}

#[test]
fn plain_annotations_are_warned_of_where_the_program_cannot_read_them() {
    let tenant = tenant("warn-plain");
    for (annotations, ports, expected) in PLAIN {
        check(&tenant, &pod(annotations, ports), expected);
    }
    for (len, expected) in [(63, ""), (64, "has no name but its alias")] {
        check(&tenant, &pod(&format!("interface={} port=1", "a".repeat(len)), ""), expected);
    }
    for (group, expected) in [
        ("a".repeat(61), ""),
        ("a".repeat(62), "no name can select"),
        (format!("{}-", "a-".repeat(20)) + "a", "no name can select"),
        ("a-".repeat(20) + "a", ""),
        ("a-".repeat(21) + "a", "no name can select"),
    ] {
        check(&tenant, &pod(&format!("interface=a port=1 group={group}"), ""), expected);
    }
    let longest = |len: usize| {
        let labels = ["a".repeat(60), "a".repeat(60), "a".repeat(60)].join(".");
        let last = "a".repeat(len - labels.len() - 1);
        pod(&format!("interface={labels}.{last} port=1"), "")
    };
    let room = 230 - "rpc.cluster.local.".len() - tenant.namespace.name.len();
    let (at_room, beyond) = (longest(room), longest(room + 1));
    // Right at the bound there is the name without selectors alone, and no warning.
    assert_eq!(warnings(&tenant.namespace, &at_room), [""; 0]);
    assert_eq!(natural_names(&read(&at_room), &tenant.namespace.name), [1]);
    assert_eq!(natural_names(&read(&beyond), &tenant.namespace.name), [0]);
    check(&tenant, &beyond, "has no name but its alias");
}

/// Some of each, so that many combinations are read well.
const NAMES: [&str; 15] = [
    "interface",
    "interface",
    "group",
    "version",
    "protocol",
    "port",
    "port",
    "weight",
    "methods",
    "application",
    "enabled",
    "register",
    "meta.zone",
    "meta.a.b",
    "portt",
];
const VALUES: [&str; 28] = [
    "",
    "a",
    "a.b",
    "org.acme.Greeter",
    "http",
    "HTTP",
    "grpc",
    "grpc",
    "1",
    "8080",
    "8080",
    "65536",
    "0",
    "007",
    "-1",
    "false",
    "TRUE",
    "yes",
    "a b",
    "a--b",
    "1.0.0-rc1",
    "_a",
    "v-1",
    "a.g-",
    "größe",
    "a\nb",
    "x-00000000000000000000000000000000",
    "a-b_c",
];

proptest! {
    #![proptest_config(config(300, seeds_of!("cluster/register_warnings")))]

    /// Of any plain annotations and ports the policy says what the program says. (Of an offer it says more: nobody has read
    /// it yet.)
    #[test]
    fn any_plain_annotations_are_judged_alike(
        annotations in prop::collection::btree_map(select(&NAMES[..]), select(&VALUES[..]), 0..6),
        named in prop::collection::btree_map(select(&["http", "grpc", "a", "dns"][..]), (1_u16..4, any::<bool>()), 0..3),
        unnamed in prop::collection::btree_set(8080_u16..8083, 0..3),
    ) {
        static TENANT: LazyLock<Tenant> = LazyLock::new(|| tenant("warn-any"));
        prop_assume!(annotations.get("register") != Some(&"TRUE"));
        let mut pod = pod("", "");
        for (name, value) in &annotations {
            pod["metadata"]["annotations"][format!("app.io/{name}")] = json!(value);
        }
        let protocol = |is_tcp: bool| if is_tcp { "TCP" } else { "UDP" };
        let mut ports: Vec<Value> = named
            .iter()
            .map(|(name, (number, is_tcp))| json!({ "name": name, "containerPort": number, "protocol": protocol(*is_tcp) }))
            .collect();
        ports.extend(unnamed.iter().map(|number| json!({ "containerPort": number, "protocol": "TCP" })));
        pod["spec"]["containers"][0]["ports"] = ports.into();
        let (warnings, decoded) = (warnings(&TENANT.namespace, &pod), read(&pod));
        let is_fine = decoded.problems.is_empty() && has_all_names(&decoded, &TENANT.namespace.name);
        prop_assert_eq!(warnings.is_empty(), is_fine, "{}: {:?}, but {:?}", pod, warnings, decoded);
    }
}

#[test]
fn the_value_of_the_annotation_is_warned_of_where_it_can_be_no_json() {
    let tenant = tenant("warn-value");
    let encoded = "W3siayI6ImludGVyZmFjZSIsInYiOiJvcmcuYWNtZS5HcmVldGVyIn0seyJrIjoicG9ydCIsInYiOiI1MDA1MSJ9XQ==";
    let object = r#"{"interface": "a", "port": 1}"#;
    for (value, is_warned_of) in [
        (encoded.to_owned(), false),
        (encoded.trim_end_matches('=').to_owned(), false),
        (format!("{}\n{}\n", &encoded[..40], &encoded[40..]), false),
        ("W10=".into(), false),
        (object.into(), false),
        (format!(" \n[{object},\n{object}]\n"), false),
        (String::new(), true),
        ("Greeter".into(), true),
        ("org.acme.Greeter".into(), true),
        ("- interface: a".into(), true),
        (object.trim_end_matches('}').into(), true),
        (format!("[{object}"), true),
        (format!("{}!", &encoded[..40]), true),
    ] {
        let mut pod = pod("", "");
        pod["metadata"]["annotations"]["app.io/annotation"] = json!(value);
        check(&tenant, &pod, if is_warned_of { "app.io/annotation is neither JSON nor JSON in base64" } else { "" });
    }
}

/// The recorded Pods of the profile `app`. Those with a plain annotation that is refused are warned of, those without a
/// mistake are not.
#[test]
fn recorded_pods_are_warned_of_where_they_are_refused() {
    const BEYOND: [Reason; 4] = [Reason::Secret, Reason::TooLarge, Reason::TooMany, Reason::ForeignAddress];
    let tenant = tenant("warn-recorded");
    let cases: Vec<Value> = serde_json::from_str(include_str!("../fixtures/registrars.json")).expect("the fixtures");
    let (mut silent, mut warned) = (0, 0);
    for case in cases.iter().filter(|case| case["profile"] == "app") {
        let pod = json!({
            "metadata": { "name": "p", "labels": case["labels"], "annotations": case["annotations"] },
            "spec": { "containers": [{ "name": "c", "image": "i", "ports": case["ports"] }] },
        });
        let warnings = warnings(&tenant.namespace, &pod);
        let problems = read(&pod).problems;
        let is_plain = |one: &Problem| matches!(one.key, Some(ProblemKey::Annotation(_)));
        let can_be_seen = problems.iter().any(|one| is_plain(one) && !BEYOND.contains(&one.reason));
        if problems.is_empty() {
            assert_eq!(warnings, [""; 0], "{}", case["id"]);
            silent += 1;
        } else if can_be_seen {
            assert!(!warnings.is_empty(), "{}: {problems:?}", case["id"]);
            warned += 1;
        }
    }
    assert!(silent >= 9 && warned >= 1, "{silent} and {warned}");
}

#[test]
fn a_pod_without_the_label_is_warned_of_unless_a_wrapper_sets_it() {
    let tenant = tenant("warn-label");
    for (annotations, is_warned_of) in [
        ("interface=a port=1", true),
        ("annotation=W10=", true),
        ("interface=a port=1 register=false", true),
        ("interface=a port=1 register=true", false),
        ("register=true", false),
        ("", false),
    ] {
        for labels in [json!({}), json!({ "app.io/label": "other" })] {
            let mut pod = pod(annotations, "");
            pod["metadata"]["labels"] = labels;
            let warnings = warnings(&tenant.namespace, &pod);
            let expected = "the Pod registers nothing, because it lacks the label app.io/label=app.io-value";
            assert_eq!(warnings, vec![expected; usize::from(is_warned_of)], "{annotations}");
        }
    }
}

/// The ports of sidecars count, those of other init containers do not.
#[test]
fn the_ports_of_sidecars_count() {
    let tenant = tenant("warn-sidecar");
    for (policy, count) in [(json!({ "restartPolicy": "Always" }), 0), (json!({}), 1)] {
        let mut pod = pod("interface=a port=admin", "http=80 =81");
        let mut sidecar = policy;
        sidecar["name"] = json!("s");
        sidecar["image"] = json!("i");
        sidecar["ports"] = json!([{ "name": "admin", "containerPort": 9 }]);
        pod["spec"]["initContainers"] = json!([sidecar]);
        assert_eq!(warnings(&tenant.namespace, &pod).len(), count, "{sidecar}");
    }
}

#[test]
fn in_the_namespaces_p_and_pod_no_interface_has_a_natural_name() {
    let tenant = tenant("warn-namespaces");
    tenant.cluster.shell(&scratch("namespaces"), "kubectl create namespace p || kubectl get namespace p");
    let pod = pod("interface=a port=1", "");
    let warnings = warnings_at("/api/v1/namespaces/p/pods", &pod);
    assert!(warnings[0].contains("No interface in the namespace p has another"), "{warnings:?}");
    assert!(!has_all_names(&read(&pod), "p"));
}

/// The workloads whose templates are checked: kind, API group and version, resource.
const KINDS: [(&str, &str, &str); 5] = [
    ("Deployment", "apps/v1", "deployments"),
    ("StatefulSet", "apps/v1", "statefulsets"),
    ("DaemonSet", "apps/v1", "daemonsets"),
    ("Job", "batch/v1", "jobs"),
    ("CronJob", "batch/v1", "cronjobs"),
];

/// A workload of such a kind with the Pod's annotations and ports in its template.
fn workload(kind: &str, version: &str, pod: &Value) -> Value {
    let mut template = pod.clone();
    template["metadata"].as_object_mut().expect("metadata").remove("name");
    template["metadata"]["labels"]["app"] = json!("a");
    let selector = json!({ "matchLabels": { "app": "a" } });
    let batch = version.starts_with("batch");
    if batch {
        template["spec"]["restartPolicy"] = json!("Never");
    }
    let spec = match kind {
        "CronJob" => json!({ "schedule": "0 0 * * *", "jobTemplate": { "spec": { "template": template } } }),
        "Job" => json!({ "template": template }),
        "StatefulSet" => json!({ "selector": selector, "serviceName": "a", "template": template }),
        _ => json!({ "selector": selector, "template": template }),
    };
    json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "a" }, "spec": spec })
}

#[test]
fn kubectl_prints_the_warnings_of_pods_and_of_every_template() {
    let tenant = tenant("warn-kinds");
    let (good, bad) = (pod("interface=a port=http", "http=80"), pod("interface=a port=grpc interfce=b", "http=80"));
    let folder = scratch("warn-kinds");
    let apply = |object: &Value| {
        fs::write(folder.join("a.json"), object.to_string()).expect("write a file");
        tenant.cluster.shell(&folder, &format!("kubectl -n {} apply -f a.json 2>&1", tenant.namespace.name))
    };
    for (kind, version, resource) in KINDS {
        let path = format!("/apis/{version}/namespaces/{}/{resource}", tenant.namespace.name);
        assert_eq!(warnings_at(&path, &workload(kind, version, &good)), [""; 0], "{kind}");
        assert_eq!(warnings_at(&path, &workload(kind, version, &bad)).len(), 2, "{kind}");

        let printed = apply(&workload(kind, version, &bad));
        let lines = [
            "no annotation is called app.io/interfce. Write ",
            "its app.io/port is no port. Write a number from 1 to 65535 or the name of a TCP container port: http",
        ];
        for line in lines {
            let wanted = |printed: &str| printed.starts_with(&format!("Warning: {OURS}")) && printed.contains(line);
            assert!(printed.lines().any(wanted), "{kind}: no {line:?} in\n{printed}");
        }
        assert!(printed.contains("/a created"), "it is applied all the same: {printed}");
        // Applied again, and mended. A Job's template cannot change.
        if kind != "Job" {
            let mended = apply(&workload(kind, version, &good));
            assert!(mended.ends_with("/a configured\n") && !mended.contains("Warning"), "{kind}: {mended}");
        }
    }
    let mut bare = bad.clone();
    bare["apiVersion"] = json!("v1");
    bare["kind"] = json!("Pod");
    let printed = apply(&bare);
    println!("{printed}");
    assert!(printed.contains(&format!("Warning: {OURS}no annotation is called app.io/interfce")), "{printed}");
    let changed = tenant
        .cluster
        .shell(&folder, &format!("kubectl -n {} annotate pod p app.io/weight=heavy 2>&1", tenant.namespace.name));
    assert!(changed.contains("its app.io/weight is not a whole number"), "{changed}");
}

/// The Deployments to copy from have no mistake, with flags and with annotations.
#[test]
fn the_examples_are_not_warned_of() {
    let tenant = tenant("warn-examples");
    let folder = Path::new(REGISTER).join("examples");
    let apply = format!("kubectl -n {} apply --dry-run=server --warnings-as-errors -f -", tenant.namespace.name);
    let annotated = "kubectl patch --local -f wrapper.yaml --patch-file annotated.yaml -o yaml";
    assert!(tenant.cluster.shell(&folder, annotated).contains("app.io/register: \"true\""));
    for source in ["cat wrapper.yaml", "cat sidecar.yaml", annotated] {
        let applied = tenant.cluster.shell(&folder, &format!("{source} | {apply}"));
        assert!(
            applied.starts_with("deployment.apps/greeter-") && applied.ends_with(" (server dry run)\n"),
            "{applied}"
        );
    }
}

/// Its controller wrote the Pod from a template, whose author has been warned.
#[test]
fn the_pod_of_a_controller_is_not_warned_of() {
    let tenant = tenant("warn-owner");
    for (is_controller, count) in [(true, 0), (false, 1)] {
        let mut pod = pod("interface=a port=1 interfce=b", "");
        let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "u", "controller": is_controller });
        pod["metadata"]["ownerReferences"] = json!([owner]);
        assert_eq!(warnings(&tenant.namespace, &pod).len(), count);
    }
}

/// Checks of very many keys or ports would cost the API server seconds, so there are none.
#[test]
fn a_very_large_pod_is_accepted() {
    let tenant = tenant("warn-large");
    let with_keys = |count: usize| {
        let mut pod = pod("interface=a port=1 interfce=x", "");
        let keys = pod["metadata"]["annotations"].as_object_mut().expect("annotations");
        (keys.len()..count).for_each(|at| _ = keys.insert(format!("key-{at}"), json!("")));
        pod
    };
    let with_ports = |count: u16| {
        let mut pod = pod("interface=a port=none", "");
        let ports = (1..=count).map(|n| json!({ "name": format!("p{n}"), "containerPort": n }));
        pod["spec"]["containers"][0]["ports"] = ports.collect::<Vec<_>>().into();
        pod
    };
    let with_value = |value: String| {
        let mut pod = pod("interface=a port=1", "");
        pod["metadata"]["annotations"]["app.io/annotation"] = json!(value);
        pod
    };
    for (pod, count) in [
        (with_keys(1000), 1),
        (with_keys(1001), 0),
        (with_keys(20_000), 0),
        (with_ports(1000), 1),
        (with_ports(1001), 0),
        (with_ports(5000), 0),
        (with_value(format!("[{}]", " ".repeat(250_000))), 0),
        (with_value("x".repeat(250_000)), 1),
        (pod(&format!("interface={}a port=1", "a.".repeat(100_000)), ""), 1),
        (pod(&format!("interface=a port=1 group={}", "-".repeat(200_000)), ""), 1),
    ] {
        let warnings = warnings(&tenant.namespace, &pod);
        assert_eq!(warnings.len(), count, "{warnings:?}");
    }
}
