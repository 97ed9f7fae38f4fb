//! Composes replies from answers.

mod rdata;

use std::net::IpAddr;
use std::ops::ControlFlow;

use smallvec::SmallVec;

use crate::answer::{self, Answer, Authority, Link, Rdata, Records, ZoneSoa};
use crate::dns::{Name, Rcode, Rtype};
use crate::snapshot::Snapshot;
use crate::zones::{Referral, RrSet};

use super::compose::{Composer, MessageFull, Offset, OwnerName, Section};
use super::edns::{EdnsTail, RECORD_HEAD_LEN, ServerOptions};
use super::query::{Edns, Malformed, Query};
use super::{HEADER_LEN, TCP_LEN_MAX, UDP_LEN_MAX, UDP_LEN_MIN};

use rdata::append_soa;

const FLAG_QR: u16 = 0x8000;
const FLAG_AA: u16 = 0x0400;
const FLAG_TC: u16 = 0x0200;
const FLAG_RD: u16 = 0x0100;

/// The bytes before the target in SRV data: priority, weight and port (RFC 2782).
const SRV_HEAD_LEN: usize = 6;

/// A transport's limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest message in bytes.
    pub len_max: usize,
    /// Whether a cut answer sets TC. Over TCP the client has no other transport to try, and older Go fails on the bit.
    pub marks_cut: bool,
    /// Whether a query with padding gets a reply with padding (RFC 7830 §4). A reply that anyone can read has none.
    pub pads: bool,
}

impl Limits {
    /// The limits of UDP, for a client with this EDNS.
    pub fn udp(edns: Option<Edns>) -> Limits {
        let offered = edns.map_or(UDP_LEN_MIN, |edns| edns.udp_len_max);
        Limits { len_max: offered.min(UDP_LEN_MAX), marks_cut: true, pads: false }
    }

    /// The limits of TCP.
    pub fn tcp() -> Limits {
        Limits { len_max: TCP_LEN_MAX, marks_cut: false, pads: false }
    }

    /// The limits of TLS, HTTPS and QUIC.
    pub fn encrypted() -> Limits {
        Limits { pads: true, ..Limits::tcp() }
    }
}

/// What a reply was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The response code, the extended part included.
    pub rcode: Rcode,
    /// Whether records of the answer did not fit.
    pub is_cut: bool,
    /// The number of seconds for which a cache may keep the reply (RFC 8484 §5.1): the smallest TTL of its answer section,
    /// the TTL of its SOA record if it has no answers, or 0 if it has neither.
    pub ttl: u32,
}

/// Appends the reply to a query. An RRset of a zone file that fits into no message gets SERVFAIL: a part of it would pass for
/// the whole.
pub fn reply<'s>(
    query: &Query<'_>,
    answer: &Answer<'s>,
    snapshot: &'s Snapshot,
    limits: Limits,
    own: ServerOptions<'_>,
    out: &mut Vec<u8>,
) -> Outcome {
    let mut tail = EdnsTail {
        edns: query.edns,
        rcode: answer.rcode,
        own,
        error: query.edns.and(answer.error).map(|error| error.0),
        padding: None,
        signature: query.signature.map(|signature| (signature, query.id)),
    };
    // The names of key and algorithm may be as long as the question's. If their refusal does not fit, the client asks
    // again over TCP.
    let room = limits.len_max.saturating_sub(HEADER_LEN + query.question.len());
    let is_signature_cut = tail.signature.is_some() && tail.len() > room;
    if is_signature_cut {
        tail.signature = None;
    }
    let start = out.len();
    let composer = Composer::begin(out, query.question, limits.len_max - tail.len());
    let mut writer = ReplyWriter { composer, snapshot, question: query.question, targets: SmallVec::new(), ttl: None };
    let is_unfit = writer.sections(answer).is_err();
    if is_unfit && !limits.marks_cut && matches!(answer.records, Records::Static(_)) {
        out.truncate(start);
        let failure = answer::failure(Rcode::SERVFAIL, None);
        return Outcome { is_cut: true, ..reply(query, &failure, snapshot, limits, own, out) };
    }
    let is_cut = is_unfit || is_signature_cut;
    let mut flags = FLAG_QR | (answer.rcode.0 & 0xf);
    flags |= if answer.is_authoritative { FLAG_AA } else { 0 };
    flags |= if is_cut && limits.marks_cut { FLAG_TC } else { 0 };
    flags |= if query.is_recursion_desired { FLAG_RD } else { 0 };
    let ttl = writer.ttl.unwrap_or_default();
    finish(writer.composer, tail, limits, query.id, flags);
    Outcome { rcode: answer.rcode, is_cut, ttl }
}

