//! Gives the terminal's foreground to a server that reads from the terminal.
//!
//! The server runs in its own process group, so it is in the terminal's background. The kernel stops it as soon
//! as it reads (SIGTTIN) or changes a setting (SIGTTOU). Only then it gets the foreground, if we have it. Until then a
//! Ctrl-C goes to the wrapper, which withdraws first.

use std::fs::File;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The controlling terminal of this process's session.
const TERMINAL: &str = "/dev/tty";

/// The controlling terminal, and whether its foreground was given away.
pub(super) struct Terminal {
    file: File,
    is_given: bool,
}

impl Terminal {
    /// `None` if the process has no terminal.
    pub(super) fn open() -> Option<Terminal> {
        let file = File::options().read(true).write(true).open(TERMINAL).ok()?;
        Some(Terminal { file, is_given: false })
    }

    /// Gives the foreground to a child's process group. Returns whether the group has it now. A background job of a
    /// shell has no foreground to give.
    pub(super) fn give(&mut self, child: u32) -> bool {
        let (Ok(group), Ok(foreground)) = (i32::try_from(child).map(Pid::from_raw), tcgetpgrp(&self.file)) else {
            return false;
        };
        if foreground == group {
            return true;
        }
        if foreground != getpgrp() {
            return false;
        }
        match self.set(group) {
            Ok(()) => self.is_given = true,
            Err(error) => tracing::warn!("giving the terminal to the server failed: {error}"),
        }
        self.is_given
    }

    /// Takes the foreground back if it was given away.
    pub(super) fn take_back(&mut self) {
        if std::mem::take(&mut self.is_given)
            && let Err(error) = self.set(getpgrp())
        {
            tracing::warn!("taking the terminal back failed: {error}");
        }
    }

    fn set(&self, group: Pid) -> nix::Result<()> {
        // The kernel stops a background process that calls tcsetpgrp, unless it blocks this signal.
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGTTOU);
        let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let outcome = tcsetpgrp(&self.file, group);
        before.thread_set_mask()?;
        outcome
    }
}
