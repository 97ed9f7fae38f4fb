//! Manifests: what is read of them, what is told of what cannot be, and how changes arrive.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callsign::source::files::{Loaded, Manifests, load};
use callsign::source::health::SourceHealth;
use callsign::source::{Arrival, Change, Phase, Profile};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// A folder of its own for each test, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("callsign-files-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        // As a careful writer does it: nobody sees half a file.
        let draft = self.0.join(".draft");
        fs::write(&draft, text).expect("a file");
        fs::rename(&draft, &path).expect("a file");
        path
    }

    fn load(&self) -> Loaded {
        load(std::slice::from_ref(&self.0))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pod(name: &str) -> String {
    format!(
        "kind: Pod\nmetadata:\n  name: {name}\n  labels: {{app.io/label: app.io-value}}\n  annotations: {{app.io/annotation: W10=}}\n\
         status: {{podIP: 10.0.0.1}}\n"
    )
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.pods.iter().map(|found| &*found.pod.uid).collect()
}

/// The problems of a file's text: document, line, reason.
fn problems(text: &str) -> Vec<(Option<usize>, Option<u64>, String)> {
    let folder = Folder::new("problems");
    folder.write("a.yaml", text);
    folder.load().problems.into_iter().map(|problem| (problem.document, problem.line, problem.reason)).collect()
}

#[test]
fn fills_in_what_a_manifest_need_not_say() {
    let folder = Folder::new("defaults");
    folder.write("a.yaml", &pod("p"));
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems.len(), loaded.ignored), (vec!["default/p"], 0, 0));
    let found = &loaded.pods[0];
    assert_eq!((&*found.pod.namespace, &*found.pod.name), ("default", "p"));
    assert!(found.pod.status.ready && found.pod.status.phase == Phase::Running);
    assert_eq!(found.pod.status.pod_ips[..], ["10.0.0.1".parse::<std::net::IpAddr>().expect("an address")]);
    assert_eq!(found.labels.get("app.io/label").map(String::as_str), Some("app.io-value"));
    assert_eq!(found.annotations.get("app.io/annotation").map(String::as_str), Some("W10="));
    assert_eq!(found.pod.annotation, None);
}

#[test]
fn believes_what_a_manifest_does_say() {
    let folder = Folder::new("said");
    folder.write(
        "a.yaml",
        "kind: Pod\nmetadata: {name: p, namespace: n, uid: u, deletionTimestamp: 2024-01-02T03:04:05Z}\nspec: {hostNetwork: true}\n\
         status: {phase: Failed, conditions: [{type: Ready, status: 'False'}], startTime: '2024-01-02T03:04:05Z'}",
    );
    let loaded = folder.load();
    assert_eq!(names(&loaded), ["u"]);
    let status = &loaded.pods[0].pod.status;
    assert!(!status.ready && status.terminating && status.host_network);
    assert_eq!((status.phase, status.start_time), (Phase::Failed, Some(1_704_164_645)));
}

