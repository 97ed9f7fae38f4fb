//! The wrapper: starts a server, registers it once it is there, and withdraws it before it is asked to end.
//!
//! ```text
//! Starting ─(the probe is content)─► Serving ─(SIGTERM)─► Withdrawing ─(withdrawn)─► Draining ─(--drain)─► Ending
//!     └──────────(SIGTERM)──────────────────────────────────────────────────────────────────────────────────►
//! ```
//!
//! SIGTERM stands for any signal that asks for the end; the one that came is passed on. At the server's end, whenever it
//! comes, what is registered is withdrawn.
//!
//! A doubtful signal (SIGQUIT) ends one server, and asks another one for something else: of a JVM, for a list of its threads.
//! So a serving server is withdrawn and drained before it gets the signal, and registered again once it proves to serve on:
//!
//! ```text
//! Draining ─(--drain)─► Doubted ─(the probe is content, 5 s later or at any time after that)─► Serving
//! ```
//!
//! In any other phase the server gets a doubtful signal at once, and the phase stays. Without a probe nothing can show that
//! the server serves on, so a doubtful signal is only passed on.

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
use super::signals::{Ends, Signals, continue_group, send};
use super::terminal::Terminal;
use super::{Offer, Wanted, init};

/// How long a server that got a doubtful signal has to close its port, before the probe looks whether it serves on.
const DOUBT: Duration = Duration::from_secs(5);

/// How often a server that waits for the terminal is looked after: a shell may give us the foreground meanwhile.
const TERMINAL_LOOK: Duration = Duration::from_millis(200);

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
    /// The signals that ask it to end.
    pub ends: Ends,
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
    /// Withdrawn, and the server has got a doubtful signal: the probe tells if it serves on.
    Doubted,
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
    /// The server may wait for the terminal.
    Stopped,
}

impl Wrapper {
    /// Runs the server to its end: its exit code, or 128 and the number of the signal that ended it.
    ///
    /// # Errors
    /// The server cannot be started.
    pub async fn run(self, keeper: &Keeper) -> Result<u8, WrapperError> {
        let mut signals = Signals::listen(&self.ends)?;
        let mut server = self.start()?;
        let mut stops = Stops::of(&server)?;
        // It may have stopped before anybody listened.
        stops.continue_server();
        // What an earlier run has left would send callers to a server that is not there yet.
        keeper.want(self.withdrawn());
        let ready = self.probe.ready_after(Duration::ZERO);
        tokio::pin!(ready);
        let mut phase = Phase::Starting;
        let status = loop {
            let event = tokio::select! {
                status = server.wait() => Event::Ended(status?),
                signal = signals.next() => Event::Signal(signal),
                () = &mut ready, if matches!(phase, Phase::Starting | Phase::Doubted) => Event::Ready,
                () = keeper.done(), if matches!(phase, Phase::Withdrawing { .. }) => Event::Withdrawn,
                () = phase.time_is_up() => Event::TimeIsUp,
                () = stops.next() => Event::Stopped,
            };
            phase = match (phase, event) {
                (_, Event::Ended(status)) => break status,
                (phase, Event::Stopped) => {
                    stops.continue_server();
                    phase
                }
                (phase, event) => {
                    let next = self.step(phase, event, &server, keeper);
                    if matches!(next, Phase::Doubted) && !matches!(phase, Phase::Doubted) {
                        ready.set(self.probe.ready_after(DOUBT));
                    }
                    next
                }
            };
        };
        stops.take_terminal_back();
        info!("the server has ended: {status}");
        keeper.withdraw_at_last(self.withdrawn()).await;
        Ok(code(status))
    }

