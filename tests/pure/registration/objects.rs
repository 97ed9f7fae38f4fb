//! JSON as it stands: objects, pairs, and both in one array.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{
    ContainerPort, Encoding, PodParts, ProfileText, REGISTRAR, decode, decode_value, encode_objects, has_entries,
    replace,
};

use super::{problems, shown, shown_pairs};

/// The container ports of a Pod.
fn ports() -> Box<[ContainerPort]> {
    let port = |name: &str, number| ContainerPort { name: name.into(), number };
    [port("http", 8080), port("grpc", 9000), port("grpc", 9001), port("", 7000)].into()
}

/// What a value registers in a Pod with these container ports, and its problems: `reason key @offset`.
fn read(value: &str, ports: Box<[ContainerPort]>) -> (String, String) {
    let parts = PodParts { ports, ..PodParts::default() };
    let text = ProfileText { value: Some(value.into()), parts: Some(parts.into()) };
    let decoded = decode(&text, &Encoding::Pairs { plain: None });
    let registrations: Vec<String> = decoded.registrations.iter().map(|one| shown(one, &[])).collect();
    let problem = |(reason, key, offset): (&str, Option<String>, usize)| {
        format!("{reason} {} @{offset}", key.unwrap_or("-".into()))
    };
    let problems: Vec<String> = problems(&decoded).into_iter().map(problem).collect();
    (registrations.join(" | "), problems.join(" | "))
}

