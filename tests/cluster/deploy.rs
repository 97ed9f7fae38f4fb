//! `deploy/`: kubectl renders it, the real API server accepts it, and it grants exactly the documented rights.

use std::collections::BTreeSet;
use std::fs;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, PostParams};
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::cluster::{Cluster, OWN_NAMESPACE};
use crate::harness::coredns::{SERVICE_ADDRESS, stub};
use crate::harness::process::{output, scratch};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// The objects of `deploy/`.
const OBJECTS: [&str; 8] = [
    "namespace/callsign-system",
    "serviceaccount/callsign",
    "clusterrole.rbac.authorization.k8s.io/callsign",
    "clusterrolebinding.rbac.authorization.k8s.io/callsign",
    "deployment.apps/callsign",
    "poddisruptionbudget.policy/callsign",
    "networkpolicy.networking.k8s.io/callsign",
    "service/callsign",
];

/// The object called `callsign` in the API server.
fn applied<K>() -> K
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let cluster = Cluster::shared();
    let api: Api<K> = Api::namespaced(cluster.admin(), OWN_NAMESPACE);
    cluster.block_on(api.get("callsign")).expect("an object of deploy/")
}

/// A copy of `deploy/` with these components, which are a comment there.
fn with_components(components: &str) -> String {
    let copy = scratch("deploy").join("deploy").display().to_string();
    output("cp", ["-r", DEPLOY, &copy]);
    let file = format!("{copy}/kustomization.yaml");
    let plain = fs::read_to_string(&file).expect("read a file");
    let changed = plain.replace("# components: [encrypted]", &format!("components: [{components}]"));
    assert_ne!(plain, changed);
    fs::write(&file, changed).expect("write a file");
    copy
}

fn encrypted() -> String {
    with_components("encrypted")
}

#[test]
fn kustomize_renders_it_and_the_api_server_accepts_it() {
    let cluster = Cluster::shared();
    for folder in [DEPLOY.to_owned(), encrypted()] {
        let rendered = cluster.kubectl(&["kustomize", &folder]);
        assert_eq!(rendered.lines().filter(|line| line.starts_with("kind: ")).count(), OBJECTS.len(), "{rendered}");
        // A warning (a deprecated field, a Pod that violates the namespace's security standard) counts as a refusal.
        let answer = cluster.kubectl(&["apply", "--dry-run=server", "--warnings-as-errors", "-k", &folder]);
        let accepted = answer.lines().filter(|line| line.ends_with(" (server dry run)"));
        let accepted: BTreeSet<&str> = accepted.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(accepted, BTreeSet::from(OBJECTS), "{answer}");
    }
}

/// The container gets the configuration of `deploy/profiles`, also beside the encrypted transports, in either order.
#[test]
fn the_component_of_profiles_adds_its_configuration() {
    let cluster = Cluster::shared();
    for components in ["profiles", "encrypted, profiles", "profiles, encrypted"] {
        let folder = with_components(components);
        let rendered = cluster.kubectl(&["kustomize", &folder]);
        let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered).expect("YAML");
        let named = |kind: &str| documents.iter().find(|document| document["kind"] == kind).expect("a document");
        let map = named("ConfigMap");
        let file = fs::read_to_string(format!("{DEPLOY}/profiles/callsign.toml")).expect("a file");
        assert_eq!(map["data"]["callsign.toml"], file);
        let pod = &named("Deployment")["spec"]["template"]["spec"];
        let volumes = pod["volumes"].as_array().expect("volumes");
        let of_config = volumes.iter().find(|volume| volume["name"] == "config").expect("a volume");
        assert_eq!(of_config["configMap"]["name"], map["metadata"]["name"]);
        assert_eq!(volumes.len(), components.split(", ").count(), "{rendered}");
        let container = &pod["containers"][0];
        assert_eq!(container["volumeMounts"].as_array().map(Vec::len), Some(volumes.len()));
        let env = container["env"].as_array().expect("variables");
        assert!(env.contains(&json!({ "name": "CALLSIGN_CONFIG", "value": "/config/callsign.toml" })), "{env:?}");
        cluster.kubectl(&["apply", "--dry-run=server", "--warnings-as-errors", "-k", &folder]);
    }
}

