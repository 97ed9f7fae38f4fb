//! Reads the Pods of a stream of documents one by one. Only one document, or one item of a list, is in memory at a time.
//!
//! Lines of `---` separate documents of YAML or JSON. A JSON object may also follow another one directly. A document longer
//! than [`StreamBounds::document`] must be a list, whose items are read one by one.

mod long_list;

use std::io::{self, Read};
use std::path::Path;

use super::node::{DocumentFault, Flaw, Node, NodeMap};
use super::pod::{InvalidPod, WORKLOADS, Workload};
use super::text::{CHUNK_LEN, Start, TextReader};
use super::{FileProblem, LoadReport, ManifestObject, ManifestPod, POD, pod};
use crate::source::WatchProfile;
use crate::source::kube::body::OBJECT_LEN_MAX;
use crate::source::kube::json_splitter::Nesting;

/// The bounds of the part of a stream that is in memory.
#[derive(Clone, Copy)]
pub(super) struct StreamBounds {
    /// The number of bytes of one read.
    pub(super) chunk: usize,
    /// The most bytes of a document that is read whole, and of an item of a list.
    pub(super) document: usize,
}

pub(super) const STREAM_BOUNDS: StreamBounds = StreamBounds { chunk: CHUNK_LEN, document: OBJECT_LEN_MAX };

/// The most lists that may contain each other.
const LISTS_MAX: usize = 8;

/// The longest name of a kind.
const KIND_LEN_MAX: usize = 63;

const TOO_LONG: &str =
    "over 4 MiB, and not a list with each item below the one before: write its objects between lines of ---";

const OTHER_API: &str = "apiVersion is not that of a list: write \"v1\"";

const NO_KIND: &str = "kind is missing: write one such as \"Pod\"";

/// A Pod, or what is wrong with it.
type ReadPod = Result<ManifestPod, InvalidPod>;

/// What is read of the objects.
#[derive(Clone, Copy)]
pub(super) struct Reading<'p> {
    pub(super) profiles: &'p [WatchProfile],
    /// Whether the Pod templates of workloads are read, besides Pods.
    pub(super) has_templates: bool,
}

/// Reads a stream, and hands each Pod or template and the number of its document to `found`.
///
/// # Errors
/// Reading failed. The Pods before that are already found.
pub(super) fn read(
    file: &Path,
    source: impl Read,
    bounds: StreamBounds,
    reading: Reading<'_>,
    report: &mut LoadReport,
    found: &mut dyn FnMut(ManifestObject, usize),
) -> io::Result<()> {
    let text = TextReader::new(source, bounds.chunk);
    let objects = Objects { file, reading, report, found, document: 0, place: String::new() };
    Documents { text, objects, document: Vec::new(), start: 1, no_yaml: 0, len_max: bounds.document }.read()
}

/// Cuts a stream into documents.
struct Documents<'r, R> {
    text: TextReader<R>,
    objects: Objects<'r>,
    /// The part of the current document that is read.
    document: Vec<u8>,
    /// The line of the document's first byte.
    start: u64,
    /// The number of next bytes that are not YAML, together with all up to the next separator. Without it, a file of broken
    /// objects would be parsed to its end for each object.
    no_yaml: usize,
    /// The most bytes of a document that is read whole.
    len_max: usize,
}