#[test]
fn finds_pods_wherever_they_stand() {
    let json = |name: &str| format!(r#"{{"kind":"Pod","metadata":{{"name":"{name}"}}}}"#);
    let bare = r#"{"metadata":{"name":"bare"}}"#;
    let service = r#"{"kind":"Service","metadata":{"name":"s"}}"#;
    let cases: [(&str, String, &[&str], usize); 9] = [
        ("a.yaml", format!("---\n{}---\n{}", pod("p"), pod("q")), &["default/p", "default/q"], 0),
        ("b.yml", format!("# nothing\n---\n---\n{}\n---\n", pod("p")), &["default/p"], 0),
        ("c.yaml", format!("{}---\nkind: Service\nmetadata: {{name: p}}\n", pod("p")), &["default/p"], 1),
        ("d.json", json("p"), &["default/p"], 0),
        ("e.json", format!("{}\n{}", json("p"), json("q")), &["default/p", "default/q"], 0),
        ("f.json", format!(r#"{{"kind":"List","items":[{},{service}]}}"#, json("p")), &["default/p"], 1),
        (
            "g.json",
            format!(r#"{{"kind":"PodList","items":[{},{bare},{service}]}}"#, json("p")),
            &["default/bare", "default/p"],
            1,
        ),
        ("h.yaml", "kind: List\nitems:\n- kind: Pod\n  metadata: {name: p}\n".to_owned(), &["default/p"], 0),
        ("i.txt", json("p"), &[], 0),
    ];
    for (name, text, uids, ignored) in cases {
        let folder = Folder::new("wherever");
        folder.write(name, &text);
        let loaded = folder.load();
        assert_eq!((names(&loaded), loaded.ignored), (uids.to_vec(), ignored), "{name}: {:?}", loaded.problems);
        assert_eq!(loaded.problems, [], "{name}");
    }
}

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
        (format!("{good}---\nmetadata: {{name: a}}\n"), Some(2), None, "without a kind"),
        (format!("{good}---\n- a\n"), Some(2), None, "not a Kubernetes object"),
        (format!("{good}---\nkind: List\nitems: [7]\n"), Some(2), None, "no object"),
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

#[test]
fn a_broken_file_is_told_with_its_line_and_never_quoted() {
    let cases = [
        ("a.yaml", "kind: Pod\nmetadata:\n  name: [hunter2\n", true),
        ("b.yaml", "kind: Pod\nmetadata: {name: p, x: !!int hunter2}\n", false),
        ("c.json", "{\"kind\":\"Pod\",\n\"metadata\":hunter2}", true),
        ("d.yaml", "kind: Pod\nx: *hunter2\n", false),
        ("e.yaml", "a: 1\n\tb: hunter2\n", true),
    ];
    for (name, text, has_line) in cases {
        let folder = Folder::new("broken");
        folder.write(name, text);
        folder.write("z.yaml", &pod("p"));
        let loaded = folder.load();
        for problem in &loaded.problems {
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
            assert!(!problem.to_string().contains('\n'), "{problem}");
            assert!(!has_line || problem.line.is_some(), "{problem}");
        }
        assert_eq!(loaded.problems.len(), 1, "{name}: {:?}", loaded.problems);
        assert_eq!(names(&loaded), ["default/p"], "{name}");
    }
}

#[test]
fn folders_are_one_level_and_links_are_followed() {
    let folder = Folder::new("links");
    // As the kubelet mounts a ConfigMap: ..data points to a folder, and the files are links through it.
    fs::create_dir_all(folder.0.join("..2024/deeper.yaml")).expect("a folder");
    fs::write(folder.0.join("..2024/a.yaml"), pod("linked")).expect("a file");
    std::os::unix::fs::symlink("..2024", folder.0.join("..data")).expect("a link");
    std::os::unix::fs::symlink("..data/a.yaml", folder.0.join("a.yaml")).expect("a link");
    fs::create_dir_all(folder.0.join("below.yaml")).expect("a folder");
    fs::write(folder.0.join("below.yaml/b.yaml"), pod("below")).expect("a file");
    fs::write(folder.0.join(".hidden.yaml"), pod("hidden")).expect("a file");
    let loaded = folder.load();
    assert_eq!((names(&loaded), loaded.problems.len()), (vec!["default/linked"], 0));
}

#[test]
fn what_is_not_there_is_a_problem() {
    let folder = Folder::new("absent");
    let good = folder.write("a.yaml", &pod("p"));
    let loaded = load(&[folder.0.join("b.yaml"), good.clone(), good]);
    assert_eq!((names(&loaded), loaded.problems.len()), (vec!["default/p"], 1));
    assert!(loaded.problems[0].to_string().contains("b.yaml: "), "{}", loaded.problems[0]);
}

#[test]
fn the_later_of_two_with_one_uid_wins() {
    let folder = Folder::new("twice");
    folder.write("a.yaml", &pod("p"));
    folder.write("b.yaml", &pod("p").replace("10.0.0.1", "10.0.0.2"));
    let loaded = folder.load();
    assert_eq!(names(&loaded), ["default/p"]);
    assert_eq!(loaded.pods[0].pod.status.pod_ips[0].to_string(), "10.0.0.2");
    assert!(loaded.problems[0].reason.contains("default/p"), "{:?}", loaded.problems);
    let turned = load(&[folder.0.join("b.yaml"), folder.0.join("a.yaml")]);
    assert_eq!(turned.pods[0].pod.status.pod_ips[0].to_string(), "10.0.0.1");
}

fn profile(name: &str, selector: &str) -> Profile {
    Profile {
        name: name.into(),
        selector: selector.parse().expect("a selector"),
        annotation: format!("{name}.io/annotation"),
    }
}

/// One round of events: by profile, the uid, version and annotation of each Pod that was applied.
async fn round(
    events: &mut Receiver<Arrival>,
    profiles: usize,
) -> BTreeMap<String, Vec<(String, u64, Option<String>)>> {
    let mut told = BTreeMap::new();
    let mut is_open = false;
    while told.len() < profiles || is_open {
        let event = timeout(Duration::from_secs(20), events.recv()).await.expect("in time").expect("an event").event;
        let pods: &mut Vec<_> = told.entry(event.source.profile.to_string()).or_default();
        match event.change {
            Change::Begin => assert!(!std::mem::replace(&mut is_open, true)),
            Change::Commit => assert!(std::mem::replace(&mut is_open, false)),
            Change::Apply(pod) => {
                assert!(is_open);
                pods.push((pod.uid.to_string(), pod.resource_version, pod.annotation.as_deref().map(str::to_owned)));
            }
            other => panic!("{other:?}"),
        }
    }
    told
}

fn told(pods: &[(&str, u64, Option<&str>)]) -> Vec<(String, u64, Option<String>)> {
    pods.iter().map(|(uid, version, value)| (uid.to_string(), *version, value.map(str::to_owned))).collect()
}

#[tokio::test]
async fn changes_arrive_and_a_bad_file_keeps_what_it_held() {
    let folder = Folder::new("changes");
    folder.write("a.yaml", &pod("p"));
    folder.write("b.yaml", &pod("q").replace("app.io", "dubbo.io"));
    let profiles =
        vec![profile("app", "app.io/label=app.io-value"), profile("dubbo", "dubbo.io/label"), profile("all", "")];
    let health = Arc::new(SourceHealth::new(Instant::now()));
    let reread = Arc::new(Notify::new());
    let (sender, mut events) = channel(1);
    let manifests = Manifests::new(vec![folder.0.clone()], profiles);
    assert_eq!(manifests.ids().count(), 3);
    let task = tokio::spawn(manifests.run(sender, health.clone(), reread.clone()));

    let first = round(&mut events, 3).await;
    assert_eq!(first["app"], told(&[("default/p", 1, Some("W10="))]));
    assert_eq!(first["dubbo"], told(&[("default/q", 1, Some("W10="))]));
    assert_eq!(first["all"], told(&[("default/p", 1, None), ("default/q", 1, None)]));

    folder.write("a.yaml", &pod("p").replace("W10=", "W3tdXQ=="));
    let second = round(&mut events, 3).await;
    assert_eq!(second["app"], told(&[("default/p", 2, Some("W3tdXQ=="))]));
    assert_eq!(second["dubbo"], told(&[("default/q", 1, Some("W10="))]));
    assert!(health.is_synced() && health.error().is_none());

    folder.write("a.yaml", "kind: [");
    folder.write("c.yaml", &pod("r"));
    let third = round(&mut events, 3).await;
    assert_eq!(third["app"].first(), told(&[("default/p", 2, Some("W3tdXQ=="))]).first());
    while health.error().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(health.error().is_some_and(|error| error.contains("a.yaml")));

    // A reread without a change tells the same, with the same versions.
    reread.notify_one();
    let again = loop {
        let again = round(&mut events, 3).await;
        if again["app"].len() == 2 {
            break again;
        }
    };
    assert_eq!(again["app"][0].1, 2);

    fs::remove_file(folder.0.join("a.yaml")).expect("the file");
    fs::remove_file(folder.0.join("b.yaml")).expect("the file");
    fs::remove_file(folder.0.join("c.yaml")).expect("the file");
    while !round(&mut events, 3).await["all"].is_empty() {}

    drop(events);
    timeout(Duration::from_secs(20), task).await.expect("it ends").expect("in peace");
}

/// Set in the process that this test starts as its own child, to have a standard input to give.
const CHILD: &str = "CALLSIGN_TEST_CHILD";

#[tokio::test]
async fn standard_input_is_read_once() {
    if std::env::var_os(CHILD).is_some() {
        let (sender, mut events) = channel(8);
        let health = Arc::new(SourceHealth::new(Instant::now()));
        let reread = Arc::new(Notify::new());
        tokio::spawn(Manifests::new(vec!["-".into()], vec![profile("all", "")]).run(sender, health, reread.clone()));
        let first = round(&mut events, 1).await;
        assert_eq!(first["all"], told(&[("default/p", 1, None)]));
        reread.notify_one();
        assert_eq!(round(&mut events, 1).await, first);
        return;
    }
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "standard_input_is_read_once"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a child");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(br#"{"kind":"PodList","items":[{"metadata":{"name":"p"}}]}"#).expect("room");
    drop(input);
    assert!(child.wait().expect("its end").success());
}
