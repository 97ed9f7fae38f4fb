//! Properties of decoding that hold for every annotation's value, and for every Pod under every profile.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{
    ANNOTATION_LEN_MAX, ContainerPort, Encoding, Metadata, PRESETS, ProfileTable, ProfileText, Registration, decode,
    decode_value, encode, encode_objects, encode_plain,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::seeds::{config, seeds_of};
use crate::harness::sound::{assert_in_order, assert_sound, bare};

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

/// A text that an annotation may have: any, or JSON of the shapes that some encoding reads.
fn any_value() -> impl Strategy<Value = String> {
    let scalar = || {
        prop_oneof![
            8 => text().prop_map(Value::from),
            4 => (0u32..70_000).prop_map(Value::from),
            1 => any::<bool>().prop_map(Value::from),
            1 => Just(Value::Null),
        ]
    };
    const NAMES: [&str; 7] = ["name", "address", "metadata", "nodes", "endpoints", "meta", "dubbo.endpoints"];
    let name = || prop_oneof![4 => key(), 1 => proptest::sample::select(&NAMES[..]).prop_map(String::from)];
    let object_of = |members: Vec<(String, Value)>| Value::from_iter(members);
    let object = scalar().prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            4 => proptest::collection::vec((name(), inner.clone()), 0..6).prop_map(object_of),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::from),
        ]
    });
    let map = proptest::collection::vec(("[0-9]{1,6}|[a-z]{1,4}", scalar()), 0..6);
    let map = map.prop_map(object_of);
    let elements = proptest::collection::vec(prop_oneof![any_element(), object.clone()], 0..6).prop_map(Value::from);
    let json = prop_oneof![object, map, elements].boxed();
    let torn = json.clone().prop_map(|json| json.to_string().chars().rev().skip(1).collect::<Vec<_>>());
    let torn = torn.prop_map(|letters| letters.into_iter().rev().collect::<String>());
    prop_oneof![4 => text(), 4 => json.prop_map(|json| json.to_string()), 1 => torn]
}

/// Every encoding, with mappings of each kind of source.
fn encodings() -> Vec<Encoding> {
    let parse = |encoding: &str, mapping: &str| {
        let table: ProfileTable = toml::from_str(&format!("encoding = '{encoding}'\n{mapping}")).unwrap();
        Encoding::parse(&table).unwrap()
    };
    let keys = |mapping: &str| parse("keys", mapping);
    let own = [
        keys(
            "interface = 'label:l'\ngroup = 'annotation:a'\nport = 'label:p'\nweight = 'annotation:b'\nmetadata = ['prefix:app.io/', 'annotation:a']",
        ),
        keys("interface = '=x'\nversion = 'label:l'\nprotocol = 'label:p'\nports = 'annotation:a'\nport = 'port:http'"),
        keys("interface = '=x'\nports = 'annotation:a'"),
        parse("dubbo3", "interface = 'label:l'\nmetadata = ['annotation:a']"),
    ];
    PRESETS.iter().map(|preset| preset.encoding()).chain(own).collect()
}

