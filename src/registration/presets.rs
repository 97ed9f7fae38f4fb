//! The profiles that have a name of their own.

use super::Encoding;
use super::mapping::{Mapping, PortSource, Source};

/// A profile that has a name of its own.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The profile's name.
    pub name: &'static str,
    /// The label selector.
    pub selector: &'static str,
    /// The annotation with the registrations, if they stand in one.
    pub annotation: Option<&'static str>,
    encoding: fn() -> Encoding,
}

impl Preset {
    /// How its registrations are written.
    pub fn encoding(&self) -> Encoding {
        (self.encoding)()
    }
}

/// The presets. The first two are on by default.
pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "app",
        selector: "app.io/label=app.io-value",
        annotation: Some("app.io/annotation"),
        encoding: || Encoding::Pairs { plain: Some("app.io/".into()) },
    },
    Preset {
        name: "dubbo",
        selector: "dubbo.io/label in (dubbo.io-value, dubbo.io.provider, dubbo.io.consumer)",
        annotation: Some("dubbo.io/annotation"),
        encoding: || Encoding::Pairs { plain: None },
    },
    Preset { name: "kratos", selector: "kratos-service-app", annotation: None, encoding: || Encoding::Kratos },
    Preset { name: "micro", selector: "micro.mu/type=service", annotation: None, encoding: || Encoding::Micro },
    Preset { name: "labels", selector: "app.kubernetes.io/name", annotation: None, encoding: labels },
];

/// The labels that Kubernetes recommends, and every container port that has a name.
fn labels() -> Encoding {
    let label = |name: &str| Source::Label(format!("app.kubernetes.io/{name}").into());
    Encoding::Keys(Mapping {
        group: Some(label("instance")),
        version: Some(label("version")),
        port: Some(PortSource::EveryNamed),
        ..Mapping::of(label("name"))
    })
}
