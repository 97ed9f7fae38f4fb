//! The wrapper: starts a server, registers it when it is ready, and withdraws it before it asks the server to end.
//!
//! ```text
//! Starting ─(the probe succeeds)─► Serving ─(SIGTERM)─► Withdrawing ─(withdrawn)─► Draining ─(--drain)─► Ending
//!     └──────────(SIGTERM)──────────────────────────────────────────────────────────────────────────────────►
//! ```
//!
//! SIGTERM stands for any signal that asks the server to end. The wrapper forwards the signal that it received. When
//! the server ends, in any phase, its registrations are withdrawn.
//!
//! A doubtful signal (SIGQUIT) ends one server and means something else to another: it asks a JVM for a list of its
//! threads. So the wrapper withdraws and drains a serving server before it forwards the signal, and registers the
//! server again if it goes on serving:
//!
//! ```text
//! Draining ─(--drain)─► Doubted ─(the probe succeeds, 5 s later or at any time after that)─► Serving
//! ```
//!
//! In any other phase the wrapper forwards a doubtful signal at once and stays in the phase. Without a probe nothing
//! can show that the server goes on serving, so the wrapper only forwards a doubtful signal.

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::keeper::{Keeper, WITHDRAWAL_WAIT};
use super::probe::Probe;
use super::signals::{EndSignals, Signals, continue_group, send};
use super::terminal::Terminal;
use super::{Offer, WantedEntries, init};

/// The time for a server to close its port after a doubtful signal, before the probe checks whether it goes on
/// serving.
const DOUBT: Duration = Duration::from_secs(5);

/// The time between two tries to give the terminal to a server that waits for it: a shell may give us the foreground.
const TERMINAL_LOOK: Duration = Duration::from_millis(200);

/// A shell adds this to the number of the signal that ended a process.
pub(super) const SIGNAL_BASE: u8 = 128;

/// A server to start.
#[derive(Debug)]
pub struct Wrapper {
    pub program: OsString,
    pub args: Vec<OsString>,
    /// The registrations of the server.
    pub offers: Vec<Offer>,
    /// Checks whether the server is ready.
    pub probe: Probe,
    /// How long the server runs after the withdrawal, for callers that still have its address.
    pub drain: Duration,
    /// The signals that ask the server to end.
    pub ends: EndSignals,
}

/// Why no server runs.
#[derive(Debug, thiserror::Error)]
pub enum WrapperError {
    /// Starting the server failed.
    #[error("{}: {source}", program.display())]
    Start { program: OsString, source: io::Error },
    /// The system does not deliver signals or the end of children.
    #[error("cannot follow the server: {0}")]
    System(#[from] io::Error),
}

impl WrapperError {
    /// The exit code that a shell would return.
    pub fn code(&self) -> u8 {
        match self {
            WrapperError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            WrapperError::Start { .. } => 126,
            WrapperError::System(_) => 2,
        }
    }
}

/// The phase of the server's life.
#[derive(Clone, Copy, Debug)]
enum WrapperPhase {
    Starting,
    Serving,
    /// The server is to end by this signal, and is not yet withdrawn.
    Withdrawing {
        signal: Signal,
        until: Instant,
    },
    /// The server is withdrawn, and callers may still arrive.
    Draining {
        signal: Signal,
        until: Instant,
    },
    /// The server is withdrawn and has received a doubtful signal. The probe decides whether it goes on serving.
    Doubted,
    /// The server has received the signal to end.
    Ending,
}

/// An event in a server's life.
#[derive(Debug)]
enum WrapperEvent {
    Ended(ExitStatus),
    Signal(Signal),
    Ready,
    Withdrawn,
    TimeIsUp,
    /// The server may wait for the terminal.
    Stopped,
}

impl Wrapper {
    /// Runs the server until it ends. Returns its exit code, or 128 plus the number of the signal that ended it.
    ///
    /// # Errors
    /// Starting the server failed.
    pub async fn run(self, keeper: &Keeper) -> Result<u8, WrapperError> {
        let mut signals = Signals::listen(&self.ends)?;
        let mut server = self.start()?;
        let mut stop_handler = StopHandler::of(&server)?;
        // The server may have stopped before we listened.
        stop_handler.continue_server();
        // Entries of an earlier run would send callers to a server that is not ready.
        keeper.request(self.withdrawn());
        let ready = self.probe.ready_after(Duration::ZERO);
        tokio::pin!(ready);
        let mut phase = WrapperPhase::Starting;
        let status = loop {
            let event = tokio::select! {
                status = server.wait() => WrapperEvent::Ended(status?),
                signal = signals.next() => WrapperEvent::Signal(signal),
                () = &mut ready, if matches!(phase, WrapperPhase::Starting | WrapperPhase::Doubted) => WrapperEvent::Ready,
                () = keeper.written(), if matches!(phase, WrapperPhase::Withdrawing { .. }) => WrapperEvent::Withdrawn,
                () = phase.time_is_up() => WrapperEvent::TimeIsUp,
                () = stop_handler.next() => WrapperEvent::Stopped,
            };
            phase = match (phase, event) {
                (_, WrapperEvent::Ended(status)) => break status,
                (phase, WrapperEvent::Stopped) => {
                    stop_handler.continue_server();
                    phase
                }
                (phase, event) => {
                    let next = self.step(phase, event, &server, keeper);
                    if matches!(next, WrapperPhase::Doubted) && !matches!(phase, WrapperPhase::Doubted) {
                        ready.set(self.probe.ready_after(DOUBT));
                    }
                    next
                }
            };
        };
        stop_handler.take_terminal_back();
        info!("the server has ended: {status}");
        keeper.withdraw_and_flush(self.withdrawn()).await;
        Ok(code(status))
    }

