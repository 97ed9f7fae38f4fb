//! The zone the slow way: spelt out from the Pods as they are, with nothing kept from one time to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callsign::name::Alias;
use callsign::source::{Phase, Pod};
use domain::base::iana::Rtype;

use super::world::endpoint;

pub(crate) const INTERFACES: [&str; 4] = ["a.B", "A.b", "a.v-1", "c.b"];
pub(crate) const GROUPS: [&str; 3] = ["", "x", "-odd"];
const NAMESPACES: [&str; 2] = ["default", "n2"];
pub(crate) const PHASES: [Phase; 4] = [Phase::Running, Phase::Succeeded, Phase::Failed, Phase::Pending];

/// What one profile's annotation registers: interface, group, whether it names the protocol `tri`.
pub(crate) type Offer = (usize, usize, bool);

/// A Pod as one source tells of it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) uid: usize,
    pub(crate) address: u8,
    pub(crate) port: u16,
    pub(crate) start: i64,
    pub(crate) phase: usize,
    pub(crate) is_ready: bool,
    pub(crate) is_terminating: bool,
    pub(crate) is_host: bool,
    /// Whether all that it registers says that it is switched off.
    pub(crate) is_disabled: bool,
    pub(crate) offers: BTreeSet<Offer>,
}

impl State {
    fn uid(&self) -> Arc<str> {
        format!("uid-{}", self.uid).into()
    }

    fn name(&self) -> String {
        format!("pod-{}", self.uid / 4)
    }