#[test]
fn its_pods_pass_the_strictest_security_standard() {
    let cluster = Cluster::shared();
    let template = applied::<Deployment>().spec.expect("a spec").template;
    let mut metadata = template.metadata.expect("metadata");
    metadata.name = Some("replica".into());
    let pod = Pod { metadata, spec: template.spec, status: None };
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let api: Api<Pod> = Api::namespaced(cluster.admin(), OWN_NAMESPACE);
    cluster.block_on(api.create(&dry_run, &pod)).expect("its own Pod is let in");

    let mut privileged = pod;
    let spec = privileged.spec.as_mut().expect("a spec");
    spec.host_network = Some(true);
    let refused = cluster.block_on(api.create(&dry_run, &privileged)).expect_err("the standard is in force");
    assert!(refused.to_string().contains("PodSecurity"), "{refused}");
}

#[test]
fn its_parts_find_each_other() {
    let template = applied::<Deployment>().spec.expect("a spec").template;
    let labels = template.metadata.and_then(|metadata| metadata.labels).expect("labels");
    let containers = template.spec.expect("a spec").containers;
    let ports: Vec<_> = containers.into_iter().flat_map(|container| container.ports.unwrap_or_default()).collect();
    let port_of = |name: &str, protocol: &str| {
        let found = ports.iter().find(|port| port.name.as_deref() == Some(name));
        found.filter(|port| port.protocol.as_deref() == Some(protocol)).map(|port| port.container_port)
    };
    assert_eq!(port_of("dns", "UDP"), Some(1053));
    assert_eq!(port_of("dns-tcp", "TCP"), Some(1053));
    assert_eq!(port_of("http", "TCP"), Some(8080));

    let service = applied::<Service>().spec.expect("a spec");
    let named = service.ports.iter().flatten().filter_map(|port| match port.target_port.as_ref()? {
        IntOrString::String(name) => Some((port.port, port_of(name, port.protocol.as_deref()?)?)),
        IntOrString::Int(_) => None,
    });
    assert_eq!(named.collect::<Vec<_>>(), [(53, 1053), (53, 1053), (8080, 8080)]);
    assert_eq!(service.ip_family_policy.as_deref(), Some("PreferDualStack"));
    assert_eq!(service.selector.as_ref(), Some(&labels));
    assert_eq!(service.cluster_ip.as_deref(), Some(SERVICE_ADDRESS));
    let budget = applied::<PodDisruptionBudget>().spec.expect("a spec").selector.expect("a selector");
    assert_eq!(budget.match_labels.as_ref(), Some(&labels));
    let policy = applied::<k8s_openapi::api::networking::v1::NetworkPolicy>().spec.expect("a spec");
    assert_eq!(policy.pod_selector.and_then(|selector| selector.match_labels).as_ref(), Some(&labels));
    for (file, scheme) in
        [("coredns-stub.Corefile", ""), ("coredns-reverse.Corefile", ""), ("encrypted/coredns-tls.Corefile", "tls://")]
    {
        let forward = format!("forward . {scheme}{SERVICE_ADDRESS} {{");
        let stub = stub(file);
        assert!(stub.lines().any(|line| line.trim() == forward), "{file} forwards to the Service");
        assert!(stub.lines().any(|line| line.trim() == "loadbalance"), "{file} spreads clients over the addresses");
    }
}

#[test]
fn its_listeners_serve_both_families() {
    let rendered = Cluster::shared().kubectl(&["kustomize", &encrypted()]);
    let addresses = rendered.lines().filter_map(|line| {
        let (flag, address) = line.trim_start().strip_prefix("- --")?.split_once('=')?;
        (flag.starts_with("listen") || flag == "http").then_some((flag, address))
    });
    let wanted = [("http", "8080"), ("listen", "1053"), ("listen-https", "1443"), ("listen-quic", "1853")];
    let wanted: BTreeSet<_> = wanted.into_iter().chain([("listen-tls", "1853")]).collect();
    let addresses: Vec<_> = addresses.collect();
    let ports = addresses.iter().filter_map(|(flag, address)| Some((*flag, address.strip_prefix("[::]:")?)));
    assert_eq!(ports.collect::<BTreeSet<_>>(), wanted, "{addresses:?}");
}

/// By Kubernetes' default a node's Pods share a /64, and each must count as one client.
#[test]
fn each_pod_counts_as_one_client() {
    let pod = applied::<Deployment>().spec.and_then(|spec| spec.template.spec).expect("a Pod's spec");
    let args = pod.containers[0].args.clone().unwrap_or_default();
    assert!(args.iter().any(|arg| arg == "--client-prefix6=128"), "{args:?}");
}

/// The time from a failed readiness probe until no node sends packets to the Pod: a second each for the kubelet's report, the
/// `EndpointSlice` and kube-proxy's rules.
const SPREAD_SECONDS: i32 = 3;

/// The least margin of the sum, for slower clusters.
const MARGIN_SECONDS: i32 = 5;

