//! `deploy/register`: with tokens that are really bound to Pods, each Pod may write its own registration and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use callsign::registration::Encoding;
use callsign::source::{WatchProfile, default_profiles};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::tenant::{ACCOUNT, POLICY_PATIENCE, REGISTER, Tenant};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/register/examples");

/// Whether exactly one container runs `callsign register`, and gets its Pod's identity from the Downward API.
fn tells_its_pod(spec: &core::PodSpec) -> bool {
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut registering = all.filter(|container| {
        let mut words = container.command.iter().chain(&container.args).flatten();
        words.any(|word| word == "register")
    });
    let path = |container: &core::Container, name: &str| {
        let variable = container.env.iter().flatten().find(|variable| variable.name == name)?;
        Some(variable.value_from.as_ref()?.field_ref.as_ref()?.field_path.clone())
    };
    let wanted = [("POD_NAMESPACE", "metadata.namespace"), ("POD_NAME", "metadata.name"), ("POD_UID", "metadata.uid")];
    let told =
        |container: &core::Container| wanted.iter().all(|(name, of)| path(container, name).as_deref() == Some(*of));
    registering.next().is_some_and(told) && registering.next().is_none()
}

/// The patch of a process that registers.
fn registration() -> Value {
    json!({ "metadata": {
        "labels": { "app.io/label": "app.io-value" },
        "annotations": { "app.io/annotation": "W10=" },
    } })
}

/// A patch that sets one label.
fn label(key: &str, value: Value) -> Value {
    json!({ "metadata": { "labels": { key: value } } })
}

/// A patch that sets one annotation.
fn annotated(key: &str, value: Value) -> Value {
    json!({ "metadata": { "annotations": { key: value } } })
}

/// The label and annotation keys of the default profiles.
fn profile_keys() -> Vec<(String, String)> {
    let key = |selector: &str| selector.split(['=', ' ']).next().unwrap_or_default().to_owned();
    let annotation = |profile: &WatchProfile| profile.annotation.as_deref().expect("an annotation").to_owned();
    default_profiles().iter().map(|profile| (key(profile.selector.as_str()), annotation(profile))).collect()
}

#[test]
fn kustomize_renders_it_and_the_api_server_accepts_it() {
    let cluster = Cluster::shared();
    for (dir, wanted) in [
        (
            REGISTER,
            BTreeSet::from([
                "role.rbac.authorization.k8s.io/callsign-register",
                "validatingadmissionpolicy.admissionregistration.k8s.io/callsign-register",
                "validatingadmissionpolicybinding.admissionregistration.k8s.io/callsign-register",
                "validatingadmissionpolicy.admissionregistration.k8s.io/callsign-annotations",
                "validatingadmissionpolicybinding.admissionregistration.k8s.io/callsign-annotations",
            ]),
        ),
        (
            EXAMPLES,
            BTreeSet::from([
                "serviceaccount/greeter",
                "rolebinding.rbac.authorization.k8s.io/greeter-registers",
                "deployment.apps/greeter-wrapper",
                "deployment.apps/greeter-sidecar",
                "poddisruptionbudget.policy/greeter-wrapper",
                "poddisruptionbudget.policy/greeter-sidecar",
            ]),
        ),
    ] {
        let rendered = cluster.kubectl(&["kustomize", dir]);
        assert_eq!(rendered.lines().filter(|line| line.starts_with("kind: ")).count(), wanted.len(), "{rendered}");
        let answer = cluster.kubectl(&["apply", "--dry-run=server", "--warnings-as-errors", "-k", dir]);
        let accepted: BTreeSet<&str> = answer.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(answer.lines().all(|line| line.ends_with(" (server dry run)")), "{answer}");
        assert_eq!(accepted, wanted, "{answer}");
    }
}

