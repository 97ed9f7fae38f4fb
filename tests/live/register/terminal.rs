//! A wrapper at a terminal: which process has the foreground.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{ALONE, PATIENCE, wrapper};
use crate::harness::eventually;

/// A process at a terminal that the test controls.
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
    // A container whose process 1 has the terminal, and a shell's session.
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

/// Process 1 of the namespace of the terminal's `unshare`.
#[track_caller]
fn first_at(process: &AtTerminal) -> Pid {
    let id = process.child.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("the kernel's list of children");
    Pid::from_raw(children.trim().parse().expect("one child"))
}

#[test]
fn ctrl_z_in_a_container_does_not_prevent_the_end() {
    // `setsid` replaces itself by the wrapper, which then leads the terminal's session.
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
        std::thread::sleep(Duration::from_millis(500)); // the signal reaches the processes in the foreground
        kill(first_at(&process), Signal::SIGTERM).expect("send a signal");
        process.shows("withdrawing first");
        process.shows("got TERM");
        assert_eq!(process.code(), Some(6), "{}", process.screen());
    }
}

#[test]
fn the_wrapper_takes_the_terminal_back_when_the_server_ends() {
    let words = wrapper(&["--no-wait"], &["sh", "-c", "read line; echo \"got: $line\""]).join(" ");
    let words = words.replace("read line; echo \"got: $line\"", "'read line; echo \"got: $line\"'");
    // Without job control the shell does not take the terminal back itself.
    let script = format!("{words}; read line; echo \"then: $line\"");
    let start = ["setsid", "--ctty", "--wait", "sh", "-c", &script].map(str::to_owned);
    let mut process = AtTerminal::start(&start);
    process.types("one\n");
    process.shows("got: one");
    process.types("two\n");
    process.shows("then: two");
    assert_eq!(process.code(), Some(0), "{}", process.screen());
}
