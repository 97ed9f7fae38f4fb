//! A folder as the root of a process without privileges, as the kubelet runs `deploy/deployment.yaml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::harness::process::scratch;

/// System calls that the default profiles of container runtimes refuse to processes without capabilities, by their documentation.
const REFUSED: [i64; 33] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// The command line that runs `/callsign` with this root, as the Deployment's user, without capabilities and without a way to
/// gain any. There are no other files, no file is writable, and only the system calls of a runtime's default profile work.
///
/// If the test runs as root, the process runs as another user, who may have no access to a folder above the root. So the root
/// is first mounted at `/mnt`, in a separate mount namespace.
pub(crate) fn alone_in(root: &Path) -> Vec<String> {
    let root = root.display();
    let (before, root) = if nix::unistd::geteuid().is_root() {
        (
            format!("mount --bind '{root}' /mnt && exec setpriv --reuid 65532 --regid 65532 --clear-groups"),
            "/mnt".to_owned(),
        )
    } else {
        ("exec".to_owned(), root.to_string())
    };
    // bwrap reads filters from open files, and a shell opens them.
    let command = format!(
        "{before} bwrap --die-with-parent --unshare-user --uid 65532 --gid 65532 --unshare-ipc --unshare-uts \
         --cap-drop ALL --ro-bind '{root}' / --add-seccomp-fd 8 --add-seccomp-fd 9 /callsign \"$@\" 8<'{}' 9<'{}'",
        filter(&REFUSED, libc::EPERM).display(),
        filter(&[libc::SYS_clone3], libc::ENOSYS).display(),
    );
    let namespace: &[&str] = if root == "/mnt" { &["unshare", "--mount"] } else { &[] };
    [namespace, &["sh", "-c", &command, "callsign"]].concat().into_iter().map(str::to_owned).collect()
}

/// A file with a filter in the kernel's format that fails these calls.
fn filter(refused: &[i64], errno: i32) -> PathBuf {
    let rules: BTreeMap<_, _> = refused.iter().map(|call| (*call, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into().expect("a processor that has filters");
    let refusal = SeccompAction::Errno(u32::try_from(errno).expect("a positive number"));
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture).expect("a filter");
    let program = BpfProgram::try_from(filter).expect("a program");
    let steps = program.iter().flat_map(|step| {
        let (code, k) = (step.code.to_ne_bytes(), step.k.to_ne_bytes());
        [&code[..], &[step.jt, step.jf], &k].concat()
    });
    let file = scratch("seccomp").join("filter");
    fs::write(&file, steps.collect::<Vec<u8>>()).expect("write the filter");
    file
}
