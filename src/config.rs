//! All options become one checked [`Config`]: from flags, else the environment, else a TOML file, else the default.
//!
//! Nothing else reads the environment. Every refusal names the option and says what to do.

mod clients;
mod encrypted;
mod environment;
mod file;
mod name_server;
mod options;
mod own_pod;
mod profile;
mod size;
mod value;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::dns::Name;
use crate::logging::Format;
use crate::server::encrypted::certificate::Files;
use crate::server::listen::canonical;
use crate::snapshot::TxtKeys;
use crate::source::Profile;

use clients::Typed;
pub use clients::{Clients, CookieSecret};
pub use environment::Environment;
pub use name_server::NameServer;
pub use options::{Options, ProfileOption, ServeArgs};
pub use own_pod::own_pod;
pub use profile::default_profiles;
pub use size::{ByteSize, NoSize};

/// The zone that the Pods' names are in.
pub const DEFAULT_ZONE: &str = "rpc.cluster.local.";

/// Where DNS is served: a port that needs no root, and no one but this host.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5354);

/// Where health, metrics and the API are served.
pub const DEFAULT_HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8053);

/// TTL of every record, in seconds.
pub const DEFAULT_TTL: u32 = 5;

/// Seconds of silence after which answers are marked stale: three missed bookmarks.
pub const DEFAULT_STALE_AFTER: u32 = 180;

/// Seconds that a start waits for the cluster before it serves a saved zone.
pub const DEFAULT_STATE_WAIT: u32 = 5;

/// Seconds after which a saved zone is not served any more.
pub const DEFAULT_STATE_MAX_AGE: u32 = 86_400;

/// Seconds for which answers go on after SIGTERM.
pub const DEFAULT_LAME_DUCK: u32 = 5;

/// The metadata keys that TXT records show beside the named fields.
pub const DEFAULT_TXT_KEYS: [&str; 7] = ["weight", "serialization", "release", "region", "zone", "environment", "tag"];

/// The most bytes that all Pods may take. With the rest of the sum in ARCHITECTURE.md ("Bytes") it fits the memory limit of
/// `deploy/`.
pub const DEFAULT_BYTES_MAX: u64 = 576 * 1024 * 1024;

/// The most bytes that the Pods of one namespace may take: 100,000 ordinary Pods fit. Where all
/// take more than [`DEFAULT_BYTES_MAX`], the largest namespace gives way first.
pub const DEFAULT_NAMESPACE_BYTES_MAX: u64 = 544 * 1024 * 1024;

/// What is logged.
pub const DEFAULT_LOG_LEVEL: &str = "info";

/// The longest NSID, in bytes: beside the longest question it leaves room for EDE in the 512 bytes of the smallest
/// UDP reply.
pub const NSID_LEN_MAX: usize = 128;

