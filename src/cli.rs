//! The command line and its help.

mod codec_args;
mod register_args;
mod source_args;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

use crate::config::{Options, ServeArgs};
use crate::version::{COMMIT, UNKNOWN_COMMIT, VERSION};

pub use codec_args::{DecodeArgs, EncodeArgs, EncodedForm, FieldArgs, FormArgs};
pub use register_args::{OwnPodArgs, RegisterArgs, WithdrawArgs};
pub use source_args::{DEFAULT_SERVER, ServerArgs, SourceArgs};

static VERSION_AND_COMMIT: LazyLock<String> = LazyLock::new(|| match COMMIT {
    UNKNOWN_COMMIT => VERSION.to_owned(),
    commit => format!("{VERSION} (commit {commit})"),
});

/// A DNS server for RPC processes that register themselves in their Pod's annotation.
#[derive(Debug, Parser)]
#[command(name = "callsign", version = VERSION_AND_COMMIT.as_str(), arg_required_else_help = true, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer DNS queries for the Pods of a cluster or of files
    #[command(after_long_help = SERVE_HELP)]
    Serve(Box<ServeArgs>),
    /// List the published interfaces, and the names to query
    #[command(after_long_help = LS_HELP)]
    Ls(LsArgs),
    /// Say which registrations of a Pod are published, and why others are not
    #[command(after_long_help = WHY_HELP)]
    Why(WhyArgs),
    /// Print the endpoints of an interface, and then each change
    #[command(after_long_help = WATCH_HELP)]
    Watch(WatchArgs),
    /// Print what an annotation value contains
    #[command(after_long_help = DECODE_HELP)]
    Decode(DecodeArgs),
    /// Encode an annotation value
    #[command(after_long_help = ENCODE_HELP)]
    Encode(EncodeArgs),
    /// Check manifests, zone files and a configuration, without serving them
    #[command(after_long_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Register a server in its own Pod, and withdraw it before it ends
    #[command(after_long_help = register_args::REGISTER_HELP)]
    Register(Box<RegisterArgs>),
    /// Withdraw what a container registered in its own Pod
    #[command(after_long_help = register_args::WITHDRAW_HELP)]
    Withdraw(WithdrawArgs),
}

const SERVE_HELP: &str = "\
Every option can also be set in the environment or in the --config file:
--publish-not-ready is CALLSIGN_PUBLISH_NOT_READY=true or `publish-not-ready = true`.
Lists are comma-separated in the environment and arrays in the file. A flag overrides
the environment, which overrides the file. A list replaces the whole lower list.
--profiles chooses presets. Other profiles are tables in the file. They come before the
presets of the list, and without a list they replace the default ones:

    [[profile]]
    name = \"vault\"
    selector = \"vault-active=true\"
    encoding = \"keys\"
    interface = \"=vault\"
    version = \"label:vault-version\"
    port = \"=8200\"

Each distinct selector is one watch per namespace, or one with --all-namespaces.

Examples:
    callsign serve --manifests zones/demo
    callsign serve --all-namespaces --profiles labels
    callsign serve --all-namespaces --listen 0.0.0.0:1053 --reverse 10.244.0.0/16
    callsign serve --manifests zones/demo --listen-tls 127.0.0.1:8853 \\
        --tls-cert tls.crt --tls-key tls.key
    dig @127.0.0.1 -p 5354 SRV _rpc._tcp.org.acme.greeter.default.rpc.cluster.local

It prints log lines to standard error, and runs until SIGTERM or SIGINT. SIGHUP makes it
read the files again.";

const LS_HELP: &str = "\
Examples:
    callsign ls                              what the local server publishes
    callsign ls org.acme.Greeter             one interface
    callsign ls --bad                        refused registrations
    callsign ls --server https://callsign.example:8053 --server-token token
    callsign ls --manifests zones/demo       the same without a server
    callsign ls --kubeconfig ~/.kube/config -A --json

It prints a line per service: interface, group, version, namespace, the number of
endpoints, and the name to query. With --bad it prints a line per refused registration:
Pod, reason, and the offset in its annotation. With --json it prints one JSON array. The
exit code is 1 if INTERFACE is given and no Pod registers it.";

const WHY_HELP: &str = "\
Examples:
    callsign why greeter-0                   a Pod in the namespace `default`
    callsign why shop/greeter-0              the same as -n shop greeter-0
    callsign why greeter-0 --kubeconfig ~/.kube/config

It prints whether the server knows the Pod and whether it is ready, then a line per
registration: the name it is published under, or why it is not published (no label, not
ready, terminating, finished, bad base64, foreign address, lost to another Pod). With
--json it prints one JSON object.";

const WATCH_HELP: &str = "\
Examples:
    callsign watch org.acme.Greeter
    callsign watch org.acme.Greeter --group gray -n shop
    callsign watch org.acme.Greeter --json

