//! Errors of registering. If YAML helps, the text ends with YAML to paste.

#![warn(missing_docs)]

use std::time::Duration;

use super::PodDoubt;
use super::yaml::{ENVIRONMENT_YAML, role_yaml};

/// The most characters of a server's message that an error repeats.
const MESSAGE_LEN_MAX: usize = 600;

/// Why writing the own Pod failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There is no connection, or no response.
    #[error("waiting for the API server: {0}")]
    Unreachable(String),
    /// The API server cannot answer at the moment.
    #[error("waiting for the API server, which answers {code}: {message}")]
    Busy {
        /// The HTTP status.
        code: u16,
        /// The API server's message.
        message: String,
        /// How long the API server asks to wait.
        retry_after: Option<Duration>,
    },
    /// Other writers change the Pod again and again.
    #[error("waiting for other writers of the Pod {0}: it changed before each of our writes")]
    Contended(String),
    /// The kubelet has not reported the Pod's address yet.
    #[error("waiting for the Pod {0} to have an address, which a registry path must name unless the registration does")]
    NoAddress(String),
    /// The kubelet has not yet reported the address that could prove the Pod to be our own.
    #[error(
        "waiting for the Pod {pod} to have an address, because only that can prove that this process is in it: {doubt}. To register \
             at once, say which Pod it is: {ENVIRONMENT_YAML}"
    )]
    Unproven {
        /// Namespace and name.
        pod: String,
        /// Why it needs a proof.
        doubt: PodDoubt,
    },
    /// Nothing proves that the Pod is our own.
    #[error(
        "nothing proves that this process is in the Pod {pod}: {doubt}, and {reason}. Nothing was written; say which Pod it is: \
             {ENVIRONMENT_YAML}"
    )]
    NotProven {
        /// Namespace and name.
        pod: String,
        /// Why it needs a proof.
        doubt: PodDoubt,
        /// Why there is no proof.
        reason: &'static str,
    },
    /// A running process keeps the entries in place that the write would replace.
    #[error("the Pod {pod} already has entries of the container {container}, and a {kind} keeps them in place")]
    Kept {
        /// Namespace and name.
        pod: String,
        /// The container's name.
        container: String,
        /// The kind of registrar that keeps them.
        kind: String,
    },
    /// The API server refuses the credentials.
    #[error("the API server does not accept our credentials (401): {0}")]
    Unauthorized(String),
    /// The service account lacks a right.
    #[error(
        "may not {verb} the Pod {pod} (403: {message}); its service account needs get and patch on pods: {}",
        role_yaml(namespace, message)
    )]
    Forbidden {
        /// `get` or `patch`.
        verb: &'static str,
        /// Namespace and name.
        pod: String,
        /// The Pod's namespace.
        namespace: String,
        /// The API server's message.
        message: String,
    },
    /// An admission policy forbids the change, because the Pod is not our own.
    #[error(
        "the cluster's policy refuses to change the Pod {pod}: {message}; a process may register only in its own Pod, so say \
             which that is: {ENVIRONMENT_YAML}"
    )]
    NotAllowed {
        /// Namespace and name.
        pod: String,
        /// The API server's message.
        message: String,
    },
    /// There is no such Pod.
    #[error("there is no Pod {0}; say which one this process is in: {ENVIRONMENT_YAML}")]
    NoSuchPod(String),
    /// The Pod with this name has another uid.
    #[error(
        "the Pod {pod} has been replaced, or is not our own: its uid is {found}, and ours (POD_UID, or that of the Pod that was \
             registered) is {wanted}. Nothing was written. If no other Pod has taken the name, say which Pod it is: {ENVIRONMENT_YAML}"
    )]
    NotOwn {
        /// Namespace and name.
        pod: String,
        /// The uid of the Pod with this name.
        found: String,
        /// The uid of our Pod.
        wanted: String,
    },
    /// Only the Pod's plain annotations could say what is registered, and they register by themselves.
    #[error(
        "the Pod {0} does not leave its annotations to a registrar, and the flags do not say what to register: write app.io/register: \"true\" \
             beside them in the Pod template (without it they register by themselves), or say interface and port"
    )]
    NotLeftToUs(String),
    /// The Pod's plain annotations cannot be registered.
    #[error("the annotations of the Pod {pod} cannot be registered: {reason}")]
    BadAnnotations {
        /// Namespace and name.
        pod: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// The annotation's value cannot be decoded, so nothing can be added to it.
    #[error(
        "the annotation {annotation} of the Pod {pod} cannot be read, at byte {offset}: {reason}; mend it where it is written, or remove it: \
             kubectl -n {namespace} annotate pod {name} {annotation}-"
    )]
    Unreadable {
        /// Namespace and name.
        pod: String,
        /// The Pod's namespace.
        namespace: String,
        /// The Pod's name.
        name: String,
        /// The annotation's key.
        annotation: &'static str,
        /// Where in the value it stands, in bytes.
        offset: usize,
        /// What is wrong with the value.
        reason: String,
    },
    /// The Pod's annotations would exceed 256 KiB, the most that the API server accepts.
    #[error(
        "the Pod's annotations would have {len} bytes, {ours} of them in {annotation}, and may have at most {}: register fewer \
             interfaces in this Pod, or less metadata and fewer methods per interface",
        crate::registration::ANNOTATION_LEN_MAX
    )]
    TooLarge {
        /// The bytes that all keys and values would have.
        len: usize,
        /// The bytes of our annotation's value.
        ours: usize,
        /// Our annotation's key.
        annotation: &'static str,
    },
    /// A server would not read all registrations of the Pod.
    #[error(
        "the Pod would have more registrations than a server reads ({reason}): at most {} registrations, and 1 MiB of JSON",
        crate::registration::REGISTRATIONS_MAX
    )]
    TooMany {
        /// The reason that the server would give.
        reason: String,
    },
    /// The API server refuses for any other reason.
    #[error("the API server refuses to {verb} the Pod {pod} ({code}): {message}")]
    Refused {
        /// `get` or `patch`.
        verb: &'static str,
        /// Namespace and name.
        pod: String,
        /// The HTTP status.
        code: u16,
        /// The API server's message.
        message: String,
    },
}

impl RegisterError {
    /// Whether a retry can help without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        use RegisterError::{Busy, Contended, NoAddress, Unproven, Unreachable};
        matches!(self, Unreachable(_) | Busy { .. } | Contended(_) | NoAddress(_) | Unproven { .. })
    }

    /// Whether the found Pod is not this process's.
    pub fn is_of_another_pod(&self) -> bool {
        matches!(self, RegisterError::NoSuchPod(_) | RegisterError::NotOwn { .. } | RegisterError::NotProven { .. })
    }

    /// How long the API server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            RegisterError::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// A server's message, short enough for a log line.
pub(super) fn shortened(message: &str) -> String {
    message.chars().take(MESSAGE_LEN_MAX).collect()
}
