//! The static binary of `scripts/static`, alone in an empty root and without privileges: what the image consists of.

use std::fs;
use std::path::Path;

#[allow(dead_code, reason = "every test binary uses a part of it")]
mod harness;

use harness::process::{output, scratch};
use harness::server::Server;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A Pod that runs and has registered itself.
const POD: &str = include_str!("static_binary/pod.yaml");

/// The command line that runs `/callsign` with `dir` as its root, as nobody in particular.
fn alone_in(dir: &Path) -> Vec<&str> {
    let dir = dir.to_str().expect("a path of UTF-8");
    if nix::unistd::geteuid().is_root() {
        vec!["chroot", "--userspec=65532:65532", dir, "/callsign"]
    } else {
        vec!["unshare", "--map-current-user", "--root", dir, "/callsign"]
    }
}

#[test]
fn it_runs_alone_in_an_empty_root() {
    let built = output(format!("{ROOT}/scripts/static"), [""; 0]);
    let binary = Path::new(built.lines().last().expect("the script names the file"));
    let dir = scratch("root");
    fs::copy(binary, dir.join("callsign")).expect("copy the binary");

    let command = alone_in(&dir);
    let version = output(command[0], command[1..].iter().copied().chain(["--version"]));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");

    fs::create_dir(dir.join("pods")).expect("make a folder");
    fs::write(dir.join("pods/pod.yaml"), POD).expect("write a Pod");
    let mut server = Server::launch(&command, &["--manifests", "/pods"]);
    server.wait_for("/readyz");
    let found = server.dig(&["SRV", "_tri._tcp.org.acme.greeter.default.rpc.cluster.local."]);
    assert_eq!(found.data(), ["0 100 20880 10-244-0-81.p.rpc.cluster.local."], "{}", found.text);
}
