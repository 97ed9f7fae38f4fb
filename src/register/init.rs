//! The first process of a container: it starts this program again as its child, passes signals on, and reaps what nobody
//! waits for, until the child has ended.
//!
//! A process of its own, because whoever waits for any child takes the exit status from those who wait for theirs.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::PathBuf;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::signals::{Ends, Signals, continue_group, send};
use super::terminal::Terminal;
use super::wrapper::SIGNAL_BASE;

/// This program, where its path leads nowhere any more.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Whether this process is its container's first one, and the kernel gives it every orphan.
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// Whether this process is the child that [`run`] has started: its parent is the first process and has the same arguments.
pub(super) fn is_parent() -> bool {
    let words = |process: &str| fs::read(format!("/proc/{process}/cmdline")).ok();
    parent_id() == 1 && words("1").is_some_and(|of_first| Some(of_first) == words("self"))
}

/// Runs this program as a child, called by the same name and with the same arguments (`args` begins with the name), to its
/// end: its exit code.
///
/// # Errors
/// What keeps it from being started or waited for.
pub async fn run(mut args: impl Iterator<Item = OsString>, ends: &Ends) -> io::Result<u8> {
    let mut signals = Signals::listen(ends)?;
    let mut children = signal(SignalKind::child())?;
    // `ps` shows both: the path by the process's short name, and the first argument as we were called.
    let own_path = std::env::current_exe().ok().filter(|path| path.is_file());
    let mut command = Command::new(own_path.unwrap_or_else(|| PathBuf::from(THIS_PROGRAM)));
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    // In a group of its own, so that a terminal's Ctrl-C comes once. It gives the terminal to the server, if that reads it.
    let child = command.args(args).process_group(0).spawn()?.id();
    Terminal::open().map(|mut terminal| terminal.give(child));
    loop {
        tokio::select! {
            signal = signals.next() => {
                send(child, signal);
                // A stopped process keeps what it gets until it is continued.
                continue_group(child);
            }
            _ = children.recv() => if let Some(code) = reap(child)? {
                return Ok(code);
            },
        }
    }
}

/// Reaps all that have ended: the child's exit code, if it is among them. Continues the child if Ctrl-Z has stopped it, since
/// no shell is here to do that.
fn reap(child: u32) -> io::Result<Option<u8>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(id, code)) if id.as_raw().unsigned_abs() == child => {
                return Ok(Some(u8::try_from(code & 0xff).unwrap_or(u8::MAX)));
            }
            Ok(WaitStatus::Signaled(id, signal, _)) if id.as_raw().unsigned_abs() == child => {
                return Ok(Some(SIGNAL_BASE.saturating_add(signal as u8)));
            }
            Ok(WaitStatus::Stopped(id, Signal::SIGTSTP)) if id.as_raw().unsigned_abs() == child => {
                continue_group(child)
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
