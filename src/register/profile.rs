//! How a registration is written: the label, the annotation and the encoding.

#![warn(missing_docs)]

/// A profile that can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Fields, for callsign.
    #[default]
    App,
    /// Registry paths, which dubbo-go's Kubernetes registry reads as well.
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

    /// The value that the label is given.
    pub fn label_value(self) -> &'static str {
        match self {
            Profile::App => "app.io-value",
            Profile::Dubbo => "dubbo.io.provider",
        }
    }

    /// Whether a Pod with this value of the label is found already.
    pub fn is_found_by(self, value: &str) -> bool {
        match self {
            Profile::App => value == self.label_value(),
            // A Pod that calls and is called has one label; dubbo-go never changes the one that it finds.
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
