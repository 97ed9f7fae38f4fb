//! The guarantees for every registration, whatever its Pod says: for the property tests and the fuzzer.

use callsign::registration::{DECODED_LEN_MAX, Decoded, Metadata, REGISTRATIONS_MAX, Registration};

/// Panics if a registration violates a guarantee.
pub(crate) fn assert_sound(decoded: &Decoded) {
    assert!(decoded.registrations.len() <= REGISTRATIONS_MAX && decoded.decoded_len <= DECODED_LEN_MAX);
    assert!(decoded.problems.len() <= REGISTRATIONS_MAX + 2);
    assert!(decoded.problems.iter().filter_map(|problem| problem.key.as_ref()).all(|key| key.text_len() <= 253));
    for one in &decoded.registrations {
        assert!(!one.interface.is_empty() && one.port != 0 && one.weight != 0);
        assert_ne!(one.group.as_deref(), Some(""));
        assert_ne!(one.version.as_deref(), Some(""));
        let names = [Some(&one.interface), one.group.as_ref(), one.version.as_ref(), Some(&one.protocol)];
        assert!(!names.into_iter().flatten().any(|name| name.chars().any(char::is_control)));
        assert!(one.offset < decoded.decoded_len.max(1));
        assert!(one.metadata.pairs.iter().is_sorted_by(|(one, _), (other, _)| one < other));
        for (key, _) in one.metadata.pairs.iter() {
            assert!(key.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'='), "the key {key:?}");
        }
    }
}

/// Panics if what an annotation's value has is not in the order written.
pub(crate) fn assert_in_order(decoded: &Decoded) {
    assert!(decoded.registrations.is_sorted_by_key(|one| one.offset));
    assert!(decoded.problems.is_sorted_by_key(|problem| problem.offset));
}

/// Registrations without the parts that encoding does not keep.
pub(crate) fn bare(registrations: Vec<Registration>) -> Vec<Registration> {
    let bare = |one: Registration| Registration {
        offset: 0,
        metadata: Metadata { withheld: 0, left_out: 0, ..one.metadata },
        ..one
    };
    registrations.into_iter().map(bare).collect()
}
