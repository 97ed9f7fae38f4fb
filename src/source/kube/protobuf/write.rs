//! The tests' writer of protobuf.

use super::MAGIC;

/// A field that holds bytes.
pub(in crate::source::kube) fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// A field that holds a number.
pub(in crate::source::kube) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A self-contained object.
pub(in crate::source::kube) fn wrapped(kind: &str, message: &[u8]) -> Vec<u8> {
    let type_meta = [bytes(1, b"v1"), bytes(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), bytes(1, &type_meta), bytes(2, message), bytes(3, b""), bytes(4, b"")].concat()
}

/// A watch event in its frame.
pub(in crate::source::kube) fn frame(event: &[u8]) -> Vec<u8> {
    [(event.len() as u32).to_be_bytes().as_slice(), event].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut written = Vec::new();
    while value >= 0x80 {
        written.push(value as u8 | 0x80);
        value >>= 7;
    }
    written.push(value as u8);
    written
}
