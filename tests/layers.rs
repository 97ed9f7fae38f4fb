//! Checks the data path against the `use crate::` lines: no part uses a part to its right.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From left to right. Parts in one row may use each other if ARCHITECTURE.md says so.
const ROWS: [&[&str]; 14] = [
    &["dns"],
    &["registration"],
    &["name"],
    &["source"],
    &["zones"],
    &["snapshot"],
    &["index", "txt"],
    &["answer"],
    &["wire"],
    &["report", "metrics", "heartbeat", "changes", "sse", "escape"],
    &["server", "writer", "http", "register"],
    &["state"],
    &["config", "cli", "logging", "sandbox", "app", "remote", "registry"],
    &["commands"],
];

/// The parts that must use no clock, no socket and no task.
const PURE: [&str; 7] = ["dns", "registration", "name", "snapshot", "index", "answer", "wire"];

fn files_of(part: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join(part).with_extension("rs")];
    let mut folders = vec![root.join(part)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => files.push(path),
            }
        }
    }
    files
}

/// The code of a part without its inline tests and comments.
fn code_of(part: &str) -> String {
    let is_test = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == "tests" || stem == "model");
    let files = files_of(part).into_iter().filter(|path| !is_test(path));
    let code = files.map(|path| fs::read_to_string(path).unwrap());
    let without_tests = code.map(|code| code.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned());
    let lines = without_tests.flat_map(|code| code.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| !line.trim_start().starts_with("//")).map(|line| line + "\n").collect()
}

#[test]
fn no_arrow_points_back() {
    for (row, parts) in ROWS.iter().enumerate() {
        let known: BTreeSet<&str> = ROWS[..=row].iter().flat_map(|parts| parts.iter().copied()).collect();
        for part in *parts {
            let code = code_of(part);
            assert!(code.len() > 100, "{part} has no code");
            for used in code.split("crate::").skip(1) {
                assert!(!used.starts_with('{'), "{part} has a grouped `use crate::{{`, which this test does not read");
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                assert!(known.contains(used.as_str()), "{part} uses {used}, which is to its right");
            }
        }
    }
}

#[test]
fn every_part_has_its_row() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let placed: BTreeSet<&str> = ROWS.iter().flat_map(|parts| parts.iter().copied()).collect();
    assert_eq!(declared, placed);
}

#[test]
fn the_pure_parts_use_no_clock_socket_or_task() {
    for part in PURE {
        let code = code_of(part);
        for impure in
            ["Instant::now", "SystemTime", "tokio::", "std::net::Udp", "std::net::Tcp", "std::fs", "std::thread"]
        {
            assert!(!code.contains(impure), "{part} uses {impure}");
        }
    }
}
