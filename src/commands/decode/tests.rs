use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use proptest::prelude::*;

use super::*;
use crate::cli::{Cli, Command};
use crate::commands::decoded::metadata_text;
use crate::commands::encode;

fn run(words: &[&str], input: &str) -> CommandOutput {
    let words = std::iter::once("callsign").chain(words.iter().copied());
    let mut input = input.as_bytes();
    match Cli::try_parse_from(words).expect("a command").command {
        Command::Decode(args) => decode(&args, &mut input),
        Command::Encode(args) => encode(&args, &mut input),
        other => panic!("{other:?}"),
    }
    .expect("input")
}

fn decoded(pairs: &str) -> CommandOutput {
    run(&["decode"], &format!("{}\n", STANDARD.encode(pairs)))
}

#[test]
fn a_value_reads_as_tables() {
    let output = decoded(
        r#"[{"k":"application","v":"shop"},{"k":"interface","v":"org.acme.Greeter"},{"k":"group","v":"gray"},
            {"k":"protocol","v":"tri"},{"k":"port","v":20880},{"k":"method","v":"hello"},{"k":"method","v":"bye"},
            {"k":"region","v":"eu"},{"k":"token","v":"hunter2"},{"k":"a=b","v":"c"},
            {"k":"interface","v":"a.B"},{"k":"ip","v":"fd00::1"},{"k":"port","v":1},{"k":"enabled","v":false}]"#,
    );
    let expected = "\
INTERFACE         GROUP  VERSION  PROTOCOL  ADDRESS:PORT  WEIGHT    METADATA
org.acme.Greeter  gray   -        tri       <pod>:20880   100       application=shop methods=hello,bye region=eu
a.B               -      -        rpc       [fd00::1]:1   disabled  application=shop

2 registrations, 0 consumers, 0 problems; 1 pair withheld as secrets, 1 pair left out for their keys
";
    assert_eq!(output, CommandOutput { text: expected.into(), ..CommandOutput::default() });
}

#[test]
fn a_value_is_shown_with_what_cannot_be_read() {
    let output = decoded(
        r#"[{"k":"interface","v":"a.B"},{"k":"port","v":"abc"},{"k":"interface","v":"c.D"},{"k":"port","v":1}]"#,
    );
    let expected = "\
INTERFACE  GROUP  VERSION  PROTOCOL  ADDRESS:PORT  WEIGHT  METADATA
c.D        -      -        rpc       <pod>:1       100     -

OFFSET  COULD-NOT-BE-READ
29      port: port is not a number from 1 to 65535

1 registration, 0 consumers, 1 problem; 0 pairs withheld as secrets, 0 pairs left out for their keys
";
    assert_eq!(output, CommandOutput { text: expected.into(), has_findings: true, ..CommandOutput::default() });
}

#[test]
fn nonsense_says_what_may_be_given() {
    let chinese = "5LiN55So55yL5LqG5bCx5piv5LiA5Liq5paH5pys5Y2P6K6u";
    for (value, expected) in [
        (chinese, "bad JSON"),
        ("%%%", "bad base64"),
        ("", "nothing is given: the input is empty"),
        (" \n", "nothing is given: the input is empty"),
        ("hello world", "bad base64"),
        ("http://example.com", "bad base64"),
        ("{\"interface\": ", "bad JSON"),
        ("Nw==", "not a JSON array"),
        ("app.io/interface: a: b", "not base64, and not YAML"),
        ("app.io/interface: a.B\napp.io/port: 50051", "it is a number but must be a string: write \"50051\""),
        ("{\"example.com/a\": \"b\"}", "no annotation in it is one of a registration"),
        ("kind: Pod\nmetadata: {name: p}\n", "no annotation in it is one of a registration"),
        ("kind: Service\nmetadata: {name: p}\n", "no Pod and no Pod template is in it"),
    ] {
        for output in [run(&["decode"], value), run(&["decode", "--json"], value)] {
            assert!(output.has_findings, "{value}");
            assert!(output.text.replace("\\\"", "\"").contains(expected), "{value}: {}", output.text);
            assert!(output.notes.contains("kubectl get pod NAME -o yaml"), "{value}: {}", output.notes);
        }
    }
    let problem = run(&["decode"], "{}");
    assert!(problem.has_findings && problem.text.contains("no interface") && problem.notes.is_empty());
    let nothing = run(&["decode", "W10="], "");
    assert!(!nothing.has_findings && nothing.notes.is_empty());
}

