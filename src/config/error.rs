//! Why options are not a configuration.

use std::io;
use std::path::PathBuf;

/// Why the options are no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("config file {}: it has more than {limit} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// The file is no TOML, or holds what is no option.
    #[error("config file {}, line {line}: {message}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// Variables that look like options and are none.
    #[error("no option has the environment variable {names}; unset it, or use one of: {known}")]
    UnknownVariables {
        /// Their names.
        names: String,
        /// The names that there are.
        known: String,
    },
    /// A variable whose value cannot be read.
    #[error("environment variable {name}: {message}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// An option's value that cannot be.
    #[error("{option}: {message}")]
    Value {
        /// The option, as a flag.
        option: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// Nobody has told which Pod this process is in.
    #[error(
        "which Pod is this process in? Its {missing} is not told; in a Pod, give its container {}, anywhere else \
         --namespace NAME and --pod NAME",
        crate::register::error::ENVIRONMENT_YAML
    )]
    NoOwnPod {
        /// `namespace` or `name`.
        missing: &'static str,
    },
    /// There is nothing to read Pods from.
    #[error(
        "no source of Pods: give --manifests PATH to read them from files, or --kubeconfig FILE, --context NAME, \
         --namespace NAME or --all-namespaces to watch a cluster (inside a Pod that is the default)"
    )]
    NoSource,
}

/// A value of an option that cannot be.
pub(super) fn refused(option: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { option, message: message.into() }
}
