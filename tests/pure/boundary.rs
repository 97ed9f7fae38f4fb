//! What a framework takes with the library: the crates of each feature, on each system, which `cargo fetch` makes known; and
//! the package.

use std::collections::BTreeSet;
use std::process::Command;

const LINUX: &str = "x86_64-unknown-linux-gnu";
const OTHERS: [&str; 2] = ["x86_64-apple-darwin", "x86_64-pc-windows-gnu"];

/// The crates of a feature and everything below it, callsign's own included.
fn crates(feature: &str, target: &str) -> BTreeSet<String> {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let mut tree = Command::new(cargo);
    tree.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--locked", "--offline", "--target", target]);
    tree.args(["--edges", "normal", "--prefix", "none", "--no-default-features", "--features", feature]);
    let output = tree.output().expect("run cargo");
    assert!(output.status.success(), "{feature}, {target}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| !line.is_empty()).collect()
}

fn has(crates: &BTreeSet<String>, name: &str) -> bool {
    crates.iter().any(|one| one.split(' ').next() == Some(name))
}

#[test]
fn each_use_of_the_library_has_few_crates() {
    for (feature, most) in [("subscribe", 60), ("register", 135), ("watch", 155)] {
        for target in [LINUX].into_iter().chain(OTHERS) {
            let crates = crates(feature, target);
            assert!(has(&crates, "callsign") && has(&crates, "tokio"), "{crates:?}");
            assert!(crates.len() <= most, "{feature}, {target}: {} of {most}: {crates:#?}", crates.len());
        }
    }
}

#[test]
fn a_subscription_needs_neither_a_client_of_the_api_server_nor_http_2() {
    for target in [LINUX].into_iter().chain(OTHERS) {
        let crates = crates("subscribe", target);
        for foreign in ["kube", "kube-client", "k8s-openapi", "h2", "nix", "clap", "axum", "quinn"] {
            assert!(!has(&crates, foreign), "{target}: {foreign}");
        }
    }
}

#[test]
fn no_use_of_the_library_has_the_server() {
    let server = crates("server", LINUX);
    for foreign in
        ["anyhow", "axum", "clap", "h2", "nix", "prometheus-client", "quinn", "seccompiler", "tracing-subscriber"]
    {
        assert!(has(&server, foreign), "{foreign} is not in the server either");
        assert!(!has(&crates("watch", LINUX), foreign), "{foreign}");
    }
}

/// rustix is what a crate for Linux alone would likely bring instead of nix.
#[test]
fn subscribing_and_registering_are_not_bound_to_linux() {
    for target in OTHERS {
        for feature in ["subscribe", "register"] {
            let crates = crates(feature, target);
            for foreign in ["nix", "seccompiler", "rustix", "linux-raw-sys"] {
                assert!(!has(&crates, foreign), "{feature}, {target}: {foreign}");
            }
        }
    }
}

#[test]
fn the_package_is_made_without_a_warning() {
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/boundary");
    let mut package = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    package.current_dir(env!("CARGO_MANIFEST_DIR")).args(["package", "--no-verify", "--allow-dirty"]);
    let output = package.args(["--locked", "--offline", "--target-dir", folder]).output().expect("run cargo");
    let complaints = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success() && !complaints.contains("warning"), "{complaints}");
    std::fs::remove_dir_all(folder).expect("remove the package");
}
