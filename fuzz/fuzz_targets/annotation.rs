//! Any bytes as an annotation's value, and as the JSON in it: the decoded registrations keep their guarantees, and are the
//! same after encoding and decoding.

#![no_main]

#[path = "../../tests/sound/mod.rs"]
mod sound;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{ANNOTATION_LEN_MAX, decode, encode};
use libfuzzer_sys::fuzz_target;
use sound::{assert_sound, bare};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = std::str::from_utf8(bytes) {
        judge(value);
    }
    judge(&STANDARD.encode(bytes));
});

fn judge(value: &str) {
    let decoded = decode(value);
    assert_sound(&decoded);
    let written = encode(&decoded.registrations);
    if written.len() > ANNOTATION_LEN_MAX {
        return; // the value may be longer in this encoding
    }
    let again = decode(&written);
    assert_eq!(again.problems, [], "the encoded value has problems");
    assert_eq!(bare(again.registrations), bare(decoded.registrations));
}
