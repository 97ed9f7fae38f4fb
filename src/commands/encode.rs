//! `callsign encode`: writes registrations in each form that a server reads.

use std::fmt::Write;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::decoded::{kept_back, message_without_pod, needs_pod};
use super::print::{count, escaped};
use super::{CommandError, CommandOutput, read_input};
use crate::cli::{EncodeArgs, EncodedForm};
use crate::registration::{self, Decoded, PRESETS, Reason, Registration, WrittenPort};

/// The prefix of the plain annotations that are written.
const PREFIX: &str = "app.io/";

/// Encodes registrations and decodes them as a server does. What a server would refuse is a finding and is not printed.
///
/// # Errors
/// Standard input cannot be read, or the form cannot say it.
pub fn encode(args: &EncodeArgs, input: &mut dyn Read) -> Result<CommandOutput, CommandError> {
    let form = args.form.form();
    let ports = args.written_ports();
    if let (Some(port), EncodedForm::Base64 | EncodedForm::Pairs) = (ports.iter().flatten().next(), form) {
        let what = port.name.map_or("--port is not given".to_owned(), |name| format!("--port {name}"));
        let text = "only the Pod knows the number of a container port: write the number, --plain or --objects";
        return Err(CommandError::Usage(format!("{what}: {text}")));
    }
    let text = match args.input {
        Some(_) => read_input(input)?,
        None => json_pairs(&args.pairs()),
    };
    let decoded = registration::decode_value(&STANDARD.encode(&text));
    if !decoded.problems.is_empty() {
        return Ok(CommandOutput { notes: refusal(args, &decoded), has_findings: true, ..CommandOutput::default() });
    }
    let mut notes = unpublished(&decoded, form);
    let registrations = &decoded.registrations;
    let text = match form {
        EncodedForm::Base64 => STANDARD.encode(&text) + "\n",
        EncodedForm::Pairs => escaped(&registration::pairs(registrations).to_string()) + "\n",
        EncodedForm::Objects => escaped(&registration::encode_objects(registrations, &ports)) + "\n",
        EncodedForm::Plain => plain(registrations, ports.first().copied().flatten())?,
    };
    if form == EncodedForm::Plain && !text.is_empty() {
        let selector = PRESETS.iter().find(|preset| preset.annotation.is_some_and(|key| key.starts_with(PREFIX)));
        let label = selector.map_or("", |preset| preset.selector).replace('=', ": ");
        let _ = writeln!(
            notes,
            "paste it below `metadata.annotations` of a Pod template, and below `metadata.labels`: {label}"
        );
    }
    Ok(CommandOutput { text, notes, has_findings: false })
}

/// `[{"k":…,"v":…},…]`
fn json_pairs(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| json!({ "k": key, "v": value }));
    serde_json::Value::from_iter(pairs).to_string()
}

/// A line of YAML for each plain annotation of the only registration.
fn plain(registrations: &[Registration], port: Option<WrittenPort<'_>>) -> Result<String, CommandError> {
    let [registration] = registrations else {
        return match registrations.len() {
            0 => Ok(String::new()),
            many => Err(CommandError::Usage(format!(
                "plain annotations make one registration, and these are {many}: give one --port, or write --objects"
            ))),
        };
    };
    let annotations = registration::encode_plain(PREFIX, registration, port)
        .map_err(|error| CommandError::Usage(format!("{error}; or write --objects")))?;
    Ok(annotations.iter().map(|(key, value)| format!("{key}: {}\n", yaml(value))).collect())
}

/// A string of YAML in double quotes. All that YAML refuses, or reads as the end of a line, is an escape.
fn yaml(text: &str) -> String {
    let is_refused = |character: char| matches!(character, '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let mut quoted = String::new();
    for character in escaped(&json!(text).to_string()).chars() {
        if is_refused(character) {
            let _ = write!(quoted, "\\u{:04x}", u32::from(character));
        } else {
            quoted.push(character);
        }
    }
    quoted
}

/// Why a server would refuse it.
fn refusal(args: &EncodeArgs, decoded: &Decoded) -> String {
    let is_unsure = decoded.problems.iter().all(needs_pod);
    let mut notes = String::from(if is_unsure {
        "only a Pod has container ports: write the number, or give flags with --plain or --objects:\n"
    } else {
        "a server would refuse this:\n"
    });
    for problem in &decoded.problems {
        let place = match (&args.input, problem.reason) {
            (Some(_), reason) if reason != Reason::TooLarge => format!(", at byte {} of the JSON", problem.offset),
            _ => String::new(),
        };
        let _ = writeln!(notes, "{}{place}", message_without_pod(problem));
    }
    if args.input.is_some() && decoded.problems.iter().any(|problem| is_of_the_whole(problem.reason)) {
        notes.push_str("give JSON, such as [{\"interface\": \"org.acme.Greeter\", \"port\": 50051}]\n");
    }
    notes
}

/// Whether the text is not what was expected at all.
pub(super) fn is_of_the_whole(reason: Reason) -> bool {
    matches!(reason, Reason::BadBase64 | Reason::BadUtf8 | Reason::BadJson | Reason::NotAnArray)
}

/// The parts of a valid value that will not be published.
fn unpublished(decoded: &Decoded, form: EncodedForm) -> String {
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
    if form != EncodedForm::Base64 && !decoded.consumers.is_empty() {
        let what = count(decoded.consumers.len(), "consumer");
        let _ = writeln!(notes, "{what} left out: only registry paths in base64 have consumers");
    }
    if decoded.registrations.is_empty() {
        notes.push_str("this registers nothing\n");
    }
    notes
}
