//! Signals of a wrapper and a sidecar: which of them withdraw and end the server, and which do not.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::{ALONE, PATIENCE, first_process, inner, tells, wrapper};
use crate::harness::process::{Process, scratch};

#[test]
fn the_first_process_forwards_signals() {
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
fn a_stop_signal_withdraws_first_and_is_then_forwarded() {
    let script = |signal: &str| {
        format!("trap 'echo got {signal}; exit 6' {signal}; trap '' TERM; echo listening; while :; do sleep 0.05; done")
    };
    let cases = [
        ("QUIT", Signal::SIGQUIT, &["--no-wait", "--stop-signal", "QUIT"][..]),
        ("WINCH", Signal::SIGWINCH, &["--no-wait", "--stop-signal", "WINCH"]),
        ("USR1", Signal::SIGUSR1, &["--no-wait", "--stop-signal", "SIGUSR1"]),
        ("PWR", Signal::SIGPWR, &["--no-wait", "--stop-signal", "30"]),
    ];
    // Each waits 5 s for a withdrawal that the absent API server cannot acknowledge, so all run concurrently.
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
    // Like a JVM, which lists its threads.
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

/// A server that lists its threads at SIGQUIT, like a JVM, and exits with 6 at SIGTERM.
const JVM: &str =
    "trap 'echo got QUIT' QUIT; trap 'echo got TERM; exit 6' TERM; echo listening; while :; do sleep 0.05; done";

#[track_caller]
fn asks(process: &Process, signal: Signal) {
    kill(inner(process), signal).expect("send a signal");
}

/// Checks that the server is withdrawn at its end, so it was registered before.
#[track_caller]
fn is_withdrawn_at_its_end(process: &mut Process) {
    asks(process, Signal::SIGTERM);
    tells(process, "withdrawing first");
    assert_eq!(process.ended(PATIENCE).and_then(|status| status.code()), Some(6), "{}", process.log());
}

#[test]
fn a_thread_dump_does_not_prevent_registration() {
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
    std::thread::sleep(Duration::from_secs(6)); // longer than the wait after a SIGQUIT until the first probe
    fs::write(&gate, "").expect("open the gate");
    std::thread::sleep(Duration::from_secs(1)); // the probe is content
    is_withdrawn_at_its_end(&mut starting);
    is_withdrawn_at_its_end(&mut unwatched);
}

#[test]
fn a_server_that_fails_one_probe_is_registered_again() {
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
fn a_thread_dump_does_not_shorten_the_drain() {
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
