//! A stream of documents becomes Pods, one after another: no more of it is in memory than a document, or a list's item.
//!
//! A document is what stands between lines of `---`, in YAML or JSON, or a JSON object behind another one. One that is
//! longer than [`StreamBounds::document`] has to be a list, whose items are then read as they come.

mod long_list;

use std::io::{self, Read};
use std::path::Path;

use super::node::{DocumentFault, Flaw, Mapping, Node};
use super::pod::InvalidPod;
use super::text::{CHUNK_LEN, TextReader};
use super::{FileProblem, LoadReport, ManifestPod, pod};
use crate::source::WatchProfile;
use crate::source::kube::json_splitter::Nesting;
use crate::source::kube::split::OBJECT_LEN_MAX;

/// How much of a stream is in memory.
#[derive(Clone, Copy)]
pub(super) struct StreamBounds {
    /// How many bytes are read at a time.
    pub(super) chunk: usize,
    /// The most bytes of a document that is read whole, and of an item of a list.
    pub(super) document: usize,
}

pub(super) const STREAM_BOUNDS: StreamBounds = StreamBounds { chunk: CHUNK_LEN, document: OBJECT_LEN_MAX };

/// How deep lists may stand in lists.
const LISTS_MAX: usize = 8;

/// The longest name of a kind.
const KIND_LEN_MAX: usize = 63;

const TOO_LONG: &str =
    "over 4 MiB, and no list whose items stand one below the other: write its objects between lines of ---";

const OTHER_API: &str = "apiVersion is not that of a list: write \"v1\"";

const NO_KIND: &str = "kind is missing: an object without a kind is not read";

/// A Pod, or what is wrong with it.
type ReadPod = Result<ManifestPod, InvalidPod>;

/// Reads a stream. An error means that it cannot be read on; what came before has been found.
pub(super) fn read(
    file: &Path,
    source: impl Read,
    bounds: StreamBounds,
    profiles: &[WatchProfile],
    report: &mut LoadReport,
    found: &mut dyn FnMut(ManifestPod, usize),
) -> io::Result<()> {
    let text = TextReader::new(source, bounds.chunk);
    let objects = Objects { file, profiles, report, found, document: 0, prefix: String::new() };
    Documents { text, objects, document: Vec::new(), start: 1, no_yaml: 0, len_max: bounds.document }.read()
}

/// Cuts the documents out.
struct Documents<'r, R> {
    text: TextReader<R>,
    objects: Objects<'r>,
    /// The document in hand, as far as it was read, and the line where it starts.
    document: Vec<u8>,
    start: u64,
    /// How many of the next bytes are known to be no YAML up to the next separator. A file of broken objects would
    /// otherwise be parsed to its end for each of them.
    no_yaml: usize,
    /// The most bytes of a document that is read whole.
    len_max: usize,
}

