//! `deploy/register`: with tokens that are really bound to Pods, each Pod writes its own registration and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callsign::config::default_profiles;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1 as core;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::kubelet::{Namespace, Pod};

const REGISTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/register");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/register/examples");

/// The service account of the Pods that register.
const ACCOUNT: &str = "greeter";

/// How long a policy may take from its writing until it is in force: 1 to 5 s here.
const POLICY_PATIENCE: Duration = Duration::from_secs(60);

/// A namespace in which `deploy/register` is applied and in force, and Pods may register.
struct Tenant {
    namespace: Namespace,
    cluster: &'static Cluster,
}

/// Somebody who writes to Pods.
struct User {
    client: Client,
    cluster: &'static Cluster,
}

impl Tenant {
    fn new(stem: &str) -> Tenant {
        let cluster = Cluster::shared();
        let tenant = Tenant { namespace: cluster.namespace(stem), cluster };
        tenant.kubectl(&["apply", "--warnings-as-errors", "-k", REGISTER]);
        tenant.kubectl(&["create", "serviceaccount", ACCOUNT]);
        tenant.bind(ACCOUNT, "callsign-register");

        // Before the Role counts a write is refused by RBAC, and before the policy does it is allowed: so each is another
        // one, since what changes nothing is always allowed.
        let (canary, forger) = (tenant.pod("canary"), tenant.unbound(ACCOUNT));
        let mut attempts = 0;
        eventually(POLICY_PATIENCE, || {
            attempts += 1;
            match forger.patch(&canary, "", &annotated("app.io/annotation", json!(attempts.to_string()))) {
                Err(message) if message.contains("callsign: ") => Ok(()),
                other => Err(format!("{:?}", other.err())),
            }
        });
        tenant
    }

    /// Runs kubectl as administrator in the namespace.
    #[track_caller]
    fn kubectl(&self, args: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", &self.namespace.name], args].concat())
    }

    /// Grants a Role of the namespace to a service account of it.
    fn bind(&self, account: &str, role: &str) {
        let account = format!("{}:{account}", self.namespace.name);
        let name = format!("{role}-{}", account.replace(':', "-"));
        self.kubectl(&["create", "rolebinding", &name, "--role", role, "--serviceaccount", &account]);
    }

    /// A Pod of the account that registers, with a finalizer, so that there is one to take away.
    fn pod(&self, name: &str) -> Pod {
        let pod = self.namespace.pod_with(name, json!({ "serviceAccountName": ACCOUNT }));
        pod.patch(json!({ "metadata": {
            "finalizers": ["example.org/kept"],
            "labels": { "team": "a" },
            "annotations": { "note": "b" },
        } }));
        pod
    }

    /// The Pod itself: whoever comes with the token that is mounted into it.
    fn inside(&self, pod: &Pod) -> User {
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", &pod.name, "--bound-object-uid", &pod.uid];
        User::new(self.cluster, &self.kubectl(&[&["create", "token", ACCOUNT], bound.as_slice()].concat()))
    }

    /// A service account with a token that is bound to nothing.
    fn unbound(&self, account: &str) -> User {
        User::new(self.cluster, &self.kubectl(&["create", "token", account]))
    }

    /// A service account with a Role of these verbs on these resources, which it has once it can read the Pod.
    fn with_role(&self, account: &str, verbs: &str, resources: &str, pod: &Pod) -> User {
        self.kubectl(&["create", "serviceaccount", account]);
        self.kubectl(&["create", "role", account, "--verb", verbs, "--resource", resources]);
        self.bind(account, account);
        let user = self.unbound(account);
        eventually(POLICY_PATIENCE, || user.read(pod));
        user
    }

    /// Whether a group may patch the namespace's Pods by now.
    fn may_patch(&self, group: &str) -> Result<(), String> {
        let asked = json!({ "namespace": self.namespace.name, "verb": "patch", "resource": "pods" });
        let review = json!({ "spec": { "user": "someone", "groups": [group], "resourceAttributes": asked } });
        let review: SubjectAccessReview = serde_json::from_value(review).expect("a review");
        let api: Api<SubjectAccessReview> = Api::all(self.cluster.admin());
        let review = self.cluster.block_on(api.create(&PostParams::default(), &review)).expect("an answer");
        let allowed = review.status.as_ref().is_some_and(|status| status.allowed);
        allowed.then_some(()).ok_or_else(|| format!("{:?}", review.status))
    }
}

impl User {
    fn new(cluster: &'static Cluster, token: &str) -> User {
        let mut kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).expect("read a kubeconfig");
        let auth = kubeconfig.auth_infos[0].auth_info.as_mut().expect("a user");
        auth.token = Some(token.trim().to_owned().into());
        let options = KubeConfigOptions::default();
        let config = cluster.block_on(Config::from_custom_kubeconfig(kubeconfig, &options)).expect("use a kubeconfig");
        let client = cluster.block_on(async { Client::try_from(config) }).expect("make a client");
        User { client, cluster }
    }

    fn pods(&self, pod: &Pod) -> Api<core::Pod> {
        Api::namespaced(self.client.clone(), &pod.namespace)
    }

    fn read(&self, pod: &Pod) -> Result<(), String> {
        self.cluster.block_on(self.pods(pod).get(&pod.name)).map(drop).map_err(|error| error.to_string())
    }

    /// Sends a JSON merge patch to a Pod or one of its subresources: the refusal's message, if it is one.
    #[track_caller]
    fn patch(&self, pod: &Pod, subresource: &str, patch: &Value) -> Result<core::Pod, String> {
        let (pods, params, patch) = (self.pods(pod), PatchParams::default(), Patch::Merge(patch));
        let sent = self.cluster.block_on(async {
            match subresource {
                "" => pods.patch(&pod.name, &params, &patch).await,
                _ => pods.patch_subresource(subresource, &pod.name, &params, &patch).await,
            }
        });
        sent.map_err(|error| match error {
            kube::Error::Api(status) if status.is_forbidden() => status.message,
            other => panic!("{}: {patch:?}: {other}", pod.name),
        })
    }

    /// The message of a patch that must be refused, after a look that nothing has changed.
    #[track_caller]
    fn refused(&self, pod: &Pod, subresource: &str, patch: &Value) -> String {
        let before = pod.now().expect("a Pod").metadata;
        let Err(message) = self.patch(pod, subresource, patch) else { panic!("{}: allowed {patch}", pod.name) };
        assert_eq!(pod.now().expect("a Pod").metadata, before, "{patch}");
        message
    }
}

