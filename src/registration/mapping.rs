//! Where the fields of a registration stand in a Pod that was written for another reader: the strings of a `[[profile]]`
//! table, parsed at the start.

use std::sync::LazyLock;

use super::field::Field;
use super::ports::port_number;
use super::{PodParts, ProblemKey, ProfileTable, Wanted, secret};

/// Where the fields of a registration stand in a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    pub(super) interface: Source,
    pub(super) group: Option<Source>,
    pub(super) version: Option<Source>,
    pub(super) protocol: Option<Source>,
    pub(super) weight: Option<Source>,
    pub(super) application: Option<Source>,
    pub(super) port: Option<PortSource>,
    /// The annotation with a JSON object of ports and protocols. If it has any, `port` does not count.
    pub(super) ports: Option<Box<str>>,
    pub(super) metadata: Box<[MetadataSource]>,
    /// Whether the protocol of a container port is its name up to the first hyphen, as in Kratos.
    pub(super) cuts_port_names: bool,
}

/// Where a text stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Text(Box<str>),
    Label(Box<str>),
    Annotation(Box<str>),
}

/// Where ports stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum PortSource {
    /// A number or a container port's name.
    Text(Source),
    /// The container port of a name.
    Named(Box<str>),
    /// Every container port that has a name.
    EveryNamed,
}

/// Where metadata stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum MetadataSource {
    /// A JSON object of texts in an annotation.
    Object(Box<str>),
    /// The annotations whose keys begin with this, by the rest of the key.
    Prefix(Box<str>),
}

/// What Kratos' registry writes.
pub(super) static KRATOS: LazyLock<Mapping> = LazyLock::new(|| Mapping {
    version: Some(Source::Label("kratos-service-version".into())),
    port: Some(PortSource::EveryNamed),
    ports: Some("kratos-service-protocols".into()),
    metadata: [MetadataSource::Object("kratos-service-metadata".into())].into(),
    cuts_port_names: true,
    ..Mapping::of(Source::Label("kratos-service-app".into()))
});

/// A key of a `[[profile]]` table has a value that cannot stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {message}")]
pub struct MappingError {
    /// The key of the table.
    pub key: &'static str,
    /// What is wrong and what may stand there.
    pub message: String,
}

impl Mapping {
    pub(super) fn of(interface: Source) -> Mapping {
        Mapping {
            interface,
            group: None,
            version: None,
            protocol: None,
            weight: None,
            application: None,
            port: None,
            ports: None,
            metadata: Box::default(),
            cuts_port_names: false,
        }
    }

    /// Parses the strings of a table.
    ///
    /// # Errors
    /// The first key whose value cannot stand there.
    pub(super) fn parse(table: &ProfileTable) -> Result<Mapping, MappingError> {
        let ProfileTable { interface, group, version, protocol, port, ports, weight, application, metadata, .. } =
            table;
        let Some(interface) = source("interface", interface)? else {
            return Err(error("interface", format!("it must be given: {SOURCES}")));
        };
        Ok(Mapping {
            interface,
            group: source("group", group)?,
            version: source("version", version)?,
            protocol: source("protocol", protocol)?,
            weight: weight.as_deref().map(weight_source).transpose()?,
            application: source("application", application)?,
            port: port.as_deref().map(port_source).transpose()?,
            ports: ports.as_deref().map(ports_annotation).transpose()?,
            metadata: metadata.iter().map(|text| metadata_source(text)).collect::<Result<_, _>>()?,
            cuts_port_names: false,
        })
    }

    /// Each field that stands somewhere, besides ports.
    pub(super) fn fields(&self) -> impl Iterator<Item = (Field, &Source)> {
        let optional = [
            (Field::Group, &self.group),
            (Field::Version, &self.version),
            (Field::Protocol, &self.protocol),
            (Field::Weight, &self.weight),
            (Field::Application, &self.application),
        ];
        let optional = optional.into_iter().filter_map(|(field, source)| Some((field, source.as_ref()?)));
        std::iter::once((Field::Interface, &self.interface)).chain(optional)
    }

