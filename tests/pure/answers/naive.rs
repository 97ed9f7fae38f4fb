//! The zone the slow way: written out from the current Pods, with nothing kept between two calls.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callsign::name::Alias;
use callsign::source::{Phase, Pod};
use domain::base::iana::Rtype;

use super::world::endpoint;
use model::Known;
pub(crate) use model::Model;

pub(crate) const INTERFACES: [&str; 4] = ["a.B", "A.b", "a.v-1", "c.b"];
pub(crate) const GROUPS: [&str; 3] = ["", "x", "-odd"];
const NAMESPACES: [&str; 2] = ["default", "n2"];
pub(crate) const PHASES: [Phase; 4] = [Phase::Running, Phase::Succeeded, Phase::Failed, Phase::Pending];

/// What one profile's annotation registers: the interface, the group, and an index into [`METADATA`].
pub(crate) type Offer = (usize, usize, usize);

/// A registration's metadata.
#[derive(Debug)]
struct Metadata {
    protocol: &'static str,
    weight: &'static str,
    methods: &'static str,
    zone: &'static str,
    /// The family of the address that it names. `None` for the Pod's own addresses.
    names: Option<Family>,
    /// Metadata that no TXT record publishes.
    unpublished: &'static str,
}

const NOTHING: Metadata = Metadata { protocol: "", weight: "", methods: "", zone: "", names: None, unpublished: "" };
const METADATA: [Metadata; METADATA_LEN] = [
    NOTHING,
    Metadata { protocol: "tri", ..NOTHING },
    Metadata { protocol: "tri", weight: "7", methods: "f,g", ..NOTHING },
    Metadata { weight: "300", methods: "g", zone: "z", ..NOTHING },
    Metadata { protocol: "TRI", unpublished: "1", ..NOTHING },
    Metadata { protocol: "tri", weight: "9", names: Some(Family::V4), ..NOTHING },
    Metadata { protocol: "tri", names: Some(Family::V6), ..NOTHING },
];
pub(crate) const METADATA_LEN: usize = 7;

/// Each Pod has an address of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Address(Family, u8);

impl Address {
    /// Those of a Pod.
    fn both(number: u8) -> [Address; 2] {
        [Address(Family::V4, number), Address(Family::V6, number)]
    }

    fn target(self) -> String {
        match self {
            Address(Family::V4, number) => format!("10-244-0-{number}.p.Z"),
            Address(Family::V6, number) => format!("fd00-0-0-0-0-0-0-{number}.p.Z"),
        }
    }

    fn socket(self, port: u16) -> String {
        match self.0 {
            Family::V4 => format!("{self}:{port}"),
            Family::V6 => format!("[{self}]:{port}"),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address(Family::V4, number) => write!(f, "10.244.0.{number}"),
            Address(Family::V6, number) => write!(f, "fd00::{number}"),
        }
    }
}

/// A Pod as one source sends it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) uid: usize,
    /// Its name and namespace, if they differ from those of its uid.
    pub(crate) called: Option<(usize, usize)>,
    pub(crate) address: u8,
    pub(crate) port: u16,
    pub(crate) start: i64,
    pub(crate) phase: usize,
    pub(crate) is_ready: bool,
    pub(crate) is_terminating: bool,
    pub(crate) is_host: bool,
    /// Whether all its registrations are disabled.
    pub(crate) is_disabled: bool,
    pub(crate) offers: BTreeSet<Offer>,
}

impl State {
    fn uid(&self) -> Arc<str> {
        format!("uid-{}", self.uid).into()
    }

    fn name(&self) -> String {
        format!("pod-{}", self.called.map_or(self.uid / 4, |(name, _)| name))
    }

