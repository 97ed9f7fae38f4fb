//! A list that is too long to be read whole: its items are cut out and read one by one.

use std::io::{self, Read};

use hyper::body::Bytes;

use super::{Documents, NO_KIND, Objects, ReadPod, TOO_LONG, implied_by};
use crate::source::files::ManifestPod;
use crate::source::files::node::{DocumentFault, Flaw, Mapping, Node};
use crate::source::files::pod::{self, InvalidPod};
use crate::source::kube::json_splitter;
use crate::source::kube::split::{BodyShape, ENVELOPE_LEN_MAX, Piece};

const BREAKS_OFF: &str = "not JSON: the list breaks off";

/// The most bytes of Pods that wait for a list's kind, which stands behind its items.
const HELD_LEN_MAX: usize = 128 * 1024 * 1024;

/// What the memory of an allocation costs beside its bytes.
const ALLOCATION_LEN: usize = 32;

/// A list whose items are being read.
#[derive(Default)]
struct Listed {
    /// How many items were read.
    count: usize,
    /// The list's kind, where it stands before the items.
    kind: Option<String>,
    /// The items that tell no kind: Pods in a `PodList`, each with its place. Empty where they are too many.
    held: Vec<(usize, ReadPod)>,
    /// How many those are, and how many bytes.
    held_count: usize,
    held_len: usize,
}

impl Listed {
    fn hold(&mut self, pod: ReadPod) {
        self.held_count += 1;
        self.held_len = self.held_len.saturating_add(len_of(&pod));
        if self.held_len <= HELD_LEN_MAX {
            self.held.push((self.count - 1, pod));
        } else {
            self.held = Vec::new();
        }
    }
}

fn len_of(pod: &ReadPod) -> usize {
    let texts: Vec<usize> = match pod {
        Ok(ManifestPod { pod, by_profile }) => {
            let by_profile = by_profile.iter().filter_map(|(_, value)| value.as_ref()).map(|value| value.len());
            [pod.namespace.len(), pod.name.len(), pod.uid.len()].into_iter().chain(by_profile).collect()
        }
        Err(InvalidPod { pod, faults }) => faults.iter().chain(pod).map(String::len).collect(),
    };
    size_of::<(usize, ReadPod)>() + texts.iter().map(|len| len + ALLOCATION_LEN).sum::<usize>()
}

impl<R: Read> Documents<'_, R> {
    /// Reads a list of JSON, of which the first part is in `document`.
    pub(super) fn json_list(&mut self) -> io::Result<()> {
        let mut splitter = json_splitter::JsonSplitter::new(BodyShape::List);
        let mut list = Listed::default();
        let mut chunk = Bytes::from(std::mem::take(&mut self.document));
        let mut is_first = true;
        loop {
            splitter.push(chunk.clone());
            let is_json = self.json_items(&mut splitter, &mut list);
            if splitter.is_whole() {
                // The splitter also takes blanks behind the list: they may indent the next document.
                let end = chunk.get(..chunk.len() - splitter.rest().len()).unwrap_or_default();
                self.text.put_back(&chunk, end.trim_ascii_end().len());
                self.objects.end_list(list, Node::of_json(&splitter.envelope()));
                return Ok(());
            }
            if !is_json && is_first && list.count == 0 {
                self.refuse(DocumentFault { line: None, flaw: Flaw::TooLong(TOO_LONG) });
                self.document = chunk.to_vec();
                return self.go_on_behind_broken_json();
            }
            let Some(len) = self.text.stretch()?.filter(|_| is_json) else {
                self.text.put_back(&chunk, chunk.len() - splitter.rest().len());
                self.objects.refuse(Some(self.text.line()), BREAKS_OFF.to_owned());
                return self.text.skip_object();
            };
            chunk = Bytes::copy_from_slice(self.text.take(len));
            is_first = false;
        }
    }

    /// Reads the items of the chunk that was pushed last; false where it is no JSON.
    fn json_items(&mut self, splitter: &mut json_splitter::JsonSplitter, list: &mut Listed) -> bool {
        loop {
            let item = match splitter.next() {
                Ok(None) => return true,
                Err(json_splitter::NotJson) => return false,
                Ok(Some(Piece::Unreadable)) => Err(too_long()),
                Ok(Some(Piece::Object(text))) => Node::in_braces(text),
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
        let mut cutter = Cutter::new(self.len_max);
        let mut list = Listed::default();
        let mut lines =
            Lines { bytes: std::mem::take(&mut self.document), start: 0, len_max: self.len_max, is_cut: false };
        let mut is_at_end = false;
        while !is_at_end {
            match self.text.stretch()? {
                Some(len) => lines.push(self.text.take(len)),
                None => {
                    lines.push(b"\n");
                    is_at_end = true;
                }
            }
            while let Some(line) = lines.next() {
                if let Some(item) = cutter.line(line) {
                    self.yaml_item(&cutter, &mut list, &item);
                }
                if cutter.is_lost {
                    self.refuse(DocumentFault { line: None, flaw: Flaw::TooLong(TOO_LONG) });
                    return self.text.skip_document();
                }
            }
        }
        if let Some(item) = cutter.end() {
            self.yaml_item(&cutter, &mut list, &item);
        }
        self.objects.end_list(list, Node::of_yaml(&cutter.envelope));
        Ok(())
    }

    fn yaml_item(&mut self, cutter: &Cutter, list: &mut Listed, item: &[u8]) {
        if list.count == 0 {
            list.kind = kind_of(Node::of_yaml(&cutter.envelope));
        }
        let is_too_long = item.len() > self.len_max;
        let item = if is_too_long { Err(too_long()) } else { Node::of_yaml(item) };
        self.objects.list_item(list, item);
    }
}

impl Objects<'_> {
    /// Takes an item of a list that is read as it comes.
    fn list_item(&mut self, list: &mut Listed, item: Result<Node, DocumentFault>) {
        self.prefix = format!("items[{}].", list.count);
        list.count += 1;
        match (item, list.kind.as_deref()) {
            (_, Some(kind)) if !is_list(kind) => {} // counted as a whole at its end
            (Err(fault), _) => self.refuse(None, fault.flaw.to_string()),
            (Ok(Node::Map(object)), None) if !has_kind(&object) => list.hold(pod::read(&object, self.profiles)),
            (Ok(item), kind) => self.item(&item, kind.and_then(implied_by), 1),
        }
        self.prefix.clear();
    }

    /// Checks what stands around the items.
    fn end_list(&mut self, list: Listed, envelope: Result<Node, DocumentFault>) {
        let kind = match envelope {
            Ok(envelope) => {
                if let (Node::Map(fields), true) = (&envelope, list.kind.as_deref().is_none_or(is_list))
                    && super::is_of_another_api(fields)
                {
                    self.refuse(None, super::OTHER_API.to_owned());
                }
                kind_of(Ok(envelope))
            }
            Err(fault) => return self.refuse(None, format!("what stands around the items is {}", fault.flaw)),
        };
        match (kind, &list.kind) {
            (Some(kind), _) if is_list(&kind) => self.release(list, &kind),
            (Some(kind), Some(_)) => self.ignore(&kind),
            (Some(kind), None) if list.held_count == list.count => self.ignore(&kind),
            (Some(_), None) => self.refuse(None, "kind is not that of a list: write \"List\"".to_owned()),
            (None, _) => self.refuse(None, "kind is missing: write \"List\"".to_owned()),
        }
    }

    /// Takes the items that told no kind, now that the list's is known.
    fn release(&mut self, list: Listed, kind: &str) {
        if list.held.len() < list.held_count {
            let reason = format!("over 128 MiB of Pods stand before kind: write \"kind\": \"{kind}\" before the items");
            return self.refuse(None, reason);
        }
        for (at, pod) in list.held {
            self.prefix = format!("items[{at}].");
            match implied_by(kind) {
                Some(_) => self.take(pod),
                None => self.refuse(None, NO_KIND.to_owned()),
            }
        }
        self.prefix.clear();
    }
}

