//! The terminal, where there is one: a server that reads it must have its foreground.
//!
//! The server runs in a process group of its own, so for the terminal it is in the background, and is stopped as soon as
//! it reads (SIGTTIN) or changes a setting (SIGTTOU). It gets the foreground then, if that is ours to give, and not before:
//! until then a Ctrl-C comes to the wrapper, which withdraws first.

use std::fs::File;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The terminal of the session that this process is in.
const TERMINAL: &str = "/dev/tty";

/// The controlling terminal, and whether its foreground was given away.
pub(super) struct Terminal {
    file: File,
    is_given: bool,
}

impl Terminal {
    /// None where there is none.
    pub(super) fn open() -> Option<Terminal> {
        let file = File::options().read(true).write(true).open(TERMINAL).ok()?;
        Some(Terminal { file, is_given: false })
    }

    /// Gives the foreground to a child's process group; whether the group has it now. A shell's background job has none to
    /// give.
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
            Err(error) => tracing::warn!("the server cannot be given the terminal: {error}"),
        }
        self.is_given
    }

    /// Takes the foreground back, if it was given.
    pub(super) fn take_back(&mut self) {
        if std::mem::take(&mut self.is_given)
            && let Err(error) = self.set(getpgrp())
        {
            tracing::warn!("the terminal cannot be taken back: {error}");
        }
    }

    fn set(&self, group: Pid) -> nix::Result<()> {
        // The kernel stops a process of the background that does this, unless it blocks the signal.
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGTTOU);
        let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let outcome = tcsetpgrp(&self.file, group);
        before.thread_set_mask()?;
        outcome
    }
}
