//! The sources of Pods. All of them send a stream of [`Event`]s.
//!
//! A source is of one cluster and one profile, in one namespace or in all. It reports only its own Pods, and its events
//! are in order. Profiles with the same selector share a watch, which sends each of its events once for each of them. A
//! relist is `Begin`, the existing Pods, and `Commit`; `Abort` means that the list is incomplete.

#[cfg(feature = "server")]
pub mod files;
pub mod health;
pub mod kube;
mod profile;
pub mod refetch;
mod running;
pub mod selector;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use crate::registration::{Decoded, ProfileText};

pub use profile::{ProfilePods, WatchProfile, default_profiles};
pub use running::Sources;

/// Identifies a watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// The cluster's name. Pod networks of several clusters may overlap.
    pub cluster: Arc<str>,
    /// The profile whose Pods it reports.
    pub profile: Arc<str>,
    /// The watched namespace. `None`: all namespaces.
    pub namespace: Option<Arc<str>>,
}

/// A change on its way from a source to the writer. Beside the change it has what the writer needs of the source and of the way there.
#[derive(Clone, Debug)]
pub struct Event {
    /// The source that reports the change.
    pub source: SourceId,
    pub change: Change,
    /// When its bytes were received, or when the file was read.
    pub received: Instant,
    /// The decoded text of a Pod in a source's first list, where every Pod is new. Decoding in the sources runs in
    /// parallel. `None` otherwise: the text may be known already, and then nothing decodes it.
    pub decoded: Option<Decoded>,
}

/// What a source reports. This is all that the index needs besides the name of the source.
#[derive(Clone, Debug)]
pub enum Change {
    /// A list is about to be requested. Earlier events are no newer than the list, and nothing is removed before its
    /// `Commit`.
    Begin,
    /// The current state of a Pod.
    Apply(Box<Pod>),
    /// The state of a Pod that the index asked for. The index may know a newer state, or the Pod may be gone.
    Refetched(Box<Pod>),
    /// The Pod with this uid is gone, or no longer has the label.
    Remove(Arc<str>),
    /// The list was complete: Pods that it did not name are gone.
    Commit,
    /// The list broke off: Pods that it did not name may still exist, and its changes wait for a list that ends.
    Abort,
    /// The list ended, but a part of it could not be read: its changes apply, and Pods that it did not name stay.
    Close,
}

/// The parts of a Pod that registrations need. A part of the API object that is missing or malformed has its default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// `metadata.namespace`
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// `metadata.resourceVersion` as a number, or 0 if it is not a number. Within one cluster larger is later.
    pub resource_version: u64,
    pub status: PodStatus,
    /// What the source's profile names of the Pod.
    pub text: ProfileText,
}

/// A Pod's own addresses: usually one, or two in a dual-stack network.
pub type PodIps = SmallVec<[IpAddr; 1]>;

/// The parts of a Pod's state that decide whether and where it is published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodStatus {
    /// `status.phase`
    pub phase: Phase,
    /// The condition `Ready` is `True`.
    pub ready: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// `spec.hostNetwork`
    pub host_network: bool,
    /// `status.podIPs`, or else `status.podIP`. IPv4-mapped IPv6 addresses become IPv4, and duplicates are dropped.
    pub pod_ips: PodIps,
    /// `status.hostIPs`, or else `status.hostIP`, treated in the same way.
    pub host_ips: Box<[IpAddr]>,
    /// `status.startTime` in seconds since the epoch.
    pub start_time: Option<i64>,
}

/// `status.phase` of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not all containers have started.
    Pending,
    /// Bound to a node, and all containers have started.
    Running,
    /// All containers ended successfully and will not restart.
    Succeeded,
    /// All containers ended, and one failed.
    Failed,
    /// The node has not reported, or the API server sends an unknown value.
    #[default]
    Unknown,
}

impl Phase {
    /// Whether the Pod has ended. Its address may already belong to another Pod.
    pub fn is_finished(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed)
    }
}