It prints a line per endpoint, and then a line per endpoint that is added, changed or
removed, until it is interrupted. With --json it prints a JSON object per line: first
{\"event\": \"set\", \"endpoints\": […]}, then {\"event\": \"change\", \"added\": […],
\"changed\": […], \"removed\": […]}. A later set replaces everything before it. When the
server is away, the command reconnects, and then prints what changed in between.";

const DECODE_HELP: &str = "\
Examples:
    callsign decode W3siayI6ImludGVyZmFjZSIsInYiOiJHcmVldGVyIn0seyJrIjoicG9ydCIsInYiOjIwODgwfV0=
    callsign decode '{\"interface\": \"org.acme.Greeter\", \"port\": 50051}'
    kubectl get pod greeter-0 -o yaml | callsign decode
    kubectl get pod greeter-0 -o jsonpath='{.metadata.annotations}' | callsign decode
    kubectl get pod greeter-0 -o jsonpath='{.metadata.annotations.app\\.io/annotation}' | callsign decode

It takes an annotation's value in base64 or as JSON, a Pod's annotations as YAML or JSON, or
whole Pods. Of annotations and Pods it reads what the presets app, dubbo, kratos and micro
name, whatever the Pod's labels. It prints the registrations, and then the reason and offset
of whatever it cannot read. With --json it prints one JSON object. The exit code is 1 if
anything cannot be read.";

const ENCODE_HELP: &str = "\
Examples:
    callsign encode --interface org.acme.Greeter --port 20880 --group gray
    kubectl annotate pod greeter-0 \\
        app.io/annotation=\"$(callsign encode --interface org.acme.Greeter --port 20880)\"
    kubectl label pod greeter-0 app.io/label=app.io-value
    callsign encode --plain --interface org.acme.Greeter --port 50051 --protocol grpc
    callsign encode --plain --interface org.acme.Greeter --port http
    callsign encode --objects --interface org.acme.Greeter
    echo '{\"interface\": \"org.acme.Greeter\", \"port\": [8080, 8081]}' | callsign encode - --objects

It prints the value of app.io/annotation on one line: base64 of a JSON array of pairs, or
that JSON with --pairs, or objects with --objects. With --plain it prints the annotations
app.io/interface, app.io/port and so on as YAML, to paste into a Pod template. They make one
registration. In the other forms each port makes a registration. `callsign decode` reads
each form.";

const CHECK_HELP: &str = "\
Examples:
    callsign check --manifests deployment.yaml
    helm template shop ./chart | callsign check --manifests - --profiles labels
    callsign check --manifests zones/demo --zones zones
    callsign check --config /etc/callsign.toml

It prints a line per mistake: file, line or object, and reason. Then it prints to standard
error what the manifests would register, and how many things it checked. It reads Pods, and
the Pod templates of Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs,
with the profiles that `serve` would have: those of --profiles, of --config or of the
environment. <pod> is an address that only the running Pod has. Manifests without a Pod and a folder without a zone
file are mistakes too, because then nothing is checked. The exit code is 0 without
mistakes, 1 with mistakes, and 2 if no option names anything to check. With --json it
prints one JSON object of the mistakes, the warnings, the counts and the registrations.";

/// `callsign ls`
#[derive(Debug, Args)]
pub struct LsArgs {
    /// The interface, in any letter case [default: all]
    pub interface: Option<String>,
    /// List what was refused: Pod, reason, offset
    #[arg(long)]
    pub bad: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only this namespace; repeats
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Vec<String>,
    /// All namespaces of the cluster, when reading it without a server
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "server"])]
    pub all_namespaces: bool,
    #[command(flatten)]
    pub from: SourceArgs,
}

/// `callsign why`
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The Pod: `greeter-0` or `shop/greeter-0`
    #[arg(value_parser = pod_ref)]
    pub pod: PodRef,
    /// The Pod's namespace [default: the kubeconfig's if it reads one, else `default`]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub from: SourceArgs,
}

/// `callsign watch`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The interface, in any letter case; repeats, up to 1,024 times
    #[arg(required = true)]
    pub interface: Vec<String>,
    /// Only this group; empty for endpoints without one
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Only this version; empty for endpoints without one
    // A command has no `--version` of its own: clap's `--version` works only before a command.
    #[arg(long, value_name = "TEXT")]
    pub version: Option<String>,
    /// Only this namespace
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A Pod as it is written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    pub namespace: Option<String>,
    pub name: String,
}

impl WhyArgs {
    /// The Pod, with the namespace from its name or from the flag.
    ///
    /// # Errors
    /// Both have a namespace, and the two differ.
    pub fn pod(&self) -> Result<PodRef, String> {
        match (&self.pod.namespace, &self.namespace) {
            (Some(typed), Some(flag)) if typed != flag => Err(format!(
                "the Pod's name has the namespace {typed:?} and --namespace has {flag:?}; give one of them"
            )),
            (Some(_), _) => Ok(self.pod.clone()),
            (None, flag) => Ok(PodRef { namespace: flag.clone(), name: self.pod.name.clone() }),
        }
    }
}

fn pod_ref(text: &str) -> Result<PodRef, String> {
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, text),
    };
    if name.is_empty() || name.contains('/') || namespace == Some("") {
        return Err("write greeter-0 or shop/greeter-0".into());
    }
    Ok(PodRef { namespace: namespace.map(str::to_owned), name: name.into() })
}

/// `callsign check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub what: CheckWhat,
    /// Read the manifests with these presets, as `serve --profiles` does: app, dubbo, kratos, micro, labels
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub profiles: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The inputs of `callsign check`: at least one.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = true)]
pub struct CheckWhat {
    /// Manifests: YAML or JSON, a folder of them, or `-` for standard input; repeats
    #[arg(long, value_name = "PATH")]
    pub manifests: Vec<PathBuf>,
    /// A folder of static zones
    #[arg(long, value_name = "DIR")]
    pub zones: Option<PathBuf>,
    /// A configuration of `serve`, checked with the files that it names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl CheckWhat {
    /// The same inputs as options of `serve`.
    pub fn serve_args(self, profiles: Vec<String>) -> ServeArgs {
        let CheckWhat { manifests, zones, config } = self;
        ServeArgs { config, options: Options { manifests, zones, profiles, ..Options::default() } }
    }
}

#[cfg(test)]
mod tests;
