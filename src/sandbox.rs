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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{self, Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::fs::chroot;
    use std::os::unix::process::{ExitStatusExt, parent_id};
    use std::path::PathBuf;
    use std::process::{Command, Output};
    use std::thread;

    use nix::errno::Errno;
    use nix::mount::MsFlags;
    use nix::sched::CloneFlags;
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use nix::sys::signal::kill;
    use nix::unistd::{Pid, setsid};

    use super::*;

    /// Tells the child of a test that it is one, and may be filtered.
    const CHILD: &str = "CALLSIGN_TEST_SANDBOX";

    /// Runs a test of this module alone in a process of its own, which a filter may change for good: there this runs the
    /// body, and here it gives how that ended.
    fn in_a_child(test: &str, body: fn()) -> Option<Output> {
        if std::env::var_os(CHILD).is_some() {
            body();
            return None;
        }
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", &format!("sandbox::tests::{test}"), "--nocapture"]).env(CHILD, "1");
        Some(command.output().expect("run it"))
    }

    fn passes_in_a_child(test: &str, body: fn()) {
        if let Some(output) = in_a_child(test, body) {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{}\n{text}{output:?}", output.status);
        }
    }

    fn is_gone<T: std::fmt::Debug>(what: &str, result: io::Result<T>) {
        let error = result.expect_err(what);
        assert_eq!(error.raw_os_error(), Some(libc::ENOSYS), "{what}: {error}");
    }

    /// Where the child of a process keeps its state.
    fn folder_of(parent: u32) -> PathBuf {
        std::env::temp_dir().join(format!("callsign-sandbox-{parent}"))
    }

    /// What whoever takes over a server would like to do.
    fn check_what_is_gone() {
        is_gone("a program", Command::new("/bin/true").status());
        is_gone("a port over TCP", TcpListener::bind("127.0.0.1:0"));
        is_gone("a port over UDP", UdpSocket::bind("127.0.0.1:0"));
        is_gone("a file written", File::create(std::env::temp_dir().join("callsign-sandbox-test")));
        is_gone("a file taken away", fs::remove_file("/nowhere"));
        let gone = |what, result: Result<(), Errno>| assert_eq!(result, Err(Errno::ENOSYS), "{what}");
        gone("another's memory", nix::sys::ptrace::attach(Pid::parent()));
        gone("a trace of our own", nix::sys::ptrace::traceme());
        gone("a namespace", nix::sched::unshare(CloneFlags::CLONE_NEWUSER));
        gone("a mount", nix::mount::mount(Some("/"), "/", Some("none"), MsFlags::MS_BIND, None::<&str>));
        is_gone("another root", chroot("/"));
        is_gone("another folder", std::env::set_current_dir("/"));
        gone("a session", setsid().map(drop));
        gone("a signal to another", kill(Pid::parent(), None));
        gone("a signal to ourselves by way of others", kill(Pid::this(), None));
        let (soft, hard) = getrlimit(Resource::RLIMIT_CORE).expect("limits are read");
        gone("a limit", setrlimit(Resource::RLIMIT_CORE, soft, hard));
        gone("a raw socket", raw_socket());
    }

    fn raw_socket() -> Result<(), Errno> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None).map(drop)
    }

    #[test]
    fn nothing_but_serving_is_left() {
        passes_in_a_child("nothing_but_serving_is_left", || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port, before");
            let address = listener.local_addr().expect("its address");
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let before = thread::spawn(move || {
                let _ = stopped.recv(); // it is told by being left alone
                check_what_is_gone();
            });
            enter(Needs { files_written: false }).expect("a kernel that takes filters");
            check_what_is_gone();
            drop(stop);
            before.join().expect("a thread that was there before is under it as well");
            thread::spawn(check_what_is_gone).join().expect("and one that is made behind it");

            let mut ours = TcpStream::connect(address).expect("connections are made");
            let (mut theirs, _) = listener.accept().expect("and taken");
            theirs.write_all(b"x").expect("written to");
            ours.read_exact(&mut [0]).expect("and read from");
            fs::read("/proc/self/status").expect("files are read");
            fs::read_dir("/").expect("folders too").flatten().for_each(drop);
            enter(Needs { files_written: true }).expect_err("there is no second filter");
        });
    }

    #[test]
    fn a_state_is_kept_where_that_is_needed() {
        passes_in_a_child("a_state_is_kept_where_that_is_needed", || {
            let folder = folder_of(parent_id());
            enter(Needs { files_written: true }).expect("a kernel that takes filters");
            fs::create_dir(&folder).expect("a folder");
            let file = folder.join("new");
            File::create(&file)
                .and_then(|mut file| file.write_all(b"x").and_then(|()| file.sync_all()))
                .expect("a file");
            fs::rename(&file, folder.join("old")).expect("in its place");
            File::open(&folder).and_then(|folder| folder.sync_all()).expect("for good");
            fs::remove_file(folder.join("old")).expect("gone");
            is_gone("a program", Command::new("/bin/true").status());
        });
        let _ = fs::remove_dir(folder_of(std::process::id())); // the child has none
    }

    #[test]
    fn an_abort_is_still_one() {
        let output = in_a_child("an_abort_is_still_one", || {
            enter(Needs { files_written: false }).expect("a kernel that takes filters");
            std::process::abort();
        });
        let status = output.expect("a child that ended").status;
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}");
    }
}
