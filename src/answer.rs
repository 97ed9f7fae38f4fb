//! Answers a question from a snapshot, as facts and not as bytes.
//!
//! An [`Answer`] names the records of each section and their order. The composer (`wire`) finds out how many of them fit.
//! Pure: the same snapshot and question give the same answer.

mod pods;
mod records;
mod static_zones;

use std::net::IpAddr;

use smallvec::{SmallVec, smallvec};

use crate::dns::{Class, Name, NamePath, Rcode, Rtype};
use crate::name::TargetLabel;
use crate::snapshot::Snapshot;
use crate::zones::{Referral, RrSet, Zone};

pub use crate::snapshot::{Freshness, InstanceLabel};
pub use records::{Members, Rdata, Records, ZoneSoa};

/// The most links of an alias chain that an answer follows within our zones.
const LINKS_MAX: usize = 8;

/// A question, with what else decides its answer.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    /// The name, folded.
    pub name: &'q NamePath,
    /// The name in the query's letter case: a well-formed wire name.
    pub spelling: &'q [u8],
    /// The type.
    pub rtype: Rtype,
    /// The class.
    pub class: Class,
    /// The client's address. It decides which record of an RRset comes first.
    pub client: IpAddr,
    /// Whether the data about Pods is current.
    pub freshness: Freshness,
}

/// What to reply.
#[derive(Clone, Debug)]
pub struct Answer<'s> {
    /// The response code.
    pub rcode: Rcode,
    /// The AA bit.
    pub is_authoritative: bool,
    /// The aliases from the question's name to the records' owner name.
    pub links: SmallVec<[Link<'s>; 1]>,
    /// The records of the answer section after the links.
    pub records: Records<'s>,
    /// The authority section.
    pub authority: Authority<'s>,
    /// An extended error (RFC 8914).
    pub error: Option<ExtendedError>,
}

/// One step of an alias chain.
#[derive(Clone, Debug)]
pub enum Link<'s> {
    /// A CNAME record at the current name.
    Cname {
        /// The record.
        rrset: &'s RrSet,
        /// The canonical name.
        target: Name,
    },
    /// A DNAME record above the current name, and the CNAME synthesized from it (RFC 6672 §3.1).
    Dname {
        /// The DNAME's owner name.
        owner: &'s Name,
        /// The record.
        rrset: &'s RrSet,
        /// Whether an earlier link has the record: an answer holds no record twice (RFC 2181 §5).
        is_repeated: bool,
        /// The CNAME's target. `None` if it is longer than a name may be.
        target: Option<Name>,
    },
}

