//! The options as the operator writes them: the same keys as flags, in the environment and in the file.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::ArgAction;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::size::ByteSize;
use super::{DEFAULT_LISTEN, profile};
use crate::logging::Format;
use crate::registration::ProfileTable;

/// The options of `callsign serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ServeArgs {
    /// A TOML file with any of these options, under the same names: `zone = "rpc.cluster.local."`. The environment
    /// (CALLSIGN_ZONE) overrides the file, and a flag overrides both
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub options: Options,
}

/// Every option that flags, environment and file share. An absent option is `None` or empty, so that layers can be
/// merged. Parsing has checked only the form of numbers and socket addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// The zone that the Pods' names are in [default: rpc.cluster.local.]
    #[arg(long, value_name = "NAME", help_heading = "Zone")]
    pub zone: Option<String>,

    /// A name server of the zone; repeats. A single label is relative to the zone, any other name is absolute. Repeat
    /// NAME=ADDRESS for several addresses [default: `ns` below the zone, at those POD_IPS that --listen serves, else
    /// at the listen addresses]
    #[arg(long, value_name = "NAME[=ADDRESS]", action = ArgAction::Append, help_heading = "Zone")]
    #[serde(deserialize_with = "list")]
    pub ns: Vec<String>,

    /// A Pod network to serve reverse names for, such as 10.244.0.0/16 or fd00:10:244::/56; repeats
    #[arg(long, value_name = "CIDR", action = ArgAction::Append, help_heading = "Zone")]
    #[serde(deserialize_with = "list")]
    pub reverse: Vec<String>,

    /// How long a resolver may cache a record, 1 to 86400 [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Zone")]
    pub ttl: Option<u32>,

    /// The metadata keys that TXT records show: a comma-separated list, or `all`
    /// [default: weight,serialization,release,region,zone,environment,tag]
    #[arg(long, value_name = "LIST", action = ArgAction::Append, value_delimiter = ',', value_parser = list_part,
        help_heading = "Zone")]
    #[serde(deserialize_with = "list")]
    pub txt_keys: Vec<String>,

    /// A folder of static zones, each an RFC 1035 file `<origin>.zone`
    #[arg(long, value_name = "DIR", help_heading = "Zone")]
    pub zones: Option<PathBuf>,

    /// Files to read Pods from: YAML or JSON, a folder of them, or `-` for standard input; repeats
    #[arg(long, value_name = "PATH", action = ArgAction::Append, help_heading = "Source")]
    #[serde(deserialize_with = "list")]
    pub manifests: Vec<PathBuf>,

    /// Watch the cluster of this kubeconfig [default: KUBECONFIG, ~/.kube/config, or the Pod's own cluster]
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", help_heading = "Source")]
    pub context: Option<String>,

    /// A namespace to watch; repeats [default: the context's, or the service account's]
    #[arg(long, value_name = "NAME", action = ArgAction::Append, help_heading = "Source")]
    #[serde(deserialize_with = "list")]
    pub namespace: Vec<String>,

    /// Watch all namespaces
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Source")]
    pub all_namespaces: Option<bool>,

    /// Which presets find Pods, in this order: app, dubbo, kratos, micro, labels. They come after the file's `[[profile]]`
    /// tables [default: app,dubbo, or the file's tables alone]
    #[arg(long, value_name = "LIST", action = ArgAction::Append, value_delimiter = ',', value_parser = list_part,
        help_heading = "Source")]
    #[serde(deserialize_with = "list")]
    pub profiles: Vec<String>,

    /// Also publish Pods that are not ready. Terminating and finished Pods are never published
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Source")]
    pub publish_not_ready: Option<bool>,

    /// Also publish addresses that are not the registering Pod's own: any Pod can then take the traffic of another
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Source")]
    pub trust_addresses: Option<bool>,

    /// The most memory that the Pods of one namespace may take; its oldest Pods are admitted first [default: 544MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Source")]
    pub max_namespace_bytes: Option<ByteSize>,

    /// The most memory that all Pods may take; the namespace that takes the most gives way first [default: 576MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Source")]
    pub max_bytes: Option<ByteSize>,

    /// Removed: replaced by `--max-namespace-bytes`
    #[arg(long, value_name = "COUNT", hide = true)]
    pub max_registrations_per_namespace: Option<u32>,

    /// The address of DNS over UDP and TCP; repeats. `[::]` serves IPv4 and IPv6, here and for every other listener. A
    /// listener at an IPv4 address and the same port takes over IPv4 [default: 127.0.0.1:5354, which needs no root]
    #[arg(long, value_name = "ADDR:PORT", action = ArgAction::Append, value_parser = socket, help_heading = "Serving")]
    #[serde(deserialize_with = "sockets")]
    pub listen: Vec<SocketAddr>,

    /// The address of DNS over TLS (RFC 7858), usually port 853; repeats [default: none]
    #[arg(long, value_name = "ADDR:PORT", action = ArgAction::Append, value_parser = socket, help_heading = "Serving")]
    #[serde(deserialize_with = "sockets")]
    pub listen_tls: Vec<SocketAddr>,

    /// The address of DNS over HTTPS (RFC 8484) at /dns-query, usually port 443: HTTP/2 over TCP and HTTP/3 over UDP;
    /// repeats [default: none]
    #[arg(long, value_name = "ADDR:PORT", action = ArgAction::Append, value_parser = socket, help_heading = "Serving")]
    #[serde(deserialize_with = "sockets")]
    pub listen_https: Vec<SocketAddr>,

    /// The address of DNS over QUIC (RFC 9250), usually port 853; repeats [default: none]
    #[arg(long, value_name = "ADDR:PORT", action = ArgAction::Append, value_parser = socket, help_heading = "Serving")]
    #[serde(deserialize_with = "sockets")]
    pub listen_quic: Vec<SocketAddr>,

    /// The certificate chain for TLS, HTTPS and QUIC, in PEM, the server's own certificate first; reloaded when it
    /// changes
    #[arg(long, value_name = "FILE", help_heading = "Serving")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM; reloaded when it changes
    #[arg(long, value_name = "FILE", help_heading = "Serving")]
    pub tls_key: Option<PathBuf>,

    /// The address of health, metrics and the API [default: 127.0.0.1:8053]
    #[arg(long, value_name = "ADDR:PORT", value_parser = socket, help_heading = "Serving")]
    #[serde(deserialize_with = "one_socket")]
    pub http: Option<SocketAddr>,

    /// Mark answers stale (EDE 3) if the Pods were last confirmed complete this long ago [default: 180]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Serving")]
    pub stale_after: Option<u32>,

    /// Answer SERVFAIL if the Pods were last confirmed complete this long ago [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Serving")]
    pub max_stale: Option<u32>,

    /// A folder to save the zone in, for a start while the API server is away [default: none]
    #[arg(long, value_name = "DIR", help_heading = "Serving")]
    pub state_dir: Option<PathBuf>,

    /// How long a start waits for the cluster before it serves the zone of --state-dir, marked stale [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Serving")]
    pub state_wait: Option<u32>,

    /// How old the saved zone may be: the time since the cluster was last heard from [default: 86400]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Serving")]
    pub state_max_age: Option<u32>,

    /// The text that distinguishes this server from its replicas, for clients that ask (RFC 5001) [default: the host
    /// name]
    #[arg(long, value_name = "TEXT", help_heading = "Serving")]
    pub nsid: Option<String>,

    /// How long to go on answering after SIGTERM, while /readyz already fails [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Serving")]
    pub lame_duck: Option<u32>,

    /// Answer DNS only to these networks, such as 10.244.0.0/16, and refuse all others; repeats [default: all
    /// networks]
    #[arg(long, value_name = "CIDR", action = ArgAction::Append, help_heading = "Clients")]
    #[serde(deserialize_with = "list")]
    pub allow: Vec<String>,

    /// Exempt these networks from the limits per client: CoreDNS and node-local-dns ask for many clients; repeats
    #[arg(long, value_name = "CIDR", action = ArgAction::Append, help_heading = "Clients")]
    #[serde(deserialize_with = "list")]
    pub trusted_client: Vec<String>,

    /// The most connections at once, per address of DNS over TCP, TLS, HTTPS or QUIC [default: 1024]
    #[arg(long, value_name = "COUNT", help_heading = "Clients")]
    pub tcp_clients: Option<u32>,

    /// The most of these connections per client: an IPv4 address, or an IPv6 prefix as long as --client-prefix6 says
    /// [default: 128]
    #[arg(long, value_name = "COUNT", help_heading = "Clients")]
    pub tcp_per_client: Option<u32>,

    /// How many leading bits of an IPv6 address identify a client, 1 to 128, for DNS over TCP, TLS, HTTPS and QUIC and
    /// for --http. Write 128 if all Pods of a node share a /64 [default: 64]
    #[arg(long, value_name = "BITS", help_heading = "Clients")]
    pub client_prefix6: Option<u32>,

    /// Send DNS cookies (RFC 7873): a client with a valid cookie has proved its address, and --rrl does not limit it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Clients")]
    pub cookies: Option<bool>,

    /// The cookies' secrets, which replicas share: 32 hexadecimal digits a line, the one in use first; reloaded when
    /// it changes [default: a random secret of this process]
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    pub cookie_secret: Option<PathBuf>,

    /// Limit UDP replies to each /24 or /56, per second, against reflection attacks; trusted clients and clients with
    /// a valid cookie are exempt [default: no limit]
    #[arg(long, value_name = "RATE", help_heading = "Clients")]
    pub rrl: Option<u32>,

    /// Accept connections to --http only from these networks; repeats [default: all networks]
    #[arg(long, value_name = "CIDR", action = ArgAction::Append, help_heading = "Clients")]
    #[serde(deserialize_with = "list")]
    pub http_allow: Vec<String>,

    /// Require this file's token at --http (`Authorization: Bearer`), except for /livez and /readyz; reloaded when it
    /// changes
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    pub http_token: Option<PathBuf>,

    /// Serve --http over TLS, with --tls-cert and --tls-key
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Clients")]
    pub http_tls: Option<bool>,

    /// After the sockets are bound, drop all system calls that serving does not need [default: true, except if the
    /// kubeconfig's credentials come from a program]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Serving")]
    pub seccomp: Option<bool>,

    /// The format of log lines, which go to standard error [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Logs")]
    pub log_format: Option<Format>,

    /// error, warn, info, debug or trace, or a filter such as `callsign=debug,kube_client=info` [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Logs")]
    pub log_level: Option<String>,

    /// Log each query that gets a reply
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        hide_possible_values = true, help_heading = "Logs")]
    pub log_queries: Option<bool>,

    /// `[[profile]]` tables, only in the file. Without `profiles` they replace the default ones.
    #[arg(skip)]
    #[serde(deserialize_with = "profile::tables")]
    pub profile: Vec<ProfileTable>,
}

