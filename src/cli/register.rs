//! What `callsign register` and `callsign withdraw` take.

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
use crate::source::url::shown;

pub(super) const REGISTER_HELP: &str = "\
Three shapes:
    callsign register --interface NAME --port NUMBER -- ./server
        starts the server, registers it once its port accepts a connection, withdraws it
        before it passes SIGTERM on (or another signal that asks for the end), and
        ends with the server's code
    callsign register --interface NAME --port NUMBER
        a sidecar: registers while the port accepts connections, until SIGTERM
    callsign register --once --interface NAME --port NUMBER, and callsign withdraw
        once, without a look at the port

Examples:
    callsign register --interface org.acme.Greeter --group gray --protocol http \\
        --port 20880 --meta zone=a -- ./server --flag
    callsign register --from reg.toml --ready-http http://127.0.0.1:8080/ok -- ./server
    callsign register --once --interface org.acme.Greeter --port 20880
    callsign withdraw --container 20880

Several --interface share the other flags. What differs goes into a file, TOML or the
same as JSON:
    [[registration]]
    interface = \"org.acme.Greeter\"
    port = 20880                        # or [20880, 20881]
    group = \"gray\"
    methods = [\"SayHello\", \"SayBye\"]
    meta = { zone = \"a\" }

It must be told which Pod it is in, so give its container:
    env:
      - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
      - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
Without them it is the service account's namespace, and HOSTNAME, which the kubelet cuts
at 63 bytes: that is believed only if an address of this process is one of that Pod's,
and on the host's network not at all. So is a name from the Pod with a namespace from a
flag or a kubeconfig, and the reverse: give both flags or none. POD_UID counts whatever
the flags say. The Pod's service account needs the rights get and patch on pods.

It writes a label and an annotation of its own Pod in one patch, and marks its own
entries with a pair `registrar`: a restart replaces them, and what others have written
stays as it is. While the API server is away the server runs, and it tries on. A second
SIGTERM ends the wait.

While it runs it looks after its entries: what somebody removes, or an older state of the
API server has lost, it writes again, what comes back while the server is away it
withdraws again, and a registry path follows the Pod's address. It looks at least every
20 s in its first two minutes, and every 5 minutes after that, give or take a quarter. At
its end the entries stay, marked `enabled=false`, so that the names go on to exist without
an answer. They go with the Pod or `callsign withdraw`. With --profile dubbo the entries
go at the end: it writes what dubbo-go's Kubernetes registry reads, which forgets a
provider when its Pod is deleted, not when it is withdrawn.

--once without --container does not replace entries that a wrapper or a sidecar looks
after. With a terminal, a server that reads it gets its foreground; Ctrl-C then goes to
the server at once.

It prints log lines to standard error.";

pub(super) const WITHDRAW_HELP: &str = "\
Examples:
    callsign withdraw --container 20880      what `register --port 20880` has written
    callsign withdraw --container server --namespace shop --pod greeter-0

It takes the container's entries out of its own Pod's annotation; the annotation and the
label go with the last entry. A wrapper or a sidecar that runs writes its entries again,
after some minutes at most. It prints log lines to standard error.";

/// `callsign register`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("offered").args(["interface", "from"]).required(true).multiple(true))]
#[command(group = ArgGroup::new("readiness").args(["ready_http", "ready_exec", "no_wait"]))]
pub struct RegisterArgs {
    /// An interface, such as org.acme.Greeter; repeats, and all share the ports and the fields
    #[arg(long, value_name = "NAME", requires = "port", help_heading = "Registration")]
    pub interface: Vec<String>,
    /// A port; repeats, and each is a registration of its own
    #[arg(long, value_name = "NUMBER", requires = "interface", help_heading = "Registration",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Vec<u16>,
    /// The fields that may be absent.
    #[command(flatten, next_help_heading = "Registration")]
    pub fields: FieldArgs,
    /// A file with registrations: JSON where its name ends in .json, else TOML
    #[arg(long, value_name = "FILE", help_heading = "Registration")]
    pub from: Option<PathBuf>,
    /// How it is written: `app` in fields, `dubbo` as registry paths, which dubbo-go reads
    #[arg(long, value_name = "NAME", default_value = "app", help_heading = "Registration")]
    pub profile: Profile,
    /// Tells this container's registrations from those of the Pod's others [default: the first port]
    #[arg(long, value_name = "NAME", value_parser = container, help_heading = "Registration")]
    pub container: Option<String>,
    /// The Pod.
    #[command(flatten)]
    pub pod: OwnPodArgs,
    /// The server is there when a GET of this URL says 200 to 399, and not when its ports accept connections
    #[arg(long, value_name = "URL", value_parser = PlainHttp, help_heading = "Server")]
    pub ready_http: Option<Uri>,
    /// The server is there when this command, run by sh, ends with 0
    #[arg(long, value_name = "CMD", help_heading = "Server")]
    pub ready_exec: Option<OsString>,
    /// The server is there at once
    #[arg(long, help_heading = "Server")]
    pub no_wait: bool,
    /// How long the server goes on after it has been withdrawn, before it gets SIGTERM: the records' TTL, the way of the
    /// change, and one call
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(..=3600),
        requires = "command", help_heading = "Server")]
    pub drain: u64,
    /// The signal that the image stops the process by, such as SIGQUIT, QUIT or 3, beside SIGTERM, SIGINT and SIGQUIT; those
    /// of nginx, php-fpm, httpd, apache2 and haproxy are known by the program's name
    #[arg(long, value_name = "SIGNAL", value_parser = stop_signal, help_heading = "Server")]
    pub stop_signal: Option<Signal>,
    /// Register once and end; the server is another one's care
    #[arg(long, conflicts_with_all = ["readiness", "command", "drain", "stop_signal"], help_heading = "Server")]
    pub once: bool,
    /// The logging.
    #[command(flatten)]
    pub logging: LoggingArgs,
    /// The server to start, and its arguments
    #[arg(last = true, value_name = "COMMAND", help_heading = "Server")]
    pub command: Vec<OsString>,
}