    /// The key that a field is read from.
    pub(super) fn key_of(&self, field: &'static str, is_from_ports: bool) -> ProblemKey {
        if field != Field::Port.name() {
            let source = self.fields().find(|(of, _)| of.name() == field);
            return source.map_or(ProblemKey::Field(field), |(_, source)| source.key(field));
        }
        match (&self.port, &self.ports) {
            (_, Some(key)) if is_from_ports => ProblemKey::annotation(key),
            (_, None) if is_from_ports => ProblemKey::Field(field), // the decoder has its own annotation
            (Some(PortSource::Text(source)), _) => source.key(field),
            (Some(PortSource::Named(name)), _) => ProblemKey::port(name),
            (Some(PortSource::EveryNamed), _) => ProblemKey::every_port(),
            (None, Some(key)) => ProblemKey::json(key),
            (None, None) => ProblemKey::ContainerPorts,
        }
    }

    /// The keys that it names.
    pub(super) fn wanted(&self) -> Wanted {
        let mut wanted = Wanted { ports: true, ..Wanted::default() };
        let mut add = |source: &Source| match source {
            Source::Text(_) => {}
            Source::Label(key) => _ = wanted.labels.insert(key.clone()),
            Source::Annotation(key) => _ = wanted.annotations.insert(key.clone()),
        };
        self.fields().for_each(|(_, source)| add(source));
        if let Some(PortSource::Text(source)) = &self.port {
            add(source);
        }
        wanted.annotations.extend(self.ports.clone());
        for source in &self.metadata {
            match source {
                MetadataSource::Object(key) => _ = wanted.annotations.insert(key.clone()),
                MetadataSource::Prefix(prefix) => wanted.annotation_prefixes.push(prefix.clone()),
            }
        }
        wanted
    }
}

impl Source {
    /// Its text in a Pod. Empty if the Pod does not have it.
    pub(super) fn text<'t>(&'t self, parts: &'t PodParts) -> &'t str {
        match self {
            Source::Text(text) => text,
            Source::Label(key) => parts.label(key),
            Source::Annotation(key) => parts.annotation(key),
        }
    }

    fn key(&self, field: &'static str) -> ProblemKey {
        match self {
            Source::Text(_) => ProblemKey::Field(field),
            Source::Label(key) => ProblemKey::label(key),
            Source::Annotation(key) => ProblemKey::annotation(key),
        }
    }
}

const SOURCES: &str = "`=TEXT`, `label:KEY` or `annotation:KEY`";
const WEIGHT_SOURCES: &str = "`=NUMBER`, `label:KEY` or `annotation:KEY`";
const PORT_SOURCES: &str =
    "`=NUMBER`, `label:KEY`, `annotation:KEY`, `port:NAME` for a container port, or `port:*` for every named one";
const PORTS_SOURCES: &str =
    "`annotation:KEY`, an annotation with a JSON object of ports (numbers, or container ports' names) and protocols";
const METADATA_SOURCES: &str = "each is `annotation:KEY`, an annotation with a JSON object of strings, or `prefix:KEY`, the \
                                beginning of the keys of annotations";
const BAD_KEY: &str = "is not a key that Kubernetes takes: a name of at most 63 letters, digits, `-`, `_` and `.`, or a domain \
                       name, `/` and such a name";

fn error(key: &'static str, message: impl Into<String>) -> MappingError {
    MappingError { key, message: message.into() }
}

fn source(key: &'static str, text: &Option<String>) -> Result<Option<Source>, MappingError> {
    let Some(text) = text else { return Ok(None) };
    let source = source_of(key, text, SOURCES)?;
    Ok(Some(source))
}

