//! Which names exist: compared to a naive list of all names, and in the cases that servers get wrong.

use std::collections::BTreeSet;

use callsign::dns::Name;
use callsign::name::reverse_name;
use domain::base::iana::Rtype;
use proptest::prelude::*;

use super::world::{World, ZONE, endpoint, whole};
use crate::harness::seeds::{config, seeds_of};

#[test]
fn empty_non_terminals_exist_and_other_names_do_not() {
    let world = World::of([endpoint(
        "greeter-0",
        "10.244.0.81",
        "interface=org.acme.Greeter group=gray version=1.0 protocol=dubbo port=1",
    )]);
    for (names, verdict) in [
        (
            "p.Z pod.Z default.pod.Z default.Z acme.greeter.default.Z greeter.default.Z _tcp.org.acme.greeter.default.Z \
             g-gray.default.Z v-1-0.g-gray.default.Z v-1-0.default.Z greeter.v-1-0.default.Z \
             _udp.default.Z _dns-sd._udp.default.Z _udp.org.acme.greeter.default.Z \
             _dns-sd._udp.org.acme.greeter.default.Z 0.244.10.in-addr.arpa. 244.10.in-addr.arpa. \
             _tcp.org.acme.greeter.v-1-0.g-gray.default.Z",
            "NODATA",
        ),
        (
            "nope.Z nope.default.Z org.acme.nope.default.Z x.org.acme.greeter.default.Z acme.default.Z \
             _tcp.greeter.default.Z _tri._tcp.org.acme.greeter.default.Z _dubbo._udp.org.acme.greeter.default.Z \
             org.acme.greeter.g-blue.default.Z org.acme.greeter.g--none.default.Z g-blue.default.Z \
             org.acme.greeter.g-gray.v-1-0.default.Z org.acme.greeter.other.Z 10-244-0-82.p.Z nope.p.Z 1.10-244-0-81.p.Z \
             greeter-1.default.pod.Z greeter-0.other.pod.Z x.greeter-0.default.pod.Z 82.0.244.10.in-addr.arpa. \
             1.244.10.in-addr.arpa. 1.81.0.244.10.in-addr.arpa. b._dns-sd._udp.other.Z x.dns-version.Z x.ns.Z \
             _udp.org.acme.greeter.g-gray.default.Z _services._dns-sd._udp.org.acme.greeter.g-gray.default.Z",
            "NXDOMAIN",
        ),
    ] {
        for name in names.split_whitespace() {
            assert_eq!(world.verdict(name, Rtype::HINFO), verdict, "{name}");
            let upper =
                name.strip_suffix('Z').map_or(name.to_uppercase(), |below| format!("{}Z", below.to_uppercase()));
            assert_eq!(world.verdict(&upper, Rtype::HINFO), verdict, "{upper}");
        }
    }
}

#[test]
fn the_soa_of_a_negative_is_its_own_zones() {
    let world = World::of([endpoint("a", "10.244.0.1", "interface=a.B port=1")]);
    for (name, origin) in [
        ("nope.Z", ZONE),
        ("9.9.244.10.in-addr.arpa.", "244.10.in-addr.arpa."),
        ("f.0.0.d.f.ip6.arpa.", "d.f.ip6.arpa."),
    ] {
        let reply = world.ask(&whole(name), Rtype::PTR);
        assert_eq!(reply.rcode, "NXDOMAIN", "{name}");
        let soa: Vec<&str> = reply.authority[0].split_whitespace().collect();
        assert_eq!((soa[0], soa[1], soa[3]), (origin, "5", "SOA"), "{name}");
    }
    let outside = world.ask("1.0.0.10.in-addr.arpa.", Rtype::PTR);
    assert_eq!((outside.rcode.as_str(), outside.authority.len()), ("REFUSED", 0));
}

#[test]
fn a_label_is_compared_byte_by_byte() {
    let world = World::of([endpoint("a", "10.244.0.1", "interface=org.acme.Greeter port=1")]);
    for name in [r"org\000.acme.greeter.default.Z", r"org\.acme.greeter.default.Z", r"org.acme\032.greeter.default.Z"] {
        assert_eq!(world.verdict(name, Rtype::A), "NXDOMAIN", "{name}");
    }
}

/// What a generated process registers.
#[derive(Clone, Debug)]
struct Process {
    interface: String,
    group: Option<String>,
    version: Option<String>,
    protocol: Option<String>,
    is_ready: bool,
    is_enabled: bool,
}

fn process() -> impl Strategy<Value = Process> {
    let interface = proptest::collection::vec("[aAb]|v-1|g-a|c_d", 1..4).prop_map(|labels| labels.join("."));
    let group = proptest::option::of("[aA]|b\\.c|-x");
    let version = proptest::option::of("1|1\\.0|none");
    let protocol = proptest::option::of("tri|dubbo|9|rpc");
    (interface, group, version, protocol, any::<bool>(), any::<bool>()).prop_map(
        |(interface, group, version, protocol, is_ready, is_enabled)| Process {
            interface,
            group,
            version,
            protocol,
            is_ready,
            is_enabled,
        },
    )
}

