//! Tests: compares lookups and checks with a naive scan of all records, on random small zones.

use super::{Lookup, Role, RrSet, Zone};
use crate::dns::{Name, Rtype};
use proptest::prelude::*;
use std::fmt::Write;

/// A record of the model: its owner's labels below the origin, leftmost first, its type, and a number that identifies
/// it.
#[derive(Clone, Debug)]
struct Model {
    owner: Vec<&'static str>,
    rtype: Rtype,
    number: u8,
}

const LABELS: [&str; 3] = ["a", "b", "*"];
const DEPTH_MAX: usize = 4;
const QTYPES: [Rtype; 7] = [Rtype::A, Rtype::TXT, Rtype::CNAME, Rtype::NS, Rtype::DNAME, Rtype::DS, Rtype::ANY];

proptest! {
    #[test]
    fn a_zone_is_served_if_the_model_allows_it(records in records(6)) {
        let parsed = Zone::parse(text(&records).as_bytes(), &origin(), Role::Own);
        prop_assert_eq!(parsed.as_ref().err().map(ToString::to_string).is_none(), is_valid(&records), "{}", text(&records));
    }

    #[test]
    fn a_lookup_is_what_the_model_finds(candidates in records(12)) {
        let mut records: Vec<Model> = Vec::new();
        for candidate in candidates {
            records.push(candidate);
            if !is_valid(&records) {
                records.pop();
            }
        }
        let text = text(&records);
        let zone = Zone::parse(text.as_bytes(), &origin(), Role::Own).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        for name in all_names() {
            let owner: Name = format!("{}z.", name.iter().fold(String::new(), |all, label| all + label + ".")).parse().unwrap();
            for qtype in QTYPES {
                let is = shown(&zone.lookup(owner.key().as_bytes(), qtype), &owner);
                prop_assert_eq!(is, expected(&records, &name, qtype), "{} {} in\n{}", owner, qtype, text);
            }
        }
    }
}

fn origin() -> Name {
    "z.".parse().unwrap()
}

fn records(len_max: usize) -> impl Strategy<Value = Vec<Model>> {
    let rtype = prop_oneof![
        3 => Just(Rtype::A), 2 => Just(Rtype::TXT), 1 => Just(Rtype::CNAME), 1 => Just(Rtype::NS), 1 => Just(Rtype::DNAME)
    ];
    let owner = prop::collection::vec(prop::sample::select(&LABELS[..]), 0..=DEPTH_MAX);
    prop::collection::vec((owner, rtype), 0..len_max).prop_map(|list| {
        list.into_iter().zip(1..).map(|((owner, rtype), number)| Model { owner, rtype, number }).collect()
    })
}

/// The zone file of these records.
fn text(records: &[Model]) -> String {
    let mut text = String::from("$TTL 5\n@ SOA a b 1 2 3 4 5\n@ NS t0.test.\n");
    for Model { owner, rtype, number } in records {
        let owner = if owner.is_empty() { "@".into() } else { owner.join(".") };
        let data = match *rtype {
            Rtype::A => format!("192.0.2.{number}"),
            Rtype::TXT => format!("t{number}"),
            _ => format!("t{number}.test."),
        };
        writeln!(text, "{owner} {rtype} {data}").unwrap();
    }
    text
}

fn all_names() -> Vec<Vec<&'static str>> {
    let mut names = vec![vec![]];
    let mut last = names.clone();
    for _ in 0..DEPTH_MAX {
        last = last.iter().flat_map(|name| LABELS.map(|label| [&[label], name.as_slice()].concat())).collect();
        names.extend(last.clone());
    }
    names
}

fn is_valid(records: &[Model]) -> bool {
    records.iter().enumerate().all(|(at, record)| {
        let mut others = records.iter().enumerate().filter(|&(other, _)| other != at).map(|(_, other)| other);
        let beside = |other: &Model| other.owner == record.owner;
        let below = |other: &Model| other.owner.len() > record.owner.len() && other.owner.ends_with(&record.owner);
        let is_apex = record.owner.is_empty();
        let is_wildcard = record.owner.first() == Some(&"*");
        match record.rtype {
            Rtype::CNAME => !is_apex && !others.any(beside),
            Rtype::NS => !is_wildcard,
            Rtype::DNAME => {
                !is_wildcard
                    && !others.any(|other| {
                        below(other)
                            || beside(other) && (other.rtype == Rtype::DNAME || other.rtype == Rtype::NS && !is_apex)
                    })
            }
            _ => true,
        }
    })
}

/// The answer by RFC 1034 §4.3.2, RFC 4592 and RFC 6672, found by scanning all records for each step.
fn expected(records: &[Model], name: &[&str], qtype: Rtype) -> String {
    let numbers = |owner: &[&str], rtype: Rtype| -> Vec<u8> {
        let apex_ns = (owner.is_empty() && rtype == Rtype::NS).then_some(0);
        let listed = records.iter().filter(|record| record.owner == owner && record.rtype == rtype);
        apex_ns.into_iter().chain(listed.map(|record| record.number)).collect()
    };
    let exists = |name: &[&str]| name.is_empty() || records.iter().any(|record| record.owner.ends_with(name));
    for len in 0..=name.len() {
        let above = &name[name.len() - len..];
        let (ns, dname) = (numbers(above, Rtype::NS), numbers(above, Rtype::DNAME));
        if len > 0 && !ns.is_empty() && !(len == name.len() && qtype == Rtype::DS) {
            return format!("referral {ns:?}");
        }
        if len < name.len() && !dname.is_empty() {
            return format!("dname {dname:?} to {}.t{}.test.", name[..name.len() - len].join("."), dname[0]);
        }
    }
    let mut source = name.to_vec();
    if !exists(name) {
        let encloser = (1..=name.len()).map(|skip| &name[skip..]).find(|above| exists(above)).unwrap();
        source = [&["*"], encloser].concat();
        if !exists(&source) {
            return "nxdomain".into();
        }
    }
    let has_any = source.is_empty() || records.iter().any(|record| record.owner == source);
    let (found, cname) = (numbers(&source, qtype), numbers(&source, Rtype::CNAME));
    match () {
        () if qtype == Rtype::ANY && has_any => "exists".into(),
        () if !found.is_empty() => format!("answer {found:?}"),
        () if qtype != Rtype::ANY && !cname.is_empty() => format!("cname {cname:?}"),
        () => "nodata".into(),
    }
}

fn shown(lookup: &Lookup<'_>, name: &Name) -> String {
    match lookup {
        Lookup::Answer { rrset } => format!("answer {:?}", numbers(rrset)),
        Lookup::Cname { rrset, .. } => format!("cname {:?}", numbers(rrset)),
        Lookup::Dname(dname) => format!("dname {:?} to {}", numbers(dname.rrset), dname.target_of(name).unwrap()),
        Lookup::Referral(referral) => format!("referral {:?}", numbers(referral.ns)),
        Lookup::Exists => "exists".into(),
        Lookup::NoData => "nodata".into(),
        Lookup::NxDomain => "nxdomain".into(),
    }
}

/// The numbers of the records, from their data.
fn numbers(set: &RrSet) -> Vec<u8> {
    let number = |rdata: &[u8]| match set.rtype {
        Rtype::A => rdata[3],
        _ => {
            let label = &rdata[2..=usize::from(rdata[0])]; // after a length and the `t`
            std::str::from_utf8(label).unwrap().parse().unwrap()
        }
    };
    set.records.iter().map(|rdata| number(rdata)).collect()
}
