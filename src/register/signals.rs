//! Signals that a process gets for another one, and which of them ask a server to end.

use std::ffi::{OsStr, OsString};
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::task::Poll;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::signal::unix::{self, SignalKind, signal};

/// Those that one process sends another on purpose.
const PASSED_ON: [Signal; 8] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
];

/// Those that cannot be a stop signal: nobody can catch them, or the kernel sends them for a fault, for a child, or for a
/// terminal.
const NEVER_STOP: [Signal; 14] = [
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGPIPE,
    Signal::SIGCHLD,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// What asks any server to end. SIGQUIT does so by custom alone: of a JVM it asks for a list of its threads.
const USUAL: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];

/// Servers whose images stop them by another signal, by the program's name.
const KNOWN: [(&str, Signal); 9] = [
    ("nginx", Signal::SIGQUIT),
    ("php-fpm", Signal::SIGQUIT),
    ("httpd", Signal::SIGWINCH),
    ("httpd-foreground", Signal::SIGWINCH),
    ("apache2", Signal::SIGWINCH),
    ("apache2-foreground", Signal::SIGWINCH),
    ("apachectl", Signal::SIGWINCH),
    ("apache2ctl", Signal::SIGWINCH),
    ("haproxy", Signal::SIGUSR1),
];

/// The signals that ask a server to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The one that the user names.
    named: Option<Signal>,
    /// The one that the server is known to be stopped by.
    known: Option<Signal>,
}

impl Ends {
    /// Those of a server: the usual ones, that of a program which is known, and the one that is named. `command` is the
    /// program and its arguments; empty where the server is somebody else's child.
    pub fn of(command: &[OsString], named: Option<Signal>) -> Ends {
        let name = |word: &OsString| Path::new(word).file_name().map(OsStr::to_string_lossy).map(String::from);
        let program = command.first().and_then(name).unwrap_or_default();
        // An image's script that starts what its arguments say.
        let is_entrypoint = program.ends_with(".sh") || program.contains("entrypoint");
        let program = if is_entrypoint { command.get(1).and_then(name).unwrap_or_default() } else { program };
        // As in php-fpm8.2.
        let plain = program.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.');
        let is_it = |(known, _): &&(&str, Signal)| *known == program || *known == plain;
        Ends { named, known: KNOWN.iter().find(is_it).map(|(_, signal)| *signal) }
    }

    /// Whether a signal asks for the end.
    pub(super) fn has(&self, signal: Signal) -> bool {
        USUAL.contains(&signal) || self.is_told(signal)
    }

    /// Whether a signal asks for the end and can mean nothing else.
    pub(super) fn is_sure(&self, signal: Signal) -> bool {
        self.has(signal) && !self.is_doubtful(signal)
    }

    /// Whether a signal that asks for the end may mean something else to this server.
    pub(super) fn is_doubtful(&self, signal: Signal) -> bool {
        signal == Signal::SIGQUIT && !self.is_told(signal)
    }

    fn is_told(&self, signal: Signal) -> bool {
        self.named == Some(signal) || self.known == Some(signal)
    }
}

/// Reads a signal as it is named on a command line: `SIGQUIT`, `QUIT` or `3`.
///
/// # Errors
/// What is none, or cannot ask a server to end.
pub fn stop_signal(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let by_name = || upper.parse().or_else(|_| format!("SIG{upper}").parse()).ok();
    let found: Option<Signal> = match text.parse::<i32>() {
        Ok(number) => Signal::try_from(number).ok(),
        Err(_) => by_name(),
    };
    match found {
        Some(signal) if NEVER_STOP.contains(&signal) => {
            Err(format!("{signal} cannot be caught, or has another meaning: write the signal that the image stops by"))
        }
        Some(signal) => Ok(signal),
        None => {
            Err("write a signal's name or number, such as SIGQUIT, QUIT or 3; real-time signals cannot be passed on"
                .into())
        }
    }
}

/// The signals that have come.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// From now on none of them ends this process.
    pub(super) fn listen(ends: &Ends) -> io::Result<Signals> {
        let more = ends.named.filter(|signal| !PASSED_ON.contains(signal));
        let listened = PASSED_ON.into_iter().chain(more);
        let listened = listened.map(|number| Ok((number, signal(SignalKind::from_raw(number as i32))?)));
        listened.collect::<io::Result<Vec<_>>>().map(Signals)
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let came =
                self.0.iter_mut().find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Sends a signal to a child that has not been waited for, so that its id is still its own.
pub(super) fn send(id: u32, signal: Signal) {
    let Ok(id) = i32::try_from(id) else { return };
    if let Err(error) = kill(Pid::from_raw(id), signal) {
        tracing::warn!(process = id, %signal, "cannot be sent: {error}");
    }
}

/// Continues all of a child's process group, if it is stopped.
pub(super) fn continue_group(child: u32) {
    let Ok(id) = i32::try_from(child) else { return };
    if let Err(error) = killpg(Pid::from_raw(id), Signal::SIGCONT) {
        tracing::warn!(group = id, "cannot be continued: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named_in_any_of_its_ways() {
        for text in ["SIGQUIT", "QUIT", "quit", "sigquit", "3"] {
            assert_eq!(stop_signal(text), Ok(Signal::SIGQUIT), "{text}");
        }
        assert_eq!(stop_signal("SIGPWR"), Ok(Signal::SIGPWR));
        for text in ["", "0", "-1", "999", "37", "SIGRTMIN+3", "NOPE", "SIG", "KILL", "9", "SIGSTOP", "CHLD", "TTIN"] {
            assert!(stop_signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_usual_signals_are_known_and_those_of_known_programs() {
        let ends = |command: &str, named| {
            let words: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
            Ends::of(&words, named)
        };
        for (command, named, more) in [
            ("", None, None),
            ("./server --flag", None, None),
            ("./server haproxy", None, None),
            ("./server", Some(Signal::SIGUSR2), Some(Signal::SIGUSR2)),
            ("/usr/sbin/nginx -g x", None, None),
            ("httpd-foreground", None, Some(Signal::SIGWINCH)),
            ("/usr/sbin/apache2 -D FOREGROUND", None, Some(Signal::SIGWINCH)),
            ("docker-entrypoint.sh haproxy -f x", None, Some(Signal::SIGUSR1)),
            ("/entrypoint apache2-foreground", None, Some(Signal::SIGWINCH)),
        ] {
            let ends = ends(command, named);
            for signal in PASSED_ON {
                let expected = USUAL.contains(&signal) || Some(signal) == more;
                assert_eq!(ends.has(signal), expected, "{command}: {signal}");
            }
        }
        for (command, named, is_doubtful) in [
            ("java -jar a.jar", None, true),
            ("java -jar a.jar", Some(Signal::SIGQUIT), false),
            ("nginx", None, false),
            ("php-fpm8.2", None, false),
        ] {
            assert_eq!(ends(command, named).is_doubtful(Signal::SIGQUIT), is_doubtful, "{command}");
            assert!(!ends(command, named).is_doubtful(Signal::SIGTERM), "{command}");
        }
    }
}