#[test]
fn its_keys_are_those_of_the_default_profiles() {
    let tenant = Tenant::new("policy-keys");
    let api: Api<ValidatingAdmissionPolicy> = Api::all(tenant.cluster.admin());
    let policy = tenant.cluster.block_on(api.get("callsign-register")).expect("the policy");
    let variables = policy.spec.and_then(|spec| spec.variables).expect("variables");
    let keys = |name: &str| -> Vec<String> {
        let list = &variables.iter().find(|variable| variable.name == name).expect("a variable").expression;
        serde_json::from_str(&list.replace('\'', "\"")).expect("a list of strings")
    };
    let keys: Vec<_> = keys("profileLabels").into_iter().zip(keys("profileAnnotations")).collect();
    assert_eq!(keys, profile_keys());
    let prefix = &variables.iter().find(|variable| variable.name == "plainPrefix").expect("a variable").expression;
    let of_profiles: Vec<String> = default_profiles()
        .iter()
        .filter_map(|profile| match &profile.encoding {
            Encoding::Pairs { plain } => plain.as_ref().map(|prefix| format!("'{prefix}'")),
            _ => None,
        })
        .collect();
    assert_eq!(of_profiles, [prefix.as_str()]);
}

#[test]
fn a_pod_registers_and_withdraws_itself() {
    let tenant = Tenant::new("policy-own");
    let pod = tenant.pod("greeter-0");
    let itself = tenant.inside(&pod);
    let before = pod.now().expect("a Pod").metadata;
    for (label_key, annotation_key) in profile_keys() {
        for value in [json!("first"), json!("second"), Value::Null] {
            let both = json!({ "metadata": {
                "labels": { &label_key: value }, "annotations": { &annotation_key: value },
            } });
            let after = itself.patch(&pod, "", &both).expect("its own registration").metadata;
            let stored = |map: Option<BTreeMap<String, String>>, key: &String| {
                map.unwrap_or_default().get(key).cloned().map_or(Value::Null, Value::String)
            };
            assert_eq!(stored(after.labels, &label_key), value);
            assert_eq!(stored(after.annotations, &annotation_key), value);
        }
    }
    let after = pod.now().expect("a Pod").metadata;
    assert_eq!((after.labels, after.annotations), (before.labels, before.annotations), "it ends as it began");

    // Other writes that registering needs: one for the version that was read, and one at the end.
    let read = pod.now().expect("a Pod").metadata.resource_version;
    let mut exact = registration();
    exact["metadata"]["uid"] = json!(pod.uid);
    exact["metadata"]["resourceVersion"] = json!(read);
    itself.patch(&pod, "", &exact).expect("uid and resourceVersion go with it");
    pod.terminate();
    itself.patch(&pod, "", &annotated("app.io/annotation", Value::Null)).expect("a terminating Pod withdraws");
}

#[test]
fn only_the_pod_itself_may_change_its_registration() {
    let (tenant, elsewhere) = (Tenant::new("policy-mine"), Tenant::new("policy-theirs"));
    let pod = tenant.pod("greeter-0");
    tenant.inside(&pod).patch(&pod, "", &registration()).expect("its own registration");
    let (neighbour, namesake) = (tenant.pod("greeter-1"), elsewhere.pod("greeter-0"));
    // The other namespace's account may patch here too, as after a careless RoleBinding.
    let theirs = format!("{}:{ACCOUNT}", elsewhere.namespace.name);
    tenant.kubectl(&["create", "rolebinding", "x", "--role", "callsign-register", "--serviceaccount", &theirs]);
    let namesake_inside = elsewhere.inside(&namesake);
    eventually(POLICY_PATIENCE, || namesake_inside.read(&pod));
    let controller = tenant.with_role("controller", "*", "pods,pods/status", &pod);
    let kubelet = tenant.with_role("kubelet", "get,patch", "pods,pods/status", &pod);

    let neighbour_named = format!("is bound to Pod greeter-1 (uid {})", neighbour.uid);
    let namesake_named = format!("{theirs} is bound to Pod greeter-0 (uid {})", namesake.uid);
    let users = [
        ("a neighbour", tenant.inside(&neighbour), "", neighbour_named.as_str()),
        ("a Pod of the same name elsewhere", namesake_inside, "", &namesake_named),
        ("an unbound token", tenant.unbound(ACCOUNT), "", "is bound to no Pod"),
        ("a controller that may do all with Pods", controller, "", "controller is bound to no Pod"),
        ("the status", kubelet, "status", "kubelet is bound to no Pod"),
    ];
    let owner = format!("of Pod {}/greeter-0 can be changed only by that Pod itself", tenant.namespace.name);
    for (who, user, subresource, bound) in &users {
        for (label_key, annotation_key) in profile_keys() {
            for (patch, what) in [
                (label(&label_key, json!("forged")), format!("callsign: label {label_key} ")),
                (annotated(&annotation_key, json!("forged")), format!("callsign: annotation {annotation_key} ")),
            ] {
                let message = user.refused(&pod, subresource, &patch);
                for part in [&what, &owner, *bound, &pod.uid, "Register from inside the Pod"] {
                    assert!(message.contains(part), "{who}: no {part:?} in {message:?}");
                }
            }
        }
        let message = user.refused(&pod, subresource, &annotated("app.io/annotation", Value::Null));
        assert!(message.contains("annotation app.io/annotation of Pod"), "{who} removes it: {message}");
    }
}

