//! Lists of a snapshot for the HTTP API and for the commands `ls` and `why`.
//!
//! Everything here is plain data. The server writes it as JSON and the command line parses it, so both show the same.
//! Decoding the annotation has dropped the secrets.

mod page;
mod watched;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::{Filter, Page};
use crate::name::Service;
use crate::registration::Reason;
use crate::snapshot::{PodRecord, Refused, Registered, ServiceFacts, Snapshot, Standing};
use crate::source::Phase;

pub use page::{Cursor, Paging};
use page::{RowKey, page};

/// A service, and the names to query for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceRow {
    /// In its exact case.
    pub interface: String,
    pub group: Option<String>,
    pub version: Option<String>,
    pub namespace: String,
    /// The number of ready endpoints.
    pub endpoints: usize,
    /// The protocols that are valid in a name, in alphabetical order.
    pub protocols: Vec<String>,
    /// The name for SRV and TXT queries for any protocol.
    pub name: String,
    /// The label that every service has as a name.
    pub alias: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRow {
    pub pod: String,
    pub namespace: String,
    /// In its exact case.
    pub interface: String,
    pub group: Option<String>,
    pub version: Option<String>,
    /// The protocol in its registered spelling.
    pub protocol: String,
    /// The first address, which is the SRV target's.
    pub address: IpAddr,
    /// All addresses, in order.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub weight: u16,
    /// All other registered metadata without the secrets.
    pub metadata: BTreeMap<String, String>,
}

/// A refused registration or annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRow {
    pub namespace: String,
    pub pod: String,
    /// The profile of the annotation.
    pub profile: String,
    /// The offset in bytes: in the annotation value for `bad-base64` and `too-large`, else in the decoded JSON.
    pub offset: usize,
    /// The key of the refused pair, if the reason concerns one.
    pub key: Option<String>,
    pub reason: Reason,
    /// The reason as a sentence.
    pub message: String,
}

/// A Pod with a profile's label, and the state of its registrations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRow {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// `Running`, `Pending`, …
    pub phase: String,
    pub ready: bool,
    /// The Pod has a deletion timestamp.
    pub terminating: bool,
    pub addresses: Vec<IpAddr>,
    pub registrations: Vec<RegistrationRow>,
    /// The refused parts of its annotations.
    pub refused: Vec<RefusalRow>,
    /// The interfaces that it calls.
    pub consumes: Vec<String>,
}

/// A registration, and whether it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationRow {
    /// The profile that found it. Empty from a server that does not tell it.
    #[serde(default)]
    pub profile: String,
    /// In its exact case.
    pub interface: String,
    pub group: Option<String>,
    pub version: Option<String>,
    /// The protocol in its registered spelling.
    pub protocol: String,
    /// The addresses that it claims.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    /// The owner name of its SRV records for any protocol.
    pub name: String,
    /// Why it is not published. `None` if it is published.
    pub withheld: Option<String>,
}

impl Filter {
    pub fn matches(&self, service: &Service) -> bool {
        let is_asked = |asked: &Option<String>, own: Option<&str>| {
            asked.as_deref().is_none_or(|asked| asked == own.unwrap_or_default())
        };
        self.interface.as_deref().is_none_or(|asked| asked.eq_ignore_ascii_case(&service.interface))
            && is_asked(&self.group, service.group.as_deref())
            && is_asked(&self.version, service.version.as_deref())
            && is_asked(&self.namespace, Some(&service.namespace))
    }
}

/// The services, ordered by namespace, interface, group and version.
pub fn interfaces(snapshot: &Snapshot, filter: &Filter, paging: &Paging) -> Page<InterfaceRow> {
    let services = snapshot.services().filter(|facts| filter.matches(facts.service));
    let rows = services.map(|facts| (row_key(facts.service, [facts.service.alias.as_str(), "", ""], [0, 0]), facts));
    page(rows, paging, |facts| interface(snapshot, facts))
}