fn source_of(key: &'static str, text: &str, choices: &str) -> Result<Source, MappingError> {
    if let Some(text) = text.strip_prefix('=') {
        if text.trim().is_empty() {
            return Err(error(key, format!("no text stands after `=`: write {choices}")));
        }
        if text.chars().any(char::is_control) {
            return Err(error(key, format!("the text after `=` has control characters: write {choices}")));
        }
        if secret::is_secret(text) {
            let message = format!("the text after `=` looks like a secret, which is never published: write {choices}");
            return Err(error(key, message));
        }
        return Ok(Source::Text(text.into()));
    }
    match text.split_once(':') {
        Some(("label", label)) => Ok(Source::Label(checked(key, label, is_label_key(label))?)),
        Some(("annotation", annotation)) => annotation_key(key, annotation).map(Source::Annotation),
        _ => Err(error(key, format!("write {choices}"))),
    }
}

fn weight_source(text: &str) -> Result<Source, MappingError> {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match source_of("weight", text, WEIGHT_SOURCES)? {
        Source::Text(text) if !is_number(&text) => {
            Err(error("weight", format!("no whole number stands after `=`: write {WEIGHT_SOURCES}")))
        }
        source => Ok(source),
    }
}

fn port_source(text: &str) -> Result<PortSource, MappingError> {
    const NUMBER: &str = "after `=` stands a number from 1 to 65535, or the name of a container port";
    const NAME: &str = "after `port:` stands `*`, or the name of a container port: at most 15 lower-case letters, digits and \
                        hyphens; a number is written `=NUMBER`";
    match text.strip_prefix("port:") {
        Some("*") => Ok(PortSource::EveryNamed),
        Some(name) if is_port_name(name) => Ok(PortSource::Named(name.into())),
        Some(_) => Err(error("port", NAME)),
        None => match source_of("port", text, PORT_SOURCES)? {
            Source::Text(text) if port_number(&text).is_none() && !is_port_name(&text) => Err(error("port", NUMBER)),
            source => Ok(PortSource::Text(source)),
        },
    }
}

fn ports_annotation(text: &str) -> Result<Box<str>, MappingError> {
    match text.strip_prefix("annotation:") {
        Some(key) => annotation_key("ports", key),
        None => Err(error("ports", format!("write {PORTS_SOURCES}"))),
    }
}

fn metadata_source(text: &str) -> Result<MetadataSource, MappingError> {
    match text.split_once(':') {
        Some(("annotation", key)) => annotation_key("metadata", key).map(MetadataSource::Object),
        Some(("prefix", prefix)) => {
            let is_prefix = !prefix.is_empty() && is_annotation_key(&format!("{prefix}x"));
            checked("metadata", prefix, is_prefix).map(MetadataSource::Prefix)
        }
        _ => Err(error("metadata", METADATA_SOURCES)),
    }
}

fn annotation_key(key: &'static str, annotation: &str) -> Result<Box<str>, MappingError> {
    checked(key, annotation, is_annotation_key(annotation))
}

fn checked(key: &'static str, text: &str, is_fit: bool) -> Result<Box<str>, MappingError> {
    if is_fit { Ok(text.into()) } else { Err(error(key, format!("what stands after `:` {BAD_KEY}"))) }
}

/// Whether the API server takes a text as the key of a label.
fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    is_name(name, 63, b"-_.") && prefix.is_none_or(is_domain)
}

/// Whether the API server takes a text as the key of an annotation. It compares the prefix without letter case.
pub(super) fn is_annotation_key(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').map_or(("", key), |(prefix, name)| (prefix, name));
    is_label_key(name) && (!key.contains('/') || is_domain(&prefix.to_ascii_lowercase()))
}

fn is_domain(text: &str) -> bool {
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    text.len() <= 253 && is_lower && text.split('.').all(|label| is_name(label, 63, b"-"))
}

/// Whether a text is made of letters, digits and inner marks.
fn is_name(text: &str, len_max: usize, marks: &[u8]) -> bool {
    let is_alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    let bytes = text.as_bytes();
    bytes.len() <= len_max
        && is_alphanumeric(bytes.first())
        && is_alphanumeric(bytes.last())
        && text.bytes().all(is_fit)
}

/// Whether the API server takes a text as the name of a container port.
pub fn is_port_name(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let has_letter = text.bytes().any(|byte| byte.is_ascii_lowercase());
    is_name(text, 15, b"-") && text.bytes().all(is_fit) && has_letter && !text.contains("--")
}
