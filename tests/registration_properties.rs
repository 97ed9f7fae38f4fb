//! Properties of decoding that hold for every annotation's value.

#[path = "harness/seeds.rs"]
mod seeds;
mod sound;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{Metadata, Registration, decode, encode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use seeds::{config, seeds_of};
use serde_json::{Value, json};
use sound::{assert_sound, bare};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._-]{0,12}",
        any::<String>(),
        Just("0".to_owned()),
        "[0-9]{1,7}",
        "(dubbo|tri)?://[a-z0-9.:@\\[\\]]{0,12}(/[a-z]{0,3})?(\\?[a-z=&%0-9]{0,20})?",
    ]
}

fn key() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "interface",
        "Interface",
        "interface",
        "group",
        "version",
        "protocol",
        "ip",
        "port",
        "port",
        "method",
        "methods",
        "weight",
        "application",
        "enabled",
        "disabled",
        "zone",
        "pod",
    ]);
    let path = text().prop_map(|url| format!("/dubbo/a/providers/{}", utf8_percent_encode(&url, NON_ALPHANUMERIC)));
    prop_oneof![8 => known.prop_map(String::from), 1 => text(), 1 => path, 1 => "/(dubbo)?(/[a-z%0-9]{0,9}){0,4}"]
}

fn any_element() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        8 => text().prop_map(Value::from),
        2 => (0u32..70_000).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!([[{}]])),
    ];
    prop_oneof![
        20 => (key(), value.clone()).prop_map(|(key, value)| json!({ "k": key, "v": value })),
        1 => value.clone().prop_map(|value| json!({ "v": value })),
        1 => value,
    ]
}

fn registration() -> impl Strategy<Value = Registration> {
    let name = || "[a-zA-Z0-9.é _-]{1,20}";
    let optional = || proptest::option::of("[a-zA-Z0-9.é _-]{1,20}");
    let pairs = proptest::collection::btree_map("[b-m]{1,6}", "[a-zé\n,:/ ]{0,20}", 0..5);
    let protocol = prop_oneof!["[a-z]{1,9}", Just("rpc".to_owned())];
    let place = (any::<Option<std::net::IpAddr>>(), 1..=u16::MAX, proptest::option::of(1..=u16::MAX), any::<bool>());
    let told = (optional(), proptest::collection::btree_set("[a-zé, ]{1,9}", 0..4), pairs);
    (name(), optional(), optional(), protocol, place, told).prop_map(
        |(interface, group, version, protocol, (address, port, weight, enabled), (application, methods, mut pairs))| {
            pairs.extend(weight.map(|weight| ("weight".to_owned(), weight.to_string())));
            Registration {
                interface: interface.into(),
                group: group.map(Arc::from),
                version: version.map(Arc::from),
                protocol: protocol.into(),
                address: address.map(|address| address.to_canonical()).filter(|address| !address.is_unspecified()),
                port,
                weight: weight.unwrap_or(100),
                enabled,
                metadata: Metadata {
                    application: application.map(Into::into),
                    methods: methods.into_iter().map(Into::into).collect(),
                    pairs: pairs.into_iter().collect(),
                    ..Metadata::default()
                },
                offset: 0,
            }
        },
    )
}

proptest! {
    #![proptest_config(config(256, seeds_of!("registration_properties")))]

    #[test]
    fn any_text_is_read(value in any::<String>()) {
        assert_sound(&decode(&value));
    }

    #[test]
    fn any_bytes_are_read(bytes in any::<Vec<u8>>()) {
        assert_sound(&decode(&STANDARD.encode(bytes)));
    }

    #[test]
    fn any_array_is_decoded_and_encoded_again(elements in proptest::collection::vec(any_element(), 0..12)) {
        let decoded = decode(&STANDARD.encode(Value::from(elements).to_string()));
        assert_sound(&decoded);
        let again = decode(&encode(&decoded.registrations));
        prop_assert_eq!(again.problems, []);
        prop_assert_eq!(bare(again.registrations), bare(decoded.registrations));
    }

    #[test]
    fn an_encoded_registration_is_decoded_alike(registrations in proptest::collection::vec(registration(), 0..6)) {
        let decoded = decode(&encode(&registrations));
        prop_assert_eq!(&decoded.problems[..], []);
        prop_assert_eq!(bare(decoded.registrations), registrations);
    }

    #[test]
    fn a_secret_appears_nowhere(
        word in proptest::sample::select(vec!["token", "password", "passwd", "pwd", "secret", "accesskey", "credential", "private"]),
        (before, between, after) in ("[a-z._-]{0,5}", "[._-]{0,2}", "[a-z._-]{0,5}"),
        is_upper in any::<bool>(),
        cut in 0usize..10,
        shape in 0usize..9,
        encodings in 0usize..3,
    ) {
        let cut = cut.min(word.len());
        let mut secret_key = format!("{before}{}{between}{}{after}", &word[..cut], &word[cut..]);
        if is_upper {
            secret_key.make_ascii_uppercase();
        }
        let hidden = "HUNTERtwo";
        let encode_often = |text: String| {
            (0..encodings).fold(text, |text, _| utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string())
        };
        let holding = encode_often(format!("a=1&{secret_key}={hidden}"));
        let dsn = encode_often(format!("jdbc:x://root:{hidden}@db/x"));
        let (key, value) = match shape {
            0 => (secret_key.clone(), hidden.to_owned()),
            1 => ("note".to_owned(), holding),
            2 => ("url".to_owned(), dsn),
            3 => ("application".to_owned(), holding),
            4 => ("method".to_owned(), holding),
            5 => ("group".to_owned(), holding),
            6 => ("interface".to_owned(), dsn),
            7 => ("port".to_owned(), hidden.to_owned()),
            _ => ("/dubbo/a/providers/".to_owned() + &utf8_percent_encode(
                &format!("tri://u:{hidden}@:1?{secret_key}={hidden}&x={holding}"), NON_ALPHANUMERIC).to_string(), String::new()),
        };
        let elements = json!([{ "k": "interface", "v": "a" }, { "k": "port", "v": 1 }, { "k": key, "v": value }]);
        let decoded = decode(&STANDARD.encode(elements.to_string()));
        prop_assert!(!format!("{decoded:?}").contains(hidden), "{:?}", decoded);
        let told: u32 = decoded.registrations.iter().map(|one| one.metadata.withheld).sum();
        prop_assert!(told > 0 || !decoded.problems.is_empty());
    }
}
