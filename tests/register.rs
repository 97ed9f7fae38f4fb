//! `callsign register` where no API server is needed: as a container's first process, at a terminal, what it knows of the profiles, and
//! that the examples are what it takes.

#[allow(dead_code, reason = "every test binary uses a part of it")]
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callsign::cli::{self, Cli, RegisterArgs};
use callsign::config::default_profiles;
use callsign::register::{Kind, Owner, Profile};
use clap::Parser;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use harness::eventually;
use harness::process::{Process, free_port, scratch};

const PATIENCE: Duration = Duration::from_secs(20);

/// The first process of a PID namespace, as a container has it.
const ALONE: [&str; 6] = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// The words that start the wrapper around a command, with an API server that is not there.
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

/// Starts it around a shell's script as process 1 of a PID namespace.
fn first_process(flags: &[&str], script: &str) -> Process {
    let words = wrapper(flags, &["sh", "-c", script]);
    Process::start("unshare", ALONE.into_iter().chain(words.iter().map(String::as_str)))
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
fn the_first_process_passes_signals_on() {
    let script =
        "trap 'echo got USR1' USR1; trap 'echo got TERM; exit 6' TERM; echo listening; while :; do sleep 0.05; done";
    let mut process = first_process(&["--no-wait"], script);
    tells(&process, "listening");
    kill(inner(&process), Signal::SIGUSR1).expect("send a signal");
    tells(&process, "got USR1");
    kill(inner(&process), Signal::SIGTERM).expect("send a signal");
    tells(&process, "got TERM");
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(6), "{}", process.log());
}

#[test]
fn the_wrapper_is_called_as_its_parent_was() {
    let script = "echo \"name: $(cat /proc/$PPID/comm) $(tr '\\0' ' ' </proc/$PPID/cmdline | cut -d ' ' -f 1,2)\"";
    let mut process = first_process(&["--no-wait"], script);
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(0), "{}", process.log());
    let expected = format!("name: callsign {} register\n", env!("CARGO_BIN_EXE_callsign"));
    assert!(process.log().contains(&expected), "{}", process.log());
}

#[test]
fn any_signal_that_asks_for_the_end_withdraws_first_and_is_the_one_that_is_passed_on() {
    let script = |signal: &str| {
        format!("trap 'echo got {signal}; exit 6' {signal}; trap '' TERM; echo listening; while :; do sleep 0.05; done")
    };
    let cases = [
        ("QUIT", Signal::SIGQUIT, &["--no-wait", "--stop-signal", "QUIT"][..]),
        ("WINCH", Signal::SIGWINCH, &["--no-wait", "--stop-signal", "WINCH"]),
        ("USR1", Signal::SIGUSR1, &["--no-wait", "--stop-signal", "SIGUSR1"]),
        ("PWR", Signal::SIGPWR, &["--no-wait", "--stop-signal", "30"]),
    ];
    // Each waits 5 s for a withdrawal that the absent API server cannot acknowledge: all at once.
    let mut processes = cases.map(|(name, signal, flags)| (name, signal, first_process(flags, &script(name))));
    for (_, signal, process) in &processes {
        tells(process, "listening");
        kill(inner(process), *signal).expect("send a signal");
    }
    for (name, _, process) in &mut processes {
        assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(6), "{name}\n{}", process.log());
        let log = process.log();
        let places = ["withdrawing first", "drained", &format!("got {name}")].map(|text| log.find(text));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}\n{log}");
    }
}

#[test]
fn a_server_that_serves_on_after_sigquit_is_registered_again() {
    // As a JVM, which lists its threads.
    let script = "trap 'echo got QUIT' QUIT; trap 'exit 6' TERM; echo listening; while :; do sleep 0.05; done";
    let mut process = first_process(&["--ready-exec", "true"], script);
    tells(&process, "listening");
    std::thread::sleep(Duration::from_secs(1)); // the probe is content
    kill(inner(&process), Signal::SIGQUIT).expect("send a signal");
    tells(&process, "got QUIT");
    tells(&process, "registered again");
    kill(inner(&process), Signal::SIGTERM).expect("send a signal");
    tells(&process, "signal=SIGTERM");
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(6), "{}", process.log());
}

