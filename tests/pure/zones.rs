//! Static zones: tables of questions and the zone's answers, in zone-file text.

mod corpus;
mod file;
mod folder;
mod generated;
mod lookup;
mod odd;
mod peers;
mod text;

use callsign::dns::{Name, Rtype};
use callsign::zones::{Lookup, Role, RrSet, Zone};
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::base::{ParseRecordData, ParsedName};
use domain::dep::octseq::Parser;
use domain::rdata::AllRecordData;

/// A zone's text: five lines with SOA and NS, and then these lines.
pub(crate) fn zone(lines: &str) -> String {
    format!("$TTL 300\n@ SOA ns hostmaster (\n 1 7200 900 604800 60 )\n@ NS ns\nns TXT server\n{lines}")
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Asks a zone every question of a table, and reports all that differ.
pub(crate) fn check(origin: &str, text: &str, table: &[(&str, &str)]) {
    let zone = Zone::parse(text.as_bytes(), &name(origin), Role::Own).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    let wrong: Vec<String> = table
        .iter()
        .filter(|(question, expected)| shown(&zone, question) != *expected)
        .map(|(question, expected)| format!("{question}\n   is {}\n  not {expected}", shown(&zone, question)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

pub(crate) fn parse_question(question: &str) -> (Name, Rtype) {
    let (owner, qtype) = question.split_once(' ').unwrap();
    let qtype: domain::base::Rtype = qtype.parse().unwrap();
    (name(owner), Rtype(qtype.to_int()))
}

/// A zone's answer to `name TYPE`.
pub(crate) fn shown(zone: &Zone, question: &str) -> String {
    let (owner, qtype) = parse_question(question);
    match zone.lookup(owner.key().as_bytes(), qtype) {
        Lookup::Answer { rrset } => format!("answer {} {}", rrset.ttl, records(rrset)),
        Lookup::Cname { rrset, target } => format!("cname {} {} to {target}", rrset.ttl, records(rrset)),
        Lookup::Dname(dname) => {
            let target = dname.target_of(&owner).map_or("too long".into(), |target| format!("to {target}"));
            format!("dname {} {} {} {target}", dname.owner, dname.rrset.ttl, records(dname.rrset))
        }
        Lookup::Referral(referral) => {
            let mut text = format!("referral {} {} {}", referral.cut, referral.ns.ttl, records(referral.ns));
            for glue in referral.glue() {
                let server = format!("{} {}", glue.owner, addresses(glue.a, glue.aaaa));
                text += &if glue.in_domain { format!(" + {server}") } else { format!(" + ({server})") };
            }
            text
        }
        Lookup::Exists => "exists".into(),
        Lookup::NoData => "nodata".into(),
        Lookup::NxDomain => "nxdomain".into(),
    }
}

pub(crate) fn addresses(a: Option<&RrSet>, aaaa: Option<&RrSet>) -> String {
    a.into_iter().chain(aaaa).map(records).collect::<Vec<_>>().join(", ")
}

/// Records in zone-file text, from the `domain` crate.
fn records(set: &RrSet) -> String {
    let rtype = domain::base::Rtype::from_int(set.rtype.0);
    let of = |rdata: &[u8]| {
        let mut parser = Parser::from_ref(rdata);
        let data: AllRecordData<_, ParsedName<_>> = AllRecordData::parse_rdata(rtype, &mut parser).unwrap().unwrap();
        data.display_zonefile(DisplayKind::Simple).to_string()
    };
    set.records.iter().map(|rdata| format!("{rtype} {}", of(rdata))).collect::<Vec<_>>().join(" | ")
}
