//! The arguments of `callsign register` and `callsign withdraw`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgGroup, Args, Command};
use http::Uri;
use nix::sys::signal::Signal;

use super::FieldArgs;
use crate::logging::Format;
use crate::register::Profile;
use crate::register::signals::stop_signal;
use crate::url::redacted;

pub(super) const REGISTER_HELP: &str = "\
Three forms:
    callsign register --interface NAME --port NUMBER -- ./server
        starts the server, registers it once its port accepts a connection, withdraws it
        before it forwards SIGTERM (or another signal that asks a process to end), and
        exits with the server's exit code
    callsign register --interface NAME --port NUMBER
        a sidecar: registers while the port accepts connections, until SIGTERM
    callsign register --once --interface NAME --port NUMBER, and callsign withdraw
        registers once, without checking the port

Examples:
    callsign register --interface org.acme.Greeter --group gray --protocol http \\
        --port 20880 --meta zone=a -- ./server --flag
    callsign register --from reg.toml --ready-http http://127.0.0.1:8080/ok -- ./server
    callsign register --once --interface org.acme.Greeter --port 20880
    callsign withdraw --container 20880

Several --interface share the other flags. Registrations that differ go into a file, in
TOML or in JSON of the same shape:
    [[registration]]
    interface = \"org.acme.Greeter\"
    port = 20880                        # or [20880, 20881]
    group = \"gray\"
    methods = [\"SayHello\", \"SayBye\"]
    meta = { zone = \"a\" }

What the flags leave open the Pod template may say, so that image and template say a
thing once. Without --interface or --port, callsign reads its Pod before it starts the
server, and waits for the API server. Without app.io/register the annotations register by
themselves, and callsign ends with an error:
    metadata:
      labels: {app.io/label: app.io-value}
      annotations:
        app.io/register: \"true\"
        app.io/interface: org.acme.Greeter
        app.io/port: http               # a number or a container port's name
    callsign register -- ./server

The process must know which Pod it is in, so give its container:
    env:
      - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
      - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
Without them it uses the service account's namespace and HOSTNAME, which the kubelet cuts
at 63 bytes. It accepts HOSTNAME only if an address of this process is one of that Pod's,
and never on the host's network. The same holds if the name comes from the Pod and the
namespace from a flag or a kubeconfig, or the reverse: give both flags or neither. The
Pod's uid must be POD_UID even if flags name the Pod. The Pod's service account needs the
rights to get and patch pods.

It writes a label and an annotation of its own Pod in one patch, and marks its own
entries with a pair `registrar`. A restart replaces the marked entries and leaves all
others alone. While the API server is away the server runs, and callsign retries. A
second SIGTERM ends the wait.

While it runs it keeps its entries in place. It writes them again if somebody removes
them or if a restored API server has lost them. It withdraws them again if they come back
while the server is down. A registry path follows the Pod's address. It checks at least
every 20 s in the first two minutes, and then every 5 minutes, plus or minus a quarter.
When it ends, the entries stay with `enabled=false`, so that the names still exist but
have no endpoint. They go with the Pod or with `callsign withdraw`. With --profile dubbo
the entries go when it ends: dubbo-go's Kubernetes registry reads them, and it removes a
provider when its Pod is deleted, not when it is withdrawn.

--once without --container does not replace the entries of a running wrapper or sidecar.
On a terminal, a server that reads from it gets the foreground, and Ctrl-C goes straight
to the server.

It prints log lines to standard error.";

pub(super) const WITHDRAW_HELP: &str = "\
Examples:
    callsign withdraw --container 20880      what `register --port 20880` wrote
    callsign withdraw --container server --namespace shop --pod greeter-0

It removes the container's entries from the annotation of its own Pod, and with the last
entry the annotation and the label. A running wrapper or sidecar writes its entries
again within minutes. It prints log lines to standard error.";

/// `callsign register`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("readiness").args(["ready_http", "ready_exec", "no_wait"]))]
pub struct RegisterArgs {
    /// An interface, such as org.acme.Greeter; repeats, and all share the ports and the fields [default: the Pod's
    /// annotation app.io/interface]
    #[arg(long, value_name = "NAME", help_heading = "Registration")]
    pub interface: Vec<String>,
    /// A port; repeats, and each port is a separate registration [default: the Pod's annotation app.io/port]
    #[arg(long, value_name = "NUMBER", help_heading = "Registration",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Vec<u16>,
    #[command(flatten, next_help_heading = "Registration")]
    pub fields: FieldArgs,
    /// A file with registrations: JSON if its name ends in .json, else TOML
    #[arg(long, value_name = "FILE", help_heading = "Registration")]
    pub from: Option<PathBuf>,
    /// The encoding: `app` writes fields, `dubbo` writes the registry paths that dubbo-go reads
    #[arg(long, value_name = "NAME", default_value = "app", help_heading = "Registration")]
    pub profile: Profile,
    /// Distinguishes this container's registrations from those of the Pod's other containers [default: the first port]
    #[arg(long, value_name = "NAME", value_parser = container, help_heading = "Registration")]
    pub container: Option<String>,
    #[command(flatten)]
    pub pod: OwnPodArgs,
    /// The server is ready when a GET of this URL returns 200 to 399, instead of when its ports accept connections
    #[arg(long, value_name = "URL", value_parser = HttpUrlParser, help_heading = "Server")]
    pub ready_http: Option<Uri>,
    /// The server is ready when this command, run by sh, exits with 0
    #[arg(long, value_name = "CMD", help_heading = "Server")]
    pub ready_exec: Option<OsString>,
    /// The server is ready at once
    #[arg(long, help_heading = "Server")]
    pub no_wait: bool,
    /// How long the server keeps running after it is withdrawn, before it gets SIGTERM: the records' TTL, the time
    /// that the change takes to spread, and one call
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(..=3600),
        requires = "command", help_heading = "Server")]
    pub drain: u64,
    /// The signal that the image uses to stop the process, such as SIGQUIT, QUIT or 3, besides SIGTERM, SIGINT and
    /// SIGQUIT; those of nginx, php-fpm, httpd, apache2 and haproxy are known by the program's name
    #[arg(long, value_name = "SIGNAL", value_parser = stop_signal, help_heading = "Server")]
    pub stop_signal: Option<Signal>,
    /// Register once and exit, without starting or watching a server
    #[arg(long, conflicts_with_all = ["readiness", "command", "drain", "stop_signal"], help_heading = "Server")]
    pub once: bool,
    #[command(flatten)]
    pub logging: LoggingArgs,
    /// The server to start, and its arguments
    #[arg(last = true, value_name = "COMMAND", help_heading = "Server")]
    pub command: Vec<OsString>,
}

