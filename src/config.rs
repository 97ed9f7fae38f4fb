//! Turns all options into one checked [`ServeConfig`]. A flag overrides the environment, which overrides the TOML file,
//! which overrides the default.
//!
//! Nothing else reads the environment. Every refusal names the option and says what to write instead.

mod client_limits;
mod config_file;
mod defaults;
mod encrypted_options;
mod environment;
mod error;
mod name_server;
mod options;
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
use crate::server::encrypted::certificate::CertificateFiles;
use crate::server::listen::canonical;
use crate::snapshot::TxtKeys;
use crate::source::WatchProfile;

use client_limits::ClientOptions;
pub use client_limits::{ClientLimits, CookieSecret};
pub use defaults::*;
pub use environment::Environment;
pub use error::ConfigError;
use error::refused;
pub use name_server::NameServer;
pub(crate) use options::list_part;
pub use options::{Options, ServeArgs};
pub use size::{ByteSize, InvalidSize};

/// The kernel's copy of the host name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// It leaves room for the longest alias of a service.
    pub zone: Name,
    /// At least one, each once.
    pub name_servers: Vec<NameServer>,
    /// Networks that reverse names are served for: host bits are zero, and none is within another.
    pub reverse: Vec<IpNet>,
    /// The TTL of every record, in seconds.
    pub ttl: u32,
    /// The metadata keys that TXT records show.
    pub txt_keys: TxtKeys,
    /// The folder of static zones.
    pub zones: Option<PathBuf>,
    /// Files and folders to read Pods from; `-` is standard input.
    pub manifests: Vec<PathBuf>,
    pub kubernetes: Option<Kubernetes>,
    /// At least one, with distinct names.
    pub profiles: Vec<WatchProfile>,
    /// Also publish Pods that are not ready.
    pub publish_not_ready: bool,
    /// Also publish addresses that are not the Pod's own.
    pub trust_addresses: bool,
    /// The most bytes that the Pods of one namespace may take: at most `bytes_max`.
    pub namespace_bytes_max: u64,
    /// The most bytes that all Pods may take.
    pub bytes_max: u64,
    /// The addresses of DNS over UDP and TCP, at least one.
    pub listen: Vec<SocketAddr>,
    /// The addresses of the encrypted transports, and their certificate and key. `None` if there are none.
    pub encrypted: Option<(EncryptedOptions, CertificateFiles)>,
    /// The address of health, metrics and the API.
    pub http: SocketAddr,
    /// Serve `http` over TLS, with the certificate of the encrypted transports.
    pub http_tls: bool,
    /// Which clients may ask, and the limits of each.
    pub clients: ClientLimits,
    /// The time since the Pods were last confirmed complete after which answers are marked stale.
    pub stale_after: Duration,
    /// The same after which answers become SERVFAIL. `None`: never.
    pub max_stale: Option<Duration>,
    /// Where the zone is saved for the next start.
    pub state: Option<StateOptions>,
    /// The name server identifier (RFC 5001), up to [`NSID_LEN_MAX`] bytes.
    pub nsid: String,
    /// How long the server goes on answering after SIGTERM.
    pub lame_duck: Duration,
    /// Drop the system calls that serving does not need. `None`: drop them unless the configuration needs them.
    pub seccomp: Option<bool>,
    pub log_format: Format,
    /// A filter that [`crate::logging::init`] accepts.
    pub log_level: String,
    pub log_queries: bool,
    /// Allowed but probably unintended settings. They are logged once.
    pub warnings: Vec<String>,
}

/// The addresses of the encrypted transports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedOptions {
    pub tls: Vec<SocketAddr>,
    /// HTTP/2, and HTTP/3 on the UDP port of the same number.
    pub https: Vec<SocketAddr>,
    pub quic: Vec<SocketAddr>,
}

/// Where the zone is saved, and when a saved zone is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateOptions {
    pub folder: PathBuf,
    /// How long a start waits for the cluster before it serves a saved zone.
    pub wait: Duration,
    /// How old a saved zone may be.
    pub age_max: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// `None`: `$KUBECONFIG`, `~/.kube/config`, or the Pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// `None`: the kubeconfig's current context.
    pub context: Option<String>,
    pub namespaces: Namespaces,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// The namespace of the kubeconfig's context or of the service account.
    Own,
    /// All namespaces, in one watch.
    All,
    /// These namespaces, each once.
    Named(Vec<Arc<str>>),
}

impl ServeConfig {
    /// Merges flags, environment, file and defaults, and checks the result.
    ///
    /// # Errors
    /// The first error that it finds.
    pub fn load(flags: ServeArgs, environment: &Environment) -> Result<ServeConfig, ConfigError> {
        let ServeArgs { config, options } = flags.over(environment.options()?);
        let options = match config {
            Some(path) => options.over(config_file::read(&path)?),
            None => options,
        };
        ServeConfig::check(options, environment)
    }

    /// Returns the configuration if it has a source of Pods.
    ///
    /// # Errors
    /// [`ConfigError::NoSource`]
    pub fn with_source(self) -> Result<ServeConfig, ConfigError> {
        if self.manifests.is_empty() && self.kubernetes.is_none() { Err(ConfigError::NoSource) } else { Ok(self) }
    }

    /// Every TCP address that the server listens on.
    pub fn over_tcp(&self) -> Vec<SocketAddr> {
        let encrypted =
            self.encrypted.iter().flat_map(|(EncryptedOptions { tls, https, .. }, _)| tls.iter().chain(https));
        self.listen.iter().chain([&self.http]).chain(encrypted).copied().collect()
    }

    /// Every UDP address that the server listens on.
    pub fn over_udp(&self) -> Vec<SocketAddr> {
        let encrypted =
            self.encrypted.iter().flat_map(|(EncryptedOptions { https, quic, .. }, _)| https.iter().chain(quic));
        self.listen.iter().chain(encrypted).copied().collect()
    }

    /// Checks each option. It destructures `Options` by field name, so the compiler reports an option that it does not
    /// use.
    fn check(options: Options, environment: &Environment) -> Result<ServeConfig, ConfigError> {
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
            profiles,
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
        let encrypted = EncryptedOptions { tls, https, quic };
        let http_tls = http_tls.unwrap_or(false);
        let encrypted = encrypted_options::check(encrypted, tls_cert, tls_key, &listen, (http, http_tls))?;
        let clients = client_limits::check(ClientOptions {
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
        // A cluster is watched if an option names it, or by default if this is a Pod and no manifests are given.
        let names_cluster = kubeconfig.is_some()
            || context.is_some()
            || !namespace.is_empty()
            || all_namespaces == Some(true)
            || (manifests.is_empty() && environment.is_in_cluster());
        value::refuse_removed(max_registrations_per_namespace)?;
        let (namespace_bytes_max, bytes_max) = value::bytes_max(max_namespace_bytes, max_bytes)?;
        let namespaces = value::namespaces(&namespace, all_namespaces.unwrap_or(false))?;

        Ok(ServeConfig {
            zone,
            name_servers,
            reverse: value::reverse(&reverse, &mut warnings)?,
            ttl: value::in_range("--ttl", ttl.unwrap_or(DEFAULT_TTL), value::TTL_RANGE)?,
            txt_keys: value::txt_keys(txt_keys)?,
            zones,
            manifests,
            kubernetes: names_cluster.then_some(Kubernetes { kubeconfig, context, namespaces }),
            profiles: profile::read(profile, &profiles)?,
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
