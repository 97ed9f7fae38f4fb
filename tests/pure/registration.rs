//! The registrations of a Pod: recorded values and Pods, tables of cases, and bounds.

mod bounds;
mod fields;
mod mappings;
mod objects;
mod paths;
mod plain;
mod registrars;
mod values;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{Consumer, Decoded, Problem, Registration, decode_value};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

/// An element in a short form: `key=value`, `PROVIDER interface url`, `CONSUMER interface url`, or JSON.
fn element(short: &str) -> String {
    let path = |category: &str, rest: &str| {
        let (interface, url) = rest.split_once(' ').unwrap();
        let url = utf8_percent_encode(url, NON_ALPHANUMERIC);
        json!({ "k": format!("/dubbo/{interface}/{category}/{url}"), "v": "" }).to_string()
    };
    if let Some(rest) = short.strip_prefix("PROVIDER ") {
        path("providers", rest)
    } else if let Some(rest) = short.strip_prefix("CONSUMER ") {
        path("consumers", rest)
    } else if short.starts_with('{') || !short.contains('=') {
        short.to_owned()
    } else {
        let (key, value) = short.split_once('=').unwrap();
        json!({ "k": key, "v": value }).to_string()
    }
}

/// Elements as an annotation's value, and the offset of each in the JSON.
fn value_of(shorts: &[String]) -> (String, Vec<usize>) {
    let mut json = String::from("[");
    let mut offsets = Vec::new();
    for short in shorts {
        if !offsets.is_empty() {
            json.push_str(",\n ");
        }
        offsets.push(json.len());
        json.push_str(&element(short));
    }
    json.push(']');
    (STANDARD.encode(json), offsets)
}

/// A registration in a short form, without its pairs, with `#` and the number of its first element if `offsets` has it.
fn shown(registration: &Registration, offsets: &[usize]) -> String {
    let Registration { interface, group, version, protocol, address, port, weight, enabled, metadata, offset } =
        registration;
    let mut text = interface.to_string();
    let mut add = |part: Option<String>| text.extend(part.map(|part| format!(" {part}")));
    add(group.as_ref().map(|group| format!("g={group}")));
    add(version.as_ref().map(|version| format!("v={version}")));
    let host = address.map_or("*".to_owned(), |address| address.to_string());
    add(Some(format!("{protocol} {host}:{port} w={weight}")));
    add((!enabled).then(|| "off".to_owned()));
    add(metadata.application.as_ref().map(|application| format!("app={application}")));
    add((!metadata.methods.is_empty()).then(|| format!("methods={}", metadata.methods.join(","))));
    add((metadata.withheld > 0).then(|| format!("withheld={}", metadata.withheld)));
    add((metadata.left_out > 0).then(|| format!("left_out={}", metadata.left_out)));
    add(offsets.iter().position(|place| place == offset).map(|place| format!("#{place}")));
    text
}

fn shown_consumer(consumer: &Consumer) -> String {
    let Consumer { interface, group, version, application } = consumer;
    let part = |name: &str, text: Option<&str>| text.map(|text| format!(" {name}={text}")).unwrap_or_default();
    let group = part("g", group.as_deref());
    format!("{interface}{group}{}{}", part("v", version.as_deref()), part("app", application.as_deref()))
}

fn shown_pairs(registration: &Registration) -> Vec<String> {
    registration.metadata.pairs.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Each problem's reason, key and offset.
fn problems(decoded: &Decoded) -> Vec<(&'static str, Option<String>, usize)> {
    let key = |problem: &Problem| problem.key.as_ref().map(ToString::to_string);
    decoded.problems.iter().map(|problem| (problem.reason.kind(), key(problem), problem.offset)).collect()
}

/// Elements, registrations and problems, each separated by ` | `. A problem is its reason, its key, and the element.
type Case = (&'static str, &'static str, &'static str);

fn check(cases: &[Case]) {
    for (elements, registrations, expected) in cases {
        let shorts: Vec<String> = elements.split(" | ").filter(|short| !short.is_empty()).map(String::from).collect();
        let (value, offsets) = value_of(&shorts);
        let decoded = decode_value(&value);
        let read: Vec<String> = decoded.registrations.iter().map(|one| shown(one, &offsets)).collect();
        assert_eq!(read.join(" | "), *registrations, "{elements}");
        let told = problems(&decoded).into_iter().map(|(reason, key, offset)| {
            let place = offsets.iter().position(|place| *place == offset).expect("a problem is at an element");
            format!("{reason} {} #{place}", key.as_deref().unwrap_or("-"))
        });
        assert_eq!(told.collect::<Vec<_>>().join(" | "), *expected, "{elements}");
    }
}