fn has_kind(object: &Mapping) -> bool {
    object.get("kind").is_some_and(|kind| *kind != Node::Text(String::new()))
}

fn is_list(kind: &str) -> bool {
    matches!(kind, "List" | "PodList")
}

fn kind_of(envelope: Result<Node, DocumentFault>) -> Option<String> {
    match envelope {
        Ok(Node::Map(mut fields)) => match fields.remove("kind") {
            Some(Node::Text(kind)) => Some(kind),
            _ => None,
        },
        _ => None,
    }
}

fn too_long() -> DocumentFault {
    DocumentFault { line: None, flaw: Flaw::TooLong("over 4 MiB, or no object") }
}

/// The lines of a text that comes in chunks.
struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// The most bytes of a line. Of a longer one there is one byte more, and the rest is left out.
    len_max: usize,
    /// The rest of a long line comes next.
    is_cut: bool,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(chunk);
    }

    /// The next line; none until there is more of it.
    fn next(&mut self) -> Option<&[u8]> {
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

/// Cuts the items out of YAML's lines.
struct Cutter {
    /// The most bytes of an item. No more is kept.
    len_max: usize,
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
    fn new(len_max: usize) -> Cutter {
        Cutter { len_max, envelope: Vec::new(), item: None, is_among_items: false, depth: None, is_lost: false }
    }

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
        if let Some(item) = self.item.as_mut().filter(|item| item.len() <= self.len_max) {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source::files::LoadReport;

    #[test]
    fn pods_that_wait_for_their_kind_are_bounded() {
        let object = Node::of_yaml(b"metadata: {name: p}\n").expect("YAML");
        let Node::Map(object) = object else { panic!("{object:?}") };
        let mut report = LoadReport::default();
        let mut found = 0;
        let mut count = |_, _| found += 1;
        let (file, profiles) = (Path::new("a.yaml"), &[]);
        let mut objects =
            Objects { file, profiles, report: &mut report, found: &mut count, document: 1, prefix: String::new() };
        let mut list = Listed::default();
        let item = || Ok(Node::Map(object.clone()));
        (0..3).for_each(|_| objects.list_item(&mut list, item()));
        let each = list.held_len / 3;
        assert!(each > size_of::<ManifestPod>() && each < 1024, "{each}");
        objects.end_list(list, Node::of_yaml(b"kind: PodList"));

        let mut list = Listed { held_len: HELD_LEN_MAX - each, ..Listed::default() };
        (0..3).for_each(|_| objects.list_item(&mut list, item()));
        assert_eq!((list.held.len(), list.held_count), (0, 3));
        objects.end_list(list, Node::of_yaml(b"kind: PodList"));
        assert_eq!(found, 3);
        let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
        assert!(problem.reason.starts_with("over 128 MiB of Pods stand before kind: write "), "{problem}");
    }
}
