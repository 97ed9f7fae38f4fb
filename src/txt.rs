//! The content of a registration's TXT record: `key=value` strings (RFC 6763 §6), ours first, then the published
//! metadata.

use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::snapshot::{PodRecord, Registered};

/// The most bytes in one TXT record's data. Two such records do not fit into a UDP answer, and one Pod cannot fill a
/// TCP answer.
pub const TXT_LEN_MAX: usize = 4096;

/// The most bytes of repeated values that are read for one instance. Each of its registrations may list all methods,
/// and every query joins them.
const JOINED_LEN_MAX: usize = 8 * TXT_LEN_MAX;

/// The longest character string (RFC 1035 §3.3).
const STRING_LEN_MAX: usize = 255;

/// The longest `truncated=<keys left out>`: a length byte, the key, and five digits.
const TRUNCATED_LEN_MAX: usize = 1 + "truncated=".len() + 5;

/// One TXT record: for one registration, or for all registrations of one DNS-SD instance.
#[derive(Clone, Debug)]
pub struct TxtRecord<'s> {
    /// The Pod that registers them.
    pub pod: &'s PodRecord,
    /// The Pod's registrations in this record, at least one.
    pub registered: SmallVec<[&'s Registered; 1]>,
}

impl TxtRecord<'_> {
    /// Appends the record's data, at least one and at most [`TXT_LEN_MAX`] bytes: all entries, or as many as fit and
    /// the number of those left out.
    pub fn append_rdata(&self, out: &mut Vec<u8>) {
        let (end, cut_end) = (out.len() + TXT_LEN_MAX, out.len() + TXT_LEN_MAX - TRUNCATED_LEN_MAX);
        // If the record must be cut, it keeps the bytes up to `kept` and leaves out `left_out` entries.
        let (mut kept, mut left_out) = (out.len(), 0);
        let mut is_cut = false;
        self.entries(|key, value| {
            match value.filter(|value| !is_cut && value.len() <= TXT_LEN_MAX) {
                Some(value) => strings(key, value, |key, part| append_string(out, key, part)),
                None => is_cut = true,
            }
            is_cut |= out.len() > end;
            if left_out == 0 && !is_cut && out.len() <= cut_end {
                kept = out.len();
            } else {
                left_out += 1;
            }
        });
        if is_cut {
            out.truncate(kept);
            append_string(out, "truncated", &left_out.to_string());
        }
    }

    /// Calls `each` with the keys and values in the schema's order. The value is `None` if it is too long to publish.
    fn entries(&self, mut each: impl FnMut(&str, Option<&str>)) {
        let Some(first) = self.registered.first() else { return };
        each("pod", Some(self.pod.name()));
        if let Some(socket) = self.pod.socket(first) {
            each("addr", Some(&JoinedText::address(socket)));
        }
        each("interface", Some(&first.service().interface));
        let mut unless_empty = |key, value: Option<&str>| {
            if value != Some("") {
                each(key, value);
            }
        };
        unless_empty("group", self.joined(|one| one.service().group.as_slice()).as_deref());
        unless_empty("version", self.joined(|one| one.service().version.as_slice()).as_deref());
        unless_empty("application", Some(first.published().application().unwrap_or_default()));
        unless_empty("methods", self.joined(|one| one.published().methods()).as_deref());
        first.published().pairs().for_each(|(key, value)| each(key, Some(value)));
    }

    /// The values of all registrations without repeats, joined by commas. `None` if the result is too long, or if the
    /// registrations repeat so much that the query would cost too much.
    fn joined<'a, T: AsRef<str> + 'a>(&'a self, values: impl Fn(&'a Registered) -> &'a [T]) -> Option<JoinedText> {
        let (mut joined, mut seen, mut read_len) = (JoinedText::default(), HashSet::new(), 0);
        let mut lists: SmallVec<[&[T]; 4]> = self.registered.iter().map(|registered| values(registered)).collect();
        lists.dedup_by_key(|list| list.as_ptr()); // versions of one interface share their list
        for value in lists.into_iter().flatten().map(T::as_ref) {
            read_len += value.len() + 1;
            if read_len > JOINED_LEN_MAX {
                return None;
            }
            if self.registered.len() > 1 && !seen.insert(value) {
                continue; // a single registration has no repeats
            }
            if !joined.0.is_empty() {
                joined.0.push(b',');
            }
            joined.0.extend_from_slice(value.as_bytes());
            if joined.0.len() > TXT_LEN_MAX {
                return None;
            }
        }
        Some(joined)
    }
}

/// A text built on the stack, unless it is long.
#[derive(Default)]
struct JoinedText(SmallVec<[u8; 128]>);

impl JoinedText {
    /// `10.244.0.81:20880`, `[fd00::1]:20880`
    fn address(socket: SocketAddr) -> JoinedText {
        let mut text = JoinedText::default();
        let _ = write!(text.0, "{socket}"); // writing to memory cannot fail
        text
    }
}

impl Deref for JoinedText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default() // built from texts only
    }
}

/// Cuts a value into the strings that carry it: `key`, `key.1`, `key.2`, …
fn strings<'v>(key: &str, value: &'v str, mut each: impl FnMut(&str, &'v str)) {
    let mut rest = value;
    for number in 0.. {
        let numbered = if number == 0 { String::new() } else { format!("{key}.{number}") };
        let key = if number == 0 { key } else { &numbered };
        let (part, left) = split_at_boundary(rest, STRING_LEN_MAX.saturating_sub(key.len() + 1));
        each(key, part);
        rest = left;
        if rest.is_empty() || part.is_empty() {
            return;
        }
    }
}

/// Splits a text into its longest start of at most `len_max` bytes and the rest. Cuts no character.
fn split_at_boundary(text: &str, len_max: usize) -> (&str, &str) {
    text.split_at(text.floor_char_boundary(len_max))
}

fn append_string(out: &mut Vec<u8>, key: &str, value: &str) {
    out.push((key.len() + 1 + value.len()) as u8);
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value.as_bytes());
}
