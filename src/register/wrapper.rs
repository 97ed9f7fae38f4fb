//! The wrapper: starts a server, registers it once it is there, and withdraws it before it is asked to end.
//!
//! ```text
//! Starting ─(the probe is content)─► Serving ─(SIGTERM)─► Withdrawing ─(withdrawn)─► Draining ─(--drain)─► Ending
//!     └──────────(SIGTERM)──────────────────────────────────────────────────────────────────────────────────►
//! ```
//!
//! At the server's end, whenever it comes, what is registered is withdrawn.

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::Offer;
use super::keeper::{Keeper, WITHDRAWAL_WAIT};
use super::probe::Probe;
use super::signals::{Signals, is_end, send};

/// What a shell adds to the number of the signal that has ended a process.
pub(super) const SIGNAL_BASE: u8 = 128;

/// A server to start.
#[derive(Debug)]
pub struct Wrapper {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What it offers.
    pub offers: Vec<Offer>,
    /// Whether it is there.
    pub probe: Probe,
    /// How long it goes on after the withdrawal, for callers that have its address still.
    pub drain: Duration,
}

/// Why no server runs.
#[derive(Debug, thiserror::Error)]
pub enum WrapperError {
    /// It cannot be started.
    #[error("{}: {source}", program.display())]
    Start {
        /// The program.
        program: OsString,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no signals, or no child's end.
    #[error("cannot follow the server: {0}")]
    System(#[from] io::Error),
}

impl WrapperError {
    /// The exit code, as a shell has it.
    pub fn code(&self) -> u8 {
        match self {
            WrapperError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            WrapperError::Start { .. } => 126,
            WrapperError::System(_) => 2,
        }
    }
}

/// How far its life has come.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Starting,
    Serving,
    /// Asked to end by this signal, and not withdrawn yet.
    Withdrawing {
        signal: Signal,
        until: Instant,
    },
    /// Withdrawn; callers are still coming.
    Draining {
        signal: Signal,
        until: Instant,
    },
    /// The server has been asked to end.
    Ending,
}

/// What can happen in it.
#[derive(Debug)]
enum Event {
    Ended(ExitStatus),
    Signal(Signal),
    Ready,
    Withdrawn,
    TimeIsUp,
}

impl Wrapper {
    /// Runs the server to its end: its exit code, or 128 and the number of the signal that ended it.
    ///
    /// # Errors
    /// The server cannot be started.
    pub async fn run(self, keeper: &Keeper) -> Result<u8, WrapperError> {
        let mut signals = Signals::listen()?;
        let mut server = self.start()?;
        // What an earlier run has left would send callers to a server that is not there yet.
        keeper.want(&[]);
        let ready = self.probe.ready();
        tokio::pin!(ready);
        let mut phase = Phase::Starting;
        let status = loop {
            let event = tokio::select! {
                status = server.wait() => Event::Ended(status?),
                signal = signals.next() => Event::Signal(signal),
                () = &mut ready, if matches!(phase, Phase::Starting) => Event::Ready,
                () = keeper.done(), if matches!(phase, Phase::Withdrawing { .. }) => Event::Withdrawn,
                () = phase.time_is_up() => Event::TimeIsUp,
            };
            phase = match (phase, event) {
                (_, Event::Ended(status)) => break status,
                (Phase::Starting, Event::Ready) => {
                    keeper.want(&self.offers);
                    Phase::Serving
                }
                (Phase::Serving, Event::Signal(signal)) if is_end(signal) => {
                    info!(%signal, "asked to end: withdrawing first");
                    keeper.want(&[]);
                    Phase::Withdrawing { signal, until: Instant::now() + WITHDRAWAL_WAIT }
                }
                (Phase::Withdrawing { signal, .. }, Event::Withdrawn) => self.draining(signal),
                (Phase::Withdrawing { signal, .. }, Event::TimeIsUp) => {
                    warn!("not withdrawn within {WITHDRAWAL_WAIT:?}: going on with the end, and trying on meanwhile");
                    self.draining(signal)
                }
                (Phase::Draining { signal, .. }, Event::TimeIsUp) => {
                    info!(%signal, "drained: the server may end");
                    pass_on(&server, signal);
                    Phase::Ending
                }
                // Nobody has been sent to it yet, or it is asked once more: at once.
                (phase, Event::Signal(signal)) => {
                    pass_on(&server, signal);
                    if is_end(signal) { Phase::Ending } else { phase }
                }
                (phase, _) => phase,
            };
        };
        info!("the server has ended: {status}");
        keeper.withdraw_at_last().await;
        Ok(code(status))
    }

    fn draining(&self, signal: Signal) -> Phase {
        Phase::Draining { signal, until: Instant::now() + self.drain }
    }

    /// Starts the server in a process group of its own: what a terminal sends to all of ours must not reach it before the
    /// withdrawal.
    fn start(&self) -> Result<Child, WrapperError> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).process_group(0);
        command.spawn().map_err(|source| WrapperError::Start { program: self.program.clone(), source })
    }
}

impl Phase {
    /// Waits for the end of a phase that has one.
    async fn time_is_up(self) {
        match self {
            Phase::Withdrawing { until, .. } | Phase::Draining { until, .. } => sleep_until(until).await,
            Phase::Starting | Phase::Serving | Phase::Ending => pending().await,
        }
    }
}

fn pass_on(server: &Child, signal: Signal) {
    if let Some(id) = server.id() {
        send(id, signal);
    }
}

fn code(status: ExitStatus) -> u8 {
    let number = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => i32::from(SIGNAL_BASE) + signal,
        (None, None) => 1,
    };
    u8::try_from(number & 0xff).unwrap_or(u8::MAX)
}