/// Plain annotations are registrations too. People write them into templates, so not even a process that registers changes
/// those of its own Pod.
#[test]
fn nobody_who_registers_changes_plain_annotations() {
    let tenant = Tenant::new("policy-plain");
    let (pod, neighbour) = (tenant.pod("greeter-0"), tenant.pod("greeter-1"));
    pod.patch(annotated("app.io/group", json!("gray")));
    let itself = tenant.inside(&pod);
    let controller = tenant.with_role("controller", "*", "pods,pods/status", &pod);
    let kubelet = tenant.with_role("kubelet", "get,patch", "pods,pods/status", &pod);
    let changes = [
        ("app.io/interface", json!("forged")),
        ("app.io/meta.zone", json!("b")),
        ("app.io/interfce", json!("x")),
        ("app.io/register", json!("true")),
        ("app.io/group", json!("blue")),
        ("app.io/group", Value::Null),
    ];
    let others =
        [(tenant.inside(&neighbour), ""), (tenant.unbound(ACCOUNT), ""), (controller, ""), (kubelet, "status")];
    for (key, value) in &changes {
        let message = itself.refused(&pod, "", &annotated(key, value.clone()));
        assert!(message.contains(&format!("this would change annotation {key} of Pod")), "{message}");
        for (user, subresource) in &others {
            let message = user.refused(&pod, subresource, &annotated(key, value.clone()));
            for part in [
                &format!("callsign: annotation {key} of Pod"),
                "Plain annotations are changed in the template of the Pod",
            ] {
                assert!(message.contains(part), "no {part:?} in {message:?}");
            }
        }
    }
    // Together with its registration, and among a thousand others.
    let mut both = registration();
    both["metadata"]["annotations"]["app.io/weight"] = json!("9");
    let message = itself.refused(&pod, "", &both);
    assert!(message.contains("annotation app.io/weight of Pod"), "{message}");
    // What only looks like one.
    let (controller, _) = &others[2];
    for key in ["app.iox/interface", "sub.app.io/interface", "app.io", "example.com/app.io"] {
        controller.patch(&pod, "", &annotated(key, json!("x"))).expect(key);
    }
    // Its own registration, and an administrator's change.
    itself.patch(&pod, "", &registration()).expect("its own registration");
    pod.patch(annotated("app.io/interface", json!("org.acme.Greeter")));

    let keys: serde_json::Map<_, _> = (0..1001).map(|at| (format!("key-{at}"), json!(""))).collect();
    pod.patch(json!({ "metadata": { "annotations": keys } }));
    let message = controller.refused(&pod, "", &annotated("note", json!("d")));
    assert!(message.contains("one of more than 1000 annotations"), "{message}");
    controller.patch(&pod, "", &label("team", json!("b"))).expect("all else goes on");
}

