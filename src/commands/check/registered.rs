//! What the Pods and Pod templates of manifests would register, and what of a template cannot be read.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::commands::decoded::{RegistrationView, registration_cells};
use crate::commands::print::TextTable;
use crate::registration::{ProfileText, Registration, decode};
use crate::source::WatchProfile;
use crate::source::files::{
    FileProblem, ManifestObject, ManifestPod, MisplacedAnnotation, PROBLEMS_MAX, PodTemplate, Unselected,
};

/// The most registrations that are shown. The others are counted.
const ROWS_MAX: usize = 1000;

/// What manifests would register.
#[derive(Debug)]
pub(in crate::commands) struct ManifestRegistrations {
    profiles: Vec<WatchProfile>,
    rows: Vec<RegisteredRow>,
    /// The number of registrations.
    pub(super) registrations: usize,
    /// The number of Pods and templates whose plain annotations are left to `callsign register`.
    pub(super) left_to_registrar: usize,
    /// The number of templates that a profile selects.
    pub(super) templates: usize,
    /// The first [`PROBLEMS_MAX`] mistakes.
    mistakes: Vec<String>,
    mistakes_left_out: usize,
}

/// One registration.
#[derive(Debug)]
struct RegisteredRow {
    kind: &'static str,
    namespace: Arc<str>,
    name: Arc<str>,
    profile: Arc<str>,
    registration: Registration,
    /// Empty if only the Pod will have them.
    addresses: Vec<IpAddr>,
}

/// One registration as JSON.
#[derive(Serialize)]
pub(super) struct RegisteredView<'r> {
    kind: &'static str,
    namespace: &'r str,
    name: &'r str,
    profile: &'r str,
    #[serde(flatten)]
    registration: RegistrationView<'r>,
}

/// The object of a row.
struct RowObject<'o> {
    kind: &'static str,
    namespace: &'o Arc<str>,
    name: &'o Arc<str>,
    addresses: &'o [IpAddr],
}

impl ManifestRegistrations {
    pub(in crate::commands) fn new(profiles: Vec<WatchProfile>) -> ManifestRegistrations {
        let (rows, mistakes) = (Vec::new(), Vec::new());
        ManifestRegistrations {
            profiles,
            rows,
            registrations: 0,
            left_to_registrar: 0,
            templates: 0,
            mistakes,
            mistakes_left_out: 0,
        }
    }

    /// Adds what an object registers. The mistakes of a Pod's registrations are the index's.
    pub(in crate::commands) fn add(&mut self, found: &ManifestObject) {
        match found {
            ManifestObject::Pod(pod) => self.add_pod(pod),
            ManifestObject::Template(template) => self.add_template(template),
        }
    }

    fn add_pod(&mut self, ManifestPod { pod, by_profile, unselected }: &ManifestPod) {
        let object =
            RowObject { kind: "Pod", namespace: &pod.namespace, name: &pod.name, addresses: &pod.status.pod_ips };
        for (at, text) in by_profile {
            let Some(profile) = self.profiles.get(*at).cloned() else { continue };
            self.left_to_registrar += usize::from(is_left_to_registrar(text, &profile));
            self.add_rows(&object, &profile, decode(text, &profile.encoding).registrations);
        }
        for one in unselected {
            let reason = self.unselected(one, "Pod");
            self.add_mistake(format!("Pod {}/{}: {reason}", pod.namespace, pod.name));
        }
    }

    fn add_template(&mut self, template: &PodTemplate) {
        let PodTemplate { file, document, kind, namespace, name, path, by_profile, unselected, misplaced } = template;
        let problem = |reason| FileProblem {
            file: file.clone(),
            document: Some(*document),
            line: None,
            kind,
            pod: Some(format!("{namespace}/{name}")),
            reason,
        };
        self.templates += usize::from(!by_profile.is_empty());
        let object = RowObject { kind, namespace, name, addresses: &[] };
        for (at, text) in by_profile {
            let Some(profile) = self.profiles.get(*at).cloned() else { continue };
            self.left_to_registrar += usize::from(is_left_to_registrar(text, &profile));
            let decoded = decode(text, &profile.encoding);
            for one in &decoded.problems {
                let place = if one.offset > 0 { format!(", offset {}", one.offset) } else { String::new() };
                let reason = one.reason.about(one.key.as_ref());
                self.add_mistake(problem(format!("profile {}{place}: {reason}", profile.name)).to_string());
            }
            self.add_rows(&object, &profile, decoded.registrations);
        }
        for one in unselected {
            let reason = self.unselected(one, kind);
            self.add_mistake(problem(reason).to_string());
        }
        for MisplacedAnnotation { key, place } in misplaced {
            let of = if place.is_empty() { String::new() } else { format!("'s {place}") };
            let reason = format!("annotation {key} is on the {kind}{of}: write it below {path}.metadata.annotations");
            self.add_mistake(problem(reason).to_string());
        }
    }