/// Completes a message, and pads it if its query has padding and its transport hides it.
fn finish(composer: Composer<'_>, mut tail: EdnsTail<'_>, limits: Limits, id: u16, flags: u16) {
    if limits.pads && tail.edns.is_some_and(|edns| edns.wants_padding) {
        tail.pad(composer.len(), limits.len_max);
    }
    composer.finish(id, flags, |out| tail.append(out));
}

impl Query<'_> {
    /// Appends an empty reply that sends the client to TCP.
    pub fn reply_cut(&self, limits: Limits, own: ServerOptions<'_>, out: &mut Vec<u8>) -> Outcome {
        let rcode = Rcode::NOERROR;
        let tail = EdnsTail { edns: self.edns, rcode, own, error: None, padding: None, signature: None };
        let flags = FLAG_QR | FLAG_TC | if self.is_recursion_desired { FLAG_RD } else { 0 };
        finish(Composer::begin(out, self.question, limits.len_max), tail, limits, self.id, flags);
        Outcome { rcode, is_cut: true, ttl: 0 }
    }
}

impl Malformed<'_> {
    /// Appends the reply: the code, the question if there was one, and no records.
    pub fn reply(&self, limits: Limits, own: ServerOptions<'_>, out: &mut Vec<u8>) -> Outcome {
        let tail = EdnsTail { edns: self.edns, rcode: self.rcode, own, error: None, padding: None, signature: None };
        let mut flags = FLAG_QR | u16::from(self.opcode) << 11 | (self.rcode.0 & 0xf);
        flags |= if self.is_recursion_desired { FLAG_RD } else { 0 };
        finish(Composer::begin(out, self.question, limits.len_max), tail, limits, self.id, flags);
        Outcome { rcode: self.rcode, is_cut: false, ttl: 0 }
    }
}

/// Writes the sections of one message.
struct ReplyWriter<'b, 's> {
    composer: Composer<'b>,
    snapshot: &'s Snapshot,
    question: &'b [u8],
    /// The distinct targets of the SRV records written so far.
    targets: SmallVec<[Target; 32]>,
    /// See [`Outcome::ttl`].
    ttl: Option<u32>,
}

/// An SRV record's target.
#[derive(Clone, Copy)]
struct Target {
    /// The address that its name stands for.
    address: IpAddr,
    /// The offset of its name.
    offset: Offset,
    /// The length of its name in bytes.
    name_len: usize,
}

/// The owner name of the records that follow: the last alias's target, or `None` for the question's name.
type Current<'n> = Option<(Offset, &'n Name)>;

impl<'b, 's> ReplyWriter<'b, 's> {
    /// Writes all sections. Returns an error if part of the answer does not fit.
    fn sections(&mut self, answer: &Answer<'s>) -> Result<(), MessageFull> {
        let current = self.links(answer)?;
        let start = self.composer.len();
        let written = self.records(&answer.records, current);
        if self.composer.len() > start {
            self.expires_in(ttl_of(&answer.records, self.snapshot));
        }
        if let Err(full) = written {
            self.targets_glue();
            return Err(full);
        }
        match answer.authority {
            Authority::None => {}
            Authority::Soa(soa) => self.authority_soa(soa)?,
            Authority::Referral(ref referral) => return self.referral(referral),
        }
        self.targets_glue();
        self.names_glue(&answer.records);
        Ok(())
    }

    /// Lowers the reply's TTL to that of a record.
    fn expires_in(&mut self, ttl: u32) {
        self.ttl = Some(self.ttl.map_or(ttl, |least| least.min(ttl)));
    }