#[test]
fn a_process_that_registers_changes_nothing_else() {
    let tenant = Tenant::new("policy-else");
    let (pod, neighbour) = (tenant.pod("greeter-0"), tenant.pod("greeter-1"));
    let itself = tenant.inside(&pod);
    itself.patch(&pod, "", &registration()).expect("its own registration");
    let owners = json!([{ "apiVersion": "v1", "kind": "Pod", "name": neighbour.name, "uid": neighbour.uid }]);
    let mut beside = registration();
    beside["metadata"]["annotations"]["app.io/annotation"] = json!("changed");
    beside["metadata"]["finalizers"] = Value::Null;
    let table = [
        (label("team", json!("b")), "label team"),
        (label("team", Value::Null), "label team"),
        (label("new", json!("")), "label new"),
        (annotated("note", json!("c")), "annotation note"),
        (annotated("note", Value::Null), "annotation note"),
        (annotated("new", json!("")), "annotation new"),
        (json!({ "metadata": { "finalizers": null } }), "metadata.finalizers"),
        (json!({ "metadata": { "finalizers": ["example.org/kept", "example.org/more"] } }), "metadata.finalizers"),
        (json!({ "metadata": { "ownerReferences": owners } }), "metadata.ownerReferences"),
        (json!({ "metadata": { "generateName": "greeter-" } }), "metadata.generateName"),
        (json!({ "spec": { "containers": [{ "name": "main", "image": "another" }] } }), "spec"),
        (json!({ "spec": { "activeDeadlineSeconds": 1 } }), "spec"),
        // Even if its registration changes too.
        (beside, "metadata.finalizers"),
    ];
    for (patch, what) in &table {
        let message = itself.refused(&pod, "", patch);
        let wanted = format!(
            "system:serviceaccount:{namespace}:{ACCOUNT} may patch Pods only to register itself (Role callsign-register), \
             and this would change {what} of Pod {namespace}/greeter-0. Change only label app.io/label, ",
            namespace = tenant.namespace.name
        );
        assert!(message.contains(&wanted), "{patch}: no {wanted:?} in {message:?}");
    }
    // Another Pod, and a token that is bound to no Pod, are refused too.
    for (patch, what) in &table[..table.len() - 1] {
        for user in [&itself, &tenant.unbound(ACCOUNT)] {
            let message = user.refused(&neighbour, "", patch);
            assert!(message.contains(&format!("this would change {what} of Pod")), "{message}");
        }
    }
    // The Role has no subresource, so RBAC refuses this one.
    let message = itself.refused(&pod, "status", &label("app.io/label", json!("x")));
    assert!(message.contains("cannot patch resource \"pods/status\""), "{message}");
}

#[test]
fn a_pod_of_very_many_keys_costs_the_api_server_little() {
    let tenant = Tenant::new("policy-many");
    let (pod, kubelet) = (tenant.pod("greeter-0"), tenant.pod("greeter-1"));
    let kubelet = tenant.with_role("kubelet", "get,patch", "pods,pods/status", &kubelet);
    let keys: serde_json::Map<_, _> = (0..1001).map(|at| (format!("key-{at}"), json!(""))).collect();
    pod.patch(json!({ "metadata": { "labels": keys } }));
    let message = tenant.inside(&pod).refused(&pod, "", &registration());
    assert!(message.contains("one of more than 1000 labels or annotations"), "{message}");
    kubelet.patch(&pod, "status", &json!({ "status": { "phase": "Running" } })).expect("all else goes on");
}

