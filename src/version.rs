//! The version and the commit of the build.

/// The version in Cargo.toml.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit that the build names in `CALLSIGN_COMMIT`.
pub const COMMIT: &str = match option_env!("CALLSIGN_COMMIT") {
    Some(commit) if !commit.is_empty() => commit,
    _ => UNKNOWN_COMMIT,
};

/// The commit of a build that names none.
pub const UNKNOWN_COMMIT: &str = "unknown";
