//! The commands other than `serve`. They print text for people by default, and JSON on request.
//!
//! A command returns its output as a [`CommandOutput`] and prints nothing itself, except `watch`, which prints each
//! change when it arrives. Text from a Pod, a file or a server goes through `print`, so that it cannot control a
//! terminal.

mod check;
mod decode;
mod decoded;
mod encode;
mod local;
mod ls;
mod offers_file;
mod print;
mod register;
mod watch;
mod why;

use std::io::{self, Read, Write};

pub use check::check;
pub use decode::decode;
pub use encode::encode;
pub use local::LocalError;
pub use ls::ls;
pub use offers_file::OffersError;
pub use register::{register, withdraw};
pub use watch::watch;
pub use why::why;

use crate::cli::{ServerArgs, SourceArgs};
use crate::cluster::ClientError;
use crate::config::{ConfigError, Environment, ServeConfig};
use crate::logging::LoggingError;
use crate::register::offer::OfferError;
use crate::register::{OwnPodError, RegisterError};
use crate::remote::{RemoteError, ServerAddress, ServerClient};
use crate::source::files::FileProblem;
use local::LocalRead;

/// The most bytes that are read from standard input: four times the longest annotation, so that the decoder can report
/// one that is too long.
const INPUT_LEN_MAX: u64 = 4 * crate::registration::ANNOTATION_LEN_MAX as u64;

/// The flags that mend a request of a command that can read Pods itself.
fn advice(error: &RemoteError) -> &'static str {
    match error {
        RemoteError::Unreachable { .. } => {
            ": start one with `callsign serve`, name another one with --server URL, or read the Pods without one, with \
             --manifests PATH or --kubeconfig FILE"
        }
        error => server_advice(error),
    }
}

/// The flags that mend a request to a server.
fn server_advice(error: &RemoteError) -> &'static str {
    match error {
        RemoteError::Unreachable { .. } => ": start one with `callsign serve`, or name another one with --server URL",
        RemoteError::NoAuthorities(_) | RemoteError::Untrusted { .. } => " with --server-ca FILE",
        RemoteError::Unauthorized { .. } => " with --server-token FILE",
        RemoteError::NotHttp { .. } | RemoteError::Status { .. } | RemoteError::Foreign { .. } => {
            " It is that of --http, with https:// if it has --http-tls."
        }
        _ => "",
    }
}

/// An error about the own Pod, with the flag that it is about.
fn own_pod_text(error: &OwnPodError) -> String {
    match error {
        OwnPodError::Unknown { .. } => format!("{error}, with --namespace NAME and --pod NAME"),
        OwnPodError::Namespace(_) => format!("--namespace: {error}"),
        OwnPodError::Name(_) => format!("--pod: {error}"),
        error => error.to_string(),
    }
}

/// The flags that mend a registration.
fn register_advice(error: &RegisterError) -> String {
    match error {
        RegisterError::NotLeftToUs(_) => ", with --interface NAME and --port NUMBER".to_owned(),
        RegisterError::NoSuchPod(_) => "; or name it with --namespace and --pod".to_owned(),
        RegisterError::Kept { container, .. } => format!(
            ". To add entries beside them, give --container another name; to replace them, give --container {container}"
        ),
        _ => String::new(),
    }
}

/// The output of a command, and whether it found anything wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandOutput {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub notes: String,
    /// The command found something wrong. The exit code is 1.
    pub has_findings: bool,
}

impl CommandOutput {
    /// Prints the outcome. Returns whether there are findings.
    ///
    /// # Errors
    /// Writing failed, unless the reader, such as `head`, has closed the pipe.
    pub fn print(&self) -> io::Result<bool> {
        io::stderr().write_all(self.notes.as_bytes())?;
        match io::stdout().write_all(self.text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(self.has_findings),
        }
    }