    /// What follows from an event.
    fn step(&self, phase: Phase, event: Event, server: &Child, keeper: &Keeper) -> Phase {
        match (phase, event) {
            (Phase::Starting, Event::Ready) => {
                keeper.want(self.offered());
                Phase::Serving
            }
            (Phase::Doubted, Event::Ready) => {
                info!("the server serves on: the signal did not ask it to end, so it is registered again");
                keeper.want(self.offered());
                Phase::Serving
            }
            (Phase::Serving, Event::Signal(signal)) if self.begins_end(signal) => {
                info!(%signal, "asked to end: withdrawing first");
                keeper.want(self.withdrawn());
                Phase::Withdrawing { signal, until: Instant::now() + WITHDRAWAL_WAIT }
            }
            (Phase::Withdrawing { signal, .. }, Event::Withdrawn) => self.draining(signal),
            (Phase::Withdrawing { signal, .. }, Event::TimeIsUp) => {
                warn!("not withdrawn within {WITHDRAWAL_WAIT:?}: going on with the end, and trying on meanwhile");
                self.draining(signal)
            }
            (Phase::Draining { signal, .. }, Event::TimeIsUp) => {
                info!(%signal, "drained: the server may end");
                self.end(server, signal)
            }
            // The doubtful signal that came first was no end, so this one is not the second that asks for it.
            (Phase::Withdrawing { signal: first, until }, Event::Signal(signal)) if self.is_first(first, signal) => {
                Phase::Withdrawing { signal, until }
            }
            (Phase::Draining { signal: first, until }, Event::Signal(signal)) if self.is_first(first, signal) => {
                Phase::Draining { signal, until }
            }
            // No caller has its address, or it is asked to end once more: at once.
            (_, Event::Signal(signal)) if self.ends.is_sure(signal) => self.end(server, signal),
            (phase, Event::Signal(signal)) => {
                pass_on(server, signal);
                phase
            }
            (phase, _) => phase,
        }
    }

    /// Asks the server to end.
    fn end(&self, server: &Child, signal: Signal) -> Phase {
        pass_on(server, signal);
        // A process that is stopped, by a terminal or by hand, ends only once it is continued.
        server.id().into_iter().for_each(continue_group);
        if self.ends.is_doubtful(signal) { Phase::Doubted } else { Phase::Ending }
    }

    /// Whether a signal that a serving server gets begins its end.
    fn begins_end(&self, signal: Signal) -> bool {
        let can_be_looked_at = !matches!(self.probe, Probe::None);
        self.ends.is_sure(signal) || (self.ends.is_doubtful(signal) && can_be_looked_at)
    }

    /// Whether a signal is the first one that asks for the end beyond doubt, after one that has begun the withdrawal.
    fn is_first(&self, before: Signal, signal: Signal) -> bool {
        let is_first = self.ends.is_doubtful(before) && self.ends.is_sure(signal);
        if is_first {
            info!(%signal, "asked to end while it is being withdrawn: {signal} is passed on in place of {before}");
        }
        is_first
    }

    fn offered(&self) -> Wanted {
        Wanted::Offers(self.offers.as_slice().into())
    }

    fn withdrawn(&self) -> Wanted {
        Wanted::Withdrawn(self.offers.as_slice().into())
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
            Phase::Starting | Phase::Serving | Phase::Doubted | Phase::Ending => pending().await,
        }
    }
}

/// The server where its terminal stops it: in the background, or by Ctrl-Z.
struct Stops {
    server: u32,
    terminal: Option<Terminal>,
    children: tokio::signal::unix::Signal,
    /// It waits for the terminal, whose foreground was not ours to give.
    is_waiting: bool,
    /// No shell can continue what Ctrl-Z stops.
    is_without_shell: bool,
}

impl Stops {
    fn of(server: &Child) -> io::Result<Stops> {
        let children = signal(SignalKind::child())?;
        // 0 is nobody's: the server has ended already.
        let server = server.id().unwrap_or_default();
        let is_without_shell = init::is_parent();
        Ok(Stops { server, terminal: Terminal::open(), children, is_waiting: false, is_without_shell })
    }

    /// Waits until the server may be stopped. Never, without a terminal.
    async fn next(&mut self) {
        if self.terminal.is_none() {
            return pending().await;
        }
        tokio::select! {
            _ = self.children.recv() => {}
            () = sleep(TERMINAL_LOOK), if self.is_waiting => {}
        }
    }

    /// Continues the server if Ctrl-Z has stopped it and no shell could. Gives it the foreground and continues it, if it waits
    /// for that.
    fn continue_server(&mut self) {
        let (Some(terminal), Ok(id)) = (&mut self.terminal, i32::try_from(self.server)) else { return };
        // Asked for stops alone, so that its end is left to whoever waits for that.
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