impl ServeArgs {
    pub fn over(self, lower: ServeArgs) -> ServeArgs {
        ServeArgs { config: self.config.or(lower.config), options: self.options.over(lower.options) }
    }
}

impl Options {
    /// Fills the absent options from a lower layer. A list replaces the lower list. The namespaces are one choice:
    /// names override a lower `all-namespaces`, and the reverse.
    pub fn over(self, mut lower: Options) -> Options {
        if !self.namespace.is_empty() {
            lower.all_namespaces = None;
        }
        if self.all_namespaces == Some(true) {
            lower.namespace.clear();
        }
        Options {
            zone: self.zone.or(lower.zone),
            ns: list_over(self.ns, lower.ns),
            reverse: list_over(self.reverse, lower.reverse),
            ttl: self.ttl.or(lower.ttl),
            txt_keys: list_over(self.txt_keys, lower.txt_keys),
            zones: self.zones.or(lower.zones),
            manifests: list_over(self.manifests, lower.manifests),
            kubeconfig: self.kubeconfig.or(lower.kubeconfig),
            context: self.context.or(lower.context),
            namespace: list_over(self.namespace, lower.namespace),
            all_namespaces: self.all_namespaces.or(lower.all_namespaces),
            profiles: list_over(self.profiles, lower.profiles),
            publish_not_ready: self.publish_not_ready.or(lower.publish_not_ready),
            trust_addresses: self.trust_addresses.or(lower.trust_addresses),
            max_registrations_per_namespace: self
                .max_registrations_per_namespace
                .or(lower.max_registrations_per_namespace),
            max_namespace_bytes: self.max_namespace_bytes.or(lower.max_namespace_bytes),
            max_bytes: self.max_bytes.or(lower.max_bytes),
            listen: list_over(self.listen, lower.listen),
            listen_tls: list_over(self.listen_tls, lower.listen_tls),
            listen_https: list_over(self.listen_https, lower.listen_https),
            listen_quic: list_over(self.listen_quic, lower.listen_quic),
            tls_cert: self.tls_cert.or(lower.tls_cert),
            tls_key: self.tls_key.or(lower.tls_key),
            http: self.http.or(lower.http),
            stale_after: self.stale_after.or(lower.stale_after),
            max_stale: self.max_stale.or(lower.max_stale),
            state_dir: self.state_dir.or(lower.state_dir),
            state_wait: self.state_wait.or(lower.state_wait),
            state_max_age: self.state_max_age.or(lower.state_max_age),
            nsid: self.nsid.or(lower.nsid),
            lame_duck: self.lame_duck.or(lower.lame_duck),
            allow: list_over(self.allow, lower.allow),
            trusted_client: list_over(self.trusted_client, lower.trusted_client),
            tcp_clients: self.tcp_clients.or(lower.tcp_clients),
            tcp_per_client: self.tcp_per_client.or(lower.tcp_per_client),
            client_prefix6: self.client_prefix6.or(lower.client_prefix6),
            cookies: self.cookies.or(lower.cookies),
            cookie_secret: self.cookie_secret.or(lower.cookie_secret),
            rrl: self.rrl.or(lower.rrl),
            http_allow: list_over(self.http_allow, lower.http_allow),
            http_token: self.http_token.or(lower.http_token),
            http_tls: self.http_tls.or(lower.http_tls),
            seccomp: self.seccomp.or(lower.seccomp),
            log_format: self.log_format.or(lower.log_format),
            log_level: self.log_level.or(lower.log_level),
            log_queries: self.log_queries.or(lower.log_queries),
            profile: list_over(self.profile, lower.profile),
        }
    }
}