/// A container port may stand in for a port that is no number, and only the Pod has the container ports.
#[test]
fn without_a_pod_nothing_is_said_of_its_container_ports() {
    let hint = "annotations alone do not tell the container ports: give the whole Pod";
    for (text, expected) in [
        (r#"{"interface":"a.B","port":"grpc"}"#, "only the Pod tells whether a container port has this name"),
        (r#"{"interface":"a.B","port":["grpc",1]}"#, "only the Pod tells whether a container port has this name"),
        (r#"{"interface":"a.B"}"#, "only the Pod tells whether a container port stands in for it"),
        (
            r#"{"app.io/interface":"a.B","app.io/port":"grpc"}"#,
            "only the Pod tells whether a container port has this name",
        ),
        (r#"{"app.io/interface":"a.B"}"#, "only the Pod tells whether a container port stands in for it"),
        (r#"{"app.io/annotation":"{\"interface\":\"a\",\"port\":\"b\"}"}"#, "only the Pod tells whether"),
    ] {
        let output = run(&["decode"], text);
        assert!(output.has_findings && output.text.contains(expected), "{text}: {}", output.text);
        assert!(!output.text.contains("no TCP container port"), "{text}: {}", output.text);
        assert_eq!(output.notes.matches(hint).count(), 1, "{text}: {}", output.notes);
    }
    // Pairs and what go-micro writes have numbers alone, and a whole Pod has no such port.
    let pairs = r#"[{"k":"interface","v":"a"},{"k":"port","v":"grpc"}]"#;
    let pod = "kind: Pod\nmetadata: {name: p, annotations: {app.io/interface: a, app.io/port: grpc}}\n";
    let micro = r#"{"micro.mu/service-a":"{\"name\":\"a\",\"nodes\":[{\"address\":\"10.0.0.1\"}]}"}"#;
    for (text, expected) in [
        (pairs, "port: port is not a number"),
        (pod, "no TCP container port has this name"),
        (micro, "no port: write one into its JSON"),
    ] {
        let output = run(&["decode"], text);
        assert!(output.text.contains(expected) && output.notes.is_empty(), "{text}: {}{}", output.text, output.notes);
    }
    for text in [r#"{"interface":"a.B","port":"grpc"}"#, r#"{"interface":"a.B"}"#] {
        let output = run(&["encode", "-", "--objects"], text);
        let expected =
            "only a Pod has container ports: write the number, or give flags with --plain or --objects:\nport: ";
        assert!(output.has_findings && output.notes.starts_with(expected), "{text}: {}", output.notes);
        assert!(!output.notes.contains("refuse") && !output.notes.contains("no TCP"), "{text}: {}", output.notes);
    }
}

/// A port's name, or none, is written as it is, and a Pod with the container port registers its number.
#[test]
fn a_port_may_be_that_of_a_container() {
    let container = "spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}";
    for (flags, objects, plain, row) in [
        (
            &["--port", "http"][..],
            r#"{"interface":"a.B","port":"http"}"#,
            "app.io/interface: \"a.B\"\napp.io/port: \"http\"\n",
            "http      <pod>:8080",
        ),
        (&[], r#"{"interface":"a.B"}"#, "app.io/interface: \"a.B\"\n", "http      <pod>:8080"),
        (
            &["--port", "http", "--protocol", "rpc"],
            r#"{"interface":"a.B","protocol":"rpc","port":"http"}"#,
            "app.io/interface: \"a.B\"\napp.io/protocol: \"rpc\"\napp.io/port: \"http\"\n",
            "rpc       <pod>:8080",
        ),
        (
            &["--protocol", "tri", "--meta", "zone=a"],
            r#"{"interface":"a.B","protocol":"tri","meta":{"zone":"a"}}"#,
            "app.io/interface: \"a.B\"\napp.io/protocol: \"tri\"\napp.io/meta.zone: \"a\"\n",
            "tri       <pod>:8080",
        ),
    ] {
        let written = |form| run(&[&["encode", "--interface", "a.B", form], flags].concat(), "").text;
        assert_eq!((written("--objects").trim_end(), &*written("--plain")), (objects, plain), "{flags:?}");
        let object = format!("app.io/annotation: '{objects}'\n");
        for annotations in [object.as_str(), plain] {
            let annotations = annotations.trim_end().replace('\n', "\n    ");
            let pod = format!("kind: Pod\nmetadata:\n  name: p\n  annotations:\n    {annotations}\n{container}\n");
            let output = run(&["decode"], &pod);
            assert!(!output.has_findings && output.text.contains(row), "{pod}: {}", output.text);
        }
    }
    let mixed = run(&["encode", "--interface", "a", "--port", "1", "--port", "http", "--objects"], "").text;
    let expected = r#"[{"interface":"a","protocol":"rpc","port":1},{"interface":"a","port":"http"}]"#;
    assert_eq!(mixed.trim_end(), expected);
    for (flags, expected) in [
        (&[][..], "--port is not given: only the Pod knows the number"),
        (&["--pairs"], "--port is not given: only the Pod knows"),
        (&["--port", "http"], "--port http: only the Pod knows the number"),
        (&["--pairs", "--port", "1", "--port", "http"], "write the number, --plain or --objects"),
    ] {
        let words = ["callsign", "encode", "--interface", "a"].iter().chain(flags);
        let Ok(Cli { command: Command::Encode(args) }) = Cli::try_parse_from(words) else { panic!("{flags:?}") };
        let error = encode(&args, &mut &b""[..]).expect_err("an error").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// What Kratos writes has no slash, and its interface is a label.
#[test]
fn annotations_that_mean_nothing_without_labels_ask_for_the_whole_pod() {
    for annotations in [
        r#"{"kratos-service-protocols":"{\"9000\":\"grpc\"}"}"#,
        r#"{"annotations":{"kratos-service-metadata":"{}"}}"#,
        "kratos-service-protocols: '{}'\n",
    ] {
        let output = run(&["decode"], annotations);
        assert!(
            output.has_findings && output.text.contains("the labels are not given"),
            "{annotations}: {}",
            output.text
        );
        assert!(output.notes.contains("kubectl get pod NAME -o yaml"), "{annotations}: {}", output.notes);
    }
    let labelled =
        r#"{"labels":{"kratos-service-app":"a"},"annotations":{"kratos-service-protocols":"{\"9\":\"grpc\"}"}}"#;
    let output = run(&["decode"], labelled);
    assert!(!output.has_findings && output.text.contains("grpc      <pod>:9"), "{}", output.text);
    // What go-micro writes has its interface in the annotation.
    assert!(!run(&["decode"], r#"{"micro.mu/service-a":"{}"}"#).has_findings);
}

#[test]
fn a_byte_order_mark_before_the_text_means_nothing() {
    let object = r#"{"interface":"a.B","port":1}"#;
    for text in
        [object, r#"[{"k":"interface","v":"a.B"},{"k":"port","v":1}]"#, "app.io/interface: a.B\napp.io/port: '1'\n"]
    {
        let marked = format!("\u{feff}{text}");
        for output in [run(&["decode"], &marked), run(&["decode", &marked], "")] {
            assert!(!output.has_findings && output.text.contains("<pod>:1 "), "{text}: {}", output.text);
        }
    }
    assert!(!run(&["encode", "-"], &format!("\u{feff}{object}")).has_findings);
}

#[test]
fn no_error_shows_a_secret() {
    let plain = r#""app.io/interface":"a.B","app.io/port":"1""#;
    for (text, expected) in [
        (format!(r#"{{{plain},"x://u:hunter2@h":1}}"#), "annotation (withheld): it is a number"),
        (format!(r#"{{{plain},"app.io/token=hunter2":1}}"#), "annotation (withheld): it is a number"),
        (format!(r#"{{{plain},"app.io/token=hunter2":"x"}}"#), "annotation (withheld): unknown key"),
        (
            "app.io/interface: a.B\napp.io/meta.password: 48151623\n".to_owned(),
            "annotation app.io/meta.password: it is a number but must be a string: write the value in quotes",
        ),
        ("annotations:\n  app.io/api-token: 48151623\n".to_owned(), "must be a string: write the value in quotes"),
        (r#"{"annotations":{},"labels":{"token=hunter2":1}}"#.to_owned(), "(withheld): it is a number"),
        ("kind: Pod\nmetadata: {name: p, labels: {'token=hunter2': x}}\n".to_owned(), "labels[\"(withheld)\"] has an"),
    ] {
        for output in [run(&["decode"], &text), run(&["decode", "--json"], &text)] {
            assert!(
                output.has_findings && output.text.replace("\\\"", "\"").contains(expected),
                "{text}: {}",
                output.text
            );
            let shown = output.text + &output.notes;
            assert!(!shown.contains("hunter2") && !shown.contains("48151623"), "{text}: {shown}");
        }
    }
}

#[test]
fn annotations_and_pods_are_read() {
    let plain = "annotations:\n  app.io/interface: org.acme.Greeter\n  app.io/port: http\n  app.io/wieght: '7'\n";
    let output = run(&["decode"], plain);
    assert!(output.text.contains("annotation app.io/wieght: unknown key: write app.io/weight"), "{}", output.text);
    assert!(output.text.contains("annotation app.io/port: port is not a number"), "{}", output.text);
    assert!(output.notes.contains("annotations alone do not tell the container ports"), "{}", output.notes);

    let indented = plain.replace('\n', "\n  ");
    let spec = "spec:\n  containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]\n";
    let pod = format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  {}\n{spec}", indented.trim());
    let output = run(&["decode"], &pod);
    let row = "org.acme.Greeter  -      -        http      <pod>:8080";
    assert!(output.text.contains(row), "{}{}", output.text, output.notes);

    let both = r#"{"app.io/annotation":"{\"interface\":\"a\",\"port\":1}","dubbo.io/annotation":"[]",
        "app.io/interface":"b","app.io/port":"2","kubectl.kubernetes.io/x":"y"}"#;
    let output = run(&["decode", "--json"], both);
    let json: serde_json::Value = serde_json::from_str(&output.text).expect("JSON");
    assert_eq!((&json["registrations"][0]["interface"], &json["registrations"][1]["port"]), (&"a".into(), &2.into()));
    assert_eq!((json["problems"].as_array().map(Vec::len), output.notes.as_str()), (Some(0), ""));

    let broken = run(&["decode"], "kind: Pod\nmetadata: {name: p, nameSpace: x, annotations: {app.io/port: '1'}}\n");
    assert!(broken.text.contains("metadata.nameSpace is not a key of a Pod"), "{}", broken.text);
}

#[test]
fn json_has_every_field() {
    let value = STANDARD.encode(
        r#"[{"k":"interface","v":"a\u202eB"},{"k":"port","v":1},{"k":"password","v":"hunter2"},{"k":"interface"}]"#,
    );
    let output = run(&["decode", "--json", &value], "");
    assert!(output.has_findings && output.text.contains("a\\u202eB") && !output.text.contains("hunter2"));
    let json: serde_json::Value = serde_json::from_str(&output.text).expect("JSON");
    let expected = serde_json::json!({
        "registrations": [{
            "interface": "a\u{202e}B", "group": null, "version": null, "protocol": "rpc", "address": null, "port": 1,
            "weight": 100, "enabled": true, "application": null, "methods": [], "metadata": {}, "withheld": 1,
            "left_out": 0, "offset": 1,
        }],
        "consumers": [],
        "problems": json["problems"],
    });
    assert_eq!(json, expected);
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(1));
}

#[test]
fn encode_checks_its_input() {
    let fine = r#"[{"k":"interface","v":"a.B"},
                   {"k":"port","v":1}]"#;
    for (words, input, refusal) in [
        (&["encode", "-"][..], fine, ""),
        (&["encode", "-"], r#"[{"k":"port","v":1}]"#, "no interface, at byte 1 of the JSON"),
        (&["encode", "-"], r#"[{"k":"interface","v":"a.B"}]"#, "no port"),
        (&["encode", "-"], "{}", "no interface"),
        (&["encode", "-"], "7", "not a JSON array"),
        (&["encode", "-"], "[", "bad JSON"),
        (&["encode", "--interface", "a\u{1b}B", "--port", "1"], "", "control characters"),
    ] {
        let output = run(words, input);
        assert_eq!(output.has_findings, !refusal.is_empty(), "{words:?} {}", output.notes);
        assert_eq!(output.text.is_empty(), !refusal.is_empty());
        assert!(output.notes.contains(refusal) && output.text.lines().count() <= 1, "{}", output.notes);
    }
}

#[test]
fn each_form_is_written_as_its_reader_expects() {
    let flags = ["encode", "--interface", "a.B", "--port", "1", "--protocol", "grpc", "--method", "x", "--method", "y"];
    let written = |form: &[&str]| run(&[&flags, form].concat(), "");
    let objects = "{\"interface\":\"a.B\",\"protocol\":\"grpc\",\"port\":1,\"methods\":[\"x\",\"y\"]}\n";
    let pairs = "[{\"k\":\"interface\",\"v\":\"a.B\"},{\"k\":\"protocol\",\"v\":\"grpc\"},{\"k\":\"port\",\"v\":\"1\"},\
                 {\"k\":\"method\",\"v\":\"x\"},{\"k\":\"method\",\"v\":\"y\"}]\n";
    let plain = "app.io/interface: \"a.B\"\napp.io/protocol: \"grpc\"\napp.io/port: \"1\"\napp.io/methods: \"x,y\"\n";
    for (form, expected) in [("--objects", objects), ("--pairs", pairs), ("--plain", plain)] {
        assert_eq!(written(&[form]).text, expected);
    }
    let notes = written(&["--plain"]).notes;
    assert!(notes.contains("`metadata.annotations`") && notes.contains("app.io/label: app.io-value"), "{notes}");
    assert_eq!(written(&["--objects"]).notes, "");

    let pairs = r#"[{"k":"interface","v":"a"},{"k":"port","v":1}]"#;
    let objects = run(&["encode", "-", "--objects"], pairs);
    assert_eq!(objects.text, "{\"interface\":\"a\",\"protocol\":\"rpc\",\"port\":1}\n");
    let path = "[{\"k\":\"/dubbo/a/consumers/consumer%3A%2F%2F10.0.0.1%2Fa\"}]";
    let lost = run(&["encode", "-", "--objects"], path);
    assert!(lost.notes.contains("1 consumer left out"), "{}", lost.notes);
}

#[test]
fn plain_annotations_that_cannot_say_it_are_an_error() {
    for (flags, expected) in [
        (&["--port", "1", "--port", "2"][..], "these are 2: give one --port, or write --objects"),
        (&["--port", "1", "--ip", "10.0.0.1"], "plain annotations have no address"),
        (&["--port", "1", "--method", "a,b", "--method", "c,d"], "commas separate the methods; or write --objects"),
        (&["--port", "1", "--meta", "a b=c"], "a metadata key is not 58 letters"),
        (&["--port", "1", "--meta", "a/b=c"], "a metadata key is not 58 letters"),
        (&["--port", "1", "--meta", "a.b/c=d"], "a metadata key is not 58 letters"),
        (&["--port", "1", "--meta", "a-=b"], "a metadata key is not 58 letters"),
    ] {
        let words = ["callsign", "encode", "--plain", "--interface", "a"].iter().chain(flags);
        let Ok(Cli { command: Command::Encode(args) }) = Cli::try_parse_from(words) else { panic!("{flags:?}") };
        let error = encode(&args, &mut &b""[..]).expect_err("an error").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn encode_reports_what_is_not_published() {
    let words = ["encode", "--interface", "a.B", "--port", "1", "--meta", "api-token=hunter2", "--meta", "é=x"];
    let output = run(&words, "");
    assert!(output.notes.contains("1 pair will be withheld") && output.notes.contains("1 pair will be left out"));
    assert!(!output.notes.contains("hunter2") && !output.has_findings);
    assert_eq!(run(&["encode", "-"], "[]").notes, "this registers nothing\n");
}

proptest! {
    #[test]
    fn each_form_is_read_as_it_was_written(
        interface in "[a-z]{1,8}(\\.[A-Z][a-z]{0,8}){0,3}",
        group in proptest::option::of("[ -~é-]{1,12}"),
        version in proptest::option::of("[0-9.]{1,6}"),
        protocol in proptest::option::of("(grpc|http|null|yes|0x1f|1e3|~)"),
        ports in prop::collection::btree_set(1_u16.., 1..4),
        weight in proptest::option::of(1_u16..),
        methods in prop::collection::vec("[A-Za-z:#*&!|>%@`-]{1,8}", 0..3),
        key in "[a-z]([a-z0-9._-]{0,8}[a-z0-9])?",
        value in "\\PC{0,20}|[\u{1}-\u{a0}\u{2028}\u{202e}\u{feff}\u{ffff}\u{1f600}\u{e0001}]{0,8}",
    ) {
        let mut words = vec!["encode".to_owned(), format!("--interface={interface}"), format!("--meta=a{key}={value}")];
        words.extend(group.iter().map(|group| format!("--group={group}")));
        words.extend(version.iter().map(|version| format!("--version={version}")));
        words.extend(protocol.iter().map(|protocol| format!("--protocol={protocol}")));
        words.extend(weight.iter().map(|weight| format!("--weight={weight}")));
        words.extend(methods.iter().map(|method| format!("--method={method}")));
        let with = |form: Option<&str>, ports: &[u16]| {
            let flags = ports.iter().map(|port| format!("--port={port}")).chain(form.map(str::to_owned));
            let words: Vec<String> = words.iter().cloned().chain(flags).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let encoded = run(&words, "");
            let decoded = run(&["decode", "--json"], &encoded.text);
            let mut json: serde_json::Value = serde_json::from_str(&decoded.text).expect("JSON");
            json["registrations"].as_array_mut().expect("a list").iter_mut().for_each(|one| one["offset"] = 0.into());
            (encoded, json)
        };
        let ports: Vec<u16> = ports.into_iter().collect();
        for ports in [&ports[..], &ports[..1]] {
            let (first, expected) = with(None, ports);
            prop_assume!(!first.has_findings && !first.notes.contains("withheld") && !first.notes.contains("left out"));
            prop_assert_eq!(expected["registrations"].as_array().map(Vec::len), Some(ports.len()));
            for form in ["--pairs", "--objects", "--plain"].into_iter().take(if ports.len() == 1 { 3 } else { 2 }) {
                let (encoded, json) = with(Some(form), ports);
                prop_assert_eq!(&json, &expected, "{}", encoded.text);
            }
        }
    }

    #[test]
    fn decode_returns_the_flags_of_encode(
        interface in "[a-z]{1,8}(\\.[A-Z][a-z]{0,8}){0,3}",
        group in proptest::option::of("[a-z0-9.é-]{1,12}"),
        ports in prop::collection::btree_set(1_u16.., 1..4),
        region in "[ -~é中]{0,20}",
    ) {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let region = format!("region={region}");
        let mut words = vec!["encode".to_owned(), format!("--interface={interface}"), format!("--meta={region}")];
        words.extend(group.iter().map(|group| format!("--group={group}")));
        words.extend(ports.iter().map(|port| format!("--port={port}")));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let encoded = run(&words, "");
        prop_assume!(!encoded.notes.contains("withheld"));
        let decoded = registration::decode_value(encoded.text.trim_end());
        prop_assert_eq!(decoded.registrations.len(), ports.len());
        for (registration, port) in decoded.registrations.iter().zip(&ports) {
            prop_assert_eq!(&*registration.interface, interface.as_str());
            prop_assert_eq!(registration.group.as_deref(), group.as_deref());
            prop_assert_eq!(registration.port.to_string(), port.as_str());
            prop_assert_eq!(metadata_text(registration), region.as_str());
        }
    }
}
