//! The first process of a container. It starts this program again as its child, forwards signals, and reaps orphans
//! until the child ends.
//!
//! It is a separate process because a process that waits for any child takes the exit statuses that its other tasks
//! wait for.

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

use super::signals::{EndSignals, Signals, continue_group, send};
use super::terminal::Terminal;
use super::wrapper::SIGNAL_BASE;

/// This program, if its path no longer exists.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Whether this process is its container's first one, to which the kernel reparents every orphan.
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// Whether this process is the child of [`run`]: its parent is the first process and has the same arguments.
pub(super) fn is_parent() -> bool {
    let words = |process: &str| fs::read(format!("/proc/{process}/cmdline")).ok();
    parent_id() == 1 && words("1").is_some_and(|of_first| Some(of_first) == words("self"))
}

/// Runs this program as a child, with the same name and the same arguments (`args` begins with the name). Returns its
/// exit code.
///
/// # Errors
/// The child cannot be started or waited for.
/// What keeps it from being started or waited for.
pub async fn run(mut args: impl Iterator<Item = OsString>, ends: &EndSignals) -> io::Result<u8> {
    let mut signals = Signals::listen(ends)?;
    let mut children = signal(SignalKind::child())?;
    // `ps` shows both: the file's name as the short name, and the first argument as it was given to us.
    let own_path = std::env::current_exe().ok().filter(|path| path.is_file());
    let mut command = Command::new(own_path.unwrap_or_else(|| PathBuf::from(THIS_PROGRAM)));
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    // In its own process group, so that a terminal's Ctrl-C arrives once. The child passes the foreground on to
    // the server if the server reads from the terminal.
    let child = command.args(args).process_group(0).spawn()?.id();
    Terminal::open().map(|mut terminal| terminal.give(child));
    loop {
        tokio::select! {
            signal = signals.next() => {
                send(child, signal);
                // A stopped process receives its pending signals only after it is continued.
                continue_group(child);
            }
            _ = children.recv() => if let Some(code) = reap(child)? {
                return Ok(code);
            },
        }
    }
}

/// Reaps all ended processes, and returns the child's exit code if the child is among them. Continues the child if
/// Ctrl-Z has stopped it, because no shell can do that here.
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