/// `callsign withdraw`
#[derive(Debug, Args)]
pub struct WithdrawArgs {
    /// The container that registered: its --container, or else its first port
    #[arg(long, value_name = "NAME", value_parser = container)]
    pub container: String,
    /// The encoding that it was registered with
    #[arg(long, value_name = "NAME", default_value = "app")]
    pub profile: Profile,
    #[command(flatten)]
    pub pod: OwnPodArgs,
    #[command(flatten)]
    pub logging: LoggingArgs,
}

/// The Pod of this process, and how to reach its API server.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Pod")]
pub struct OwnPodArgs {
    /// The Pod's namespace [default: POD_NAMESPACE, the service account's, the kubeconfig's]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The Pod's name [default: POD_NAME, HOSTNAME]. POD_UID must match in any case. Without POD_UID, one of the Pod's
    /// addresses must be this process's own if the name is HOSTNAME or comes from another source than the namespace
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, the Pod's own cluster]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LoggingArgs {
    /// The format of log lines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: Format,
    /// What to log: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = crate::config::DEFAULT_LOG_LEVEL)]
    pub log_level: String,
}

fn container(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=63).contains(&text.len()) && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("write up to 63 letters, digits, hyphens, underscores and dots".into())
    }
}

/// Parses a URL of plain HTTP. clap's own parsers repeat the text in their errors, with a password that it may
/// contain.
#[derive(Clone)]
struct HttpUrlParser;

impl TypedValueParser for HttpUrlParser {
    type Value = Uri;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Uri, clap::Error> {
        let text = value.to_string_lossy();
        match text.parse::<Uri>().ok().filter(|url| url.scheme_str() == Some("http") && !text.contains('@')) {
            Some(url) => Ok(url),
            None => {
                let (arg, shown) = (arg.map(ToString::to_string).unwrap_or_default(), redacted(&text));
                let reason = "write it as http://127.0.0.1:8080/healthz; only http works, without a login";
                let error = clap::Error::raw(ErrorKind::ValueValidation, format!("{shown} for {arg}: {reason}\n"));
                Err(error.with_cmd(command))
            }
        }
    }
}
