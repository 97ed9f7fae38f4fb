//! Looks up names in a zone: RFC 1034 §4.3.2 with wildcards (RFC 4592) and DNAME (RFC 6672).

use super::rrset::RrSet;
use super::tree::{TreeMatch, descent};
use super::zone::{OwnerRecords, Zone};
use crate::dns::{Key, Name, Rtype};

/// A zone's answer to a question.
#[derive(Clone, Debug)]
pub enum Lookup<'z> {
    /// Records of the queried type. Their owner is the queried name, even if a wildcard matched.
    Answer { rrset: &'z RrSet },
    /// The queried name is an alias. The caller follows it.
    Cname {
        /// The single CNAME record.
        rrset: &'z RrSet,
        /// The name that it points to.
        target: Name,
    },
    /// The name is below a DNAME.
    Dname(Dname<'z>),
    /// The name is in or below a zone that is delegated to other servers.
    Referral(Referral<'z>),
    /// The query is for ANY, and the name has records. The caller answers by RFC 8482.
    Exists,
    /// The name exists without records of the type (RFC 2308 §2.2).
    NoData,
    /// Neither the name nor any name below it exists (RFC 8020).
    NxDomain,
}

/// A redirection of all names below an owner (RFC 6672).
#[derive(Clone, Copy, Debug)]
pub struct Dname<'z> {
    /// The owner in the file's letter case.
    pub owner: &'z Name,
    /// The single DNAME record.
    pub rrset: &'z RrSet,
}

/// A zone cut.
#[derive(Clone, Copy, Debug)]
pub struct Referral<'z> {
    zone: &'z Zone,
    /// The delegated zone's name in the file's letter case.
    pub cut: &'z Name,
    /// The delegated zone's name servers.
    pub ns: &'z RrSet,
}

/// The addresses of a name server that is in the zone or below one of its cuts.
pub struct Glue<'z> {
    /// The server's name as the NS record spells it.
    pub owner: Name,
    /// Whether it is at or below the cut, so that its addresses can only be found as glue (RFC 9471 §2.1).
    pub in_domain: bool,
    pub a: Option<&'z RrSet>,
    pub aaaa: Option<&'z RrSet>,
}

impl Zone {
    /// Looks up a name in this zone, by its key bytes. A name outside the zone does not exist in it.
    pub fn lookup(&self, name: &[u8], qtype: Rtype) -> Lookup<'_> {
        if !name.starts_with(self.apex.as_bytes()) {
            return Lookup::NxDomain;
        }
        match self.reach(name, qtype) {
            Reached::Cut(node, ns) => Lookup::Referral(Referral { zone: self, cut: &node.owner, ns }),
            Reached::Dname(node, rrset) => Lookup::Dname(Dname { owner: &node.owner, rrset }),
            Reached::Name(at) => of_type(at, qtype),
            Reached::Nothing { encloser } => match self.nodes.wildcard_below(encloser) {
                TreeMatch::Nothing => Lookup::NxDomain,
                source => of_type(source, qtype),
            },
        }
    }

    /// Whether this zone delegates exactly the name with these key bytes.
    pub fn delegates(&self, name: &[u8]) -> bool {
        matches!(self.reach(name, Rtype::NS), Reached::Cut(node, _) if node.owner.key().as_bytes() == name)
    }

    /// Walks from the apex down to the name, or to what ends the walk.
    fn reach<'z, 'k>(&'z self, name: &'k [u8], qtype: Rtype) -> Reached<'z, 'k> {
        let mut encloser: &[u8] = &[];
        for here in descent(name, self.apex.as_bytes().len()) {
            let at = self.nodes.at(here);
            let is_name = here.len() == name.len();
            if let TreeMatch::Entry(node) = at {
                let is_apex = here.len() == self.apex.as_bytes().len();
                let is_ours = is_apex || (is_name && qtype == Rtype::DS); // RFC 4035 §3.1.4.1: DS is the parent's
                if !is_ours && let Some(ns) = node.rrset(Rtype::NS) {
                    return Reached::Cut(node, ns);
                }
                if !is_name && let Some(dname) = node.rrset(Rtype::DNAME) {
                    return Reached::Dname(node, dname);
                }
            }
            match at {
                TreeMatch::Nothing => return Reached::Nothing { encloser },
                at if is_name => return Reached::Name(at),
                _ => encloser = here,
            }
        }
        Reached::Nothing { encloser }
    }
}

/// Where the walk from the apex to a name ended.
enum Reached<'z, 'k> {
    /// At a zone cut, at the name or above it.
    Cut(&'z OwnerRecords, &'z RrSet),
    /// At a DNAME above the name.
    Dname(&'z OwnerRecords, &'z RrSet),
    /// At the name.
    Name(TreeMatch<'z, OwnerRecords>),
    /// Below the closest encloser, which has this key (RFC 4592 §3.3.1).
    Nothing { encloser: &'k [u8] },
}

/// The records of a type at an existing name.
fn of_type(at: TreeMatch<'_, OwnerRecords>, qtype: Rtype) -> Lookup<'_> {
    let TreeMatch::Entry(node) = at else { return Lookup::NoData };
    if qtype == Rtype::ANY {
        return Lookup::Exists;
    }
    if let Some(rrset) = node.rrset(qtype) {
        return Lookup::Answer { rrset };
    }
    let cname = node.rrset(Rtype::CNAME).and_then(|rrset| Some((rrset, rrset.targets().next()?)));
    cname.map_or(Lookup::NoData, |(rrset, target)| Lookup::Cname { rrset, target })
}

impl Dname<'_> {
    /// The target of a name below the owner. `None` if it would be too long a name: YXDOMAIN (RFC 6672 §2.2).
    pub fn target_of(&self, name: &Name) -> Option<Name> {
        let target = self.rrset.targets().next()?;
        let kept = name.label_count().checked_sub(self.owner.label_count())?;
        Name::from_labels(name.labels().take(kept).chain(target.labels())).ok()
    }
}

impl<'z> Referral<'z> {
    /// The name servers' addresses in the zone file, the required ones first.
    pub fn glue(&self) -> impl Iterator<Item = Glue<'z>> {
        let (zone, ns, cut) = (self.zone, self.ns, self.cut.key());
        let of_kind = move |in_domain: bool, cut: Key| {
            ns.targets().filter_map(move |owner| {
                let key = owner.key();
                if key.is_within(&cut) != in_domain {
                    return None;
                }
                let node = zone.nodes.value(key.as_bytes())?;
                let (a, aaaa) = (node.rrset(Rtype::A), node.rrset(Rtype::AAAA));
                (a.is_some() || aaaa.is_some()).then_some(Glue { owner, in_domain, a, aaaa })
            })
        };
        of_kind(true, cut.clone()).chain(of_kind(false, cut))
    }
}
