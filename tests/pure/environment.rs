//! The environment of a test: it has no variable of the machine that affects callsign.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables that a Pod, a CI runner or a shell may have set.
const FOREIGN: [&str; 16] = [
    "ALL_PROXY=http://192.0.2.1:3128",
    "CALLSIGN_NO_SUCH_OPTION=1",
    "CALLSIGN_TTL=7",
    "HOSTNAME=another-0",
    "HTTPS_PROXY=http://192.0.2.1:3128",
    "KUBECONFIG=/nowhere",
    "KUBERNETES_SERVICE_HOST=192.0.2.1",
    "LANG=tr_TR.UTF-8",
    "LC_ALL=tr_TR.UTF-8",
    "MALLOC_CONF=prof:true",
    "NO_PROXY=.elsewhere",
    "POD_IPS=192.0.2.7",
    "POD_UID=1-2-3",
    "RUST_LOG=trace",
    "http_proxy=http://192.0.2.1:3128",
    "https_proxy=http://192.0.2.1:3128",
];

/// Variables that a test needs.
const KEPT: [&str; 4] = ["CALLSIGN_TEST_BIN=/a folder", "PATH=/usr/bin:/bin", "RUST_BACKTRACE=1", "TMPDIR=/a b"];

/// The variables that cargo's runner passes to a program in this folder, sorted.
fn shown(folder: &str) -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("environment").join(folder);
    std::fs::create_dir_all(&folder).expect("make a folder");
    let program = folder.join("program");
    let _ = std::fs::remove_file(&program);
    std::os::unix::fs::symlink("/usr/bin/env", &program).expect("make a link");
    let mut runner = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runner"));
    let variables = FOREIGN.iter().chain(&KEPT).filter_map(|variable| variable.split_once('='));
    let output = runner.arg(&program).env_clear().envs(variables).output().expect("run the runner");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // Bash itself sets these.
    let of_bash = |line: &&str| ["PWD=", "SHLVL=", "OLDPWD=", "_="].iter().any(|name| line.starts_with(name));
    let mut lines: Vec<String> = text.lines().filter(|line| !of_bash(line)).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_test_gets_only_the_variables_that_the_runner_lists() {
    assert_eq!(shown("deps"), KEPT);
}

#[test]
fn a_program_of_cargo_run_gets_every_variable() {
    let mut all = [&FOREIGN[..], &KEPT].concat();
    all.sort_unstable();
    assert_eq!(shown("debug"), all);
}

/// The runner has started this process.
#[test]
fn this_test_runs_under_the_runner() {
    let foreign = |name: &str| {
        FOREIGN.iter().any(|variable| variable.split_once('=').is_some_and(|(foreign, _)| foreign == name))
    };
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    assert_eq!(names.filter(|name| foreign(name)).collect::<Vec<_>>(), [""; 0]);
}
