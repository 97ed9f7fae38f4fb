//! Pods that other registrars, charts and people have written: recorded ones (`tests/fixtures/registrars.json`), and those
//! that the files of `deploy/profiles` read.

use std::collections::{BTreeMap, BTreeSet};

use callsign::registration::{ContainerPort, Decoded, ProfileText, decode};
use callsign::source::WatchProfile;

use crate::harness::recorded::{RecordedPod, pods_of_files, profiles_of_file, recorded_pods};

/// What a source hands over of a Pod.
fn text_of(pod: &RecordedPod, profile: &WatchProfile) -> ProfileText {
    let pairs = |pairs: &'_ BTreeMap<String, String>| -> Vec<(String, String)> { pairs.clone().into_iter().collect() };
    let (labels, annotations) = (pairs(&pod.labels), pairs(&pod.annotations));
    let ports = pod.ports.as_array().expect("container ports").iter();
    let tcp = ports.filter(|port| port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP"));
    let ports = tcp.map(|port| ContainerPort {
        name: port["name"].as_str().unwrap_or_default().into(),
        number: port["containerPort"].as_u64().and_then(|number| number.try_into().ok()).expect("a port"),
    });
    ProfileText::of(
        profile.annotation.as_deref(),
        &profile.encoding.wanted(),
        labels.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        ports,
    )
}

/// What the profiles that select a Pod make of it.
fn decode_by(profiles: &[WatchProfile], pod: &RecordedPod) -> Vec<Decoded> {
    let selected = profiles.iter().filter(|profile| profile.selector.matches(&pod.labels));
    selected.map(|profile| decode(&text_of(pod, profile), &profile.encoding)).collect()
}

#[test]
fn recorded_pods_give_what_they_should() {
    let mut passed: BTreeMap<String, usize> = BTreeMap::new();
    for pod in recorded_pods() {
        let profile = pod.profile();
        let name = profile.name.to_string();
        pod.check(&decode_by(&[profile], &pod));
        *passed.entry(name).or_default() += 1;
    }
    println!("{passed:?}");
}

/// Each file reads what its registrar has written, whatever the mapping is that the recorded Pod comes with.
#[test]
fn the_files_of_deploy_read_their_registrars_pods() {
    let mut passed: BTreeMap<String, usize> = BTreeMap::new();
    for (file, pod) in pods_of_files() {
        pod.check(&decode_by(&profiles_of_file(&file), &pod));
        *passed.entry(file).or_default() += 1;
    }
    println!("{passed:?}");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/profiles");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let names = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let names: BTreeSet<String> = names.filter(|name| name != "callsign").collect();
    assert!(names.iter().eq(passed.keys()), "each file has its Pods: {names:?}");
}

/// A registrar's heartbeat, and the position in a log that Patroni writes each second, are no change.
#[test]
fn a_text_has_only_what_the_profile_names() {
    for mut pod in recorded_pods() {
        let profile = pod.profile();
        let before = text_of(&pod, &profile);
        pod.annotations.insert("status".into(), "{\"xlog_location\":67109113}".into());
        pod.annotations.insert("example.com/heartbeat".into(), "7".into());
        pod.labels.insert("pod-template-hash".into(), "6b7f".into());
        pod.labels.insert("kratos-service-id".into(), "another".into());
        let after = text_of(&pod, &profile);
        assert_eq!(after, before, "{}", pod.id);
    }
}
