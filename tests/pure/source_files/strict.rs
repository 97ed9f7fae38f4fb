//! What the API server refuses, and what it takes.

use super::{Folder, names, pod, problems};

#[test]
fn a_problem_names_its_place_and_keeps_the_rest() {
    let good = pod("p");
    let long = "x".repeat(254);
    let cases = [
        (format!("{good}---\nkind: Pod\n"), Some(2), None, "without a name"),
        (format!("{good}---\nkind: Pod\nmetadata: {{name: A}}\n"), Some(2), None, "metadata.name"),
        (format!("{good}---\nkind: Pod\nmetadata: {{name: a..b}}\n"), Some(2), None, "metadata.name"),
        (format!("{good}---\nkind: Pod\nmetadata: {{name: {long}}}\n"), Some(2), None, "metadata.name"),
        (format!("{good}---\nkind: Pod\nmetadata: {{name: a, namespace: b.c}}\n"), Some(2), None, "metadata.namespace"),
        (format!("{good}---\nmetadata: {{name: a}}\n"), Some(2), None, "kind is missing"),
        (format!("{good}---\n- a\n"), Some(2), None, "not a Kubernetes object"),
        (format!("{good}---\nkind: List\nitems: [7]\n"), Some(2), None, "items[0] is a number but must be an object"),
        (
            format!("{good}---\nkind: List\nitems: [{{kind: List, items: [7]}}]\n"),
            Some(2),
            None,
            "items[0].items[0] is a number",
        ),
    ];
    for (text, document, line, reason) in cases {
        let found = problems(&text);
        assert!(
            matches!(&found[..], [(d, l, r)] if *d == document && *l == line && r.contains(reason)),
            "{text}: {found:?}"
        );
        let folder = Folder::new("rest");
        folder.write("a.yaml", &text);
        assert_eq!(names(&folder.load()), ["default/p"], "{text}");
    }
    let name = "x".repeat(253);
    assert_eq!(problems(&format!("kind: Pod\nmetadata: {{name: {name}}}\n")), []);
}