    /// The phase after an event.
    fn step(&self, phase: WrapperPhase, event: WrapperEvent, server: &Child, keeper: &Keeper) -> WrapperPhase {
        match (phase, event) {
            (WrapperPhase::Starting, WrapperEvent::Ready) => {
                keeper.request(self.offered());
                WrapperPhase::Serving
            }
            (WrapperPhase::Doubted, WrapperEvent::Ready) => {
                info!("the server goes on serving: the signal did not ask it to end, so it is registered again");
                keeper.request(self.offered());
                WrapperPhase::Serving
            }
            (WrapperPhase::Serving, WrapperEvent::Signal(signal)) if self.begins_withdrawal(signal) => {
                info!(%signal, "asked to end: withdrawing first");
                keeper.request(self.withdrawn());
                WrapperPhase::Withdrawing { signal, until: Instant::now() + WITHDRAWAL_WAIT }
            }
            (WrapperPhase::Withdrawing { signal, .. }, WrapperEvent::Withdrawn) => self.draining(signal),
            (WrapperPhase::Withdrawing { signal, .. }, WrapperEvent::TimeIsUp) => {
                warn!(
                    "not withdrawn within {WITHDRAWAL_WAIT:?}: the server ends anyway, and the withdrawal is retried meanwhile"
                );
                self.draining(signal)
            }
            (WrapperPhase::Draining { signal, .. }, WrapperEvent::TimeIsUp) => {
                info!(%signal, "drained: asking the server to end");
                self.end(server, signal)
            }
            // The first signal was doubtful and may not have asked to end, so this signal is not a second request.
            (WrapperPhase::Withdrawing { signal: first, until }, WrapperEvent::Signal(signal))
                if self.is_first(first, signal) =>
            {
                WrapperPhase::Withdrawing { signal, until }
            }
            (WrapperPhase::Draining { signal: first, until }, WrapperEvent::Signal(signal))
                if self.is_first(first, signal) =>
            {
                WrapperPhase::Draining { signal, until }
            }
            // No caller has the server's address, or this is a second request to end: forward the signal at once.
            (_, WrapperEvent::Signal(signal)) if self.ends.is_sure(signal) => self.end(server, signal),
            (phase, WrapperEvent::Signal(signal)) => {
                pass_on(server, signal);
                phase
            }
            (phase, _) => phase,
        }
    }

