//! How a profile's registrations are written.

use super::field::REGISTER;
use super::mapping::{KRATOS, Mapping, MappingError, is_annotation_key};
use super::{ProfileTable, Wanted, dubbo3, micro};

/// How a profile's registrations are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The profile's annotation has JSON, in base64 or as it stands: pairs, objects, or both.
    Pairs {
        /// The prefix, with its slash, of the plain annotations that are read too: `app.io/`.
        plain: Option<Box<str>>,
    },
    /// Labels, annotations and container ports that a mapping names.
    Keys(Mapping),
    /// What Kratos' registry writes.
    Kratos,
    /// What go-micro's registry writes.
    Micro,
    /// What Dubbo 3's registry writes. The mapping says where the interface stands, which is not in it.
    Dubbo3(Mapping),
}

impl Encoding {
    /// Parses the keys of a `[[profile]]` table that say how its registrations are written.
    ///
    /// # Errors
    /// The first key that is missing, cannot stand there, or belongs to another encoding.
    pub fn parse(table: &ProfileTable) -> Result<Encoding, MappingError> {
        let (annotation, is_plain) = (table.annotation.as_deref(), table.plain);
        let error = |key, message: &str| Err(MappingError { key, message: message.to_owned() });
        let name = table.encoding.as_deref().unwrap_or("pairs");
        if name != "pairs" && is_plain {
            return error("plain", "only `encoding = \"pairs\"`, which is the default, has plain annotations");
        }
        if name != "pairs" && annotation.is_some() {
            return error(
                "annotation",
                "only `encoding = \"pairs\"`, which is the default, has an annotation of its own",
            );
        }
        if !matches!(name, "keys" | "dubbo3")
            && let Some(key) = table.first_mapping_key()
        {
            return error(key, "only `encoding = \"keys\"` and `encoding = \"dubbo3\"` have it");
        }
        match name {
            "pairs" => pairs(annotation, is_plain),
            "keys" => Mapping::parse(table).map(Encoding::Keys),
            "kratos" => Ok(Encoding::Kratos),
            "micro" => Ok(Encoding::Micro),
            "dubbo3" if table.port.is_some() => {
                error("port", "`encoding = \"dubbo3\"` reads the ports that Dubbo writes")
            }
            "dubbo3" if table.ports.is_some() => {
                error("ports", "`encoding = \"dubbo3\"` reads the ports that Dubbo writes")
            }
            "dubbo3" => Mapping::parse(table).map(Encoding::Dubbo3),
            _ => error("encoding", "write `pairs`, which is the default, `keys`, `kratos`, `micro` or `dubbo3`"),
        }
    }

    /// The key of the plain annotation that leaves the others to `callsign register`, if it reads plain annotations.
    pub fn register_key(&self) -> Option<String> {
        match self {
            Encoding::Pairs { plain: Some(prefix) } => Some(format!("{prefix}{REGISTER}")),
            _ => None,
        }
    }

    /// The keys that it names, besides the profile's own annotation.
    pub fn wanted(&self) -> Wanted {
        match self {
            Encoding::Pairs { plain } => {
                Wanted { annotation_prefixes: plain.iter().cloned().collect(), ports: true, ..Wanted::default() }
            }
            Encoding::Keys(mapping) => mapping.wanted(),
            Encoding::Kratos => KRATOS.wanted(),
            Encoding::Micro => Wanted { annotation_prefixes: vec![micro::PREFIX.into()], ..Wanted::default() },
            Encoding::Dubbo3(mapping) => {
                let mut wanted = Wanted { ports: false, ..mapping.wanted() };
                wanted.annotations.insert(dubbo3::ANNOTATION.into());
                wanted
            }
        }
    }
}

fn pairs(annotation: Option<&str>, is_plain: bool) -> Result<Encoding, MappingError> {
    let error = |message: &str| Err(MappingError { key: "annotation", message: message.to_owned() });
    let Some(annotation) = annotation else {
        return error("it must be given: the key of the annotation with the registrations");
    };
    if !is_annotation_key(annotation) {
        return error("it is not a key that Kubernetes takes, such as `example.com/registrations`");
    }
    match annotation.split_once('/') {
        _ if !is_plain => Ok(Encoding::Pairs { plain: None }),
        Some((prefix, _)) => Ok(Encoding::Pairs { plain: Some(format!("{prefix}/").into()) }),
        None => {
            error("with `plain = true` it needs a slash: what stands before it is the prefix of the plain annotations")
        }
    }
}
