//! `callsign check`: checks manifests, zone files and a configuration, without serving them.
//!
//! It prints how many things it checked. If it had something to check and found nothing to read, that is a mistake.

mod counts;
mod registered;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::counts::{CheckCounts, ConfigCounts, ManifestCounts, ZoneCounts};
pub(super) use self::registered::ManifestRegistrations;
use self::registered::RegisteredView;
use super::local::LocalRead;
use super::print::{count, escaped, json};
use super::{CommandError, CommandOutput};
use crate::cli::CheckArgs;
use crate::config::{Environment, ServeConfig};
use crate::report::{self, Paging};
use crate::server::encrypted::certificate::Certificate;
use crate::source::WatchProfile;
use crate::source::files::{self, LoadReport};
use crate::zones::Zones;

/// The most unread files of a folder that are listed by name.
const NAMES_MAX: usize = 10;

/// Why a folder in a folder is not read.
const SUBFOLDERS: &str = "subfolders are not read";

/// The result of a check.
#[derive(Debug, Default, Serialize)]
struct Findings {
    mistakes: Vec<String>,
    warnings: Vec<String>,
    checked: CheckCounts,
    /// What the manifests would register.
    #[serde(skip)]
    registered: Option<ManifestRegistrations>,
}

/// The JSON of `--json`.
#[derive(Serialize)]
struct FindingsView<'f> {
    #[serde(flatten)]
    findings: &'f Findings,
    registrations: Vec<RegisteredView<'f>>,
}

/// Prints a line per mistake. A mistake is a finding.
///
/// If the configuration is wrong, only its error is reported: the other checks depend on its zone and profiles.
///
/// # Errors
/// A check could not run.
pub async fn check(args: CheckArgs, environment: &Environment) -> Result<CommandOutput, CommandError> {
    let CheckArgs { what, profiles, json } = args;
    let has_file = what.config.is_some();
    let mut findings = Findings::default();
    match ServeConfig::load(what.serve_args(profiles), environment) {
        Ok(config) => {
            let profiles = config.profiles.len();
            findings.checked.configuration = has_file.then_some(ConfigCounts { files: 1, profiles });
            findings.warnings.clone_from(&config.warnings);
            findings.check_manifests(&config).await?;
            findings.check_zones(&config);
            findings.check_certificate(&config);
        }
        Err(error) => findings.mistakes.push(error.to_string()),
    }
    Ok(if json { findings.as_json() } else { findings.as_text() })
}

impl Findings {
    /// Reports files that cannot be read, refused registrations, and manifests without any Pod.
    async fn check_manifests(&mut self, config: &ServeConfig) -> Result<(), CommandError> {
        if config.manifests.is_empty() {
            return Ok(());
        }
        let mut local = LocalRead::read_templates(config.clone()).await?;
        let registered = local.registered.take().unwrap_or_else(|| ManifestRegistrations::new(config.profiles.clone()));
        let LoadReport { files, pods, templates, ignored, .. } = &local.manifests;
        let (registrations, registered_by_wrapper) = (registered.registrations, registered.left_to_registrar);
        let selected = local.snapshot.pods().count() + registered.templates;
        let (other_objects, other_kinds) = (ignored.total(), ignored.clone());
        let (files, pods, templates) = (*files, *pods, *templates);
        let manifests = ManifestCounts { files, pods, templates, selected, registrations, other_objects, other_kinds };
        let count_before = self.mistakes.len();
        self.mistakes.extend(local.problems().iter().map(ToString::to_string));
        if local.manifests.problems_left_out > 0 {
            self.mistakes.push(format!("manifests: {} more problems", local.manifests.problems_left_out));
        }
        let bad = report::refusals(&local.snapshot, &Paging::ALL).items;
        self.mistakes.extend(bad.iter().map(|bad| {
            let report::RefusalRow { namespace, pod, profile, offset, key: _, reason: _, message } = bad;
            format!("Pod {namespace}/{pod}, profile {profile}, offset {offset}: {message}")
        }));
        let count_of_others = self.mistakes.len();
        self.mistakes.extend(registered.mistakes());
        let names_label = self.mistakes.len() > count_of_others;
        self.registered = Some(registered);
        config.manifests.iter().for_each(|path| self.check_content(path, &local.manifests.empty));
        let is_sound = self.mistakes.len() == count_before;
        if registered_by_wrapper > 0 {
            self.warnings.push(format!(
                "with app.io/register the annotations of {} are left to `callsign register`: nothing is registered until it runs",
                count(registered_by_wrapper, "object")
            ));
        }
        let is_empty = pods + templates == 0;
        if is_empty && is_sound {
            self.mistakes.push(manifests.without_pods());
        } else if !is_empty && selected == 0 && !names_label {
            self.mistakes.push(without_label(&config.profiles));
        } else if registrations == 0 && is_sound && registered_by_wrapper == 0 {
            self.warnings.push("no Pod in the manifests has a registration".to_owned());
        }
        self.checked.manifests = Some(manifests);
        Ok(())
    }