    fn namespace(&self) -> &'static str {
        NAMESPACES[self.called.map_or(self.uid % 2, |(_, namespace)| namespace)]
    }

    /// What its annotation registers.
    fn registered(&self) -> impl Iterator<Item = Told<'_>> {
        self.offers.iter().map(|offer| {
            let names = METADATA[offer.2].names.map(|family| Address(family, self.address));
            Told { port: self.port, is_disabled: self.is_disabled, offer, names }
        })
    }

    pub(crate) fn pod(&self, version: u64) -> Pod {
        let field = |(interface, group, metadata): &Offer| {
            let (interface, group) = (INTERFACES[*interface], GROUPS[*group]);
            let Metadata { protocol, weight, methods, zone, names, unpublished } = &METADATA[*metadata];
            let ip = names.map_or_else(|| "0.0.0.0".to_owned(), |family| Address(family, self.address).to_string());
            let told = [("ip", &*ip), ("weight", weight), ("methods", methods), ("zone", zone), ("other", unpublished)];
            let told = told.into_iter().filter(|(_, value)| !value.is_empty());
            let told: String = told.map(|(key, value)| format!(" {key}={value}")).collect();
            let (port, enabled) = (self.port, !self.is_disabled);
            format!("interface={interface} group={group} protocol={protocol} port={port} enabled={enabled}{told}")
        };
        let fields: Vec<String> = self.offers.iter().map(field).collect();
        let addresses = format!("10.244.0.{},fd00::{}", self.address, self.address);
        let mut pod = endpoint(&self.name(), &addresses, &fields.join(" "));
        pod.uid = self.uid();
        pod.namespace = self.namespace().into();
        pod.resource_version = version;
        pod.status.phase = PHASES[self.phase];
        pod.status.ready = self.is_ready;
        pod.status.terminating = self.is_terminating;
        pod.status.host_network = self.is_host;
        pod.status.start_time = Some(self.start);
        pod
    }
}

/// A zone as text: records by name and type, and every name that exists.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Naive {
    records: BTreeMap<(String, Rtype), BTreeSet<String>>,
    /// The weights of the SRV records, by name, target and port.
    weights: BTreeMap<(String, Address, u16), u16>,
    /// The registrations in the TXT record of each DNS-SD instance.
    instances: BTreeMap<String, Instance>,
    pub(crate) names: BTreeSet<String>,
}

/// An instance: its Pod, its target and port, and the content of its registrations.
#[derive(Debug, PartialEq)]
struct Instance {
    pod: String,
    target: Address,
    port: u16,
    told: Vec<Offer>,
}

/// A registration as an annotation has it.
#[derive(Clone, Copy)]
struct Told<'m> {
    port: u16,
    is_disabled: bool,
    offer: &'m Offer,
    /// The address that it names. `None` for the Pod's own addresses.
    names: Option<Address>,
}

/// A registration that counts, with the addresses at which it does.
struct Counting<'m> {
    told: Told<'m>,
    addresses: Vec<Address>,
}

impl Model {
    /// The Pods that make names: they have not finished, and are the newest of their name.
    fn registering(&self) -> Vec<&Known> {
        let is_newest = |one: &&Known| {
            let has_name = |other: &&Known| {
                (other.state.name(), other.state.namespace()) == (one.state.name(), one.state.namespace())
            };
            self.pods.values().filter(has_name).all(|other| other.version <= one.version)
        };
        let is_over = |one: &&Known| PHASES[one.state.phase].is_finished();
        self.pods.values().filter(|one| is_newest(one) && !is_over(one)).collect()
    }

