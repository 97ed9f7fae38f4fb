//! The zone's name servers: their names, and the addresses of those within the zone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ConfigError, refused};
use crate::dns::Name;
use crate::server::listen::Listen;

/// The most name servers. More do not fit into a referral of 512 bytes; the root has 13.
const NAME_SERVERS_MAX: usize = 13;

/// The label of the default name server, below the zone.
const DEFAULT_LABEL: &str = "ns";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    pub name: Name,
    /// At least one if the name is within the zone. Otherwise none: the name's own zone has its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The addresses at which clients can reach this server, as far as it knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OwnAddresses {
    addresses: Vec<IpAddr>,
    doubt: Option<AddressDoubt>,
}

/// Why clients may fail to reach the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressDoubt {
    /// The server listens on a wildcard and does not know its addresses: these are loopback addresses.
    Loopback,
    /// These addresses are those of `POD_IPS`, and the server listens on none of them.
    NotServed,
}

/// The Pod's addresses that the server listens on; else the addresses that it listens on; else, for a wildcard,
/// loopback.
pub(super) fn own_addresses(pod_ips: Vec<IpAddr>, listen: &[SocketAddr]) -> OwnAddresses {
    let is_served = |ip: &IpAddr| listen.iter().any(|at| Listen::among(*at, listen).serves(*ip));
    if !pod_ips.is_empty() {
        let served: Vec<IpAddr> = pod_ips.iter().copied().filter(is_served).collect();
        let doubt = served.is_empty().then_some(AddressDoubt::NotServed);
        return OwnAddresses { addresses: if served.is_empty() { pod_ips } else { served }, doubt };
    }
    let mut addresses = Vec::new();
    listen.iter().filter(|at| !at.ip().is_unspecified()).for_each(|at| push_new(&mut addresses, at.ip()));
    if !addresses.is_empty() {
        return OwnAddresses { addresses, doubt: None };
    }
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    OwnAddresses { addresses: loopback.into_iter().filter(is_served).collect(), doubt: Some(AddressDoubt::Loopback) }
}

/// Reads `NAME[=ADDRESS]` of each `--ns`.
pub(super) fn read(
    options: &[String],
    zone: &Name,
    own: &OwnAddresses,
    warnings: &mut Vec<String>,
) -> Result<Vec<NameServer>, ConfigError> {
    let mut servers: Vec<NameServer> = Vec::new();
    let default = [DEFAULT_LABEL.to_owned()];
    for option in if options.is_empty() { &default } else { options } {
        let (name, address) = split(option)?;
        let name = absolute(name, zone)?;
        if name.is_within(zone) {
            within_zone(&name, zone)?;
        } else if address.is_some() {
            let message = format!("{name} is outside the zone {zone}, so its own zone has its address: drop =ADDRESS");
            return Err(refused("--ns", message));
        }
        match servers.iter_mut().find(|server| server.name == name) {
            Some(server) => address.into_iter().for_each(|address| push_new(&mut server.addresses, address)),
            None => servers.push(NameServer { name, addresses: address.into_iter().collect() }),
        }
    }
    if servers.len() > NAME_SERVERS_MAX {
        return Err(refused("--ns", format!("{} names, at most {NAME_SERVERS_MAX}", servers.len())));
    }
    for server in servers.iter_mut().filter(|server| server.addresses.is_empty() && server.name.is_within(zone)) {
        server.addresses.clone_from(&own.addresses);
        let label = &server.name;
        match own.doubt {
            None => {}
            Some(AddressDoubt::Loopback) => warnings.push(format!(
                "{label} resolves to the loopback address, because --listen is a wildcard: set POD_IPS, or --ns {label}=ADDRESS"
            )),
            Some(AddressDoubt::NotServed) => warnings.push(format!(
                "{label} resolves to POD_IPS, and --listen serves none of them: write --listen [::]:PORT, or --ns {label}=ADDRESS"
            )),
        }
    }
    Ok(servers)
}

fn split(option: &str) -> Result<(&str, Option<IpAddr>), ConfigError> {
    let Some((name, address)) = option.split_once('=') else {
        return Ok((option, None));
    };
    match address.parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => Ok((name, Some(ip))),
        _ => Err(refused(
            "--ns",
            format!("{address:?} is not the address of a server; write NAME=10.96.0.53, NAME=fd00::53"),
        )),
    }
}

/// A single label without a final dot is relative to the zone. Every other name is absolute.
fn absolute(text: &str, zone: &Name) -> Result<Name, ConfigError> {
    let wrong = |error| refused("--ns", format!("{text:?} is not a domain name: {error}"));
    let name: Name = text.parse().map_err(wrong)?;
    if name.label_count() == 0 {
        return Err(refused("--ns", "the root is not a name server; write a name such as ns or ns1.example.org."));
    }
    if name.label_count() == 1 && !text.ends_with('.') { name.below(zone).map_err(wrong) } else { Ok(name) }
}

/// Refuses the apex, which has no addresses, and names two labels down, which may be the names of services.
fn within_zone(name: &Name, zone: &Name) -> Result<(), ConfigError> {
    if name.label_count() == zone.label_count() + 1 {
        return Ok(());
    }
    Err(refused("--ns", format!("{name} must be one label below {zone} or outside of it; write one label, such as ns")))
}

