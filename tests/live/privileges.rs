//! Which servers give up system calls. `src/sandbox.rs` tests which calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::process::scratch;
use crate::harness::server::Server;

use super::site::{manifests, text};

/// A kubeconfig's user, and whether its credentials come from a program.
const TOKEN: &str = "{token: x}";
const PLUGIN: &str = "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: echo, args: \
    ['{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{\"token\":\"x\"}}']}}";

/// A kubeconfig of a cluster that does not answer.
fn kubeconfig(credentials: &str) -> String {
    let file = scratch("kubeconfig").join("config");
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:9'}}}}]\n\
         users: [{{name: u, user: {credentials}}}]\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n"
    );
    fs::write(&file, config).expect("write a kubeconfig");
    text(&file).to_owned()
}

/// The number of seccomp filters of a thread.
fn filters(status: impl AsRef<Path>) -> usize {
    let status = fs::read_to_string(status).expect("a thread's status");
    let count = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")?.trim().parse().ok());
    count.expect("a count")
}

/// The number of filters of each thread of a server, without the test process's filters, which a container's runtime may set.
fn given_up(args: &[&str]) -> BTreeSet<usize> {
    let mut server = Server::launch(&[env!("CARGO_BIN_EXE_callsign")], args);
    server.wait_for("/livez");
    let threads = fs::read_dir(format!("/proc/{}/task", server.id())).expect("its threads").flatten();
    threads.map(|thread| filters(thread.path().join("status")) - filters("/proc/self/status")).collect()
}

#[test]
fn only_serve_gives_up_system_calls() {
    let (token, plugin) = (kubeconfig(TOKEN), kubeconfig(PLUGIN));
    for (args, count) in [
        (&["--manifests", manifests()][..], 1),
        (&["--manifests", manifests(), "--seccomp"], 1),
        (&["--manifests", manifests(), "--seccomp=false"], 0),
        (&["--kubeconfig", &token], 1),
        (&["--kubeconfig", &plugin], 0),
        (&["--kubeconfig", &plugin, "--seccomp=false"], 0),
    ] {
        assert_eq!(given_up(args), BTreeSet::from([count]), "{args:?}");
    }
}

#[test]
fn a_credentials_program_contradicts_the_seccomp_filter() {
    let args =
        ["serve", "--kubeconfig", &kubeconfig(PLUGIN), "--seccomp", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    // Without the variables of the tests' script, which are no options of callsign.
    let mut command = Command::new(env!("CARGO_BIN_EXE_callsign"));
    let refused = command.args(args).env_clear().output().expect("run callsign");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("--seccomp: the kubeconfig's credentials"), "{told}");
}
