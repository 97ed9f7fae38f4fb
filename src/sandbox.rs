//! Restricts the system calls of a serving process: a seccomp filter (seccomp(2)) on all of its threads.
//!
//! The filter is installed after the sockets are bound and before the first byte from outside is read. It applies to
//! every thread from then on, and cannot be removed. It leaves what answering needs: traffic on sockets, connections
//! to the API server, reading of files, memory, threads, time. The process can no longer start programs, fork, trace,
//! open ports, create namespaces or mount, and without `--state-dir` it cannot write files.
//!
//! Only `callsign serve` installs it: the library must not change the process that uses [`crate::registry`], and
//! `callsign register` has to start the server that it wraps.

mod calls;

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};

/// Whether a filter exists for this processor: the tested one, and a sibling whose calls are a subset of the same.
pub const IS_KNOWN_HERE: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// The result of every other call: ENOSYS, as on a kernel without that call.
///
/// Killing the process is worse: an unforeseen call from a newer C library would end all replicas at once, and the
/// names are worth more than the alarm. An attacker gains nothing by a call that fails. EPERM is worse too: no library
/// expects it of `clone3` or `openat2`. On ENOSYS they fall back to the older call, whose flags the filter can check.
const OTHERWISE: SeccompAction = SeccompAction::Errno(libc::ENOSYS as u32);

/// What a process does besides answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxNeeds {
    /// It saves its zone in a folder (`--state-dir`).
    pub files_written: bool,
}

/// Why the filter could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is no filter for this processor.
    #[error("there is no filter for {}", std::env::consts::ARCH)]
    Architecture,
    /// The rules do not compile.
    #[error("compiling the filter failed: {0}")]
    Unsound(#[from] BackendError),
    /// The kernel has no seccomp, or refuses the filter.
    #[error("the kernel refuses the filter: {0}")]
    Refused(#[from] seccompiler::Error),
}

/// Installs the filter on all current and future threads.
///
/// # Errors
/// This kernel or processor does not support it. The process is then unchanged, except that `no_new_privs` may be set.
pub fn enter(needs: SandboxNeeds) -> Result<(), SandboxError> {
    if !IS_KNOWN_HERE {
        return Err(SandboxError::Architecture);
    }
    Ok(apply_filter_all_threads(&filter(needs)?)?)
}

fn filter(needs: SandboxNeeds) -> Result<BpfProgram, SandboxError> {
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

    /// Marks the child process of a test, which may install the filter.
    const CHILD: &str = "CALLSIGN_TEST_SANDBOX";

    /// Runs a test of this module in a child process, because the filter cannot be removed. In the child it runs the
    /// body, in the parent it returns the child's output.
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

    /// The state folder of a process's child.
    fn folder_of(parent: u32) -> PathBuf {
        std::env::temp_dir().join(format!("callsign-sandbox-{parent}"))
    }

    /// Tries what an attacker who controls a server would do.
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
    fn only_the_calls_for_serving_are_left() {
        passes_in_a_child("only_the_calls_for_serving_are_left", || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port, before");
            let address = listener.local_addr().expect("its address");
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let before = thread::spawn(move || {
                let _ = stopped.recv(); // returns when the sender is dropped
                check_what_is_gone();
            });
            enter(SandboxNeeds { files_written: false }).expect("a kernel that takes filters");
            check_what_is_gone();
            drop(stop);
            before.join().expect("an existing thread is under the filter too");
            thread::spawn(check_what_is_gone).join().expect("and a later one");

            let mut ours = TcpStream::connect(address).expect("connections are made");
            let (mut theirs, _) = listener.accept().expect("and taken");
            theirs.write_all(b"x").expect("written to");
            ours.read_exact(&mut [0]).expect("and read from");
            fs::read("/proc/self/status").expect("files are read");
            fs::read_dir("/").expect("folders too").flatten().for_each(drop);
            enter(SandboxNeeds { files_written: true }).expect_err("there is no second filter");
        });
    }

    #[test]
    fn the_state_folder_stays_writable_if_needed() {
        passes_in_a_child("the_state_folder_stays_writable_if_needed", || {
            let folder = folder_of(parent_id());
            enter(SandboxNeeds { files_written: true }).expect("a kernel that takes filters");
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
    fn an_abort_still_ends_the_process() {
        let output = in_a_child("an_abort_still_ends_the_process", || {
            enter(SandboxNeeds { files_written: false }).expect("a kernel that takes filters");
            std::process::abort();
        });
        let status = output.expect("a child that ended").status;
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}");
    }
}
