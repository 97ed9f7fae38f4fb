//! Plain annotations: one for each field.

use callsign::registration::{
    ANNOTATION_LEN_MAX, ContainerPort, Decoded, Encoding, PlainError, ProfileText, REGISTRATIONS_MAX, decode,
    decode_value, encode_plain,
};

use super::{problems, shown, shown_pairs};

fn app() -> Encoding {
    Encoding::Pairs { plain: Some("app.io/".into()) }
}

/// What a Pod with these annotations under `app.io/` registers. Its container ports are `http` 8080 and 9000.
fn read(annotations: &[(&str, &str)]) -> Decoded {
    let annotations: Vec<(String, &str)> =
        annotations.iter().map(|(key, value)| (format!("app.io/{key}"), *value)).collect();
    let annotations = annotations.iter().map(|(key, value)| (key.as_str(), *value));
    let ports = [("http", 8080), ("", 9000)].map(|(name, number)| ContainerPort { name: name.into(), number });
    decode(&ProfileText::of(Some("app.io/annotation"), &app().wanted(), [], annotations, ports), &app())
}

#[test]
fn annotations_register() {
    for (annotations, registration, told) in [
        ("interface=a port=1", "a rpc *:1 w=100", ""),
        ("interface=a port=8080", "a http *:8080 w=100", ""),
        ("interface=a port=http", "a http *:8080 w=100", ""),
        ("interface=a protocol=HTTP", "a HTTP *:8080 w=100", ""),
        ("interface=a group= version= weight= enabled= port=1 methods= application=", "a rpc *:1 w=100", ""),
        ("interface=a port=1 enabled=false", "a rpc *:1 w=100 off", ""),
        ("interface=a port=1 enabled=no", "", "not-boolean enabled"),
        ("interface=a port=1 application=shop methods=x,y", "a rpc *:1 w=100 app=shop methods=x,y", ""),
        ("interface=a", "", "no-port port"),
        ("interface=a port=grpc", "", "bad-port port"),
        ("interface=a port=0", "", "bad-port port"),
        ("interface=a port=1 weight=x", "", "bad-weight weight"),
        ("interface=a?token=x port=1", "", "secret interface"),
        ("port=1", "", "no-interface interface"),
        ("interface= port=1", "", "no-interface interface"),
        // Typing errors.
        ("interface=a port=1 wieght=7", "a rpc *:1 w=100", "unknown-key wieght"),
        ("interfce=a port=1", "", "unknown-key interfce | no-interface interface"),
        ("interfce=a", "", "unknown-key interfce"),
        ("interface=a port=1 ip=10.0.0.1", "a rpc *:1 w=100", "unknown-key ip"),
        ("interface=a port=1 Port=2 meta=x", "a rpc *:1 w=100", "unknown-key Port | unknown-key meta"),
        // What `callsign register` offers.
        ("interface=a port=1 register=true", "", ""),
        ("interface=a port=1 register=True meta.x=1", "", ""),
        ("interface=a port=1 register=true wieght=7", "", "unknown-key wieght"),
        ("interface=a port=1 register=false", "a rpc *:1 w=100", ""),
        ("interface=a port=1 register=yes", "", "not-boolean register"),
        ("register=true", "", ""),
        ("", "", ""),
    ] {
        let pairs: Vec<(&str, &str)> = annotations.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        let decoded = read(&pairs);
        let read: Vec<String> = decoded.registrations.iter().map(|one| shown(one, &[])).collect();
        assert_eq!(read.join(" | "), registration, "{annotations}");
        let key = |key: Option<String>| key.map(|key| key.replace("annotation app.io/", "")).unwrap_or_default();
        let problems = problems(&decoded).into_iter().map(|(reason, name, _)| format!("{reason} {}", key(name)));
        assert_eq!(problems.collect::<Vec<_>>().join(" | "), told, "{annotations}");
    }
}

