//! What an annotation's value comes to: recorded values, tables of cases, and bounds.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{
    ANNOTATION_LEN_MAX, Consumer, DECODED_LEN_MAX, Decoded, Metadata, REGISTRATIONS_MAX, Reason, Registration, decode,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

/// An element in short: `key=value`, `PROVIDER interface url`, `CONSUMER interface url`, or JSON.
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

/// Elements as an annotation's value, and where each one begins in the JSON.
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

/// A registration in short, without its pairs; `#` and the number of the element that it begins at, where known.
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

fn problems(decoded: &Decoded) -> Vec<(&'static str, Option<&'static str>, usize)> {
    decoded.problems.iter().map(|problem| (problem.reason.kind(), problem.key, problem.offset)).collect()
}

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
    let cases: Vec<Recorded> = serde_json::from_str(include_str!("fixtures/dubbo-go.json")).unwrap();
    assert_eq!(cases.len(), 5);
    for Recorded { what, annotation, registrations, pairs, consumers } in cases {
        let decoded = decode(&annotation);
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
        let decoded = decode(value);
        assert_eq!(problems(&decoded), [(reason.kind(), None, offset)], "{reason}");
        assert_eq!((decoded.registrations.len(), decoded.consumers.len()), (0, 0), "{reason}");
    }
    assert_eq!(Reason::BadJson.to_string(), "bad JSON");
    assert_eq!(decode(&"\n".repeat(ANNOTATION_LEN_MAX)).problems[0].reason, Reason::BadJson, "the largest is read");
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
        let decoded = decode(&value);
        assert_eq!(decoded.decoded_len, json.len(), "{value}");
        assert_eq!(shown(&decoded.registrations[0], &[]), "a>>>??? rpc *:20880 w=100", "{value}");
    }
}

