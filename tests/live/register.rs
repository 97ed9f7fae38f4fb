//! `callsign register` without an API server: as a container's first process, at signals, at a terminal, and with the command
//! lines of the documents.

mod documents;
mod signals;
mod terminal;

use std::fs;
use std::time::Duration;

use nix::unistd::Pid;

use crate::harness::eventually;
use crate::harness::process::{Process, free_port, scratch};

const PATIENCE: Duration = Duration::from_secs(20);

/// The arguments of `unshare` that make a command process 1 of a PID namespace, like a container's.
const ALONE: [&str; 6] = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// The command line that starts the wrapper around a command, with the address of an absent API server.
fn wrapper(flags: &[&str], command: &[&str]) -> Vec<String> {
    let kubeconfig = scratch("kubeconfig").join("config");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, users: [{{name: a, user: {{}}}}], \
         clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{}'}}}}], \
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]}}",
        free_port()
    );
    fs::write(&kubeconfig, text).expect("write a kubeconfig");
    let kubeconfig = kubeconfig.to_str().expect("a path of UTF-8");
    let register = [env!("CARGO_BIN_EXE_callsign"), "register", "--interface", "a.B", "--port", "1"];
    let drain = if flags.contains(&"--drain") || command.is_empty() { &[][..] } else { &["--drain", "0"] };
    let pod = ["--namespace", "a", "--pod", "a", "--kubeconfig", kubeconfig];
    [&register[..], drain, flags, &pod, &["--"], command].concat().into_iter().map(str::to_owned).collect()
}

/// Starts the wrapper around a shell script, as process 1 of a PID namespace.
fn first_process(flags: &[&str], script: &str) -> Process {
    let words = wrapper(flags, &["sh", "-c", script]);
    Process::start("unshare", ALONE.into_iter().chain(words.iter().map(String::as_str)))
}

/// Process 1 of the namespace: the only child of `unshare`.
fn inner(process: &Process) -> Pid {
    let id = process.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("the kernel's list of children");
    Pid::from_raw(children.trim().parse().expect("one child"))
}

#[track_caller]
fn tells(process: &Process, text: &str) {
    eventually(PATIENCE, || process.log().contains(text).then_some(()).ok_or_else(|| format!("no {text}")));
}

#[test]
fn the_first_process_reaps_orphans_and_ends_with_the_servers_code() {
    let script = "for i in 1 2 3 4 5; do (sleep 0.1 & ) ; done; sleep 1
        echo \"first: $(tr '\\0' ' ' </proc/1/cmdline | cut -d ' ' -f 2)\"
        echo \"zombies: $(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ')\"; exit 5";
    let mut process = first_process(&["--no-wait"], script);
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(5), "{}", process.log());
    assert!(process.log().contains("first: register\nzombies: 0\n"), "{}", process.log());
}

/// The log of a wrapper that cannot be written ends neither the wrapper nor its server.
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    for log in ["2>/dev/full", "2> >(true)"] {
        let words = wrapper(&["--no-wait"], &["sh", "-c", "sleep 2; exit 5"]);
        let redirect = format!("exec \"$0\" \"$@\" {log}");
        let mut process = Process::start("bash", ["-c", &redirect].into_iter().chain(words.iter().map(String::as_str)));
        assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(5), "{log}");
    }
}

#[test]
fn the_servers_parent_has_the_wrappers_name() {
    let script = "echo \"name: $(cat /proc/$PPID/comm) $(tr '\\0' ' ' </proc/$PPID/cmdline | cut -d ' ' -f 1,2)\"";
    let mut process = first_process(&["--no-wait"], script);
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(0), "{}", process.log());
    let expected = format!("name: callsign {} register\n", env!("CARGO_BIN_EXE_callsign"));
    assert!(process.log().contains(&expected), "{}", process.log());
}
