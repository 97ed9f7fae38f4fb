//! Pages of a list. The order of the rows does not depend on the snapshot, so that pages of different snapshots fit.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use crate::api::Page;

/// The number of texts in a row's key: namespace, interface, group, version, Pod, protocol, uid.
const TEXTS: usize = 7;

/// The longest part of a text that a key keeps, in bytes. A Pod's name has at most 253. An interface of a megabyte
/// must not make a token too long for a URL; the texts and numbers after it distinguish truncated rows.
const TEXT_LEN_MAX: usize = 256;

/// A page of [`Paging::within`] ends with the row that exceeds this many bytes of JSON. The longest row, a Pod, has 3
/// MiB.
const LEN_MAX: usize = 2 << 20;

/// The longest accepted token: twice the longest key in JSON and base64.
const TOKEN_LEN_MAX: usize = 12 * 1024;

/// The position of a row in its list. It is unique, and the same in every snapshot that has the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey<'r> {
    texts: [&'r str; TEXTS],
    numbers: [u64; 2],
}

impl<'r> RowKey<'r> {
    /// Keys are ordered by their texts, then by their numbers.
    pub(super) fn new<const N: usize>(texts: [&'r str; N], numbers: [u64; 2]) -> RowKey<'r> {
        let mut key = RowKey { texts: [""; TEXTS], numbers };
        key.texts.iter_mut().zip(texts).for_each(|(part, text)| *part = cut(text));
        key
    }

    fn token(&self) -> String {
        // Serializing texts and numbers cannot fail.
        BASE64URL_NOPAD.encode(&serde_json::to_vec(&(self.texts, self.numbers)).unwrap_or_default())
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LEN_MAX)]
}

/// The end of an earlier page: the next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    texts: [String; TEXTS],
    numbers: [u64; 2],
}

impl Cursor {
    /// Parses [`Page::next`]. `None` if the token is invalid.
    pub fn read(token: &str) -> Option<Cursor> {
        if token.len() > TOKEN_LEN_MAX {
            return None;
        }
        let json = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (texts, numbers) = serde_json::from_slice(&json).ok()?;
        Some(Cursor { texts, numbers })
    }

    fn key(&self) -> RowKey<'_> {
        RowKey { texts: self.texts.each_ref().map(String::as_str), numbers: self.numbers }
    }
}

/// Selects rows of a list.
#[derive(Clone, Debug)]
pub struct Paging {
    /// The most rows.
    pub limit: usize,
    /// The page ends with the row that exceeds this many bytes of JSON.
    pub len_max: usize,
    /// The page begins after this row. `None`: with the first row.
    pub after: Option<Cursor>,
}

impl Paging {
    pub const ALL: Paging = Paging { limit: usize::MAX, len_max: usize::MAX, after: None };

    /// At most `limit` rows after a row, within the byte limit of a page.
    pub fn within(limit: usize, after: Option<Cursor>) -> Paging {
        Paging { limit, len_max: LEN_MAX, after }
    }
}

/// A row that is compared by its key alone.
struct KeyedRow<'r, R>(RowKey<'r>, R);

impl<R> PartialEq for KeyedRow<'_, R> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<R> Eq for KeyedRow<'_, R> {}

impl<R> PartialOrd for KeyedRow<'_, R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> Ord for KeyedRow<'_, R> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

/// Returns the page of these rows, which may come in any order. It makes only the page's rows, and holds no more of
/// them than `limit`.
pub(super) fn page<'r, R, T: Serialize>(
    rows: impl Iterator<Item = (RowKey<'r>, R)>,
    paging: &Paging,
    make: impl Fn(R) -> T,
) -> Page<T> {
    let after = paging.after.as_ref().map(Cursor::key);
    let mut first = BinaryHeap::new(); // a max-heap: the last row is on top
    let mut is_more = false;
    for (key, row) in rows.filter(|(key, _)| after.is_none_or(|after| *key > after)) {
        first.push(KeyedRow(key, row));
        if first.len() > paging.limit {
            first.pop();
            is_more = true;
        }
    }
    let mut first = first.into_sorted_vec().into_iter();
    let (mut items, mut len, mut last) = (Vec::new(), 0, None);
    while len < paging.len_max
        && let Some(KeyedRow(key, row)) = first.next()
    {
        let item = make(row);
        len += if paging.len_max == usize::MAX { 0 } else { len_of(&item) };
        items.push(item);
        last = Some(key);
    }
    is_more |= first.len() > 0;
    Page { items, next: last.filter(|_| is_more).map(|key| key.token()) }
}

/// The length of a row in JSON, in bytes.
fn len_of(row: &impl Serialize) -> usize {
    struct Length(usize);
    impl Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    let _ = serde_json::to_writer(&mut length, row); // cannot fail: plain data
    length.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page_of(rows: &[(String, u64)], paging: &Paging) -> Page<(String, u64)> {
        page(rows.iter().map(|row| (RowKey::new([&row.0], [row.1, 0]), row)), paging, Clone::clone)
    }

    #[test]
    fn a_token_is_short_whatever_the_row_holds() {
        let long = "ö\"".repeat(400_000);
        let key = RowKey::new([&*long; TEXTS], [u64::MAX; 2]);
        let token = key.token();
        assert!(token.len() < TOKEN_LEN_MAX, "{}", token.len());
        assert_eq!(Cursor::read(&token).expect("a cursor").key(), key);
    }

    #[test]
    fn an_invalid_token_is_refused() {
        for token in ["", "x", "e30", "bnVsbA", "W1tdLFtdXQ", "%%%", "Å", &"A".repeat(TOKEN_LEN_MAX + 4)] {
            assert_eq!(Cursor::read(token), None, "{token}");
        }
    }

    proptest! {
        /// Rows appear and disappear between pages. A row that exists all the time is listed exactly once.
        #[test]
        fn pages_lose_and_repeat_nothing(
            stay in proptest::collection::btree_set(("[a-c]{0,2}", 0u64..4), 0..20),
            others in proptest::collection::vec(
                proptest::collection::btree_set(("[a-c]{0,2}", 0u64..4), 0..6), 1..40,
            ),
            limit in 1usize..6,
            len_max in 1usize..60,
        ) {
            let mut seen = Vec::new();
            let mut paging = Paging { limit, len_max, after: None };
            for round in 0.. {
                let other = &others[round % others.len()];
                let rows: Vec<(String, u64)> = other.iter().chain(&stay).cloned().collect::<std::collections::HashSet<_>>()
                    .into_iter().collect();
                let page = page_of(&rows, &paging);
                prop_assert!(page.items.len() <= limit && page.items.is_sorted());
                let before_last = page.items.iter().rev().skip(1).map(len_of).sum::<usize>();
                prop_assert!(before_last < len_max, "{} rows, after {} bytes", page.items.len(), before_last);
                seen.extend(page.items.into_iter().filter(|row| stay.contains(row)));
                match page.next {
                    Some(next) => paging.after = Some(Cursor::read(&next).expect("a cursor")),
                    None => break,
                }
            }
            prop_assert_eq!(seen, stay.into_iter().collect::<Vec<_>>());
        }
    }
}
