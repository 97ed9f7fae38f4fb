//! All tests that need a real API server. They are one test binary, so that they share one cluster.

#[allow(dead_code, reason = "every test binary uses a part of it")]
mod harness;

mod cluster {
    mod again;
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
    #[allow(dead_code, reason = "every test binary uses a part of it")]
    #[path = "../fixtures/registrars.rs"]
    mod recorded;
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
}
