//! Whole values: recorded ones, ones that cannot be read, and spellings of base64.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{ANNOTATION_LEN_MAX, Reason, decode_value};

use super::{problems, shown, shown_consumer, shown_pairs};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    what: String,
    annotation: String,
    registrations: Vec<String>,
    pairs: BTreeMap<String, String>,
    consumers: Vec<String>,
}

#[test]
fn recorded_values() {
    let cases: Vec<Recorded> = serde_json::from_str(include_str!("../../fixtures/dubbo-go.json")).unwrap();
    assert_eq!(cases.len(), 5);
    for Recorded { what, annotation, registrations, pairs, consumers } in cases {
        let decoded = decode_value(&annotation);
        assert_eq!(problems(&decoded), [], "{what}");
        assert_eq!(
            decoded.registrations.iter().map(|one| shown(one, &[])).collect::<Vec<_>>(),
            registrations,
            "{what}"
        );
        assert_eq!(decoded.consumers.iter().map(shown_consumer).collect::<Vec<_>>(), consumers, "{what}");
        let expected: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let read: Vec<String> = decoded.registrations.iter().flat_map(shown_pairs).collect();
        assert_eq!(read, expected, "{what}");
    }
}

#[test]
fn a_value_that_cannot_be_read_says_why_and_where() {
    let sentence = "5LiN55So55yL5LqG5bCx5piv5LiA5Liq5paH5pys5Y2P6K6u"; // base64 of a sentence in Chinese
    let too_large = "A".repeat(ANNOTATION_LEN_MAX + 1);
    let torn = STANDARD.encode(r#"[{"k":"interface","v":"a"},{"k":"port","v":1},{"k":"#);
    for (value, reason, offset) in [
        (sentence, Reason::BadJson, 0),
        ("", Reason::BadJson, 0),
        ("not base64!", Reason::BadBase64, 10),
        ("W10=\n*", Reason::BadBase64, 5),
        (&STANDARD.encode(b"[\"a\xff\"]"), Reason::BadUtf8, 3),
        (&STANDARD.encode("{\"k\":\"interface\"}"), Reason::NotAnArray, 0),
        (&STANDARD.encode(" 7"), Reason::NotAnArray, 1),
        (&torn, Reason::BadJson, 51),
        (&too_large, Reason::TooLarge, 0),
    ] {
        let decoded = decode_value(value);
        assert_eq!(problems(&decoded), [(reason.kind(), None, offset)], "{reason}");
        assert_eq!((decoded.registrations.len(), decoded.consumers.len()), (0, 0), "{reason}");
    }
    assert_eq!(Reason::BadJson.to_string(), "bad JSON");
    assert_eq!(
        decode_value(&"\n".repeat(ANNOTATION_LEN_MAX)).problems[0].reason,
        Reason::BadJson,
        "the largest is read"
    );
}

#[test]
fn base64_may_be_written_in_several_ways() {
    let json = r#"[{"k":"interface","v":"a>>>???"},{"k":"port","v":20880}]"#;
    let padded = STANDARD.encode(json);
    let url_safe = padded.replace('+', "-").replace('/', "_");
    assert_ne!(padded, url_safe);
    let wrapped: String =
        padded.as_bytes().chunks(10).map(|line| std::str::from_utf8(line).unwrap().to_owned() + "\r\n").collect();
    for value in [padded.clone(), url_safe.clone(), padded.replace('=', ""), url_safe.replace('=', ""), wrapped] {
        let decoded = decode_value(&value);
        assert_eq!(decoded.decoded_len, json.len(), "{value}");
        assert_eq!(shown(&decoded.registrations[0], &[]), "a>>>??? rpc *:20880 w=100", "{value}");
    }
}
