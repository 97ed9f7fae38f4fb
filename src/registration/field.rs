//! The fields of a registration, with their names in an annotation.

/// The fields of a registration. Every other key is metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Interface,
    Group,
    Version,
    Protocol,
    Ip,
    Port,
    Method,
    Methods,
    Weight,
    Application,
    Enabled,
    Disabled,
}

impl Field {
    pub(super) const ALL: [Field; 12] = [
        Field::Interface,
        Field::Group,
        Field::Version,
        Field::Protocol,
        Field::Ip,
        Field::Port,
        Field::Method,
        Field::Methods,
        Field::Weight,
        Field::Application,
        Field::Enabled,
        Field::Disabled,
    ];

    /// The field with this name, in any letter case.
    pub(super) fn of(key: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name().eq_ignore_ascii_case(key))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Interface => "interface",
            Field::Group => "group",
            Field::Version => "version",
            Field::Protocol => "protocol",
            Field::Ip => "ip",
            Field::Port => "port",
            Field::Method => "method",
            Field::Methods => "methods",
            Field::Weight => "weight",
            Field::Application => "application",
            Field::Enabled => "enabled",
            Field::Disabled => "disabled",
        }
    }
}
