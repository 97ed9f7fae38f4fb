//! `callsign why`: shows which registrations of a Pod are published, and why others are not.

use std::fmt::Write;

use serde::Serialize;

use super::local::{Absence, LocalRead};
use super::print::{TextTable, count, escaped, json, sockets};
use super::{CommandError, CommandOutput, read_local, server_at};
use crate::cli::{PodRef, WhyArgs};
use crate::config::Environment;
use crate::remote::ServerClient;
use crate::report::{self, Paging, PodFilter, PodRow, RefusalRow, RegistrationRow};
use crate::source::{WatchProfile, default_profiles};

/// The namespace of a Pod without one, if no kubeconfig has a namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// The result for one Pod's name.
#[derive(Serialize)]
struct Explanation {
    /// The Pods of that name: one, and for a moment its predecessor too.
    pods: Vec<PodRow>,
    /// Why there is none.
    unknown: Option<String>,
}

/// Shows a Pod's registrations. An unknown Pod is a finding.
///
/// # Errors
/// The source cannot be read, or two different namespaces are given.
pub async fn why(args: &WhyArgs, environment: &Environment) -> Result<CommandOutput, CommandError> {
    let pod = args.pod().map_err(CommandError::Usage)?;
    if args.from.asks_server() {
        return Ok(output(args, &explain_from_server(&server_at(&args.from.server)?, &pod).await?));
    }
    let namespaces: Vec<String> = pod.namespace.iter().cloned().collect();
    let local = read_local(&args.from, &namespaces, false, environment).await?;
    Ok(output(args, &explain_from_source(&local, &pod).await?).with_problems(local.problems()))
}

fn output(args: &WhyArgs, explanation: &Explanation) -> CommandOutput {
    let text = match (args.json, &explanation.unknown) {
        (true, _) => json(explanation),
        (false, None) => explanation.pods.iter().map(pod_text).collect::<Vec<_>>().join("\n"),
        (false, Some(reason)) => format!("{reason}\n"),
    };
    CommandOutput { text, notes: String::new(), has_findings: explanation.unknown.is_some() }
}

async fn explain_from_server(server: &ServerClient, pod: &PodRef) -> Result<Explanation, CommandError> {
    let namespace = pod.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let pods: Vec<PodRow> =
        server.list("/v1/pods", &[("name", Some(&pod.name)), ("namespace", Some(namespace))]).await?;
    let unknown = pods.is_empty().then(|| {
        format!(
            "this server watches no Pod {} with a profile's label. {}",
            pod_name(namespace, &pod.name),
            label_hint("By default a profile's label is", &default_profiles())
        )
    });
    Ok(Explanation { pods, unknown })
}

async fn explain_from_source(local: &LocalRead, pod: &PodRef) -> Result<Explanation, CommandError> {
    let namespace = match &pod.namespace {
        Some(namespace) => namespace.as_str().into(),
        None => local.own_namespace().await?.unwrap_or_else(|| DEFAULT_NAMESPACE.into()),
    };
    let filter = PodFilter { name: Some(pod.name.clone()), namespace: Some(namespace.to_string()) };
    let pods = report::pods(&local.snapshot, &filter, &Paging::ALL).items;
    if !pods.is_empty() {
        return Ok(Explanation { pods, unknown: None });
    }
    let name = pod_name(&namespace, &pod.name);
    let unknown = match local.absence(&namespace, &pod.name).await? {
        Absence::NoPod => format!("no such Pod: {name}"),
        Absence::NoLabel => {
            let hint = label_hint("A profile's label is", local.profiles());
            format!("no label: the Pod {name} exists, but has no profile's label. {hint}")
        }
        Absence::NotWatched => format!(
            "not watched: the Pod {name} has a profile's label, but its namespace is not read; give -n {}",
            escaped(&namespace)
        ),
    };
    Ok(Explanation { pods, unknown: Some(unknown) })
}

/// The labels to compare the Pod's with.
fn label_hint(opening: &str, profiles: &[WatchProfile]) -> String {
    let profiles: Vec<String> = profiles.iter().map(|profile| escaped(&profile.selector.to_string())).collect();
    format!("{opening} {}; `kubectl get pod --show-labels` prints the Pod's", profiles.join(", or "))
}

/// Why a Pod that a profile finds may register nothing without a problem.
const NOTHING_HINT: &str = "what its profile reads is absent or names no interface, or `app.io/register: \"true\"` leaves it to \
                            `callsign register`. By default that is app.io/annotation, app.io/interface or dubbo.io/annotation";

fn pod_name(namespace: &str, name: &str) -> String {
    escaped(&format!("{namespace}/{name}"))
}

