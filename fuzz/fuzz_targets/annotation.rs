//! Any bytes as an annotation's value, as the JSON in it, and as the labels, annotations and container ports of a Pod under
//! each profile, and under any `[[profile]]` table: the decoded registrations keep their guarantees, and are the same after
//! encoding and decoding.

#![no_main]

#[path = "../../tests/harness/sound.rs"]
mod sound;

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{
    ANNOTATION_LEN_MAX, ContainerPort, Decoded, Encoding, PRESETS, ProfileTable, ProfileText, decode, decode_value,
    encode, encode_objects,
};
use libfuzzer_sys::fuzz_target;
use sound::{assert_in_order, assert_sound, bare};

static PRESET_ENCODINGS: LazyLock<Vec<Encoding>> =
    LazyLock::new(|| PRESETS.iter().map(|preset| preset.encoding()).collect());

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = std::str::from_utf8(bytes) {
        judge_value(value);
    }
    judge_value(&STANDARD.encode(bytes));
    if let Some((which, pod)) = bytes.split_first()
        && let Ok(pod) = std::str::from_utf8(pod)
    {
        match PRESET_ENCODINGS.get(usize::from(*which)) {
            Some(encoding) => judge_pod(encoding, Some("app.io/annotation"), pod),
            None => judge_table(&table_of(pod), pod),
        }
    }
});

fn judge_value(value: &str) {
    let decoded = decode_value(value);
    assert_in_order(&decoded);
    judge(&decoded);
}

/// A table has an error that names its key, or the Pod is read with it.
fn judge_table(table: &ProfileTable, pod: &str) {
    match Encoding::parse(table) {
        Ok(encoding) => judge_pod(&encoding, table.annotation.as_deref(), pod),
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with(&format!("`{}`: ", error.key)) && !text.contains(char::is_control), "{text:?}");
        }
    }
}

fn table_of(pod: &str) -> ProfileTable {
    let mut table = ProfileTable::default();
    for (key, text) in pairs(pod, "t") {
        let field = match key {
            "annotation" => &mut table.annotation,
            "encoding" => &mut table.encoding,
            "interface" => &mut table.interface,
            "group" => &mut table.group,
            "version" => &mut table.version,
            "protocol" => &mut table.protocol,
            "port" => &mut table.port,
            "ports" => &mut table.ports,
            "weight" => &mut table.weight,
            "application" => &mut table.application,
            "plain" => {
                table.plain = true;
                continue;
            }
            "metadata" => {
                table.metadata.push(text.to_owned());
                continue;
            }
            _ => continue,
        };
        *field = Some(text.to_owned());
    }
    table
}

fn judge_pod(encoding: &Encoding, annotation: Option<&str>, pod: &str) {
    let ports = pairs(pod, "p");
    let ports =
        ports.filter_map(|(name, number)| Some(ContainerPort { name: name.into(), number: number.parse().ok()? }));
    let text = ProfileText::of(annotation, &encoding.wanted(), pairs(pod, "l"), pairs(pod, "a"), ports);
    judge(&decode(&text, encoding));
}

/// The Pod's records of a kind: `l` labels, `a` annotations, `p` container ports, `t` a table. A record begins with its kind.
/// Key and value, or name and number, follow.
fn pairs<'p>(pod: &'p str, kind: &'static str) -> impl Iterator<Item = (&'p str, &'p str)> {
    let records = pod.split('\x1e').filter_map(|record| record.split_at_checked(1));
    records.filter(move |(of, _)| *of == kind).map(|(_, pair)| pair.split_once('\x1f').unwrap_or((pair, "")))
}

fn judge(decoded: &Decoded) {
    assert_sound(decoded);
    for written in [encode(&decoded.registrations), encode_objects(&decoded.registrations, &[])] {
        if written.len() > ANNOTATION_LEN_MAX {
            continue; // the value may be longer in this encoding
        }
        let again = decode_value(&written);
        assert_eq!(again.problems, [], "the encoded value has problems");
        assert_eq!(bare(again.registrations), bare(decoded.registrations.clone()));
    }
}