    /// Why no profile reads an annotation.
    fn unselected(&self, Unselected { profile, key, has_label_above }: &Unselected, kind: &str) -> String {
        let Some(WatchProfile { name, selector, .. }) = self.profiles.get(*profile) else { return String::new() };
        let what = if kind == "Pod" { "the Pod" } else { "the Pod template" };
        let above = if *has_label_above { format!(". That of the {kind} does not count") } else { String::new() };
        format!(
            "annotation {key}: no profile selects {what}: give it the label that the profile {name} selects, {selector}{above}"
        )
    }

    fn add_rows(&mut self, object: &RowObject<'_>, profile: &WatchProfile, registrations: Vec<Registration>) {
        self.registrations += registrations.len();
        for registration in registrations.into_iter().take(ROWS_MAX.saturating_sub(self.rows.len())) {
            self.rows.push(RegisteredRow {
                kind: object.kind,
                namespace: object.namespace.clone(),
                name: object.name.clone(),
                profile: profile.name.clone(),
                registration,
                addresses: object.addresses.to_vec(),
            });
        }
    }

    fn add_mistake(&mut self, mistake: String) {
        if self.mistakes.len() < PROBLEMS_MAX {
            self.mistakes.push(mistake);
        } else {
            self.mistakes_left_out += 1;
        }
    }

    /// The mistakes, and one that counts those beyond the bound.
    pub(super) fn mistakes(&self) -> impl Iterator<Item = String> {
        let more = format!("manifests: {} more mistakes", self.mistakes_left_out);
        self.mistakes.iter().cloned().chain((self.mistakes_left_out > 0).then_some(more))
    }

    /// A row for each registration. Empty without any.
    pub(super) fn table(&self) -> String {
        let header =
            ["OBJECT", "PROFILE", "INTERFACE", "GROUP", "VERSION", "PROTOCOL", "ADDRESS:PORT", "WEIGHT", "METADATA"];
        let mut table = TextTable::new(&header);
        for RegisteredRow { kind, namespace, name, profile, registration, addresses } in &self.rows {
            let [interface, group, version, protocol, sockets, weight, metadata] =
                &registration_cells(registration, addresses);
            let object = format!("{kind} {namespace}/{name}");
            table.push([&object, profile, interface, group, version, protocol, sockets, weight, metadata]);
        }
        match self.registrations.saturating_sub(self.rows.len()) {
            _ if self.rows.is_empty() => String::new(),
            0 => format!("{table}\n"),
            more => format!("{table}and {more} more\n\n"),
        }
    }

    /// The first registrations as JSON.
    pub(super) fn views(&self) -> Vec<RegisteredView<'_>> {
        self.rows.iter().map(RegisteredRow::view).collect()
    }
}

/// Whether the plain annotations say what `callsign register` offers, and register nothing by themselves.
fn is_left_to_registrar(text: &ProfileText, profile: &WatchProfile) -> bool {
    let (Some(key), Some(parts)) = (profile.encoding.register_key(), &text.parts) else { return false };
    parts.annotations.iter().any(|(of, value)| **of == *key && value.eq_ignore_ascii_case("true"))
}

impl RegisteredRow {
    fn view(&self) -> RegisteredView<'_> {
        let RegisteredRow { kind, namespace, name, profile, registration, addresses: _ } = self;
        RegisteredView { kind, namespace, name, profile, registration: RegistrationView::of(registration) }
    }
}
