//! A list that is too long to be read whole: its items are cut out and read one by one.

use std::io::{self, Read};

use hyper::body::Bytes;

use super::{DOCUMENT_LEN_MAX, Documents, Objects, TOO_LONG, implied_by};
use crate::source::files::node::{Fault, Node};
use crate::source::kube::json;
use crate::source::kube::split::{ENVELOPE_LEN_MAX, Piece, Shape};

/// A list whose items are being read.
#[derive(Default)]
struct Listed {
    /// How many items were read.
    count: usize,
    /// The list's kind, where it stands before the items.
    kind: Option<String>,
}

impl<R: Read> Documents<'_, R> {
    /// Reads a list of JSON, of which the first part is in `document`.
    pub(super) fn json_list(&mut self) -> io::Result<()> {
        let mut splitter = json::Splitter::new(Shape::List);
        let mut list = Listed::default();
        let mut chunk = Bytes::from(std::mem::take(&mut self.document));
        loop {
            splitter.push(chunk.clone());
            let is_json = self.json_items(&mut splitter, &mut list);
            if splitter.is_whole() {
                self.text.put_back(splitter.behind());
                self.objects.end_list(&list, Node::of_json(&splitter.envelope()));
                return Ok(());
            }
            if !is_json && list.count == 0 {
                self.refuse(Fault { line: None, reason: TOO_LONG.to_owned() });
                self.document = chunk.to_vec();
                return self.go_on_behind_broken_json();
            }
            let Some(len) = self.text.stretch()?.filter(|_| is_json) else {
                self.objects.refuse(Some(self.text.line()), "not JSON: the list breaks off".to_owned());
                return self.text.skip_object();
            };
            chunk = Bytes::copy_from_slice(self.text.take(len));
        }
    }

    /// Reads the items of the chunk that was pushed last; false where it is no JSON.
    fn json_items(&mut self, splitter: &mut json::Splitter, list: &mut Listed) -> bool {
        loop {
            let item = match splitter.next() {
                Ok(None) => return true,
                Err(json::NotJson) => return false,
                Ok(Some(Piece::Unreadable)) => Err(too_long()),
                Ok(Some(Piece::Object(json))) => Node::of_json(json),
            };
            if list.count == 0 {
                list.kind = kind_of(Node::of_json(&splitter.envelope()));
            }
            self.objects.list_item(list, item);
        }
    }

    /// Reads a list of YAML in block style, of which the first part is in `document`: an item reaches from one dash to the
    /// next one that stands as deep.
    pub(super) fn yaml_list(&mut self) -> io::Result<()> {
        let mut cutter = Cutter::default();
        let mut list = Listed::default();
        let mut start = 0;
        loop {
            while let Some(end) =
                self.document.get(start..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
            {
                let line = self.document.get(start..=start + end).unwrap_or_default();
                start += end + 1;
                if let Some(item) = cutter.line(line) {
                    self.yaml_item(&cutter, &mut list, &item);
                }
            }
            self.document.drain(..start);
            start = 0;
            if cutter.is_lost || self.document.len() > DOCUMENT_LEN_MAX {
                self.refuse(Fault { line: None, reason: TOO_LONG.to_owned() });
                return self.text.skip_document();
            }
            let Some(len) = self.text.stretch()? else { break };
            self.document.extend_from_slice(self.text.take(len));
        }
        self.document.push(b'\n');
        let last = std::mem::take(&mut self.document);
        let items = [cutter.line(&last), cutter.end()];
        items.into_iter().flatten().for_each(|item| self.yaml_item(&cutter, &mut list, &item));
        self.objects.end_list(&list, Node::of_yaml(&cutter.envelope));
        Ok(())
    }

    fn yaml_item(&mut self, cutter: &Cutter, list: &mut Listed, item: &[u8]) {
        if list.count == 0 {
            list.kind = kind_of(Node::of_yaml(&cutter.envelope));
        }
        let is_too_long = item.len() > DOCUMENT_LEN_MAX;
        let item = if is_too_long { Err(too_long()) } else { Node::of_yaml(item) };
        self.objects.list_item(list, item);
    }
}

