//! The allowed system calls, in groups. They were found with strace under the tests of the running server, with glibc
//! and statically linked. Calls that the same libraries make on other kernels or at other times were added.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BackendError, SeccompCondition, SeccompRule};

use super::SandboxNeeds;

/// A static program, such as the image's, has all its code from the start. A dynamic one loads modules of the C
/// library's resolver at the first lookup of a host name, and these may use a local service.
const IS_STATIC: bool = cfg!(target_feature = "crt-static");

/// Traffic on open sockets, and accepting connections.
const TALK: &[c_long] = &[
    libc::SYS_recvmmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // Connections to the API server. `conditional` restricts the sockets for them.
    libc::SYS_connect,
];

/// Waiting: tokio's driver and timers, parked threads, the C library's resolver.
const WAIT: &[c_long] = &[
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
];

/// Reading files, which are polled every second: certificates, tokens, secrets, manifests, zones. Also writing the
/// log.
const FILES: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_fcntl,
    libc::SYS_fadvise64,
];

/// Writing the zone to `--state-dir`: a new file that replaces the old one after it is on disk.
const STATE: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_pwrite64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_fchmod,
];

/// Memory. `conditional` restricts making it executable.
const MEMORY: &[c_long] = &[libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk];

/// Start and end of threads, signals to the own process, and the end of the process.
const THREADS: &[c_long] = &[
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Time, random numbers, and facts about the process.
const FACTS: &[c_long] = &[
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
];

/// Older calls that glibc still uses on x86-64. Newer processors do not have them.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// The older calls for `--state-dir`.
#[cfg(target_arch = "x86_64")]
const OLDER_STATE: &[c_long] = &[libc::SYS_rename, libc::SYS_unlink, libc::SYS_mkdir];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_STATE: &[c_long] = &[];

/// The allowed calls and their conditions. Without conditions a call is always allowed; otherwise one condition must
/// hold.
pub(super) fn allowed(needs: SandboxNeeds) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules = conditional()?;
    let written: [&[c_long]; 2] = if needs.files_written { [STATE, OLDER_STATE] } else { [&[], &[]] };
    for group in [TALK, WAIT, FILES, MEMORY, THREADS, FACTS, OLDER].into_iter().chain(written) {
        rules.extend(group.iter().map(|call| (*call, Vec::new())));
    }
    Ok(rules)
}

/// Calls whose arguments are checked.
fn conditional() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let own_id = u64::from(std::process::id());
    // Internet sockets, and those of the C library's resolver: netlink for the own addresses, and a local name
    // service.
    let families =
        [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].into_iter().chain((!IS_STATIC).then_some(libc::AF_UNIX));
    let read_only = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) as u64;
    // Threads only, no processes. `clone3` is not allowed, because a filter cannot see its flags, which are in memory.
    let thread = u64::from((libc::CLONE_THREAD | libc::CLONE_VM) as u32);
    let rules = [
        (libc::SYS_socket, families.map(|family| when(0, Eq, family as u64)).collect()),
        (libc::SYS_clone, vec![when(0, MaskedEq(thread), thread)]),
        (libc::SYS_mmap, not_executable()),
        (libc::SYS_mprotect, not_executable()),
        (libc::SYS_openat, vec![when(2, MaskedEq(read_only), libc::O_RDONLY as u64)]),
        // Non-blocking mode, and the number of readable bytes.
        (libc::SYS_ioctl, [libc::FIONBIO, libc::FIONREAD].map(|what| when(1, Eq, what)).into_iter().collect()),
        (libc::SYS_prctl, vec![when(0, Eq, libc::PR_SET_NAME as u64)]),
        // Reading limits (for a thread's stack), not setting them.
        (libc::SYS_prlimit64, vec![SeccompCondition::new(2, Qword, Eq, 0)]),
        // abort() sends a signal to the own process.
        (libc::SYS_tgkill, vec![when(0, Eq, own_id)]),
    ];
    rules
        .into_iter()
        .map(|(call, conditions)| {
            let rules = conditions.into_iter().map(|condition| SeccompRule::new(vec![condition?]));
            Ok((call, rules.collect::<Result<_, _>>()?))
        })
        .collect()
}

type ArgumentCheck = Result<SeccompCondition, BackendError>;

/// Compares the lower half of an argument, which is all of a C `int`.
fn when(argument: u8, comparison: seccompiler::SeccompCmpOp, value: u64) -> ArgumentCheck {
    SeccompCondition::new(argument, Dword, comparison, value)
}

/// Forbids executable memory in a program that loads no code.
fn not_executable() -> Vec<ArgumentCheck> {
    let forbidden = if IS_STATIC { libc::PROT_EXEC as u64 } else { 0 };
    vec![when(2, MaskedEq(forbidden), 0)]
}
