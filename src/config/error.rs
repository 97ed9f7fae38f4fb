//! Errors of the options.

#![warn(missing_docs)]

use std::io;
use std::path::PathBuf;

/// An option, an environment variable or the configuration file is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Reading the configuration file failed.
    #[error("config file {}: {source}", path.display())]
    Unreadable {
        /// The configuration file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The configuration file is too large.
    #[error("config file {}: it has more than {limit} bytes", path.display())]
    FileTooLarge {
        /// The configuration file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// The file is not TOML, or has an unknown key or a value of the wrong type.
    #[error("config file {}, line {line}: {message}", path.display())]
    BadFile {
        /// The configuration file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong in that line.
        message: String,
    },
    /// Variables that start with `CALLSIGN_` and belong to no option.
    #[error("no option has the environment variable {names}; unset it, or use one of: {known}")]
    UnknownVariables {
        /// The unknown variables, separated by commas.
        names: String,
        /// The variables of all options, separated by spaces.
        known: String,
    },
    /// A variable has a wrong value.
    #[error("environment variable {name}: {message}")]
    Variable {
        /// The variable's name.
        name: String,
        /// What is wrong with the value.
        message: String,
    },
    /// An option has a wrong value.
    #[error("{option}: {message}")]
    Value {
        /// The option as a flag, such as `--ttl`.
        option: &'static str,
        /// What is wrong, and what to write instead.
        message: String,
    },
    /// No option names a source of Pods, and this process is not in a cluster.
    #[error(
        "no source of Pods: give --manifests PATH to read them from files, or --kubeconfig FILE, --context NAME, \
         --namespace NAME or --all-namespaces to watch a cluster (inside a Pod that is the default)"
    )]
    NoSource,
}

/// A wrong value of an option.
pub(super) fn refused(option: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { option, message: message.into() }
}
