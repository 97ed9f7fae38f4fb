//! The commands other than `serve`, as a user runs them: the built program, its two outputs and its exit code.

mod check;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The result of a run of the program.
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program with an empty environment, so that the caller's shell cannot affect a test.
fn run(args: &[&str], input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_callsign"))
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the program");
    // The program may end without reading everything. Then the write fails, and only its code and outputs count.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("its end");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code().expect("a code"), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Folder {
        let folder = Folder(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("commands-{name}")));
        let _ = std::fs::remove_dir_all(&folder.0);
        std::fs::create_dir_all(&folder.0).expect("make a folder");
        for (file, text) in files {
            std::fs::write(folder.0.join(file), text).expect("write a file");
        }
        folder
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().expect("a path of UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Pod's manifest: its label and annotation if it has a value, and the rest of its metadata and status as given.
fn pod(name: &str, value: Option<&str>, metadata: &str, status: &str) -> String {
    let registered = value.map(|value| {
        format!(", labels: {{app.io/label: app.io-value}}, annotations: {{app.io/annotation: '{value}'}}")
    });
    let registered = registered.unwrap_or_default();
    format!("---\nkind: Pod\nmetadata: {{name: {name}{registered}{metadata}}}\nstatus: {{{status}}}\n")
}

/// An annotation's value.
fn value(flags: &[&str]) -> String {
    let Run { code, out, err } =
        run(&[&["encode", "--interface", "org.acme.Greeter", "--port", "20880"], flags].concat(), "");
    assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 1));
    out.trim_end().to_owned()
}

/// Pods with every reason not to be published, one each.
fn pods() -> String {
    let plain = value(&[]);
    let at = |ip: &str| format!("podIPs: [{{ip: {ip}}}]");
    let started = |day: u8| format!(", startTime: '2026-01-0{day}T00:00:00Z'");
    [
        pod("fine", Some(&value(&["--group", "gray"])), "", &at("10.0.0.1")),
        pod("unlabelled", None, "", &at("10.0.0.2")),
        pod("unready", Some(&plain), "", &(at("10.0.0.3") + ", conditions: [{type: Ready, status: 'False'}]")),
        pod("ending", Some(&plain), ", deletionTimestamp: '2026-01-01T00:00:00Z'", &at("10.0.0.4")),
        pod("finished", Some(&plain), "", &(at("10.0.0.5") + ", phase: Succeeded")),
        pod("garbled", Some("%%%"), "", &at("10.0.0.6")),
        pod("foreign", Some(&value(&["--ip", "10.0.0.1"])), "", &at("10.0.0.7")),
        pod("loser", Some(&plain), "", &(at("10.0.0.8") + &started(1))),
        pod("winner", Some(&plain), "", &(at("10.0.0.8") + &started(2))),
    ]
    .concat()
}

#[test]
fn a_value_is_the_same_after_decode_and_encode() {
    let value = value(&["--version", "1.0.0", "--protocol", "tri", "--method", "hello", "--meta", "region=eu"]);
    let expected = "\
INTERFACE         GROUP  VERSION  PROTOCOL  ADDRESS:PORT  WEIGHT  METADATA
org.acme.Greeter  -      1.0.0    tri       <pod>:20880   100     methods=hello region=eu

1 registration, 0 consumers, 0 problems; 0 pairs withheld as secrets, 0 pairs left out for their keys
";
    for shown in [run(&["decode", &value], ""), run(&["decode"], &value), run(&["decode", "-"], &format!("{value}\n"))]
    {
        assert_eq!((shown.code, shown.out.as_str(), shown.err.as_str()), (0, expected, ""));
    }
    let pairs = r#"[{"k":"interface","v":"a.B"},{"k":"port","v":1}]"#;
    let from_json = run(&["encode", "-"], pairs);
    assert_eq!(
        (from_json.code, from_json.out.as_str()),
        (0, "W3siayI6ImludGVyZmFjZSIsInYiOiJhLkIifSx7ImsiOiJwb3J0IiwidiI6MX1d\n")
    );
}