/// Whether just one container runs `callsign register`, and gets its Pod's name and namespace from the Downward API.
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
    registering.next().is_some_and(|container| {
        path(container, "POD_NAMESPACE").as_deref() == Some("metadata.namespace")
            && path(container, "POD_NAME").as_deref() == Some("metadata.name")
    }) && registering.next().is_none()
}

/// What a process writes.
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

/// Every label's and annotation's key of the default profiles.
fn profile_keys() -> Vec<(String, String)> {
    let key = |selector: &str| selector.split(['=', ' ']).next().unwrap_or_default().to_owned();
    default_profiles().into_iter().map(|profile| (key(profile.selector.as_str()), profile.annotation)).collect()
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
            ]),
        ),
        (
            EXAMPLES,
            BTreeSet::from([
                "serviceaccount/greeter",
                "rolebinding.rbac.authorization.k8s.io/greeter-registers",
                "deployment.apps/greeter-wrapper",
                "deployment.apps/greeter-sidecar",
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

    // What the server-side of the workflow needs as well: a write that fits the version that was read, and one at the end.
    let read = pod.now().expect("a Pod").metadata.resource_version;
    let mut exact = registration();
    exact["metadata"]["uid"] = json!(pod.uid);
    exact["metadata"]["resourceVersion"] = json!(read);
    itself.patch(&pod, "", &exact).expect("uid and resourceVersion go with it");
    pod.terminate();
    itself.patch(&pod, "", &annotated("app.io/annotation", Value::Null)).expect("a terminating Pod withdraws");
}

#[test]
fn nobody_else_changes_a_registration() {
    let (tenant, elsewhere) = (Tenant::new("policy-mine"), Tenant::new("policy-theirs"));
    let pod = tenant.pod("greeter-0");
    tenant.inside(&pod).patch(&pod, "", &registration()).expect("its own registration");
    let (neighbour, namesake) = (tenant.pod("greeter-1"), elsewhere.pod("greeter-0"));
    // The account of the other namespace may patch here too, as after a careless RoleBinding.
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
        assert!(message.contains("annotation app.io/annotation of Pod"), "{who} takes it away: {message}");
    }
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
        // Also where its registration changes with it.
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
    // Another's Pod, and with a token that is bound to none, all the more.
    for (patch, what) in &table[..table.len() - 1] {
        for user in [&itself, &tenant.unbound(ACCOUNT)] {
            let message = user.refused(&neighbour, "", patch);
            assert!(message.contains(&format!("this would change {what} of Pod")), "{message}");
        }
    }
    // The Role has no subresource, so this one is refused by RBAC.
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
fn everybody_else_goes_on_as_before() {
    let tenant = Tenant::new("policy-others");
    let pod = tenant.pod("greeter-0");
    tenant.inside(&pod).patch(&pod, "", &registration()).expect("its own registration");
    let others = json!({ "metadata": { "labels": { "team": "c" }, "annotations": { "note": null }, "finalizers": null },
        "spec": { "containers": [{ "name": "main", "image": "newer" }] } });

    // The kubelet: the status, with what it holds of the registration unchanged.
    let kubelet = tenant.with_role("kubelet", "get,patch", "pods,pods/status", &pod);
    let mut status = registration();
    status["status"] = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    kubelet.patch(&pod, "status", &status).expect("the status");
    // A controller with a Role of its own for patching, and one that has this Role beside it.
    let controller = tenant.with_role("controller", "get,patch", "pods", &pod);
    controller.patch(&pod, "", &others).expect("no mark, no rule");
    let operator = tenant.with_role("operator", "get,patch,update", "pods", &pod);
    tenant.bind("operator", "callsign-register");
    operator.patch(&pod, "", &label("team", json!("d"))).expect("who may update may patch");
    // One who may do anything, and so has the mark too, though no administrators' group.
    tenant.kubectl(&["create", "serviceaccount", "root"]);
    let account = format!("{}:root", tenant.namespace.name);
    tenant.kubectl(&["create", "rolebinding", "root", "--clusterrole", "cluster-admin", "--serviceaccount", &account]);
    let root = tenant.unbound("root");
    eventually(POLICY_PATIENCE, || root.read(&pod));
    root.patch(&pod, "", &label("team", json!("e"))).expect("a cluster-admin may change anything else");

    // The administrators of the groups that are listed: the harness's own is in system:masters.
    pod.register("administrator");
    let group = "kubeadm:cluster-admins";
    tenant.kubectl(&["create", "rolebinding", "admins", "--clusterrole", "cluster-admin", "--group", group]);
    eventually(POLICY_PATIENCE, || tenant.may_patch(group));
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
fn the_examples_pods_are_let_in_and_may_register() {
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
        assert!(tells_its_pod(&spec), "{name}: POD_NAMESPACE and POD_NAME");
        tenant.inside(&pod).patch(&pod, "", &registration()).expect("its own registration");
        seen.push(name);
    }
    seen.sort();
    assert_eq!(seen, ["greeter-sidecar", "greeter-wrapper"]);
}
