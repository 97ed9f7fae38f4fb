//! Keys and values in one block of text. A Pod has some two hundred pairs, and each relist decodes them again.

use std::fmt;
use std::ops::Range;

/// Pairs of a key and a value, in order.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct PairList {
    text: Box<str>,
    /// Where each pair's key and value end in the text.
    ends: Box<[(u32, u32)]>,
}

impl PairList {
    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no pairs.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The length of all keys and values, in bytes.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Each key with its value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.range(0..self.len())
    }

    /// The pairs at some indexes, in order. None if there are fewer.
    #[inline] // each pair of each list is read here
    pub fn range(&self, indexes: Range<usize>) -> impl Iterator<Item = (&str, &str)> + Clone {
        let mut start = self.start(indexes.start);
        self.ends.get(indexes).unwrap_or_default().iter().map(move |(key_end, value_end)| {
            let (key_end, value_end) = (*key_end as usize, *value_end as usize);
            let pair = (self.part(start, key_end), self.part(key_end, value_end));
            start = value_end;
            pair
        })
    }

    /// The pair at an index.
    pub fn get(&self, at: usize) -> Option<(&str, &str)> {
        self.range(at..at.checked_add(1)?).next()
    }

    /// Where a pair's key starts in the text.
    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(_, end)| *end as usize)
    }

    fn part(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or_default()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for PairList {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> PairList {
        let pairs: Vec<(K, V)> = pairs.into_iter().collect();
        // Allocate once at the exact size: growing buffers is much of what the first list costs.
        let len = pairs.iter().map(|(key, value)| key.as_ref().len() + value.as_ref().len()).sum();
        let (mut text, mut ends) = (String::with_capacity(len), Vec::with_capacity(pairs.len()));
        let end = |text: &String| u32::try_from(text.len()).unwrap_or(u32::MAX); // an annotation is far shorter
        for (key, value) in &pairs {
            text.push_str(key.as_ref());
            let key_end = end(&text);
            text.push_str(value.as_ref());
            ends.push((key_end, end(&text)));
        }
        PairList { text: text.into(), ends: ends.into() }
    }
}

impl fmt::Debug for PairList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_kept_unchanged() {
        let lists: [&[(&str, &str)]; 5] =
            [&[], &[("", "")], &[("a", "")], &[("zone", "é"), ("tag", "x")], &[("zo", "neé"), ("tag", "x")]];
        for list in lists {
            let pairs: PairList = list.iter().copied().collect();
            assert_eq!(pairs.iter().collect::<Vec<_>>(), list);
            assert_eq!((pairs.len(), pairs.is_empty()), (list.len(), list.is_empty()));
            let equal = lists.iter().filter(|other| other.iter().copied().collect::<PairList>() == pairs);
            assert_eq!(equal.count(), 1, "{pairs:?}");
        }
    }
}
