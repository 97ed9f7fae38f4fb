//! Reads options as `CALLSIGN_<OPTION>` from the environment, and a few facts about the machine.
//!
//! A variable is another spelling of a flag: both go through the same parser, so they cannot differ.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::net::IpAddr;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches};

use super::options::{ServeArgs, split_list};
use super::{ConfigError, HOST_NAME_FILE};
use crate::escape::Escaped;
use crate::register::PodVariables;

/// The prefix of every option's variable.
const PREFIX: &str = "CALLSIGN_";

/// Other variables that matter: those of the Downward API, the host name, and the variable that every Pod has.
const FACTS: [&str; 6] = ["POD_IPS", "POD_NAMESPACE", "POD_NAME", "POD_UID", "HOSTNAME", "KUBERNETES_SERVICE_HOST"];

/// The variables that matter, read once. Other variables are not kept, because they may hold secrets.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// A variable that matters is not UTF-8.
    pub fn of_process() -> Result<Environment, ConfigError> {
        Environment::of_variables(std::env::vars_os())
    }

    /// Reads names and values. An empty value counts as absent, so that a manifest can leave one unset.
    ///
    /// # Errors
    /// A variable that matters is not UTF-8.
    pub fn of_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Environment, ConfigError> {
        let mut kept = BTreeMap::new();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            let matters = name.starts_with(PREFIX) || FACTS.contains(&&*name);
            if matters && !value.is_empty() {
                let value = value.into_string().map_err(|_| ConfigError::Variable {
                    name: name.to_string(),
                    message: "its value is not UTF-8".into(),
                })?;
                kept.insert(name.into_owned(), value);
            }
        }
        Ok(Environment(kept))
    }

    /// The options among the variables.
    ///
    /// # Errors
    /// A `CALLSIGN_` variable belongs to no option, or has a wrong value.
    pub(super) fn options(&self) -> Result<ServeArgs, ConfigError> {
        let parser = ServeArgs::augment_args(Command::new("callsign").no_binary_name(true).disable_help_flag(true));
        let known: BTreeMap<String, &Arg> =
            parser.get_arguments().filter_map(|arg| Some((variable(arg.get_long()?), arg))).collect();
        let mut all = ServeArgs::default();
        let mut unknown = Vec::new();
        for (name, value) in self.0.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            match known.get(name) {
                Some(arg) => all = parse(&parser, arg, name, value)?.over(all),
                None if is_foreign_variable(name) => {}
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

    /// The Pod's addresses from the Downward API, each once.
    ///
    /// # Errors
    /// A part of `POD_IPS` is not an address.
    pub fn pod_ips(&self) -> Result<Vec<IpAddr>, ConfigError> {
        let mut addresses = Vec::new();
        for part in split_list(self.fact("POD_IPS").unwrap_or_default()) {
            let address = part.parse().map_err(|_| ConfigError::Variable {
                name: "POD_IPS".into(),
                message: format!(
                    "{part:?} is not an IP address; set it from status.podIPs (Downward API), or unset it"
                ),
            })?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    /// The variables that say which Pod this process is in.
    pub fn pod_variables(&self) -> PodVariables {
        let Ok(variables) = PodVariables::try_read(|name| Ok::<_, Infallible>(self.fact(name).map(str::to_owned)));
        variables
    }

    /// The value of a kept variable.
    fn fact(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn is_in_cluster(&self) -> bool {
        self.0.contains_key("KUBERNETES_SERVICE_HOST")
    }

    /// The host name from the environment, or else from the kernel.
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

/// Parses one variable as its flag.
fn parse(parser: &Command, arg: &Arg, name: &str, value: &str) -> Result<ServeArgs, ConfigError> {
    let flag = |value: &str| format!("--{}={value}", arg.get_long().unwrap_or_default());
    let flags: Vec<String> = match arg.get_action() {
        ArgAction::Append => split_list(value).map(flag).collect(),
        _ => vec![flag(value)],
    };
    let matches = parser.clone().try_get_matches_from(flags);
    matches.and_then(|matches| ServeArgs::from_arg_matches(&matches)).map_err(|error| {
        // Takes the error up to the usage text, in one line. Its second line can name the possible values.
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let message = lines.join(" ");
        let message = message.trim_start_matches("error: ");
        ConfigError::Variable { name: name.into(), message: Escaped(message).to_string() }
    })
}

/// Whether a variable has our prefix but is not an option. Kubernetes sets `CALLSIGN_PORT_53_UDP` and the like in
/// every Pod beside a Service called `callsign` or `callsign-<anything>`, and a build may set its commit.
fn is_foreign_variable(name: &str) -> bool {
    let is_port_of_link = |(_, rest): (&str, &str)| rest.starts_with(|first: char| first.is_ascii_digit());
    name == "CALLSIGN_COMMIT"
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(is_port_of_link)
}
