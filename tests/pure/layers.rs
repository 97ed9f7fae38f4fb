//! Checks the data path against the `use crate::` lines: no part uses a part to its right.
//!
//! The compiler checks the order of the features (src/lib.rs), because it builds each alone. Here stands the order within
//! the two large ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The features, and their parts from left to right. Parts in one row may use each other if ARCHITECTURE.md says so.
const FEATURES: [(&str, &[&[&str]]); 2] = [
    (
        "watch",
        &[
            &["dns"],
            &["name"],
            &["source"],
            &["zones"],
            &["snapshot"],
            &["index", "txt"],
            &["report", "heartbeat", "changes"],
            &["writer"],
        ],
    ),
    (
        "server",
        &[
            &["version", "poll"],
            &["answer"],
            &["wire"],
            &["metrics"],
            &["server", "http"],
            &["state"],
            &["config", "cli", "logging", "sandbox", "app"],
            &["commands"],
        ],
    ),
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

/// Each part, with its feature, in src/lib.rs.
fn declared() -> BTreeSet<(String, String)> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let mut feature = "";
    let mut parts = BTreeSet::new();
    for line in lib.lines().map(str::trim_start) {
        let line = line.trim_start_matches("if ");
        let of_feature = line.strip_prefix("#[cfg(feature = \"").and_then(|rest| rest.split_once('"'));
        feature = of_feature.map_or(feature, |(feature, _)| feature);
        let part = line.trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
        parts.extend(part.map(|part| (feature.to_owned(), part.to_owned())));
    }
    parts
}

#[test]
fn no_arrow_points_back() {
    for (_, rows) in FEATURES {
        let all: BTreeSet<&str> = rows.iter().flat_map(|parts| parts.iter().copied()).collect();
        for (row, parts) in rows.iter().enumerate() {
            let left: BTreeSet<&str> = rows[..=row].iter().flat_map(|parts| parts.iter().copied()).collect();
            for part in *parts {
                let code = code_of(part);
                assert!(code.len() > 100, "{part} has no code");
                for used in code.split("crate::").skip(1) {
                    assert!(
                        !used.starts_with('{'),
                        "{part} has a grouped `use crate::{{`, which this test does not read"
                    );
                    let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let is_right = all.contains(used.as_str()) && !left.contains(used.as_str());
                    assert!(!is_right, "{part} uses {used}, which is to its right");
                }
            }
        }
    }
}

#[test]
fn every_part_of_these_features_has_its_row() {
    let placed = FEATURES.iter().flat_map(|(feature, rows)| {
        rows.iter().flat_map(|parts| parts.iter()).map(|part| ((*feature).to_owned(), (*part).to_owned()))
    });
    let declared = declared();
    assert!(declared.contains(&("subscribe".to_owned(), "registry".to_owned())), "{declared:?}");
    let of_these = declared.into_iter().filter(|(feature, _)| FEATURES.iter().any(|(of, _)| of == feature));
    assert_eq!(of_these.collect::<BTreeSet<_>>(), placed.collect());
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
    for (_, part) in declared() {
        for name in code_of(&part).lines().filter_map(type_defined_by) {
            assert!(seen.insert(name.to_owned()), "{part} defines another type {name}: name it for what it is");
        }
    }
    assert!(seen.len() > 300 && seen.contains("PodRecord"), "the types are not found");
}
