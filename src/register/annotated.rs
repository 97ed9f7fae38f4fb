//! Completes offers by the plain annotations of the own Pod, so that image and Pod template say a thing once.
//!
//! With `app.io/register: "true"` the annotations register nothing by themselves: they say what flags leave open.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::offer::{ENABLED, is_meta_key};
use super::{Offer, RegisterError};
use crate::registration::{
    ContainerPort, DEFAULT_PROTOCOL, Decoded, Encoding, ProfileText, Registration, Wanted, decode,
};

/// The beginning of the annotations' keys.
const PREFIX: &str = "app.io/";

/// The annotation that leaves the others to a registrar.
const REGISTER: &str = "app.io/register";

/// The offers that an offer and the Pod's annotations make together: one for each port. What the offer says precedes.
///
/// # Errors
/// The offer is open, and the annotations are not left to a registrar, or have a mistake. Or nothing can be registered.
pub(super) fn completed(pod: &Pod, offer: &Offer) -> Result<Vec<Offer>, RegisterError> {
    let annotation = |key: &str| pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    if !annotation(REGISTER).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return if offer.is_open() { Err(RegisterError::NotLeftToUs(title(pod))) } else { Ok(vec![offer.clone()]) };
    }
    let ports: Vec<Option<u16>> =
        if offer.port.is_empty() { vec![None] } else { offer.port.iter().copied().map(Some).collect() };
    let mut offers = Vec::new();
    for port in ports {
        let Decoded { registrations, problems, .. } = read(pod, offer, port);
        let reasons: Vec<String> = problems.iter().map(|one| one.reason.about(one.key.as_ref())).collect();
        if registrations.is_empty() || (offer.is_open() && !reasons.is_empty()) {
            let nothing = "nothing is said of the interface: write app.io/interface".to_owned();
            let reason = if reasons.is_empty() { nothing } else { reasons.join("; ") };
            return Err(RegisterError::BadAnnotations { pod: title(pod), reason });
        }
        let has_protocol = annotation(&format!("{PREFIX}protocol")).is_some_and(|value| !value.is_empty());
        offers.extend(registrations.into_iter().map(|registration| merged(offer, registration, has_protocol)));
    }
    Ok(offers)
}

/// What the annotations register with what the offer says of interface, protocol and port.
fn read(pod: &Pod, offer: &Offer, port: Option<u16>) -> Decoded {
    let encoding = Encoding::Pairs { plain: Some(PREFIX.into()) };
    let mut said: Vec<(String, String)> = vec![(REGISTER.to_owned(), String::new())];
    let mut say = |name: &str, value: String| said.push((format!("{PREFIX}{name}"), value));
    if !offer.interface.is_empty() {
        say("interface", offer.interface.clone());
    }
    if let Some(protocol) = &offer.protocol {
        say("protocol", protocol.clone());
    }
    if let Some(port) = port {
        say("port", port.to_string());
    }
    let is_said = |key: &str| key == "app.io/annotation" || said.iter().any(|(of, _)| of == key);
    let own = pod.metadata.annotations.iter().flatten().filter(|(key, _)| !is_said(key));
    let all =
        own.chain(said.iter().map(|(key, value)| (key, value))).map(|(key, value)| (key.as_str(), value.as_str()));
    let wanted: Wanted = encoding.wanted();
    decode(&ProfileText::of(None, &wanted, [], all, container_ports(pod)), &encoding)
}

