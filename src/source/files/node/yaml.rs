//! Reads YAML as go-yaml 2 does, which kubectl and the API server use, but refuses an object that has a key twice.
//!
//! The parser is that of serde-saphyr, without serde: serde drops the text of a number, and serde-saphyr has other booleans and
//! numbers than go-yaml.

mod words;

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use self::words::{SYNTAX, TOO_DEEP, flaw};
use super::scalar::{self, Number};
use super::{DocumentFault, Flaw, Node, NodeMap};

/// The most values of a document, and their greatest depth.
const NODES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 100;

/// The most bytes of all scalars of a document. Aliases multiply its text, of at most 4 MiB, and this bounds by how much.
const SCALAR_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The prefix of YAML's own tags.
const YAML: &str = "tag:yaml.org,2002:";

/// Reads a text of one document.
pub(super) fn read(text: &str) -> Result<Node, DocumentFault> {
    let options = granit_parser::options! { emit_comments: false };
    let mut reader = YamlReader {
        text,
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        left: Budget { nodes: NODES_MAX, bytes: SCALAR_BYTES_MAX },
        line: 1,
        is_at_end: false,
    };
    reader.document().map_err(|flaw| DocumentFault { line: u64::try_from(reader.line).ok(), flaw })
}

struct YamlReader<'t> {
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    /// The values that have an anchor.
    anchors: HashMap<usize, Node>,
    left: Budget,
    /// The line of the last event.
    line: usize,
    /// Whether the last event ends at the end of the text.
    is_at_end: bool,
}

/// What a document may still hold. Each anchor and each alias copies a value, and costs what it copies.
struct Budget {
    nodes: usize,
    bytes: usize,
}

type Read<T> = Result<T, Flaw>;

impl<'t> YamlReader<'t> {
    fn document(&mut self) -> Read<Node> {
        let node = loop {
            match self.next()? {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd => return Ok(Node::Null),
                event => break self.node(event, 0)?,
            }
        };
        match (self.next()?, self.next()?) {
            (Event::DocumentEnd, Event::StreamEnd) => Ok(node),
            _ => Err(Flaw::NotYaml("text follows its end")),
        }
    }

