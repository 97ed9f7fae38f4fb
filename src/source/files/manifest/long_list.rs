//! A list that is too long to be read whole. Its items are read one by one.

mod cutter;

use std::io::{self, Read};

use hyper::body::Bytes;

use self::cutter::{Cutter, Item, Lines};
use super::{Documents, NO_KIND, Objects, POD, ReadPod, TOO_LONG, implied_by};
use crate::source::files::ManifestPod;
use crate::source::files::node::{DocumentFault, Flaw, Node, NodeMap};
use crate::source::files::pod::{self, InvalidPod};
use crate::source::kube::body::{BodyShape, Piece};
use crate::source::kube::json_splitter;

const BREAKS_OFF: &str = "not JSON: the list breaks off";

const ALIAS: &str = "an alias (*) has no anchor (&) in its item, and a list over 4 MiB is read item by item: write the value \
                     instead of the alias, or split the list";

/// The most bytes of Pods that wait for the kind of a list that has it after its items.
const HELD_LEN_MAX: usize = 128 * 1024 * 1024;

/// The overhead of an allocation, in bytes.
const ALLOCATION_LEN: usize = 32;

/// A list whose items are being read.
#[derive(Default)]
struct Listed {
    /// The number of items that are read.
    count: usize,
    /// The list's kind, if it is before the items.
    kind: Option<String>,
    /// The items without a kind, which are Pods if this is a `PodList`, and their positions. Empty if they exceed
    /// [`HELD_LEN_MAX`].
    held: Vec<(usize, ReadPod)>,
    /// The number of items without a kind, and their bytes.
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
        Ok(ManifestPod { pod, by_profile, unselected }) => {
            let by_profile = by_profile.iter().map(|(_, text)| text.len_in_memory());
            let unselected = unselected.iter().map(|one| size_of_val(one) + one.key.len());
            let names = [pod.namespace.len(), pod.name.len(), pod.uid.len()];
            names.into_iter().chain(by_profile).chain(unselected).collect()
        }
        Err(InvalidPod { pod, faults, .. }) => faults.iter().chain(pod).map(String::len).collect(),
    };
    size_of::<(usize, ReadPod)>() + texts.iter().map(|len| len + ALLOCATION_LEN).sum::<usize>()
}

impl<R: Read> Documents<'_, R> {
    /// Reads a list of JSON whose first part is in `document`.
    pub(super) fn json_list(&mut self) -> io::Result<()> {
        let mut splitter = json_splitter::JsonSplitter::new(BodyShape::List);
        let mut list = Listed::default();
        let mut chunk = Bytes::from(std::mem::take(&mut self.document));
        let mut is_first = true;
        loop {
            splitter.push(chunk.clone());
            let is_json = self.json_items(&mut splitter, &mut list);
            if splitter.is_whole() {
                // The splitter also takes the blanks after the list, which may indent the next document.
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
                self.objects.refuse(Some(self.text.line()), BREAKS_OFF);
                return self.text.skip_object();
            };
            chunk = Bytes::copy_from_slice(self.text.take(len));
            is_first = false;
        }
    }

    /// Reads the items of the last chunk. Returns false if the chunk is not JSON.
    fn json_items(&mut self, splitter: &mut json_splitter::JsonSplitter, list: &mut Listed) -> bool {
        loop {
            let item = match splitter.next() {
                Ok(None) => return true,
                Err(json_splitter::NotJson) => return false,
                Ok(Some(Piece::Unreadable)) => Err(too_long()),
                Ok(Some(Piece::Object(text))) => {
                    Node::in_braces(text).map_err(|fault| DocumentFault { line: None, ..fault })
                }
            };
            if list.count == 0 {
                list.kind = kind_of(Node::of_json(&splitter.envelope()));
            }
            self.objects.list_item(list, item);
        }
    }

    /// Reads a list of YAML in block style whose first part is in `document`.
    pub(super) fn yaml_list(&mut self) -> io::Result<()> {
        let mut cutter = Cutter::new(self.len_max);
        let mut list = Listed::default();
        let mut lines = Lines::new(std::mem::take(&mut self.document), self.len_max);
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
                    self.yaml_item(&cutter, &mut list, item);
                }
                if cutter.is_lost {
                    self.refuse(DocumentFault { line: None, flaw: Flaw::TooLong(TOO_LONG) });
                    return self.text.skip_document();
                }
            }
        }
        if let Some(item) = cutter.end() {
            self.yaml_item(&cutter, &mut list, item);
        }
        self.objects.end_list(list, Node::of_yaml(&cutter.envelope));
        Ok(())
    }

    fn yaml_item(&mut self, cutter: &Cutter, list: &mut Listed, Item { text, line }: Item) {
        if list.count == 0 {
            list.kind = kind_of(Node::of_yaml(&cutter.envelope));
        }
        let read = if text.len() > self.len_max { Err(too_long()) } else { Node::of_yaml(&text) };
        let read = read.map_err(|fault| DocumentFault {
            line: fault.line.map(|at| self.start + line + at.saturating_sub(1)),
            flaw: if fault.flaw == Flaw::NoAnchor { Flaw::TooLong(ALIAS) } else { fault.flaw },
        });
        self.objects.list_item(list, read);
    }
}