fn list_over<T>(list: Vec<T>, lower: Vec<T>) -> Vec<T> {
    if list.is_empty() { lower } else { list }
}

/// The parts of a comma-separated list, as in the environment and in a TOML string.
pub(super) fn split_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// A part of a comma-separated list of the command line.
pub(crate) fn list_part(text: &str) -> Result<String, Infallible> {
    Ok(text.trim().to_owned())
}

/// Reads a TOML array of strings, or one string with commas.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct ListVisitor<T>(PhantomData<T>);

    impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for ListVisitor<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an array of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            split_list(text).map(parse).collect()
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(text) = items.next_element::<String>()? {
                list.push(parse(&text)?);
            }
            Ok(list)
        }
    }

    fn parse<T: FromStr<Err: fmt::Display>, E: de::Error>(text: &str) -> Result<T, E> {
        text.parse().map_err(|error| E::custom(format_args!("{text:?}: {error}")))
    }

    deserializer.deserialize_any(ListVisitor(PhantomData))
}

/// A socket address, or what to write instead.
fn socket(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    text.parse().map_err(|_| match text.parse::<IpAddr>() {
        Ok(address) => {
            format!("write a port behind the address, such as {}", SocketAddr::new(address, DEFAULT_LISTEN.port()))
        }
        Err(_) if port.parse::<u16>().is_ok() => {
            format!("write an address before the port, such as 127.0.0.1:{port}, or 0.0.0.0:{port} for all addresses")
        }
        Err(_) if text.rsplit_once(':').is_some_and(|(address, _)| address.parse::<Ipv4Addr>().is_ok()) => {
            "the port is not a number from 0 to 65535".to_owned()
        }
        Err(_) => format!("write one such as {DEFAULT_LISTEN}: write an IP address, because names are not looked up"),
    })
}

/// A number of seconds, or what to write instead.
fn seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "write a whole number of seconds, such as 5".to_owned())
}

/// A socket address of a TOML file.
struct WrittenSocket(SocketAddr);

impl FromStr for WrittenSocket {
    type Err = String;

    fn from_str(text: &str) -> Result<WrittenSocket, String> {
        socket(text).map(WrittenSocket)
    }
}

fn sockets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    Ok(list(deserializer)?.into_iter().map(|WrittenSocket(address)| address).collect())
}

fn one_socket<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    socket(&text).map(Some).map_err(|error| de::Error::custom(format_args!("{text:?}: {error}")))
}