/// A server that lists its threads at SIGQUIT, as a JVM, and ends with 6 at SIGTERM.
const JVM: &str =
    "trap 'echo got QUIT' QUIT; trap 'echo got TERM; exit 6' TERM; echo listening; while :; do sleep 0.05; done";

#[track_caller]
fn asks(process: &Process, signal: Signal) {
    kill(inner(process), signal).expect("send a signal");
}

/// It is withdrawn at its end, so it was registered before.
#[track_caller]
fn is_withdrawn_at_its_end(process: &mut Process) {
    asks(process, Signal::SIGTERM);
    tells(process, "withdrawing first");
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(6), "{}", process.log());
}

#[test]
fn a_dump_of_threads_keeps_no_server_from_being_registered() {
    let gate = scratch("gate").join("open");
    let look = format!("test -e {}", gate.display());
    let mut starting = first_process(&["--ready-exec", &look], JVM);
    let mut unwatched = first_process(&["--no-wait"], JVM);
    for process in [&starting, &unwatched] {
        tells(process, "listening");
        asks(process, Signal::SIGQUIT);
        tells(process, "got QUIT");
        assert!(!process.log().contains("withdrawing"), "{}", process.log());
    }
    std::thread::sleep(Duration::from_secs(6)); // longer than a doubt lasts until the first look
    fs::write(&gate, "").expect("open the gate");
    std::thread::sleep(Duration::from_secs(1)); // the probe is content
    is_withdrawn_at_its_end(&mut starting);
    is_withdrawn_at_its_end(&mut unwatched);
}

#[test]
fn a_server_that_one_look_misses_is_registered_again() {
    let gate = scratch("gate").join("open");
    fs::write(&gate, "").expect("open the gate");
    let mut process = first_process(&["--ready-exec", &format!("test -e {}", gate.display())], JVM);
    tells(&process, "listening");
    std::thread::sleep(Duration::from_secs(1)); // the probe is content
    asks(&process, Signal::SIGQUIT);
    tells(&process, "got QUIT");
    fs::remove_file(&gate).expect("close the gate");
    std::thread::sleep(Duration::from_secs(6));
    assert!(!process.log().contains("registered again"), "{}", process.log());
    fs::write(&gate, "").expect("open the gate");
    tells(&process, "registered again");
    is_withdrawn_at_its_end(&mut process);
}

#[test]
fn a_dump_of_threads_cuts_no_drain_short() {
    let start = || first_process(&["--ready-exec", "true", "--drain", "2"], JVM);
    let (mut dump_first, mut dump_last) = (start(), start());
    for process in [&dump_first, &dump_last] {
        tells(process, "listening");
    }
    std::thread::sleep(Duration::from_secs(1)); // the probe is content
    for (process, signals) in
        [(&dump_first, [Signal::SIGQUIT, Signal::SIGTERM]), (&dump_last, [Signal::SIGTERM, Signal::SIGQUIT])]
    {
        asks(process, signals[0]);
        tells(process, "withdrawing first");
        asks(process, signals[1]);
    }
    tells(&dump_last, "got QUIT");
    for process in [&mut dump_first, &mut dump_last] {
        assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(6), "{}", process.log());
        let log = process.log();
        let places = ["withdrawing first", "drained", "got TERM"].map(|text| log.find(text));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{log}");
    }
}

#[test]
fn a_sidecar_ends_by_its_images_stop_signal() {
    let words = wrapper(&["--stop-signal", "USR2"], &[]);
    let mut process = Process::start("unshare", ALONE.into_iter().chain(words.iter().map(String::as_str)));
    tells(&process, "waiting for the API server");
    asks(&process, Signal::SIGUSR2);
    tells(&process, "asked to end: withdrawing");
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(0), "{}", process.log());
}

#[test]
fn a_stopped_server_is_continued_before_its_end() {
    let script = "trap 'exit 6' TERM; echo stopping; kill -STOP $$; while :; do sleep 0.05; done";
    let mut process = first_process(&["--ready-exec", "false"], script);
    tells(&process, "stopping");
    kill(inner(&process), Signal::SIGTERM).expect("send a signal");
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(6), "{}", process.log());
}

/// A process whose terminal is ours.
struct AtTerminal {
    keyboard: fs::File,
    screen: Arc<Mutex<String>>,
    child: Child,
}

