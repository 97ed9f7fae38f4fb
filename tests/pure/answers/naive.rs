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
    /// Metadata that no TXT record publishes.
    unpublished: &'static str,
}

const NOTHING: Metadata = Metadata { protocol: "", weight: "", methods: "", zone: "", unpublished: "" };
const METADATA: [Metadata; METADATA_LEN] = [
    NOTHING,
    Metadata { protocol: "tri", ..NOTHING },
    Metadata { protocol: "tri", weight: "7", methods: "f,g", ..NOTHING },
    Metadata { weight: "300", methods: "g", zone: "z", ..NOTHING },
    Metadata { protocol: "TRI", unpublished: "1", ..NOTHING },
];
pub(crate) const METADATA_LEN: usize = 5;

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

    /// The content of its annotation.
    fn registered(&self) -> (u16, bool, &BTreeSet<Offer>) {
        (self.port, self.is_disabled, &self.offers)
    }

    pub(crate) fn pod(&self, version: u64) -> Pod {
        let field = |(interface, group, metadata): &Offer| {
            let (interface, group) = (INTERFACES[*interface], GROUPS[*group]);
            let Metadata { protocol, weight, methods, zone, unpublished } = &METADATA[*metadata];
            let told = [("weight", weight), ("methods", methods), ("zone", zone), ("other", unpublished)];
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
    /// The weights of the SRV records, by name, address and port.
    weights: BTreeMap<(String, u8, u16), u16>,
    /// The registrations in the TXT record of each DNS-SD instance.
    instances: BTreeMap<String, Instance>,
    pub(crate) names: BTreeSet<String>,
}

/// An instance: its Pod, its target and port, and the content of its registrations.
#[derive(Debug, PartialEq)]
struct Instance {
    pod: String,
    addr: String,
    told: Vec<Offer>,
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
        let pods = self.registering();
        let holder = |address: u8, port: u16| {
            let claims = |one: &&&Known| {
                let State { address: its, is_host, .. } = one.state;
                !is_host
                    && its == address
                    && one.registrations().any(|(its, is_disabled, _)| its == port && !is_disabled)
            };
            pods.iter().filter(claims).map(|one| (one.state.start, one.state.uid())).max()
        };
        for pod in &pods {
            let State { address, start, is_ready, is_terminating, is_host, .. } = pod.state;
            let is_serving = pod.state.phase == 0 && is_ready && !is_terminating;
            for (port, is_disabled, offer) in pod.registrations() {
                zone.add_addresses(&format!("10-244-0-{address}.p.Z"), address);
                let own = format!("{}.{}.pod.Z", pod.state.name(), pod.state.namespace());
                zone.add_addresses(&own, address);
                if !is_host {
                    zone.add(&format!("{address}.0.244.10.in-addr.arpa."), Rtype::PTR, own);
                }
                let is_held = is_host || holder(address, port) == Some((start, pod.state.uid()));
                let at = (is_serving && is_held && !is_disabled).then_some((address, port));
                zone.add_services((&pod.state.name(), pod.state.namespace()), offer, at);
            }
        }
        zone.tell_instances();
        for ((name, address, port), weight) in zone.weights.clone() {
            zone.add(&name, Rtype::SRV, format!("0 {weight} {port} 10-244-0-{address}.p.Z"));
        }
        zone
    }
}

impl Known {
    /// The registrations by profile and in the order written. Of repeated ones the last one of the first profile counts.
    fn registrations(&self) -> impl Iterator<Item = (u16, bool, &Offer)> {
        let told = self.holds.iter().map(|(profile, (state, _))| (*profile, state.registered()));
        let all: Vec<(usize, (u16, bool, &Offer))> = told
            .flat_map(|(profile, (port, is_disabled, offers))| {
                offers.iter().map(move |offer| (profile, (port, is_disabled, offer)))
            })
            .collect();
        let place = |(_, (port, _, (interface, group, metadata))): &(usize, (u16, bool, &Offer))| {
            (*port, *interface, *group, METADATA[*metadata].protocol.to_ascii_lowercase())
        };
        let counts = |at: &usize| {
            let one = &all[*at];
            let is_earlier = |other: &(usize, _)| other.0 < one.0 && place(other) == place(one);
            let is_later = |other: &(usize, _)| other.0 == one.0 && place(other) == place(one);
            !all[..*at].iter().any(is_earlier) && !all[at + 1..].iter().any(is_later)
        };
        let counting: Vec<_> = (0..all.len()).filter(counts).map(|at| all[at].1).collect();
        counting.into_iter()
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

    fn add_addresses(&mut self, name: &str, address: u8) {
        self.add(name, Rtype::A, format!("10.244.0.{address}"));
        self.add(name, Rtype::AAAA, format!("fd00::{address}"));
    }

    /// A registration's names, and its records if it is published.
    fn add_services(&mut self, place: (&str, &str), offer: &Offer, at: Option<(u8, u16)>) {
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
            let Some((address, port)) = at else { continue };
            let addr = format!("10.244.0.{address}:{port}");
            for service in &services {
                self.weigh(&format!("{front}{service}"), (address, port), offer);
                match front.is_empty() {
                    true => self.add_addresses(service, address),
                    false => self.add(&format!("{front}{service}"), Rtype::TXT, text(pod, &addr, &[*offer])),
                }
            }
            if !front.is_empty() {
                let instance = format!("{pod}-{port}.{front}{plain}");
                self.weigh(&instance, (address, port), offer);
                self.add(&format!("{front}{plain}"), Rtype::PTR, instance.clone());
                let new = || Instance { pod: pod.to_owned(), addr, told: Vec::new() };
                self.instances.entry(instance).or_insert_with(new).told.push(*offer);
            }
        }
    }

    /// An SRV record. Of several with one target and port, the largest weight counts.
    fn weigh(&mut self, name: &str, (address, port): (u8, u16), (_, _, metadata): &Offer) {
        self.add_name(name);
        let weight = METADATA[*metadata].weight.parse().unwrap_or(100);
        let largest = self.weights.entry((name.to_owned(), address, port)).or_default();
        *largest = weight.max(*largest);
    }

    /// Registrations of one Pod and port that differ in group form one instance, whose group and methods list them all.
    fn tell_instances(&mut self) {
        for (instance, Instance { pod, addr, told }) in std::mem::take(&mut self.instances) {
            self.add(&instance, Rtype::TXT, text(&pod, &addr, &told));
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
fn text(pod: &str, addr: &str, told: &[Offer]) -> String {
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
    let entries = [
        ("pod", pod),
        ("addr", addr),
        ("interface", INTERFACES[first.0]),
        ("group", &groups),
        ("methods", &methods),
        ("weight", weight),
        ("zone", zone),
    ];
    let strings = entries.iter().filter(|(_, value)| !value.is_empty());
    strings.map(|(key, value)| format!("\"{key}={value}\"")).collect::<Vec<_>>().join(" ")
}