    fn namespace(&self) -> &'static str {
        NAMESPACES[self.uid % 2]
    }

    pub(crate) fn pod(&self, version: u64) -> Pod {
        let field = |(interface, group, is_tri): &Offer| {
            let protocol = if *is_tri { "tri" } else { "" };
            let (interface, group) = (INTERFACES[*interface], GROUPS[*group]);
            let enabled = !self.is_disabled;
            format!("interface={interface} group={group} protocol={protocol} port={} enabled={enabled}", self.port)
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

/// The Pods as they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model(BTreeMap<usize, Known>);

/// A Pod, and at which version it was told last.
#[derive(Clone, Debug)]
struct Known {
    state: State,
    version: u64,
    /// What each source that holds it says of it, with the port at that time and whether it is switched off.
    offers: BTreeMap<usize, (u16, bool, BTreeSet<Offer>)>,
}

/// A zone as text: records by name and type, and every name that exists.
#[derive(Debug, Default)]
pub(crate) struct Naive {
    records: BTreeMap<(String, Rtype), BTreeSet<String>>,
    /// What the TXT of each DNS-SD instance tells of.
    instances: BTreeMap<String, Instance>,
    pub(crate) names: BTreeSet<String>,
}

/// A Pod and its place, and each registration's interface and group.
#[derive(Debug)]
struct Instance {
    pod: String,
    addr: String,
    told: Vec<(&'static str, &'static str)>,
}

impl Model {
    pub(crate) fn apply(&mut self, source: usize, state: &State, version: u64) {
        let known =
            self.0.entry(state.uid).or_insert_with(|| Known { state: state.clone(), version, offers: BTreeMap::new() });
        (known.state, known.version) = (state.clone(), version);
        known.offers.insert(source, (state.port, state.is_disabled, state.offers.clone()));
    }

    pub(crate) fn release(&mut self, source: usize, goes: impl Fn(usize) -> bool) {
        self.0.retain(|uid, known| {
            if goes(*uid) {
                known.offers.remove(&source);
            }
            !known.offers.is_empty()
        });
    }

    /// The Pods that make names: not over, and the newest of their name.
    fn registering(&self) -> Vec<&Known> {
        let is_newest = |one: &&Known| {
            let has_name = |other: &&Known| {
                (other.state.name(), other.state.namespace()) == (one.state.name(), one.state.namespace())
            };
            self.0.values().filter(has_name).all(|other| other.version <= one.version)
        };
        let is_over = |one: &&Known| PHASES[one.state.phase].is_finished();
        self.0.values().filter(|one| is_newest(one) && !is_over(one)).collect()
    }

    /// The zone that they make, spelt out.
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
                !is_host && its == address && one.registrations().any(|(its, ..)| its == port)
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
        zone
    }
}

impl Known {
    /// In the order of the profiles' names and of what is written; of what is told twice the last one counts.
    fn registrations(&self) -> impl Iterator<Item = (u16, bool, &Offer)> {
        let all: Vec<(u16, bool, &Offer)> = self
            .offers
            .values()
            .flat_map(|(port, is_disabled, offers)| offers.iter().map(|offer| (*port, *is_disabled, offer)))
            .collect();
        let is_same = |one: &(u16, bool, &Offer), other: &(u16, bool, &Offer)| (one.0, one.2) == (other.0, other.2);
        let is_last = |at: &usize| !all[at + 1..].iter().any(|later| is_same(later, &all[*at]));
        let last: Vec<_> = (0..all.len()).filter(is_last).map(|at| all[at]).collect();
        last.into_iter()
    }
}

impl Naive {
    /// A name and all between it and its apex.
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

    /// A registration's names, and its records where it is published: at an address and port, by a Pod of this name.
    fn add_services(&mut self, place: (&str, &str), (interface, group, is_tri): &Offer, at: Option<(u8, u16)>) {
        let (pod, namespace) = place;
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
        for front in &FRONTS[1..2 + usize::from(*is_tri)] {
            self.add(&format!("_services._dns-sd._udp.{plain}"), Rtype::PTR, format!("{front}{plain}"));
        }
        for front in &FRONTS[..2 + usize::from(*is_tri)] {
            services.iter().for_each(|service| self.add_name(&format!("{front}{service}")));
            let Some((address, port)) = at else { continue };
            let data = format!("0 100 {port} 10-244-0-{address}.p.Z");
            let addr = format!("10.244.0.{address}:{port}");
            for service in &services {
                self.add(&format!("{front}{service}"), Rtype::SRV, data.clone());
                match front.is_empty() {
                    true => self.add_addresses(service, address),
                    false => self.add(&format!("{front}{service}"), Rtype::TXT, text(pod, &addr, interface, group)),
                }
            }
            if !front.is_empty() {
                let instance = format!("{pod}-{port}.{front}{plain}");
                self.add(&instance, Rtype::SRV, data);
                self.add(&format!("{front}{plain}"), Rtype::PTR, instance.clone());
                let new = || Instance { pod: pod.to_owned(), addr, told: Vec::new() };
                self.instances.entry(instance).or_insert_with(new).told.push((interface, group));
            }
        }
    }

    /// Registrations of one Pod and port that differ in group are one instance, whose group lists them all.
    fn tell_instances(&mut self) {
        for (instance, Instance { pod, addr, told }) in std::mem::take(&mut self.instances) {
            let mut groups: Vec<&str> = Vec::new();
            for (_, group) in &told {
                if !group.is_empty() && !groups.contains(group) {
                    groups.push(group);
                }
            }
            self.add(&instance, Rtype::TXT, text(&pod, &addr, told[0].0, &groups.join(",")));
        }
    }

    /// What it answers: the code, and the data; where services are browsed letter case does not matter.
    pub(crate) fn answer(&self, name: &str, rtype: Rtype) -> (String, Vec<String>) {
        let rcode = if self.names.contains(name) { "NOERROR" } else { "NXDOMAIN" };
        let data = self.records.get(&(name.to_owned(), rtype));
        (rcode.to_owned(), data.into_iter().flatten().cloned().collect())
    }
}

/// What stands before a service's name: nothing, any protocol, the one protocol of these tests.
const FRONTS: [&str; 3] = ["", "_rpc._tcp.", "_tri._tcp."];

/// A TXT record's data.
fn text(pod: &str, addr: &str, interface: &str, group: &str) -> String {
    let entries = [("pod", pod), ("addr", addr), ("interface", interface), ("group", group)];
    let strings = entries.iter().filter(|(_, value)| !value.is_empty());
    strings.map(|(key, value)| format!("\"{key}={value}\"")).collect::<Vec<_>>().join(" ")
}
