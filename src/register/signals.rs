//! Signals that a process gets for another one.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{self, SignalKind, signal};

/// Those that one process sends another on purpose; the rest are the kernel's, or cannot be caught.
const PASSED_ON: [(Signal, fn() -> SignalKind); 8] = [
    (Signal::SIGTERM, SignalKind::terminate),
    (Signal::SIGINT, SignalKind::interrupt),
    (Signal::SIGHUP, SignalKind::hangup),
    (Signal::SIGQUIT, SignalKind::quit),
    (Signal::SIGUSR1, SignalKind::user_defined1),
    (Signal::SIGUSR2, SignalKind::user_defined2),
    (Signal::SIGALRM, SignalKind::alarm),
    (Signal::SIGWINCH, SignalKind::window_change),
];

/// The signals that have come.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// From now on none of them ends this process.
    pub(super) fn listen() -> io::Result<Signals> {
        let listened = PASSED_ON.into_iter().map(|(number, kind)| Ok((number, signal(kind())?)));
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

/// Whether a signal asks for the end.
pub(super) fn is_end(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT)
}

/// Sends a signal to a child that has not been waited for, so that its id is still its own.
pub(super) fn send(id: u32, signal: Signal) {
    let Ok(id) = i32::try_from(id) else { return };
    if let Err(error) = kill(Pid::from_raw(id), signal) {
        tracing::warn!(process = id, %signal, "cannot be sent: {error}");
    }
}
