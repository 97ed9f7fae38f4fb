//! Any bytes as the body of a LIST or a WATCH, in JSON and in protobuf: the reader returns the same wherever the network cuts
//! the body.
//!
//! The input's first byte selects the kind of body, the second byte the cut. The rest is the body.

#![no_main]

use callsign::source::kube::BodyEncoding;
use callsign::source::kube::fuzzing::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [kind, cut, body @ ..] = bytes else { return };
    let encoding = if kind & 1 == 0 { BodyEncoding::Json } else { BodyEncoding::Protobuf };
    let is_list = kind & 2 != 0;
    let whole = read(encoding, is_list, [body]);
    let pieces = read(encoding, is_list, body.chunks(usize::from(*cut) + 1));
    assert_eq!(whole, pieces, "cut into pieces of {}", usize::from(*cut) + 1);
    // HTTP may send an empty chunk too.
    let (start, end) = body.split_at(usize::from(*cut).min(body.len()));
    assert_eq!(whole, read(encoding, is_list, [start, &[], end]), "cut after {}", start.len());
});