    fn next(&mut self) -> Read<Event<'t>> {
        match self.events.next_event() {
            Some(Ok((event, Span { start, end, .. }))) => {
                self.line = start.line();
                self.is_at_end = end.byte_offset() == Some(self.text.len());
                Ok(event)
            }
            Some(Err(error)) => {
                self.line = error.marker().line();
                Err(flaw(&error))
            }
            None => Err(Flaw::NotYaml(SYNTAX)),
        }
    }

    /// The value that begins with an event.
    fn node(&mut self, event: Event<'t>, depth: usize) -> Read<Node> {
        if depth > DEPTH_MAX {
            return Err(Flaw::NotYaml(TOO_DEEP));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.left.take(text.len())?;
                (scalar(self.without_added_end(&text, style), style, tag.as_deref())?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (Node::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or(Flaw::NotYaml("an alias is inside its own value"))?;
                return self.left.copy(node);
            }
            _ => return Err(Flaw::NotYaml(SYNTAX)),
        };
        if anchor != 0 {
            let copy = self.left.copy(&node)?;
            self.anchors.insert(anchor, copy);
        }
        Ok(node)
    }

    /// The parser adds a line end to a block scalar that ends the text without one. go-yaml does not.
    fn without_added_end<'a>(&self, text: &'a str, style: ScalarStyle) -> &'a str {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let is_last = is_block && self.is_at_end;
        if is_last && self.text.rsplit('\n').next().is_some_and(|line| !line.trim_ascii().is_empty()) {
            return text.strip_suffix('\n').unwrap_or(text);
        }
        text
    }

    fn list(&mut self, depth: usize) -> Read<Node> {
        self.left.take(0)?;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Node::List(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Read<NodeMap> {
        self.left.take(0)?;
        let mut fields = NodeMap::new();
        // The keys of merges: each may stand once more.
        let mut merged = BTreeSet::new();
        loop {
            let event = match self.next()? {
                Event::MappingEnd => return Ok(fields),
                event => event,
            };
            let is_merge = is_merge(&event);
            let key = self.node(event, depth + 1)?;
            let value = self.next()?;
            let line = self.line;
            let value = self.node(value, depth + 1)?;
            if is_merge {
                merge(value, &mut fields, &mut merged)?;
                continue;
            }
            let key = key_of(key)?;
            let is_merged = !merged.is_empty() && merged.remove(&key);
            if fields.insert(key, value).is_some() && !is_merged {
                self.line = line;
                return Err(Flaw::Twice("YAML"));
            }
        }
    }
}

impl Budget {
    /// Takes a value with this many bytes of text.
    fn take(&mut self, bytes: usize) -> Read<()> {
        self.nodes = self.nodes.checked_sub(1).ok_or(Flaw::TooLong(TOO_MANY))?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Flaw::TooLong(TOO_LONG))?;
        Ok(())
    }

    fn copy(&mut self, node: &Node) -> Read<Node> {
        self.take(match node {
            Node::Text(text) => text.len(),
            Node::Bool(_, text) | Node::Number(text) => text.len(),
            Node::Null | Node::List(_) | Node::Map(_) => 0,
        })?;
        Ok(match node {
            Node::List(items) => Node::List(items.iter().map(|item| self.copy(item)).collect::<Read<_>>()?),
            Node::Map(fields) => {
                let mut copies = NodeMap::new();
                for (key, value) in fields {
                    self.take(key.len())?;
                    copies.insert(key.clone(), self.copy(value)?);
                }
                Node::Map(copies)
            }
            node => node.clone(),
        })
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Read<Node> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { scalar::plain(text) } else { Node::Text(text.to_owned()) });
    };
    let tag = tag.suffix_in_namespace(YAML);
    let node = scalar::plain(text);
    match (tag.as_deref(), &node) {
        (Some("null"), Node::Null) | (Some("bool"), Node::Bool(..)) | (Some("float"), Node::Number(_)) => Ok(node),
        (Some("int"), Node::Number(_)) if matches!(Number::of(text), Some(Number::Whole(_))) => Ok(node),
        (Some("null" | "bool" | "float" | "int"), _) => {
            Err(Flaw::NotYaml("a tag says another type than its value has"))
        }
        (Some("binary"), _) => binary(text).map(Node::Text),
        _ => Ok(Node::Text(text.to_owned())),
    }
}

