//! The records of an answer section. A visitor walks them in order; nothing collects them first.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

use smallvec::SmallVec;

use crate::dns::{Name, Rtype};
use crate::name::{ANY_PROTOCOL, Service, append_protocol};
use crate::snapshot::{Addresses, Endpoint, InstanceLabel, PodRecord, Registered, Set, Snapshot, hash, in_blocks};
use crate::txt::TxtRecord;
use crate::zones::{RrSet, Zone};

/// The most draws for the endpoint to begin at. If every tenth endpoint begins a record, 64 draws miss for one client in
/// a thousand.
const DRAWS_MAX: u64 = 64;

/// The most instances with too long a name that one query skips. Below an owner name of more than 191 bytes some names are
/// too long.
const UNFIT_MAX: usize = 32;

/// The records of an answer section, all of one type and one owner name.
#[derive(Clone, Debug)]
pub enum Records<'s> {
    /// No records.
    None,
    /// SRV records of endpoints.
    Srv(Members<'s>),
    /// TXT records of endpoints.
    Txt(Members<'s>),
    /// PTR records to the DNS-SD instances of endpoints.
    Instances {
        /// The endpoints.
        members: Members<'s>,
        /// The longest label, in bytes, that still fits below the owner name.
        room: usize,
    },
    /// A or AAAA records of endpoints.
    Of {
        /// The endpoints.
        members: Members<'s>,
        /// Whether they are A records; AAAA if not.
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
    /// PTR records to a namespace's interfaces, for DNS-SD browsing.
    Interfaces {
        /// The namespace.
        namespace: &'s str,
        /// The client's address: it decides the order.
        client: IpAddr,
    },
    /// PTR records to a service's protocols and to `_rpc`.
    Protocols {
        /// The service.
        service: &'s Service,
        /// Its registrations.
        set: &'s Set,
        /// The client's address: it decides the order.
        client: IpAddr,
    },
    /// The schema's version.
    Version,
    /// A zone's SOA.
    Soa(ZoneSoa<'s>),
    /// The NS records of the Pods' zone or of a reverse zone.
    Ns,
    /// HINFO, the answer to ANY (RFC 8482 §4.2).
    Hinfo,
    /// Records of a zone file.
    Static(&'s RrSet),
}

/// The SOA of a zone.
#[derive(Clone, Copy, Debug)]
pub enum ZoneSoa<'s> {
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
    /// A service's port, at the target name that stands for the address.
    Srv {
        /// The weight.
        weight: u16,
        /// The port.
        port: u16,
        /// The address.
        target: IpAddr,
    },
    /// A registration's metadata.
    Txt(TxtRecord<'a>),
    /// A pointer to a label below the owner itself.
    Instance(InstanceLabel),
    /// A pointer to a name in wire form.
    Ptr(&'a [u8]),
    /// The schema's version, as TXT.
    Version,
    /// A zone's SOA.
    Soa(ZoneSoa<'a>),
    /// A name server's name.
    Ns(&'a Name),
    /// HINFO, the answer to ANY.
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
    /// Walks the records in order, to the last one or until the visitor breaks.
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
            Records::InstanceTxt { pod, registered } => {
                each(Rdata::Txt(TxtRecord { pod, registered: registered.clone() }))
            }
            Records::Addresses(addresses) => addresses.iter().try_for_each(|address| each(of_address(*address))),
            Records::Names(names) => names.iter().try_for_each(|name| each(Rdata::Ptr(name.wire()))),
            Records::Interfaces { namespace, client } => {
                let from = draw_start(*client, 1, 1 << 32) as u32;
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

/// Visits the `_<protocol>._tcp` names of a service in label order, then `_rpc._tcp`. The client's turn decides where the
/// walk begins.
fn visit_protocols(
    snapshot: &Snapshot,
    service: &Service,
    set: &Set,
    client: IpAddr,
    mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let service = service.plain_wire(&snapshot.settings.origin);
    let (before, after) = set.protocols_at(draw_start(client, 1, set.protocol_count() + 1));
    after.chain(std::iter::once(ANY_PROTOCOL)).chain(before).try_for_each(|protocol| {
        let mut name: SmallVec<[u8; 256]> = SmallVec::new();
        append_protocol(&mut name, protocol);
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

/// The ready endpoints of a set that speak a protocol. The client's turn decides where a walk begins.
#[derive(Clone, Copy, Debug)]
pub struct Members<'s> {
    set: &'s Set,
    /// `None` if every endpoint is a member.
    protocol: Option<&'s str>,
    client: IpAddr,
}

impl<'s> Members<'s> {
    /// The endpoints of one of the set's protocols. `None` stands for all endpoints.
    pub(super) fn new(set: &'s Set, protocol: Option<&'s str>, client: IpAddr) -> Members<'s> {
        let ready = protocol.and_then(|protocol| set.ready(protocol.as_bytes()));
        let is_every = ready.is_some_and(|(_, ready)| ready == set.endpoints().len());
        Members { set, protocol: protocol.filter(|_| !is_every), client }
    }

    /// Whether there is no ready endpoint.
    pub fn is_empty(&self) -> bool {
        match self.protocol.and_then(|protocol| self.set.ready(protocol.as_bytes())) {
            Some((_, ready)) => ready == 0,
            None => self.set.endpoints().is_empty(),
        }
    }

    /// Whether every endpoint has one IPv4 address and no other.
    pub(super) fn are_sole_ipv4(&self) -> bool {
        self.set.endpoints().are_sole_ipv4()
    }

    /// The endpoints in the client's order. Those of one target and port are neighbours.
    pub fn iter(&self, snapshot: &'s Snapshot) -> impl Iterator<Item = &'s Endpoint> + use<'s> {
        let Members { set, protocol, .. } = *self;
        let speaks = move |endpoint: &&Endpoint| protocol.is_none_or(|protocol| speaks(snapshot, endpoint, protocol));
        set.endpoints().iter_from(self.start(snapshot)).filter(speaks)
    }

    /// The position of the SRV record that a walk begins at, chosen by a hash of the client's address. Each record is
    /// equally likely.
    ///
    /// If several endpoints may share a record, this draws positions until one begins a record, so that no query counts
    /// a large set. If no draw does, it takes the next position that begins one.
    fn start(&self, snapshot: &Snapshot) -> usize {
        let endpoints = self.set.endpoints();
        let len = endpoints.len();
        if self.protocol.is_none() && endpoints.socket_count() == len {
            return draw_start(self.client, 1, len);
        }
        let drawn = |draw| draw_start(self.client, draw, len);
        let begins = |at: &usize| self.begins_record(snapshot, *at);
        let found = (1..=DRAWS_MAX).map(drawn).find(begins);
        found.or_else(|| self.member_indexes(snapshot, drawn(DRAWS_MAX)).find(begins)).unwrap_or(0)
    }

    /// The positions of members, from one position to the end, in one walk.
    fn member_indexes(&self, snapshot: &Snapshot, from: usize) -> impl Iterator<Item = usize> {
        let endpoints = self.set.endpoints();
        let is_member = |endpoint: &Endpoint| self.protocol.is_none_or(|protocol| speaks(snapshot, endpoint, protocol));
        let here = endpoints.iter_from(from).zip(from..endpoints.len());
        here.filter(move |(endpoint, _)| is_member(endpoint)).map(|(_, place)| place)
    }

    /// Whether the endpoint at a position is a member, and the first one of its target and port.
    fn begins_record(&self, snapshot: &Snapshot, at: usize) -> bool {
        let endpoints = self.set.endpoints();
        let is_member = |endpoint: &Endpoint| self.protocol.is_none_or(|protocol| speaks(snapshot, endpoint, protocol));
        let Some(endpoint) = endpoints.get(at).filter(|endpoint| is_member(endpoint)) else { return false };
        let before =
            (0..at).rev().map_while(|at| endpoints.get(at)).take_while(|before| before.is_same_socket(endpoint));
        !before.into_iter().any(is_member)
    }

    /// Visits one SRV record for each target and port. Its weight is the largest of the registrations there.
    fn visit_srv(&self, snapshot: &'s Snapshot, mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut members = self.iter(snapshot).peekable();
        while let Some(first) = members.next() {
            let mut weight = first.weight();
            while let Some(same) = members.next_if(|next| next.is_same_socket(first)) {
                weight = weight.max(same.weight());
            }
            let Some(target) = target_of(snapshot, first) else { continue };
            each(Rdata::Srv { weight, port: first.port(), target })?;
        }
        ControlFlow::Continue(())
    }

    /// Visits one TXT record for each registration. Equal ones of one Pod, target and port become one record: an RRset
    /// holds no record twice (RFC 2181 §5).
    fn visit_txt(&self, snapshot: &'s Snapshot, mut each: impl FnMut(Rdata<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut seen = HashSet::new();
        let mut last: Option<&Endpoint> = None;
        let mut members = self.iter(snapshot).peekable();
        while let Some(endpoint) = members.next() {
            let Some((pod, registered)) = snapshot.registered(endpoint) else { continue };
            let is_same = |other: Option<&Endpoint>| other.is_some_and(|other| other.is_same_socket(endpoint));
            let is_first = !is_same(last.replace(endpoint));
            if is_first {
                seen.clear();
            }
            // Most endpoints are alone at their target and port, and cannot repeat a record.
            let is_alone = is_first && !is_same(members.peek().copied());
            if !is_alone && !seen.insert((endpoint.pod(), registered.service().alias, registered.published())) {
                continue;
            }
            each(Rdata::Txt(TxtRecord { pod, registered: std::iter::once(registered).collect() }))?;
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

    /// Visits the distinct addresses. If each endpoint has one address, equal ones are neighbours, so the last and the
    /// first address are all that it compares with.
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

/// The address that stands in an endpoint's target name.
fn target_of(snapshot: &Snapshot, endpoint: &Endpoint) -> Option<IpAddr> {
    match endpoint.sole_ipv4() {
        Some(address) => Some(address.into()),
        None => snapshot.addresses_of(endpoint).first().copied(),
    }
}

/// One draw of the position at which a client's walk over a set begins.
fn draw_start(client: IpAddr, draw: u64, len: usize) -> usize {
    let turn = match client {
        IpAddr::V4(address) => hash(draw, &address.octets()),
        IpAddr::V6(address) => hash(draw, &address.octets()),
    };
    (turn % len.max(1) as u64) as usize
}

/// Whether an endpoint speaks a protocol. The mark in the endpoint rules out most; the registration decides.
fn speaks(snapshot: &Snapshot, endpoint: &Endpoint, protocol: &str) -> bool {
    endpoint.may_speak(protocol)
        && snapshot
            .registered(endpoint)
            .is_some_and(|(_, one)| one.protocol_label().is_some_and(|label| **label == *protocol))
}
