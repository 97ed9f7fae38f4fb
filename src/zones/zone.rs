//! One zone: read from its file, checked, and then immutable.

use super::MESSAGE_LEN_MAX;
use super::check::check;
use super::data::folded;
use super::fault::{ZoneFault, ZoneReason};
use super::include::Folder;
use super::master_file::{self, ZoneRecord};
use super::rrset::RrSet;
use super::tree::Tree;
use crate::dns::{Key, Name, Rtype};
use std::collections::HashSet;
use std::fmt;

/// The purpose of a zone file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A separate zone.
    Own,
    /// Records that are added to the Pod zone: no wildcard, no DNAME, no NS below the origin; NS at the origin is
    /// optional.
    Overlay,
}

/// An immutable zone.
pub struct Zone {
    pub(super) origin: Name,
    /// The key of the origin.
    pub(super) apex: Key,
    pub(super) soa: Soa,
    /// All owners, including those below zone cuts.
    pub(super) nodes: Tree<OwnerRecords>,
    /// The RRsets that fit into no message, at the position of their first record.
    pub(super) unfit: Box<[ZoneFault]>,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone").field("origin", &self.origin).field("soa", &self.soa).finish_non_exhaustive()
    }
}

/// The records of one owner.
pub(super) struct OwnerRecords {
    pub(super) owner: Name,
    /// By type. Never empty.
    pub(super) rrsets: Box<[RrSet]>,
}

/// A zone's start of authority (RFC 1035 §3.3.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// The primary server.
    pub mname: Name,
    /// The mailbox of the zone's administrator.
    pub rname: Name,
    /// The version of the zone (RFC 1982).
    pub serial: u32,
    /// Seconds between two refreshes of a secondary.
    pub refresh: u32,
    /// Seconds from a failed refresh to the next try.
    pub retry: u32,
    /// Seconds after which a secondary stops answering.
    pub expire: u32,
    /// The upper bound of the TTL of negative answers, in seconds (RFC 2308 §4). 0 if its highest bit is set (RFC 2181
    /// §8).
    pub minimum: u32,
    /// The record's own TTL, in seconds.
    pub ttl: u32,
    /// The record's data, uncompressed.
    pub rdata: Box<[u8]>,
}

impl Zone {
    /// Reads a zone file (RFC 1035 §5) whose relative names are below `origin`. It refuses `$INCLUDE`.
    ///
    /// # Errors
    /// The first thing that cannot be served, with its position.
    pub fn parse(text: &[u8], origin: &Name, role: Role) -> Result<Zone, ZoneFault> {
        Zone::read(text, origin, role, &mut Folder::none())
    }

    /// Reads a zone file that may include files of a folder.
    pub(super) fn read(text: &[u8], origin: &Name, role: Role, folder: &mut Folder) -> Result<Zone, ZoneFault> {
        let apex = origin.key();
        let mut records = master_file::read(text, origin, folder)?;
        records.sort_by(|one, other| (&one.key, one.rtype).cmp(&(&other.key, other.rtype)));
        check(&records, &apex, role)?;

        let soa = records.iter().find(|record| record.rtype == Rtype::SOA).and_then(Soa::read);
        let soa = soa.ok_or(ZoneFault { position: None, reason: ZoneReason::NoSoa })?;
        let mut unfit = Vec::new();
        let owners = records.chunk_by_mut(|one, next| one.key == next.key);
        let nodes = owners.filter_map(|records| entry(records, &mut unfit)).collect();
        Ok(Zone { origin: origin.clone(), apex, soa, nodes: Tree::new(nodes), unfit: unfit.into() })
    }

    /// The name of the apex.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    pub fn soa(&self) -> &Soa {
        &self.soa
    }

    /// The name servers at the apex. `None` only in a file for the Pod zone that leaves them to the server.
    pub fn ns(&self) -> Option<&RrSet> {
        self.nodes.value(self.apex.as_bytes())?.rrset(Rtype::NS)
    }

    /// Whether the file has records at exactly the name with these key bytes.
    pub fn owns(&self, key: &[u8]) -> bool {
        self.nodes.value(key).is_some()
    }

    /// All RRsets, each with its owner, those of the apex first.
    pub fn rrsets(&self) -> impl Iterator<Item = (&Name, &RrSet)> {
        self.nodes.iter().flat_map(|(_, node)| node.rrsets.iter().map(|set| (&node.owner, set)))
    }

    /// All names that have records, the apex first.
    pub fn owners(&self) -> impl Iterator<Item = (&Key, &Name)> {
        self.nodes.iter().map(|(key, node)| (key, &node.owner))
    }
}

impl OwnerRecords {
    pub(super) fn rrset(&self, rtype: Rtype) -> Option<&RrSet> {
        self.rrsets.iter().find(|set| set.rtype == rtype)
    }
}

impl Soa {
    fn read(record: &ZoneRecord) -> Option<Soa> {
        let mname_len = master_file::name_len(&record.rdata);
        let (mname, rest) = record.rdata.split_at_checked(mname_len)?;
        let (rname, rest) = rest.split_at_checked(master_file::name_len(rest))?;
        let (numbers, _) = rest.as_chunks::<4>();
        let &[serial, refresh, retry, expire, minimum] = numbers else { return None };
        Some(Soa {
            mname: Name::from_wire(mname).ok()?,
            rname: Name::from_wire(rname).ok()?,
            serial: u32::from_be_bytes(serial),
            refresh: u32::from_be_bytes(refresh),
            retry: u32::from_be_bytes(retry),
            expire: u32::from_be_bytes(expire),
            minimum: master_file::seconds(u32::from_be_bytes(minimum)),
            ttl: record.ttl,
            rdata: record.rdata.clone(),
        })
    }
}

/// The tree's entry of one owner. It takes the data of the records, which are sorted by type, and adds the RRsets that
/// fit into no message to `unfit`.
fn entry(records: &mut [ZoneRecord], unfit: &mut Vec<ZoneFault>) -> Option<(Key, OwnerRecords)> {
    let first = records.first()?;
    let (key, owner) = (first.key.clone(), first.owner.clone());
    let rrsets = records.chunk_by_mut(|one, next| one.rtype == next.rtype).filter_map(|records| {
        let rrset = rrset(records)?;
        let len = rrset.reply_len(&owner);
        if len > MESSAGE_LEN_MAX {
            let reason = ZoneReason::LongRrset { owner: owner.clone(), rtype: rrset.rtype, len };
            unfit.extend(records.first().map(|first| first.fault(reason)));
        }
        Some(rrset)
    });
    let rrsets = rrsets.collect();
    Some((key, OwnerRecords { owner, rrsets }))
}

/// The RRset of records of one owner and type: duplicates are dropped, and the smallest TTL applies to all (RFC 2181
/// §5).
fn rrset(records: &mut [ZoneRecord]) -> Option<RrSet> {
    let rtype = records.first()?.rtype;
    let ttl = records.iter().map(|record| record.ttl).min()?;
    let mut seen = HashSet::new();
    let records = records
        .iter_mut()
        .filter(|record| seen.insert(folded(rtype, &record.rdata)))
        .map(|record| std::mem::take(&mut record.rdata))
        .collect();
    Some(RrSet { rtype, ttl, records })
}
