//! What could not be decoded, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::field::{Field, MEMBERS, META, META_PREFIX, NAMES};
use super::secret;

/// The longest key that a problem names, in bytes after escaping.
const KEY_LEN_MAX: usize = 253;

/// A part of an annotation that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The offset in bytes: into the annotation's value for [`Reason::BadBase64`] and [`Reason::TooLarge`], otherwise
    /// into the decoded JSON. If the key names an annotation, into that annotation's value.
    pub offset: usize,
    /// The key at fault, if it is a single one.
    pub key: Option<ProblemKey>,
    /// What is wrong.
    pub reason: Reason,
}

/// The key that a problem is about. Keys that a Pod has are escaped, cut to 253 bytes, and withheld if they look like a
/// secret. A value is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKey {
    /// A field of a registration, or `k` or `v`.
    Field(&'static str),
    /// A member of a JSON object.
    Member(Box<str>),
    /// A label of the Pod.
    Label(Box<str>),
    /// An annotation of the Pod.
    Annotation(Box<str>),
    /// An annotation of the Pod with JSON that gives the ports. A number or a name in its place would mean nothing.
    Json(Box<str>),
    /// The name of a container port, or `*` for every named one.
    Port(Box<str>),
    /// The container ports that stand in for a port that no key gives.
    ContainerPorts,
}

impl ProblemKey {
    pub(super) fn member(name: &str) -> ProblemKey {
        ProblemKey::Member(shown_key(name))
    }

    pub(super) fn label(key: &str) -> ProblemKey {
        ProblemKey::Label(shown_key(key))
    }

    pub(super) fn annotation(key: &str) -> ProblemKey {
        ProblemKey::Annotation(shown_key(key))
    }

    pub(super) fn json(key: &str) -> ProblemKey {
        ProblemKey::Json(shown_key(key))
    }

    pub(super) fn port(name: &str) -> ProblemKey {
        ProblemKey::Port(shown_key(name))
    }

    pub(super) fn every_port() -> ProblemKey {
        ProblemKey::Port("*".into())
    }

    /// The length of the key's own text, in bytes.
    pub fn text_len(&self) -> usize {
        match self {
            ProblemKey::Field(_) | ProblemKey::ContainerPorts => 0,
            ProblemKey::Member(text)
            | ProblemKey::Label(text)
            | ProblemKey::Annotation(text)
            | ProblemKey::Json(text)
            | ProblemKey::Port(text) => text.len(),
        }
    }

    /// The keys that may stand in the place of an unknown one.
    fn choices(&self) -> String {
        match self {
            ProblemKey::Annotation(key) => {
                let prefix = key.rfind('/').and_then(|slash| key.get(..=slash)).unwrap_or_default();
                let place = if prefix.is_empty() { String::new() } else { format!(" after {prefix}") };
                format!("{prefix}{META_PREFIX}<key> for metadata, or one of {}{place}", NAMES.join(", "))
            }
            _ => format!("it into {META} if it is metadata, or one of {}", MEMBERS.join(", ")),
        }
    }

    /// What a member takes besides a string, number or boolean.
    fn due(&self) -> Option<&'static str> {
        match self {
            ProblemKey::Member(name) if **name == *Field::Methods.name() => Some("an array of strings"),
            ProblemKey::Member(name) if **name == *Field::Port.name() => Some("a number, a name, or an array of these"),
            ProblemKey::Member(name) if **name == *META => Some("an object of these"),
            _ => None,
        }
    }

    /// The known key that was likely meant by an unknown one.
    fn meant(&self) -> Option<String> {
        match self {
            ProblemKey::Member(name) => alike(&MEMBERS, name).map(str::to_owned),
            ProblemKey::Annotation(key) => {
                let (prefix, name) = key.rsplit_once('/')?;
                Some(format!("{prefix}/{}", alike(&NAMES, name)?))
            }
            ProblemKey::Field(_)
            | ProblemKey::Label(_)
            | ProblemKey::Json(_)
            | ProblemKey::Port(_)
            | ProblemKey::ContainerPorts => None,
        }
    }
}