/// Elements, registrations and problems, each separated by ` | `; a problem is its reason, its key, and the element.
type Case = (&'static str, &'static str, &'static str);

fn check(cases: &[Case]) {
    for (elements, registrations, expected) in cases {
        let shorts: Vec<String> = elements.split(" | ").filter(|short| !short.is_empty()).map(String::from).collect();
        let (value, offsets) = value_of(&shorts);
        let decoded = decode(&value);
        let read: Vec<String> = decoded.registrations.iter().map(|one| shown(one, &offsets)).collect();
        assert_eq!(read.join(" | "), *registrations, "{elements}");
        let told = problems(&decoded).into_iter().map(|(reason, key, offset)| {
            let place = offsets.iter().position(|place| *place == offset).expect("a problem is at an element");
            format!("{reason} {} #{place}", key.unwrap_or("-"))
        });
        assert_eq!(told.collect::<Vec<_>>().join(" | "), *expected, "{elements}");
    }
}

#[test]
fn fields() {
    check(&[
        ("", "", ""),
        ("interface=a | port=1", "a rpc *:1 w=100 #0", ""),
        ("Interface=a.B | PORT=1 | Group=g | VERSION=1.0.0", "a.B g=g v=1.0.0 rpc *:1 w=100 #0", ""),
        ("interface=a | port=1 | group= | version= | protocol=", "a rpc *:1 w=100 #0", ""),
        ("interface=a | port=1 | version=0.0.0", "a v=0.0.0 rpc *:1 w=100 #0", ""),
        (r#"interface=a | {"k":"port","v":20880,"x":[null]}"#, "a rpc *:20880 w=100 #0", ""),
        // several interfaces, and what holds for all of them
        (
            "protocol=tri | port=1 | application=shop | interface=a | interface=b | port=2 | protocol=http",
            "a tri *:1 w=100 app=shop #3 | b http *:2 w=100 app=shop #4",
            "",
        ),
        ("group=g | port=1 | interface=a | group=", "a rpc *:1 w=100 #2", ""),
        // several ports
        ("interface=a | port=1 | port=2", "a rpc *:1 w=100 #0 | a rpc *:2 w=100 #2", ""),
        ("port=1 | port=2 | interface=a", "a rpc *:1 w=100 #2 | a rpc *:2 w=100 #2", ""),
        ("port=1 | port=2 | interface=a | port=3", "a rpc *:3 w=100 #2", ""),
        ("interface=a | port=1 | port=x | port=3", "a rpc *:1 w=100 #0 | a rpc *:3 w=100 #3", "bad-port port #2"),
        // a duplicate that was appended stays; the index lets the last one win
        (
            "interface=a | port=1 | weight=1 | interface=a | port=1 | weight=2",
            "a rpc *:1 w=1 #0 | a rpc *:1 w=2 #3",
            "",
        ),
        // addresses
        ("interface=a | port=1 | ip=10.0.0.1", "a rpc 10.0.0.1:1 w=100 #0", ""),
        ("interface=a | port=1 | ip=fd00::1", "a rpc fd00::1:1 w=100 #0", ""),
        ("interface=a | port=1 | ip=[fd00::1]", "a rpc fd00::1:1 w=100 #0", ""),
        ("interface=a | port=1 | ip=::ffff:10.0.0.1", "a rpc 10.0.0.1:1 w=100 #0", ""),
        (
            "interface=a | port=1 | ip=0.0.0.0 | interface=a | port=1 | ip=::",
            "a rpc *:1 w=100 #0 | a rpc *:1 w=100 #3",
            "",
        ),
        ("interface=a | port=1 | ip=fe80::1%eth0", "", "bad-address ip #2"),
        ("interface=a | port=1 | ip=localhost", "", "bad-address ip #2"),
        ("ip=localhost | interface=a | port=1", "", "bad-address ip #1"),
        // weights and switches
        ("interface=a | port=1 | weight=70000", "a rpc *:1 w=65535 #0", ""),
        ("interface=a | port=1 | weight=99999999999999999999999999", "a rpc *:1 w=65535 #0", ""),
        ("interface=a | port=1 | weight=0", "a rpc *:1 w=1 off #0", ""),
        ("interface=a | port=1 | weight=", "a rpc *:1 w=100 #0", ""),
        ("interface=a | port=1 | weight=-1", "", "bad-weight weight #2"),
        (r#"interface=a | port=1 | {"k":"weight","v":1.5}"#, "", "bad-weight weight #2"),
        (r#"interface=a | port=1 | {"k":"enabled","v":false}"#, "a rpc *:1 w=100 off #0", ""),
        ("interface=a | port=1 | enabled=FALSE", "a rpc *:1 w=100 off #0", ""),
        (r#"interface=a | port=1 | {"k":"disabled","v":true}"#, "a rpc *:1 w=100 off #0", ""),
        ("interface=a | port=1 | enabled=true | disabled=false", "a rpc *:1 w=100 #0", ""),
        (
            "enabled=false | interface=a | port=1 | interface=b | port=1 | enabled=true",
            "a rpc *:1 w=100 off #1 | b rpc *:1 w=100 #3",
            "",
        ),
        // methods
        ("interface=a | port=1 | method=x | method=y | method=x", "a rpc *:1 w=100 methods=x,y #0", ""),
        ("interface=a | port=1 | methods=x, y,,x | method=z", "a rpc *:1 w=100 methods=x,y,z #0", ""),
        (
            "methods=x | port=1 | interface=a | interface=b | method=y",
            "a rpc *:1 w=100 methods=x #2 | b rpc *:1 w=100 methods=y #3",
            "",
        ),
        // a field that may stand once
        ("interface=a | port=1 | group=x | group=x | interface=b | port=1", "b rpc *:1 w=100 #4", "repeated group #3"),
        ("interface=a | port=1 | methods=x | methods=y", "", "repeated methods #3"),
        ("interface=a | port=1 | enabled=true | enabled=false", "", "repeated enabled #3"),
        (
            "group=x | group=y | interface=a | port=1 | interface=b | port=1 | group=z",
            "b g=z rpc *:1 w=100 #4",
            "repeated group #2",
        ),
    ]);
}

#[test]
fn bad_fields_harm_no_others() {
    check(&[
        ("interface=a", "", "no-port port #0"),
        ("interface=a | interface=b | port=1", "b rpc *:1 w=100 #1", "no-port port #0"),
        ("interface=a | port=0", "", "bad-port port #1"),
        ("interface=a | port=65536", "", "bad-port port #1"),
        ("interface=a | port=abc", "", "bad-port port #1"),
        ("interface=a | port=080", "", "bad-port port #1"),
        ("interface=a | port=", "", "bad-port port #1"),
        ("port=x | interface=a | interface=b | port=1", "b rpc *:1 w=100 #2", "bad-port port #1"),
        ("port=1 | zone=x", "", "no-interface interface #0"),
        ("port=1 | interface= | interface=b", "b rpc *:1 w=100 #2", "no-interface interface #1"),
        ("port=1 | interface=a\tb | interface=b", "b rpc *:1 w=100 #2", "control-characters interface #1"),
        ("port=1 | interface=a | group=\u{85}", "", "control-characters group #2"),
        ("port=1 | interface=a | version=\0", "", "control-characters version #2"),
        ("port=1 | protocol=\n | interface=a", "", "control-characters protocol #2"),
        ("port=1 | interface=a://u:hunter2@b | interface=b", "b rpc *:1 w=100 #2", "secret interface #1"),
        ("port=1 | interface=a | group=token=hunter2", "", "secret group #2"),
        ("port=1 | interface=a | version=x?pwd%3Dhunter2", "", "secret version #2"),
        ("port=1 | interface=a | protocol=my-secret=hunter2", "", "secret protocol #2"),
        // bad pairs
        ("7 | port=1 | interface=a", "a rpc *:1 w=100 #2", "not-a-pair - #0"),
        (r#"{"v":1} | port=1 | interface=a"#, "a rpc *:1 w=100 #2", "no-key - #0"),
        (r#"{"k":"group","v":null} | port=1 | interface=a"#, "a rpc *:1 w=100 #2", "bad-value group #0"),
        (r#"port=1 | interface=a | {"k":"zone","v":[]} | interface=b"#, "b rpc *:1 w=100 #3", "bad-value - #2"),
        (r#"port=1 | interface=a | {"v":"x"} | interface=b"#, "b rpc *:1 w=100 #3", "no-key - #2"),
        (r#"port=1 | interface=a | {"k":5} | null | interface=b"#, "b rpc *:1 w=100 #4", "not-a-pair - #2"),
        (r#"port=1 | interface=a | {"k":"x","k":"y"} | interface=b"#, "b rpc *:1 w=100 #3", "repeated k #2"),
        (r#"interface=a | port=1 | {"k":"interface","v":{}} | port=2"#, "a rpc *:1 w=100 #0", "bad-value interface #2"),
        (r#"interface=a | port=1 | {"k":"/dubbo","v":null}"#, "a rpc *:1 w=100 #0", "bad-value - #2"),
        (r#"{"v":1}"#, "", "no-key - #0"),
    ]);
}

#[test]
fn registry_paths() {
    check(&[
        ("/= | /dubbo= | /dubbo/a= | /dubbo/a/providers= | /dubbo/a/providers/=", "", ""),
        ("/dubbo/a/configurators/override%3A%2F%2Fx= | /dubbo/a/routers/x=", "", ""),
        ("PROVIDER a dubbo://10.0.0.1:20880/a", "a dubbo 10.0.0.1:20880 w=100 #0", ""),
        (
            "PROVIDER bean tri://10.0.0.1:1/bean?interface=a.B&group=g&version=1.0",
            "a.B g=g v=1.0 tri 10.0.0.1:1 w=100 #0",
            "",
        ),
        ("PROVIDER a tri://[fd00::1]:1/a", "a tri fd00::1:1 w=100 #0", ""),
        ("PROVIDER a tri://0.0.0.0:1/a | PROVIDER a tri://:2/a", "a tri *:1 w=100 #0 | a tri *:2 w=100 #1", ""),
        ("PROVIDER a tri://me:hunter2@10.0.0.1:1/a", "a tri 10.0.0.1:1 w=100 #0", ""),
        ("PROVIDER a tri://:1?version=0.0.0&version=2&group=&interface=", "a tri *:1 w=100 #0", ""),
        ("PROVIDER a tri://:1?group=x&group=y&weight=3&weight=-1", "a g=x tri *:1 w=3 #0", ""),
        ("PROVIDER a tri://:1?ip=10.9.9.9&port=9&protocol=x", "a tri *:1 w=100 #0", ""),
        (
            "PROVIDER a tri://:1?methods=x,y&application=shop&enabled=false",
            "a tri *:1 w=100 off app=shop methods=x,y #0",
            "",
        ),
        (
            "PROVIDER a tri://:1?disabled=true | PROVIDER a tri://:1?weight=0",
            "a tri *:1 w=100 off #0 | a tri *:1 w=1 off #1",
            "",
        ),
        ("PROVIDER a tri://:1?methods=x%252Cy&Group=z&method=q", "a tri *:1 w=100 methods=x%2Cy left_out=2 #0", ""),
        ("PROVIDER a%20b tri://:1", "a b tri *:1 w=100 #0", ""),
        // what is wrong with one
        ("/other/a/providers/x=", "", "bad-path - #0"),
        ("//a=", "", "bad-path - #0"),
        ("/dubbo/a/providers/dubbo://10.0.0.1:1/a=", "", "bad-path - #0"),
        ("PROVIDER a 10.0.0.1:1", "", "bad-path - #0"),
        ("PROVIDER a tri://fd00::1:1", "", "bad-path - #0"),
        ("/dubbo/a/providers/tri%3A%2F%2F%FF= | PROVIDER a tri://:1", "a tri *:1 w=100 #1", "bad-path - #0"),
        ("PROVIDER a tri://:1?x=%FF", "", "bad-path - #0"),
        ("PROVIDER a tri://example.org:1/a", "", "bad-address ip #0"),
        ("PROVIDER a tri://10.0.0.1/a", "", "no-port port #0"),
        ("PROVIDER a tri://10.0.0.1:/a", "", "no-port port #0"),
        ("PROVIDER a tri://10.0.0.1:0/a", "", "bad-port port #0"),
        ("PROVIDER a tri://10.0.0.1:1/a?weight=x", "", "bad-weight weight #0"),
        ("PROVIDER  tri://10.0.0.1:1/a", "", "no-interface interface #0"),
        ("PROVIDER a tri://10.0.0.1:1/a?group=%00", "", "control-characters group #0"),
        ("PROVIDER a tri://10.0.0.1:1/a?version=token%3Dhunter2", "", "secret version #0"),
        // between fields
        (
            "port=1 | interface=a | PROVIDER b tri://:2 | group=g | /x= | interface=c",
            "a g=g rpc *:1 w=100 #1 | b tri *:2 w=100 #2 | c rpc *:1 w=100 #5",
            "bad-path - #4",
        ),
        ("zone=x | PROVIDER b tri://:2", "b tri *:2 w=100 #1", ""),
    ]);
}

#[test]
fn consumers() {
    for (elements, expected, told) in [
        (
            "CONSUMER a consumer://10.0.0.1/bean?interface=a.B&group=g&version=1&application=shop",
            "a.B g=g v=1 app=shop",
            "",
        ),
        ("CONSUMER a consumer://10.0.0.1/bean?version=0.0.0&group=", "a", ""),
        (
            "CONSUMER a consumer://h/x?timestamp=1 | CONSUMER a consumer://h/x?timestamp=2 | CONSUMER b consumer://h",
            "a | b",
            "",
        ),
        ("CONSUMER a consumer://h?application=token%3Dhunter2", "a", ""),
        ("CONSUMER a nothing", "", "bad-path"),
        ("CONSUMER  consumer://h", "", "no-interface"),
        ("CONSUMER a consumer://h?group=%07", "", "control-characters"),
        ("CONSUMER a consumer://h?interface=token%3Dhunter2", "", "secret"),
    ] {
        let shorts: Vec<String> = elements.split(" | ").map(String::from).collect();
        let decoded = decode(&value_of(&shorts).0);
        assert_eq!(decoded.registrations, [], "{elements}");
        assert_eq!(
            decoded.consumers.iter().map(shown_consumer).collect::<Vec<_>>().join(" | "),
            expected,
            "{elements}"
        );
        assert_eq!(
            problems(&decoded).iter().map(|problem| problem.0).collect::<Vec<_>>().join(" | "),
            told,
            "{elements}"
        );
    }
}

#[test]
fn metadata() {
    for (elements, pairs, withheld, left_out) in [
        ("zone=b | region=a | interface=a | port=1", "region=a zone=b", 0, 0),
        ("zone=b | interface=a | port=1 | ZONE=c | zone=d", "ZONE=c", 0, 1),
        ("interface=a | port=1 | weight=70000", "weight=65535", 0, 0),
        ("interface=a | port=1 | weight=0 | enabled=true", "weight=1", 0, 0),
        ("interface=a | port=1 | pod=x | Node=y | key.1=z | é=1 | a.b=", "a.b=", 0, 4),
        ("interface=a | port=1 | accessToken=x | url=redis://u:p@h | u=a%253Fpwd%253Dx | ok=token", "ok=token", 3, 0),
        ("interface=a | port=1 | application=secret=x | method=token=x | method=m", "", 2, 0),
        ("PROVIDER a tri://:1?z=%C3%A9+1&side=provider&pod=x&pass-wd=x&side=y", "side=provider z=é 1", 1, 2),
    ] {
        let shorts: Vec<String> = elements.split(" | ").map(String::from).collect();
        let decoded = decode(&value_of(&shorts).0);
        assert_eq!(problems(&decoded), [], "{elements}");
        let [registration] = &decoded.registrations[..] else { panic!("{elements}") };
        assert_eq!(shown_pairs(registration).join(" "), pairs, "{elements}");
        let Metadata { withheld: kept_back, left_out: skipped, .. } = registration.metadata;
        assert_eq!((kept_back, skipped), (withheld, left_out), "{elements}");
    }
}

#[test]
fn one_annotation_holds_so_many_registrations() {
    let shorts: Vec<String> = (0..REGISTRATIONS_MAX + 2).map(|number| format!("interface=i{number}")).collect();
    let (value, offsets) = value_of(&[&["port=1".to_owned()], &shorts[..]].concat());
    let decoded = decode(&value);
    assert_eq!(decoded.registrations.len(), REGISTRATIONS_MAX);
    assert_eq!(problems(&decoded), [("too-many", None, offsets[REGISTRATIONS_MAX + 1])]);

    let shorts: Vec<String> = (0..1200).map(|number| format!("CONSUMER i{number} consumer://h")).collect();
    let (value, offsets) = value_of(&shorts);
    let decoded = decode(&value);
    assert_eq!(decoded.consumers.len(), REGISTRATIONS_MAX);
    assert_eq!(problems(&decoded), [("too-many", None, offsets[REGISTRATIONS_MAX])]);
}

#[test]
fn problems_have_a_bound() {
    let decoded = decode(&STANDARD.encode(format!("[{}0]", "0,".repeat(90_000))));
    assert_eq!(decoded.problems.len(), REGISTRATIONS_MAX);
}

/// What holds for the whole process counts for each registration, or 1,024 of them would multiply it.
#[test]
fn shared_pairs_do_not_multiply_without_bound() {
    let mut shorts = vec!["port=1".to_owned(), format!("note={}", "x".repeat(100_000))];
    shorts.extend((0..20).map(|number| format!("interface=i{number}")));
    let (value, offsets) = value_of(&shorts);
    let decoded = decode(&value);
    let fitting = DECODED_LEN_MAX / 100_100;
    assert_eq!(decoded.registrations.len(), fitting);
    let refused: Vec<_> = offsets[2 + fitting..].iter().map(|offset| ("too-large", None, *offset)).collect();
    assert_eq!(problems(&decoded), refused);
}