/// Every name of the schema for these processes, the slow way: each is written out into one set.
fn all_names(processes: &[Process]) -> BTreeSet<String> {
    let mut owners: Vec<String> =
        ["Z", "p.Z", "pod.Z", "dns-version.Z", "ns.Z", "b._dns-sd._udp.default.Z"].map(str::to_owned).to_vec();
    if processes.is_empty() {
        owners.pop();
    }
    for (number, process) in processes.iter().enumerate() {
        owners.push(format!("10-244-0-{number}.p.Z"));
        owners.push(format!("pod-{number}.default.pod.Z"));
        let natural = is_natural(&process.interface);
        let alias = callsign::name::Alias::of(process.group.as_deref(), &process.interface, process.version.as_deref());
        let mut services = vec![format!("{}.default.Z", alias.label())];
        if natural {
            for group in selectors("g", &process.group) {
                for version in selectors("v", &process.version) {
                    services.push(format!("{}{version}{group}.default.Z", process.interface));
                }
            }
        }
        let plain = if natural { services[1].clone() } else { services[0].clone() };
        let mut protocols = vec!["rpc".to_owned()];
        protocols.extend(process.protocol.clone().filter(|protocol| ["tri", "dubbo"].contains(&protocol.as_str())));
        for service in &services {
            owners.push(service.clone());
            owners.extend(protocols.iter().map(|protocol| format!("_{protocol}._tcp.{service}")));
        }
        owners.push(format!("_services._dns-sd._udp.{plain}"));
        if process.is_ready && process.is_enabled {
            owners.extend(protocols.iter().map(|protocol| format!("pod-{number}-1._{protocol}._tcp.{plain}")));
        }
    }
    let mut names = BTreeSet::new();
    for owner in owners {
        let mut name = Some(owner.as_str());
        while let Some(here) = name {
            names.insert(here.to_ascii_lowercase());
            name = here.split_once('.').map(|(_, parent)| parent);
        }
    }
    names
}

fn is_natural(interface: &str) -> bool {
    let last = interface.rsplit('.').next().unwrap();
    !last.starts_with("v-") && !last.starts_with("g-")
}

fn selectors(kind: &str, value: &Option<String>) -> Vec<String> {
    let own = match value.as_deref() {
        None => Some(format!(".{kind}--none")),
        Some("-x") => None,
        Some(value) => Some(format!(".{kind}-{}", value.replace('.', "-"))),
    };
    [Some(String::new()), own].into_iter().flatten().collect()
}

proptest! {
    #![proptest_config(config(64, seeds_of!("pure/answers/existence")))]

    /// The names that exist are those of a naive list. Asks for every name in it, every name with one label more, and
    /// every name with one label less.
    #[test]
    fn a_name_exists_if_and_only_if_a_list_of_all_names_has_it(processes in proptest::collection::vec(process(), 0..5)) {
        let pods = processes.iter().enumerate().map(|(number, process)| {
            let mut fields = format!("interface={} port=1 enabled={}", process.interface, process.is_enabled);
            for (key, value) in [("group", &process.group), ("version", &process.version), ("protocol", &process.protocol)] {
                fields.extend(value.iter().map(|value| format!(" {key}={value}")));
            }
            let mut pod = endpoint(&format!("pod-{number}"), &format!("10.244.0.{number}"), &fields);
            pod.status.ready = process.is_ready;
            pod
        });
        let world = World::of(pods);
        let names = all_names(&processes);
        let mut asked = names.clone();
        for name in &names {
            asked.extend(["a", "_tcp", "_rpc", "g-a", "v-1", "b", "_udp", "p"].map(|label| format!("{label}.{name}")));
            let labels: Vec<&str> = name.split('.').collect();
            for left_out in 0..labels.len() - 1 {
                let rest: Vec<&str> = labels.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, label)| *label).collect();
                asked.insert(rest.join("."));
            }
        }
        for name in asked {
            let name = format!("{}Z", name.strip_suffix('z').unwrap());
            let exists = names.contains(&name.to_ascii_lowercase());
            let verdict = world.verdict(&name, Rtype::HINFO);
            prop_assert_eq!(verdict, if exists { "NODATA" } else { "NXDOMAIN" }, "{}", name);
        }
    }
}

#[test]
fn reverse_names_exist_as_their_addresses_do() {
    let world = World::of(
        (0..6).map(|n| endpoint(&format!("pod-{n}"), &format!("10.244.{n}.1,fd00::{n}:1"), "interface=a.B port=1")),
    );
    for address in ["10.244.3.1", "fd00::3:1"] {
        let mut name: Name = reverse_name(address.parse().unwrap()).parse().unwrap();
        let apex_labels = 4; // 244.10.in-addr.arpa., d.f.ip6.arpa.
        assert_eq!(world.verdict(&name.to_string(), Rtype::PTR), "DATA");
        while name.label_count() > apex_labels {
            name = name.parent().unwrap();
            assert_eq!(world.verdict(&name.to_string(), Rtype::PTR), "NODATA", "{name}");
        }
    }
}