/// How long the server waits for open TCP connections after the lame duck.
const TCP_SECONDS: i32 = 5;

#[test]
fn a_replica_answers_until_no_kube_proxy_sends_it_queries() {
    let pod = applied::<Deployment>().spec.and_then(|spec| spec.template.spec).expect("a Pod's spec");
    let grace =
        pod.termination_grace_period_seconds.and_then(|grace| i32::try_from(grace).ok()).expect("a grace period");
    let container = &pod.containers[0];
    let args = container.args.as_deref().unwrap_or_default();
    let lame_duck = args.iter().find_map(|arg| arg.strip_prefix("--lame-duck=")?.parse::<i32>().ok());
    let lame_duck = lame_duck.expect("a lame duck");
    let probe = container.readiness_probe.as_ref().expect("a readiness probe");
    let [period, threshold, timeout] = [probe.period_seconds, probe.failure_threshold, probe.timeout_seconds]
        .map(|value| value.expect("the API server fills in what is left out"));
    assert_eq!(probe.http_get.as_ref().and_then(|get| get.path.as_deref()), Some("/readyz"));

    let not_sent = period * threshold + timeout + SPREAD_SECONDS;
    assert!(not_sent + MARGIN_SECONDS <= lame_duck, "queries come for {not_sent} s, answers end after {lame_duck} s");
    let ends = lame_duck + TCP_SECONDS;
    assert!(ends + MARGIN_SECONDS <= grace, "it ends after {ends} s, and is killed after {grace} s");
    // The comment at the times has the same sum.
    let failed = period * threshold + timeout;
    let probe = format!(
        "the probe has failed: failureThreshold × periodSeconds + timeoutSeconds = {threshold} × {period} + {timeout}"
    );
    let wanted = [
        (failed, probe.as_str()),
        (SPREAD_SECONDS, "every node knows"),
        (lame_duck - not_sent, "margin"),
        (lame_duck, "--lame-duck"),
        (TCP_SECONDS, "open TCP connections end"),
        (grace - ends, "margin"),
        (grace, "terminationGracePeriodSeconds"),
    ];
    let rows = sum_of(&fs::read_to_string(format!("{DEPLOY}/deployment.yaml")).expect("a file"));
    assert_eq!(rows.len(), wanted.len(), "{rows:?}");
    let mut sum = 0;
    for ((is_sum, seconds, text), (expected, begins)) in rows.iter().zip(wanted) {
        assert!(*seconds == expected && text.starts_with(begins), "{seconds} s {text}, not {expected} s {begins}");
        sum += if *is_sum { 0 } else { *seconds };
        assert!(!is_sum || *seconds == sum, "{seconds} s {text}: the lines above are {sum} s");
    }
}

/// The lines of the sum in a comment: whether each is a sum of the lines above, its seconds, and its text.
fn sum_of(file: &str) -> Vec<(bool, i32, String)> {
    let rows = file.lines().filter_map(|line| {
        let line = line.trim_start().strip_prefix('#')?;
        let (seconds, text) = line.split_once(" s  ")?;
        let is_sum = seconds.contains('=');
        let seconds = seconds.trim_start_matches([' ', '+', '=']).parse().ok()?;
        Some((is_sum, seconds, text.to_owned()))
    });
    rows.collect()
}

#[test]
fn the_service_account_may_read_pods_and_nothing_else() {
    let cluster = Cluster::shared();
    let review: SelfSubjectRulesReview =
        serde_json::from_value(json!({ "spec": { "namespace": "default" } })).expect("a review");
    let api: Api<SelfSubjectRulesReview> = Api::all(cluster.own_client());
    let review = cluster.block_on(api.create(&PostParams::default(), &review)).expect("a service account may ask this");
    let status = review.status.expect("an answer");
    assert!(!status.incomplete, "{status:?}");
    // Every account may ask about itself. deploy/ grants everything else.
    let about_itself = ["authentication.k8s.io", "authorization.k8s.io"].map(str::to_owned);
    let mut granted: Vec<_> = status.resource_rules;
    granted.retain(|rule| !rule.api_groups.iter().flatten().all(|group| about_itself.contains(group)));
    assert_eq!(granted.len(), 1, "{granted:?}");
    let rule = &granted[0];
    assert_eq!(rule.api_groups, Some(vec![String::new()]));
    assert_eq!(rule.resources, Some(vec!["pods".to_owned()]));
    assert_eq!(rule.resource_names, None);
    assert_eq!(
        rule.verbs.iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["get", "list", "watch"].map(str::to_owned)).iter().collect()
    );
}