/// What `encode` prints in any form is what `decode` reads.
#[test]
fn each_form_goes_from_encode_to_decode() {
    let flags =
        ["encode", "--interface", "org.acme.Greeter", "--port", "20880", "--protocol", "no", "--meta", "zone=a: #b"];
    let of_base64 = run(&["decode"], &run(&flags, "").out).out;
    assert!(of_base64.contains("org.acme.Greeter  -      -        no        <pod>:20880"), "{of_base64}");
    for form in ["--pairs", "--objects", "--plain"] {
        let written = run(&[&flags[..], &[form]].concat(), "");
        let read = run(&["decode"], &written.out);
        assert_eq!((written.code, read.code, read.out, read.err), (0, 0, of_base64.clone(), String::new()), "{form}");
    }
    // A port's name is for a Pod template, whose container ports tell the number and the protocol.
    let by_name = |more: &[&str]| run(&[&["encode", "--interface", "a.B", "--port", "http"], more].concat(), "");
    let written = by_name(&["--plain"]);
    assert_eq!((written.code, written.out.as_str()), (0, "app.io/interface: \"a.B\"\napp.io/port: \"http\"\n"));
    let ports = "spec:\n  containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]\n";
    let indented = written.out.replace("app.io/", "    app.io/");
    let pod = format!("kind: Pod\nmetadata:\n  name: p\n  annotations:\n{indented}{ports}");
    let read = run(&["decode"], &pod);
    assert!(read.code == 0 && read.out.contains("http      <pod>:8080"), "{}{}", read.out, read.err);
    assert!(by_name(&["--plain", "--protocol", "tri"]).out.contains("app.io/protocol: \"tri\"\napp.io/port: \"http\""));
    assert_eq!(by_name(&["--objects"]).out, "{\"interface\":\"a.B\",\"port\":\"http\"}\n");
    let refused = by_name(&["--pairs"]);
    assert!(refused.code == 2 && refused.err.contains("write the number, --plain or --objects"), "{}", refused.err);
    let both = run(&[&flags[..], &["--plain", "--objects"]].concat(), "");
    assert!(both.code == 2 && both.err.contains("cannot be used with"), "{}", both.err);
}

#[test]
fn bad_input_exits_with_1_and_a_failed_command_with_2() {
    for (args, code, out, err) in [
        (&["decode", "%%%"][..], 1, "bad base64", "give the value of an annotation"),
        (&["decode"], 1, "nothing is given", "give the value of an annotation"),
        (&["decode", "--json", "Nw=="], 1, "\"not-an-array\"", ""),
        (&["encode", "-"], 1, "", "bad JSON, at byte 0"),
        (&["encode", "-"], 1, "", "give JSON, such as [{"),
        (&["encode", "--plain", "--interface", "a", "--port", "1", "--port", "2"], 2, "", "write --objects"),
        (&["check", "--config", "/no/such"], 1, "config file /no/such", "No such file"),
        (&["check", "--manifests", "/no/such"], 1, "/no/such", ""),
        (&["ls", "--manifests", "/no/such"], 1, "", "/no/such"),
        (&["ls", "--config", "/no/such"], 2, "", "callsign: config file /no/such: "),
        (&["ls", "--context", "no-such"], 2, "", "callsign: context no-such: "),
        (&["ls", "--server", "ftp://127.0.0.1"], 2, "", "http:// or https://"),
        (&["ls", "--server", "http://127.0.0.1:1"], 2, "", "`callsign serve`"),
        (&["why", "a/b", "-n", "c", "--manifests", "-"], 2, "", "give one of them"),
        (&["nonsense"], 2, "", "Usage"),
    ] {
        let ran = run(args, "");
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(ran.out.contains(out) && said.contains(err), "{args:?}: {said}");
        assert!(said.matches("os error").count() <= 1, "{args:?}: a cause appears once: {said}");
    }
}

