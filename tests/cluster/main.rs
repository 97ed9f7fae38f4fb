//! All tests that need a real API server. They are one test binary, so that they share one cluster.

#[path = "../harness"]
mod harness {
    pub(crate) mod annotation;
    pub(crate) mod ask;
    pub(crate) mod cases;
    pub(crate) mod cluster;
    pub(crate) mod container;
    pub(crate) mod control_plane;
    pub(crate) mod coredns;
    pub(crate) mod dig;
    pub(crate) mod exchange;
    pub(crate) mod faults;
    pub(crate) mod go;
    pub(crate) mod kubelet;
    mod metric;
    pub(crate) mod oracle;
    pub(crate) mod order;
    pub(crate) mod process;
    pub(crate) mod proxies;
    pub(crate) mod proxy;
    pub(crate) mod recorded;
    mod second;
    pub(crate) mod seeds;
    pub(crate) mod server;
    pub(crate) mod tenant;
    pub(crate) mod tls;
    mod wait;

    pub(crate) use second::within_a_second;
    pub(crate) use wait::eventually;
}

mod again;
mod checks;
mod commands;
mod coredns;
mod deploy;
mod deploy_readme;
mod encodings;
mod faults;
mod faults_churn;
mod faults_fruitless;
mod faults_outage;
mod faults_slow;
mod faults_soak;
mod faults_soak_churn;
mod hostile_pod;
mod kubeconfig;
mod kubelet;
mod manifests;
mod oracle;
mod pods;
mod reading;
mod register;
mod register_dubbo;
mod register_identity;
mod register_keeper;
mod register_policy;
mod register_rolling;
mod register_warnings;
mod register_wrapper;
mod registrars;
mod registrars_run;
mod registry;
mod registry_examples;
mod registry_watch;
mod state;
mod watches;