#[test]
fn a_problem_says_what_to_write() {
    let message = |annotations: &[(&str, &str)]| {
        let decoded = read(annotations);
        decoded.problems.iter().map(|problem| problem.reason.about(problem.key.as_ref())).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(message(&[("interfce", "hunter2")]), "annotation app.io/interfce: unknown key: write app.io/interface");
    assert_eq!(message(&[("Interface", "x")]), "annotation app.io/Interface: unknown key: write app.io/interface");
    let choices = "for metadata, or one of interface, group, version, protocol, port, weight, methods, application, enabled, \
                   register";
    let unlike = format!("annotation app.io/unlike: unknown key: write app.io/meta.<key> {choices} after app.io/");
    assert_eq!(message(&[("unlike", "x")]), unlike);
    assert_eq!(
        message(&[("interface", "a"), ("port", "hunter2")]),
        "annotation app.io/port: port is not a number from 1 to 65535, and no TCP container port has this name"
    );
    assert_eq!(
        message(&[("interface", "a")]),
        "annotation app.io/port: no port: write a number from 1 to 65535 or the name of a container port"
    );
    let long = message(&[(&"é\n".repeat(400), "x")]);
    assert!(long.starts_with("annotation app.io/\\u{e9}\\n\\u{e9}") && long.len() < 320 + choices.len(), "{long}");
    let withheld = format!("annotation (withheld): unknown key: write meta.<key> {choices}");
    assert_eq!(message(&[("x?token=hunter2", "")]), withheld);
}

#[test]
fn metadata() {
    let decoded = read(&[
        ("interface", "a"),
        ("port", "1"),
        ("meta.zone", "a"),
        ("meta.weight", "20"),
        ("meta.api-token", "hunter2"),
        ("meta.url", "redis://u:hunter2@h"),
        ("meta.version", "2"),
        ("meta.", "x"),
    ]);
    let [one] = &decoded.registrations[..] else { panic!("{decoded:?}") };
    assert_eq!((shown_pairs(one).join(" ").as_str(), one.weight), ("weight=20 zone=a", 20));
    assert_eq!((one.metadata.withheld, one.metadata.left_out), (2, 2));
}

#[test]
fn a_value_and_annotations_make_one_list() {
    let value = r#"[{"k":"interface","v":"a"},{"k":"port","v":1},{"k":"port","v":0}]"#;
    let decoded = read(&[("annotation", value), ("interface", "b"), ("port", "2"), ("wieght", "7")]);
    let read: Vec<String> = decoded.registrations.iter().map(|one| shown(one, &[])).collect();
    assert_eq!(read, ["a rpc *:1 w=100", "b rpc *:2 w=100"], "the annotations' registration is the later one");
    let told: Vec<&str> = problems(&decoded).into_iter().map(|(reason, ..)| reason).collect();
    assert_eq!(told, ["bad-port", "unknown-key"]);
    let broken = self::read(&[("annotation", "["), ("interface", "b"), ("port", "2")]);
    assert_eq!((broken.registrations.len(), problems(&broken)[0].0), (1, "bad-json"), "one does not hide the other");
}

#[test]
fn the_annotations_of_a_pod_have_bounds() {
    let long = "x".repeat(ANNOTATION_LEN_MAX);
    let decoded = read(&[("interface", "a"), ("port", "1"), ("meta.note", &long)]);
    assert_eq!((decoded.registrations.len(), problems(&decoded)), (0, vec![("too-large", None, 0)]));
    let beside = read(&[("annotation", r#"{"interface":"b","port":2}"#), ("meta.note", &long)]);
    assert_eq!((beside.registrations.len(), problems(&beside).len()), (1, 1), "the value holds");

    let ports = (1..=u16::MAX).map(|number| ContainerPort { name: format!("p{number}").into(), number });
    let labels = callsign::registration::PRESETS[4].encoding();
    let name = [("app.kubernetes.io/name", "a")];
    let decoded = decode(&ProfileText::of(None, &labels.wanted(), name, [], ports.take(2_000)), &labels);
    assert_eq!(decoded.registrations.len(), REGISTRATIONS_MAX);
    assert_eq!(problems(&decoded), [("too-many", Some("port *".into()), 0)]);
}

#[test]
fn registrations_are_encoded() {
    let of = |object: &str| decode_value(object).registrations.remove(0);
    let one = of(
        r#"{"interface":"a","group":"g","port":1,"weight":7,"methods":["x","y"],"enabled":false,"meta":{"zone":"a"}}"#,
    );
    let annotations = encode_plain("app.io/", &one, None).unwrap();
    let text: Vec<String> = annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        text.join(" "),
        "app.io/interface=a app.io/protocol=rpc app.io/group=g app.io/port=1 app.io/enabled=false app.io/weight=7 app.io/meta.zone=a app.io/methods=x,y"
    );
    let annotations = annotations.iter().map(|(key, value)| (key.strip_prefix("app.io/").unwrap(), value.as_str()));
    assert_eq!(read(&annotations.collect::<Vec<_>>()).registrations, [one]);
    for (object, error) in [
        (r#"{"interface":"a","port":1,"ip":"10.0.0.1"}"#, PlainError::Address),
        (r#"{"interface":"a","port":1,"methods":["x,y"]}"#, PlainError::Method),
        (r#"{"interface":"a","port":1,"meta":{"a b":"1"}}"#, PlainError::MetadataKey),
        (r#"{"interface":"a","port":1,"meta":{"a.":"1"}}"#, PlainError::MetadataKey),
    ] {
        assert_eq!(encode_plain("app.io/", &of(object), None), Err(error), "{object}");
    }
}
