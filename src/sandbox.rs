//! What a serving process may still ask of the kernel: a seccomp filter (seccomp(2)) over all of its threads.
//!
//! It is put on between the binding of the sockets and the first byte from outside, holds for every thread from then on,
//! and cannot be taken off. What is left is what answering takes: talk on sockets, connect to the API server, read files,
//! memory, threads, time. No program can be started, no process forked or traced, no new port opened, no namespace made,
//! nothing mounted, and without `--state-dir` no file written.
//!
//! It belongs to a process and not to a library: `callsign serve` alone calls it, since whoever uses [`crate::registry`]
//! must not find their own process changed, and `callsign register` starts the server that it wraps.

mod calls;

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};

/// Whether there is a filter for this processor: what was tried, and its sibling whose calls are a subset of the same.
pub const IS_KNOWN_HERE: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// What becomes of every other call: "this kernel has no such call".
///
/// Not an end of the process: a call that was not foreseen, from a newer C library, would then be the end of all replicas
/// at once, and names are worth more than the alarm; whoever is let in gains nothing by a call that fails. And not EPERM,
/// which no library expects of `clone3` or `openat2`: at ENOSYS they turn to the older call, whose flags can be read here.
const OTHERWISE: SeccompAction = SeccompAction::Errno(libc::ENOSYS as u32);

/// What a process does beyond answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// It keeps its zone in a folder (`--state-dir`).
    pub files_written: bool,
}

/// Why no filter could be put on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is none for this processor.
    #[error("no filter is known for {}", std::env::consts::ARCH)]
    Architecture,
    /// The rules make no program.
    #[error("the filter cannot be made: {0}")]
    Unsound(#[from] BackendError),
    /// The kernel has none, or does not let us.
    #[error("the kernel takes no filter: {0}")]
    Refused(#[from] seccompiler::Error),
}

/// Puts the filter on every thread that there is and will be.
///
/// # Errors
/// This kernel or processor has none. Then nothing has changed but that `no_new_privs` may be set.
pub fn enter(needs: Needs) -> Result<(), SandboxError> {
    if !IS_KNOWN_HERE {
        return Err(SandboxError::Architecture);
    }
    Ok(apply_filter_all_threads(&filter(needs)?)?)
}

fn filter(needs: Needs) -> Result<BpfProgram, SandboxError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|_| SandboxError::Architecture)?;
    let filter = SeccompFilter::new(calls::allowed(needs)?, OTHERWISE, SeccompAction::Allow, architecture)?;
    Ok(filter.try_into()?)
}