    /// The zone that follows, written out.
    pub(crate) fn zone(&self) -> Naive {
        let mut zone = Naive::default();
        for name in ["Z", "p.Z", "pod.Z", "ns.Z", "244.10.in-addr.arpa."] {
            zone.add_name(name);
        }
        zone.add("dns-version.Z", Rtype::TXT, "\"1.0.0\"".to_owned());
        zone.add("ns.Z", Rtype::A, "192.0.2.1".to_owned());
        zone.add("ns.Z", Rtype::AAAA, "2001:db8::1".to_owned());
        let registered = |pod| (pod, Known::registrations(pod));
        let pods: Vec<(&Known, Vec<Counting<'_>>)> = self.registering().into_iter().map(registered).collect();
        let holder = |address: Address, port: u16| {
            let claims = |(one, registrations): &&(&Known, Vec<Counting<'_>>)| {
                let is_there = |Counting { told, addresses }: &Counting<'_>| {
                    told.port == port && !told.is_disabled && addresses.contains(&address)
                };
                !one.state.is_host && registrations.iter().any(is_there)
            };
            pods.iter().filter(claims).map(|(one, _)| (one.state.start, one.state.uid())).max()
        };
        for (pod, registrations) in &pods {
            let State { address, start, is_ready, is_terminating, is_host, .. } = pod.state;
            let is_serving = pod.state.phase == 0 && is_ready && !is_terminating;
            for Counting { told: Told { port, is_disabled, offer, .. }, addresses } in registrations {
                let (port, is_disabled) = (*port, *is_disabled);
                let is_held = |address: &Address| {
                    is_host || is_disabled || holder(*address, port) == Some((start, pod.state.uid()))
                };
                let held: Vec<Address> = addresses.iter().copied().filter(is_held).collect();
                let owned = if held.is_empty() { addresses } else { &held };
                zone.add_addresses(&owned[0].target(), owned);
                let own = format!("{}.{}.pod.Z", pod.state.name(), pod.state.namespace());
                zone.add_addresses(&own, &Address::both(address));
                if !is_host {
                    zone.add(&format!("{address}.0.244.10.in-addr.arpa."), Rtype::PTR, own);
                }
                let published: &[Address] = if is_serving && !is_disabled { &held } else { &[] };
                zone.add_services((&pod.state.name(), pod.state.namespace()), offer, (published, port));
            }
        }
        zone.tell_instances();
        for ((name, target, port), weight) in zone.weights.clone() {
            zone.add(&name, Rtype::SRV, format!("0 {weight} {port} {}", target.target()));
        }
        zone
    }
}

impl Known {
    /// The registrations by profile and in the order written. Of repeated ones at one address the last one of the first
    /// profile counts. One at an address that is not the Pod's is refused.
    fn registrations(&self) -> Vec<Counting<'_>> {
        let mut all: Vec<(usize, Told<'_>)> = Vec::new();
        for (profile, (state, _)) in &self.holds {
            all.extend(state.registered().map(|told| (*profile, told)));
        }
        let own = Address::both(self.state.address);
        let named = |told: &Told<'_>| told.names.map_or(own.to_vec(), |address| vec![address]);
        let place = |Told { port, offer: (interface, group, metadata), .. }: &Told<'_>| {
            (*port, *interface, *group, METADATA[*metadata].protocol.to_ascii_lowercase())
        };
        let counting = (0..all.len()).map(|at| {
            let (profile, told) = &all[at];
            let counts = |address: &Address| {
                let is_same = |other: &Told<'_>| place(other) == place(told) && named(other).contains(address);
                let is_earlier = |(of, other): &(usize, Told<'_>)| of < profile && is_same(other);
                let is_later = |(of, other): &(usize, Told<'_>)| of == profile && is_same(other);
                own.contains(address) && !all[..at].iter().any(is_earlier) && !all[at + 1..].iter().any(is_later)
            };
            Counting { told: *told, addresses: named(told).into_iter().filter(counts).collect() }
        });
        counting.filter(|one| !one.addresses.is_empty()).collect()
    }
}

impl Naive {
    /// A name, and all names between it and its apex.
    fn add_name(&mut self, name: &str) {
        let mut rest = name;
        loop {
            self.names.insert(rest.to_owned());
            match rest.split_once('.') {
                Some((_, above)) if rest != "244.10.in-addr.arpa." => rest = above,
                _ => return,
            }
        }
    }

    fn add(&mut self, name: &str, rtype: Rtype, data: String) {
        self.add_name(name);
        self.records.entry((name.to_owned(), rtype)).or_default().insert(data);
    }

    fn add_addresses(&mut self, name: &str, addresses: &[Address]) {
        for address in addresses {
            let rtype = if address.0 == Family::V4 { Rtype::A } else { Rtype::AAAA };
            self.add(name, rtype, address.to_string());
        }
    }

