//! Checks single values. Each becomes its type, or an error that says what to write instead.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::NSID_LEN_MAX;
use super::size::ByteSize;
use super::{ConfigError, Environment, Namespaces, StateOptions, refused};
use super::{
    DEFAULT_BYTES_MAX, DEFAULT_LOG_LEVEL, DEFAULT_NAMESPACE_BYTES_MAX, DEFAULT_STALE_AFTER, DEFAULT_STATE_MAX_AGE,
    DEFAULT_STATE_WAIT, DEFAULT_TXT_KEYS,
};
use crate::dns::Name;
use crate::logging;
use crate::name::ZONE_LEN_MAX;
use crate::object_name::is_namespace;
use crate::snapshot::TxtKeys;
use crate::source::kube::QUIET_MAX;

/// In seconds. 0 would send every lookup to the server; after more than a day clients would miss every change. RFC
/// 2181 §8 allows more.
pub(super) const TTL_RANGE: RangeInclusive<u32> = 1..=86_400;

/// Seconds of age, up to a year. A longer value probably means never.
const STALE_RANGE: RangeInclusive<u32> = 1..=31_536_000;

/// In seconds, up to ten minutes: a start that takes longer has failed.
const STATE_WAIT_RANGE: RangeInclusive<u32> = 0..=600;

/// In seconds, up to an hour: the kubelet kills a Pod long before.
const LAME_DUCK_RANGE: RangeInclusive<u32> = 0..=3600;

/// The smallest quota of Pods: what the annotations of one Pod may take.
const BYTES_MAX_MIN: u64 = 4 * 1024 * 1024;

/// The most listening addresses of each kind: enough for one per address of a host with many.
pub(super) const LISTEN_MAX: usize = 64;

/// The most namespaces by name: each needs a watch per profile, and `--all-namespaces` needs only one.
const NAMESPACES_MAX: usize = 256;

/// The most metadata keys by name: more than fit into a TXT record.
const TXT_KEYS_MAX: usize = 256;

/// The most reverse networks: each can become up to 128 zones.
const REVERSE_MAX: usize = 256;

/// Checks the zone: below the root, with room for every alias, and of bytes that clients accept in a host name.
pub(super) fn zone(text: &str) -> Result<Name, ConfigError> {
    let wrong = |why: &dyn std::fmt::Display| refused("--zone", format!("{text:?} is not a zone name: {why}"));
    let zone: Name = text.parse().map_err(|error| wrong(&error))?;
    if zone.label_count() == 0 {
        return Err(wrong(&"it is the root; write a name such as rpc.cluster.local."));
    }
    if zone.wire().len() > ZONE_LEN_MAX {
        let why = format!(
            "it takes {} bytes on the wire; at most {ZONE_LEN_MAX} leave room for every service's name",
            zone.wire().len()
        );
        return Err(wrong(&why));
    }
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !zone.labels().flatten().all(is_plain) {
        return Err(wrong(&"clients accept only letters, digits, - and _ in a label"));
    }
    Ok(zone)
}

/// Checks the addresses of DNS: each once, and none that HTTP uses.
pub(super) fn listen(addresses: Vec<SocketAddr>, http: SocketAddr) -> Result<Vec<SocketAddr>, ConfigError> {
    if addresses.is_empty() {
        return listen(vec![super::DEFAULT_LISTEN], http);
    }
    if addresses.len() > LISTEN_MAX {
        return Err(refused("--listen", format!("{} addresses, at most {LISTEN_MAX}", addresses.len())));
    }
    for (i, at) in addresses.iter().enumerate().filter(|(_, at)| at.port() != 0) {
        if addresses.iter().take(i).any(|other| other == at) {
            return Err(refused("--listen", format!("{at} is given twice")));
        }
        if *at == http {
            return Err(refused("--listen", format!("{at} is also the address of --http; give one another port")));
        }
    }
    Ok(addresses)
}

pub(super) fn in_range(option: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<u32, ConfigError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(refused(option, format!("{value} is not from {} to {} seconds", range.start(), range.end())))
}

