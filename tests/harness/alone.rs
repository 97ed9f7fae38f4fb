//! One test at a time, in a binary whose tests measure the whole process or need the whole machine.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the running test.
pub(crate) struct Alone {
    _guard: MutexGuard<'static, ()>,
}

/// Waits until no other test of this binary runs.
pub(crate) fn alone() -> Alone {
    static RUNNING: Mutex<()> = Mutex::new(());
    Alone { _guard: RUNNING.lock().unwrap_or_else(PoisonError::into_inner) }
}
