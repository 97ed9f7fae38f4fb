//! Options of clients: which may ask, and the limits of each.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ipnet::IpNet;

use super::{ConfigError, refused};
use crate::server::clients::permits;

/// Connections. Each takes up to some 100 KiB and a file descriptor.
const CONNECTIONS_RANGE: RangeInclusive<u32> = 1..=1_000_000;

/// Replies a second. 0 would answer nobody, and a larger rate than this limits nobody.
const RATE_RANGE: RangeInclusive<u32> = 1..=1_000_000;

/// The leading bits of an IPv6 address that identify a client. With 0 all clients would be one.
const PREFIX6_RANGE: RangeInclusive<u32> = 1..=128;

/// The most networks in a list. Each is compared with every client's address.
const NETWORKS_MAX: usize = 64;

/// The limits of clients, of DNS and of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// The networks that DNS answers. Empty: all networks.
    pub allowed: Vec<IpNet>,
    /// The networks that are exempt from the limits per client.
    pub trusted: Vec<IpNet>,
    /// The most DNS connections at once, per listening address.
    pub connections_max: u32,
    /// The most of them per client.
    pub connections_per_client_max: u32,
    /// How many leading bits of an IPv6 address identify a client, of DNS and of HTTP.
    pub prefix6: u8,
    /// The source of the DNS cookies' secrets. `None`: no cookies.
    pub cookies: Option<CookieSecret>,
    /// The most UDP replies a second per network.
    pub rate: Option<NonZeroU32>,
    /// The networks that may connect to the HTTP side. Empty: all networks.
    pub http_allowed: Vec<IpNet>,
    /// The file of the token that the HTTP side requires.
    pub http_token: Option<PathBuf>,
}

/// The source of the DNS cookies' secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieSecret {
    /// A random secret, made at the start.
    Own,
    /// A file that replicas share.
    File(PathBuf),
}

/// The options before they are checked.
pub(super) struct ClientOptions {
    pub allow: Vec<String>,
    pub trusted_client: Vec<String>,
    pub tcp_clients: Option<u32>,
    pub tcp_per_client: Option<u32>,
    pub client_prefix6: Option<u32>,
    pub cookies: Option<bool>,
    pub cookie_secret: Option<PathBuf>,
    pub rrl: Option<u32>,
    pub http_allow: Vec<String>,
    pub http_token: Option<PathBuf>,
}

pub(super) fn check(options: ClientOptions) -> Result<ClientLimits, ConfigError> {
    let ClientOptions {
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
    } = options;
    let connections_max = in_range("--tcp-clients", tcp_clients.unwrap_or(permits::ALL_MAX), CONNECTIONS_RANGE)?;
    let per_client = tcp_per_client.unwrap_or(permits::PER_CLIENT_MAX.min(connections_max));
    let prefix6 = in_range("--client-prefix6", client_prefix6.unwrap_or(permits::PREFIX6.into()), PREFIX6_RANGE)?;
    let cookies = match (cookies, cookie_secret) {
        (Some(false), Some(_)) => {
            return Err(refused("--cookie-secret", "it has no effect with --cookies=false; remove one of them"));
        }
        (None | Some(true), Some(file)) => Some(CookieSecret::File(file)),
        (Some(true), None) => Some(CookieSecret::Own),
        (None | Some(false), None) => None,
    };
    let rate = rrl.map(|rate| in_range("--rrl", rate, RATE_RANGE)).transpose()?;
    Ok(ClientLimits {
        allowed: networks("--allow", &allow)?,
        trusted: networks("--trusted-client", &trusted_client)?,
        connections_max,
        connections_per_client_max: in_range("--tcp-per-client", per_client, 1..=connections_max)?,
        prefix6: u8::try_from(prefix6).unwrap_or(permits::PREFIX6), // the range fits
        cookies,
        rate: rate.and_then(NonZeroU32::new),
        http_allowed: networks("--http-allow", &http_allow)?,
        http_token,
    })
}

fn in_range(option: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<u32, ConfigError> {
    let message = || format!("{value} is not from {} to {}", range.start(), range.end());
    range.contains(&value).then_some(value).ok_or_else(|| refused(option, message()))
}

/// Parses networks. A single address is a network of one.
fn networks(option: &'static str, texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    if texts.len() > NETWORKS_MAX {
        return Err(refused(option, format!("{} networks, at most {NETWORKS_MAX}", texts.len())));
    }
    let read = |text: &String| {
        let network = text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        let network = network.map(|network: IpNet| network.trunc());
        network.map_err(|_| {
            refused(option, format!("{text:?} is not a network; write 10.244.0.0/16, fd00::/8 or 10.96.0.10"))
        })
    };
    texts.iter().map(read).collect()
}
