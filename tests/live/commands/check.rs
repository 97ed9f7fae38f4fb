//! `callsign check`.

use super::{Folder, pod, pods, run, value};

/// A workload whose template has this metadata and these containers.
fn workload(kind: &str, metadata: &str, containers: &str) -> String {
    let template = format!("{{metadata: {metadata}, spec: {{containers: [{containers}]}}}}");
    let (api, spec) = match kind {
        "Job" => ("batch/v1", format!("{{template: {template}}}")),
        "CronJob" => ("batch/v1", format!("{{jobTemplate: {{spec: {{template: {template}}}}}}}")),
        "ReplicationController" => ("v1", format!("{{template: {template}}}")),
        _ => ("apps/v1", format!("{{template: {template}}}")),
    };
    format!("---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: web, namespace: shop}}\nspec: {spec}\n")
}

const LABEL: &str = "labels: {app.io/label: app.io-value}";
const HTTP: &str = "{name: c, ports: [{name: http, containerPort: 8080}]}";

#[test]
fn check_prints_each_mistake_on_one_line() {
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.300\n";
    let folder = Folder::new(
        "check",
        &[
            ("pods.yaml", &pods()),
            ("torn.yaml", "kind: Pod\nmetadata: {name: [\n"),
            ("db.example.zone", zone),
            ("callsign.toml", "zone = \"rpc.example.org.\"\nttl = 0\n"),
        ],
    );
    let (all, config) = (folder.path(""), folder.path("callsign.toml"));
    let ran = run(&["check", "--manifests", &all, "--zones", &all], "");
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.out);
    assert!(lines[0].contains("torn.yaml, line "), "{}", lines[0]);
    assert_eq!(lines[1], "Pod default/foreign, profile app, offset 1: ip: foreign address");
    assert_eq!(lines[2], "Pod default/garbled, profile app, offset 0: bad base64");
    assert!(lines[3].contains("db.example.zone:5:"), "{}", lines[3]);

    let ran = run(&["check", "--config", &config], "");
    assert_eq!((ran.code, ran.out.lines().count()), (1, 1), "{}", ran.out);
    assert!(ran.out.starts_with("--ttl: 0 is not"), "{}", ran.out);

    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/zones");
    let ran = run(&["check", "--zones", demo], "");
    let sum = "CHECKED                  COUNT\nzone files               1\nfiles that they include  0\n";
    assert!(ran.code == 0 && ran.out.is_empty() && ran.err.starts_with(sum), "{}{}", ran.out, ran.err);

    // Other objects are reported by kind and count.
    let others = "kind: Pod\nmetadata: {name: p, labels: {app.io/label: app.io-value}}\n---\nkind: Service\n---\nkind: Secret\n---\nkind: List\nitems: [{kind: Secret}]\n";
    let ran = run(&["check", "--manifests", "-"], others);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(ran.err.contains("ignored: 2 Secret, 1 Service\n"), "{}", ran.err);

    // A namespace that is no string is an error, and the Pod is in no namespace.
    let ran = run(&["check", "--manifests", "-"], "kind: Pod\nmetadata: {name: p, namespace: 123}\n");
    let mistake =
        "standard input, document 1, Pod p: metadata.namespace is a number but must be a string: write \"123\"\n";
    assert_eq!((ran.code, ran.out.as_str()), (1, mistake));
    let ran = run(&["why", "default/p", "--manifests", "-"], "kind: Pod\nmetadata: {name: p, namespace: 123}\n");
    assert!(ran.out.contains("no such Pod: default/p"), "{}{}", ran.out, ran.err);

    // `check` does not connect to the cluster that a configuration names, and a warning is no error.
    let hides = "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";
    let config = "context = \"no-such\"\nmanifests = []\n";
    let folder = Folder::new("warns", &[("shop.rpc.cluster.local.zone", hides), ("callsign.toml", config)]);
    let (all, config) = (folder.path(""), folder.path("callsign.toml"));
    let ran = run(&["check", "--config", &config, "--zones", &all], "");
    let expected = format!(
        "\
warning: the static zone shop.rpc.cluster.local. hides the names of Pods below it in rpc.cluster.local.
warning: {all}: not read, since a zone file is named <origin>.zone: callsign.toml
CHECKED                  COUNT
configuration files      1
profiles                 2
zone files               1
files that they include  0
zones                    1
records                  3
no mistakes found
"
    );
    assert_eq!((ran.code, ran.out.as_str(), ran.err), (0, "", expected));
}

