//! What the environment says: options as `CALLSIGN_<OPTION>`, and a few facts about the machine.
//!
//! A variable is a flag in another spelling: its value goes through the same parser, so the two cannot differ.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches};

use super::options::{ServeArgs, split_list};
use super::{ConfigError, HOST_NAME_FILE};
use crate::escape::Escaped;

/// What an option's variable starts with.
const PREFIX: &str = "CALLSIGN_";

/// Other variables that matter: what the Downward API tells of the Pod, the host's name, and the mark of a Pod.
const FACTS: [&str; 6] = ["POD_IPS", "POD_NAMESPACE", "POD_NAME", "POD_UID", "HOSTNAME", "KUBERNETES_SERVICE_HOST"];

/// The variables that matter, read once. Those of others are not kept, since they may hold secrets.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own.
    ///
    /// # Errors
    /// A variable that matters is no UTF-8.
    pub fn of_process() -> Result<Environment, ConfigError> {
        Environment::of_variables(std::env::vars_os())
    }

    /// Those of a list of names and values. An empty value counts as absent: so a manifest can leave one open.
    ///
    /// # Errors
    /// A variable that matters is no UTF-8.
    pub fn of_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Environment, ConfigError> {
        let mut kept = BTreeMap::new();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            let matters = name.starts_with(PREFIX) || FACTS.contains(&&*name);
            if matters && !value.is_empty() {
                let value = value.into_string().map_err(|_| ConfigError::Variable {
                    name: name.to_string(),
                    message: "its value is no UTF-8".into(),
                })?;
                kept.insert(name.into_owned(), value);
            }
        }
        Ok(Environment(kept))
    }

    /// The options among them.
    ///
    /// # Errors
    /// A `CALLSIGN_` variable that is no option's, or whose value is none.
    pub(super) fn options(&self) -> Result<ServeArgs, ConfigError> {
        let parser = ServeArgs::augment_args(Command::new("callsign").no_binary_name(true).disable_help_flag(true));
        let known: BTreeMap<String, &Arg> =
            parser.get_arguments().filter_map(|arg| Some((variable(arg.get_long()?), arg))).collect();
        let mut all = ServeArgs::default();
        let mut unknown = Vec::new();
        for (name, value) in self.0.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            match known.get(name) {
                Some(arg) => all = parse(&parser, arg, name, value)?.over(all),
                None if is_anothers(name) => {}
                None => unknown.push(name.clone()),
            }
        }
        if unknown.is_empty() {
            return Ok(all);
        }
        Err(ConfigError::UnknownVariables {
            names: unknown.join(", "),
            known: known
                .into_iter()
                .filter(|(_, arg)| !arg.is_hide_set())
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
                .join(" "),
        })
    }

    /// The Pod's addresses, each once, as far as the Downward API tells them.
    ///
    /// # Errors
    /// What is no address.
    pub fn pod_ips(&self) -> Result<Vec<IpAddr>, ConfigError> {
        let mut addresses = Vec::new();
        for part in split_list(self.fact("POD_IPS").unwrap_or_default()) {
            let address = part.parse().map_err(|_| ConfigError::Variable {
                name: "POD_IPS".into(),
                message: format!("{part:?} is no IP address; set it from status.podIPs (Downward API), or unset it"),
            })?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    /// What a variable says, if it is one of those that are kept.
    pub(super) fn fact(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether this process runs in a Pod.
    pub(super) fn is_in_cluster(&self) -> bool {
        self.0.contains_key("KUBERNETES_SERVICE_HOST")
    }

    /// The host's name: what the environment says, else the kernel.
    pub(super) fn host_name(&self) -> Option<String> {
        let name = match self.0.get("HOSTNAME") {
            Some(name) => name.clone(),
            None => std::fs::read_to_string(HOST_NAME_FILE).ok()?.trim().to_owned(),
        };
        (!name.is_empty()).then_some(name)
    }
}

fn variable(option: &str) -> String {
    format!("{PREFIX}{}", option.to_ascii_uppercase().replace('-', "_"))
}

/// One variable, read as its flag.
fn parse(parser: &Command, arg: &Arg, name: &str, value: &str) -> Result<ServeArgs, ConfigError> {
    let flag = |value: &str| format!("--{}={value}", arg.get_long().unwrap_or_default());
    let flags: Vec<String> = match arg.get_action() {
        ArgAction::Append => split_list(value).map(flag).collect(),
        _ => vec![flag(value)],
    };
    let matches = parser.clone().try_get_matches_from(flags);
    matches.and_then(|matches| ServeArgs::from_arg_matches(&matches)).map_err(|error| {
        // What is said of the flag, up to the usage, on one line: the second one can name the values that there are.
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let message = lines.join(" ");
        let message = message.trim_start_matches("error: ");
        ConfigError::Variable { name: name.into(), message: Escaped(message).to_string() }
    })
}

/// Whether a variable starts with our prefix, but is not meant for us: Kubernetes makes `CALLSIGN_PORT_53_UDP` and the
/// like for every Pod beside a Service called `callsign` or `callsign-<anything>`, and a build may say its commit.
fn is_anothers(name: &str) -> bool {
    let is_port_of_link = |(_, rest): (&str, &str)| rest.starts_with(|first: char| first.is_ascii_digit());
    name == "CALLSIGN_COMMIT"
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(is_port_of_link)
}