impl Objects<'_> {
    /// Reads an item. The line of its fault is that of the file.
    fn list_item(&mut self, list: &mut Listed, item: Result<Node, DocumentFault>) {
        self.place = format!("items[{}]", list.count);
        list.count += 1;
        match (item, list.kind.as_deref()) {
            (_, Some(kind)) if !self.is_list(kind) => {} // counted at the end, as one object
            (Err(fault), _) => self.refuse(fault.line, &fault.flaw.to_string()),
            (Ok(Node::Map(object)), None) if !has_kind(&object) => list.hold(pod::read(&object, self.reading.profiles)),
            (Ok(item), kind) => self.item(&item, kind.and_then(|kind| self.implied_in(kind)), 1),
        }
        self.place.clear();
    }

    /// Checks the keys around the items, and takes the items that waited for them.
    fn end_list(&mut self, list: Listed, envelope: Result<Node, DocumentFault>) {
        let kind = match envelope {
            Ok(envelope) => {
                if let (Node::Map(fields), true) = (&envelope, list.kind.as_deref().is_none_or(is_list))
                    && super::is_of_another_api(fields)
                {
                    self.refuse_field(super::OTHER_API);
                }
                kind_of(Ok(envelope))
            }
            Err(fault) => return self.refuse(None, &format!("the text around the items is {}", fault.flaw)),
        };
        match (kind, &list.kind) {
            (Some(kind), _) if self.is_list(&kind) => self.release(list, &kind),
            (Some(kind), Some(_)) => self.ignore(&kind),
            (Some(kind), None) if list.held_count == list.count => self.ignore(&kind),
            (Some(_), None) => self.refuse_field("kind is not that of a list: write \"List\""),
            (None, _) => self.refuse_field("kind is missing: write \"List\""),
        }
    }

    /// Takes the items without a kind.
    fn release(&mut self, list: Listed, kind: &str) {
        if list.held.len() < list.held_count {
            let reason = format!("over 128 MiB of Pods are before kind: write \"kind\": \"{kind}\" before the items");
            return self.refuse(None, &reason);
        }
        for (at, pod) in list.held {
            self.place = format!("items[{at}]");
            match self.implied_in(kind) {
                Some(POD) => self.take(pod),
                Some(_) => self.refuse_field("kind is missing: write the list's kind before its items"),
                None => self.refuse_field(NO_KIND),
            }
        }
        self.place.clear();
    }

    fn is_list(&self, kind: &str) -> bool {
        is_list(kind) || self.implied_in(kind).is_some()
    }

    /// The kind of a list's items that have no kind, also in a list of workloads.
    fn implied_in(&self, kind: &str) -> Option<&'static str> {
        implied_by(kind).or_else(|| self.listed_workload(kind, &NodeMap::new()).map(|workload| workload.kind))
    }
}

fn has_kind(object: &NodeMap) -> bool {
    object.get("kind").is_some_and(|kind| *kind != Node::Text(String::new()))
}

/// Whether a kind is that of a list of v1.
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source::files::LoadReport;
    use crate::source::files::manifest::Reading;

    #[test]
    fn pods_that_wait_for_their_kind_are_bounded() {
        let object = Node::of_yaml(b"metadata: {name: p}\n").expect("YAML");
        let Node::Map(object) = object else { panic!("{object:?}") };
        let mut report = LoadReport::default();
        let mut found = 0;
        let mut count = |_, _| found += 1;
        let (file, reading) = (Path::new("a.yaml"), Reading { profiles: &[], has_templates: false });
        let mut objects =
            Objects { file, reading, report: &mut report, found: &mut count, document: 1, place: String::new() };
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
        assert!(problem.reason.starts_with("over 128 MiB of Pods are before kind: write "), "{problem}");
    }
}