impl<R: Read> Documents<'_, R> {
    fn read(mut self) -> io::Result<()> {
        while let Some(start) = self.text.find_document()? {
            self.document = Vec::new();
            self.start = self.text.line();
            self.objects.document += 1;
            match start {
                Start::Brace => self.braces()?,
                Start::Line => self.lines()?,
                Start::Refused(reason) => {
                    self.objects.refuse(Some(self.start), reason);
                    self.text.skip_document()?;
                }
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

    /// Appends the text up to the next separator. Returns false if the document is then too long to be read whole.
    fn take_stretches(&mut self) -> io::Result<bool> {
        while self.document.len() <= self.len_max {
            let Some(len) = self.text.stretch()? else { return Ok(true) };
            self.append(len);
        }
        Ok(false)
    }

    /// Appends this many bytes, but at most one more than a document may have, so the result does not depend on the chunks.
    fn append(&mut self, len: usize) {
        let most = (self.len_max + 1).saturating_sub(self.document.len());
        self.no_yaml = self.no_yaml.saturating_sub(len.min(most));
        self.document.extend_from_slice(self.text.take(len.min(most)));
    }

    /// Reads a document that begins with a brace: JSON, which ends with its last brace, or YAML in flow style.
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
            // These faults leave the nesting whole, so the objects inside are not documents.
            Err(_) if is_closed && matches!(fault.flaw, Flaw::Twice("JSON") | Flaw::NotText) => self.refuse(fault),
            Err(DocumentFault { flaw: flaw @ Flaw::Twice(_), line }) => self.refuse(DocumentFault { line, flaw }),
            Err(DocumentFault { flaw: Flaw::BreaksOff(_), .. }) if is_closed && self.no_yaml == 0 => {
                return self.braces_of_yaml(fault);
            }
            Err(_) => return self.broken_json(fault),
        }
        Ok(())
    }

    /// Reads up to the next separator as YAML with quoted keys. Its other quotes and its comments may contain a brace.
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

    /// Reads the objects in the lines below the first one of a broken object. A missing brace or quote made them a part of it.
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

    /// Reports a fault of the current document.
    fn refuse(&mut self, DocumentFault { line, flaw }: DocumentFault) {
        let line = line.map(|line| self.start + line.saturating_sub(1));
        self.objects.refuse(line, &flaw.to_string());
    }
}

/// Whether a text in braces seems to be JSON: its first key is in quotes.
fn is_like_json(document: &[u8]) -> bool {
    let first = document.iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'"' | b'}'))
}

/// Hands on Pods, reads lists, and counts other objects.
struct Objects<'r> {
    file: &'r Path,
    reading: Reading<'r>,
    report: &'r mut LoadReport,
    found: &'r mut dyn FnMut(ManifestObject, usize),
    /// The current document, counted from 1.
    document: usize,
    /// The current item of a list, such as `items[3]`. Empty outside of a list.
    place: String,
}

