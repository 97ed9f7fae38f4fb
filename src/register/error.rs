//! What can keep a process from registering, and what to change: each text ends with YAML to paste, where that helps.

#![warn(missing_docs)]

use std::time::Duration;

use super::Doubt;
use crate::registration::Problem;

/// What tells a process which Pod it is in: for its container in a manifest.
pub const ENVIRONMENT_YAML: &str = "env: [{name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, \
     {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, \
     {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]";

/// The most characters of a server's message that are repeated.
const MESSAGE_LEN_MAX: usize = 600;

/// Why a Pod could not be written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegisterError {
    /// There is no connection, or no answer.
    #[error("waiting for the API server: {0}")]
    Unreachable(String),
    /// It is there and cannot, for now.
    #[error("waiting for the API server, which answers {code}: {message}")]
    Busy {
        /// The HTTP status.
        code: u16,
        /// What it says.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// Others write the Pod all the time.
    #[error("waiting for the Pod {0} to rest: it changed again before each of our writes")]
    Contended(String),
    /// The kubelet has not told the Pod's address yet.
    #[error("waiting for the Pod {0} to have an address, which a registry path must name (or give --ip)")]
    NoAddress(String),
    /// The kubelet has not told yet what would show that the Pod is ours.
    #[error(
        "waiting for the Pod {pod} to have an address, which alone can prove that this process is in it: {doubt}. To register \
             at once, tell which Pod it is: {ENVIRONMENT_YAML}"
    )]
    Unproven {
        /// Namespace and name.
        pod: String,
        /// Why it needs a proof.
        doubt: Doubt,
    },
    /// The Pod is not ours, for all that can be seen.
    #[error(
        "this process is not known to be in the Pod {pod}: {doubt}; and {reason}. Nothing is written; tell which Pod it is: \
             {ENVIRONMENT_YAML}"
    )]
    NotProven {
        /// Namespace and name.
        pod: String,
        /// Why it needs a proof.
        doubt: Doubt,
        /// What speaks against it.
        reason: &'static str,
    },
    /// A process that runs looks after the entries that would be replaced.
    #[error(
        "the Pod {pod} has entries of the container {container} already, and a {kind} looks after them. For entries beside \
             them give --container another name; to replace them give --container {container}"
    )]
    Kept {
        /// Namespace and name.
        pod: String,
        /// The container's name.
        container: String,
        /// What looks after them.
        kind: String,
    },
    /// The credentials are refused.
    #[error("the API server does not know us (401): {0}")]
    Unauthorized(String),
    /// A right is missing.
    #[error(
        "may not {verb} the Pod {pod} (403: {message}); its service account needs get and patch on pods: {}",
        role_yaml(namespace, message)
    )]
    Forbidden {
        /// `get` or `patch`.
        verb: &'static str,
        /// Namespace and name.
        pod: String,
        /// The namespace.
        namespace: String,
        /// What the server says.
        message: String,
    },
    /// An admission policy keeps us from a Pod that is not ours.
    #[error(
        "the cluster's policy refuses to change the Pod {pod}: {message}; a process may register in its own Pod alone, so tell \
             which that is: {ENVIRONMENT_YAML}"
    )]
    NotAllowed {
        /// Namespace and name.
        pod: String,
        /// What the server says.
        message: String,
    },
    /// There is no such Pod.
    #[error(
        "there is no Pod {0}; tell which one this process is in, with --namespace and --pod or: {ENVIRONMENT_YAML}"
    )]
    NoSuchPod(String),
    /// Another Pod has taken the name.
    #[error(
        "the Pod {pod} is another one now, or is not ours: its uid is {found}, and ours (POD_UID, or that of the Pod that was \
             registered) is {wanted}. It is not touched; if no other Pod has taken the name, tell which Pod it is: {ENVIRONMENT_YAML}"
    )]
    NotOwn {
        /// Namespace and name.
        pod: String,
        /// The uid that the Pod of this name has.
        found: String,
        /// Ours.
        wanted: String,
    },
    /// The annotation's value is none, so nothing can be added to it.
    #[error("the annotation {annotation} of the Pod {pod} cannot be read, at byte {}: {}; whoever wrote it may mend it, or remove it: \
             kubectl -n {namespace} annotate pod {name} {annotation}-", problem.offset, problem.reason)]
    Unreadable {
        /// Namespace and name.
        pod: String,
        /// The namespace.
        namespace: String,
        /// The Pod's name.
        name: String,
        /// The annotation's key.
        annotation: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
    /// All annotations of a Pod have 256 KiB.
    #[error(
        "the Pod's annotations would have {len} bytes, {ours} of them in {annotation}, and all together may have {}: register fewer \
             interfaces in this Pod, or less metadata and fewer methods with each",
        crate::registration::ANNOTATION_LEN_MAX
    )]
    TooLarge {
        /// What it would come to, in bytes of keys and values.
        len: usize,
        /// The bytes of our annotation's value.
        ours: usize,
        /// Its key.
        annotation: &'static str,
    },
    /// A server reads no more of one Pod.
    #[error(
        "the Pod would hold more than a server reads of one ({reason}): at most {} registrations, and 1 MiB of JSON",
        crate::registration::REGISTRATIONS_MAX
    )]
    TooMany {
        /// What the server would say.
        reason: crate::registration::Reason,
    },
    /// Anything else that the server refuses.
    #[error("the API server refuses to {verb} the Pod {pod} ({code}): {message}")]
    Refused {
        /// `get` or `patch`.
        verb: &'static str,
        /// Namespace and name.
        pod: String,
        /// The HTTP status.
        code: u16,
        /// What it says.
        message: String,
    },
}

