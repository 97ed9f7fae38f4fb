//! `callsign register` where no API server is needed: as a container's first process, what it knows of the profiles, and
//! that the examples are what it takes.

#[allow(dead_code, reason = "every test binary uses a part of it")]
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use callsign::cli::{self, Cli, RegisterArgs};
use callsign::config::default_profiles;
use callsign::register::Profile;
use clap::Parser;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
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

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/register/examples");

/// The command line that a container gives the program: its arguments where it is the image's own, else what follows the
/// program in the command; none where it runs something else.
fn command_line(container: &Container) -> Option<Vec<String>> {
    let (command, args) =
        (container.command.as_deref().unwrap_or_default(), container.args.clone().unwrap_or_default());
    match (command, container.image.as_deref()) {
        ([], Some("callsign")) => Some(args),
        ([program, rest @ ..], _) if program.ends_with("/callsign") => Some([rest, &args].concat()),
        _ => None,
    }
}

#[track_caller]
fn register_args(line: &[String]) -> RegisterArgs {
    let words = ["callsign".to_owned()].into_iter().chain(line.iter().cloned());
    match Cli::try_parse_from(words) {
        Ok(Cli { command: cli::Command::Register(args) }) => *args,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn the_examples_are_what_the_program_takes() {
    let mut seen = Vec::new();
    for name in ["wrapper", "sidecar"] {
        let text = fs::read_to_string(format!("{EXAMPLES}/{name}.yaml")).expect("an example");
        let deployment: Deployment = serde_saphyr::from_str(&text).expect("a Deployment");
        let pod = deployment.spec.and_then(|spec| spec.template.spec).expect("a Pod's spec");
        let server = &pod.containers[0];
        let served: Vec<i32> = server.ports.iter().flatten().map(|port| port.container_port).collect();
        let sleep = server.lifecycle.iter().find_map(|hooks| hooks.pre_stop.as_ref()?.sleep.as_ref());
        let grace = pod.termination_grace_period_seconds.expect("a time to end");
        for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
            let Some(line) = command_line(container) else { continue };
            let args = register_args(&line);
            assert_eq!(args.interface, ["org.acme.Greeter"], "{name}");
            assert_eq!(args.port.iter().map(|port| i32::from(*port)).collect::<Vec<_>>(), served, "{name}");
            let offer = args.fields.offer(&args.interface[0], &args.port);
            offer.check(args.profile, "20880").unwrap_or_else(|error| panic!("{name}: {error}"));
            // What goes on for callers, and what the kubelet leaves of it for the server's own stop.
            let drain = i64::try_from(args.drain).expect("seconds");
            match (args.command.is_empty(), sleep) {
                (false, None) => assert!(drain < grace, "{name}"),
                (true, Some(sleep)) => assert!((drain..grace).contains(&sleep.seconds), "{name}"),
                other => panic!("{name}: {other:?}"),
            }
            seen.push(name);
        }
    }
    assert_eq!(seen, ["wrapper", "sidecar"]);
}

#[test]
fn the_documents_lines_are_what_the_program_takes() {
    let mut count = 0;
    for file in ["README.md", "deploy/register/README.md"] {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).expect("a document").replace("\\\n", " ");
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("$ callsign ")) {
            let words = ["callsign"].into_iter().chain(line.split_whitespace());
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{file}: {line}: {error}"));
            count += 1;
        }
    }
    assert!(count >= 3, "{count} lines");
}
