//! Where Pods come from, and the one way in which they arrive: a stream of [`Event`]s.
//!
//! A source is one watch: of one cluster, for one profile, in one namespace or in all. Each tells of its own Pods only,
//! and its events are in order. A relist is a `Begin`, the Pods that are there, and a `Commit` that says that those were
//! all; an `Abort` says that the rest is not known.

pub mod again;
pub mod files;
pub mod health;
pub mod kube;
pub mod poll;
pub mod selector;
pub mod url;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use self::selector::Selector;
use crate::registration::Decoded;

/// Which watch an event comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// The cluster's name; Pod networks of several clusters may overlap.
    pub cluster: Arc<str>,
    /// The profile whose label and annotation this watch reads.
    pub profile: Arc<str>,
    /// The namespace watched, or none where it is all of them.
    pub namespace: Option<Arc<str>>,
}

/// Something that a source saw.
#[derive(Clone, Debug)]
pub struct Event {
    /// The watch that saw it.
    pub source: SourceId,
    /// What it saw.
    pub change: Change,
}

/// An event on its way, and when what says so was received.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What a source saw.
    pub event: Event,
    /// When the bytes came, or when the file was read.
    pub received: Instant,
    /// What the Pod's annotation holds, where its source has decoded it: of a first list, whose Pods are all news, so that
    /// who takes them in need not do it one after the other. Else it may be what is known already, and is not decoded.
    pub decoded: Option<Decoded>,
}

/// What a source can say.
#[derive(Clone, Debug)]
pub enum Change {
    /// A list is about to be asked for. What was told before is no newer than the list, and is not swept before its `Commit`.
    Begin,
    /// A Pod as it is now.
    Apply(Box<Pod>),
    /// A Pod as it is now, told because it was asked for: what is known of it may be newer, or it may be gone.
    Again(Box<Pod>),
    /// The Pod with this uid is gone, or no longer carries the label.
    Remove(Arc<str>),
    /// The list was whole: what it did not name is gone.
    Commit,
    /// The list broke off: what it did not name may still be there, and what it found changed waits for a list that ends.
    Abort,
    /// The list is at its end, but part of it could not be read: what it found changed is so, and what it did not name
    /// stays.
    Close,
}

/// A Pod with only what registrations need; every part of the API object that is missing or odd has its plain default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// `metadata.namespace`
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// `metadata.resourceVersion` as a number; 0 where it is none. Larger is later, within one cluster.
    pub resource_version: u64,
    /// Its state.
    pub status: PodStatus,
    /// The value of the source's profile's annotation, if the Pod has it.
    pub annotation: Option<Arc<str>>,
}

/// A Pod's own addresses: one is the rule, and two in a dual-stack network.
pub type PodIps = SmallVec<[IpAddr; 1]>;

/// What of a Pod's state decides whether and where it is published.
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
    /// `status.podIPs`, or `status.podIP`; IPv4-mapped IPv6 addresses as IPv4, repeats left out.
    pub pod_ips: PodIps,
    /// `status.hostIPs`, or `status.hostIP`, likewise.
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
    /// All containers ended well and will not start again.
    Succeeded,
    /// All containers ended and one failed.
    Failed,
    /// The node has not told, or the API server says something that we do not know.
    #[default]
    Unknown,
}

impl Phase {
    /// Whether the Pod is over; its address may already be another Pod's.
    pub fn is_finished(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed)
    }
}

/// What a registration is found by: a label selector for the API server and the annotation that holds the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The profile's name.
    pub name: Arc<str>,
    /// The label selector: its text is for the API server, its parsed form for manifests.
    pub selector: Selector,
    /// The annotation's key.
    pub annotation: String,
}
