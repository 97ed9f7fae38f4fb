//! An answer's facts become hickory's records.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

use callsign::answer::{self, Answer, Authority, Link, Rdata, Records, ZoneSoa};
use callsign::dns::{Name, Rtype};
use callsign::name::TargetLabel;
use callsign::snapshot::Snapshot;
use callsign::wire::TCP_LEN_MAX;
use callsign::zones::{Referral, RrSet};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HINFO, NS, NULL, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{RData, Record, RecordType};

use super::{Owner, Part, Section, hickory_name, record};

/// What a record takes at the least beside its data: a pointer, type, class, TTL and the data's length.
const RECORD_LEN_MIN: usize = 12;

/// An answer's records, in the order in which they are written.
pub(super) struct Gathered<'q, 's> {
    question: &'q [u8],
    snapshot: &'s Snapshot,
    pub parts: Vec<Part>,
    /// Where the aliases lead.
    current: Option<Name>,
}

impl<'q, 's> Gathered<'q, 's> {
    pub fn new(question: &'q [u8], snapshot: &'s Snapshot) -> Gathered<'q, 's> {
        Gathered { question, snapshot, parts: Vec::new(), current: None }
    }

    /// All records; none where one is more than hickory can hold, and then those before it.
    pub fn gather(&mut self, answer: &Answer<'s>) -> Option<()> {
        for link in &answer.links {
            let (rrset, target) = match link {
                Link::Cname { rrset, target } => (rrset, Some(target)),
                Link::Dname { owner, rrset, is_repeated, target } => {
                    if !is_repeated {
                        self.rrset(Section::Answer, owner, rrset)?;
                    }
                    (rrset, target.as_ref())
                }
            };
            let Some(target) = target else { return Some(()) };
            self.answer_record(rrset.ttl, RData::CNAME(CNAME(hickory_name(target.wire())?)), None, false)?;
            self.current = Some(target.clone());
        }
        self.records(&answer.records)?;
        match &answer.authority {
            Authority::None => {}
            Authority::Soa(soa) => self.authority_soa(*soa)?,
            Authority::Referral(referral) => self.referral(referral)?,
        }
        self.names_glue(&answer.records)
    }