/// What the API server refuses is refused, with the field and what to write; the Pod is published nowhere.
#[test]
fn a_value_that_the_api_server_refuses_is_reported_with_its_field() {
    let long = format!("labels: {{a: {}}}", "x".repeat(64));
    let metadata = [
        ("namespace: 123", "metadata.namespace is a number but must be a string: write \"123\""),
        ("namespace: 1e3", "metadata.namespace is a number"),
        ("namespace: 0x1f", "metadata.namespace is a number"),
        ("namespace: true", "metadata.namespace is a boolean but must be a string: write \"true\""),
        ("namespace: no", "metadata.namespace is a boolean but must be a string: write \"no\""),
        ("namespace: [a]", "metadata.namespace is a list"),
        ("namespace: a.b", "metadata.namespace is not a DNS label"),
        ("namespace: A", "metadata.namespace is not a DNS label"),
        ("namespace: ' '", "metadata.namespace is not a DNS label"),
        ("namespace: a/b", "metadata.namespace is not a DNS label"),
        ("uid: 123", "metadata.uid is a number but must be a string: write \"123\""),
        ("uid: false", "metadata.uid is a boolean"),
        ("resourceVersion: 7", "metadata.resourceVersion is a number"),
        ("labels: {app.io/label: true}", "metadata.labels[\"app.io/label\"] is a boolean"),
        (
            "labels: {app.io/label: 1.5}",
            "metadata.labels[\"app.io/label\"] is a number but must be a string: write \"1.5\"",
        ),
        ("labels: {other: 7}", "metadata.labels[\"other\"] is a number"),
        ("labels: {other: {a: b}}", "metadata.labels[\"other\"] is an object"),
        ("labels: {other: a b}", "metadata.labels[\"other\"] has an invalid value"),
        (&long, "metadata.labels[\"a\"] has an invalid value"),
        ("labels: {a b: c}", "metadata.labels[\"a b\"] has an invalid key"),
        ("labels: [a]", "metadata.labels is a list but must be an object"),
        ("annotations: {app.io/annotation: 7}", "metadata.annotations[\"app.io/annotation\"] is a number"),
        ("annotations: {other: yes}", "metadata.annotations[\"other\"] is a boolean"),
        ("annotations: text", "metadata.annotations is a string but must be an object"),
        ("deletionTimestamp: 7", "metadata.deletionTimestamp is a number"),
        ("deletionTimestamp: yesterday", "metadata.deletionTimestamp is not a time"),
    ];
    let status = [
        ("phase: true", "status.phase is a boolean"),
        ("phase: 1", "status.phase is a number"),
        ("phase: running", "status.phase is not a phase of a Pod: write \"Pending\", \"Running\""),
        ("podIP: 10", "status.podIP is a number"),
        ("podIP: 10.0", "status.podIP is a number"),
        ("podIP: 10.0.0.1/24", "status.podIP is an address with a prefix: write \"10.0.0.1\""),
        ("podIP: 'fd00::1/64'", "status.podIP is an address with a prefix: write \"fd00::1\""),
        ("podIP: 10.0.0.256", "status.podIP is not an address"),
        ("podIP: 010.0.0.1", "status.podIP is not an address"),
        ("podIP: 'fe80::1%eth0'", "status.podIP is not an address"),
        ("podIP: localhost", "status.podIP is not an address"),
        ("podIPs: [{ip: 10.0.0.1/24}]", "status.podIPs[0].ip is an address with a prefix: write \"10.0.0.1\""),
        ("podIPs: [{ip: 10.0.0.1}, {ip: 7}]", "status.podIPs[1].ip is a number"),
        ("podIPs: [10.0.0.1]", "status.podIPs[0] is a string but must be an object: write {ip: "),
        ("podIPs: {ip: 10.0.0.1}", "status.podIPs is an object but must be a list"),
        ("hostIP: 10.0.0.1/8", "status.hostIP is an address with a prefix"),
        ("hostIPs: [{ip: x}]", "status.hostIPs[0].ip is not an address"),
        (
            "conditions: [{type: Ready, status: True}]",
            "status.conditions[0].status is a boolean but must be a string: write \"True\"",
        ),
        (
            "conditions: [{type: Ready, status: no}]",
            "status.conditions[0].status is a boolean but must be a string: write \"False\"",
        ),
        ("conditions: [{type: Ready, status: 'true'}]", "status.conditions[0].status is not valid: write \"True\""),
        ("conditions: [{type: 1, status: 'True'}]", "status.conditions[0].type is a number"),
        ("conditions: [Ready]", "status.conditions[0] is a string but must be an object"),
        ("conditions: Ready", "status.conditions is a string but must be a list"),
        ("startTime: 7", "status.startTime is a number"),
        ("startTime: 2024-01-02", "status.startTime is not a time"),
    ];
    let others = [
        ("kind: Pod\nmetadata: {name: 7}", "metadata.name is a number but must be a string: write \"7\""),
        ("kind: Pod\nmetadata: {name: on}", "metadata.name is a boolean"),
        ("kind: Pod\nmetadata: {name: p_q}", "metadata.name is not a DNS subdomain"),
        ("kind: Pod\nmetadata: null", "metadata.name is missing"),
        ("kind: Pod\nmetadata: p", "metadata is a string but must be an object"),
        ("kind: 7\nmetadata: {name: p}", "kind is a number"),
        ("kind: true\nmetadata: {name: p}", "kind is a boolean"),
        ("kind: \nmetadata: {name: p}", "kind is null"),
        ("kind: 'Po d'\nmetadata: {name: p}", "kind is not the name of a kind"),
        ("apiVersion: 1\nkind: Pod\nmetadata: {name: p}", "apiVersion is a number"),
        ("apiVersion: apps/v1\nkind: Pod\nmetadata: {name: p}", "apiVersion is not that of a Pod: write \"v1\""),
        (
            "kind: Pod\nmetadata: {name: p}\nspec: {hostNetwork: 'true'}",
            "spec.hostNetwork is a string but must be a boolean",
        ),
        ("kind: Pod\nmetadata: {name: p}\nstatus: []", "status is a list but must be an object"),
        ("kind: Pod\nmetadata: {name: p, name: q}", "not YAML: "),
        ("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":123}}", "metadata.namespace is a number"),
        ("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"name\":\"q\"}}", "not JSON: an object has a key twice"),
        ("kind: List\nitems:\n- kind: Pod\n  metadata: {name: p, uid: 7}", "items[0].metadata.uid is a number"),
    ];
    let metadata = metadata.map(|(field, reason)| (format!("kind: Pod\nmetadata: {{name: p, {field}}}"), reason));
    let status =
        status.map(|(field, reason)| (format!("kind: Pod\nmetadata: {{name: p}}\nstatus: {{{field}}}"), reason));
    let others = others.map(|(text, reason)| (text.to_owned(), reason));
    for (text, reason) in metadata.into_iter().chain(status).chain(others) {
        let folder = Folder::new("strict");
        folder.write("a.yaml", &format!("{}---\n{text}\n", pod("default-p")));
        let held = folder.load();
        let [problem] = held.problems() else { panic!("{text}: {:?}", held.problems()) };
        assert_eq!(problem.document, Some(2), "{text}: {problem}");
        assert!(problem.reason.starts_with(reason), "{text}: {problem}");
        assert!(problem.file.ends_with("a.yaml"), "{problem:?}");
        assert_eq!(names(&held), ["default/default-p"], "{text}");
    }
}

