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

/// The member of an object with the metadata.
pub(super) const META: &str = "meta";

/// The members that a registration may have as an object.
pub(super) const MEMBERS: [&str; 11] =
    ["interface", "group", "version", "protocol", "ip", "port", "methods", "weight", "application", "enabled", META];

/// With the value `true` the plain annotations are a wrapper's offer, and register nothing by themselves.
pub(super) const REGISTER: &str = "register";

/// The beginning of the name of a plain annotation with metadata.
pub(super) const META_PREFIX: &str = "meta.";

/// The names that a plain annotation may have after the prefix, besides `meta.<key>`.
pub(super) const NAMES: [&str; 10] =
    ["interface", "group", "version", "protocol", "port", "weight", "methods", "application", "enabled", REGISTER];

/// Whether a text is `true`, `false` or empty.
pub(super) fn is_boolean(text: &str) -> bool {
    ["true", "false", ""].iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The admission policy warns of every other name.
    #[test]
    fn the_admission_policy_knows_the_same_names() {
        let policy = include_str!("../../deploy/register/annotations.yaml");
        let (_, after) = policy.split_once("- name: known").expect("the variable");
        let (list, _) = after.split_once(']').expect("a list");
        let (_, list) = list.split_once('[').expect("a list");
        let names: Vec<&str> = list.split(',').map(|name| name.trim().trim_matches('\'')).collect();
        assert_eq!(names, NAMES);
        assert!(policy.contains(&format!("!name.startsWith('{META_PREFIX}')")));
        assert!(policy.contains(&format!("variables.prefix + '{REGISTER}'")));
    }
}
