//! JSON that is safe to show.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::Escaped;

/// JSON on one line, with the unsafe characters escaped. A program reads the same value, and a terminal that shows it
/// obeys nothing.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    // Serializing fails only for maps whose keys are not strings and for types that refuse it. This crate has neither.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut text, EscapingFormatter));
    text
}

/// Compact JSON. The serializer itself escapes the controls below the space, so they never reach this formatter.
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        match fragment.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            true => writer.write_all(fragment.as_bytes()), // the usual case
            false => write!(writer, "{}", Escaped(fragment)),
        }
    }
}
