//! Users with few rights: Pods that register themselves under `deploy/register`, with real tokens, and other users.

use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1 as core;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::eventually;
use super::kubelet::{Namespace, Pod};

/// The kustomization of the Role and the policy.
pub(crate) const REGISTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/register");

/// The service account of the Pods that register.
pub(crate) const ACCOUNT: &str = "greeter";

/// How long a policy may take from its creation until it takes effect: usually 1 to 5 s.
pub(crate) const POLICY_PATIENCE: Duration = Duration::from_secs(60);

/// A namespace with `deploy/register` in effect, where Pods may register.
pub(crate) struct Tenant {
    pub(crate) namespace: Namespace,
    pub(crate) cluster: &'static Cluster,
}

/// A user that writes to Pods.
pub(crate) struct User {
    /// The client with this user's token.
    pub(crate) client: Client,
    cluster: &'static Cluster,
}

impl Tenant {
    /// Creates it, and waits until the policy takes effect.
    pub(crate) fn new(stem: &str) -> Tenant {
        let cluster = Cluster::shared();
        let tenant = Tenant { namespace: cluster.namespace(stem), cluster };
        {
            // The policy is cluster-wide, and of two concurrent creations one would fail.
            static APPLYING: Mutex<()> = Mutex::new(());
            let _alone = APPLYING.lock().expect("no panic under the lock");
            tenant.kubectl(&["apply", "--warnings-as-errors", "-k", REGISTER]);
        }
        tenant.kubectl(&["create", "serviceaccount", ACCOUNT]);
        tenant.bind(ACCOUNT, "callsign-register");

        // Before the Role takes effect RBAC refuses a write, and before the policy does a write is allowed. A write that changes
        // nothing is always allowed, so each write here differs.
        let (canary, forger) = (tenant.pod("canary"), tenant.unbound(ACCOUNT));
        let mut attempts = 0;
        eventually(POLICY_PATIENCE, || {
            attempts += 1;
            let attempt = json!({ "metadata": { "annotations": { "app.io/annotation": attempts.to_string() } } });
            match forger.patch(&canary, "", &attempt) {
                Err(message) if message.contains("callsign: ") => Ok(()),
                other => Err(format!("{:?}", other.err())),
            }
        });
        tenant
    }

    /// Runs kubectl as administrator in the namespace.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", &self.namespace.name], args].concat())
    }

    /// Grants a Role of the namespace to one of its service accounts.
    pub(crate) fn bind(&self, account: &str, role: &str) {
        let account = format!("{}:{account}", self.namespace.name);
        let name = format!("{role}-{}", account.replace(':', "-"));
        self.kubectl(&["create", "rolebinding", &name, "--role", role, "--serviceaccount", &account]);
    }

    /// A Pod of the account that registers, with a finalizer, so that a test can try to remove it.
    pub(crate) fn pod(&self, name: &str) -> Pod {
        let pod = self.namespace.pod_with(name, json!({ "serviceAccountName": ACCOUNT }));
        pod.patch(json!({ "metadata": {
            "finalizers": ["example.org/kept"],
            "labels": { "team": "a" },
            "annotations": { "note": "b" },
        } }));
        pod
    }

    /// The user that the Pod's mounted token stands for.
    pub(crate) fn inside(&self, pod: &Pod) -> User {
        User::new(self.cluster, &self.token(pod))
    }

    /// A kubeconfig of the same user.
    pub(crate) fn kubeconfig_inside(&self, pod: &Pod) -> String {
        self.cluster.kubeconfig_with(&format!("{}-{}", pod.namespace, pod.name), &self.token(pod))
    }

    fn token(&self, pod: &Pod) -> String {
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", &pod.name, "--bound-object-uid", &pod.uid];
        self.kubectl(&[&["create", "token", ACCOUNT], bound.as_slice()].concat())
    }

    /// A service account with a token that is bound to no Pod.
    pub(crate) fn unbound(&self, account: &str) -> User {
        User::new(self.cluster, &self.kubectl(&["create", "token", account]))
    }

    /// A service account with a Role of these verbs on these resources. Waits until the account can read the Pod.
    pub(crate) fn with_role(&self, account: &str, verbs: &str, resources: &str, pod: &Pod) -> User {
        self.kubectl(&["create", "serviceaccount", account]);
        self.kubectl(&["create", "role", account, "--verb", verbs, "--resource", resources]);
        self.bind(account, account);
        let user = self.unbound(account);
        eventually(POLICY_PATIENCE, || user.read(pod));
        user
    }

    /// Whether a user, or a member of a group, may now do this in the namespace.
    pub(crate) fn may(&self, user: &str, group: &str, mut what: Value) -> Result<(), String> {
        what["namespace"] = json!(self.namespace.name);
        let review = json!({ "spec": { "user": user, "groups": [group], "resourceAttributes": what } });
        let review: SubjectAccessReview = serde_json::from_value(review).expect("a review");
        let api: Api<SubjectAccessReview> = Api::all(self.cluster.admin());
        let review = self.cluster.block_on(api.create(&PostParams::default(), &review)).expect("an answer");
        let allowed = review.status.as_ref().is_some_and(|status| status.allowed);
        allowed.then_some(()).ok_or_else(|| format!("{user}, {group}: {what}: {:?}", review.status))
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

    /// Reads a Pod. The error is the server's message.
    pub(crate) fn read(&self, pod: &Pod) -> Result<(), String> {
        self.cluster.block_on(self.pods(pod).get(&pod.name)).map(drop).map_err(|error| error.to_string())
    }

    /// Sends a JSON merge patch to a Pod or one of its subresources. The error is the message of a refusal.
    #[track_caller]
    pub(crate) fn patch(&self, pod: &Pod, subresource: &str, patch: &Value) -> Result<core::Pod, String> {
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

    /// Sends a patch that must be refused, and checks that nothing has changed. Returns the refusal's message.
    #[track_caller]
    pub(crate) fn refused(&self, pod: &Pod, subresource: &str, patch: &Value) -> String {
        let before = pod.now().expect("a Pod").metadata;
        let Err(message) = self.patch(pod, subresource, patch) else { panic!("{}: allowed {patch}", pod.name) };
        assert_eq!(pod.now().expect("a Pod").metadata, before, "{patch}");
        message
    }
}