    /// Reports a path of manifests without any object, and the parts of a folder that are not read.
    fn check_content(&mut self, path: &Path, empty: &[PathBuf]) {
        let mut manifests = vec![path.to_owned()];
        if path.is_dir() {
            let listing = files::listing(path);
            self.warnings.extend(not_read(path, "a manifest's name ends in .yaml, .yml or .json", &listing.others));
            self.warnings.extend(not_read(path, SUBFOLDERS, &listing.folders));
            manifests = listing.manifests;
        }
        let shown = files::display_path(path);
        let without_object: Vec<PathBuf> = manifests.iter().filter(|file| empty.contains(file)).cloned().collect();
        if manifests.is_empty() {
            self.mistakes.push(format!("{shown}: nothing is checked: it has no manifest, and {SUBFOLDERS}"));
        } else if without_object.len() == manifests.len() {
            self.mistakes.push(format!("{shown}: nothing is checked: it has no objects"));
        } else if let Some(names) = names(&without_object) {
            self.warnings.push(format!("{shown}: no objects in {names}"));
        }
    }

    /// Reports zone files that cannot be served, zones that hide names of Pods, and a folder without any zone file.
    fn check_zones(&mut self, config: &ServeConfig) {
        let Some(folder) = &config.zones else { return };
        let (zones, errors) = Zones::load(folder, config.zone.clone());
        self.mistakes.extend(errors.iter().map(ToString::to_string));
        self.warnings.extend(zones.warnings().map(|warning| warning.to_string()));
        self.warnings.extend(
            zones
                .hidden_below(&config.zone.key())
                .map(|origin| format!("the static zone {origin} hides the names of Pods below it in {}", config.zone)),
        );
        let listing = zones.listing(folder).unwrap_or_default(); // an unreadable folder is reported above
        self.warnings.extend(not_read(folder, "a zone file is named <origin>.zone", &listing.passed_over));
        self.warnings.extend(not_read(folder, SUBFOLDERS, &listing.folders));
        if listing.zone_files == 0 && errors.is_empty() {
            let folder = folder.display();
            self.mistakes.push(format!("{folder}: nothing is checked: it has no zone file, and {SUBFOLDERS}"));
        }
        self.checked.static_zones = Some(ZoneCounts::of(&zones, &listing));
    }

    fn check_certificate(&mut self, config: &ServeConfig) {
        let Some((_, files)) = &config.encrypted else { return };
        self.mistakes.extend(Certificate::read(files.clone()).err().map(|error| error.to_string()));
        self.checked.certificates = 1;
    }

    fn as_json(&self) -> CommandOutput {
        let registrations = self.registered.iter().flat_map(ManifestRegistrations::views).collect();
        let view = FindingsView { findings: self, registrations };
        CommandOutput { text: json(&view), notes: String::new(), has_findings: !self.mistakes.is_empty() }
    }

    /// Mistakes go to standard output, everything else to standard error.
    fn as_text(&self) -> CommandOutput {
        let mut output = CommandOutput { has_findings: !self.mistakes.is_empty(), ..CommandOutput::default() };
        for mistake in &self.mistakes {
            let _ = writeln!(output.text, "{}", escaped(mistake));
        }
        output.notes.extend(self.registered.iter().map(ManifestRegistrations::table));
        for warning in &self.warnings {
            let _ = writeln!(output.notes, "warning: {}", escaped(warning));
        }
        output.notes.push_str(&self.checked.table());
        if self.mistakes.is_empty() {
            output.notes.push_str("no mistakes found\n");
        }
        output
    }
}

/// A warning that lists the unread files of a folder and says which names are read. `None` if there are no unread
/// files.
fn not_read(folder: &Path, what: &str, passed_over: &[PathBuf]) -> Option<String> {
    names(passed_over).map(|names| format!("{}: not read, since {what}: {names}", folder.display()))
}

/// The names of files, up to [`NAMES_MAX`], and the number of the others. `None` if there are no files.
fn names(files: &[PathBuf]) -> Option<String> {
    let names = files.iter().take(NAMES_MAX).filter_map(|path| path.file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let left_out = files.len() - names.len();
    if left_out > 0 {
        names.push(format!("{left_out} more"));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// The mistake of manifests of which no Pod has a profile's label.
fn without_label(profiles: &[WatchProfile]) -> String {
    let labels = profiles.iter().map(|WatchProfile { name, selector, .. }| format!("{name} selects {selector}"));
    let labels = labels.collect::<Vec<_>>().join("; ");
    format!("manifests: nothing is checked: no Pod or Pod template in them has a profile's label: {labels}")
}
