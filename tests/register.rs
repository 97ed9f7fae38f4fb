//! `callsign register` where no API server is needed: as a container's first process, and what it knows of the profiles.

#[allow(dead_code, reason = "every test binary uses a part of it")]
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use callsign::config::default_profiles;
use callsign::register::Profile;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use harness::eventually;
use harness::process::{Process, free_port, scratch};

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the wrapper around a shell's script as process 1 of a PID namespace, with an API server that is not there.
fn first_process(script: &str) -> Process {
    let kubeconfig = scratch("kubeconfig").join("config");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, users: [{{name: a, user: {{}}}}], \
         clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{}'}}}}], \
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]}}",
        free_port()
    );
    fs::write(&kubeconfig, text).expect("write a kubeconfig");
    let kubeconfig = kubeconfig.to_str().expect("a path of UTF-8");
    let alone = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let register = ["register", "--interface", "a.B", "--port", "1", "--no-wait", "--drain", "0", "--pod", "a"];
    let end = ["--kubeconfig", kubeconfig, "--", "sh", "-c", script];
    Process::start("unshare", [&alone[..], &[env!("CARGO_BIN_EXE_callsign")], &register, &end].concat())
}

/// The first process of the namespace: the only child of `unshare`.
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
    let mut process = first_process(script);
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(5), "{}", process.log());
    assert!(process.log().contains("first: register\nzombies: 0\n"), "{}", process.log());
}

#[test]
fn the_first_process_passes_signals_on() {
    let script =
        "trap 'echo got USR1' USR1; trap 'echo got TERM; exit 6' TERM; echo listening; while :; do sleep 0.05; done";
    let mut process = first_process(script);
    tells(&process, "listening");
    kill(inner(&process), Signal::SIGUSR1).expect("send a signal");
    tells(&process, "got USR1");
    kill(inner(&process), Signal::SIGTERM).expect("send a signal");
    tells(&process, "got TERM");
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(6), "{}", process.log());
}

#[test]
fn what_is_written_is_what_a_server_looks_for() {
    let profiles = default_profiles();
    for (name, profile) in [("app", Profile::App), ("dubbo", Profile::Dubbo)] {
        let read = profiles.iter().find(|profile| *profile.name == *name).expect("the profile");
        assert_eq!(read.annotation, profile.annotation());
        for value in ["app.io-value", "dubbo.io-value", "dubbo.io.provider", "dubbo.io.consumer", "other"] {
            let labels = BTreeMap::from([(profile.label().to_owned(), value.to_owned())]);
            assert_eq!(read.selector.matches(&labels), profile.is_found_by(value), "{name} {value}");
        }
        assert!(profile.is_found_by(profile.label_value()));
    }
}