#[test]
fn check_says_what_it_checked_and_fails_if_there_was_nothing() {
    const SOA: &str = "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\n";
    const OTHERS: &str = "kind: Secret\nmetadata: {name: d}\n---\nkind: Service\nmetadata: {name: s}\n";
    let included = format!("{SOA}$INCLUDE more.inc\n");
    let folder = |name: &str, files: &[(&str, &str)]| Folder::new(&format!("counts-{name}"), files);
    let pods = pods();
    let good = pod("good", Some(&value(&[])), "", "podIPs: [{ip: 10.0.0.1}]");
    let plain = pod("plain", None, "", "podIPs: [{ip: 10.0.0.1}]");
    let bare = pod("bare", None, ", labels: {app.io/label: app.io-value}", "podIPs: [{ip: 10.0.0.1}]");
    let many: Vec<String> = (0..12).map(|at| format!("db.example.{at:02}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), SOA)).collect();
    for (case, flag, files, code, out, err) in [
        ("others", "--zones", &[("db.example", SOA)][..], 1, "nothing is checked: it has no zone file", "db.example\n"),
        ("many", "--zones", &many, 1, "nothing is checked", "db.example.00, db.example.01"),
        ("more", "--zones", &many, 1, "nothing is checked", "db.example.09, 2 more\n"),
        ("empty", "--zones", &[], 1, "nothing is checked: it has no zone file", "zone files               0\n"),
        ("hidden", "--zones", &[(".db", SOA)], 1, "nothing is checked", "zone files               0\n"),
        ("bad", "--zones", &[("a.zone", SOA), ("b.zone", "x")], 1, "b.zone:1:", "zones                    1\n"),
        ("zone", "--zones", &[("a.zone", SOA)], 0, "", "records                  2\nno mistakes found\n"),
        (
            "inc",
            "--zones",
            &[("a.zone", &included), ("more.inc", "w A 192.0.2.1\n")],
            0,
            "",
            "records                  3\n",
        ),
        ("inc2", "--zones", &[("a.zone", &included), ("more.inc", "")], 0, "", "files that they include  1\n"),
        ("none", "--manifests", &[], 1, "nothing is checked: it has no manifest", "manifest files               0\n"),
        ("text", "--manifests", &[("pods.txt", &good)], 1, "nothing is checked", ".json: pods.txt\n"),
        (
            "void",
            "--manifests",
            &[("a.yaml", "")],
            1,
            "nothing is checked: it has no objects",
            "Pods                         0\n",
        ),
        ("kinds", "--manifests", &[("a.yaml", OTHERS)], 1, "they have no Pods and no Pod templates, but 2 objects", ""),
        (
            "plain",
            "--manifests",
            &[("a.yaml", &plain)],
            1,
            "no Pod or Pod template in them has a profile's label: app selects app.io/",
            "",
        ),
        ("bare", "--manifests", &[("a.yaml", &bare)], 0, "", "warning: no Pod in the manifests has a registration"),
        (
            "part",
            "--manifests",
            &[("a.yaml", &good), ("b.json", ""), ("c.yaml", "#")],
            0,
            "",
            "no objects in b.json, c.yaml",
        ),
        ("good", "--manifests", &[("a.yaml", &good), ("b.json", "")], 0, "", "registrations                1\n"),
        ("pods", "--manifests", &[("a.yaml", &pods)], 1, "bad base64", "Pods with a profile's label  8\n"),
        ("torn", "--manifests", &[("a.yaml", "{")], 1, "a.yaml", "Pods                         0\n"),
    ] {
        let folder = folder(case, files);
        let ran = run(&["check", flag, &folder.path("")], "");
        assert_eq!(ran.code, code, "{case}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(out) && ran.err.contains(err), "{case}: {}{}", ran.out, ran.err);
        assert_eq!(ran.out.is_empty(), code == 0, "{case}: {}", ran.out);
        assert_eq!(ran.err.contains("no mistakes found"), code == 0, "{case}: {}", ran.err);
        assert!(!ran.out.contains("nothing is checked") || !ran.err.contains("no mistakes"), "{case}");

        let json = run(&["check", "--json", flag, &folder.path("")], "");
        let told: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
        let mistakes = told["mistakes"].as_array().expect("a list").len();
        assert_eq!((json.code, json.err.as_str(), mistakes > 0), (code, "", code == 1), "{case}: {told}");
        let named = told["checked"].as_object().expect("an object").iter().filter(|(_, part)| part.is_object());
        assert_eq!(named.count(), 1, "{case}: {told}");
    }
    for args in [&["check"][..], &["check", "--json"]] {
        let ran = run(args, "");
        assert!(ran.code == 2 && ran.out.is_empty() && ran.err.contains("required"), "{args:?}: {}", ran.err);
    }
}

/// Each path that is named is checked, or is a mistake.
#[test]
fn check_reports_each_path_without_a_content() {
    let good = pod("good", Some(&value(&[])), "", "podIPs: [{ip: 10.0.0.1}]");
    let folder = Folder::new("paths", &[("good.yaml", &good), ("empty.yaml", ""), ("comment.yaml", "# nothing\n")]);
    for sub in ["sub/deeper", "other", "bare"] {
        std::fs::create_dir_all(folder.0.join(sub)).expect("make a folder");
    }
    for file in ["sub/deeper/a.yaml", "other/a.zone"] {
        std::fs::write(folder.0.join(file), "").expect("write a file");
    }
    let path = |name: &str| folder.path(name);
    let [good, empty, comment, missing, bare] =
        ["good.yaml", "empty.yaml", "comment.yaml", "no.yaml", "bare"].map(path);
    let without_objects = |path: &str| format!("{path}: nothing is checked: it has no objects\n");
    for (paths, out, files) in [
        (vec![&good], String::new(), 1),
        (vec![&good, &good], String::new(), 1),
        (vec![&good, &empty], without_objects(&empty), 2),
        (vec![&comment, &good], without_objects(&comment), 2),
        (vec![&good, &missing], format!("{missing}: No such file or directory (os error 2)\n"), 1),
        (
            vec![&good, &bare],
            format!("{bare}: nothing is checked: it has no manifest, and subfolders are not read\n"),
            1,
        ),
    ] {
        let args: Vec<&str> = paths.iter().flat_map(|path| ["--manifests", path.as_str()]).collect();
        let ran = run(&[&["check"], &args[..]].concat(), "");
        assert_eq!((ran.code, &ran.out), (i32::from(!out.is_empty()), &out), "{paths:?}: {}", ran.err);
        assert!(ran.err.contains(&format!("manifest files               {files}\n")), "{paths:?}: {}", ran.err);
    }
    let ran = run(&["check", "--manifests", &good, "--manifests", "-"], "");
    assert_eq!((ran.code, ran.out), (1, without_objects("standard input")));

    // Only subfolders that have something to read are worth a warning.
    let all = path("");
    let ran = run(&["check", "--manifests", &all], "");
    let warnings: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("warning: ")).collect();
    let expected = [
        format!("warning: {all}: not read, since subfolders are not read: sub"),
        format!("warning: {all}: no objects in comment.yaml, empty.yaml"),
    ];
    assert_eq!((ran.code, warnings), (0, expected.iter().map(String::as_str).collect()));
    let ran = run(&["check", "--zones", &all], "");
    assert!(ran.err.contains(&format!("{all}: not read, since subfolders are not read: other\n")), "{}", ran.err);
}

#[test]
fn check_shows_what_each_kind_of_template_would_register() {
    let metadata = format!("{{{LABEL}, annotations: {{app.io/interface: org.acme.Greeter, app.io/port: http}}}}");
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"] {
        let manifest = workload(kind, &metadata, HTTP);
        let list = format!("kind: List\nitems: [{{kind: Secret}}]\n{manifest}");
        for text in [&manifest, &list] {
            let ran = run(&["check", "--manifests", "-"], text);
            assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{kind}: {}", ran.err);
            let row: Vec<&str> = ran.err.lines().nth(1).expect("a row").split_whitespace().collect();
            let expected = [kind, "shop/web", "app", "org.acme.Greeter", "-", "-", "http", "<pod>:8080", "100", "-"];
            assert_eq!(row, expected, "{}", ran.err);
            assert!(ran.err.contains("Pod templates                1\n"), "{}", ran.err);
            assert!(ran.err.contains("registrations                1\n"), "{}", ran.err);
        }
    }
    let deployment = workload("Deployment", &metadata, HTTP).replace("---\n", "").replace('\n', "\n  ");
    let listed = format!("kind: List\nitems:\n- {}\n- kind: Secret\n", deployment.trim());
    let ran = run(&["check", "--json", "--manifests", "-"], &listed);
    let told: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    let one = &told["registrations"][0];
    assert_eq!(
        (&one["kind"], &one["name"], &one["port"]),
        (&"Deployment".into(), &"web".into(), &8080.into()),
        "{told}"
    );
    assert!(one["address"].is_null() && told["checked"]["manifests"]["templates"] == 1, "{told}");

    // A Pod's own addresses are known, and a preset reads what a chart has.
    let pods = pod("p", Some(&value(&[])), "", "podIPs: [{ip: 10.0.0.1}]");
    let ran = run(&["check", "--manifests", "-"], &pods);
    assert!(ran.err.contains("Pod default/p  app      org.acme.Greeter"), "{}", ran.err);
    assert!(ran.err.contains("10.0.0.1:20880"), "{}", ran.err);
    let chart = workload("StatefulSet", "{labels: {app.kubernetes.io/name: nginx}}", HTTP);
    let ran = run(&["check", "--profiles", "labels", "--manifests", "-"], &chart);
    assert!(ran.code == 0 && ran.err.contains("labels   nginx"), "{}{}", ran.out, ran.err);
    let ran = run(&["check", "--manifests", "-"], &chart);
    assert!(ran.code == 1 && ran.out.contains("has a profile's label"), "{}{}", ran.out, ran.err);
}

/// A Job that `kubectl create` names is read as any other.
#[test]
fn check_reads_a_job_without_a_name() {
    let job = |annotations: &str| {
        workload("Job", &format!("{{{LABEL}, annotations: {{{annotations}}}}}"), HTTP)
            .replace("{name: web,", "{generateName: migrate-,")
    };
    let ran = run(&["check", "--manifests", "-"], &job("app.io/interface: a.B"));
    assert!(ran.code == 0 && ran.err.contains("Job shop/migrate-  app      a.B"), "{}{}", ran.out, ran.err);
    let ran = run(&["check", "--manifests", "-"], &job("app.io/interfce: a.B"));
    let expected = "Job shop/migrate-: profile app: annotation app.io/interfce: unknown key: write app.io/interface";
    assert!(ran.code == 1 && ran.out.contains(expected), "{}{}", ran.out, ran.err);
    let ran = run(&["check", "--manifests", "-"], &job("app.io/interface: 7"));
    assert!(ran.code == 1 && ran.out.contains("Job shop/migrate-: spec.template.metadata"), "{}{}", ran.out, ran.err);
}

/// The API's own lists of workloads, whose items have no kind.
#[test]
fn check_reads_the_lists_of_workloads() {
    let template = |annotations: &str| format!("{{metadata: {{{LABEL}, annotations: {{{annotations}}}}}}}");
    let item = |name: &str, annotations: &str| {
        format!("{{metadata: {{name: {name}}}, spec: {{template: {}}}}}", template(annotations))
    };
    let list = |api: &str, kind: &str, items: &[String]| {
        format!("apiVersion: {api}\nkind: {kind}\nitems:\n- {}\n", items.join("\n- "))
    };
    let good = item("a", "app.io/interface: a.B, app.io/port: '1'");
    let bad = item("b", "app.io/interfce: a.B, app.io/port: '1'");
    for (kind, api) in
        [("Deployment", "apps/v1"), ("DaemonSet", "apps/v1"), ("ReplicationController", "v1"), ("Job", "batch/v1")]
    {
        let text = list(api, &format!("{kind}List"), &[good.clone(), bad.clone()]);
        let ran = run(&["check", "--manifests", "-"], &text);
        let mistake = format!("{kind} default/b: profile app: annotation app.io/interfce: unknown key");
        assert!(ran.code == 1 && ran.out.contains(&mistake), "{text}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(&format!("{kind} default/a  app      a.B")), "{text}: {}", ran.err);
        assert!(ran.err.contains("Pod templates                2\n"), "{text}: {}", ran.err);
    }
    // A list that is too long to be read whole.
    let filler = item("c", &format!("x: {}", "y".repeat(200_000)));
    let items: Vec<String> = std::iter::repeat_n(filler, 25).chain([bad.clone()]).collect();
    let ran = run(&["check", "--manifests", "-"], &list("apps/v1", "DeploymentList", &items));
    assert!(ran.code == 1 && ran.out.contains("Deployment default/b: profile app"), "{}{}", ran.out, ran.err);
    // The list of another API, and the same list where only Pods are read.
    let ran =
        run(&["check", "--manifests", "-"], &list("example.com/v1", "DeploymentList", std::slice::from_ref(&bad)));
    assert!(ran.err.contains("ignored: 1 DeploymentList") && !ran.out.contains("default/b"), "{}{}", ran.out, ran.err);
    let ran = run(&["ls", "--manifests", "-"], &list("apps/v1", "DeploymentList", &[bad]));
    assert!(!ran.out.contains("default/b") && !ran.err.contains("default/b"), "{}{}", ran.out, ran.err);
}

/// A plain annotation of one table that a selecting table maps is read, so no label is missing.
#[test]
fn check_does_not_ask_for_a_label_of_an_annotation_that_is_read() {
    let tables = "[[profile]]\nname = 'keys'\nselector = 't=keys'\nencoding = 'keys'\ninterface = 'annotation:ex.io/name'\n\
                  port = '=80'\nmetadata = ['prefix:ex.io/m-']\n\
                  [[profile]]\nname = 'plain'\nselector = 't=plain'\nannotation = 'ex.io/reg'\nplain = true\n";
    let folder = Folder::new("mapped", &[("callsign.toml", tables)]);
    let config = folder.path("callsign.toml");
    let pod = |annotations: &str| {
        format!("kind: Pod\nmetadata: {{name: p, labels: {{t: keys}}, annotations: {{{annotations}}}}}\n")
    };
    for (annotations, mistake) in [
        ("ex.io/name: a.B", ""),
        ("ex.io/name: a.B, ex.io/m-zone: a", ""),
        ("ex.io/name: a.B, ex.io/port: '80'", "annotation ex.io/port: no profile selects the Pod"),
    ] {
        let ran = run(&["check", "--config", &config, "--manifests", "-"], &pod(annotations));
        assert_eq!(ran.code, i32::from(!mistake.is_empty()), "{annotations}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(mistake) && ran.err.contains("a.B"), "{annotations}: {}{}", ran.out, ran.err);
    }
}

/// What is nearly right in a template is a mistake that says what to write.
#[test]
fn check_names_what_is_wrong_in_a_template() {
    let annotated = |annotations: &str| format!("{{{LABEL}, annotations: {{{annotations}}}}}");
    let greeter = "app.io/interface: org.acme.Greeter";
    let two = "{name: a, ports: [{containerPort: 1}]}, {name: b, ports: [{containerPort: 2}]}";
    let init = "{name: c}], initContainers: [{name: i, restartPolicy: Always, ports: [{name: grpc, containerPort: 9}]}";
    let not_kept = "{name: c}], initContainers: [{name: i, ports: [{name: grpc, containerPort: 9}]}";
    for (metadata, containers, expected) in [
        (annotated(&format!("{greeter}, app.io/port: http")), HTTP, ""),
        (annotated(greeter), HTTP, ""),
        (annotated(&format!("{greeter}, app.io/port: grpc")), init, ""),
        (annotated(&format!("{greeter}, app.io/port: '2'")), two, ""),
        (format!("{{annotations: {{{greeter}, app.io/register: 'true'}}, {LABEL}}}"), HTTP, ""),
        (
            annotated("app.io/interfce: a, app.io/port: http"),
            HTTP,
            "profile app: annotation app.io/interfce: unknown key: write app.io/interface",
        ),
        (
            annotated(&format!("{greeter}, app.io/prot: http")),
            HTTP,
            "profile app: annotation app.io/prot: unknown key: write app.io/port",
        ),
        (
            annotated(&format!("{greeter}, app.io/port: grpc")),
            HTTP,
            "profile app: annotation app.io/port: port is not a number from 1 to 65535, and no TCP container port has this name",
        ),
        (annotated(&format!("{greeter}, app.io/port: grpc")), not_kept, "no TCP container port has this name"),
        (annotated(greeter), two, "profile app: annotation app.io/port: no port: write a number"),
        (annotated(greeter), "{name: c}", "profile app: annotation app.io/port: no port: write a number"),
        (annotated("app.io/port: http"), HTTP, "profile app: annotation app.io/interface: no interface"),
        (
            annotated(&format!("{greeter}, app.io/port: 8080")),
            HTTP,
            "spec.template.metadata.annotations[\"app.io/port\"] is a number but must be a string: write \"8080\"",
        ),
        (
            annotated(&format!("{greeter}, app.io/weight: many")),
            HTTP,
            "profile app: annotation app.io/weight: weight is not a whole number",
        ),
        (annotated("app.io/annotation: '%%%'"), HTTP, "profile app: bad base64"),
        (
            annotated("app.io/annotation: '[{\"interface\":\"a\",\"port\":\"no\"}]'"),
            HTTP,
            "profile app, offset 25: port: port is not a number",
        ),
        (
            format!("{{annotations: {{{greeter}}}}}"),
            HTTP,
            "annotation app.io/interface: no profile selects the Pod template: give it the label that the profile app \
             selects, app.io/label=app.io-value",
        ),
        (
            format!("{{labels: {{app.io/label: app}}, annotations: {{{greeter}}}}}"),
            HTTP,
            "no profile selects the Pod template",
        ),
        (
            "{annotations: {dubbo.io/annotation: '[]'}}".to_owned(),
            HTTP,
            "annotation dubbo.io/annotation: no profile selects the Pod template: give it the label that the profile dubbo",
        ),
        (
            annotated(greeter),
            "{name: c, ports: [{name: http, containerPort: '8080'}]}",
            "spec.template.spec.containers[0].ports[0].containerPort is a string but must be a number",
        ),
        (annotated(greeter), "{name: c, prots: []}", "spec.template.spec.containers[0].prots is not a key of a Pod"),
    ] {
        for kind in ["Deployment", "CronJob"] {
            let expected = expected.replace(
                "spec.template.",
                if kind == "CronJob" { "spec.jobTemplate.spec.template." } else { "spec.template." },
            );
            let ran = run(
                &["check", "--manifests", "-"],
                &format!("kind: Secret\n{}", workload(kind, &metadata, containers)),
            );
            assert_eq!(ran.code, i32::from(!expected.is_empty()), "{metadata} {containers}: {}{}", ran.out, ran.err);
            let place = format!("standard input, document 2, {kind} shop/web: ");
            assert!(ran.out.is_empty() || ran.out.starts_with(&place), "{}", ran.out);
            assert!(ran.out.contains(&expected), "{metadata} {containers}: {}", ran.out);
            assert!(ran.out.lines().count() <= 2, "{}", ran.out);
        }
    }
    let left = annotated(&format!("{greeter}, app.io/port: http, app.io/register: 'true'"));
    let ran = run(&["check", "--manifests", "-"], &workload("Deployment", &left, HTTP));
    let warning = "warning: with app.io/register the annotations of 1 object are left to `callsign register`";
    assert!(ran.code == 0 && ran.err.contains(warning), "{}{}", ran.out, ran.err);
    // The labels and annotations of a workload are not those of its Pods.
    let own = |metadata: &str, template: &str| {
        workload("Deployment", template, HTTP)
            .replace("{name: web, namespace: shop}", &format!("{{name: web, {metadata}}}"))
    };
    let jobs = |metadata: &str, template: &str| {
        workload("CronJob", template, HTTP)
            .replace("jobTemplate: {", &format!("jobTemplate: {{metadata: {{{metadata}}}, "))
    };
    for (manifest, expected) in [
        (
            own(&format!("annotations: {{{greeter}}}"), &format!("{{{LABEL}}}")),
            "Deployment default/web: annotation app.io/interface is on the Deployment: write it below \
             spec.template.metadata.annotations",
        ),
        (
            jobs(&format!("annotations: {{{greeter}}}"), &format!("{{{LABEL}}}")),
            "CronJob shop/web: annotation app.io/interface is on the CronJob's spec.jobTemplate: write it below \
             spec.jobTemplate.spec.template.metadata.annotations",
        ),
        (
            jobs("annotations: {app.io/token=hunter2: x}", &format!("{{{LABEL}}}")),
            "annotation (withheld) is on the CronJob's spec.jobTemplate: write it below",
        ),
        (jobs(LABEL, &format!("{{annotations: {{{greeter}}}}}")), "That of the CronJob does not count"),
        (own(LABEL, &format!("{{annotations: {{{greeter}}}}}")), "That of the Deployment does not count"),
        ("kind: Deployment\nmetadata: {name: web}\n".to_owned(), "Deployment default/web: spec.template is missing"),
        ("kind: CronJob\nmetadata: {name: web}\nspec: {}\n".to_owned(), "spec.jobTemplate.spec.template is missing"),
        ("kind: deployment\nmetadata: {name: web}\n".to_owned(), "kind is misspelt: write \"Deployment\""),
        ("kind: Deployment\nspec: {template: {spec: {}}}\n".to_owned(), "metadata.name is missing"),
        (
            "kind: Job\nmetadata: {generateName: A-}\nspec: {template: {spec: {}}}\n".to_owned(),
            "metadata.generateName is not a DNS subdomain",
        ),
        (
            "kind: Job\nmetadata: {name: A, generateName: a-}\nspec: {template: {spec: {}}}\n".to_owned(),
            "metadata.name is not a DNS subdomain",
        ),
        (
            pod("p", None, &format!(", annotations: {{{greeter}}}"), ""),
            "Pod default/p: annotation app.io/interface: no profile selects the Pod: give it the label",
        ),
    ] {
        let ran = run(&["check", "--manifests", "-"], &manifest);
        assert!(ran.code == 1 && ran.out.contains(expected), "{manifest}: {}{}", ran.out, ran.err);
    }
    // `serve`, `ls` and `why` read Pods alone.
    let served = run(&["ls", "--manifests", "-"], &workload("Deployment", &annotated(greeter), HTTP));
    assert!(served.out.is_empty() && !served.err.contains("Deployment shop/web"), "{}", served.err);
}