    /// Adds the problems of the manifests that the outcome was made from. Each is a finding.
    fn with_problems(mut self, problems: &[FileProblem]) -> CommandOutput {
        for problem in problems {
            self.notes.push_str(&print::escaped(&problem.to_string()));
            self.notes.push('\n');
        }
        self.has_findings |= !problems.is_empty();
        self
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The options or the configuration are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A request to a server failed.
    #[error("{error}{}", advice(error))]
    Remote { error: RemoteError },
    /// A request of `watch` failed, which always asks a server.
    #[error("{error}{}", server_advice(error))]
    Watch { error: RemoteError },
    /// Reading the command's own source failed.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Writing the output failed.
    #[error("standard output: {0}")]
    Output(#[source] io::Error),
    /// Reading standard input failed.
    #[error("standard input: {0}")]
    Input(#[source] io::Error),
    /// The arguments contradict each other.
    #[error("{0}")]
    Usage(String),
    /// The API server's client cannot be configured.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Logging cannot be initialized.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The registration is invalid.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The file of registrations cannot be read.
    #[error(transparent)]
    Offers(#[from] OffersError),
    /// It is not known which Pod this process is in. The error is no source, because the text has all of it.
    #[error("{}", own_pod_text(.error))]
    OwnPod { error: OwnPodError },
    /// Writing the Pod failed.
    #[error("{}{}", .0, register_advice(.0))]
    Register(Box<RegisterError>),
    /// The system refuses to start a process or to deliver signals.
    #[error("cannot follow the server: {0}")]
    System(#[source] io::Error),
}

impl From<RemoteError> for CommandError {
    fn from(error: RemoteError) -> CommandError {
        CommandError::Remote { error }
    }
}

impl From<OwnPodError> for CommandError {
    fn from(error: OwnPodError) -> CommandError {
        CommandError::OwnPod { error }
    }
}

/// A client of the server in the flags.
fn server_at(args: &ServerArgs) -> Result<ServerClient, RemoteError> {
    let ServerArgs { server, server_token, server_ca } = args.clone();
    ServerClient::new(ServerAddress { url: server, token: server_token, authorities: server_ca })
}

/// Reads Pods without a server, by flags, environment and file.
async fn read_local(
    from: &SourceArgs,
    namespaces: &[String],
    all_namespaces: bool,
    environment: &Environment,
) -> Result<LocalRead, CommandError> {
    Ok(LocalRead::read(local_config(from, namespaces, all_namespaces, environment)?).await?)
}

/// The configuration with which `ls` and `why` read Pods without a server.
///
/// Namespaces restrict the watch of a cluster. They do not start one: with manifests alone they only filter.
fn local_config(
    from: &SourceArgs,
    namespaces: &[String],
    all_namespaces: bool,
    environment: &Environment,
) -> Result<ServeConfig, ConfigError> {
    let config = ServeConfig::load(from.serve_args(&[], false), environment)?;
    let config = match config.kubernetes {
        Some(_) => ServeConfig::load(from.serve_args(namespaces, all_namespaces), environment)?,
        None => config,
    };
    config.with_source()
}

/// A text without the white space around it, and without the byte order mark that editors of Windows write before it.
fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// Reads standard input as text. Invalid UTF-8 is replaced, and the base64 or JSON decoder then refuses it with its
/// offset.
fn read_input(input: &mut dyn Read) -> Result<String, CommandError> {
    let mut bytes = Vec::new();
    input.take(INPUT_LEN_MAX).read_to_end(&mut bytes).map_err(CommandError::Input)?;
    Ok(without_mark(&String::from_utf8_lossy(&bytes)).to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::{Kubernetes, Namespaces};

    fn config(from: SourceArgs, namespaces: &[&str], is_in_pod: bool) -> Result<ServeConfig, ConfigError> {
        let mark = (OsString::from("KUBERNETES_SERVICE_HOST"), OsString::from("10.96.0.1"));
        let environment = Environment::of_variables(is_in_pod.then_some(mark)).expect("text");
        let namespaces: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
        local_config(&from, &namespaces, false, &environment)
    }

    #[test]
    fn a_namespace_selects_among_manifests_and_narrows_a_watch() {
        let manifests = SourceArgs { manifests: vec!["pods.yaml".into()], ..SourceArgs::default() };
        let cluster = SourceArgs { context: Some("kind".into()), ..SourceArgs::default() };
        let named = |names: &[&str]| Some(Namespaces::Named(names.iter().map(|name| (*name).into()).collect()));
        for (from, namespaces, is_in_pod, expected) in [
            (&manifests, &["shop"][..], false, None),
            (&manifests, &["shop"], true, None),
            (&cluster, &["shop", "other"], false, named(&["shop", "other"])),
            (&cluster, &[], false, Some(Namespaces::Own)),
            (&SourceArgs::default(), &["shop"], true, named(&["shop"])),
        ] {
            let watched = config(from.clone(), namespaces, is_in_pod).expect("a source").kubernetes;
            let watched = watched.map(|Kubernetes { namespaces, .. }| namespaces);
            assert_eq!(watched, expected, "{from:?} {namespaces:?}");
        }
        assert!(matches!(config(SourceArgs::default(), &["shop"], false), Err(ConfigError::NoSource)));
    }
}