impl Objects<'_> {
    /// Takes an item of a list that is read as it comes.
    fn list_item(&mut self, list: &mut Listed, item: Result<Node, Fault>) {
        self.prefix = format!("items[{}].", list.count);
        list.count += 1;
        match (item, list.kind.as_deref()) {
            (_, Some(kind)) if !is_list(kind) => {} // counted as a whole at its end
            (Err(fault), _) => self.refuse(None, fault.reason),
            (Ok(item), kind) => self.item(&item, kind.and_then(implied_by), 1),
        }
        self.prefix.clear();
    }

    /// Checks what stands around the items.
    fn end_list(&mut self, list: &Listed, envelope: Result<Node, Fault>) {
        let kind = match envelope {
            Ok(envelope) => kind_of(Ok(envelope)),
            Err(fault) => return self.refuse(None, format!("what stands around the items is {}", fault.reason)),
        };
        match (kind, &list.kind) {
            (Some(kind), _) if is_list(&kind) => {}
            (Some(kind), Some(_)) => self.ignore(&kind),
            (Some(_), None) => self.refuse(None, "kind is not that of a list: write \"List\"".to_owned()),
            (None, _) => self.refuse(None, "kind is missing: write \"List\"".to_owned()),
        }
    }
}

fn is_list(kind: &str) -> bool {
    matches!(kind, "List" | "PodList")
}

fn kind_of(envelope: Result<Node, Fault>) -> Option<String> {
    match envelope {
        Ok(Node::Map(mut fields)) => match fields.remove("kind") {
            Some(Node::Text(kind)) => Some(kind),
            _ => None,
        },
        _ => None,
    }
}

fn too_long() -> Fault {
    Fault { line: None, reason: "over 4 MiB, or no object".to_owned() }
}

/// Cuts the items out of YAML's lines.
#[derive(Default)]
struct Cutter {
    /// The lines that belong to no item.
    envelope: Vec<u8>,
    /// The item in hand; none between `items:` and the first dash.
    item: Option<Vec<u8>>,
    is_among_items: bool,
    /// How deep the dashes stand.
    depth: Option<usize>,
    /// This is no such list.
    is_lost: bool,
}

impl Cutter {
    /// Takes a line; gives the item that ends before it.
    fn line(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let depth = line.iter().take_while(|byte| **byte == b' ').count();
        let text = line.get(depth..).unwrap_or_default();
        if self.is_among_items {
            let is_blank = text.trim_ascii().is_empty() || text.starts_with(b"#");
            let is_dash = text.first() == Some(&b'-') && text.get(1).is_none_or(u8::is_ascii_whitespace);
            let dashes = *self.depth.get_or_insert(if is_blank { usize::MAX } else { depth });
            if dashes == usize::MAX {
                self.depth = None;
            } else if is_dash && depth == dashes {
                let mut item = vec![b' '; depth + 1];
                item.extend_from_slice(text.get(1..).unwrap_or_default());
                return self.item.replace(item);
            }
            if is_blank || depth > dashes {
                self.append(line);
                return None;
            }
            if depth > 0 {
                self.is_lost = true;
                return None;
            }
            self.is_among_items = false;
        }
        if self.item.is_none() && is_items(line) {
            self.is_among_items = true;
        } else if self.envelope.len() + line.len() > ENVELOPE_LEN_MAX {
            self.is_lost = true;
        } else {
            self.envelope.extend_from_slice(line);
        }
        self.item.take()
    }

    fn append(&mut self, line: &[u8]) {
        if let Some(item) = self.item.as_mut().filter(|item| item.len() <= DOCUMENT_LEN_MAX) {
            item.extend_from_slice(line);
        }
    }

    /// The last item.
    fn end(&mut self) -> Option<Vec<u8>> {
        self.item.take()
    }
}

/// Whether a line begins the items: the key and nothing but a comment.
fn is_items(line: &[u8]) -> bool {
    let behind = [b"items:".as_slice(), b"\"items\":", b"'items':"].iter().find_map(|key| line.strip_prefix(*key));
    behind.map(<[u8]>::trim_ascii).is_some_and(|behind| behind.is_empty() || behind.starts_with(b"#"))
}