#[test]
fn objects_register() {
    for (value, registrations, problems) in [
        (r#"{"interface":"a","port":1}"#, "a rpc *:1 w=100", ""),
        (" \n[{\"interface\":\"a\",\"port\":1}]\n", "a rpc *:1 w=100", ""),
        (
            r#"{"interface":"a","group":"g","version":"1","protocol":"tri","port":"20880","weight":7,"application":"shop","methods":["x","y"],"ip":"10.0.0.1"}"#,
            "a g=g v=1 tri 10.0.0.1:20880 w=7 app=shop methods=x,y",
            "",
        ),
        (r#"{"interface":"a","methods":"x, y","port":1}"#, "a rpc *:1 w=100 methods=x,y", ""),
        (r#"{"interface":"a","group":null,"version":"","port":1,"meta":null}"#, "a rpc *:1 w=100", ""),
        (r#"{"interface":"a","port":1,"enabled":false}"#, "a rpc *:1 w=100 off", ""),
        (r#"{"interface":"a","port":1,"enabled":"false"}"#, "a rpc *:1 w=100 off", ""),
        (r#"{"interface":"a","port":1,"enabled":"no"}"#, "", "not-boolean enabled @36"),
        (r#"{"interface":"a","port":1,"weight":0}"#, "a rpc *:1 w=1 off", ""),
        // Ports: a number, a container port's name, several, and none.
        (r#"{"interface":"a","port":8080}"#, "a http *:8080 w=100", ""),
        (r#"{"interface":"a","port":"grpc"}"#, "a grpc *:9000 w=100", ""),
        (r#"{"interface":"a","port":"grpc","protocol":"h2"}"#, "a h2 *:9000 w=100", ""),
        (
            r#"{"interface":"a","port":[1,"http",7000]}"#,
            "a rpc *:1 w=100 | a http *:8080 w=100 | a rpc *:7000 w=100",
            "",
        ),
        (r#"{"interface":"a","port":["no",2]}"#, "a rpc *:2 w=100", "bad-port port @25"),
        (r#"{"interface":"a","port":"HTTP"}"#, "", "bad-port port @24"),
        (r#"{"interface":"a","port":70000}"#, "", "bad-port port @24"),
        (r#"{"interface":"a","port":1.5}"#, "", "bad-port port @24"),
        (r#"{"interface":"a","protocol":"GRPC"}"#, "a GRPC *:9000 w=100", ""),
        (r#"{"interface":"a","protocol":"tri"}"#, "", "no-port port @0"),
        (r#"{"interface":"a"}"#, "", "no-port port @0"),
        // What cannot be read.
        (
            r#"{"interface":"a","port":1,"prot":"tri","x":[{}]}"#,
            "a rpc *:1 w=100",
            "unknown-key prot @33 | unknown-key x @43",
        ),
        (r#"{"interface":"a","Group":"g","port":1}"#, "a rpc *:1 w=100", "unknown-key Group @25"),
        (r#"{"interface":"a","port":{}}"#, "", "bad-value port @24"),
        (r#"{"interface":"a","port":1,"group":[]}"#, "", "bad-value group @34"),
        (r#"{"interface":"a","port":1,"methods":[{}]}"#, "", "bad-value methods @36"),
        (r#"{"interface":"a","port":1,"port":2}"#, "", "repeated port @33"),
        (r#"{"interface":"","port":1}"#, "", "no-interface interface @0"),
        (r#"{"port":1}"#, "", "no-interface interface @0"),
        ("{}", "", "no-interface interface @0"),
        (r#"[{"port":1}]"#, "", "no-interface interface @1"),
        ("[{}]", "", "no-key - @1"),
        (r#"{"k":"interface","v":"a"}"#, "", "not-an-array - @0"),
        (r#"{"interface":"a","port":1"#, "", "bad-json - @25"),
        (r#"{"interface":"a\u0007","port":1}"#, "", "control-characters interface @13"),
        (r#"{"interface":"a?token=x","port":1}"#, "", "secret interface @13"),
        (r#"{"interface":"a","port":1,"weight":"x"}"#, "", "bad-weight weight @35"),
        (r#"{"interface":"a","port":1,"ip":"host"}"#, "", "bad-address ip @31"),
        (r#"{"interface":"a","port":1,"token=hunter2":7}"#, "a rpc *:1 w=100", "unknown-key (withheld) @42"),
    ] {
        let (read, told) = read(value, ports());
        assert_eq!((read.as_str(), told.as_str()), (registrations, problems), "{value}");
        let in_base64 = self::read(&STANDARD.encode(value), ports());
        assert_eq!(in_base64, (read, told), "{value} in base64");
    }
}

#[test]
fn an_object_stands_alone_among_pairs() {
    let value = r#"[{"k":"group","v":"g"},{"k":"interface","v":"a"},
        {"interface":"b","port":2},
        {"k":"port","v":1},{"k":"/dubbo/c/providers/tri%3A%2F%2F10.0.0.1%3A3","v":""},{"interface":"d","port":4,"k":"port"}]"#;
    let (registrations, problems) = read(value, Box::default());
    assert_eq!(registrations, "a g=g rpc *:1 w=100 | b rpc *:2 w=100 | c tri 10.0.0.1:3 w=100 | d rpc *:4 w=100");
    assert_eq!(problems, format!("unknown-key k @{}", value.rfind("\"port\"").unwrap()));
}

#[test]
fn a_port_that_is_not_a_number_stays_one_of_pairs() {
    let pairs = r#"[{"k":"interface","v":"a"},{"k":"port","v":"http"}]"#;
    assert_eq!(read(pairs, ports()), (String::new(), "bad-port port @27".into()));
    assert_eq!(read(r#"[{"k":"interface","v":"a"}]"#, ports()).1, "no-port port @1");
    let numbered = r#"[{"k":"interface","v":"a"},{"k":"port","v":"8080"}]"#;
    assert_eq!(read(numbered, ports()).0, "a rpc *:8080 w=100", "the protocol is rpc as before");
}

#[test]
fn metadata_of_objects() {
    for (meta, pairs, withheld, left_out, problems_count) in [
        (r#"{"zone":"a","n":1,"on":true}"#, "n=1 on=true zone=a", 0, 0, 0),
        (r#"{"zone":"a","Zone":"b","zone":"c"}"#, "zone=a", 0, 2, 0),
        (r#"{"version":"2","cluster":"x","é":"1"}"#, "", 0, 3, 0),
        (r#"{"weight":"20"}"#, "weight=20", 0, 0, 0),
        (r#"{"weight":"heavy"}"#, "", 0, 1, 0),
        (r#"{"api-token":"x","url":"redis://u:p@h","json":"{\"password\": \"x\"}"}"#, "", 3, 0, 0),
        (r#"{"zone":"a","list":[1],"none":null}"#, "zone=a", 0, 0, 1),
        (r#""zone""#, "", 0, 0, 1),
    ] {
        let decoded = decode_value(&format!(r#"{{"interface":"a","port":1,"meta":{meta}}}"#));
        let [one] = &decoded.registrations[..] else { panic!("{meta}: {decoded:?}") };
        assert_eq!(shown_pairs(one).join(" "), pairs, "{meta}");
        assert_eq!((one.metadata.withheld, one.metadata.left_out), (withheld, left_out), "{meta}");
        assert_eq!(decoded.problems.len(), problems_count, "{meta}: {:?}", decoded.problems);
        assert!(decoded.problems.iter().all(|problem| problem.reason.kind() == "bad-value"));
    }
    let weighed = decode_value(r#"{"interface":"a","port":1,"weight":5,"meta":{"weight":"20"}}"#);
    assert_eq!((weighed.registrations[0].weight, weighed.registrations[0].metadata.left_out), (5, 1));
}

fn entry(interface: &str, registrar: &str) -> Vec<(String, String)> {
    let pairs = [("interface", interface), ("port", "2"), ("method", "x,y"), ("weight", "7"), (REGISTRAR, registrar)];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

#[test]
fn a_writer_keeps_the_form_that_it_found() {
    let others = r#"{ "interface" : "a.B", "port": 1, "meta": {"registrar":"main2"} }"#;
    for (before, with, without) in [
        // JSON as it stands stays so, and base64 stays base64.
        (format!("[{others}]"), "objects", format!("[{others}]")),
        (format!("[\n  {others}\n]"), "objects", format!("[\n  {others}\n]")),
        (others.to_owned(), "objects", format!("[{others}]")),
        (
            r#"[{"k":"interface","v":"a.B"}, {"k":"port","v":1}]"#.into(),
            "pairs",
            r#"[{"k":"interface","v":"a.B"}, {"k":"port","v":1}]"#.into(),
        ),
        (
            format!("[{{\"k\":\"zone\",\"v\":\"x\"}},{others}]"),
            "pairs",
            format!("[{{\"k\":\"zone\",\"v\":\"x\"}},{others}]"),
        ),
    ] {
        for is_encoded in [false, true] {
            let encoded = |text: &str| if is_encoded { STANDARD.encode(text) } else { text.to_owned() };
            let value = replace(Some(&encoded(&before)), "main", &[entry("c.D", "main")]).unwrap().unwrap();
            let text =
                if is_encoded { String::from_utf8(STANDARD.decode(&value).unwrap()).unwrap() } else { value.clone() };
            assert!(text.contains(others) || !before.contains(others), "{text}");
            assert_eq!(text.contains(r#"{"interface":"c.D""#), with == "objects", "{text}");
            assert!(has_entries(Some(&value), "main").unwrap() && !has_entries(Some(&value), "m").unwrap());
            let decoded = decode_value(&value);
            let ours = decoded.registrations.iter().find(|one| &*one.interface == "c.D").expect("ours");
            assert_eq!((ours.port, ours.weight, &*ours.protocol), (2, 7, "rpc"), "{text}");
            assert_eq!(
                replace(Some(&value), "main", &[entry("c.D", "main")]).unwrap(),
                Some(value.clone()),
                "a restart"
            );
            assert_eq!(replace(Some(&value), "main", &[]).unwrap(), Some(encoded(&without)), "{before}");
        }
    }
    assert_eq!(replace(Some(&format!("[{others}]")), "main2", &[]).unwrap(), None);
    assert_eq!(replace(Some(" [] "), "main", &[]).unwrap(), None);
    let own =
        replace(Some(r#"{"interface":"c.D","port":1,"meta":{"registrar":"main"}}"#), "main", &[entry("c.D", "main")]);
    let expected =
        r#"{"interface":"c.D","protocol":"rpc","port":2,"weight":7,"methods":["x,y"],"meta":{"registrar":"main"}}"#;
    assert_eq!(own.unwrap().unwrap(), expected, "one object stays one");
}

#[test]
fn a_registry_path_stays_a_pair_among_objects() {
    let path = vec![("/dubbo/c/providers/tri%3A%2F%2F10.0.0.1%3A3%2Fc%3Fregistrar%3Dmain".to_owned(), String::new())];
    let value = replace(Some(r#"{"interface":"a","port":1}"#), "main", &[path]).unwrap().unwrap();
    assert!(value.starts_with(r#"[{"interface":"a","port":1},{"k":"/dubbo/"#), "{value}");
    assert_eq!(decode_value(&value).registrations.len(), 2);
}

#[test]
fn objects_are_encoded() {
    let value = r#"[{"interface":"a","protocol":"tri","port":1,"weight":7,"enabled":false,"methods":["x,y"],"meta":{"zone":"a"}},{"interface":"b","protocol":"rpc","port":2}]"#;
    let registrations = decode_value(value).registrations;
    assert_eq!(encode_objects(&registrations, &[]), value);
    assert_eq!(encode_objects(&registrations[1..], &[]), r#"{"interface":"b","protocol":"rpc","port":2}"#);
    assert_eq!(encode_objects(&[], &[]), "[]");
}