    /// Writes the alias chain. Returns the name at its end.
    fn links<'n>(&mut self, answer: &'n Answer<'s>) -> Result<Current<'n>, MessageFull> {
        let mut current: Current<'n> = None;
        for link in &answer.links {
            let (target, ttl) = match link {
                Link::Cname { rrset, target } => (Some(target), rrset.ttl),
                Link::Dname { owner, rrset, is_repeated, target } => {
                    rrset.records.iter().filter(|_| !is_repeated).try_for_each(|data| {
                        let owner = self.ancestor(owner);
                        self.composer
                            .record(owner, Rtype::DNAME, rrset.ttl, |out| out.extend_from_slice(data))
                            .map(drop)
                    })?;
                    (target.as_ref(), rrset.ttl)
                }
            };
            self.expires_in(ttl);
            let Some(target) = target else { return Ok(current) };
            let owner = owner_of(current);
            let offset = self.composer.record(owner, Rtype::CNAME, ttl, |out| out.extend_from_slice(target.wire()))?;
            current = Some((offset, target));
        }
        Ok(current)
    }

    /// Writes the whole answer section, or the longest run of records that fits together with its glue.
    fn records(&mut self, records: &Records<'s>, current: Current<'_>) -> Result<(), MessageFull> {
        let checkpoint = self.composer.checkpoint();
        if self.run(records, current, false).is_continue() {
            return Ok(());
        }
        // A run without SRV targets has no glue, so it is already the longest.
        if !self.targets.is_empty() {
            self.composer.roll_back(checkpoint);
            self.targets.clear();
            let _ = self.run(records, current, true);
        }
        Err(MessageFull)
    }

    /// Writes records until one does not fit. With `with_glue`, a record fits only if the glue so far and its own fit too.
    fn run(&mut self, records: &Records<'s>, current: Current<'_>, with_glue: bool) -> ControlFlow<()> {
        let snapshot = self.snapshot;
        let ttl = ttl_of(records, snapshot);
        let mut glue_len = 0;
        records.visit(snapshot, |rdata| {
            let before = self.composer.checkpoint();
            let Ok(offset) = self.record(&rdata, ttl, current) else { return ControlFlow::Break(()) };
            let Rdata::Srv { target, .. } = rdata else { return ControlFlow::Continue(()) };
            let offset = offset.plus(SRV_HEAD_LEN);
            let target = Target { address: target, offset, name_len: self.composer.len_from(offset) };
            let is_known = |known: Option<&Target>| known.is_some_and(|known| known.address == target.address);
            // Endpoints of one target are neighbours, except where the walk wraps from the set's end to its start.
            let is_new = !is_known(self.targets.last()) && !is_known(self.targets.first());
            glue_len += if with_glue && is_new { target.glue_len(snapshot) } else { 0 };
            if self.composer.space_left() < glue_len {
                self.composer.roll_back(before);
                return ControlFlow::Break(());
            }
            if is_new {
                self.targets.push(target);
            }
            ControlFlow::Continue(())
        })
    }

    fn authority_soa(&mut self, soa: ZoneSoa<'_>) -> Result<(), MessageFull> {
        self.composer.section(Section::Authority);
        let (origin, ttl) = match soa {
            ZoneSoa::Pods(origin) => (origin, self.snapshot.settings.negative_ttl),
            ZoneSoa::Static(zone) => (zone.origin(), zone.soa().ttl.min(zone.soa().minimum)),
        };
        self.ttl = self.ttl.or(Some(ttl));
        let owner = self.ancestor(origin);
        let snapshot = self.snapshot;
        self.composer.record(owner, Rtype::SOA, ttl, |out| append_soa(out, soa, snapshot)).map(drop)
    }

    /// Writes a referral. It needs its NS records and all glue within the delegated zone (RFC 9471). It holds other glue if
    /// that fits.
    fn referral(&mut self, referral: &Referral<'s>) -> Result<(), MessageFull> {
        self.composer.section(Section::Authority);
        for data in &referral.ns.records {
            let owner = self.ancestor(referral.cut);
            self.composer.record(owner, Rtype::NS, referral.ns.ttl, |out| out.extend_from_slice(data))?;
        }
        self.composer.section(Section::Additional);
        for glue in referral.glue() {
            let checkpoint = self.composer.checkpoint();
            let mut sets = glue.a.into_iter().chain(glue.aaaa);
            let written = sets.try_for_each(|rrset| self.rrset(&glue.owner, rrset));
            if glue.in_domain {
                written?;
            } else if written.is_err() {
                self.composer.roll_back(checkpoint);
            }
        }
        Ok(())
    }

