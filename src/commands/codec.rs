//! `callsign decode` and `callsign encode`: convert annotation values from and to readable text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::print::{TextTable, count, json, sockets};
use super::{CommandError, CommandOutput, read_input};
use crate::cli::{DecodeArgs, EncodeArgs};
use crate::registration::{self, Consumer, Decoded, Problem, Reason, Registration};

/// Prints the content of a value. Anything that cannot be decoded is a finding.
///
/// # Errors
/// Standard input cannot be read.
pub fn decode(args: &DecodeArgs, input: &mut dyn Read) -> Result<CommandOutput, CommandError> {
    let value = match args.value.as_str() {
        "-" => Cow::Owned(read_input(input)?),
        value => Cow::Borrowed(value),
    };
    let decoded = registration::decode_value(&value);
    let text = if args.json { json(&DecodedView::of(&decoded)) } else { decoded_text(&decoded) };
    Ok(CommandOutput { text, notes: String::new(), has_findings: !decoded.problems.is_empty() })
}

/// Encodes a value and decodes it as a server does. A value that a server would refuse is a finding and is not
/// printed.
///
/// # Errors
/// Standard input cannot be read.
pub fn encode(args: &EncodeArgs, input: &mut dyn Read) -> Result<CommandOutput, CommandError> {
    let pairs = match args.input {
        Some(_) => read_input(input)?,
        None => json_pairs(&args.pairs()),
    };
    let value = STANDARD.encode(&pairs);
    let decoded = registration::decode_value(&value);
    if decoded.problems.is_empty() {
        return Ok(CommandOutput { text: format!("{value}\n"), notes: unpublished(&decoded), has_findings: false });
    }
    let mut notes = String::from("a server would refuse this:\n");
    for problem in &decoded.problems {
        let place = match (&args.input, problem.reason) {
            (Some(_), reason) if reason != Reason::TooLarge => format!(", at byte {} of the JSON", problem.offset),
            _ => String::new(),
        };
        let _ = writeln!(notes, "{}{place}", message(problem));
    }
    Ok(CommandOutput { text: String::new(), notes, has_findings: true })
}

/// `[{"k":…,"v":…},…]`
fn json_pairs(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| serde_json::json!({ "k": key, "v": value }));
    serde_json::Value::from_iter(pairs).to_string()
}

/// The parts of a valid value that will not be published.
fn unpublished(decoded: &Decoded) -> String {
    let mut notes = String::new();
    let (withheld, left_out) = kept_back(&decoded.registrations);
    if withheld > 0 {
        let what = count(withheld, "pair");
        let _ = writeln!(notes, "{what} will be withheld: a key or value that looks like a secret is never published");
    }
    if left_out > 0 {
        let what = count(left_out, "pair");
        let _ = writeln!(
            notes,
            "{what} will be left out: a TXT key must be printable ASCII without =, and not a key of a TXT field"
        );
    }
    if decoded.registrations.is_empty() {
        notes.push_str("this registers nothing\n");
    }
    notes
}

/// The number of pairs that are withheld as secrets, and of pairs whose key cannot be published.
fn kept_back(registrations: &[Registration]) -> (usize, usize) {
    let sum = |number: fn(&Registration) -> u32| registrations.iter().map(|one| number(one) as usize).sum();
    (sum(|one| one.metadata.withheld), sum(|one| one.metadata.left_out))
}

fn message(problem: &Problem) -> String {
    problem.reason.about(problem.key.as_ref())
}

/// Tables of registrations, consumers and problems, and a summary line.
fn decoded_text(decoded: &Decoded) -> String {
    let mut text = String::new();
    if !decoded.registrations.is_empty() {
        let _ = writeln!(text, "{}", registrations_table(&decoded.registrations));
    }
    if !decoded.consumers.is_empty() {
        let _ = writeln!(text, "{}", consumers_table(&decoded.consumers));
    }
    if !decoded.problems.is_empty() {
        let mut table = TextTable::new(&["OFFSET", "COULD-NOT-BE-READ"]);
        for problem in &decoded.problems {
            table.push([&problem.offset.to_string(), &message(problem)]);
        }
        let _ = writeln!(text, "{table}");
    }
    let (withheld, left_out) = kept_back(&decoded.registrations);
    let _ = writeln!(
        text,
        "{}, {}, {}; {} withheld as secrets, {} left out for their keys",
        count(decoded.registrations.len(), "registration"),
        count(decoded.consumers.len(), "consumer"),
        count(decoded.problems.len(), "problem"),
        count(withheld, "pair"),
        count(left_out, "pair"),
    );
    text
}

fn registrations_table(registrations: &[Registration]) -> TextTable {
    let mut table =
        TextTable::new(&["INTERFACE", "GROUP", "VERSION", "PROTOCOL", "ADDRESS:PORT", "WEIGHT", "METADATA"]);
    for row in registrations {
        let Registration { interface, group, version, protocol, address, port, weight, enabled, .. } = row;
        let (group, version) = (group.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default());
        let sockets = sockets(address.as_slice(), "<pod>", *port);
        let weight = if *enabled { weight.to_string() } else { "disabled".to_owned() };
        table.push([interface, group, version, protocol, &sockets, &weight, &metadata_text(row)]);
    }
    table
}

