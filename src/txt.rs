//! What a registration's TXT record says: `key=value` strings (RFC 6763 §6), ours first, then the published metadata.

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::snapshot::{PodRecord, Registered};

/// The most bytes of one TXT record's data: two fit in no UDP answer, and one Pod cannot fill a TCP answer.
pub const TXT_LEN_MAX: usize = 4096;

/// The longest character string (RFC 1035 §3.3).
const STRING_LEN_MAX: usize = 255;

/// What `truncated=<keys left out>` takes at the most: a length byte, the key, and five digits.
const TRUNCATED_LEN_MAX: usize = 1 + "truncated=".len() + 5;

/// One TXT record: of one registration, or of the several that are one DNS-SD instance.
#[derive(Clone, Debug)]
pub struct Text<'s> {
    /// The Pod.
    pub pod: &'s PodRecord,
    /// Its registrations, at least one.
    pub registered: SmallVec<[&'s Registered; 1]>,
}

impl Text<'_> {
    /// Appends the record's data, at most [`TXT_LEN_MAX`] bytes, never none.
    pub fn append_rdata(&self, out: &mut Vec<u8>) {
        let entries = self.entries();
        let lengths: SmallVec<[usize; 16]> =
            entries.iter().map(|(key, value)| strings(key, value, |_, _| ())).collect();
        let room =
            if lengths.iter().sum::<usize>() <= TXT_LEN_MAX { TXT_LEN_MAX } else { TXT_LEN_MAX - TRUNCATED_LEN_MAX };
        let mut used = 0;
        let fitting = lengths.iter().take_while(|len| {
            used += **len;
            used <= room
        });
        let fitting = fitting.count();
        for (key, value) in &entries[..fitting] {
            strings(key, value, |key, part| append_string(out, key, part));
        }
        if fitting < entries.len() {
            append_string(out, "truncated", &(entries.len() - fitting).to_string());
        }
    }

    /// Keys and values in the contract's order.
    fn entries(&self) -> SmallVec<[(&str, std::borrow::Cow<'_, str>); 16]> {
        let mut entries: SmallVec<[(&str, std::borrow::Cow<'_, str>); 16]> = SmallVec::new();
        let Some(first) = self.registered.first() else { return entries };
        entries.push(("pod", (&*self.pod.name).into()));
        if let Some(socket) = self.pod.socket(first) {
            entries.push(("addr", address(socket).into()));
        }
        entries.push(("interface", (&*first.service().interface).into()));
        let lists = [
            ("group", self.list(|one| one.service().group.as_deref().into_iter())),
            ("version", self.list(|one| one.service().version.as_deref().into_iter())),
            ("application", first.published().application().unwrap_or_default().into()),
            ("methods", self.list(|one| one.published().methods().iter().map(|method| &**method))),
        ];
        entries.extend(lists.into_iter().filter(|(_, value)| !value.is_empty()));
        entries.extend(first.published().pairs().map(|(key, value)| (key, value.into())));
        entries
    }

    /// What all registrations name, joined by commas, each once.
    fn list<'a, I: Iterator<Item = &'a str>>(
        &'a self,
        values: impl Fn(&'a Registered) -> I,
    ) -> std::borrow::Cow<'a, str> {
        let mut seen: SmallVec<[&str; 8]> = SmallVec::new();
        for value in self.registered.iter().flat_map(|registered| values(registered)) {
            if self.registered.len() == 1 || !seen.contains(&value) {
                seen.push(value);
            }
        }
        match seen.as_slice() {
            [only] => (*only).into(),
            several => several.join(",").into(),
        }
    }
}

/// `10.244.0.81:20880`, `[fd00::1]:20880`
fn address(socket: SocketAddr) -> String {
    socket.to_string()
}

/// Cuts a value into the strings that carry it, `key`, `key.1`, `key.2`, …; the bytes that they take.
fn strings<'v>(key: &str, value: &'v str, mut each: impl FnMut(&str, &'v str)) -> usize {
    let mut rest = value;
    let mut len = 0;
    for number in 0.. {
        let numbered = if number == 0 { String::new() } else { format!("{key}.{number}") };
        let key = if number == 0 { key } else { &numbered };
        let (part, left) = split_at_boundary(rest, STRING_LEN_MAX.saturating_sub(key.len() + 1));
        each(key, part);
        len += 1 + key.len() + 1 + part.len();
        rest = left;
        if rest.is_empty() || part.is_empty() {
            break;
        }
    }
    len
}

/// The longest head of a text that fits in so many bytes and cuts no character, and the rest.
fn split_at_boundary(text: &str, len_max: usize) -> (&str, &str) {
    text.split_at(text.floor_char_boundary(len_max))
}

fn append_string(out: &mut Vec<u8>, key: &str, value: &str) {
    out.push((key.len() + 1 + value.len()) as u8);
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value.as_bytes());
}
