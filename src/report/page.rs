//! Pages of a list: a few rows at a time, in an order that does not depend on when they are asked for.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// How many texts a row's place has at most: namespace, interface, group, version, Pod, protocol, uid.
const TEXTS: usize = 7;

/// The longest part of a text that tells two rows apart, in bytes: a Pod's name has 253 at most, and an interface of a
/// megabyte must not make a token that no URL can carry. What is cut off is told apart by what stands behind it.
const TEXT_LEN_MAX: usize = 256;

/// A page of [`Paging::within`] ends with the row that takes it beyond so many bytes of JSON; a Pod's is 3 MiB at the most.
const LEN_MAX: usize = 2 << 20;

/// The longest token that is read: the parts at their longest, in JSON and base64, twice over.
const TOKEN_LEN_MAX: usize = 12 * 1024;

/// Where a row stands among all rows of its list; unique, and the same in every snapshot that has the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'r> {
    texts: [&'r str; TEXTS],
    numbers: [u64; 2],
}

impl<'r> Place<'r> {
    /// Ordered by the texts, then by the numbers.
    pub(super) fn new<const N: usize>(texts: [&'r str; N], numbers: [u64; 2]) -> Place<'r> {
        let mut place = Place { texts: [""; TEXTS], numbers };
        place.texts.iter_mut().zip(texts).for_each(|(part, text)| *part = cut(text));
        place
    }

    fn token(&self) -> String {
        // Texts and numbers: nothing that JSON could refuse.
        BASE64URL_NOPAD.encode(&serde_json::to_vec(&(self.texts, self.numbers)).unwrap_or_default())
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LEN_MAX)]
}

/// Where a page begins: behind a row that an earlier page ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    texts: [String; TEXTS],
    numbers: [u64; 2],
}

impl Cursor {
    /// Reads a page's [`Page::next`]; none for what was not one.
    pub fn read(token: &str) -> Option<Cursor> {
        if token.len() > TOKEN_LEN_MAX {
            return None;
        }
        let json = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (texts, numbers) = serde_json::from_slice(&json).ok()?;
        Some(Cursor { texts, numbers })
    }

    fn place(&self) -> Place<'_> {
        Place { texts: self.texts.each_ref().map(String::as_str), numbers: self.numbers }
    }
}

/// Which rows of a list are asked for.
#[derive(Clone, Debug)]
pub struct Paging {
    /// At most so many.
    pub limit: usize,
    /// They end with the one that takes them beyond so many bytes of JSON.
    pub len_max: usize,
    /// Those behind this place; none for those from the first on.
    pub after: Option<Cursor>,
}

impl Paging {
    /// All rows.
    pub const ALL: Paging = Paging { limit: usize::MAX, len_max: usize::MAX, after: None };

    /// So many at most behind a place, of a length that many can be handed at once.
    pub fn within(limit: usize, after: Option<Cursor>) -> Paging {
        Paging { limit, len_max: LEN_MAX, after }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// What to go on with: [`Cursor::read`] reads it; absent with the last row.
    #[serde(rename = "continue", default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A row by its place alone.
struct Placed<'r, R>(Place<'r>, R);

impl<R> PartialEq for Placed<'_, R> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<R> Eq for Placed<'_, R> {}

impl<R> PartialOrd for Placed<'_, R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> Ord for Placed<'_, R> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

/// The page of these rows, in any order; a row is made only if the page has it, and no more are held than it has.
pub(super) fn page<'r, R, T: Serialize>(
    rows: impl Iterator<Item = (Place<'r>, R)>,
    paging: &Paging,
    make: impl Fn(R) -> T,
) -> Page<T> {
    let after = paging.after.as_ref().map(Cursor::place);
    let mut first = BinaryHeap::new(); // the last of them on top
    let mut is_more = false;
    for (place, row) in rows.filter(|(place, _)| after.is_none_or(|after| *place > after)) {
        first.push(Placed(place, row));
        if first.len() > paging.limit {
            first.pop();
            is_more = true;
        }
    }
    let mut first = first.into_sorted_vec().into_iter();
    let (mut items, mut len, mut last) = (Vec::new(), 0, None);
    while len < paging.len_max
        && let Some(Placed(place, row)) = first.next()
    {
        let item = make(row);
        len += if paging.len_max == usize::MAX { 0 } else { len_of(&item) };
        items.push(item);
        last = Some(place);
    }
    is_more |= first.len() > 0;
    Page { items, next: last.filter(|_| is_more).map(|place| place.token()) }
}

/// The bytes of a row in JSON.
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
    let _ = serde_json::to_writer(&mut length, row); // nothing that JSON could refuse
    length.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page_of(rows: &[(String, u64)], paging: &Paging) -> Page<(String, u64)> {
        page(rows.iter().map(|row| (Place::new([&row.0], [row.1, 0]), row)), paging, Clone::clone)
    }

    #[test]
    fn a_token_is_short_whatever_the_row_holds() {
        let long = "ö\"".repeat(400_000);
        let place = Place::new([&*long; TEXTS], [u64::MAX; 2]);
        let token = place.token();
        assert!(token.len() < TOKEN_LEN_MAX, "{}", token.len());
        assert_eq!(Cursor::read(&token).expect("a cursor").place(), place);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for token in ["", "x", "e30", "bnVsbA", "W1tdLFtdXQ", "%%%", "Å", &"A".repeat(TOKEN_LEN_MAX + 4)] {
            assert_eq!(Cursor::read(token), None, "{token}");
        }
    }

    proptest! {
        /// Whatever comes and goes between two pages, a row that was there all the time is listed exactly once.
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
                prop_assert!(before_last < len_max, "{} behind {} bytes", page.items.len(), before_last);
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