/// What the offer says, and else what the annotations say.
fn merged(offer: &Offer, registration: Registration, has_protocol: bool) -> Offer {
    let Registration { interface, group, version, protocol, port, weight, enabled, metadata, .. } = registration;
    let text = |of: Option<std::sync::Arc<str>>| of.map(|text| text.to_string());
    let is_given = has_protocol || *protocol != *DEFAULT_PROTOCOL;
    let has_weight = metadata.pairs.iter().any(|(key, _)| key == "weight");
    let is_new = |key: &str| !offer.meta.iter().any(|(of, _)| of.eq_ignore_ascii_case(key));
    let others = metadata.pairs.iter().filter(|(key, _)| is_meta_key(key) && is_new(key));
    let mut meta = offer.meta.clone();
    meta.extend(others.map(|(key, value)| (key.to_owned(), value.to_owned())));
    meta.extend((!enabled && is_new(ENABLED)).then(|| (ENABLED.to_owned(), false.to_string())));
    let methods = metadata.methods.iter().map(ToString::to_string).collect();
    Offer {
        interface: interface.to_string(),
        port: vec![port],
        group: offer.group.clone().or_else(|| text(group)),
        version: offer.version.clone().or_else(|| text(version)),
        protocol: offer.protocol.clone().or_else(|| is_given.then(|| protocol.to_string())),
        ip: offer.ip,
        methods: if offer.methods.is_empty() { methods } else { offer.methods.clone() },
        weight: offer.weight.or(has_weight.then_some(weight)),
        application: offer.application.clone().or_else(|| metadata.application.map(Into::into)),
        meta,
    }
}

/// The TCP ports of the containers, then those of the init containers that keep running beside them.
fn container_ports(pod: &Pod) -> Vec<ContainerPort> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let is_kept = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let kept = spec.init_containers.iter().flatten().filter(is_kept);
    let ports = spec.containers.iter().chain(kept).flat_map(|container| container.ports.iter().flatten());
    let ports = ports.filter(|port| matches!(port.protocol.as_deref(), None | Some("" | "TCP")));
    let port = |port: &k8s_openapi::api::core::v1::ContainerPort| {
        let name = port.name.as_deref().unwrap_or_default().into();
        Some(ContainerPort { name, number: u16::try_from(port.container_port).ok()? })
    };
    ports.filter_map(port).collect()
}

