//! Any bytes as an annotation's value, and as the JSON in it: what is read keeps to what is promised of registrations, and
//! reads the same when it is written again.

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
        return; // what was read from the other encoding may be longer in this one
    }
    let again = decode(&written);
    assert_eq!(again.problems, [], "what was read is written badly");
    assert_eq!(bare(again.registrations), bare(decoded.registrations));
}