/// Where the kernel tells the host's name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// Everything that the operator set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The zone of the Pods' names, with room for the longest name of a service's alias.
    pub zone: Name,
    /// The zone's name servers, at least one, each once.
    pub name_servers: Vec<NameServer>,
    /// The networks to serve reverse names for, host bits zero, none within another.
    pub reverse: Vec<IpNet>,
    /// TTL of every record, in seconds.
    pub ttl: u32,
    /// Which metadata keys TXT records show.
    pub txt_keys: TxtKeys,
    /// The folder of static zones.
    pub zones: Option<PathBuf>,
    /// The manifests to read Pods from; `-` is standard input.
    pub manifests: Vec<PathBuf>,
    /// The cluster to watch.
    pub kubernetes: Option<Kubernetes>,
    /// What registrations are found by, at least one, names distinct.
    pub profiles: Vec<Profile>,
    /// Publish Pods that are not ready.
    pub publish_not_ready: bool,
    /// Publish addresses that are not the Pod's own.
    pub trust_addresses: bool,
    /// The most bytes that the Pods of one namespace may take, no more than all may.
    pub namespace_bytes_max: u64,
    /// The most bytes that all Pods may take.
    pub bytes_max: u64,
    /// Where DNS is served over UDP and TCP, at least one address.
    pub listen: Vec<SocketAddr>,
    /// Where DNS is served encrypted, and by which certificate and key; none where it is not.
    pub encrypted: Option<(Encrypted, Files)>,
    /// Where health, metrics and the API are served.
    pub http: SocketAddr,
    /// The HTTP side is served over TLS, under the certificate of the encrypted transports.
    pub http_tls: bool,
    /// Who may ask, and how much.
    pub clients: Clients,
    /// Silence of a source after which answers are marked stale.
    pub stale_after: Duration,
    /// Silence of a source after which answers are SERVFAIL; none is never.
    pub max_stale: Option<Duration>,
    /// Where the zone is kept over a restart.
    pub state: Option<State>,
    /// The name server identifier (RFC 5001), up to [`NSID_LEN_MAX`] bytes.
    pub nsid: String,
    /// How long answers go on after SIGTERM.
    pub lame_duck: Duration,
    /// Give up the system calls that serving does not need; none is wherever that can be.
    pub seccomp: Option<bool>,
    /// How log lines are written.
    pub log_format: Format,
    /// What is logged, a filter that [`crate::logging::init`] takes.
    pub log_level: String,
    /// Log every query.
    pub log_queries: bool,
    /// What is allowed but likely not meant, to be logged once.
    pub warnings: Vec<String>,
}

/// Where DNS is served over the encrypted transports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// Over TLS.
    pub tls: Vec<SocketAddr>,
    /// Over HTTP/2, and over HTTP/3 on the UDP port of the same number.
    pub https: Vec<SocketAddr>,
    /// Over QUIC.
    pub quic: Vec<SocketAddr>,
}

/// Where the zone is kept over a restart, and when that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The folder.
    pub folder: PathBuf,
    /// How long a start waits for the cluster first.
    pub wait: Duration,
    /// How long ago the cluster may have been heard of.
    pub age_max: Duration,
}

/// A cluster to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The kubeconfig; none is the usual places, then the Pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; none is its current one.
    pub context: Option<String>,
    /// What is watched of it.
    pub namespaces: Namespaces,
}

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// The one of the kubeconfig's context or of the service account.
    Own,
    /// All of them, in one watch.
    All,
    /// These, each once.
    Named(Vec<Arc<str>>),
}

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