    /// Every record that there could be room for, each first target with its glue.
    fn records(&mut self, records: &Records<'s>) -> Option<()> {
        let snapshot = self.snapshot;
        let ttl = match records {
            Records::Static(rrset) => rrset.ttl,
            Records::Soa(ZoneSoa::Static(zone)) => zone.soa().ttl,
            _ => snapshot.settings.ttl,
        };
        let mut targets = HashSet::new();
        let (mut is_whole, mut len_min) = (true, 0);
        let _ = records.visit(snapshot, |rdata| {
            let target = if let Rdata::Srv { target, .. } = rdata { Some(target) } else { None };
            let is_instance = matches!(rdata, Rdata::Instance(_)) && self.current.is_none();
            let data = self.rdata(&rdata);
            len_min += RECORD_LEN_MIN + data.as_ref().map_or(0, |data| data_len_min(data, snapshot));
            let added = data.and_then(|data| self.answer_record(ttl, data, target, is_instance));
            // No message holds more than this.
            is_whole = added.is_some() && len_min <= TCP_LEN_MAX;
            if let Some(target) = target
                && targets.insert(target)
                && let Some(part) = self.parts.last_mut()
            {
                part.glue = target_glue(snapshot, target).unwrap_or_default();
            }
            if is_whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        is_whole.then_some(())
    }

    fn rdata(&self, rdata: &Rdata<'_>) -> Option<RData> {
        Some(match rdata {
            Rdata::A(address) => RData::A(A(*address)),
            Rdata::Aaaa(address) => RData::AAAA(AAAA(*address)),
            Rdata::Srv { weight, port, target } => {
                RData::SRV(SRV::new(0, *weight, *port, hickory_name(target_name(self.snapshot, *target)?.wire())?))
            }
            Rdata::Txt(text) => {
                let mut strings = Vec::new();
                text.append_rdata(&mut strings);
                RData::TXT(TXT::from_bytes(character_strings(&strings)))
            }
            Rdata::Version => RData::TXT(TXT::from_bytes(vec![b"1.0.0"])),
            Rdata::Instance(label) => {
                let parent = Name::from_wire(self.current_wire()).ok()?;
                let name = Name::from_labels(std::iter::once(label.as_bytes()).chain(parent.labels())).ok()?;
                RData::PTR(PTR(hickory_name(name.wire())?))
            }
            Rdata::Ptr(wire) => RData::PTR(PTR(hickory_name(wire)?)),
            Rdata::Ns(name) => RData::NS(NS(hickory_name(name.wire())?)),
            Rdata::Soa(soa) => self.soa(*soa)?,
            Rdata::Hinfo => RData::HINFO(HINFO::new("RFC8482".into(), String::new())),
            Rdata::Raw(rrset, data) => opaque(rrset.rtype, data),
        })
    }

    fn soa(&self, soa: ZoneSoa<'_>) -> Option<RData> {
        let start = self.snapshot.start_of_authority();
        let (mname, rname, numbers) = match soa {
            ZoneSoa::Pods(_) => {
                let minimum = self.snapshot.settings.negative_ttl;
                let numbers = [self.snapshot.serial, start.refresh, start.retry, start.expire, minimum];
                (start.mname, start.rname, numbers)
            }
            ZoneSoa::Static(zone) => return Some(opaque(Rtype::SOA, &zone.soa().rdata)),
        };
        let [serial, refresh, retry, expire, minimum] = numbers;
        let (mname, rname) = (hickory_name(mname.wire())?, hickory_name(rname.wire())?);
        Some(RData::SOA(SOA::new(mname, rname, serial, refresh as i32, retry as i32, expire as i32, minimum)))
    }

    fn authority_soa(&mut self, soa: ZoneSoa<'_>) -> Option<()> {
        let (origin, ttl) = match soa {
            ZoneSoa::Pods(origin) => (origin, self.snapshot.settings.negative_ttl),
            ZoneSoa::Static(zone) => (zone.origin(), zone.soa().ttl.min(zone.soa().minimum)),
        };
        let record = (self.ancestor(origin), record(origin.wire(), ttl, self.soa(soa)?)?);
        self.parts.push(Part::required(Section::Authority, record));
        Some(())
    }

    /// The NS records, and the glue without which nobody finds their targets (RFC 9471); other glue as it fits.
    fn referral(&mut self, referral: &Referral<'s>) -> Option<()> {
        self.rrset(Section::Authority, referral.cut, referral.ns)?;
        for glue in referral.glue() {
            let mut records = Vec::new();
            for rrset in glue.a.into_iter().chain(glue.aaaa) {
                for data in &rrset.records {
                    let data = opaque(rrset.rtype, data);
                    records.push((Owner::New, record(glue.owner.wire(), rrset.ttl, data)?));
                }
            }
            if glue.in_domain {
                self.parts.extend(records.into_iter().map(|record| Part::required(Section::Additional, record)));
            } else {
                self.parts.push(Part::optional(records));
            }
        }
        Some(())
    }

    /// A set of a zone file, its owner at or above the question's name.
    fn rrset(&mut self, section: Section, owner: &Name, rrset: &RrSet) -> Option<()> {
        for data in &rrset.records {
            let record = record(owner.wire(), rrset.ttl, opaque(rrset.rtype, data))?;
            self.parts.push(Part::required(section, (self.ancestor(owner), record)));
        }
        Some(())
    }

    /// The addresses of the names that NS, MX and SRV records of zone files and apexes point to.
    fn names_glue(&mut self, records: &Records<'s>) -> Option<()> {
        let mut names: Vec<Name> = match records {
            Records::Ns => self.snapshot.server_names(),
            Records::Static(rrset) if matches!(rrset.rtype, Rtype::NS | Rtype::MX | Rtype::SRV) => {
                rrset.targets().collect()
            }
            _ => Vec::new(),
        };
        let mut seen = Vec::new();
        names.retain(|name| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
        for name in names {
            let glue = answer::glue_of_name(self.snapshot, &name).into_iter();
            let records = glue.map(|(address, ttl)| Some((Owner::New, address_record(name.wire(), ttl, address)?)));
            self.parts.push(Part::optional(records.collect::<Option<_>>()?));
        }
        Some(())
    }

    /// A record of the name that was asked for, or that the aliases lead to.
    fn answer_record(&mut self, ttl: u32, data: RData, target: Option<IpAddr>, is_instance: bool) -> Option<()> {
        let owner = if self.current.is_some() { Owner::Link } else { Owner::Question(0) };
        let record = record(self.current_wire(), ttl, data)?;
        self.parts.push(Part { target, is_instance, ..Part::required(Section::Answer, (owner, record)) });
        Some(())
    }

    fn current_wire(&self) -> &[u8] {
        self.current.as_ref().map_or(self.question, Name::wire)
    }

    /// A name above the question's is found in it.
    fn ancestor(&self, name: &Name) -> Owner {
        match self.question.len().checked_sub(name.wire().len()) {
            Some(skipped) if self.question[skipped..].eq_ignore_ascii_case(name.wire()) => Owner::Question(skipped),
            _ => Owner::New,
        }
    }
}

/// What the data of those records takes at the least of which there may be many.
fn data_len_min(data: &RData, snapshot: &Snapshot) -> usize {
    match data {
        RData::A(_) => 4,
        RData::AAAA(_) => 16,
        RData::SRV(_) => 6 + snapshot.settings.origin.wire().len(),
        RData::TXT(txt) => txt.txt_data.iter().map(|string| 1 + string.len()).sum(),
        // The name of an instance goes on with a pointer.
        RData::PTR(PTR(name)) => name.iter().next().map_or(0, |label| 1 + label.len() + 2),
        RData::Unknown { rdata, .. } => rdata.anything.len(),
        _ => 0,
    }
}

fn address_record(owner: &[u8], ttl: u32, address: IpAddr) -> Option<Record> {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    record(owner, ttl, data)
}

fn target_glue(snapshot: &Snapshot, target: IpAddr) -> Option<Vec<(Owner, Record)>> {
    let owner = target_name(snapshot, target)?;
    let glue = answer::glue_of_target(snapshot, target).into_iter();
    glue.map(|(address, ttl)| Some((Owner::Target(target), address_record(owner.wire(), ttl, address)?))).collect()
}

/// `<target>.p.Z`
fn target_name(snapshot: &Snapshot, target: IpAddr) -> Option<Name> {
    let label = TargetLabel::of(target);
    Name::from_labels([label.as_bytes(), b"p"].into_iter().chain(snapshot.settings.origin.labels())).ok()
}

/// Data of a zone file as it is (RFC 3597).
fn opaque(rtype: Rtype, data: &[u8]) -> RData {
    RData::Unknown { code: RecordType::from(rtype.0), rdata: NULL::with(data.to_vec()) }
}

/// The strings of a TXT record's data.
fn character_strings(mut data: &[u8]) -> Vec<&[u8]> {
    let mut strings = Vec::new();
    while let Some((len, rest)) = data.split_first()
        && let Some((string, rest)) = rest.split_at_checked(usize::from(*len))
    {
        strings.push(string);
        data = rest;
    }
    strings
}