#[test]
fn ls_of_manifests() {
    let pods = pods();
    let ran = run(&["ls", "--manifests", "-"], &pods);
    let expected = "\
INTERFACE         GROUP  VERSION  NAMESPACE  ENDPOINTS  NAME-TO-DIG
org.acme.Greeter  -      -        default    1          _rpc._tcp.org.acme.Greeter.default.rpc.cluster.local.
org.acme.Greeter  gray   -        default    1          _rpc._tcp.org.acme.Greeter.g-gray.default.rpc.cluster.local.
";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
    let ran = run(&["ls", "--bad", "--manifests", "-"], &pods);
    let expected = "\
POD              PROFILE  OFFSET  REASON
default/foreign  app      1       ip: foreign address
default/garbled  app      0       bad base64
";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
    let ran = run(&["ls", "-n", "shop", "--manifests", "-"], &pods);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.contains("callsign why POD")), (0, "", true), "{}", ran.err);
}

#[test]
fn every_registration_that_is_not_published_has_a_reason() {
    let pods = pods();
    for (pod, code, expected) in [
        ("fine", 0, "_rpc._tcp.org.acme.Greeter.g-gray.default.rpc.cluster.local."),
        ("default/fine", 0, "1 of 1 registration published"),
        ("unlabelled", 1, "no label: the Pod default/unlabelled exists"),
        ("unlabelled", 1, "app.io/label=app.io-value"),
        ("absent", 1, "no such Pod: default/absent"),
        ("shop/fine", 1, "no such Pod: shop/fine"),
        ("unready", 0, "not ready: the Pod's condition Ready is not True"),
        ("ending", 0, "terminating: the Pod is being deleted"),
        ("finished", 0, "finished: the Pod's phase is Succeeded"),
        ("garbled", 0, "bad base64"),
        ("foreign", 0, "foreign address"),
        ("loser", 0, "lost to another Pod: default/winner holds the address and port"),
        ("winner", 0, "1 of 1 registration published"),
    ] {
        let ran = run(&["why", pod, "--manifests", "-"], &pods);
        assert!(ran.code == code && ran.out.contains(expected), "{pod}: {}{}", ran.out, ran.err);
        let json = run(&["why", pod, "--json", "--manifests", "-"], &pods);
        let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!(json["pods"].as_array().map(Vec::len), Some(usize::from(code == 0)), "{pod}");
        assert_eq!(json["unknown"].is_null(), code == 0, "{pod}");
    }
}

#[test]
fn no_pod_controls_the_terminal() {
    let hostile = "W3siayI6ImludGVyZmFjZSIsInYiOiJh4oCuQiJ9LHsiayI6InBvcnQiLCJ2IjoxfV0="; // an interface with U+202E
    let pods = pod("hostile", Some(hostile), "", "podIPs: [{ip: 10.0.0.1}]");
    for args in [&["ls"][..], &["ls", "--json"], &["why", "hostile"], &["why", "hostile", "--json"]] {
        let ran = run(&[args, &["--manifests", "-"]].concat(), &pods);
        assert!(ran.out.contains("a\\u202eB") && !ran.out.contains('\u{202e}'), "{args:?}: {}", ran.out);
    }
}

