//! `callsign check`: manifests, zone files and a configuration, without serving them.

use std::fmt::Write;

use super::local::Local;
use super::print::escaped;
use super::{CommandError, Outcome};
use crate::cli::CheckArgs;
use crate::config::{Config, Environment};
use crate::report::{self, Paging};
use crate::server::encrypted::certificate::Certificate;
use crate::zones::Zones;

/// Looks for mistakes, a line each; a mistake is a finding.
///
/// A configuration that is wrong is the only one told: it decides on the zone and the profiles that all else is checked
/// by.
///
/// # Errors
/// The checks could not be made.
pub async fn check(args: CheckArgs, environment: &Environment) -> Result<Outcome, CommandError> {
    let config = match Config::load(args.serve_args(), environment) {
        Ok(config) => config,
        Err(error) => return Ok(outcome(&[error.to_string()], &[])),
    };
    let mut mistakes = Vec::new();
    let mut warnings = config.warnings.clone();
    check_manifests(&config, &mut mistakes).await?;
    check_zones(&config, &mut mistakes, &mut warnings);
    if let Some((_, files)) = &config.encrypted {
        mistakes.extend(Certificate::read(files.clone()).err().map(|error| error.to_string()));
    }
    Ok(outcome(&mistakes, &warnings))
}

/// Files that cannot be read, and what of their Pods' annotations is refused.
async fn check_manifests(config: &Config, mistakes: &mut Vec<String>) -> Result<(), CommandError> {
    let without_cluster = Config { kubernetes: None, ..config.clone() };
    let local = Local::read(without_cluster).await?;
    mistakes.extend(local.problems().iter().map(ToString::to_string));
    let bad = report::bad(&local.snapshot, &Paging::ALL).items;
    mistakes.extend(bad.iter().map(|bad| {
        let report::Bad { namespace, pod, profile, offset, key: _, reason: _, message } = bad;
        format!("Pod {namespace}/{pod}, profile {profile}, offset {offset}: {message}")
    }));
    Ok(())
}

/// Zone files that cannot be served, and zones that hide what Pods have below them.
fn check_zones(config: &Config, mistakes: &mut Vec<String>, warnings: &mut Vec<String>) {
    let Some(folder) = &config.zones else { return };
    let (zones, errors) = Zones::load(folder, config.zone.clone());
    mistakes.extend(errors.iter().map(ToString::to_string));
    warnings.extend(
        zones
            .hidden_below(&config.zone.key())
            .map(|origin| format!("the static zone {origin} hides what Pods have below it in {}", config.zone)),
    );
}

fn outcome(mistakes: &[String], warnings: &[String]) -> Outcome {
    let mut outcome = Outcome { has_findings: !mistakes.is_empty(), ..Outcome::default() };
    for mistake in mistakes {
        let _ = writeln!(outcome.text, "{}", escaped(mistake));
    }
    for warning in warnings {
        let _ = writeln!(outcome.notes, "warning: {}", escaped(warning));
    }
    if mistakes.is_empty() {
        outcome.notes.push_str("no mistakes found\n");
    }
    outcome
}
