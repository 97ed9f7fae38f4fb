//! What needs the whole machine: the highest load, a cluster of thousands of Pods, and the static binary, which a script
//! builds with every processor.
//!
//! They are a separate binary, because they leave no processor for others. Its tests run one at a time.

#[allow(dead_code, reason = "the tests of `cluster` do more with an API server, CoreDNS and replies")]
#[path = "../harness"]
mod harness {
    pub(crate) mod alone;
    pub(crate) mod annotation;
    pub(crate) mod ask;
    pub(crate) mod charts;
    pub(crate) mod cluster;
    pub(crate) mod control_plane;
    pub(crate) mod coredns;
    pub(crate) mod dig;
    pub(crate) mod exchange;
    pub(crate) mod kubelet;
    mod metric;
    pub(crate) mod process;
    pub(crate) mod proxy;
    pub(crate) mod server;
    mod wait;

    pub(crate) use wait::eventually;
}

mod charts;
mod load;
mod static_binary;
