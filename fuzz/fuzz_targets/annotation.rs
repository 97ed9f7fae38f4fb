//! Any bytes as an annotation's value, and as the JSON in it: what is read keeps to what is promised of registrations, and
//! reads the same when it is written again.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callsign::registration::{
    ANNOTATION_LEN_MAX, DECODED_LEN_MAX, Decoded, Metadata, REGISTRATIONS_MAX, Registration, decode, encode,
};
use libfuzzer_sys::fuzz_target;

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

fn assert_sound(decoded: &Decoded) {
    assert!(decoded.registrations.len() <= REGISTRATIONS_MAX && decoded.decoded_len <= DECODED_LEN_MAX);
    for one in &decoded.registrations {
        assert!(!one.interface.is_empty() && one.port != 0 && one.weight != 0);
        assert!(one.group.as_deref() != Some("") && one.version.as_deref() != Some(""));
        let names = [Some(&one.interface), one.group.as_ref(), one.version.as_ref(), Some(&one.protocol)];
        assert!(!names.into_iter().flatten().any(|name| name.chars().any(char::is_control)));
        assert!(one.offset < decoded.decoded_len);
        for (key, _) in one.metadata.pairs.iter() {
            assert!(key.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'='), "the key {key:?}");
        }
    }
}

/// Without what does not survive being written again.
fn bare(registrations: Vec<Registration>) -> Vec<Registration> {
    let bare = |one: Registration| Registration {
        offset: 0,
        metadata: Metadata { withheld: 0, left_out: 0, ..one.metadata },
        ..one
    };
    registrations.into_iter().map(bare).collect()
}
