//! Checks the data path against the `use crate::` lines: no part uses a part to its right.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From left to right. Parts in one row may use each other if ARCHITECTURE.md says so.
const ROWS: [&[&str]; 16] = [
    &["api", "backoff", "escape", "sse", "poll", "token", "url", "version"],
    &["cluster"],
    &["dns"],
    &["registration"],
    &["name"],
    &["source"],
    &["zones"],
    &["snapshot"],
    &["index", "txt"],
    &["answer"],
    &["wire"],
    &["report", "metrics", "heartbeat", "changes"],
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
    let is_test = |path: &PathBuf| {
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().with_extension("");
        path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "model")
    };
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

/// The name of the type that a line defines at the top of a module.
fn type_defined_by(line: &str) -> Option<&str> {
    let without_visibility = line.strip_prefix("pub(").and_then(|rest| Some(rest.split_once(") ")?.1));
    let definition = without_visibility.or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let (keyword, rest) = definition.split_once(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    matches!(keyword, "struct" | "enum" | "trait" | "type").then(|| &rest[..end])
}

#[test]
fn a_types_name_has_one_meaning() {
    let mut seen = BTreeSet::new();
    for part in ROWS.iter().flat_map(|parts| parts.iter()) {
        for name in code_of(part).lines().filter_map(type_defined_by) {
            assert!(seen.insert(name.to_owned()), "{part} defines another type {name}: name it for what it is");
        }
    }
    assert!(seen.len() > 300 && seen.contains("PodRecord"), "the types are not found");
}