/// Refuses an option that was removed.
pub(super) fn refuse_removed(max_registrations_per_namespace: Option<u32>) -> Result<(), ConfigError> {
    let is_absent = max_registrations_per_namespace.is_none();
    let message = "the quota of a namespace is in bytes now; remove this option, or write --max-namespace-bytes 256MiB";
    is_absent.then_some(()).ok_or_else(|| refused("--max-registrations-per-namespace", message))
}

/// The quotas of one namespace and of all Pods, in bytes.
pub(super) fn bytes_max(namespace: Option<ByteSize>, all: Option<ByteSize>) -> Result<(u64, u64), ConfigError> {
    let all = all.map_or(DEFAULT_BYTES_MAX, |ByteSize(bytes)| bytes);
    let is_given = namespace.is_some();
    let namespace = namespace.map_or_else(|| DEFAULT_NAMESPACE_BYTES_MAX.min(all), |ByteSize(bytes)| bytes);
    for (option, bytes) in [("--max-bytes", all), ("--max-namespace-bytes", namespace)] {
        if bytes < BYTES_MAX_MIN {
            return Err(refused(option, "a single Pod may need 4MiB; write 4MiB or more"));
        }
    }
    if is_given && namespace > all {
        return Err(refused(
            "--max-namespace-bytes",
            "it is larger than the quota of all namespaces; raise --max-bytes too",
        ));
    }
    Ok((namespace, all))
}

/// How long the server goes on answering after SIGTERM.
pub(super) fn lame_duck(seconds: u32) -> Result<Duration, ConfigError> {
    in_range("--lame-duck", seconds, LAME_DUCK_RANGE).map(|seconds| Duration::from_secs(seconds.into()))
}

/// The ages after which answers are marked stale and become SERVFAIL.
pub(super) fn staleness(
    stale_after: Option<u32>,
    max_stale: Option<u32>,
    warnings: &mut Vec<String>,
) -> Result<(Duration, Option<Duration>), ConfigError> {
    let stale_after = in_range("--stale-after", stale_after.unwrap_or(DEFAULT_STALE_AFTER), STALE_RANGE)?;
    let quiet = QUIET_MAX.as_secs();
    if u64::from(stale_after) < quiet {
        warnings.push(format!(
            "--stale-after {stale_after}: a quiet cluster sends nothing for up to {quiet} s, so answers will often be \
             marked stale"
        ));
    }
    if let Some(max_stale) = max_stale {
        in_range("--max-stale", max_stale, STALE_RANGE)?;
        if max_stale < stale_after {
            let message = format!(
                "{max_stale} is less than --stale-after {stale_after}; answers are marked stale before they become SERVFAIL"
            );
            return Err(refused("--max-stale", message));
        }
    }
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Ok((seconds(stale_after), max_stale.map(seconds)))
}

/// Where the zone is saved for the next start.
pub(super) fn state(
    folder: Option<PathBuf>,
    wait: Option<u32>,
    age_max: Option<u32>,
) -> Result<Option<StateOptions>, ConfigError> {
    let wait_s = in_range("--state-wait", wait.unwrap_or(DEFAULT_STATE_WAIT), STATE_WAIT_RANGE)?;
    let age_max_s = in_range("--state-max-age", age_max.unwrap_or(DEFAULT_STATE_MAX_AGE), STALE_RANGE)?;
    let is_said = wait.map(|_| "--state-wait").or(age_max.map(|_| "--state-max-age"));
    match (folder, is_said) {
        (None, Some(option)) => {
            Err(refused(option, "it has no effect without --state-dir; give --state-dir too, or remove this option"))
        }
        (folder, _) => Ok(folder.map(|folder| StateOptions {
            folder,
            wait: Duration::from_secs(wait_s.into()),
            age_max: Duration::from_secs(age_max_s.into()),
        })),
    }
}

