//! The static binary of `scripts/static`, which is the whole image, alone in an empty root and without privileges, as
//! `deploy/deployment.yaml` runs it.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

mod confined;

use confined::alone_in;

use crate::harness::alone::alone;
use crate::harness::eventually;
use crate::harness::process::{built, output, scratch};
use crate::harness::server::Server;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A Pod that runs and has registered itself.
const POD: &str = include_str!("static_binary/pod.yaml");

/// The root of the image, with a Pod's manifest, which the image does not have.
static IMAGE: LazyLock<PathBuf> = LazyLock::new(|| {
    let text = built(format!("{ROOT}/scripts/static"), ["tested"]);
    let binary = Path::new(text.lines().last().expect("the script names the file"));
    let root = scratch("root");
    fs::copy(binary, root.join("callsign")).expect("copy the binary");
    fs::create_dir(root.join("pods")).expect("make a folder");
    fs::write(root.join("pods/pod.yaml"), POD).expect("write a Pod");
    // The process runs as another user, so the mode must not depend on the umask.
    for (path, mode) in [("", 0o755), ("callsign", 0o755), ("pods", 0o755), ("pods/pod.yaml", 0o644)] {
        fs::set_permissions(root.join(path), Permissions::from_mode(mode)).expect("let others read it");
    }
    root
});

/// `callsign serve` of the image, and its process, which is bwrap's child.
fn start(args: &[&str]) -> (Server, u32) {
    let command = alone_in(&IMAGE);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut server = Server::launch(&command, &[&["--manifests", "/pods"], args].concat());
    server.wait_for("/readyz");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.id())).expect("its children");
    (server, children.trim().parse().expect("one child"))
}

/// A field of the status of each thread of a process.
fn status(id: u32, field: &str) -> BTreeSet<String> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).expect("its threads").flatten();
    let of_thread = |folder: fs::DirEntry| {
        let text = fs::read_to_string(folder.path().join("status")).expect("a thread's status");
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {field} in {text}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    threads.map(of_thread).collect()
}

/// The number of seccomp filters of all threads of a process, without those of the test process.
fn filters(id: u32) -> usize {
    let [theirs, ours] = [id, std::process::id()].map(|id| {
        let counts = status(id, "Seccomp_filters");
        assert_eq!(counts.len(), 1, "one count for all threads: {counts:?}");
        counts.first().and_then(|count| count.parse::<usize>().ok()).expect("a number")
    });
    theirs - ours
}

#[track_caller]
fn check_answers(server: &Server) {
    let found = server.dig(&["SRV", "_tri._tcp.org.acme.greeter.default.rpc.cluster.local."]);
    assert_eq!(found.data(), ["0 100 20880 10-244-0-81.p.rpc.cluster.local."], "{}", found.text);
}

#[test]
fn it_runs_in_an_empty_root() {
    let _alone = alone();
    let command = alone_in(&IMAGE);
    let version = output(&command[0], command[1..].iter().map(String::as_str).chain(["--version"]));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

/// bad-input 47.
#[test]
fn it_serves_without_any_privilege() {
    let _alone = alone();
    let (mut server, id) = start(&[]);
    check_answers(&server);
    assert!(fs::read_dir(format!("/proc/{id}/task")).expect("its threads").count() > 3);
    let only = |field: &str, value: &str| assert_eq!(status(id, field), BTreeSet::from([value.to_owned()]), "{field}");
    if nix::unistd::geteuid().is_root() {
        for field in ["Uid", "Gid"] {
            only(field, "65532 65532 65532 65532");
        }
        only("Groups", "");
    }
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        only(field, "0000000000000000");
    }
    only("NoNewPrivs", "1");
    only("Seccomp", "2");
    assert_eq!(filters(id), 3, "the runtime's two, and ours");
    // The root has nothing else and is not writable.
    let root = PathBuf::from(format!("/proc/{id}/root"));
    let entries = fs::read_dir(&root).expect("its root").flatten().map(|entry| entry.file_name());
    assert_eq!(entries.collect::<BTreeSet<_>>(), BTreeSet::from(["callsign".into(), "pods".into()]));
    for folder in ["", "pods"] {
        let refused = File::create(root.join(folder).join("new")).expect_err("nothing is written");
        assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem, "{folder}");
    }
    // It ends properly.
    kill(Pid::from_raw(id.try_into().expect("an id")), Signal::SIGTERM).expect("send a signal");
    assert!(server.ended(Duration::from_secs(10)).expect("its end").success(), "{}", server.log());
}

#[test]
fn its_seccomp_filter_can_be_switched_off() {
    let _alone = alone();
    let (server, id) = start(&["--seccomp=false"]);
    check_answers(&server);
    assert_eq!(filters(id), 2, "the runtime's alone");
}

#[test]
fn a_state_that_cannot_be_written_is_logged_and_harmless() {
    let _alone = alone();
    let (server, _) = start(&["--state-dir", "/state"]);
    eventually(Duration::from_secs(15), || match server.log().contains("/state") {
        true => Ok(()),
        false => Err(server.log()),
    });
    check_answers(&server);
}
