//! The profiles' labels and annotations, and the command lines of the examples and documents.

use std::collections::BTreeMap;
use std::fs;

use callsign::cli::{self, Cli, RegisterArgs};
use callsign::register::{Owner, OwnerKind, Profile};
use callsign::registration::{ContainerPort, Encoding, ProfileText, Registration, decode, decode_value};
use callsign::source::default_profiles;
use clap::Parser;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;

#[test]
fn a_server_finds_the_labels_that_register_writes() {
    let profiles = default_profiles();
    for (name, profile) in [("app", Profile::App), ("dubbo", Profile::Dubbo)] {
        let read = profiles.iter().find(|profile| *profile.name == *name).expect("the profile");
        assert_eq!(read.annotation.as_deref(), Some(profile.annotation()));
        for value in ["app.io-value", "dubbo.io-value", "dubbo.io.provider", "dubbo.io.consumer", "other"] {
            let labels = BTreeMap::from([(profile.label().to_owned(), value.to_owned())]);
            assert_eq!(read.selector.matches(&labels), profile.is_found_by(value), "{name} {value}");
        }
        assert!(profile.is_found_by(profile.label_value()));
    }
}

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/register/examples");

/// The arguments of callsign in a container: the container's arguments in callsign's image, and otherwise the words after the
/// program in the command. `None` if the container runs another program.
fn command_line(container: &Container) -> Option<Vec<String>> {
    let (command, args) =
        (container.command.as_deref().unwrap_or_default(), container.args.clone().unwrap_or_default());
    match (command, container.image.as_deref()) {
        ([], Some("callsign")) => Some(args),
        ([program, rest @ ..], _) if program.ends_with("/callsign") => Some([rest, &args].concat()),
        _ => None,
    }
}

#[track_caller]
fn register_args(line: &[String]) -> RegisterArgs {
    let words = ["callsign".to_owned()].into_iter().chain(line.iter().cloned());
    match Cli::try_parse_from(words) {
        Ok(Cli { command: cli::Command::Register(args) }) => *args,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn the_program_accepts_the_examples() {
    let mut seen = Vec::new();
    for name in ["wrapper", "sidecar"] {
        let text = fs::read_to_string(format!("{EXAMPLES}/{name}.yaml")).expect("an example");
        let deployment: Deployment = serde_saphyr::from_str(&text).expect("a Deployment");
        let pod = deployment.spec.and_then(|spec| spec.template.spec).expect("a Pod's spec");
        let server = &pod.containers[0];
        let served: Vec<i32> = server.ports.iter().flatten().map(|port| port.container_port).collect();
        let sleep = server.lifecycle.iter().find_map(|hooks| hooks.pre_stop.as_ref()?.sleep.as_ref());
        let grace = pod.termination_grace_period_seconds.expect("a time to end");
        for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
            let Some(line) = command_line(container) else { continue };
            let args = register_args(&line);
            assert_eq!(args.interface, ["org.acme.Greeter"], "{name}");
            assert_eq!(args.port.iter().map(|port| i32::from(*port)).collect::<Vec<_>>(), served, "{name}");
            let offer = args.fields.offer(&args.interface[0], &args.port);
            let owner = Owner { name: "20880".into(), kind: OwnerKind::Wrapper };
            offer.check(args.profile, &owner).unwrap_or_else(|error| panic!("{name}: {error}"));
            // The drain, and the part of the grace period that the kubelet leaves for the server's stop.
            let drain = i64::try_from(args.drain).expect("seconds");
            match (args.command.is_empty(), sleep) {
                (false, None) => assert!(drain < grace, "{name}"),
                (true, Some(sleep)) => assert!((drain..grace).contains(&sleep.seconds), "{name}"),
                other => panic!("{name}: {other:?}"),
            }
            seen.push(name);
        }
    }
    assert_eq!(seen, ["wrapper", "sidecar"]);
}

/// The patch says in annotations what the wrapper's flags say.
#[test]
fn the_annotated_example_says_what_the_wrapper_says() {
    let read = |name: &str| fs::read_to_string(format!("{EXAMPLES}/{name}.yaml")).expect("an example");
    let patch: serde_json::Value = serde_saphyr::from_str(&read("annotated")).expect("a patch");
    let template = &patch["spec"]["template"];
    let annotations = template["metadata"]["annotations"].as_object().expect("annotations");
    assert_eq!(annotations["app.io/register"], "true");
    let said: Vec<(&str, &str)> = annotations
        .iter()
        .filter(|(key, _)| *key != "app.io/register")
        .map(|(key, value)| (key.as_str(), value.as_str().expect("a string")))
        .collect();
    let app = Encoding::Pairs { plain: Some("app.io/".into()) };
    let port = ContainerPort { name: "http".into(), number: 20880 };
    let decoded = decode(&ProfileText::of(None, &app.wanted(), [], said, [port]), &app);
    assert_eq!(decoded.problems, []);

    let wrapper: Deployment = serde_saphyr::from_str(&read("wrapper")).expect("a Deployment");
    let container = wrapper.spec.and_then(|spec| spec.template.spec).expect("a spec").containers.remove(0);
    let flags = register_args(&command_line(&container).expect("a command line"));
    let offer = flags.fields.offer(&flags.interface[0], &flags.port);
    let pairs: Vec<_> = offer.fields().flatten().map(|(k, v)| serde_json::json!({ "k": k, "v": v })).collect();
    let by_flags = decode_value(&serde_json::Value::from(pairs).to_string()).registrations;
    let placed = |one: &Registration| Registration { offset: 0, ..one.clone() };
    let [said, flagged] = [&decoded.registrations, &by_flags].map(|all| all.iter().map(placed).collect::<Vec<_>>());
    assert_eq!(said, flagged);

    let args = template["spec"]["containers"][0]["args"].as_array().expect("arguments");
    let words = args.iter().map(|word| word.as_str().expect("a string").to_owned());
    let line: Vec<String> = ["register".to_owned()].into_iter().chain(words).collect();
    let args = register_args(&line);
    assert!(args.interface.is_empty() && args.command == flags.command, "{line:?}");
}

#[test]
fn the_program_accepts_the_documents_command_lines() {
    let mut count = 0;
    for file in ["README.md", "deploy/register/README.md"] {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).expect("a document").replace("\\\n", " ");
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("$ callsign ")) {
            let words = ["callsign"].into_iter().chain(line.split_whitespace());
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{file}: {line}: {error}"));
            count += 1;
        }
    }
    assert!(count >= 3, "{count} lines");
}