impl<R: Read> Documents<'_, R> {
    fn read(mut self) -> io::Result<()> {
        while self.text.find_document()? {
            self.document = Vec::new();
            self.start = self.text.line();
            self.objects.document += 1;
            if self.text.rest().starts_with(b"{") {
                self.braces()?;
            } else {
                self.lines()?;
            }
        }
        Ok(())
    }

    /// Reads YAML up to the next separator.
    fn lines(&mut self) -> io::Result<()> {
        if !self.take_stretches()? {
            return self.yaml_list();
        }
        match Node::of_yaml(&self.document) {
            Ok(node) => self.objects.document(&node),
            Err(fault) => self.refuse(fault),
        }
        Ok(())
    }

    /// Appends what comes before the next separator; false where that is too long to be read whole.
    fn take_stretches(&mut self) -> io::Result<bool> {
        while self.document.len() <= self.len_max {
            let Some(len) = self.text.stretch()? else { return Ok(true) };
            self.append(len);
        }
        Ok(false)
    }

    /// Appends so many bytes, but at most one more than a document may have: however the stream was cut, it ends there.
    fn append(&mut self, len: usize) {
        let most = (self.len_max + 1).saturating_sub(self.document.len());
        self.no_yaml = self.no_yaml.saturating_sub(len.min(most));
        self.document.extend_from_slice(self.text.take(len.min(most)));
    }

    /// Reads what begins with a brace: JSON, which ends with its last brace, or YAML in flow style.
    fn braces(&mut self) -> io::Result<()> {
        let mut nesting = Nesting::default();
        let mut is_closed = false;
        while let Some(len) = self.text.stretch()? {
            let end = nesting.end(self.text.rest().get(..len).unwrap_or_default());
            self.append(end.unwrap_or(len));
            if self.document.len() > self.len_max {
                return if is_like_json(&self.document) { self.json_list() } else { self.yaml_list() };
            }
            is_closed = end.is_some();
            if is_closed {
                break;
            }
        }
        let fault = match Node::of_json(&self.document) {
            Ok(node) => {
                self.objects.document(&node);
                return Ok(());
            }
            Err(fault) => fault,
        };
        if !is_like_json(&self.document) {
            return self.lines();
        }
        match Node::of_yaml(&self.document) {
            Ok(node) => self.objects.document(&node),
            // A key that stands twice leaves the nesting whole: what lies below it is no document of its own.
            Err(_) if is_closed && fault.flaw == Flaw::Twice("JSON") => self.refuse(fault),
            Err(DocumentFault { flaw: flaw @ Flaw::Twice(_), line }) => self.refuse(DocumentFault { line, flaw }),
            Err(DocumentFault { flaw: Flaw::BreaksOff(_), .. }) if is_closed && self.no_yaml == 0 => {
                return self.braces_of_yaml(fault);
            }
            Err(_) => return self.broken_json(fault),
        }
        Ok(())
    }

    /// Reads YAML whose keys stand in quotes up to the next separator: its other quotes and its comments may hide a brace.
    fn braces_of_yaml(&mut self, fault: DocumentFault) -> io::Result<()> {
        let len = self.document.len();
        if self.take_stretches()?
            && let Ok(node) = Node::of_yaml(&self.document)
        {
            self.objects.document(&node);
            return Ok(());
        }
        self.text.put_back(&self.document, len);
        self.no_yaml = self.document.len() - len;
        self.document.truncate(len);
        self.broken_json(fault)
    }

    fn broken_json(&mut self, fault: DocumentFault) -> io::Result<()> {
        self.refuse(fault);
        self.go_on_behind_broken_json()
    }

    /// Where a brace or a quote is missing, the objects of the lines below were taken for a part of this one.
    fn go_on_behind_broken_json(&mut self) -> io::Result<()> {
        let broken = std::mem::take(&mut self.document);
        let mut starts = (0..broken.len()).filter(|at| broken.get(*at..).is_some_and(|rest| rest.starts_with(b"\n{")));
        let Some(mut start) = starts.next() else {
            return if broken.len() > self.len_max { self.text.skip_object() } else { Ok(()) };
        };
        for end in starts {
            self.objects.document += 1;
            match Node::of_json(broken.get(start..end).unwrap_or_default()) {
                Ok(node) => self.objects.document(&node),
                Err(fault) => self.refuse(DocumentFault { line: None, ..fault }),
            }
            start = end;
        }
        self.text.put_back(&broken, start);
        Ok(())
    }

    /// Tells what is wrong with the document in hand, with the line where that is.
    fn refuse(&mut self, DocumentFault { line, flaw }: DocumentFault) {
        let line = line.map(|line| self.start + line.saturating_sub(1));
        self.objects.refuse(line, flaw.to_string());
    }
}

/// Whether JSON is meant: its keys stand in quotes.
fn is_like_json(document: &[u8]) -> bool {
    let first = document.iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'"' | b'}'))
}

/// Takes Pods, looks into lists, and counts what is something else.
struct Objects<'r> {
    file: &'r Path,
    profiles: &'r [WatchProfile],
    report: &'r mut LoadReport,
    found: &'r mut dyn FnMut(ManifestPod, usize),
    /// The document in hand, counted from 1.
    document: usize,
    /// The item of a list in hand: `items[3].`, or nothing.
    prefix: String,
}