/// The key of a row in the order of services. `one`, `two` and `three` separate rows of one service, and services
/// whose interface is longer than a key keeps.
fn row_key<'r>(service: &'r Service, [one, two, three]: [&'r str; 3], numbers: [u64; 2]) -> RowKey<'r> {
    let (group, version) = (service.group.as_deref(), service.version.as_deref());
    let texts = [&service.namespace, &service.interface, group.unwrap_or(""), version.unwrap_or(""), one, two, three];
    RowKey::new(texts, numbers)
}

fn interface(snapshot: &Snapshot, facts: ServiceFacts<'_>) -> InterfaceRow {
    let service = facts.service;
    InterfaceRow {
        interface: service.interface.to_string(),
        group: text(&service.group),
        version: text(&service.version),
        namespace: service.namespace.to_string(),
        endpoints: facts.set.endpoints().len(),
        protocols: facts.set.protocols().map(str::to_owned).collect(),
        name: service.question_name(&snapshot.settings.origin).unwrap_or_default(),
        alias: service.alias.label(),
    }
}

/// The ready endpoints, ordered by service, Pod, protocol and port.
pub fn endpoints(snapshot: &Snapshot, filter: &Filter, paging: &Paging) -> Page<EndpointRow> {
    let services = snapshot.services().filter(|facts| filter.matches(facts.service));
    let found = services.flat_map(|facts| facts.set.endpoints().iter());
    let rows = found.filter_map(|found| {
        let (pod, one) = snapshot.registered(found)?;
        let address = pod.socket(one)?.ip();
        let numbers = [one.port.into(), found.registration() as u64];
        Some((
            row_key(one.service(), [pod.name(), &one.template.common.protocol, pod.uid()], numbers),
            (pod, one, address),
        ))
    });
    page(rows, paging, |(pod, one, address)| endpoint(pod, one, address))
}

fn endpoint(pod: &PodRecord, registered: &Registered, address: IpAddr) -> EndpointRow {
    EndpointRow {
        pod: pod.name().to_owned(),
        namespace: pod.namespace.to_string(),
        interface: registered.service().interface.to_string(),
        group: text(&registered.service().group),
        version: text(&registered.service().version),
        protocol: registered.template.common.protocol.to_string(),
        address,
        addresses: pod.addresses(registered).into_vec(),
        port: registered.port,
        weight: registered.weight,
        metadata: metadata(registered),
    }
}

/// All metadata besides the fields, without the secrets.
fn metadata(registered: &Registered) -> BTreeMap<String, String> {
    let view = registered.metadata();
    let mut metadata: BTreeMap<String, String> =
        view.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    metadata.extend(view.application().map(|name| ("application".to_owned(), name.to_owned())));
    if !view.methods().is_empty() {
        metadata.insert("methods".to_owned(), view.methods().join(","));
    }
    metadata
}

/// Everything that was refused, ordered by namespace and Pod.
pub fn refusals(snapshot: &Snapshot, paging: &Paging) -> Page<RefusalRow> {
    let rows = snapshot.pods().flat_map(|pod| {
        let refusals = (0..).zip(pod.refusals());
        refusals.map(move |(at, refused)| {
            let numbers = [refused.offset as u64, at]; // one offset can have several refusals
            (RowKey::new([&pod.namespace, pod.name(), pod.uid()], numbers), (pod, refused))
        })
    });
    page(rows, paging, |(pod, refused)| refusal(pod, &refused))
}

/// A refusal with its reason as a sentence.
pub fn refusal(pod: &PodRecord, refused: &Refused) -> RefusalRow {
    RefusalRow {
        namespace: pod.namespace.to_string(),
        pod: pod.name().to_owned(),
        profile: refused.profile.to_string(),
        offset: refused.offset,
        key: refused.key.as_ref().map(ToString::to_string),
        reason: refused.reason,
        message: refused.reason.about(refused.key.as_ref()),
    }
}

/// Selects Pods. An absent field matches any value.
#[derive(Clone, Debug, Default)]
pub struct PodFilter {
    /// The name of one Pod. Its predecessor of the same name may match for a moment.
    pub name: Option<String>,
    pub namespace: Option<String>,
}

/// The Pods with a profile's label, ordered by namespace and name.
pub fn pods(snapshot: &Snapshot, filter: &PodFilter, paging: &Paging) -> Page<PodRow> {
    let is_asked = |asked: &Option<String>, own: &str| asked.as_deref().is_none_or(|asked| asked == own);
    let pods = snapshot.pods().filter(|pod| is_asked(&filter.name, pod.name()));
    let pods = pods.filter(|pod| is_asked(&filter.namespace, &pod.namespace));
    let rows = pods.map(|pod| (RowKey::new([&pod.namespace, pod.name(), pod.uid()], [0, 0]), pod));
    page(rows, paging, |record| pod(snapshot, record))
}

fn pod(snapshot: &Snapshot, record: &PodRecord) -> PodRow {
    let registration = |registered: &Registered| RegistrationRow {
        profile: registered.template.common.profile.to_string(),
        interface: registered.service().interface.to_string(),
        group: text(&registered.service().group),
        version: text(&registered.service().version),
        protocol: registered.template.common.protocol.to_string(),
        addresses: match registered.repeated.is_everywhere() {
            true => record.named_addresses(registered).to_vec(),
            false => record.claimed_addresses(registered).to_vec(),
        },
        port: registered.port,
        name: registered.service().question_name(&snapshot.settings.origin).unwrap_or_default(),
        withheld: withheld(snapshot, record, registered),
    };
    PodRow {
        namespace: record.namespace.to_string(),
        name: record.name().to_owned(),
        uid: record.uid().to_owned(),
        phase: phase(record.status.phase).to_owned(),
        ready: record.status.ready,
        terminating: record.status.terminating,
        addresses: record.status.pod_ips.to_vec(),
        registrations: record.registrations.iter().map(registration).collect(),
        refused: record.refusals().map(|refused| refusal(record, &refused)).collect(),
        consumes: record.rare().consumers.iter().map(|(_, consumer)| consumer.interface.to_string()).collect(),
    }
}

/// Why a registration is not published. `None` if it is published.
fn withheld(snapshot: &Snapshot, pod: &PodRecord, registered: &Registered) -> Option<String> {
    let status = &pod.status;
    let reason = match registered.standing {
        Standing::Foreign => "foreign address: the registered address is not one of the Pod's".to_owned(),
        _ if pod.is_replaced => "replaced: a newer Pod has its name".to_owned(),
        _ if status.phase.is_finished() => format!("finished: the Pod's phase is {}", phase(status.phase)),
        _ if !registered.is_enabled => "disabled: enabled=false, disabled=true or weight 0".to_owned(),
        _ if registered.repeated.is_everywhere() => repeated(pod, registered),
        _ if status.terminating => "terminating: the Pod is being deleted".to_owned(),
        _ if status.phase != Phase::Running => format!("not running: the Pod's phase is {}", phase(status.phase)),
        _ if !pod.is_serving => "not ready: the Pod's condition Ready is not True".to_owned(),
        _ if pod.claimed_addresses(registered).is_empty() => "no address: the Pod has none yet".to_owned(),
        _ if pod.addresses(registered).is_empty() => lost(snapshot, pod, registered),
        _ => return None,
    };
    Some(reason)
}

/// Says where the registration is that counts instead of a repeated one.
fn repeated(pod: &PodRecord, registered: &Registered) -> String {
    const PLACE: &str = "the same service, protocol, address and port";
    let profile = &registered.template.common.profile;
    let addresses = pod.named_addresses(registered);
    let counts_instead = |one: &&Registered| {
        one.port == registered.port
            && one.template.common.profile != *profile
            && !one.repeated.is_everywhere()
            && one.service() == registered.service()
            && one.protocol_key() == registered.protocol_key()
            && (addresses.is_empty() || pod.claimed_addresses(one).iter().any(|one| addresses.contains(one)))
    };
    match pod.registrations.iter().find(counts_instead) {
        Some(one) => {
            format!("repeated: the profile {}, which comes first, registers {PLACE}", one.template.common.profile)
        }
        None => format!("repeated: a later registration of its profile has {PLACE}"),
    }
}

/// Names the Pod that holds the address and port.
fn lost(snapshot: &Snapshot, pod: &PodRecord, registered: &Registered) -> String {
    let lost = pod.lost(registered);
    // Looks up Pods by the lost addresses. A scan of all Pods for each registration would be quadratic: a Pod may have
    // lost many registrations.
    let there = lost.iter().flat_map(|address| snapshot.pods_at_target(*address).chain(snapshot.pointers(*address)));
    let mut others = there.filter_map(|slot| snapshot.pod(slot));
    let is_winner = |other: &&Arc<PodRecord>| {
        let claims = |one: &Registered| {
            one.port == registered.port
                && one.is_claiming()
                && other.addresses(one).iter().any(|address| lost.contains(address))
        };
        other.uid() != pod.uid() && other.is_registering() && other.registrations.iter().any(claims)
    };
    match others.find(is_winner) {
        Some(winner) => {
            format!("lost to another Pod: {}/{} holds the address and port", winner.namespace, winner.name())
        }
        None => "lost to another Pod that holds the address and port".to_owned(),
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Unknown => "Unknown",
    }
}

fn text(value: &Option<Arc<str>>) -> Option<String> {
    value.as_deref().map(str::to_owned)
}