/// The text for one Pod: its state, its registrations and its refusals.
fn pod_text(pod: &PodRow) -> String {
    let PodRow { namespace, name, uid: _, phase, ready, terminating, addresses, registrations, refused, consumes } =
        pod;
    let readiness = if *ready { "ready" } else { "not ready" };
    let ending = if *terminating { ", terminating" } else { "" };
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let place = if addresses.is_empty() { "without an address".into() } else { format!("at {}", addresses.join(", ")) };
    let mut text = format!("Pod {}: {}, {readiness}{ending}, {place}\n", pod_name(namespace, name), escaped(phase));

    let published = registrations.iter().filter(|one| one.withheld.is_none()).count();
    let _ = match (registrations.len(), refused.len()) {
        (0, 0) => writeln!(text, "It registers nothing: {NOTHING_HINT}"),
        (0, bad) => writeln!(text, "Nothing published, {bad} refused"),
        (all, 0) => writeln!(text, "{published} of {} published", count(all, "registration")),
        (all, bad) => writeln!(text, "{published} of {} published, {bad} refused", count(all, "registration")),
    };
    if !consumes.is_empty() {
        let _ = writeln!(text, "It calls {}", escaped(&consumes.join(", ")));
    }
    if !registrations.is_empty() {
        let _ = write!(text, "\n{}", registrations_table(registrations));
    }
    if !refused.is_empty() {
        let _ = write!(text, "\n{}", refused_table(refused));
    }
    text
}

fn registrations_table(registrations: &[RegistrationRow]) -> TextTable {
    let header = ["PROFILE", "INTERFACE", "GROUP", "VERSION", "PROTOCOL", "ADDRESS:PORT", "PUBLISHED-AS", "WHY-NOT"];
    let mut table = TextTable::new(&header);
    for row in registrations {
        let RegistrationRow { profile, interface, group, version, protocol, addresses, port, name, withheld } = row;
        let (group, version) = (group.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default());
        let sockets = sockets(addresses, "-", *port);
        let (name, reason) = match withheld {
            None => (name.as_str(), ""),
            Some(reason) => ("", reason.as_str()),
        };
        table.push([profile, interface, group, version, protocol, &sockets, name, reason]);
    }
    table
}

fn refused_table(refused: &[RefusalRow]) -> TextTable {
    let mut table = TextTable::new(&["PROFILE", "OFFSET", "REFUSED-BECAUSE"]);
    for row in refused {
        table.push([&row.profile, &row.offset.to_string(), &row.message]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::Reason;

    fn registration(port: u16, withheld: Option<&str>) -> RegistrationRow {
        RegistrationRow {
            profile: "app".into(),
            interface: "a.B".into(),
            group: None,
            version: Some("1".into()),
            protocol: "tri".into(),
            addresses: vec!["10.0.0.1".parse().expect("an address"), "fd00::1".parse().expect("an address")],
            port,
            name: "_rpc._tcp.a.B.v-1.shop.Z.".into(),
            withheld: withheld.map(str::to_owned),
        }
    }

    fn pod(registrations: Vec<RegistrationRow>, refused: Vec<RefusalRow>) -> PodRow {
        PodRow {
            namespace: "shop".into(),
            name: "a-0".into(),
            uid: "u".into(),
            phase: "Running".into(),
            ready: false,
            terminating: true,
            addresses: vec!["10.0.0.1".parse().expect("an address")],
            registrations,
            refused,
            consumes: vec!["c.\u{1b}D".into()],
        }
    }

    #[test]
    fn a_pod_is_shown_with_its_state_and_each_reason() {
        let refused = RefusalRow {
            namespace: "shop".into(),
            pod: "a-0".into(),
            profile: "app".into(),
            offset: 7,
            key: None,
            reason: Reason::NoPort,
            message: "no port".into(),
        };
        let both = vec![registration(1, None), registration(2, Some("lost to another Pod: shop/a-1 holds it"))];
        let expected = "\
Pod shop/a-0: Running, not ready, terminating, at 10.0.0.1
1 of 2 registrations published, 1 refused
It calls c.\\u001bD

PROFILE  INTERFACE  GROUP  VERSION  PROTOCOL  ADDRESS:PORT            PUBLISHED-AS               WHY-NOT
app      a.B        -      1        tri       10.0.0.1:1,[fd00::1]:1  _rpc._tcp.a.B.v-1.shop.Z.  -
app      a.B        -      1        tri       10.0.0.1:2,[fd00::1]:2  -                          lost to another Pod: shop/a-1 holds it

PROFILE  OFFSET  REFUSED-BECAUSE
app      7       no port
";
        assert_eq!(pod_text(&pod(both, vec![refused.clone()])), expected);
        for (registrations, refused, expected) in [
            (
                vec![],
                vec![],
                "It registers nothing: what its profile reads is absent or names no interface, or `app.io/register: \"true\"` \
                 leaves it to `callsign register`. By default that is app.io/annotation, ",
            ),
            (vec![], vec![refused], "Nothing published, 1 refused"),
            (vec![registration(1, None)], vec![], "1 of 1 registration published\n"),
        ] {
            let text = pod_text(&pod(registrations, refused));
            assert!(text.contains(expected), "{text}");
        }
    }
}
