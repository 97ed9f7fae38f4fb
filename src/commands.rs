//! What the commands other than `serve` do: print, for people by default and as JSON on request.
//!
//! A command returns what it has to say as an [`Outcome`] and prints nothing itself, but for `watch`, which says it when
//! it happens. Whatever came from a Pod, a file or
//! a server goes through `print`, so that no text of theirs can steer a terminal.

mod check;
mod codec;
mod list;
mod local;
mod print;
mod register;
mod watch;
mod why;

use std::io::{self, Read, Write};

pub use check::check;
pub use codec::{decode, encode};
pub use list::ls;
pub use local::LocalError;
pub use register::{register, withdraw};
pub use watch::watch;
pub use why::why;

use crate::cli::{FromArgs, ServerArgs};
use crate::config::{Config, ConfigError, Environment};
use crate::logging::LoggingError;
use crate::register::RegisterError;
use crate::register::offer::OfferError;
use crate::remote::{Address, RemoteError, Server};
use crate::source::files::FileProblem;
use crate::source::kube::ClientError;
use local::Local;

/// The most bytes that are read from standard input: four times the longest annotation, so that one that is too long is
/// told so by its reader.
const INPUT_LEN_MAX: u64 = 4 * crate::registration::ANNOTATION_LEN_MAX as u64;

/// What a person can do about a server that is not there.
fn advice(error: &RemoteError) -> &'static str {
    match error {
        RemoteError::Unreachable { .. } => {
            ": start one with `callsign serve`, name another one with --server URL, or read the Pods without one, with \
             --manifests PATH or --kubeconfig FILE"
        }
        _ => "",
    }
}

/// What a command says, and how it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output.
    pub text: String,
    /// For standard error: what is to be known beside it.
    pub notes: String,
    /// Something is wrong with what was looked at; the exit code is 1.
    pub has_findings: bool,
}

impl Outcome {
    /// Prints it; whether there are findings.
    ///
    /// # Errors
    /// What the system says, but that a reader has seen enough, such as `head`.
    pub fn print(&self) -> io::Result<bool> {
        io::stderr().write_all(self.notes.as_bytes())?;
        match io::stdout().write_all(self.text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(self.has_findings),
        }
    }

    /// The same, and what of the manifests that it was made from cannot be used: a finding, beside what can.
    fn beside(mut self, problems: &[FileProblem]) -> Outcome {
        for problem in problems {
            self.notes.push_str(&print::escaped(&problem.to_string()));
            self.notes.push('\n');
        }
        self.has_findings |= !problems.is_empty();
        self
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The options or the configuration are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A server did not answer as it should.
    #[error("{error}{}", advice(error))]
    Remote {
        /// Why.
        error: RemoteError,
    },
    /// The command's own source could not be read.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// What happened could not be printed.
    #[error("standard output: {0}")]
    Output(#[source] io::Error),
    /// Standard input could not be read.
    #[error("standard input: {0}")]
    Input(#[source] io::Error),
    /// What was asked contradicts itself.
    #[error("{0}")]
    Usage(String),
    /// There is no client of an API server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no logging.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// What is to be registered cannot be.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The Pod cannot be written.
    #[error(transparent)]
    Register(Box<RegisterError>),
    /// The system refuses a process or a signal.
    #[error("cannot follow the server: {0}")]
    System(#[source] io::Error),
}

impl From<RemoteError> for CommandError {
    fn from(error: RemoteError) -> CommandError {
        CommandError::Remote { error }
    }
}

/// The server that the flags name.
fn server_at(args: &ServerArgs) -> Result<Server, RemoteError> {
    let ServerArgs { server, server_token, server_ca } = args.clone();
    Server::at(Address { url: server, token: server_token, authorities: server_ca })
}

/// Reads Pods without a server, as the flags, the environment and the file say.
async fn read_local(
    from: &FromArgs,
    namespaces: &[String],
    all_namespaces: bool,
    environment: &Environment,
) -> Result<Local, CommandError> {
    Ok(Local::read(local_config(from, namespaces, all_namespaces, environment)?).await?)
}

/// The configuration that `ls` and `why` read Pods by themselves with.
///
/// Namespaces narrow what is watched of a cluster. They do not make one watched: beside manifests alone they only select.
fn local_config(
    from: &FromArgs,
    namespaces: &[String],
    all_namespaces: bool,
    environment: &Environment,
) -> Result<Config, ConfigError> {
    let config = Config::load(from.serve_args(&[], false), environment)?;
    let config = match config.kubernetes {
        Some(_) => Config::load(from.serve_args(namespaces, all_namespaces), environment)?,
        None => config,
    };
    config.with_source()
}

/// Standard input as text. What is no UTF-8 is replaced: as base64 or JSON it is refused then, at its place.
fn read_input(input: &mut dyn Read) -> Result<String, CommandError> {
    let mut bytes = Vec::new();
    input.take(INPUT_LEN_MAX).read_to_end(&mut bytes).map_err(CommandError::Input)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::{Kubernetes, Namespaces};

    fn config(from: FromArgs, namespaces: &[&str], is_in_pod: bool) -> Result<Config, ConfigError> {
        let mark = (OsString::from("KUBERNETES_SERVICE_HOST"), OsString::from("10.96.0.1"));
        let environment = Environment::of_variables(is_in_pod.then_some(mark)).expect("text");
        let namespaces: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
        local_config(&from, &namespaces, false, &environment)
    }

    #[test]
    fn a_namespace_selects_among_manifests_and_narrows_a_watch() {
        let manifests = FromArgs { manifests: vec!["pods.yaml".into()], ..FromArgs::default() };
        let cluster = FromArgs { context: Some("kind".into()), ..FromArgs::default() };
        let named = |names: &[&str]| Some(Namespaces::Named(names.iter().map(|name| (*name).into()).collect()));
        for (from, namespaces, is_in_pod, expected) in [
            (&manifests, &["shop"][..], false, None),
            (&manifests, &["shop"], true, None),
            (&cluster, &["shop", "other"], false, named(&["shop", "other"])),
            (&cluster, &[], false, Some(Namespaces::Own)),
            (&FromArgs::default(), &["shop"], true, named(&["shop"])),
        ] {
            let watched = config(from.clone(), namespaces, is_in_pod).expect("a source").kubernetes;
            let watched = watched.map(|Kubernetes { namespaces, .. }| namespaces);
            assert_eq!(watched, expected, "{from:?} {namespaces:?}");
        }
        assert!(matches!(config(FromArgs::default(), &["shop"], false), Err(ConfigError::NoSource)));
    }
}