impl AtTerminal {
    fn start(words: &[String]) -> AtTerminal {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
        let end = || Stdio::from(slave.try_clone().expect("share a terminal"));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("start a process at a terminal");
        let keyboard = fs::File::from(master);
        let mut output = keyboard.try_clone().expect("share a terminal");
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(len @ 1..) = output.read(&mut bytes) {
                shown.lock().expect("a screen").push_str(&String::from_utf8_lossy(&bytes[..len]));
            }
        });
        AtTerminal { keyboard, screen, child }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("type");
    }

    fn screen(&self) -> String {
        self.screen.lock().expect("a screen").clone()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        eventually(PATIENCE, || self.screen().contains(text).then_some(()).ok_or_else(|| self.screen()));
    }

    #[track_caller]
    fn code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually(PATIENCE, || {
            status = self.child.try_wait().expect("a child's state");
            status.map(drop).ok_or_else(|| self.screen())
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_reads_the_terminal_gets_its_foreground() {
    let session = ["setsid", "--ctty", "--wait"].map(str::to_owned).to_vec();
    // A container whose first process has the terminal, and a shell's session.
    let container = ["unshare"].into_iter().chain(ALONE).map(str::to_owned).chain(session.clone()).collect();
    for start in [container, session] {
        let reader = ["sh", "-c", "read line; echo \"got: $line\"; exit 7"];
        let mut process = AtTerminal::start(&[start.clone(), wrapper(&["--no-wait"], &reader)].concat());
        process.types("hello\n");
        process.shows("got: hello");
        assert_eq!(process.code(), Some(7), "{start:?}: {}", process.screen());

        let mut process = AtTerminal::start(&[start.clone(), wrapper(&["--no-wait"], &["sh", "-i"])].concat());
        process.types("echo $((6 * 7)) is shown\n");
        process.shows("42 is shown");
        process.types("sh -c 'read line; echo \"got: $line\"'\nhello\n");
        process.shows("got: hello");
        process.types("exit 5\n");
        assert_eq!(process.code(), Some(5), "{start:?}: {}", process.screen());
    }
}

/// The first process of the namespace that a terminal's `unshare` has made.
#[track_caller]
fn first_at(process: &AtTerminal) -> Pid {
    let id = process.child.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("the kernel's list of children");
    Pid::from_raw(children.trim().parse().expect("one child"))
}

#[test]
fn ctrl_z_in_a_container_keeps_nobody_from_the_end() {
    // `setsid` runs the init in its own place, as the leader of the terminal's session.
    let container: Vec<String> =
        ["unshare"].into_iter().chain(ALONE).chain(["setsid", "--ctty"]).map(str::to_owned).collect();
    let serves = "trap 'echo got TERM; exit 6' TERM; echo listening; while :; do sleep 0.05; done";
    let reads = format!("read line; {serves}");
    for (script, text) in [(serves, ""), (&*reads, "hello\n")] {
        let mut process =
            AtTerminal::start(&[container.clone(), wrapper(&["--no-wait"], &["sh", "-c", script])].concat());
        process.types(text);
        process.shows("listening");
        process.types("\x1a");
        process.shows("^Z");
        std::thread::sleep(Duration::from_millis(500)); // the signal has come to the processes of the foreground
        kill(first_at(&process), Signal::SIGTERM).expect("send a signal");
        process.shows("withdrawing first");
        process.shows("got TERM");
        assert_eq!(process.code(), Some(6), "{}", process.screen());
    }
}

#[test]
fn the_terminal_is_taken_back_at_the_servers_end() {
    let words = wrapper(&["--no-wait"], &["sh", "-c", "read line; echo \"got: $line\""]).join(" ");
    let words = words.replace("read line; echo \"got: $line\"", "'read line; echo \"got: $line\"'");
    // Without job control the shell takes nothing back itself.
    let script = format!("{words}; read line; echo \"then: $line\"");
    let start = ["setsid", "--ctty", "--wait", "sh", "-c", &script].map(str::to_owned);
    let mut process = AtTerminal::start(&start);
    process.types("one\n");
    process.shows("got: one");
    process.types("two\n");
    process.shows("then: two");
    assert_eq!(process.code(), Some(0), "{}", process.screen());
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
            let owner = Owner { name: "20880".into(), kind: Kind::Wrapper };
            offer.check(args.profile, &owner).unwrap_or_else(|error| panic!("{name}: {error}"));
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