/// `application=shop methods=hello,bye region=eu`
fn metadata_text(registration: &Registration) -> String {
    let metadata = &registration.metadata;
    let mut words: Vec<String> = metadata.application.iter().map(|name| format!("application={name}")).collect();
    if !metadata.methods.is_empty() {
        words.push(format!("methods={}", metadata.methods.join(",")));
    }
    words.extend(metadata.pairs.iter().map(|(key, value)| format!("{key}={value}")));
    words.join(" ")
}

fn consumers_table(consumers: &[Consumer]) -> TextTable {
    let mut table = TextTable::new(&["CONSUMER-OF", "GROUP", "VERSION", "APPLICATION"]);
    for Consumer { interface, group, version, application } in consumers {
        let (group, version) = (group.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default());
        table.push([interface, group, version, application.as_deref().unwrap_or_default()]);
    }
    table
}

/// The content of a value as JSON.
#[derive(Serialize)]
struct DecodedView<'d> {
    registrations: Vec<RegistrationView<'d>>,
    consumers: Vec<ConsumerView<'d>>,
    problems: Vec<ProblemView>,
}

#[derive(Serialize)]
struct RegistrationView<'d> {
    interface: &'d str,
    group: Option<&'d str>,
    version: Option<&'d str>,
    protocol: &'d str,
    /// `None`: the Pod's own addresses.
    address: Option<IpAddr>,
    port: u16,
    weight: u16,
    enabled: bool,
    application: Option<&'d str>,
    methods: Vec<&'d str>,
    metadata: BTreeMap<&'d str, &'d str>,
    withheld: u32,
    left_out: u32,
    offset: usize,
}

#[derive(Serialize)]
struct ConsumerView<'d> {
    interface: &'d str,
    group: Option<&'d str>,
    version: Option<&'d str>,
    application: Option<&'d str>,
}

#[derive(Serialize)]
struct ProblemView {
    offset: usize,
    key: Option<String>,
    reason: Reason,
    message: String,
}

impl DecodedView<'_> {
    fn of(decoded: &Decoded) -> DecodedView<'_> {
        DecodedView {
            registrations: decoded.registrations.iter().map(RegistrationView::of).collect(),
            consumers: decoded.consumers.iter().map(ConsumerView::of).collect(),
            problems: decoded.problems.iter().map(ProblemView::of).collect(),
        }
    }
}

impl RegistrationView<'_> {
    fn of(registration: &Registration) -> RegistrationView<'_> {
        let Registration { interface, group, version, protocol, address, port, weight, enabled, metadata, offset } =
            registration;
        RegistrationView {
            interface,
            group: group.as_deref(),
            version: version.as_deref(),
            protocol,
            address: *address,
            port: *port,
            weight: *weight,
            enabled: *enabled,
            application: metadata.application.as_deref(),
            methods: metadata.methods.iter().map(|method| &**method).collect(),
            metadata: metadata.pairs.iter().collect(),
            withheld: metadata.withheld,
            left_out: metadata.left_out,
            offset: *offset,
        }
    }
}

impl ConsumerView<'_> {
    fn of(consumer: &Consumer) -> ConsumerView<'_> {
        let Consumer { interface, group, version, application } = consumer;
        let (group, version, application) = (group.as_deref(), version.as_deref(), application.as_deref());
        ConsumerView { interface, group, version, application }
    }
}

impl ProblemView {
    fn of(problem: &Problem) -> ProblemView {
        let key = problem.key.as_ref().map(ToString::to_string);
        ProblemView { offset: problem.offset, key, reason: problem.reason, message: message(problem) }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;
    use crate::cli::{Cli, Command};

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
    fn findings() {
        let chinese = "5LiN55So55yL5LqG5bCx5piv5LiA5Liq5paH5pys5Y2P6K6u";
        for (value, expected) in [
            (chinese, "bad JSON"),
            ("%%%", "bad base64"),
            ("", "bad JSON"),
            ("Nw==", "not a JSON array"),
            ("{}", "no interface"),
        ] {
            for output in [run(&["decode"], value), run(&["decode", "--json"], value)] {
                assert!(output.has_findings && output.text.contains(expected), "{value}: {}", output.text);
            }
        }
        assert!(!run(&["decode", "W10="], "").has_findings);
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
    fn encode_reports_what_is_not_published() {
        let words = ["encode", "--interface", "a.B", "--port", "1", "--meta", "api-token=hunter2", "--meta", "é=x"];
        let output = run(&words, "");
        assert!(output.notes.contains("1 pair will be withheld") && output.notes.contains("1 pair will be left out"));
        assert!(!output.notes.contains("hunter2") && !output.has_findings);
        assert_eq!(run(&["encode", "-"], "[]").notes, "this registers nothing\n");
    }

    proptest! {
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
}