/// What the authority section says.
#[derive(Clone, Debug)]
pub enum Authority<'s> {
    /// Nothing.
    None,
    /// The zone's SOA, as every negative answer has it (RFC 2308).
    Soa(ZoneSoa<'s>),
    /// The servers of a delegated zone.
    Referral(Referral<'s>),
}

/// An extended error's code (RFC 8914 §5.2 and the IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError(pub u16);

impl ExtendedError {
    /// Stale Answer.
    pub const STALE: ExtendedError = ExtendedError(3);
    /// Not Ready.
    pub const NOT_READY: ExtendedError = ExtendedError(14);
    /// Prohibited.
    pub const PROHIBITED: ExtendedError = ExtendedError(18);
    /// Stale NXDOMAIN Answer.
    pub const STALE_NXDOMAIN: ExtendedError = ExtendedError(19);
    /// Not Authoritative.
    pub const NOT_AUTHORITATIVE: ExtendedError = ExtendedError(20);
    /// No Reachable Authority.
    pub const NO_REACHABLE_AUTHORITY: ExtendedError = ExtendedError(22);
}

/// The result of looking up one name, before its alias is followed.
enum Step<'s> {
    /// Records of the type.
    Records(Records<'s>),
    /// The name exists without records of this type.
    NoData(ZoneSoa<'s>),
    /// The name does not exist.
    NxDomain(ZoneSoa<'s>),
    /// The name is an alias.
    Link(Link<'s>),
    /// The name is delegated.
    Referral(Referral<'s>),
    /// No answer now: the first sync is not complete, or the data is too old.
    Unknown(ExtendedError),
}

/// The zone that a name is in.
enum Authoritative<'s> {
    Pods,
    Reverse(&'s Name),
    Static(&'s Zone),
}

/// Answers a question.
pub fn answer<'s>(snapshot: &'s Snapshot, question: &Question<'_>) -> Answer<'s> {
    match question.rtype {
        Rtype::OPT | Rtype::TKEY | Rtype::TSIG => return failure(Rcode::FORMERR, None), // no types of a question
        _ if question.class != Class::IN => return failure(Rcode::REFUSED, None),
        _ => {}
    }
    let Some(zone) = zone_of(snapshot, question.name, question.rtype) else {
        return failure(Rcode::REFUSED, Some(ExtendedError::NOT_AUTHORITATIVE));
    };
    if matches!(question.rtype, Rtype::AXFR | Rtype::IXFR) {
        return failure(Rcode::REFUSED, None);
    }
    follow(snapshot, question, zone)
}

/// Looks up the name, and follows its aliases while they lead into our zones.
fn follow<'s>(snapshot: &'s Snapshot, question: &Question<'_>, zone: Authoritative<'s>) -> Answer<'s> {
    let mut links = SmallVec::new();
    let mut next: Option<(NamePath, Name)> = None;
    let mut zone = Some(zone);
    let is_old = question.freshness == Freshness::Stale || snapshot.heard_at.is_some();
    let mut is_stale = false;
    while let Some(here) = zone.take() {
        let (name, spelling) =
            next.as_ref().map_or((question.name, question.spelling), |(path, name)| (path, name.wire()));
        let here_asked = Question { name, spelling, ..question.clone() };
        is_stale |= is_old && !matches!(here, Authoritative::Static(_));
        let mut link = match step(snapshot, &here_asked, here) {
            Step::Link(link) if links.len() < LINKS_MAX => link,
            Step::NxDomain(soa) if snapshot.has_zone_below(name) => {
                return end_chain(Step::NoData(soa), links, is_stale);
            }
            step => return end_chain(step, links, is_stale),
        };
        let target = link.target().cloned();
        if let Link::Dname { rrset, is_repeated, .. } = &mut link {
            *is_repeated = links.iter().any(|earlier: &Link<'_>| earlier.has_dname(rrset));
        }
        let is_dname = matches!(link, Link::Dname { .. });
        let is_loop = target.as_ref().is_some_and(|target| is_in_chain(question, &links, target));
        links.push(link);
        let Some(target) = target else {
            return Answer { rcode: Rcode::YXDOMAIN, links, ..Answer::positive(Records::None) };
        };
        // A CNAME question is answered by the CNAME synthesized from a DNAME.
        if is_loop || (is_dname && question.rtype == Rtype::CNAME) {
            return end_chain(Step::Records(Records::None), links, is_stale);
        }
        let path = NamePath::of(target.labels());
        zone = zone_of(snapshot, &path, question.rtype);
        next = Some((path, target));
    }
    Answer { links, ..Answer::positive(Records::None) }
}

/// Whether a chain already contains a name. Then the answer holds the rest of the chain too.
fn is_in_chain(question: &Question<'_>, links: &[Link<'_>], name: &Name) -> bool {
    // Wire names compare as bytes: a label's length is at most 63, so it is no letter.
    question.spelling.eq_ignore_ascii_case(name.wire()) || links.iter().any(|link| link.target() == Some(name))
}

/// Ends a chain. Its last name decides the response code (RFC 6604).
fn end_chain<'s>(step: Step<'s>, links: SmallVec<[Link<'s>; 1]>, is_stale: bool) -> Answer<'s> {
    let answer = match step {
        Step::Records(records) => Answer::positive(records),
        Step::NoData(soa) => Answer { authority: Authority::Soa(soa), ..Answer::positive(Records::None) },
        Step::NxDomain(soa) => {
            Answer { rcode: Rcode::NXDOMAIN, authority: Authority::Soa(soa), ..Answer::positive(Records::None) }
        }
        Step::Unknown(error) if links.is_empty() => return failure(Rcode::SERVFAIL, Some(error)),
        Step::Referral(referral) if links.is_empty() => Answer {
            is_authoritative: false,
            authority: Authority::Referral(referral),
            ..Answer::positive(Records::None)
        },
        // A chain that leaves our data ends with its last alias.
        Step::Unknown(_) | Step::Referral(_) | Step::Link(_) => Answer::positive(Records::None),
    };
    let error = match answer.rcode {
        Rcode::NXDOMAIN => ExtendedError::STALE_NXDOMAIN,
        _ => ExtendedError::STALE,
    };
    Answer { links, error: is_stale.then_some(error), ..answer }
}

fn step<'s>(snapshot: &'s Snapshot, question: &Question<'_>, zone: Authoritative<'s>) -> Step<'s> {
    if let Authoritative::Static(zone) = zone {
        return static_zones::step(zone, question);
    }
    if let Some(step) = static_zones::overlay_step(snapshot, question) {
        return step;
    }
    if !snapshot.is_synced {
        return Step::Unknown(ExtendedError::NOT_READY);
    }
    if question.freshness == Freshness::Expired {
        return Step::Unknown(ExtendedError::NO_REACHABLE_AUTHORITY);
    }
    let Authoritative::Reverse(origin) = zone else { return pods::step(snapshot, question) };
    pods::reverse_step(snapshot, question, origin)
}

/// The most specific of our zones that holds a name. A static zone wins over another zone of the same name.
fn zone_of<'s>(snapshot: &'s Snapshot, name: &NamePath, rtype: Rtype) -> Option<Authoritative<'s>> {
    let depth = |zone: &Name| zone.label_count();
    let own = snapshot.zone_key();
    let pods = name.key().starts_with(own.as_bytes()).then(|| (snapshot.zone_labels(), Authoritative::Pods));
    let reverse = snapshot.reverse_zone(name).map(|zone| (depth(zone), Authoritative::Reverse(zone)));
    let found = snapshot.zones.find(name.key(), rtype);
    let fixed = found.map(|zone| (depth(zone.origin()), Authoritative::Static(zone)));
    // The parent zone answers for DS, if it is served here and delegates the name (RFC 4035 §3.1.4.1).
    if let Some(parent) = found.filter(|zone| rtype == Rtype::DS && zone.delegates(name.key())) {
        return Some(Authoritative::Static(parent));
    }
    [pods, reverse, fixed].into_iter().flatten().max_by_key(|(depth, _)| *depth).map(|(_, zone)| zone)
}

/// The addresses and TTLs for an SRV target, IPv4 first. A question for the target gets the same ones.
pub fn glue_of_target(snapshot: &Snapshot, target: IpAddr) -> SmallVec<[(IpAddr, u32); 2]> {
    let ttl = snapshot.settings.ttl;
    if snapshot.zones.overlay().is_some() {
        let name = TargetLabel::of(target).name(&snapshot.settings.origin);
        return name.map(|name| glue_of_name(snapshot, &name)).unwrap_or_default();
    }
    if snapshot.wide_targets.is_empty() {
        return smallvec![(target, ttl)];
    }
    let addresses = snapshot.target_addresses(target).unwrap_or_default();
    addresses.into_iter().map(|address| (address, ttl)).collect()
}

/// The addresses and TTLs of a name within our zones, IPv4 first.
pub fn glue_of_name(snapshot: &Snapshot, name: &Name) -> SmallVec<[(IpAddr, u32); 2]> {
    let mut glue = SmallVec::new();
    let path = NamePath::of(name.labels());
    for rtype in [Rtype::A, Rtype::AAAA] {
        let (client, freshness) = (IpAddr::from([0; 4]), Freshness::Fresh);
        let question = Question { name: &path, spelling: name.wire(), rtype, class: Class::IN, client, freshness };
        let Some(zone) = zone_of(snapshot, &path, rtype) else { return glue };
        let Step::Records(records) = step(snapshot, &question, zone) else { continue };
        let ttl = if let Records::Static(rrset) = &records { rrset.ttl } else { snapshot.settings.ttl };
        let _ = records.visit(snapshot, |rdata| {
            glue.extend(rdata.address().map(|address| (address, ttl)));
            std::ops::ControlFlow::Continue(())
        });
    }
    glue
}

/// The number of names in the Pods' zone's file that hide records of Pods.
pub fn hidden_by_file(snapshot: &Snapshot) -> usize {
    let Some(overlay) = snapshot.zones.overlay() else { return 0 };
    let below = overlay.owners().filter(|(key, _)| *key != snapshot.zone_key());
    below.filter(|(_, name)| pods::has_records(snapshot, name)).count()
}

/// An answer that is a response code alone.
pub fn failure<'s>(rcode: Rcode, error: Option<ExtendedError>) -> Answer<'s> {
    Answer { rcode, is_authoritative: false, error, ..Answer::positive(Records::None) }
}

impl<'s> Answer<'s> {
    fn positive(records: Records<'s>) -> Answer<'s> {
        Answer {
            rcode: Rcode::NOERROR,
            is_authoritative: true,
            links: SmallVec::new(),
            records,
            authority: Authority::None,
            error: None,
        }
    }
}

impl Link<'_> {
    /// Whether the link comes from this DNAME record.
    fn has_dname(&self, dname: &RrSet) -> bool {
        matches!(self, Link::Dname { rrset, .. } if std::ptr::eq(*rrset, dname))
    }

    /// The next name of the chain. `None` if it is longer than a name may be.
    pub fn target(&self) -> Option<&Name> {
        match self {
            Link::Cname { target, .. } => Some(target),
            Link::Dname { target, .. } => target.as_ref(),
        }
    }
}