/// Networks with their host bits cleared, none within another.
pub(super) fn reverse(options: &[String], warnings: &mut Vec<String>) -> Result<Vec<IpNet>, ConfigError> {
    if options.len() > REVERSE_MAX {
        return Err(refused("--reverse", format!("{} networks, at most {REVERSE_MAX}", options.len())));
    }
    let mut networks = Vec::with_capacity(options.len());
    for option in options {
        let network: IpNet = option.parse().map_err(|_| {
            refused("--reverse", format!("{option:?} is not a network; write 10.244.0.0/16 or fd00:10:244::/56"))
        })?;
        if network.prefix_len() == 0 {
            let message = format!("{option:?} contains every address; give the Pods' networks");
            return Err(refused("--reverse", message));
        }
        networks.push(network.trunc());
    }
    networks.sort();
    networks.dedup();
    let all = networks.clone();
    networks.retain(|network| {
        let holder = all.iter().find(|other| *other != network && other.contains(network));
        if let Some(holder) = holder {
            warnings.push(format!("--reverse {network} is within {holder} and adds nothing"));
        }
        holder.is_none()
    });
    Ok(networks)
}

/// The metadata keys that TXT records show.
pub(super) fn txt_keys(keys: Vec<String>) -> Result<TxtKeys, ConfigError> {
    if keys.is_empty() {
        return Ok(TxtKeys::Only(DEFAULT_TXT_KEYS.map(str::to_owned).to_vec()));
    }
    let keys: Vec<String> = keys.iter().map(|key| key.trim().to_owned()).collect();
    if keys.iter().any(|key| key == "all") {
        let is_alone = keys.len() == 1;
        return is_alone.then_some(TxtKeys::All).ok_or_else(|| refused("--txt-keys", "`all` must be the only value"));
    }
    if keys.len() > TXT_KEYS_MAX {
        return Err(refused("--txt-keys", format!("{} keys, at most {TXT_KEYS_MAX}; write all", keys.len())));
    }
    let is_plain = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'='; // RFC 6763 §6.4
    match keys.iter().find(|key| key.is_empty() || !key.bytes().all(is_plain)) {
        Some(key) => Err(refused("--txt-keys", format!("{key:?} is not a key; write printable ASCII without ="))),
        None => Ok(TxtKeys::Only(keys)),
    }
}

pub(super) fn namespaces(names: &[String], all: bool) -> Result<Namespaces, ConfigError> {
    match (names, all) {
        ([], false) => return Ok(Namespaces::Own),
        ([], true) => return Ok(Namespaces::All),
        (_, true) => return Err(refused("--namespace", "it contradicts --all-namespaces; give one of them")),
        (names, false) if names.len() > NAMESPACES_MAX => {
            let message = format!("{} names, at most {NAMESPACES_MAX}; use --all-namespaces", names.len());
            return Err(refused("--namespace", message));
        }
        _ => {}
    }
    let mut named: Vec<Arc<str>> = Vec::with_capacity(names.len());
    for name in names {
        if !is_namespace(name) {
            let message =
                format!("{name:?} is not a namespace; write up to 63 lower-case letters, digits and inner hyphens");
            return Err(refused("--namespace", message));
        }
        if !named.iter().any(|known| **known == **name) {
            named.push(name.as_str().into());
        }
    }
    Ok(Namespaces::Named(named))
}

/// The text that distinguishes this server from its replicas.
pub(super) fn nsid(text: Option<String>, environment: &Environment) -> Result<String, ConfigError> {
    let (text, origin) = match text {
        Some(text) => (text, "it"),
        None => (environment.host_name().unwrap_or_else(|| "callsign".into()), "the host name"),
    };
    if text.is_empty() || text.len() > NSID_LEN_MAX || text.chars().any(char::is_control) {
        let message = format!("{origin} must have 1 to {NSID_LEN_MAX} bytes, and no control characters");
        return Err(refused("--nsid", message));
    }
    Ok(text)
}

pub(super) fn log_level(text: Option<String>) -> Result<String, ConfigError> {
    let text = text.unwrap_or_else(|| DEFAULT_LOG_LEVEL.into());
    match logging::filter(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(refused("--log-level", error.to_string())),
    }
}