impl Objects<'_> {
    fn document(&mut self, node: &Node) {
        match node {
            Node::Null => self.document -= 1, // only comments
            Node::Map(object) => self.object(object, None, 0),
            _ => self.refuse(None, "not a Kubernetes object"),
        }
    }

    /// Reads an object. An item of a list of one kind may leave out that kind, which is `implied`.
    fn object(&mut self, object: &NodeMap, implied: Option<&str>, depth: usize) {
        let kind = match (object.get("kind"), implied) {
            (Some(Node::Text(kind)), _) if !kind.is_empty() => kind.as_str(),
            (Some(Node::Text(_)) | None, Some(implied)) => implied,
            (Some(Node::Text(_)) | None, None) => return self.refuse_field(NO_KIND),
            (Some(kind), _) => return self.refuse_field(&pod::no_string("kind", kind, false)),
        };
        match kind {
            POD => self.take(pod::read(object, self.reading.profiles)),
            "List" | "PodList" if is_of_another_api(object) => self.refuse_field(OTHER_API),
            "List" | "PodList" => self.list(object, implied_by(kind), depth),
            other => match (self.workload(other, object), self.listed_workload(other, object), self.meant(other)) {
                (Some(workload), ..) => self.take_template(workload, object),
                (None, Some(workload), _) => self.list(object, Some(workload.kind), depth),
                (None, None, Some(kind)) => self.refuse_field(&format!("kind is misspelt: write \"{kind}\"")),
                (None, None, None) => self.ignore(other),
            },
        }
    }

    /// Reads the items of a list. Those without a kind have the `implied` one.
    fn list(&mut self, list: &NodeMap, implied: Option<&str>, depth: usize) {
        let items = match list.get("items") {
            Some(Node::Null) => return,
            None => return self.refuse_field("items is missing: write the list's objects below it"),
            Some(Node::List(items)) if depth < LISTS_MAX => items,
            Some(Node::List(_)) => return self.refuse(None, &format!("over {LISTS_MAX} nested lists")),
            Some(other) => return self.refuse_field(&format!("items is {} but must be a list", other.noun())),
        };
        let above = self.place.len();
        for (at, item) in items.iter().enumerate() {
            let joint = if above == 0 { "" } else { "." };
            self.place.push_str(&format!("{joint}items[{at}]"));
            self.item(item, implied, depth + 1);
            self.place.truncate(above);
        }
    }

    fn item(&mut self, item: &Node, implied: Option<&str>, depth: usize) {
        match item {
            Node::Map(object) => self.object(object, implied, depth),
            other => self.add_problem((POD, None), None, " ", &format!("is {} but must be an object", other.noun())),
        }
    }

    fn take(&mut self, pod: ReadPod) {
        match pod {
            Ok(pod) => (self.found)(ManifestObject::Pod(pod), self.document),
            Err(invalid) => self.refuse_object(POD, invalid),
        }
    }

    fn workload(&self, kind: &str, object: &NodeMap) -> Option<Workload> {
        if self.reading.has_templates { Workload::of(kind, object) } else { None }
    }

    /// The workload of a list such as `DeploymentList`.
    fn listed_workload(&self, kind: &str, list: &NodeMap) -> Option<Workload> {
        self.workload(kind.strip_suffix("List")?, list)
    }

    fn take_template(&mut self, workload: Workload, object: &NodeMap) {
        self.report.templates += 1;
        match workload.read(object, self.reading.profiles, (self.file, self.document)) {
            Ok(template) => (self.found)(ManifestObject::Template(template), self.document),
            Err(invalid) => self.refuse_object(workload.kind, invalid),
        }
    }

    fn refuse_object(&mut self, kind: &'static str, InvalidPod { pod, faults, left_out }: InvalidPod) {
        faults.iter().for_each(|fault| self.add_problem((kind, pod.clone()), None, ".", fault));
        if left_out > 0 {
            self.add_problem((kind, pod), None, ": ", &format!("{left_out} more faults"));
        }
    }

    /// The kind that a misspelt kind stands for.
    fn meant(&self, kind: &str) -> Option<&'static str> {
        let workloads = if self.reading.has_templates { &WORKLOADS[..] } else { &[] };
        let kinds = [POD, "List", "PodList"].into_iter().chain(workloads.iter().map(|workload| workload.kind));
        let singular = kind.strip_suffix(['s', 'S']).unwrap_or(kind);
        let is_meant = |known: &&str| known.eq_ignore_ascii_case(singular) && *known != kind;
        kinds.into_iter().find(is_meant)
    }

    fn ignore(&mut self, kind: &str) {
        if kind.len() <= KIND_LEN_MAX && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            self.report.ignored.count(kind, 1);
        } else {
            self.refuse_field("kind is not the name of a kind: write up to 63 letters and digits");
        }
    }

    /// Reports a fault of the current document or item.
    fn refuse(&mut self, line: Option<u64>, reason: &str) {
        self.add_problem((POD, None), line, ": ", reason);
    }

    /// Reports a fault of a field, whose name the reason begins with.
    fn refuse_field(&mut self, reason: &str) {
        self.add_problem((POD, None), None, ".", reason);
    }

    /// Reports a fault. `joint` is written between the item and the reason.
    fn add_problem(
        &mut self,
        (kind, pod): (&'static str, Option<String>),
        line: Option<u64>,
        joint: &str,
        reason: &str,
    ) {
        let (file, document) = (self.file.to_owned(), Some(self.document));
        let joint = if self.place.is_empty() { "" } else { joint };
        let reason = format!("{}{joint}{reason}", self.place);
        self.report.refuse(FileProblem { file, document, line, kind, pod, reason });
    }
}

/// The kind of a list's items that have no kind.
fn implied_by(list: &str) -> Option<&'static str> {
    (list == "PodList").then_some(POD)
}

/// Whether an object has another `apiVersion` than v1. A missing one means v1.
fn is_of_another_api(object: &NodeMap) -> bool {
    match object.get("apiVersion") {
        None | Some(Node::Null) => false,
        Some(Node::Text(version)) => !version.is_empty() && version != "v1",
        Some(_) => true,
    }
}