#[test]
fn a_charts_pods_are_listed_by_their_labels() {
    let pod = |name: &str, port: &str| {
        let labels =
            "app.kubernetes.io/name: nginx, app.kubernetes.io/instance: web, app.kubernetes.io/version: 1.27.0";
        format!(
            "---\nkind: Pod\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n\
             spec: {{containers: [{{name: c, image: nginx, ports: [{port}]}}]}}\nstatus: {{podIP: 10.0.0.1}}\n"
        )
    };
    let pods = pod("web-0", "{name: http, containerPort: 8080}") + &pod("portless", "{containerPort: 80}");
    let of_charts = |command: &[&str]| run(&[command, &["--manifests", "-", "--profiles", "labels"]].concat(), &pods);

    let listed = of_charts(&["ls"]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    let words: Vec<&str> = listed.out.lines().nth(1).expect("a service").split_whitespace().collect();
    assert_eq!(words[..5], ["nginx", "web", "1.27.0", "default", "1"], "{}", listed.out);

    let bad = of_charts(&["ls", "--bad"]).out;
    assert!(bad.contains("default/portless") && bad.contains("no port: no TCP container port has a name"), "{bad}");
    assert!(!bad.contains("web-0"), "{bad}");
    let why = of_charts(&["why", "portless"]).out;
    assert!(why.contains("no port: no TCP container port has a name"), "{why}");

    let unknown = run(&["ls", "--manifests", "-", "--profiles", "chart"], &pods);
    let expected = "--profiles: no preset is called \"chart\": write some of app, dubbo, kratos, micro, labels";
    assert!(unknown.code != 0 && unknown.err.contains(expected), "{}", unknown.err);
}

/// `ls --bad` and `why` name the profile and the key as it is written, and say what would be right. They never quote a value.
#[test]
fn a_refusal_names_profile_and_key_and_what_would_be_right() {
    const APP: (&str, &str) = ("app.io/label", "app.io-value");
    const KRATOS: (&str, &str) = ("kratos-service-app", "helloworld");
    let long = format!("\u{1b}[2J{}", "é".repeat(200));
    let long_value = format!("{{\"interface\":\"a\",\"port\":1,{}:1}}", serde_json::json!(long));
    for (label, annotations, profile, expected) in [
        (
            APP,
            &[("app.io/interfce", "hunter2"), ("app.io/port", "1")][..],
            "app",
            "annotation app.io/interfce: unknown key: write app.io/interface",
        ),
        (APP, &[("app.io/port", "1")], "app", "annotation app.io/interface: no interface"),
        (
            APP,
            &[("app.io/interface", "a"), ("app.io/port", "1"), ("app.io/colour", "hunter2")],
            "app",
            "annotation app.io/colour: unknown key: write app.io/meta.<key> for metadata, or one of interface, group, ",
        ),
        (
            APP,
            &[("app.io/interface", "a"), ("app.io/port", "hunter2")],
            "app",
            "annotation app.io/port: port is not a number from 1 to 65535, and no TCP container port has this name",
        ),
        (
            APP,
            &[("app.io/interface", "a")],
            "app",
            "annotation app.io/port: no port: write a number from 1 to 65535 or the name of a container port",
        ),
        (
            APP,
            &[("app.io/interface", "a"), ("app.io/port", "1"), ("app.io/enabled", "hunter2")],
            "app",
            "annotation app.io/enabled: neither true nor false",
        ),
        (
            APP,
            &[("app.io/interface", "a"), ("app.io/port", "1"), ("app.io/weight", "hunter2")],
            "app",
            "annotation app.io/weight: weight is not a whole number",
        ),
        (APP, &[("app.io/annotation", "hunter2!")], "app", "bad base64"),
        (
            APP,
            &[("app.io/annotation", r#"{"interface":"a","port":1,"wieght":"hunter2"}"#)],
            "app",
            "wieght: unknown key: write weight",
        ),
        (
            APP,
            &[("app.io/annotation", r#"{"interface":"a","port":1,"colour":"hunter2"}"#)],
            "app",
            "colour: unknown key: write it into meta if it is metadata, or one of interface, ",
        ),
        (
            APP,
            &[("app.io/annotation", r#"{"interface":"a","port":1,"methods":{"hunter2":1}}"#)],
            "app",
            "methods: the value is not a string, number or boolean: write an array of strings",
        ),
        (APP, &[("app.io/annotation", &long_value)], "app", "\\u{1b}[2J\\u{e9}\\u{e9}"),
        (
            KRATOS,
            &[("kratos-service-protocols", r#"{"99999":"hunter2"}"#)],
            "kratos",
            "annotation kratos-service-protocols: port is not a number from 1 to 65535",
        ),
        (
            KRATOS,
            &[("kratos-service-protocols", r#"{"80":"http"}"#), ("kratos-service-metadata", "[\"hunter2\"]")],
            "kratos",
            "annotation kratos-service-metadata: bad JSON: write a JSON object",
        ),
        (
            ("micro.mu/type", "service"),
            &[("micro.mu/service-shop", "{hunter2")],
            "micro",
            "annotation micro.mu/service-shop: bad JSON: write a JSON object",
        ),
        (("app.kubernetes.io/name", "nginx"), &[], "labels", "no port: no TCP container port has a name"),
    ] {
        let annotations: serde_json::Map<_, _> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let labels = serde_json::Map::from_iter([(label.0.to_owned(), label.1.into())]);
        let metadata = serde_json::json!({ "name": "p", "labels": labels, "annotations": annotations });
        let pod =
            serde_json::json!({ "kind": "Pod", "metadata": metadata, "status": { "podIP": "10.0.0.1" } }).to_string();
        let ask = |words: &[&str]| {
            let ran = run(&[words, &["--manifests", "-", "--profiles", "app,kratos,micro,labels"]].concat(), &pod);
            assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{}{}", ran.out, ran.err);
            ran.out
        };
        for out in [ask(&["ls", "--bad"]), ask(&["why", "p"])] {
            let named = |line: &&str| line.contains(profile) && line.contains(expected);
            assert!(out.lines().any(|line| named(&line)), "{expected}: {out}");
        }
        let bad: serde_json::Value = serde_json::from_str(&ask(&["ls", "--bad", "--json"])).expect("JSON");
        let keys: Vec<&str> = bad.as_array().expect("a list").iter().filter_map(|one| one["key"].as_str()).collect();
        assert!(keys.iter().all(|key| key.len() <= "annotation ".len() + 253 && key.is_ascii()), "{keys:?}");
        assert!(bad[0]["profile"] == *profile && bad[0]["reason"].is_string(), "{bad}");
    }
}

/// What a newcomer types wrong gets an answer that says what to type.
#[test]
fn an_error_says_what_to_do_next() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/zones/demo");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    let folder =
        Folder::new("next", &[("unknown.toml", "max-registrations = 5\n"), ("name.toml", "listen = \"localhost\"\n")]);
    let [unknown, name] = ["unknown.toml", "name.toml"].map(|file| folder.path(file));
    for (args, code, expected, never) in [
        (&["ls", "no.Such", "--manifests", demo][..], 1, "there is no registration of no.Such", "os error"),
        (&["ls", "--manifests", demo], 0, "org.acme.Greeter", "there is no"),
        (&["watch", "a.B", "--server", "http://127.0.0.1:1"], 2, "name another one with --server URL", "--manifests"),
        (&["ls", "--server", "http://127.0.0.1:1"], 2, "with --manifests PATH", "null"),
        (
            &["serve", "--manifests", demo, "--listen", &taken, "--http", "127.0.0.1:0"],
            2,
            "another process has it; end that one, or give --listen another port",
            "CAP_NET",
        ),
        (
            &["serve", "--manifests", demo, "--listen", "127.0.0.1:0", "--http", &taken],
            2,
            "another process has it; end that one, or give --http another port",
            "CAP_NET",
        ),
        (
            &["serve", "--manifests", demo, "--listen", "192.0.2.1:5354", "--http", "127.0.0.1:0"],
            2,
            "this machine does not have the address",
            "another process",
        ),
        (&["serve", "--manifests", "/no/such"], 2, "--manifests /no/such: there is no such file or folder", "serving"),
        (&["check", "--config", &unknown], 1, "unknown field `max-registrations`", "max-registrations-per-namespace"),
        (&["check", "--config", &name], 1, "names are not looked up", "invalid socket"),
        (&["--version"], 0, "callsign 0.", "unknown"),
    ] {
        let ran = run(args, "");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(ran.code == code && said.contains(expected) && !said.contains(never), "{args:?} {}: {said}", ran.code);
    }
    for args in [&["register", "--once", "--interface", "a", "--port", "1"][..], &["withdraw", "--container", "1"]] {
        let ran = run(args, "");
        assert_eq!((ran.code, ran.err.matches("which Pod is this process in?").count()), (2, 1), "{}", ran.err);
        assert!(ran.err.contains("with --namespace NAME and --pod NAME"), "{}", ran.err);
    }
}