impl Config {
    /// Lays flags over the environment over the file over the defaults, and checks the whole.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(flags: ServeArgs, environment: &Environment) -> Result<Config, ConfigError> {
        let ServeArgs { config, options } = flags.over(environment.options()?);
        let options = match config {
            Some(path) => options.over(file::read(&path)?),
            None => options,
        };
        Config::check(options, environment)
    }

    /// The same, if there is anything to read Pods from.
    ///
    /// # Errors
    /// [`ConfigError::NoSource`]
    pub fn with_source(self) -> Result<Config, ConfigError> {
        if self.manifests.is_empty() && self.kubernetes.is_none() { Err(ConfigError::NoSource) } else { Ok(self) }
    }

    /// Every address that is listened on over TCP.
    pub fn over_tcp(&self) -> Vec<SocketAddr> {
        let encrypted = self.encrypted.iter().flat_map(|(Encrypted { tls, https, .. }, _)| tls.iter().chain(https));
        self.listen.iter().chain([&self.http]).chain(encrypted).copied().collect()
    }

    /// Every address that is listened on over UDP.
    pub fn over_udp(&self) -> Vec<SocketAddr> {
        let encrypted = self.encrypted.iter().flat_map(|(Encrypted { https, quic, .. }, _)| https.iter().chain(quic));
        self.listen.iter().chain(encrypted).copied().collect()
    }

    /// What was typed becomes what it means. Every option is named here, so that none goes unused.
    fn check(options: Options, environment: &Environment) -> Result<Config, ConfigError> {
        let Options {
            zone,
            ns,
            reverse,
            ttl,
            txt_keys,
            zones,
            manifests,
            kubeconfig,
            context,
            namespace,
            all_namespaces,
            publish_not_ready,
            trust_addresses,
            max_registrations_per_namespace,
            max_namespace_bytes,
            max_bytes,
            listen,
            listen_tls,
            listen_https,
            listen_quic,
            tls_cert,
            tls_key,
            http,
            stale_after,
            max_stale,
            state_dir,
            state_wait,
            state_max_age,
            nsid,
            lame_duck,
            allow,
            trusted_client,
            tcp_clients,
            tcp_per_client,
            client_prefix6,
            cookies,
            cookie_secret,
            rrl,
            http_allow,
            http_token,
            http_tls,
            seccomp,
            log_format,
            log_level,
            log_queries,
            profile,
        } = options;

        let mut warnings = Vec::new();
        let zone = value::zone(zone.as_deref().unwrap_or(DEFAULT_ZONE))?;
        let http = canonical(http.unwrap_or(DEFAULT_HTTP));
        let [listen, tls, https, quic] =
            [listen, listen_tls, listen_https, listen_quic].map(|all| all.into_iter().map(canonical).collect());
        let listen = value::listen(listen, http)?;
        let encrypted = Encrypted { tls, https, quic };
        let http_tls = http_tls.unwrap_or(false);
        let encrypted = encrypted::check(encrypted, tls_cert, tls_key, &listen, (http, http_tls))?;
        let clients = clients::check(Typed {
            allow,
            trusted_client,
            tcp_clients,
            tcp_per_client,
            client_prefix6,
            cookies,
            cookie_secret,
            rrl,
            http_allow,
            http_token,
        })?;
        let own_addresses = name_server::own_addresses(environment.pod_ips()?, &listen);
        let name_servers = name_server::read(&ns, &zone, &own_addresses, &mut warnings)?;
        let (stale_after, max_stale) = value::staleness(stale_after, max_stale, &mut warnings)?;
        // A cluster is watched because an option names it, or, where no manifests are given, because this is a Pod.
        let names_cluster = kubeconfig.is_some()
            || context.is_some()
            || !namespace.is_empty()
            || all_namespaces == Some(true)
            || (manifests.is_empty() && environment.is_in_cluster());
        value::gone(max_registrations_per_namespace)?;
        let (namespace_bytes_max, bytes_max) = value::bytes_max(max_namespace_bytes, max_bytes)?;
        let namespaces = value::namespaces(&namespace, all_namespaces.unwrap_or(false))?;

        Ok(Config {
            zone,
            name_servers,
            reverse: value::reverse(&reverse, &mut warnings)?,
            ttl: value::in_range("--ttl", ttl.unwrap_or(DEFAULT_TTL), value::TTL_RANGE)?,
            txt_keys: value::txt_keys(txt_keys)?,
            zones,
            manifests,
            kubernetes: names_cluster.then_some(Kubernetes { kubeconfig, context, namespaces }),
            profiles: profile::read(profile)?,
            publish_not_ready: publish_not_ready.unwrap_or(false),
            trust_addresses: trust_addresses.unwrap_or(false),
            namespace_bytes_max,
            bytes_max,
            listen,
            encrypted,
            http,
            http_tls,
            clients,
            stale_after,
            max_stale,
            state: value::state(state_dir, state_wait, state_max_age)?,
            nsid: value::nsid(nsid, environment)?,
            lame_duck: value::lame_duck(lame_duck.unwrap_or(DEFAULT_LAME_DUCK))?,
            seccomp,
            log_format: log_format.unwrap_or_default(),
            log_level: value::log_level(log_level)?,
            log_queries: log_queries.unwrap_or(false),
            warnings,
        })
    }
}

/// A value of an option that cannot be.
fn refused(option: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { option, message: message.into() }
}