    fn rrset(&mut self, owner: &Name, rrset: &RrSet) -> Result<(), MessageFull> {
        rrset.records.iter().try_for_each(|data| {
            let owner = OwnerName::Name(owner.wire());
            self.composer.record(owner, rrset.rtype, rrset.ttl, |out| out.extend_from_slice(data)).map(drop)
        })
    }

    /// Writes each target's A and AAAA in the answer's order, up to the first target that does not fit whole.
    fn targets_glue(&mut self) {
        self.composer.section(Section::Additional);
        let snapshot = self.snapshot;
        for target in std::mem::take(&mut self.targets) {
            let owner = OwnerName::Written(target.offset, target.name_len);
            let checkpoint = self.composer.checkpoint();
            let glue = answer::glue_of_target(snapshot, target.address);
            if glue.iter().any(|(address, ttl)| self.address(owner, *address, *ttl).is_err()) {
                self.composer.roll_back(checkpoint);
                return;
            }
        }
    }

    /// Writes the addresses of the names in NS, MX and SRV records of zone files and apexes. A name whose addresses do not
    /// fit has none.
    fn names_glue(&mut self, records: &Records<'s>) {
        self.composer.section(Section::Additional);
        let names: Vec<Name> = match records {
            Records::Ns => self.snapshot.server_names(),
            Records::Static(rrset) if matches!(rrset.rtype, Rtype::NS | Rtype::MX | Rtype::SRV) => {
                let mut names: Vec<Name> = Vec::new();
                rrset.targets().for_each(|name| {
                    if !names.contains(&name) {
                        names.push(name)
                    }
                });
                names
            }
            _ => return,
        };
        for name in names {
            let checkpoint = self.composer.checkpoint();
            let glue = answer::glue_of_name(self.snapshot, &name);
            let mut addresses = glue.iter();
            if addresses.any(|(address, ttl)| self.address(OwnerName::Name(name.wire()), *address, *ttl).is_err()) {
                self.composer.roll_back(checkpoint);
            }
        }
    }

    fn address(&mut self, owner: OwnerName<'_>, address: IpAddr, ttl: u32) -> Result<(), MessageFull> {
        let composer = &mut self.composer;
        let offset = match address {
            IpAddr::V4(address) => {
                composer.record(owner, Rtype::A, ttl, |out| out.extend_from_slice(&address.octets()))
            }
            IpAddr::V6(address) => {
                composer.record(owner, Rtype::AAAA, ttl, |out| out.extend_from_slice(&address.octets()))
            }
        };
        offset.map(drop)
    }

    /// A pointer into the question's name if it ends in this name, or the name in full.
    fn ancestor<'n>(&self, name: &'n Name) -> OwnerName<'n> {
        let question = &self.question[..self.question.len() - 4];
        match question.len().checked_sub(name.wire().len()) {
            Some(skipped) if question[skipped..].eq_ignore_ascii_case(name.wire()) => OwnerName::Question(skipped),
            _ => OwnerName::Name(name.wire()),
        }
    }
}

fn owner_of(current: Current<'_>) -> OwnerName<'_> {
    current.map_or(OwnerName::Question(0), |(offset, name)| OwnerName::Written(offset, name.wire().len()))
}

fn ttl_of(records: &Records<'_>, snapshot: &Snapshot) -> u32 {
    match records {
        Records::Static(rrset) => rrset.ttl,
        Records::Soa(ZoneSoa::Static(zone)) => zone.soa().ttl,
        _ => snapshot.settings.ttl,
    }
}

impl Target {
    /// The bytes of its glue.
    fn glue_len(&self, snapshot: &Snapshot) -> usize {
        let head = self.offset.owner_len(self.name_len) + RECORD_HEAD_LEN;
        let glue = answer::glue_of_target(snapshot, self.address);
        glue.iter().map(|(address, _)| head + if address.is_ipv4() { 4 } else { 16 }).sum()
    }
}
