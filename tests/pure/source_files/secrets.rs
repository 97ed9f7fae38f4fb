//! No error shows a secret of a manifest, wherever it stands.

use callsign::source::default_profiles;
use callsign::source::files::{ManifestObject, read_text};

/// What a person may read of a text's objects: the problems, and the keys that are named with advice.
fn shown(text: &str) -> Vec<String> {
    let mut shown = Vec::new();
    let report = read_text(text, &default_profiles(), |object| match object {
        ManifestObject::Pod(pod) => shown.extend(pod.unselected.iter().map(|one| one.key.to_string())),
        ManifestObject::Template(template) => {
            shown.extend(template.unselected.iter().map(|one| one.key.to_string()));
            shown.extend(template.misplaced.iter().map(|one| format!("{one:?}")));
        }
    });
    shown.extend(report.problems.iter().map(ToString::to_string));
    shown
}

#[test]
fn no_error_shows_a_secret() {
    let long = "p".repeat(250);
    let metadata = [
        "annotations: {app.io/meta.password: 48151623}".to_owned(),
        "annotations: {app.io/meta.pass%77ord: 48151623}".to_owned(),
        "annotations: {app.io/db.to-ken: 4.8151623}".to_owned(),
        format!("annotations: {{{long}/password: 48151623}}"),
        "annotations: {app.io/token=48151623: x}".to_owned(),
        "annotations: {app.io/meta.token=48151623: x}".to_owned(),
        "annotations: {app.io/meta.token=48151623: 1}".to_owned(),
        "annotations: {'x://u:48151623@h': x}".to_owned(),
        "annotations: {'x%3A%2F%2Fu%3A48151623%40h': x}".to_owned(),
        "annotations: {'{\"token\": \"48151623\"}': x}".to_owned(),
        "labels: {'x://u:48151623@h': x}".to_owned(),
        "labels: {password=48151623: x}".to_owned(),
        "labels: {password=48151623: 7}".to_owned(),
        "labels: {password: 48151623}".to_owned(),
        "labels: {a: 'token=48151623'}".to_owned(),
        "token=48151623: x".to_owned(),
    ];
    let container = [
        "args: [--password, 48151623]",
        "command: [run, 48151623]",
        "env: [{name: DB_PASSWORD, value: 48151623}]",
        "livenessProbe: {httpGet: {port: 1, httpHeaders: [{name: Token, value: 48151623}]}}",
        "livenessProbe: {exec: {command: [48151623]}}",
        "'x://u:48151623@h': 1",
        "ports: [{containerPort: 1, name: 'x://u:48151623@h', protocol: 'token=48151623'}]",
    ];
    let volume = "spec: {volumes: [{name: v, csi: {driver: d, volumeAttributes: {apiToken: 48151623}}}]}";
    let parts = metadata.iter().map(|part| format!("metadata: {{name: p, {part}}}"));
    let parts = parts
        .chain(
            container.iter().map(|part| format!("metadata: {{name: p}}, spec: {{containers: [{{name: c, {part}}}]}}")),
        )
        .chain([format!("metadata: {{name: p}}, {volume}")]);
    for part in parts {
        for text in [
            format!("{{kind: Pod, {part}}}"),
            format!("{{kind: Deployment, metadata: {{name: d}}, spec: {{template: {{{part}}}}}}}"),
        ] {
            let shown = shown(&text);
            assert!(!shown.is_empty(), "{text}: no error");
            assert!(!shown.iter().any(|line| line.contains("8151623")), "{text}: {shown:?}");
        }
    }
    for text in [
        "{kind: Deployment, metadata: {name: d, annotations: {app.io/token=48151623: x}}, spec: {template: {}}}",
        "{kind: 'token=48151623', metadata: {name: d}}",
        "{kind: Pod, metadata: {name: 'token=48151623', namespace: 'token=48151623'}}",
    ] {
        let shown = shown(text);
        assert!(!shown.is_empty() && !shown.iter().any(|line| line.contains("8151623")), "{text}: {shown:?}");
    }
}

/// A key that only names a secret is shown, with what to write.
#[test]
fn a_private_value_has_advice_without_it() {
    let text = "{kind: Pod, metadata: {name: p, annotations: {app.io/meta.password: 48151623}}}";
    let [problem] = &shown(text)[..] else { panic!("{:?}", shown(text)) };
    let expected =
        "metadata.annotations[\"app.io/meta.password\"] is a number but must be a string: write the value in quotes";
    assert!(problem.ends_with(expected), "{problem}");
}
