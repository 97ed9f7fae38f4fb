//! Go programs of `tests/clients`.

use super::process::{built, scratch};

/// Builds the Go program of a folder of `tests/clients`. The first build compiles its modules and may take some minutes.
/// After that Go has them in its cache.
pub(crate) fn go_program(folder: &str) -> String {
    let file = scratch(folder).join(folder).to_str().expect("a path of UTF-8").to_owned();
    let sources = format!("{}/tests/clients/{folder}", env!("CARGO_MANIFEST_DIR"));
    let go = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/go");
    built(go, ["build", "-C", &sources, "-mod=readonly", "-ldflags=-s -w", "-o", &file, "."]);
    file
}
