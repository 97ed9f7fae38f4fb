//! The label, the annotation and the encoding of a registration.

#![warn(missing_docs)]

/// A profile for writing registrations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Profile {
    /// Registrations as fields, for callsign.
    #[default]
    App,
    /// Registrations as registry paths, which dubbo-go's Kubernetes registry also reads.
    Dubbo,
}

impl Profile {
    /// The key of the label.
    pub fn label(self) -> &'static str {
        match self {
            Profile::App => "app.io/label",
            Profile::Dubbo => "dubbo.io/label",
        }
    }

    /// The value that a registrar gives the label.
    pub fn label_value(self) -> &'static str {
        match self {
            Profile::App => "app.io-value",
            Profile::Dubbo => "dubbo.io.provider",
        }
    }

    /// Whether a server of this profile selects a Pod whose label has this value.
    pub fn is_found_by(self, value: &str) -> bool {
        match self {
            Profile::App => value == self.label_value(),
            // A Pod that is both provider and consumer has one label, and dubbo-go never changes a label that it
            // finds.
            Profile::Dubbo => ["dubbo.io-value", "dubbo.io.provider", "dubbo.io.consumer"].contains(&value),
        }
    }

    /// The key of the annotation.
    pub fn annotation(self) -> &'static str {
        match self {
            Profile::App => "app.io/annotation",
            Profile::Dubbo => "dubbo.io/annotation",
        }
    }
}
