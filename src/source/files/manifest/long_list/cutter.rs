//! Cuts a list of YAML in block style into its items: an item reaches from one dash to the next dash at the same depth.

use crate::source::kube::body::ENVELOPE_LEN_MAX;

/// The lines of a text that arrives in chunks.
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// The offset of the next line.
    start: usize,
    /// The most bytes of a line. A longer line is cut after one byte more.
    len_max: usize,
    /// Whether the rest of a line that was cut comes next.
    is_cut: bool,
}

impl Lines {
    pub(super) fn new(bytes: Vec<u8>, len_max: usize) -> Lines {
        Lines { bytes, start: 0, len_max, is_cut: false }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(chunk);
    }

    /// The next line. `None` if its end has not arrived.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        loop {
            let rest = self.bytes.get(self.start..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'\n');
            let len = end.map_or(rest.len(), |end| end + 1);
            let start = self.start;
            if self.is_cut {
                self.start += len;
                self.is_cut = end.is_none();
                end?;
                continue;
            }
            let is_long = len > self.len_max + 1;
            if !is_long {
                end?;
            }
            self.is_cut = is_long;
            self.start += len.min(self.len_max + 1);
            return self.bytes.get(start..self.start);
        }
    }
}

/// An item of a list, as a document.
pub(super) struct Item {
    pub(super) text: Vec<u8>,
    /// The line of the item's dash, counted from 0 in the list's document.
    pub(super) line: u64,
}

/// Finds the items among the lines of a list.
pub(super) struct Cutter {
    /// The most bytes of an item. A longer item is cut.
    len_max: usize,
    /// The lines that are not of an item.
    pub(super) envelope: Vec<u8>,
    /// The current item. `None` between `items:` and the first dash.
    item: Option<Item>,
    is_among_items: bool,
    /// The indentation of the document's keys.
    root: Option<usize>,
    /// The indentation of the dashes.
    depth: Option<usize>,
    /// The number of lines so far.
    lines: u64,
    /// Whether the document is not such a list.
    pub(super) is_lost: bool,
}

impl Cutter {
    pub(super) fn new(len_max: usize) -> Cutter {
        let envelope = Vec::new();
        Cutter {
            len_max,
            envelope,
            item: None,
            is_among_items: false,
            root: None,
            depth: None,
            lines: 0,
            is_lost: false,
        }
    }

    /// Takes a line. Returns the item that ends before it.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<Item> {
        let number = self.lines;
        self.lines += 1;
        let depth = line.iter().take_while(|byte| **byte == b' ').count();
        let text = line.get(depth..).unwrap_or_default();
        if text.trim_ascii().is_empty() || text.starts_with(b"#") {
            self.append(line);
            return None;
        }
        let root = *self.root.get_or_insert(depth);
        if self.is_among_items {
            let dashes = *self.depth.get_or_insert(depth);
            let is_dash = text.first() == Some(&b'-') && text.get(1).is_none_or(u8::is_ascii_whitespace);
            if is_dash && depth == dashes {
                let mut item = vec![b' '; depth + 1];
                item.extend_from_slice(text.get(1..).unwrap_or_default());
                return self.item.replace(Item { text: item, line: number });
            }
            if depth > dashes {
                self.append(line);
                return None;
            }
            if depth != root {
                self.is_lost = true;
                return None;
            }
            self.is_among_items = false;
        }
        if self.item.is_none() && depth == root && is_items(text) {
            self.is_among_items = true;
        } else if self.envelope.len() + line.len() > ENVELOPE_LEN_MAX {
            self.is_lost = true;
        } else {
            self.envelope.extend_from_slice(line);
        }
        self.item.take()
    }

    fn append(&mut self, line: &[u8]) {
        if let Some(item) = self.item.as_mut().filter(|item| item.text.len() <= self.len_max) {
            item.text.extend_from_slice(line);
        }
    }

    /// The last item.
    pub(super) fn end(&mut self) -> Option<Item> {
        self.item.take()
    }
}

/// Whether a line is the key `items` and has no value but a comment.
fn is_items(text: &[u8]) -> bool {
    let key = [b"items".as_slice(), b"\"items\"", b"'items'"].iter().find_map(|key| text.strip_prefix(*key));
    let Some(value) = key.and_then(|behind| behind.trim_ascii_start().strip_prefix(b":")) else { return false };
    value.first().is_none_or(u8::is_ascii_whitespace) && value.trim_ascii().first().is_none_or(|first| *first == b'#')
}
