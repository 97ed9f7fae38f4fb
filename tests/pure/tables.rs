//! The tables of faults and the threat model: every test and file that they name exists.

use std::fs;
use std::path::Path;

/// The names of tests in backticks: file and function.
fn named(table: &str) -> Vec<(&str, &str)> {
    table.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once(".rs::")).collect()
}

#[test]
fn every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join("tests")).expect("this folder").flatten().map(|entry| entry.path());
    let tables: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    assert!(!tables.is_empty());
    for table in tables {
        let text = fs::read_to_string(&table).expect("a table");
        let tests = named(&text);
        assert!(!tests.is_empty(), "{}", table.display());
        for (file, test) in tests {
            let folder = if file.starts_with("src/") { root.to_path_buf() } else { root.join("tests") };
            let code = fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap_or_default();
            let is_there = code.contains(&format!("fn {test}("));
            assert!(is_there, "{} names {test} of {file}.rs", table.display());
        }
    }
}

#[test]
fn every_named_file_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("SECURITY.md")).expect("the threat model");
    let files = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| ["tests/", "src/", "deploy/", "scripts/"].iter().any(|folder| quoted.starts_with(folder)));
    let missing: Vec<_> = files.clone().filter(|file| !root.join(file).exists()).collect();
    assert!(missing.is_empty() && files.count() > 20, "{missing:?}");
}

#[test]
fn every_check_of_a_third_party_has_its_row() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/CONFORMANCE.md");
    let text = fs::read_to_string(path).expect("the table");
    let rows = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    let mut tables: Vec<(&str, usize)> = Vec::new();
    // After the head of the table.
    for row in &rows[2..] {
        assert!(row.len() == 3 && row[1..].iter().all(|cell| !cell.is_empty()), "{row:?}");
        assert!(row[2].contains(".rs"), "no test holds {}", row[1]);
        match (row[0], tables.last_mut()) {
            ("", Some((_, count))) => *count += 1,
            (table, _) => tables.push((table, 1)),
        }
    }
    assert_eq!(tables, CONFORMANCE);
}

/// The tables of third parties, and the number of rows of each.
const CONFORMANCE: [(&str, usize); 8] = [
    ("RFC 8906 §8, ISC's genreport", 7),
    ("Knot's tests-extra", 5),
    ("Zonemaster NAMESERVER", 5),
    ("dnsviz", 2),
    ("Kubernetes' DNS specification and its tests", 5),
    ("CoreDNS `forward` as a client", 5),
    ("TCP, as BIND and NSD test it", 6),
    ("CoreDNS `kubernetes`", 2),
];

#[test]
fn every_fault_has_its_row() {
    for (table, rows) in [("WATCH_FAULTS.md", 51), ("BAD_INPUT.md", 48)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(table);
        let text = fs::read_to_string(path).expect("the table");
        let numbers = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<u32>().ok());
        assert!(numbers.eq(1..=rows), "{table}: {rows} rows, each once and in order");
    }
}