/// `callsign withdraw`
#[derive(Debug, Args)]
pub struct WithdrawArgs {
    /// Whose registrations: the --container that they were registered with, or else the first port
    #[arg(long, value_name = "NAME", value_parser = container)]
    pub container: String,
    /// How they were written
    #[arg(long, value_name = "NAME", default_value = "app")]
    pub profile: Profile,
    /// The Pod.
    #[command(flatten)]
    pub pod: OwnPodArgs,
    /// The logging.
    #[command(flatten)]
    pub logging: LoggingArgs,
}

/// Which Pod this process is in, and how its API server is reached.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Pod")]
pub struct OwnPodArgs {
    /// The Pod's namespace [default: POD_NAMESPACE, the service account's, the kubeconfig's]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The Pod's name [default: POD_NAME, HOSTNAME]; POD_UID counts all the same; without it an address must prove HOSTNAME, and a
    /// name that is told by another source than the namespace
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,
    /// The cluster [default: KUBECONFIG, ~/.kube/config, the Pod's own]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// How it logs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LoggingArgs {
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: Format,
    /// What is logged: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = crate::config::DEFAULT_LOG_LEVEL)]
    pub log_level: String,
}

/// A container's name, or a port.
fn container(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=63).contains(&text.len()) && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("write up to 63 letters, digits, hyphens, underscores and dots".into())
    }
}

/// Reads a URL of plain HTTP. clap's own parsers repeat what was written, with the password that a URL may hold.
#[derive(Clone)]
struct PlainHttp;

impl TypedValueParser for PlainHttp {
    type Value = Uri;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Uri, clap::Error> {
        let text = value.to_string_lossy();
        match text.parse::<Uri>().ok().filter(|url| url.scheme_str() == Some("http") && !text.contains('@')) {
            Some(url) => Ok(url),
            None => {
                let (arg, shown) = (arg.map(ToString::to_string).unwrap_or_default(), shown(&text));
                let reason = "write it as http://127.0.0.1:8080/healthz; only http is spoken, without a login";
                let error = clap::Error::raw(ErrorKind::ValueValidation, format!("{shown} for {arg}: {reason}\n"));
                Err(error.with_cmd(command))
            }
        }
    }
}