impl Objects<'_> {
    fn document(&mut self, node: &Node) {
        match node {
            Node::Null => self.document -= 1, // nothing but comments
            Node::Map(object) => self.object(object, None, 0),
            _ => self.refuse(None, "not a Kubernetes object".to_owned()),
        }
    }

    /// Takes an object; an item of a `PodList` need not say that it is a Pod.
    fn object(&mut self, object: &Mapping, implied: Option<&str>, depth: usize) {
        let kind = match (object.get("kind"), implied) {
            (Some(Node::Text(kind)), _) if !kind.is_empty() => kind.as_str(),
            (Some(Node::Text(_)) | None, Some(implied)) => implied,
            (Some(Node::Text(_)) | None, None) => return self.refuse(None, NO_KIND.to_owned()),
            (Some(kind), _) => return self.refuse(None, pod::no_string("kind", kind)),
        };
        match kind {
            "Pod" => self.take(pod::read(object, self.profiles)),
            "List" | "PodList" if is_of_another_api(object) => self.refuse(None, OTHER_API.to_owned()),
            "List" | "PodList" => self.list(object, kind, depth),
            other => match meant(other) {
                Some(kind) => self.refuse(None, format!("kind is misspelt: write \"{kind}\"")),
                None => self.ignore(other),
            },
        }
    }

    fn list(&mut self, list: &Mapping, kind: &str, depth: usize) {
        let items = match list.get("items") {
            Some(Node::Null) => return,
            None => return self.refuse(None, "items is missing: write the list's objects below it".to_owned()),
            Some(Node::List(items)) if depth < LISTS_MAX => items,
            Some(Node::List(_)) => return self.refuse(None, format!("over {LISTS_MAX} lists in each other")),
            Some(other) => return self.refuse(None, format!("items is {}, and a list is due", other.noun())),
        };
        let above = self.prefix.len();
        for (at, item) in items.iter().enumerate() {
            self.prefix.push_str(&format!("items[{at}]."));
            self.item(item, implied_by(kind), depth + 1);
            self.prefix.truncate(above);
        }
    }

    fn item(&mut self, item: &Node, implied: Option<&str>, depth: usize) {
        match item {
            Node::Map(object) => self.object(object, implied, depth),
            other => self.refuse(None, format!("is {}: an item that is no object", other.noun())),
        }
    }

    fn take(&mut self, pod: ReadPod) {
        match pod {
            Ok(pod) => (self.found)(pod, self.document),
            Err(InvalidPod { pod, faults }) => {
                faults.into_iter().for_each(|fault| self.add_problem(pod.clone(), None, fault));
            }
        }
    }

    fn ignore(&mut self, kind: &str) {
        if kind.len() <= KIND_LEN_MAX && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            self.report.ignored.count(kind, 1);
        } else {
            self.refuse(None, "kind is none: write letters and digits, up to 63".to_owned());
        }
    }

    fn refuse(&mut self, line: Option<u64>, reason: String) {
        self.add_problem(None, line, reason);
    }

    fn add_problem(&mut self, pod: Option<String>, line: Option<u64>, reason: String) {
        let (file, document) = (self.file.to_owned(), Some(self.document));
        let reason = format!("{}{reason}", self.prefix);
        self.report.refuse(FileProblem { file, document, line, pod, reason });
    }
}

/// The kind that a misspelt one means.
fn meant(kind: &str) -> Option<&'static str> {
    let singular = kind.strip_suffix(['s', 'S']).unwrap_or(kind);
    ["Pod", "List", "PodList"].into_iter().find(|known| known.eq_ignore_ascii_case(singular))
}

/// What kind a list's items are that do not tell it.
fn implied_by(list: &str) -> Option<&'static str> {
    (list == "PodList").then_some("Pod")
}

/// Whether an object names another API than that of Pods and lists. One that names none is taken for ours.
fn is_of_another_api(object: &Mapping) -> bool {
    match object.get("apiVersion") {
        None | Some(Node::Null) => false,
        Some(Node::Text(version)) => !version.is_empty() && version != "v1",
        Some(_) => true,
    }
}
