//! Makes the zone's settings from the configuration.

use anyhow::Context;

use crate::config::ServeConfig;
use crate::dns::Name;
use crate::name;
use crate::snapshot::ZoneSettings;

/// The SOA's mailbox, below the apex (RFC 2142 §7).
const RNAME_LABEL: &[u8] = b"hostmaster";

/// The longest time that caches may keep a negative answer, in seconds. An answer from before a process started must not
/// hide it for longer.
const NEGATIVE_TTL_MAX: u32 = 5;

/// The parts of the configuration that answers depend on.
///
/// # Errors
/// A name made from the zone's, or the name of a reverse zone, is too long.
pub fn zone_settings(config: &ServeConfig) -> anyhow::Result<ZoneSettings> {
    let origin = config.zone.clone();
    let rname = Name::from_labels([RNAME_LABEL].into_iter().chain(origin.labels())).context("the zone is too long")?;
    let own = config.name_servers.iter().filter(|server| server.name.is_within(&origin));
    let mut reverse = Vec::new();
    for network in &config.reverse {
        reverse.extend(name::reverse_zones(*network).with_context(|| format!("--reverse {network}"))?);
    }
    Ok(ZoneSettings {
        ttl: config.ttl,
        negative_ttl: config.ttl.min(NEGATIVE_TTL_MAX),
        ns: config.name_servers.iter().map(|server| server.name.clone()).collect(),
        ns_addresses: own.map(|server| (server.name.key(), server.addresses.clone())).collect(),
        rname,
        reverse: reverse.into_iter().map(|zone| (zone.key(), zone)).collect(),
        txt_keys: config.txt_keys.clone(),
        publish_not_ready: config.publish_not_ready,
        trust_addresses: config.trust_addresses,
        namespace_bytes_max: config.namespace_bytes_max,
        bytes_max: config.bytes_max,
        ..ZoneSettings::of_zone(origin)
    })
}