#[test]
fn the_policy_changes_nothing_for_other_users() {
    let tenant = Tenant::new("policy-others");
    let pod = tenant.pod("greeter-0");
    tenant.inside(&pod).patch(&pod, "", &registration()).expect("its own registration");
    let others = json!({ "metadata": { "labels": { "team": "c" }, "annotations": { "note": null }, "finalizers": null },
        "spec": { "containers": [{ "name": "main", "image": "newer" }] } });

    // The kubelet: the status, with the registration unchanged.
    let kubelet = tenant.with_role("kubelet", "get,patch", "pods,pods/status", &pod);
    let mut status = registration();
    status["status"] = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    kubelet.patch(&pod, "status", &status).expect("the status");
    // A controller with another Role for patching, and one that has this Role too.
    let controller = tenant.with_role("controller", "get,patch", "pods", &pod);
    controller.patch(&pod, "", &others).expect("no mark, no rule");
    let operator = tenant.with_role("operator", "get,patch,update", "pods", &pod);
    tenant.bind("operator", "callsign-register");
    let mark = json!({ "group": "callsign", "resource": "ownpod", "verb": "register" });
    let account = |name: &str| format!("system:serviceaccount:{}:{name}", tenant.namespace.name);
    eventually(POLICY_PATIENCE, || tenant.may(&account("operator"), "system:serviceaccounts", mark.clone()));
    operator.patch(&pod, "", &label("team", json!("d"))).expect("a user with update may patch");
    // A process that registers and also has a Role for its status, for example for a condition.
    let gate = tenant.with_role("gate", "get,patch", "pods,pods/status", &pod);
    tenant.bind("gate", "callsign-register");
    eventually(POLICY_PATIENCE, || tenant.may(&account("gate"), "system:serviceaccounts", mark.clone()));
    let condition = json!({ "type": "example.org/open", "status": "True" });
    gate.patch(&pod, "status", &json!({ "status": { "conditions": [condition] } })).expect("what that Role is for");
    gate.refused(&pod, "", &label("team", json!("e")));
    // A user that may do everything, and so has the mark too, without an administrators' group.
    tenant.kubectl(&["create", "serviceaccount", "root"]);
    let named = format!("{}:root", tenant.namespace.name);
    tenant.kubectl(&["create", "rolebinding", "root", "--clusterrole", "cluster-admin", "--serviceaccount", &named]);
    let root = tenant.unbound("root");
    eventually(POLICY_PATIENCE, || tenant.may(&account("root"), "system:serviceaccounts", mark.clone()));
    root.patch(&pod, "", &label("team", json!("e"))).expect("a cluster-admin may change anything else");

    // An administrator of a listed group: the harness's user is in system:masters.
    pod.register("administrator");
    let group = "kubeadm:cluster-admins";
    tenant.kubectl(&["create", "rolebinding", "admins", "--clusterrole", "cluster-admin", "--group", group]);
    let patching = json!({ "resource": "pods", "verb": "patch" });
    eventually(POLICY_PATIENCE, || tenant.may("someone", group, patching.clone()));
    let as_group = ["--as=someone", &format!("--as-group={group}")];
    tenant.kubectl(&[&as_group, ["annotate", "pod"].as_slice(), &["greeter-0", "app.io/annotation-"]].concat());
    let annotations = pod.now().expect("a Pod").metadata.annotations.unwrap_or_default();
    assert_eq!(annotations.get("app.io/annotation"), None);
}

#[test]
fn a_pod_may_be_created_with_a_registration() {
    let tenant = Tenant::new("policy-create");
    let creator = tenant.with_role("creator", "get,create", "pods", &tenant.pod("some"));
    let mut pod = registration();
    pod["metadata"]["name"] = json!("greeter-0");
    pod["spec"] = json!({ "containers": [{ "name": "main", "image": "process" }] });
    let pod: core::Pod = serde_json::from_value(pod).expect("a Pod");
    let api: Api<core::Pod> = Api::namespaced(creator.client, &tenant.namespace.name);
    tenant.cluster.block_on(api.create(&PostParams::default(), &pod)).expect("a template may carry one");
}

#[test]
fn the_pods_of_the_examples_are_admitted_and_may_register() {
    let tenant = Tenant::new("policy-examples");
    let strict = "pod-security.kubernetes.io/enforce=restricted";
    let rendered = tenant.cluster.kubectl(&["kustomize", EXAMPLES]);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered).expect("YAML");
    let mut seen = Vec::new();
    tenant.cluster.kubectl(&["label", "namespace", &tenant.namespace.name, strict]);
    for document in documents.iter().filter(|document| document["kind"] == "Deployment") {
        let deployment: Deployment = serde_json::from_value(document.clone()).expect("a Deployment");
        let name = deployment.metadata.name.expect("a name");
        let template = deployment.spec.expect("a spec").template;
        let mut metadata = template.metadata.expect("metadata");
        metadata.name = Some(name.clone());
        let pod = core::Pod { metadata, spec: template.spec, status: None };
        let pod = tenant.namespace.create(&pod);
        let spec = pod.now().and_then(|pod| pod.spec).expect("a spec");
        assert_eq!(spec.service_account_name.as_deref(), Some(ACCOUNT));
        assert!(tells_its_pod(&spec), "{name}: the environment");
        tenant.inside(&pod).patch(&pod, "", &registration()).expect("its own registration");
        seen.push(name);
    }
    seen.sort();
    assert_eq!(seen, ["greeter-sidecar", "greeter-wrapper"]);
}
