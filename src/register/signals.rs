//! Signals that a process forwards to another one, and the signals that ask a server to end.

use std::ffi::{OsStr, OsString};
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::task::Poll;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::signal::unix::{self, SignalKind, signal};

/// Signals that one process sends another on purpose.
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

/// Signals that cannot be a stop signal: they cannot be caught, or the kernel sends them for a fault, for a child, or
/// for a terminal.
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

/// Signals that ask any server to end. SIGQUIT does so only by custom: it asks a JVM for a list of its threads.
const USUAL: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];

/// Servers whose images use another stop signal, by the program's name.
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
pub struct EndSignals {
    /// The stop signal that the user has named.
    named: Option<Signal>,
    /// The stop signal of a known program.
    known: Option<Signal>,
}

impl EndSignals {
    /// The signals that end a server: the usual ones, that of a known program, and the named one. `command` is the
    /// program with its arguments. It is empty if another process has started the server.
    pub fn of(command: &[OsString], named: Option<Signal>) -> EndSignals {
        let name = |word: &OsString| Path::new(word).file_name().map(OsStr::to_string_lossy).map(String::from);
        let program = command.first().and_then(name).unwrap_or_default();
        // An image's script that starts the program in its arguments.
        let is_entrypoint = program.ends_with(".sh") || program.contains("entrypoint");
        let program = if is_entrypoint { command.get(1).and_then(name).unwrap_or_default() } else { program };
        // As in php-fpm8.2.
        let plain = program.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.');
        let is_it = |(known, _): &&(&str, Signal)| *known == program || *known == plain;
        EndSignals { named, known: KNOWN.iter().find(is_it).map(|(_, signal)| *signal) }
    }

    /// Whether a signal asks the server to end.
    pub(super) fn has(&self, signal: Signal) -> bool {
        USUAL.contains(&signal) || self.is_expected(signal)
    }

    /// Whether a signal asks the server to end and cannot mean anything else.
    pub(super) fn is_sure(&self, signal: Signal) -> bool {
        self.has(signal) && !self.is_doubtful(signal)
    }

    /// Whether a signal that asks to end may mean something else to this server.
    pub(super) fn is_doubtful(&self, signal: Signal) -> bool {
        signal == Signal::SIGQUIT && !self.is_expected(signal)
    }

    fn is_expected(&self, signal: Signal) -> bool {
        self.named == Some(signal) || self.known == Some(signal)
    }
}

/// Parses a signal: `SIGQUIT`, `QUIT` or `3`.
///
/// # Errors
/// The text is not a signal, or the signal cannot ask a server to end.
pub fn stop_signal(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let by_name = || upper.parse().or_else(|_| format!("SIG{upper}").parse()).ok();
    let found: Option<Signal> = match text.parse::<i32>() {
        Ok(number) => Signal::try_from(number).ok(),
        Err(_) => by_name(),
    };
    match found {
        Some(signal) if NEVER_STOP.contains(&signal) => {
            Err(format!("{signal} cannot be caught, or has another meaning: write the stop signal of the image"))
        }
        Some(signal) => Ok(signal),
        None => {
            Err("write a signal's name or number, such as SIGQUIT, QUIT or 3; real-time signals cannot be forwarded"
                .into())
        }
    }
}

/// The signals that this process listens for.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Catches the signals: none of them ends this process any more.
    pub(super) fn listen(ends: &EndSignals) -> io::Result<Signals> {
        let more = ends.named.filter(|signal| !PASSED_ON.contains(signal));
        let listened = PASSED_ON.into_iter().chain(more);
        let listened = listened.map(|number| Ok((number, signal(SignalKind::from_raw(number as i32))?)));
        listened.collect::<io::Result<Vec<_>>>().map(Signals)
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let came =
                self.0.iter_mut().find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Sends a signal to a child that is not reaped, so that its process id cannot belong to another process.
pub(super) fn send(id: u32, signal: Signal) {
    let Ok(id) = i32::try_from(id) else { return };
    if let Err(error) = kill(Pid::from_raw(id), signal) {
        tracing::warn!(process = id, %signal, "sending the signal failed: {error}");
    }
}

/// Continues a child's process group if it is stopped.
pub(super) fn continue_group(child: u32) {
    let Ok(id) = i32::try_from(child) else { return };
    if let Err(error) = killpg(Pid::from_raw(id), Signal::SIGCONT) {
        tracing::warn!(group = id, "continuing the process group failed: {error}");
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
            EndSignals::of(&words, named)
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