/// What a source hands over of any Pod under a profile.
fn any_text(encoding: &Encoding) -> impl Strategy<Value = ProfileText> + use<> {
    let wanted = encoding.wanted();
    let keys: Vec<String> = wanted.labels.iter().chain(&wanted.annotations).map(|key| key.to_string()).collect();
    let prefixes: Vec<String> = wanted.annotation_prefixes.iter().map(|prefix| prefix.to_string()).collect();
    let known = proptest::sample::select([keys, vec!["l".into(), "own".into()]].concat());
    let under = proptest::sample::select([prefixes, vec![String::new()]].concat());
    let rest = prop_oneof![
        4 => key(),
        1 => text(),
        2 => "(register|meta|meta\\.[a-zA-Z.-]{0,9}|interfce)",
    ];
    let key = prop_oneof![known, (under, rest).prop_map(|(prefix, rest)| prefix + &rest)].boxed();
    let pairs = || proptest::collection::btree_map(key.clone(), any_value(), 0..8);
    let port = ("(http|grpc|http-api||[a-z-]{0,15})", any::<u16>());
    let port = port.prop_map(|(name, number)| ContainerPort { name: name.into(), number });
    (pairs(), pairs(), proptest::collection::vec(port, 0..5)).prop_map(move |(labels, annotations, ports)| {
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let annotations = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        ProfileText::of(Some("own"), &wanted, labels, annotations, ports)
    })
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
    #![proptest_config(config(256, seeds_of!("pure/registration_properties")))]

    #[test]
    fn any_text_is_read(value in any::<String>()) {
        let decoded = decode_value(&value);
        assert_sound(&decoded);
        assert_in_order(&decoded);
    }

    #[test]
    fn any_pod_is_read_under_any_profile(
        (encoding, text) in proptest::sample::select(encodings()).prop_flat_map(|encoding| (Just(encoding.clone()), any_text(&encoding))),
    ) {
        let decoded = decode(&text, &encoding);
        assert_sound(&decoded);
        prop_assert_eq!(&decode(&text.clone(), &encoding), &decoded);
        for written in [encode(&decoded.registrations), encode_objects(&decoded.registrations, &[])] {
            if written.len() <= ANNOTATION_LEN_MAX {
                let again = decode_value(&written);
                prop_assert_eq!(again.problems, []);
                prop_assert_eq!(bare(again.registrations), bare(decoded.registrations.clone()));
            }
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in any::<Vec<u8>>()) {
        assert_sound(&decode_value(&STANDARD.encode(bytes)));
    }

    #[test]
    fn any_array_is_decoded_and_encoded_again(elements in proptest::collection::vec(any_element(), 0..12)) {
        let text = Value::from(elements).to_string();
        let decoded = decode_value(&STANDARD.encode(&text));
        assert_sound(&decoded);
        assert_in_order(&decoded);
        prop_assert_eq!(&decode_value(&text), &decoded, "the same without base64");
        let again = decode_value(&encode(&decoded.registrations));
        prop_assert_eq!(again.problems, []);
        prop_assert_eq!(bare(again.registrations), bare(decoded.registrations));
    }

    #[test]
    fn an_encoded_registration_is_decoded_alike(registrations in proptest::collection::vec(registration(), 0..6)) {
        for value in [encode(&registrations), encode_objects(&registrations, &[])] {
            let decoded = decode_value(&value);
            prop_assert_eq!(&decoded.problems[..], []);
            prop_assert_eq!(bare(decoded.registrations), &registrations[..]);
        }
        let app = PRESETS[0].encoding();
        let port = |number| [ContainerPort { name: "other".into(), number }];
        for one in registrations {
            let Ok(annotations) = encode_plain("app.io/", &one, None) else { continue };
            let annotations = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let decoded = decode(&ProfileText::of(None, &app.wanted(), [], annotations, port(one.port)), &app);
            prop_assert_eq!(decoded.problems, []);
            prop_assert_eq!(bare(decoded.registrations), [one]);
        }
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
        let decoded = decode_value(&STANDARD.encode(elements.to_string()));
        prop_assert!(!format!("{decoded:?}").contains(hidden), "{:?}", decoded);
        let told: u32 = decoded.registrations.iter().map(|one| one.metadata.withheld).sum();
        prop_assert!(told > 0 || !decoded.problems.is_empty());
    }

    #[test]
    fn a_secret_appears_in_no_encoding(
        word in proptest::sample::select(vec!["token", "password", "passwd", "pwd", "secret", "accesskey", "credential", "private"]),
        shape in 0usize..4,
        place in 0usize..10,
    ) {
        let hidden = "HUNTERtwo";
        let (key, value) = match shape {
            0 => (format!("db.{word}"), hidden.to_owned()),
            1 => ("note".to_owned(), format!("a=1&{word}={hidden}")),
            2 => ("note".to_owned(), format!("jdbc:x://root:{hidden}@db/x")),
            _ => ("note".to_owned(), json!({ "a": 1, format!("db-{word}"): hidden }).to_string()),
        };
        let metadata = json!({ &key: &value });
        let preset = |at: usize| PRESETS[at].encoding();
        let micro = json!({ "name": "a", "nodes": [{ "address": ":1", "metadata": &metadata }] }).to_string();
        let dubbo = json!({ &key: &value, "dubbo.endpoints": "[{\"port\":1}]" }).to_string();
        let (encoding, annotations): (Encoding, Vec<(String, String)>) = match place {
            0 => (preset(0), vec![("own".into(), json!({ "interface": "a", "port": 1, "meta": metadata }).to_string())]),
            1 => (preset(0), vec![("own".into(), json!([{ "interface": "a", "port": 1, &value: 1, "group": &value }]).to_string())]),
            2 => (preset(0), vec![("app.io/interface".into(), "a".into()), ("app.io/port".into(), "1".into()), (format!("app.io/meta.{key}"), value)]),
            3 => (preset(0), vec![("app.io/interface".into(), value.clone()), ("app.io/port".into(), value.clone()), (format!("app.io/{value}"), value)]),
            4 => (preset(2), vec![("kratos-service-protocols".into(), "{\"1\":\"grpc\"}".into()), ("kratos-service-metadata".into(), metadata.to_string())]),
            5 => (preset(2), vec![("kratos-service-protocols".into(), json!({ "1": &value, &value: "grpc" }).to_string())]),
            6 => (preset(3), vec![("micro.mu/service-a".into(), micro)]),
            7 => (preset(3), vec![(format!("micro.mu/service-{value}"), json!({ "name": &value, "nodes": [{ "address": format!("{value}:1") }] }).to_string())]),
            8 => (encodings().pop().unwrap(), vec![("io.dubbo/metadata".into(), dubbo)]),
            _ => (encodings()[5].clone(), vec![("a".into(), metadata.to_string()), (format!("app.io/{key}"), value)]),
        };
        let labels = [("l", "a"), ("kratos-service-app", "a"), ("p", "1")];
        let annotations = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let decoded = decode(&ProfileText::of(Some("own"), &encoding.wanted(), labels, annotations, []), &encoding);
        let is_value = shape == 0 && matches!(place, 1 | 3 | 5 | 7); // not known to be a secret, and so a name
        prop_assert!(is_value || !format!("{decoded:?}").contains(hidden), "{:?}", decoded);
        let told: u32 = decoded.registrations.iter().map(|one| one.metadata.withheld).sum();
        prop_assert!(is_value || told > 0 || !decoded.problems.is_empty());
    }
}