impl RegisterError {
    /// Whether trying again will help without anybody's doing.
    pub fn is_passing(&self) -> bool {
        use RegisterError::{Busy, Contended, NoAddress, Unproven, Unreachable};
        matches!(self, Unreachable(_) | Busy { .. } | Contended(_) | NoAddress(_) | Unproven { .. })
    }

    /// Whether the Pod that was found is not this process's.
    pub fn is_of_another_pod(&self) -> bool {
        matches!(self, RegisterError::NoSuchPod(_) | RegisterError::NotOwn { .. } | RegisterError::NotProven { .. })
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            RegisterError::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// A server's message, cut to a length that a log line bears.
pub(super) fn shortened(message: &str) -> String {
    message.chars().take(MESSAGE_LEN_MAX).collect()
}

/// A Role and its binding, one line that `kubectl apply -f -` takes. The service account is the one that the server names.
fn role_yaml(namespace: &str, message: &str) -> String {
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let named =
        message.split_once("system:serviceaccount:").and_then(|(_, rest)| rest.split('"').next()?.split_once(':'));
    let named = named.filter(|(namespace, account)| is_name(namespace) && is_name(account));
    let (account_namespace, account) = named.unwrap_or((namespace, "default"));
    format!(
        "{{apiVersion: v1, kind: List, items: [\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: callsign-register, namespace: {namespace}}}, \
         rules: [{{apiGroups: [\"\"], resources: [pods], verbs: [get, patch]}}]}}, \
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: callsign-register, namespace: {namespace}}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: callsign-register}}, \
         subjects: [{{kind: ServiceAccount, name: {account}, namespace: {account_namespace}}}]}}]}}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_to_be_pasted_is_yaml() {
        let env: Value = serde_saphyr::from_str(ENVIRONMENT_YAML).unwrap();
        assert_eq!(
            env["env"][1],
            json!({ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } })
        );
        for (user, account) in [
            (
                "system:serviceaccount:shop:greeter",
                json!({ "kind": "ServiceAccount", "name": "greeter", "namespace": "shop" }),
            ),
            ("jane", json!({ "kind": "ServiceAccount", "name": "default", "namespace": "front" })),
            (
                "system:serviceaccount:a}:b",
                json!({ "kind": "ServiceAccount", "name": "default", "namespace": "front" }),
            ),
        ] {
            let message = format!("pods \"greeter-0\" is forbidden: User \"{user}\" cannot get resource \"pods\"");
            let list: Value = serde_saphyr::from_str(&role_yaml("front", &message)).unwrap();
            assert_eq!(list["items"][0]["rules"][0]["verbs"], json!(["get", "patch"]));
            assert_eq!(list["items"][1]["roleRef"]["name"], list["items"][0]["metadata"]["name"]);
            assert_eq!(list["items"][1]["subjects"], json!([account]), "{user}");
        }
    }
}
