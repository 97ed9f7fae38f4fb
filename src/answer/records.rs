//! The facts of an answer section, walked in order without being gathered first.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

use smallvec::SmallVec;

use crate::dns::{Name, Rtype};
use crate::name::Service;
use crate::snapshot::{Addresses, Endpoint, InstanceLabel, PodRecord, Registered, Set, Snapshot, hash, in_blocks};
use crate::txt::Text;
use crate::zones::{RrSet, Zone};

/// How often a place to begin at is drawn: where every tenth endpoint is a record, one of a thousand clients is left
/// without a draw that is one.
const DRAWS_MAX: u64 = 64;

/// The most instances without room for a name that a query looks at. Below an owner of more than 191 bytes some have none.
const UNFIT_MAX: usize = 32;

/// The records of an answer section, all of one type and one owner.
#[derive(Clone, Debug)]
pub enum Records<'s> {
    /// None.
    None,
    /// SRV records of endpoints.
    Srv(Members<'s>),
    /// TXT records of endpoints.
    Txt(Members<'s>),
    /// PTR records to the DNS-SD instances of endpoints.
    Instances {
        /// The endpoints.
        members: Members<'s>,
        /// The longest label that still makes a name below the owner.
        room: usize,
    },
    /// A or AAAA records of endpoints.
    Of {
        /// The endpoints.
        members: Members<'s>,
        /// A, not AAAA.
        is_v4: bool,
    },
    /// The SRV record of one DNS-SD instance.
    InstanceSrv {
        /// Its Pod.
        pod: &'s PodRecord,
        /// Its registrations, at least one.
        registered: SmallVec<[&'s Registered; 1]>,
    },
    /// The TXT record of one DNS-SD instance.
    InstanceTxt {
        /// Its Pod.
        pod: &'s PodRecord,
        /// Its registrations, at least one.
        registered: SmallVec<[&'s Registered; 1]>,
    },
    /// A and AAAA records.
    Addresses(Addresses),
    /// PTR records.
    Names(Vec<Name>),
    /// PTR records to what a namespace is browsed for.
    Interfaces {
        /// The namespace.
        namespace: &'s str,
        /// Who asks.
        client: IpAddr,
    },
    /// PTR records to a service's protocols and to `_rpc`.
    Protocols {
        /// The service.
        service: &'s Service,
        /// Its registrations.
        set: &'s Set,
        /// Who asks.
        client: IpAddr,
    },
    /// The schema's version.
    Version,
    /// A zone's SOA.
    Soa(Soa<'s>),
    /// The NS records of the Pods' zone or of a reverse zone.
    Ns,
    /// What ANY is answered with (RFC 8482 §4.2).
    Hinfo,
    /// Records of a zone file.
    Static(&'s RrSet),
}

/// The SOA of a zone.
#[derive(Clone, Copy, Debug)]
pub enum Soa<'s> {
    /// Of the Pods' zone or of a reverse zone, by its origin.
    Pods(&'s Name),
    /// Of a static zone.
    Static(&'s Zone),
}

/// The data of one record.
#[derive(Clone, Debug)]
pub enum Rdata<'a> {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A service's place, at the target that the address spells.
    Srv {
        /// The weight.
        weight: u16,
        /// The port.
        port: u16,
        /// The address.
        target: IpAddr,
    },
    /// A registration's metadata.
    Txt(Text<'a>),
    /// A pointer to a label below the owner itself.
    Instance(InstanceLabel),
    /// A pointer to a name in wire form.
    Ptr(&'a [u8]),
    /// The schema's version, as TXT.
    Version,
    /// A zone's SOA.
    Soa(Soa<'a>),
    /// A server's name.
    Ns(&'a Name),
    /// What ANY is answered with.
    Hinfo,
    /// Data of a zone file, uncompressed.
    Raw(&'a RrSet, &'a [u8]),
}

impl Rdata<'_> {
    /// The address that an A or AAAA record holds.
    pub fn address(&self) -> Option<IpAddr> {
        match *self {
            Rdata::A(address) => Some(address.into()),
            Rdata::Aaaa(address) => Some(address.into()),
            Rdata::Raw(rrset, data) if rrset.rtype == Rtype::A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            Rdata::Raw(rrset, data) if rrset.rtype == Rtype::AAAA => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        }
    }
}

impl<'s> Records<'s> {
    /// Walks the records in order until there are no more or the visitor has enough.
    pub fn visit(&self, snapshot: &'s Snapshot, mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        match self {
            Records::None => ControlFlow::Continue(()),
            Records::Srv(members) => members.visit_srv(snapshot, each),
            Records::Txt(members) => members.visit_txt(snapshot, each),
            Records::Instances { members, room } => members.visit_instances(snapshot, *room, each),
            Records::Of { members, is_v4 } => members.visit_addresses(snapshot, *is_v4, each),
            Records::InstanceSrv { pod, registered } => {
                let socket = registered.first().and_then(|first| pod.socket(first));
                let weight = registered.iter().map(|one| one.weight).max().unwrap_or_default();
                socket.map_or(ControlFlow::Continue(()), |socket| {
                    each(Rdata::Srv { weight, port: socket.port(), target: socket.ip() })
                })
            }
            Records::InstanceTxt { pod, registered } => each(Rdata::Txt(Text { pod, registered: registered.clone() })),
            Records::Addresses(addresses) => addresses.iter().try_for_each(|address| each(of_address(*address))),
            Records::Names(names) => names.iter().try_for_each(|name| each(Rdata::Ptr(name.wire()))),
            Records::Interfaces { namespace, client } => {
                let from = turn(*client, 1, 1 << 32) as u32;
                let mut services = snapshot.interfaces_of(namespace.as_bytes(), from);
                services.try_for_each(|service| each(Rdata::Ptr(&service.plain_wire(&snapshot.settings.origin))))
            }
            Records::Protocols { service, set, client } => visit_protocols(snapshot, service, set, *client, each),
            Records::Version => each(Rdata::Version),
            Records::Soa(soa) => each(Rdata::Soa(*soa)),
            Records::Ns => snapshot.server_names().iter().try_for_each(|name| each(Rdata::Ns(name))),
            Records::Hinfo => each(Rdata::Hinfo),
            Records::Static(rrset) => rrset.records.iter().try_for_each(|rdata| each(Rdata::Raw(rrset, rdata))),
        }
    }
}

/// `_<protocol>._tcp` names of a service by their labels, `_rpc._tcp` behind them, from the client's turn.
fn visit_protocols(
    snapshot: &Snapshot,
    service: &Service,
    set: &Set,
    client: IpAddr,
    mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let service = service.plain_wire(&snapshot.settings.origin);
    let (before, after) = set.protocols_at(turn(client, 1, set.protocol_count() + 1));
    after.chain(std::iter::once("rpc")).chain(before).try_for_each(|protocol| {
        let mut name: SmallVec<[u8; 256]> = SmallVec::new();
        name.extend_from_slice(&[1 + protocol.len() as u8, b'_']);
        name.extend_from_slice(protocol.as_bytes());
        name.extend_from_slice(b"\x04_tcp");
        name.extend_from_slice(&service);
        each(Rdata::Ptr(&name))
    })
}

fn of_address(address: IpAddr) -> Rdata<'static> {
    match address {
        IpAddr::V4(address) => Rdata::A(address),
        IpAddr::V6(address) => Rdata::Aaaa(address),
    }
}

/// The ready endpoints of a set that speak a protocol, from where the client's turn begins.
#[derive(Clone, Copy, Debug)]
pub struct Members<'s> {
    set: &'s Set,
    /// None where every endpoint will do.
    protocol: Option<&'s str>,
    client: IpAddr,
}

impl<'s> Members<'s> {
    /// Those of a protocol that the set has, or of any.
    pub(super) fn new(set: &'s Set, protocol: Option<&'s str>, client: IpAddr) -> Members<'s> {
        let ready = protocol.and_then(|protocol| set.ready(protocol.as_bytes()));
        let is_every = ready.is_some_and(|(_, ready)| ready == set.endpoints().len());
        Members { set, protocol: protocol.filter(|_| !is_every), client }
    }

    /// Whether none is ready.
    pub fn is_empty(&self) -> bool {
        match self.protocol.and_then(|protocol| self.set.ready(protocol.as_bytes())) {
            Some((_, ready)) => ready == 0,
            None => self.set.endpoints().is_empty(),
        }
    }

    /// Whether each is one IPv4 address.
    pub(super) fn are_sole_ipv4(&self) -> bool {
        self.set.endpoints().are_sole_ipv4()
    }

    /// The endpoints in the client's order; those of one target and port are neighbours.
    pub fn iter(&self, snapshot: &'s Snapshot) -> impl Iterator<Item = &'s Endpoint> + use<'s> {
        let Members { set, protocol, .. } = *self;
        let speaks = move |endpoint: &&Endpoint| protocol.is_none_or(|protocol| speaks(snapshot, endpoint, protocol));
        set.endpoints().iter_from(self.start(snapshot)).filter(speaks)
    }

    /// Where the client's turn begins, by a hash of the client: at one of the SRV records, each as likely as any other.
    ///
    /// Where not every endpoint is a record of its own, a place is drawn until there is one: a large set is not counted
    /// through for each question. Where records are that rare, the next one is taken.
    fn start(&self, snapshot: &Snapshot) -> usize {
        let endpoints = self.set.endpoints();
        let len = endpoints.len();
        if self.protocol.is_none() && endpoints.places() == len {
            return turn(self.client, 1, len);
        }
        let drawn = |draw| turn(self.client, draw, len);
        let begins = |at: &usize| self.begins_record(snapshot, *at);
        let found = (1..=DRAWS_MAX).map(drawn).find(begins);
        found.or_else(|| self.places_of_members(snapshot, drawn(DRAWS_MAX)).find(begins)).unwrap_or(0)
    }

    /// The places of members from one place to the end, in one walk.
    fn places_of_members(&self, snapshot: &Snapshot, from: usize) -> impl Iterator<Item = usize> {
        let endpoints = self.set.endpoints();
        let is_member = |endpoint: &Endpoint| self.protocol.is_none_or(|protocol| speaks(snapshot, endpoint, protocol));
        let here = endpoints.iter_from(from).zip(from..endpoints.len());
        here.filter(move |(endpoint, _)| is_member(endpoint)).map(|(_, place)| place)
    }

    /// Whether the endpoint at a place is a member, and the first one of its target and port.
    fn begins_record(&self, snapshot: &Snapshot, at: usize) -> bool {
        let endpoints = self.set.endpoints();
        let is_member = |endpoint: &Endpoint| self.protocol.is_none_or(|protocol| speaks(snapshot, endpoint, protocol));
        let Some(endpoint) = endpoints.get(at).filter(|endpoint| is_member(endpoint)) else { return false };
        let before =
            (0..at).rev().map_while(|at| endpoints.get(at)).take_while(|before| before.is_same_place(endpoint));
        !before.into_iter().any(is_member)
    }

    /// One record a target and port; of several registrations there the largest weight.
    fn visit_srv(&self, snapshot: &'s Snapshot, mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut members = self.iter(snapshot).peekable();
        while let Some(first) = members.next() {
            let mut weight = first.weight();
            while let Some(same) = members.next_if(|next| next.is_same_place(first)) {
                weight = weight.max(same.weight());
            }
            let Some(target) = target_of(snapshot, first) else { continue };
            each(Rdata::Srv { weight, port: first.port(), target })?;
        }
        ControlFlow::Continue(())
    }

    /// One record a registration, but those of one Pod and place that say the same are one: a set holds no record twice
    /// (RFC 2181 §5).
    fn visit_txt(&self, snapshot: &'s Snapshot, mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut seen = HashSet::new();
        let mut last: Option<&Endpoint> = None;
        let mut members = self.iter(snapshot).peekable();
        while let Some(endpoint) = members.next() {
            let Some((pod, registered)) = snapshot.registered(endpoint) else { continue };
            let is_same = |other: Option<&Endpoint>| other.is_some_and(|other| other.is_same_place(endpoint));
            let is_first = !is_same(last.replace(endpoint));
            if is_first {
                seen.clear();
            }
            // What stands alone at its place, the rule, repeats nothing.
            let is_alone = is_first && !is_same(members.peek().copied());
            if !is_alone && !seen.insert((endpoint.pod(), registered.service().alias, registered.published())) {
                continue;
            }
            each(Rdata::Txt(Text { pod, registered: std::iter::once(registered).collect() }))?;
        }
        ControlFlow::Continue(())
    }

    fn visit_instances(
        &self,
        snapshot: &'s Snapshot,
        room: usize,
        mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut seen = HashSet::new();
        let mut unfit = 0;
        for (pod, registered) in in_blocks(self.iter(snapshot), |endpoint| snapshot.registered(endpoint)) {
            match InstanceLabel::of(pod, registered) {
                Some(label) if label.as_bytes().len() > room => {
                    unfit += 1;
                    if unfit == UNFIT_MAX {
                        break;
                    }
                }
                Some(label) if seen.insert(label.clone()) => each(Rdata::Instance(label))?,
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    /// The distinct addresses; endpoints of one IPv4 address each, the rule, are distinct if their neighbours are.
    fn visit_addresses(
        &self,
        snapshot: &'s Snapshot,
        is_v4: bool,
        mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut seen = HashSet::new();
        let mut first: Option<&Endpoint> = None;
        let mut last: Option<&Endpoint> = None;
        let is_plain = snapshot.wide_targets.is_empty();
        for endpoint in self.iter(snapshot) {
            let is_same = |other: Option<&Endpoint>| other.is_some_and(|other| other.is_same_target(endpoint));
            let is_repeated = is_plain && (is_same(last) || is_same(first));
            first = first.or(Some(endpoint));
            last = Some(endpoint);
            if is_repeated {
                continue;
            }
            for address in snapshot.addresses_of(endpoint) {
                if address.is_ipv4() == is_v4 && (is_plain || seen.insert(address)) {
                    each(of_address(address))?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The address that an endpoint's target is spelt from.
fn target_of(snapshot: &Snapshot, endpoint: &Endpoint) -> Option<IpAddr> {
    match endpoint.sole_ipv4() {
        Some(address) => Some(address.into()),
        None => snapshot.addresses_of(endpoint).first().copied(),
    }
}

/// Where the order of a set's records begins for a client, by one draw.
fn turn(client: IpAddr, draw: u64, len: usize) -> usize {
    let turn = match client {
        IpAddr::V4(address) => hash(draw, &address.octets()),
        IpAddr::V6(address) => hash(draw, &address.octets()),
    };
    (turn % len.max(1) as u64) as usize
}

/// Whether an endpoint speaks a protocol, by its mark and then by its registration.
fn speaks(snapshot: &Snapshot, endpoint: &Endpoint, protocol: &str) -> bool {
    endpoint.may_speak(protocol)
        && snapshot
            .registered(endpoint)
            .is_some_and(|(_, one)| one.protocol_label().is_some_and(|label| **label == *protocol))
}