fn push_new(addresses: &mut Vec<IpAddr>, address: IpAddr) {
    if !addresses.contains(&address) {
        addresses.push(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    /// Returns each server as `name=address,address`, separated by spaces, or the error's text.
    fn servers(options: &[&str], pod_ips: Option<&str>, listen: &[&str]) -> Result<(String, usize), String> {
        let zone: Name = "rpc.cluster.local.".parse().unwrap();
        let listen: Vec<SocketAddr> = listen.iter().map(|at| at.parse().unwrap()).collect();
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let variable = pod_ips.map(|text| ("POD_IPS".into(), text.into()));
        let pod_ips = Environment::of_variables(variable).and_then(|environment| environment.pod_ips());
        let own = own_addresses(pod_ips.map_err(|error| error.to_string())?, &listen);
        let mut warnings = Vec::new();
        let servers = read(&options, &zone, &own, &mut warnings).map_err(|error| error.to_string())?;
        let text = servers.iter().map(|server| {
            let addresses: Vec<String> = server.addresses.iter().map(IpAddr::to_string).collect();
            format!("{}={}", server.name, addresses.join(","))
        });
        Ok((text.collect::<Vec<_>>().join(" "), warnings.len()))
    }

    #[test]
    fn names_and_addresses() {
        const ONE: &[&str] = &["10.0.0.1:53", "10.0.0.1:5353"];
        for (options, pod_ips, listen, expected, warnings) in [
            (&[][..], None, ONE, "ns.rpc.cluster.local.=10.0.0.1", 0),
            (&[], Some("10.1.0.7, fd00::7"), ONE, "ns.rpc.cluster.local.=10.1.0.7,fd00::7", 1),
            (&[], Some("10.1.0.7, fd00::7"), &["[::]:53"], "ns.rpc.cluster.local.=10.1.0.7,fd00::7", 0),
            (&[], Some("10.1.0.7, fd00::7"), &["0.0.0.0:53"], "ns.rpc.cluster.local.=10.1.0.7", 0),
            (&[], Some("fd00::7, 10.1.0.7"), &["[::]:53", "0.0.0.0:53"], "ns.rpc.cluster.local.=fd00::7,10.1.0.7", 0),
            (&[], Some("10.1.0.7, fd00::7"), &["[::]:53", "10.0.0.1:53"], "ns.rpc.cluster.local.=fd00::7", 0),
            (&[], Some("10.1.0.7, fd00::7"), &["[fd00::7]:53"], "ns.rpc.cluster.local.=fd00::7", 0),
            (&[], Some("10.0.0.1, fd00::7"), ONE, "ns.rpc.cluster.local.=10.0.0.1", 0),
            (&[], Some("fd00::7"), &["0.0.0.0:53"], "ns.rpc.cluster.local.=fd00::7", 1),
            (&[], None, &["0.0.0.0:53"], "ns.rpc.cluster.local.=127.0.0.1", 1),
            (&[], None, &["[::]:53"], "ns.rpc.cluster.local.=127.0.0.1,::1", 1),
            (&[], None, &["[::]:53", "0.0.0.0:53"], "ns.rpc.cluster.local.=127.0.0.1,::1", 1),
            (&[], None, &["0.0.0.0:53", "10.0.0.2:53"], "ns.rpc.cluster.local.=10.0.0.2", 0),
            (&["a", "b"], None, ONE, "a.rpc.cluster.local.=10.0.0.1 b.rpc.cluster.local.=10.0.0.1", 0),
            (&["a=10.9.0.1", "A=fd00::1", "a=10.9.0.1"], None, ONE, "a.rpc.cluster.local.=10.9.0.1,fd00::1", 0),
            (&["a.rpc.cluster.local=10.9.0.1"], None, ONE, "a.rpc.cluster.local.=10.9.0.1", 0),
            (&["ns1.example.org", "top."], None, ONE, "ns1.example.org.= top.=", 0),
        ] {
            let case = format!("{options:?} {pod_ips:?} {listen:?}");
            assert_eq!(servers(options, pod_ips, listen), Ok((expected.into(), warnings)), "{case}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (option, pod_ips, expected) in [
            ("ns1.example.org=10.0.0.1", None, "drop =ADDRESS"),
            ("rpc.cluster.local.", None, "one label below"),
            ("a.b.rpc.cluster.local.", None, "one label below"),
            ("a=10.0.0", None, "not the address of a server"),
            ("a=0.0.0.0", None, "not the address of a server"),
            ("a=", None, "not the address of a server"),
            ("=10.0.0.1", None, "not a domain name"),
            (".", None, "the root"),
            ("a..b", None, "not a domain name"),
            ("a", Some("10.0.0.1,web"), "POD_IPS: \"web\" is not an IP address"),
        ] {
            let error = servers(&[option], pod_ips, &["10.0.0.1:53"]).unwrap_err();
            assert!(error.contains(expected), "{option}: {error}");
        }
    }
}