/// The value as JSON has it, which knows only text.
fn binary(text: &str) -> Read<String> {
    let text: String = text.split(['\r', '\n']).collect();
    let bytes = STANDARD.decode(text).map_err(|_| Flaw::NotYaml("a value with the tag !!binary is not base64"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_merge(event: &Event) -> bool {
    match event {
        Event::Scalar(text, style, _, None) => text == "<<" && *style == ScalarStyle::Plain,
        Event::Scalar(text, _, _, Some(tag)) => {
            text == "<<" && tag.suffix_in_namespace(YAML).as_deref() == Some("merge")
        }
        _ => false,
    }
}

/// Takes the fields of a merge. They replace those before it, as in go-yaml.
fn merge(value: Node, fields: &mut NodeMap, merged: &mut BTreeSet<String>) -> Read<()> {
    let no_map = Flaw::NotYaml("a merge (<<) is neither an object nor a list of objects");
    let maps = match value {
        Node::List(items) => items,
        value => vec![value],
    };
    for map in maps.into_iter().rev() {
        let Node::Map(map) = map else { return Err(no_map) };
        for (key, value) in map {
            if fields.insert(key.clone(), value).is_none() {
                merged.insert(key);
            }
        }
    }
    Ok(())
}

/// A key as JSON has it.
fn key_of(key: Node) -> Read<String> {
    match key {
        Node::Text(key) => Ok(key),
        Node::Bool(value, _) => Ok(value.to_string()),
        Node::Number(text) => Number::of(&text)
            .and_then(Number::key)
            .ok_or(Flaw::NotYaml("a key is too large a number: write it in quotes")),
        Node::Null => Err(Flaw::NotYaml("a key is null: write it in quotes")),
        Node::List(_) | Node::Map(_) => Err(Flaw::NotYaml("a key is a list or an object: write a text")),
    }
}

const TOO_MANY: &str = "over 1,000,000 values, with the values of its aliases";
const TOO_LONG: &str = "over 32 MiB of text, with the values of its aliases";

#[cfg(test)]
mod tests {
    use super::*;

    /// The value as JSON, but a number and a boolean as the text has them.
    fn shown(node: &Node) -> String {
        match node {
            Node::Null => "null".to_owned(),
            Node::Bool(value, text) => format!("{value}({text})"),
            Node::Number(text) => text.to_string(),
            Node::Text(text) => format!("{text:?}"),
            Node::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
            Node::Map(fields) => {
                let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key:?}:{}", shown(value))).collect();
                format!("{{{}}}", fields.join(","))
            }
        }
    }

    /// The values are those of go-yaml 2.4.4 and sigs.k8s.io/yaml 1.6.0.
    #[test]
    fn documents_read_as_kubectl_reads_them() {
        let documents = [
            ("a: 685_230.15", "{\"a\":685_230.15}"),
            ("a: tRue", "{\"a\":\"tRue\"}"),
            ("a: yes", "{\"a\":true(yes)}"),
            ("a: 'yes'\nb: \"7\"\nc: |-\n  7", "{\"a\":\"yes\",\"b\":\"7\",\"c\":\"7\"}"),
            ("a: ! 7", "{\"a\":\"7\"}"),
            ("a: !!str 7", "{\"a\":\"7\"}"),
            ("a: !!str", "{\"a\":\"\"}"),
            ("a: !<tag:yaml.org,2002:str> 7", "{\"a\":\"7\"}"),
            ("a: !foo 7", "{\"a\":\"7\"}"),
            (
                "a: !!int '7'\nb: !!float 7\nc: !!bool 'yes'\nd: !!null ''",
                "{\"a\":7,\"b\":7,\"c\":true(yes),\"d\":null}",
            ),
            ("a: !!timestamp 2024-01-02", "{\"a\":\"2024-01-02\"}"),
            ("a: !!binary aGk=", "{\"a\":\"hi\"}"),
            ("a: !!merge x", "{\"a\":\"x\"}"),
            ("1: a\n0x11: b\n1.50: c\n'4': d", "{\"1\":\"a\",\"1.5\":\"c\",\"17\":\"b\",\"4\":\"d\"}"),
            ("y: 1\noff: 2\n'no': 3", "{\"false\":2,\"no\":3,\"true\":1}"),
            ("!!str 7: a\n!!binary aGk=: b", "{\"7\":\"a\",\"hi\":\"b\"}"),
            ("{a: 1, <<: {a: 2}}", "{\"a\":2}"),
            ("{<<: {a: 2, b: 3}, a: 1}", "{\"a\":1,\"b\":3}"),
            ("<<: [{a: 1}, {a: 2, b: 3}]", "{\"a\":1,\"b\":3}"),
            ("x: &x {a: 1}\ny: {!!merge <<: *x, b: 2}", "{\"true\":{\"a\":1,\"b\":2},\"x\":{\"a\":1}}"),
            ("'<<': {a: 1}", "{\"<<\":{\"a\":1}}"),
            ("a: &k b\n*k : z", "{\"a\":\"b\",\"b\":\"z\"}"),
            ("a: |\n  x", "{\"a\":\"x\"}"),
            ("a: >\n  x\n  y", "{\"a\":\"x y\"}"),
            ("a: |+\n  x\n", "{\"a\":\"x\\n\"}"),
            ("a: |\n  x\n  ", "{\"a\":\"x\\n\"}"),
            ("a: |\n  x\n# c", "{\"a\":\"x\\n\"}"),
            ("a: |-\n  x", "{\"a\":\"x\"}"),
            ("a: &x 1\nb: &x 2\nc: *x", "{\"a\":1,\"b\":2,\"c\":2}"),
            ("", "null"),
            ("# nothing", "null"),
            ("text", "\"text\""),
        ];
        for (text, expected) in documents {
            match read(text) {
                Ok(node) => assert_eq!(shown(&node), expected, "{text}"),
                Err(fault) => panic!("{text}: {fault:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_line_in_plain_words() {
        let deep = format!("{}1{}", "[".repeat(150), "]".repeat(150));
        let faults = [
            ("a: 1\na: 2", 2, "not YAML: an object has a key twice"),
            ("1: a\n'1': b", 2, "not YAML: an object has a key twice"),
            ("a: 1\n<<: {a: 2}\na: 3", 3, "not YAML: an object has a key twice"),
            ("a: 1\n<<: {b: 2}\nb: 3\nb: 4", 4, "not YAML: an object has a key twice"),
            ("~: a", 1, "not YAML: a key is null: write it in quotes"),
            ("[a]: b", 1, "not YAML: a key is a list or an object"),
            ("18446744073709551615: a", 1, "not YAML: a key is too large a number"),
            ("<<: 7", 1, "not YAML: a merge (<<) is neither"),
            ("<<: [7]", 1, "not YAML: a merge (<<) is neither"),
            ("a: !!int x", 1, "not YAML: a tag says another type"),
            ("a: !!int 7.5", 1, "not YAML: a tag says another type"),
            ("a: !!null x", 1, "not YAML: a tag says another type"),
            ("a: !!binary x", 1, "not YAML: a value with the tag !!binary is not base64"),
            ("a: &x {b: *x}", 1, "not YAML: an alias is inside its own value"),
            ("\na: *x", 2, "not YAML: an alias (*) has no anchor"),
            ("a: 1\n\tb: 2", 1, "not YAML: a tab is used for indentation: write spaces"),
            ("a: b: c", 1, "not YAML: a colon is not allowed here"),
            ("a: [1, 2", 1, "not YAML: a comma, a closing bracket or a closing brace is missing"),
            ("a: 'x", 1, "not YAML: a quote is not closed"),
            ("a: 'x'y", 1, "not YAML: text follows a closing quote"),
            ("a: \"\\q\"", 1, "not YAML: a \\ in double quotes has no meaning"),
            ("a: @x", 1, "not YAML: a character is not allowed here"),
            ("a: 1\n  b: 2\n c: 3", 2, "not YAML: "),
            ("{a: b}\n{c: d}", 2, "not YAML: "),
            (&deep, 1, "not YAML: values are nested over 100 deep"),
        ];
        for (text, line, reason) in faults {
            let Err(fault) = read(text) else { panic!("{text} is read") };
            assert!(fault.flaw.to_string().starts_with(reason), "{text}: {}", fault.flaw);
            assert_eq!(fault.line, Some(line), "{text}: {}", fault.flaw);
        }
    }

    /// The bounds hold for what anchors and aliases copy, and for nests of anchors.
    #[test]
    fn copies_are_bounded() {
        let long = "x".repeat(1_000_000);
        let aliases = format!("a: &a {long}\nb: [{}]", "*a,".repeat(40));
        let nest = format!("{}{long}{}", "&a [".repeat(40), "]".repeat(40));
        let bomb = (1..9).fold("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned(), |text, at| {
            let alias = format!("*a{},", at - 1);
            text + &format!("a{at}: &a{at} [{}]\n", alias.repeat(10))
        });
        let many = format!("[{}]", "1,".repeat(1_000_001));
        for (text, flaw) in [(aliases, TOO_LONG), (nest, TOO_LONG), (bomb, TOO_MANY), (many, TOO_MANY)] {
            let fault = read(&text).err();
            assert_eq!(fault.map(|fault| fault.flaw), Some(Flaw::TooLong(flaw)));
        }
    }
}
