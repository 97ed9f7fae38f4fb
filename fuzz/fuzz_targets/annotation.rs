//! Any bytes as an annotation's value, as the JSON in it, and as the labels, annotations and container ports of a Pod under
//! each profile: the decoded registrations keep their guarantees, and are the same after encoding and decoding.

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

/// The presets, a mapping of each kind of source, and Dubbo 3.
static ENCODINGS: LazyLock<Vec<Encoding>> = LazyLock::new(|| {
    let text = |text: &str| Some(text.to_owned());
    let keys = ProfileTable {
        encoding: text("keys"),
        interface: text("label:l"),
        version: text("=1"),
        port: text("annotation:p"),
        ports: text("annotation:m"),
        weight: text("label:w"),
        metadata: vec!["annotation:a".to_owned(), "prefix:x-".to_owned()],
        ..ProfileTable::default()
    };
    let dubbo3 = ProfileTable { encoding: text("dubbo3"), interface: text("label:l"), ..ProfileTable::default() };
    let own = [&keys, &dubbo3].map(|table| Encoding::parse(table).expect("a valid table"));
    PRESETS.iter().map(|preset| preset.encoding()).chain(own).collect()
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = std::str::from_utf8(bytes) {
        judge_value(value);
    }
    judge_value(&STANDARD.encode(bytes));
    if let Some((which, pod)) = bytes.split_first()
        && let Some(encoding) = ENCODINGS.get(usize::from(*which))
        && let Ok(pod) = std::str::from_utf8(pod)
    {
        judge_pod(encoding, pod);
    }
});

fn judge_value(value: &str) {
    let decoded = decode_value(value);
    assert_in_order(&decoded);
    judge(&decoded);
}

/// Each record of the Pod begins with its kind: `l` a label, `a` an annotation, `p` a container port. Key and value, or
/// name and number, follow.
fn judge_pod(encoding: &Encoding, pod: &str) {
    let records = || pod.split('\x1e').filter_map(|record| record.split_at_checked(1));
    let pairs = |kind: &'static str| {
        records().filter(move |(of, _)| *of == kind).map(|(_, pair)| pair.split_once('\x1f').unwrap_or((pair, "")))
    };
    let ports =
        pairs("p").filter_map(|(name, number)| Some(ContainerPort { name: name.into(), number: number.parse().ok()? }));
    let text = ProfileText::of(Some("app.io/annotation"), &encoding.wanted(), pairs("l"), pairs("a"), ports);
    let decoded = decode(&text, encoding);
    judge(&decoded);
}

fn judge(decoded: &Decoded) {
    assert_sound(decoded);
    for written in [encode(&decoded.registrations), encode_objects(&decoded.registrations)] {
        if written.len() > ANNOTATION_LEN_MAX {
            continue; // the value may be longer in this encoding
        }
        let again = decode_value(&written);
        assert_eq!(again.problems, [], "the encoded value has problems");
        assert_eq!(bare(again.registrations), bare(decoded.registrations.clone()));
    }
}
