//! The registrations of a Pod as tables and JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::print::{TextTable, sockets};
use crate::registration::{Consumer, Problem, ProblemKey, Reason, Registration};

/// The number of pairs that are withheld as secrets, and of pairs whose key cannot be published.
pub(super) fn kept_back(registrations: &[Registration]) -> (usize, usize) {
    let sum = |number: fn(&Registration) -> u32| registrations.iter().map(|one| number(one) as usize).sum();
    (sum(|one| one.metadata.withheld), sum(|one| one.metadata.left_out))
}

/// Whether a container port might have stood in for the port that is wrong or absent.
pub(super) fn needs_pod(problem: &Problem) -> bool {
    let is_of_a_port = matches!(problem.reason, Reason::BadPort | Reason::NoPort);
    is_of_a_port && problem.key.as_ref().is_some_and(|key| !matches!(key, ProblemKey::Field(_) | ProblemKey::Json(_)))
}

/// What is wrong with a part of a text that came without its Pod.
pub(super) fn message_without_pod(problem: &Problem) -> String {
    let unknown = match problem.reason {
        Reason::BadPort => "only the Pod tells whether a container port has this name",
        _ => "only the Pod tells whether a container port stands in for it",
    };
    match &problem.key {
        Some(key) if needs_pod(problem) => format!("{key}: {}, and {unknown}", problem.reason),
        key => problem.reason.about(key.as_ref()),
    }
}

pub(super) fn registrations_table(registrations: &[Registration]) -> TextTable {
    let mut table =
        TextTable::new(&["INTERFACE", "GROUP", "VERSION", "PROTOCOL", "ADDRESS:PORT", "WEIGHT", "METADATA"]);
    for registration in registrations {
        let [interface, group, version, protocol, sockets, weight, metadata] = &registration_cells(registration, &[]);
        table.push([interface, group, version, protocol, sockets, weight, metadata]);
    }
    table
}

/// The cells of a registration. `own` are the Pod's addresses, as far as they are known.
pub(super) fn registration_cells(registration: &Registration, own: &[IpAddr]) -> [String; 7] {
    let Registration { interface, group, version, protocol, address, port, weight, enabled, .. } = registration;
    let text = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
    let addresses = address.as_ref().map_or(own, std::slice::from_ref);
    let weight = if *enabled { weight.to_string() } else { "disabled".to_owned() };
    let (interface, protocol) = (interface.to_string(), protocol.to_string());
    let sockets = sockets(addresses, "<pod>", *port);
    [interface, text(group), text(version), protocol, sockets, weight, metadata_text(registration)]
}

/// `application=shop methods=hello,bye region=eu`
pub(super) fn metadata_text(registration: &Registration) -> String {
    let metadata = &registration.metadata;
    let mut words: Vec<String> = metadata.application.iter().map(|name| format!("application={name}")).collect();
    if !metadata.methods.is_empty() {
        words.push(format!("methods={}", metadata.methods.join(",")));
    }
    words.extend(metadata.pairs.iter().map(|(key, value)| format!("{key}={value}")));
    words.join(" ")
}

pub(super) fn consumers_table(consumers: &[Consumer]) -> TextTable {
    let mut table = TextTable::new(&["CONSUMER-OF", "GROUP", "VERSION", "APPLICATION"]);
    for Consumer { interface, group, version, application } in consumers {
        let (group, version) = (group.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default());
        table.push([interface, group, version, application.as_deref().unwrap_or_default()]);
    }
    table
}

/// A registration as JSON.
#[derive(Serialize)]
pub(super) struct RegistrationView<'d> {
    interface: &'d str,
    group: Option<&'d str>,
    version: Option<&'d str>,
    protocol: &'d str,
    /// `None`: the Pod's own addresses.
    address: Option<IpAddr>,
    port: u16,
    weight: u16,
    enabled: bool,
    application: Option<&'d str>,
    methods: Vec<&'d str>,
    metadata: BTreeMap<&'d str, &'d str>,
    withheld: u32,
    left_out: u32,
    offset: usize,
}

/// A consumer as JSON.
#[derive(Serialize)]
pub(super) struct ConsumerView<'d> {
    interface: &'d str,
    group: Option<&'d str>,
    version: Option<&'d str>,
    application: Option<&'d str>,
}

impl RegistrationView<'_> {
    pub(super) fn of(registration: &Registration) -> RegistrationView<'_> {
        let Registration { interface, group, version, protocol, address, port, weight, enabled, metadata, offset } =
            registration;
        RegistrationView {
            interface,
            group: group.as_deref(),
            version: version.as_deref(),
            protocol,
            address: *address,
            port: *port,
            weight: *weight,
            enabled: *enabled,
            application: metadata.application.as_deref(),
            methods: metadata.methods.iter().map(|method| &**method).collect(),
            metadata: metadata.pairs.iter().collect(),
            withheld: metadata.withheld,
            left_out: metadata.left_out,
            offset: *offset,
        }
    }
}

impl ConsumerView<'_> {
    pub(super) fn of(consumer: &Consumer) -> ConsumerView<'_> {
        let Consumer { interface, group, version, application } = consumer;
        let (group, version, application) = (group.as_deref(), version.as_deref(), application.as_deref());
        ConsumerView { interface, group, version, application }
    }
}
