//! The bounds of one annotation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{DECODED_LEN_MAX, REGISTRATIONS_MAX, decode_value};

use super::{problems, value_of};

#[test]
fn one_annotation_holds_so_many_registrations() {
    let shorts: Vec<String> = (0..REGISTRATIONS_MAX + 2).map(|number| format!("interface=i{number}")).collect();
    let (value, offsets) = value_of(&[&["port=1".to_owned()], &shorts[..]].concat());
    let decoded = decode_value(&value);
    assert_eq!(decoded.registrations.len(), REGISTRATIONS_MAX);
    assert_eq!(problems(&decoded), [("too-many", None, offsets[REGISTRATIONS_MAX + 1])]);

    let shorts: Vec<String> = (0..1200).map(|number| format!("CONSUMER i{number} consumer://h")).collect();
    let (value, offsets) = value_of(&shorts);
    let decoded = decode_value(&value);
    assert_eq!(decoded.consumers.len(), REGISTRATIONS_MAX);
    assert_eq!(problems(&decoded), [("too-many", None, offsets[REGISTRATIONS_MAX])]);
}

#[test]
fn problems_have_a_bound() {
    let decoded = decode_value(&STANDARD.encode(format!("[{}0]", "0,".repeat(90_000))));
    assert_eq!(decoded.problems.len(), REGISTRATIONS_MAX);
}

/// Pairs of the whole process count for each registration. Otherwise 1,024 registrations would multiply them.
#[test]
fn shared_pairs_do_not_multiply_without_bound() {
    let mut shorts = vec!["port=1".to_owned(), format!("note={}", "x".repeat(100_000))];
    shorts.extend((0..20).map(|number| format!("interface=i{number}")));
    let (value, offsets) = value_of(&shorts);
    let decoded = decode_value(&value);
    let fitting = DECODED_LEN_MAX / 100_100;
    assert_eq!(decoded.registrations.len(), fitting);
    let refused: Vec<_> = offsets[2 + fitting..].iter().map(|offset| ("too-large", None, *offset)).collect();
    assert_eq!(problems(&decoded), refused);
}

/// Each port is a registration with everything but the other ports.
#[test]
fn one_registration_may_have_as_many_ports() {
    let ports: Vec<u16> = (1..=1_099).collect();
    let object = format!(r#"{{"interface":"a","port":{ports:?}}}"#);
    let pairs: Vec<String> =
        std::iter::once("interface=a".to_owned()).chain(ports.iter().map(|port| format!("port={port}"))).collect();
    for value in [object, value_of(&pairs).0] {
        let decoded = decode_value(&value);
        assert_eq!(decoded.registrations.len(), REGISTRATIONS_MAX);
        assert_eq!(problems(&decoded).iter().map(|(reason, ..)| *reason).collect::<Vec<_>>(), ["too-many"]);
    }
    let note = "x".repeat(100_000);
    let decoded = decode_value(&format!(r#"{{"interface":"a","meta":{{"note":"{note}"}},"port":{ports:?}}}"#));
    assert_eq!(decoded.registrations.len(), DECODED_LEN_MAX / 100_100);
    assert_eq!(problems(&decoded).iter().map(|(reason, ..)| *reason).collect::<Vec<_>>(), ["too-large"], "told once");
}