impl fmt::Display for ProblemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProblemKey::Field(name) => f.write_str(name),
            ProblemKey::Member(name) => f.write_str(name),
            ProblemKey::Label(key) => write!(f, "label {key}"),
            ProblemKey::Annotation(key) | ProblemKey::Json(key) => write!(f, "annotation {key}"),
            ProblemKey::Port(name) => write!(f, "port {name}"),
            ProblemKey::ContainerPorts => f.write_str("container ports"),
        }
    }
}

/// A key as an error or a log may show it: escaped, cut to 253 bytes, and withheld if it looks like a secret.
pub fn shown_key(key: &str) -> Box<str> {
    if secret::is_secret(key) {
        return "(withheld)".into();
    }
    let mut text = String::with_capacity(key.len().min(KEY_LEN_MAX));
    for letter in key.chars().map(char::escape_default) {
        if text.len() + letter.len() > KEY_LEN_MAX {
            break;
        }
        text.extend(letter);
    }
    text.into()
}

/// The known key that differs only in letter case, or by one or two typing errors.
fn alike(known: &[&'static str], key: &str) -> Option<&'static str> {
    let folded = key.to_ascii_lowercase();
    let slips = if key.len() < 6 { 1 } else { 2 };
    let nearest = known.iter().map(|known| (strsim::osa_distance(known, &folded), *known)).min();
    nearest.filter(|(distance, _)| *distance <= slips).map(|(_, known)| known)
}

/// Why something was refused. The text never quotes a value. The label is for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The value is not base64 in either alphabet.
    #[error("bad base64")]
    BadBase64,
    /// The decoded bytes are not UTF-8.
    #[error("invalid UTF-8")]
    BadUtf8,
    /// The decoded text is not JSON.
    #[error("bad JSON")]
    BadJson,
    /// The JSON is neither an array nor an object that is a registration.
    #[error("not a JSON array")]
    NotAnArray,
    /// An element of the array is not an object, or its `k` is not a string.
    #[error("not a pair of k and v")]
    NotAPair,
    /// A pair without `k`.
    #[error("a pair without k")]
    NoKey,
    /// A value is an array or an object, or the `v` of a pair is null.
    #[error("the value is not a string, number or boolean")]
    BadValue,
    /// `enabled` or `register` has another value.
    #[error("neither true nor false")]
    NotBoolean,
    /// A member of an object, or an annotation, that means nothing.
    #[error("unknown key")]
    UnknownKey,
    /// There are pairs or annotations of a registration, and no interface among them.
    #[error("no interface")]
    NoInterface,
    /// A registration without a port, and no container port stands in for it.
    #[error("no port")]
    NoPort,
    /// A port is not a number from 1 to 65535, nor, where it may be one, the name of a container port.
    #[error("port is not a number from 1 to 65535")]
    BadPort,
    /// A weight is not a whole number.
    #[error("weight is not a whole number")]
    BadWeight,
    /// An address is not an IP address.
    #[error("address is not an IP address")]
    BadAddress,
    /// A field that may appear once is given twice.
    #[error("given twice")]
    Repeated,
    /// A name has control characters.
    #[error("control characters")]
    ControlCharacters,
    /// An interface, group, version or protocol that looks like a secret.
    #[error("looks like a secret")]
    Secret,
    /// A path is not a registry path that we know, or its URL cannot be decoded.
    #[error("not a registry path")]
    BadPath,
    /// The value exceeds [`ANNOTATION_LEN_MAX`](super::ANNOTATION_LEN_MAX), or the Pod's values together exceed
    /// [`DECODED_LEN_MAX`](super::DECODED_LEN_MAX). Also if the registrations of a value would exceed it when each is
    /// written with all the pairs that it inherits.
    #[error("too large")]
    TooLarge,
    /// The Pod has more than [`REGISTRATIONS_MAX`](super::REGISTRATIONS_MAX) registrations.
    #[error("too many")]
    TooMany,
    /// The older Pods of its namespace use the namespace's whole quota.
    #[error("namespace full")]
    NamespaceFull,
    /// All namespaces together use the whole quota, and this one is among those that use the most.
    #[error("server full")]
    ServerFull,
    /// The address is not the Pod's own.
    #[error("foreign address")]
    ForeignAddress,
    /// The Pod's name or namespace is not a valid Kubernetes name.
    #[error("not a valid name of a Pod or namespace")]
    BadPodName,
}

impl Reason {
    /// Why something was refused, for a person: the key, the reason, and what to write instead.
    pub fn about(self, key: Option<&ProblemKey>) -> String {
        let Some(key) = key else { return self.to_string() };
        match self {
            Reason::NoPort if *key == ProblemKey::every_port() => format!("{self}: no TCP container port has a name"),
            Reason::UnknownKey => format!("{key}: {self}: write {}", key.meant().unwrap_or_else(|| key.choices())),
            Reason::NoPort if *key == ProblemKey::ContainerPorts => format!(
                "{key}: {self}: the Pod needs a TCP container port that is called as the protocol, or one port number alone"
            ),
            Reason::NoPort if matches!(key, ProblemKey::Json(_)) => format!("{key}: {self}: write one into its JSON"),
            Reason::BadJson if matches!(key, ProblemKey::Annotation(_) | ProblemKey::Json(_)) => {
                format!("{key}: {self}: write a JSON object")
            }
            Reason::BadValue if let Some(due) = key.due() => format!("{key}: {self}: write {due}"),
            Reason::BadPort if !matches!(key, ProblemKey::Field(_) | ProblemKey::Json(_)) => {
                format!("{key}: {self}, and no TCP container port has this name")
            }
            Reason::NoPort if !matches!(key, ProblemKey::Field(_)) => {
                format!("{key}: {self}: write a number from 1 to 65535 or the name of a container port")
            }
            _ => format!("{key}: {self}"),
        }
    }

    /// Whether it is worth a log line. The Pods of charts without a named port are many: they are counted and shown.
    pub fn is_logged(self, key: Option<&ProblemKey>) -> bool {
        self != Reason::NoPort || key != Some(&ProblemKey::every_port())
    }

    /// The label in metrics, equal to the serialized form.
    pub fn kind(self) -> &'static str {
        match self {
            Reason::BadBase64 => "bad-base64",
            Reason::BadUtf8 => "bad-utf8",
            Reason::BadJson => "bad-json",
            Reason::NotAnArray => "not-an-array",
            Reason::NotAPair => "not-a-pair",
            Reason::NoKey => "no-key",
            Reason::BadValue => "bad-value",
            Reason::NotBoolean => "not-boolean",
            Reason::UnknownKey => "unknown-key",
            Reason::NoInterface => "no-interface",
            Reason::NoPort => "no-port",
            Reason::BadPort => "bad-port",
            Reason::BadWeight => "bad-weight",
            Reason::BadAddress => "bad-address",
            Reason::Repeated => "repeated",
            Reason::ControlCharacters => "control-characters",
            Reason::Secret => "secret",
            Reason::BadPath => "bad-path",
            Reason::TooLarge => "too-large",
            Reason::TooMany => "too-many",
            Reason::NamespaceFull => "namespace-full",
            Reason::ServerFull => "server-full",
            Reason::ForeignAddress => "foreign-address",
            Reason::BadPodName => "bad-pod-name",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_serialized_as_its_label() {
        for reason in [
            Reason::BadBase64,
            Reason::BadUtf8,
            Reason::BadJson,
            Reason::NotAnArray,
            Reason::NotAPair,
            Reason::NoKey,
            Reason::BadValue,
            Reason::NotBoolean,
            Reason::UnknownKey,
            Reason::NoInterface,
            Reason::NoPort,
            Reason::BadPort,
            Reason::BadWeight,
            Reason::BadAddress,
            Reason::Repeated,
            Reason::ControlCharacters,
            Reason::Secret,
            Reason::BadPath,
            Reason::TooLarge,
            Reason::TooMany,
            Reason::NamespaceFull,
            Reason::ServerFull,
            Reason::ForeignAddress,
            Reason::BadPodName,
        ] {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.kind()));
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
        }
    }
}
