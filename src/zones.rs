//! placeholder until the zones branch is merged
#![allow(missing_docs, unused_variables)]
use crate::dns::*;
use std::sync::Arc;
#[derive(Debug, Default)]
pub struct Zones;
#[derive(Debug)]
pub struct Zone;
#[derive(Debug)]
pub struct RrSet;
#[derive(Debug)]
pub struct SoaData { pub mname: Name, pub rname: Name, pub serial: u32, pub refresh: u32, pub retry: u32, pub expire: u32, pub minimum: u32, pub ttl: u32 }
pub enum Lookup<'z> {
    Answer(&'z RrSet), Exists, Cname { rrset: &'z RrSet, target: Name }, Dname { owner: &'z Name, rrset: &'z RrSet, target: Option<Name> },
    Referral { cut: &'z Name, ns: &'z RrSet }, NoData, NxDomain,
}
impl Zones {
    pub fn find(&self, key: &[u8]) -> Option<&Arc<Zone>> { None }
    pub fn overlay(&self) -> Option<&Arc<Zone>> { None }
}
impl Zone {
    pub fn origin(&self) -> &Name { todo!() }
    pub fn soa(&self) -> &SoaData { todo!() }
    pub fn own_soa(&self) -> Option<&SoaData> { todo!() }
    pub fn soa_rdata(&self) -> &[u8] { todo!() }
    pub fn lookup(&self, name: &Path, rtype: Rtype) -> Lookup<'_> { todo!() }
    pub fn owns(&self, key: &[u8]) -> bool { todo!() }
    pub fn has_below(&self, key: &[u8]) -> bool { todo!() }
    pub fn glue<'z>(&'z self, ns: &RrSet) -> std::vec::IntoIter<(&'z Name, &'z RrSet)> { todo!() }
}
impl RrSet {
    pub fn rtype(&self) -> Rtype { todo!() }
    pub fn ttl(&self) -> u32 { todo!() }
    pub fn records(&self) -> std::slice::Iter<'_, Box<[u8]>> { todo!() }
    pub fn targets(&self) -> std::vec::IntoIter<Name> { todo!() }
}