    /// A registration's names, and its records at the addresses at which it is published.
    fn add_services(&mut self, place: (&str, &str), offer: &Offer, (addresses, port): (&[Address], u16)) {
        let ((pod, namespace), (interface, group, metadata)) = (place, offer);
        let is_tri = !METADATA[*metadata].protocol.is_empty();
        let (interface, group): (&'static str, &'static str) = (INTERFACES[*interface], GROUPS[*group]);
        let alias = Alias::of((!group.is_empty()).then_some(group), interface, None).label().to_string();
        let natural = interface.to_ascii_lowercase();
        let is_natural = !interface.ends_with("v-1");
        let groups: &[&str] = match group {
            "" => &["", ".g--none"],
            "x" => &["", ".g-x"],
            _ => &[""], // the value has no label
        };
        let mut services = vec![format!("{alias}.{namespace}.Z")];
        for group in groups.iter().filter(|_| is_natural) {
            services.extend(["", ".v--none"].map(|version| format!("{natural}{version}{group}.{namespace}.Z")));
        }
        let plain = services[usize::from(is_natural)].clone();
        self.add(&format!("b._dns-sd._udp.{namespace}.Z"), Rtype::PTR, plain.clone());
        for front in &FRONTS[1..2 + usize::from(is_tri)] {
            self.add(&format!("_services._dns-sd._udp.{plain}"), Rtype::PTR, format!("{front}{plain}"));
        }
        for front in &FRONTS[..2 + usize::from(is_tri)] {
            services.iter().for_each(|service| self.add_name(&format!("{front}{service}")));
            let Some(target) = addresses.first().copied() else { continue };
            for service in &services {
                self.weigh(&format!("{front}{service}"), (target, port), offer);
                match front.is_empty() {
                    true => self.add_addresses(service, addresses),
                    false => {
                        self.add(&format!("{front}{service}"), Rtype::TXT, text(pod, (target, port), &[*offer]));
                    }
                }
            }
            if !front.is_empty() {
                let instance = format!("{pod}-{port}.{front}{plain}");
                self.add(&format!("{front}{plain}"), Rtype::PTR, instance.clone());
                let new = || Instance { pod: pod.to_owned(), target, port, told: Vec::new() };
                let instance = self.instances.entry(instance).or_insert_with(new);
                instance.told.push(*offer);
            }
        }
    }

    /// An SRV record. Of several with one target and port, the largest weight counts.
    fn weigh(&mut self, name: &str, (target, port): (Address, u16), (_, _, metadata): &Offer) {
        self.add_name(name);
        let weight = METADATA[*metadata].weight.parse().unwrap_or(100);
        let largest = self.weights.entry((name.to_owned(), target, port)).or_default();
        *largest = weight.max(*largest);
    }

    /// Registrations of one Pod and port that differ in group or address form one instance at the first one's target. Its
    /// group and methods list them all.
    fn tell_instances(&mut self) {
        for (instance, Instance { pod, target, port, told }) in std::mem::take(&mut self.instances) {
            told.iter().for_each(|offer| self.weigh(&instance, (target, port), offer));
            self.add(&instance, Rtype::TXT, text(&pod, (target, port), &told));
        }
    }

    /// The answer: the code and the data. Where services are browsed, letter case does not matter.
    pub(crate) fn answer(&self, name: &str, rtype: Rtype) -> (String, Vec<String>) {
        let rcode = if self.names.contains(name) { "NOERROR" } else { "NXDOMAIN" };
        let data = self.records.get(&(name.to_owned(), rtype));
        (rcode.to_owned(), data.into_iter().flatten().cloned().collect())
    }
}

/// What comes before a service's name: nothing, any protocol, or the only protocol of these tests.
const FRONTS: [&str; 3] = ["", "_rpc._tcp.", "_tri._tcp."];

/// The data of a TXT record, for one registration or for an instance.
fn text(pod: &str, (target, port): (Address, u16), told: &[Offer]) -> String {
    let first = told[0];
    let listed = |value: &dyn Fn(&Offer) -> &'static str| {
        let mut values: Vec<&str> = Vec::new();
        for value in told.iter().flat_map(|offer| value(offer).split(',')).filter(|value| !value.is_empty()) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values.join(",")
    };
    let groups = listed(&|(_, group, _)| GROUPS[*group]);
    let methods = listed(&|(_, _, metadata)| METADATA[*metadata].methods);
    let Metadata { weight, zone, .. } = &METADATA[first.2];
    let addr = target.socket(port);
    let entries = [
        ("pod", pod),
        ("addr", &*addr),
        ("interface", INTERFACES[first.0]),
        ("group", &groups),
        ("methods", &methods),
        ("weight", weight),
        ("zone", zone),
    ];
    let strings = entries.iter().filter(|(_, value)| !value.is_empty());
    strings.map(|(key, value)| format!("\"{key}={value}\"")).collect::<Vec<_>>().join(" ")
}