    fn end(&self, server: &Child, signal: Signal) -> WrapperPhase {
        pass_on(server, signal);
        // A process that a terminal or a user has stopped ends only after it is continued.
        server.id().into_iter().for_each(continue_group);
        if self.ends.is_doubtful(signal) { WrapperPhase::Doubted } else { WrapperPhase::Ending }
    }

    /// Whether a signal to a serving server begins the withdrawal.
    fn begins_withdrawal(&self, signal: Signal) -> bool {
        let can_be_looked_at = !matches!(self.probe, Probe::None);
        self.ends.is_sure(signal) || (self.ends.is_doubtful(signal) && can_be_looked_at)
    }

    /// Whether a signal is the first certain request to end, after a doubtful signal began the withdrawal.
    fn is_first(&self, before: Signal, signal: Signal) -> bool {
        let is_first = self.ends.is_doubtful(before) && self.ends.is_sure(signal);
        if is_first {
            info!(%signal, "asked to end during the withdrawal: {signal} is forwarded instead of {before}");
        }
        is_first
    }

    fn offered(&self) -> WantedEntries {
        WantedEntries::Offers(self.offers.as_slice().into())
    }

    fn withdrawn(&self) -> WantedEntries {
        WantedEntries::Withdrawn(self.offers.as_slice().into())
    }

    fn draining(&self, signal: Signal) -> WrapperPhase {
        WrapperPhase::Draining { signal, until: Instant::now() + self.drain }
    }

    /// Starts the server in its own process group: a terminal's signals to our group must not reach it before the
    /// withdrawal.
    fn start(&self) -> Result<Child, WrapperError> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).process_group(0);
        command.spawn().map_err(|source| WrapperError::Start { program: self.program.clone(), source })
    }
}

impl WrapperPhase {
    /// Waits until the phase's time limit. Pending in a phase without one.
    async fn time_is_up(self) {
        match self {
            WrapperPhase::Withdrawing { until, .. } | WrapperPhase::Draining { until, .. } => sleep_until(until).await,
            WrapperPhase::Starting | WrapperPhase::Serving | WrapperPhase::Doubted | WrapperPhase::Ending => {
                pending().await
            }
        }
    }
}

/// Handles a server that its terminal stops: because it is in the background, or by Ctrl-Z.
struct StopHandler {
    server: u32,
    terminal: Option<Terminal>,
    children: tokio::signal::unix::Signal,
    /// The server waits for the terminal, whose foreground we do not have.
    is_waiting: bool,
    /// No shell can continue what Ctrl-Z stops.
    is_without_shell: bool,
}

impl StopHandler {
    fn of(server: &Child) -> io::Result<StopHandler> {
        let children = signal(SignalKind::child())?;
        // 0 if the server has already ended; no process has this id.
        let server = server.id().unwrap_or_default();
        let is_without_shell = init::is_parent();
        Ok(StopHandler { server, terminal: Terminal::open(), children, is_waiting: false, is_without_shell })
    }

    /// Waits until the server may be stopped. Pending without a terminal.
    async fn next(&mut self) {
        if self.terminal.is_none() {
            return pending().await;
        }
        tokio::select! {
            _ = self.children.recv() => {}
            () = sleep(TERMINAL_LOOK), if self.is_waiting => {}
        }
    }

    /// Continues the server if Ctrl-Z has stopped it and no shell can continue it. If it waits for the foreground,
    /// gives it the foreground and continues it.
    fn continue_server(&mut self) {
        let (Some(terminal), Ok(id)) = (&mut self.terminal, i32::try_from(self.server)) else { return };
        // Asks only for stops, so that the exit status is left to the task that waits for it.
        let stopped = waitid(Id::Pid(Pid::from_raw(id)), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG);
        if self.is_without_shell && matches!(stopped, Ok(WaitStatus::Stopped(_, Signal::SIGTSTP))) {
            continue_group(self.server);
        }
        self.is_waiting |= matches!(stopped, Ok(WaitStatus::Stopped(_, Signal::SIGTTIN | Signal::SIGTTOU)));
        if self.is_waiting && terminal.give(self.server) {
            self.is_waiting = false;
            continue_group(self.server);
        }
    }

    fn take_terminal_back(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.take_back();
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