/// What looks like a number and stands in quotes is a string, and what the API server fills in may be null.
#[test]
fn values_that_the_api_server_accepts_are_accepted() {
    let texts = [
        "kind: Pod\nmetadata: {name: '7', namespace: '123', uid: \"123\", labels: {a: 'true', b.c/d: ''}}",
        "kind: Pod\nmetadata: {name: !!str 7, namespace: !!str 123, uid: !!str 123}",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: '7', namespace: '123', uid: '123', creationTimestamp: null}\nspec: {}\nstatus: {}",
        "kind: Pod\nmetadata: {name: '7', namespace: '123', uid: '123', labels: null, deletionTimestamp: null}\nspec: null\nstatus: null",
        "kind: Pod\nmetadata: {name: '7', namespace: '123', uid: '123'}\nstatus: {podIP: '', podIPs: [], conditions: [], startTime: null}",
    ];
    for text in texts {
        let folder = Folder::new("lenient");
        folder.write("a.yaml", text);
        let held = folder.load();
        assert_eq!((names(&held), held.problems()), (vec!["123"], &[][..]), "{text}");
        assert_eq!((&*held.pods[0].pod.namespace, &*held.pods[0].pod.name), ("123", "7"), "{text}");
    }
}

/// What to write is the file's own text where that fits, and else what does: kubectl knows `1.10` from `1.1`.
#[test]
fn what_to_write_is_what_the_file_means() {
    let label = |written: &str| format!("metadata: {{name: p, labels: {{a: {written}}}}}");
    let of_label = |due: &str| format!("metadata.labels[\"a\"] is a number but must be a string: write {due}");
    let same =
        ["1.10", "0123", "1e3", "1E3", "0x1F", "0o17", "0b1", "1_0", "1__0", "685_230.15", "18446744073709551616"];
    let same = same.map(|written| (label(written), of_label(&format!("\"{written}\""))));
    let phase = "\"Pending\", \"Running\", \"Succeeded\", \"Failed\" or \"Unknown\"";
    let others = [
        (
            "metadata: {name: p, labels: {a: yes}}",
            "metadata.labels[\"a\"] is a boolean but must be a string: write \"yes\"",
        ),
        (
            "metadata: {name: p, labels: {a: +5}}",
            "metadata.labels[\"a\"] is a number but must be a string: write the value of a label",
        ),
        (
            "metadata: {name: p, annotations: {a: .inf}}",
            "metadata.annotations[\"a\"] is a number but must be a string: write \".inf\"",
        ),
        (
            "metadata: {name: p, annotations: {a: -.INF}}",
            "metadata.annotations[\"a\"] is a number but must be a string: write \"-.INF\"",
        ),
        (
            "metadata: {name: p, annotations: {a: .nan}}",
            "metadata.annotations[\"a\"] is a number but must be a string: write \".nan\"",
        ),
        (
            "metadata: {name: p, namespace: Off}",
            "metadata.namespace is a boolean but must be a string: write lower case letters",
        ),
        (
            "metadata: {name: p, namespace: 1.5}",
            "metadata.namespace is a number but must be a string: write lower case letters",
        ),
        ("metadata: {name: 1.50}", "metadata.name is a number but must be a string: write \"1.50\""),
        ("metadata: {name: 0x1F}", "metadata.name is a number but must be a string: write lower case letters"),
        (
            "metadata: {name: p}\nstatus: {phase: yes}",
            &format!("status.phase is a boolean but must be a string: write {phase}"),
        ),
        (
            "metadata: {name: p}\nstatus: {podIP: 10.0}",
            "status.podIP is a number but must be a string: write one such as \"10.0.0.1\"",
        ),
        (
            "metadata: {name: p}\nstatus: {podIPs: [{ip: 10}]}",
            "status.podIPs[0].ip is a number but must be a string: write one such as",
        ),
        (
            "metadata: {name: p}\nstatus: {startTime: 2024}",
            "status.startTime is a number but must be a string: write one such as \"2026-",
        ),
        (
            "metadata: {name: p}\nstatus: {conditions: [{type: Ready, status: 1}]}",
            "status.conditions[0].status is a number but must be a string: write \"True\", \"False\" or",
        ),
        ("apiVersion: 1\nmetadata: {name: p}", "apiVersion is a number but must be a string: write \"v1\""),
    ];
    let others = others.map(|(text, reason)| (text.to_owned(), reason.to_owned()));
    let yaml = same.into_iter().chain(others).map(|(text, reason)| (format!("kind: Pod\n{text}\n"), reason));
    let json = ["1.10", "1e3", "-0.0", "123456789012345678901234"].map(|written| {
        let text = format!("{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"p\",\"uid\":{written}}}}}");
        (text, format!("metadata.uid is a number but must be a string: write \"{written}\""))
    });
    for (text, reason) in yaml.chain(json) {
        let folder = Folder::new("hints");
        folder.write("a.yaml", &text);
        let held = folder.load();
        let [problem] = held.problems() else { panic!("{text}: {:?}", held.problems()) };
        assert!(problem.reason.starts_with(&reason), "{text}: {problem}");
    }
    let texts =
        ["tRue", "yES", "nULL", "_1", "1_x", "0x", "1.2.3", ".Nan", "2024-01-02", "0xFFFFFFFFFFFFFFFFFF", "1e400"];
    for written in texts {
        let folder = Folder::new("texts");
        folder.write("a.yaml", &format!("kind: Pod\nmetadata: {{name: p, annotations: {{a: {written}}}}}\n"));
        assert_eq!(folder.load().problems(), [], "{written}");
    }
    // Ports are whole numbers in every form that kubectl reads.
    for (port, is_whole) in
        [("0x50", true), ("8_0", true), ("8e1", true), ("80.0", true), ("0120", true), ("8.5", false), (".inf", false)]
    {
        let folder = Folder::new("ports");
        folder.write("a.yaml", &format!("kind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: c, ports: [{{containerPort: {port}}}]}}]}}\n"));
        assert_eq!(folder.load().problems().is_empty(), is_whole, "{port}");
    }
}
