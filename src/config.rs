//! All options become one checked [`Config`]: from flags, else the environment, else a TOML file, else the default.
//!
//! Nothing else reads the environment. Every refusal names the option and says what to do.

mod clients;
mod defaults;
mod encrypted;
mod environment;
mod error;
mod file;
mod name_server;
mod options;
mod own_pod;
mod profile;
mod size;
mod value;

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
pub use defaults::*;
pub use environment::Environment;
pub use error::ConfigError;
use error::refused;
pub use name_server::NameServer;
pub use options::{Options, ProfileOption, ServeArgs};
pub use own_pod::own_pod;
pub use profile::default_profiles;
pub use size::{ByteSize, NoSize};

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