fn title(pod: &Pod) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}/{}", part(&pod.metadata.namespace), part(&pod.metadata.name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pod(annotations: &[(&str, &str)]) -> Pod {
        let spec = r#"{"containers":[{"name":"c","ports":[{"name":"http","containerPort":8080},
            {"name":"dns","containerPort":53,"protocol":"UDP"},{"containerPort":9000}]}],
            "initContainers":[{"name":"i","ports":[{"name":"gone","containerPort":1}]},
            {"name":"s","restartPolicy":"Always","ports":[{"name":"grpc","containerPort":9090}]}]}"#;
        let mut pod = Pod { spec: Some(serde_json::from_str(spec).expect("a spec")), ..Pod::default() };
        (pod.metadata.namespace, pod.metadata.name) = (Some("shop".into()), Some("greeter-0".into()));
        let annotation = |(key, value): &(&str, &str)| (format!("app.io/{key}"), (*value).to_owned());
        pod.metadata.annotations = Some(annotations.iter().map(annotation).collect::<BTreeMap<_, _>>());
        pod
    }

    /// `interface group version protocol ports methods weight application meta`
    fn told(annotations: &[(&str, &str)], offer: &Offer) -> Result<Vec<String>, String> {
        let offers = completed(&pod(annotations), offer).map_err(|error| error.to_string())?;
        let told = |one: &Offer| {
            let Offer { interface, port, group, version, protocol, ip: _, methods, weight, application, meta } = one;
            let or = |text: &Option<String>| text.clone().unwrap_or("-".into());
            let meta: Vec<String> = meta.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let weight = weight.map_or("-".to_owned(), |weight| weight.to_string());
            let (group, version, protocol, application) = (or(group), or(version), or(protocol), or(application));
            let (methods, meta) = (methods.join(","), meta.join(","));
            format!("{interface} {group} {version} {protocol} {port:?} {methods} {weight} {application} {meta}")
        };
        Ok(offers.iter().map(told).collect())
    }

    #[test]
    fn annotations_say_what_an_offer_leaves_open() {
        let open = Offer::default();
        let greeter = Offer::new("a.B", 8080);
        let register = ("register", "true");
        for (annotations, offer, expected) in [
            (&[register, ("interface", "a.B"), ("port", "http")][..], open.clone(), "a.B - - http [8080]  - - "),
            (&[register, ("interface", "a.B"), ("port", "grpc")], open.clone(), "a.B - - grpc [9090]  - - "),
            (&[register, ("interface", "a.B"), ("port", "1")], open.clone(), "a.B - - - [1]  - - "),
            (&[register, ("interface", "a.B"), ("protocol", "http")], open.clone(), "a.B - - http [8080]  - - "),
            (
                &[
                    ("register", "True"),
                    ("interface", "a.B"),
                    ("port", "1"),
                    ("protocol", "rpc"),
                    ("group", "g"),
                    ("version", "1"),
                    ("methods", "x,y"),
                    ("weight", "7"),
                    ("application", "shop"),
                    ("enabled", "false"),
                    ("meta.zone", "a"),
                    ("meta.registrar", "x"),
                    ("annotation", "%%%"),
                ],
                open.clone(),
                "a.B g 1 rpc [1] x,y 7 shop zone=a,enabled=false",
            ),
            (&[register, ("interface", "x.Y"), ("version", "2")], greeter.clone(), "a.B - 2 http [8080]  - - "),
            (
                &[register, ("port", "http"), ("meta.zone", "b")],
                Offer { port: vec![], ..greeter.clone() },
                "a.B - - http [8080]  - - zone=b",
            ),
            (
                &[register, ("interface", "x.Y")],
                Offer { interface: String::new(), ..greeter.clone() },
                "x.Y - - http [8080]  - - ",
            ),
            (
                &[register, ("group", "g"), ("protocol", "http"), ("meta.zone", "b"), ("meta.x", "1"), ("weight", "7")],
                Offer {
                    group: Some("gray".into()),
                    protocol: Some("tri".into()),
                    weight: Some(3),
                    methods: vec!["m".into()],
                    meta: vec![("Zone".into(), "a".into())],
                    port: vec![1, 2],
                    ..greeter.clone()
                },
                "a.B gray - tri [1] m 3 - Zone=a,x=1 | a.B gray - tri [2] m 3 - Zone=a,x=1",
            ),
            // Not left to a registrar: an offer that needs nothing stays as it is.
            (&[("interface", "x.Y"), ("version", "2"), ("port", "1")], greeter.clone(), "a.B - - - [8080]  - - "),
            (&[("register", "false"), ("version", "2")], greeter.clone(), "a.B - - - [8080]  - - "),
            // A typing error costs its own annotation, if nothing depends on it.
            (&[register, ("verison", "2")], greeter.clone(), "a.B - - http [8080]  - - "),
        ] {
            assert_eq!(
                told(annotations, &offer).map(|told| told.join(" | ")).as_deref(),
                Ok(expected),
                "{annotations:?}"
            );
        }
    }

    #[test]
    fn annotations_that_cannot_complete_an_offer_are_an_error() {
        let open = Offer::default();
        let register = ("register", "true");
        for (annotations, offer, expected) in [
            (&[][..], open.clone(), "the Pod shop/greeter-0 does not leave its annotations to a registrar"),
            (&[("interface", "a.B"), ("port", "1")], open.clone(), "write app.io/register: \"true\" beside them"),
            (&[("register", "false"), ("interface", "a.B")], open.clone(), "write app.io/register: \"true\""),
            (&[("register", "yes"), ("interface", "a.B")], open.clone(), "write app.io/register: \"true\""),
            (&[register], open.clone(), "nothing is said of the interface"),
            (&[register, ("interface", "a.B")], open.clone(), "annotation app.io/port: no port: write a number"),
            (
                &[register, ("interface", "a.B"), ("port", "no")],
                open.clone(),
                "annotation app.io/port: port is not a number",
            ),
            (
                &[register, ("interfce", "a.B"), ("port", "1")],
                open.clone(),
                "app.io/interfce: unknown key: write app.io/interface",
            ),
            (&[register, ("interface", "a.B"), ("port", "1"), ("wieght", "7")], open.clone(), "write app.io/weight"),
            (
                &[register, ("weight", "x")],
                Offer::new("a.B", 1),
                "annotation app.io/weight: weight is not a whole number",
            ),
            (
                &[register, ("interface", "a"), ("port", "1"), ("group", "token=hunter2")],
                open.clone(),
                "looks like a secret",
            ),
        ] {
            let error = told(annotations, &offer).expect_err("an error");
            assert!(error.contains(expected) && !error.contains("hunter2"), "{annotations:?}: {error}");
        }
    }
}
