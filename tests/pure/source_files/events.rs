//! How changes arrive.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callsign::source::files::Manifests;
use callsign::source::health::SourceHealth;
use callsign::source::{Change, Event};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use super::{Folder, pod, profile};

/// What a profile is told in one round of events: of each Pod that was applied the uid, version and annotation, the uids of
/// those that were removed, and whether the list was whole.
#[derive(Debug, Default, PartialEq)]
struct Told {
    applied: Vec<(String, u64, Option<String>)>,
    removed: Vec<String>,
    is_whole: bool,
}

/// One round of events, by profile.
async fn round(events: &mut Receiver<Event>, profiles: usize) -> BTreeMap<String, Told> {
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut ended = 0;
    while ended < profiles {
        let event = timeout(Duration::from_secs(20), events.recv()).await.expect("in time").expect("an event");
        let name = event.source.profile.to_string();
        if let Change::Begin = event.change {
            assert_eq!(told.insert(name, Told::default()), None, "two lists at once");
            continue;
        }
        let of_profile = told.get_mut(&name).expect("a list that has begun");
        ended += usize::from(matches!(event.change, Change::Commit | Change::Close));
        match event.change {
            Change::Apply(pod) => of_profile.applied.push((
                pod.uid.to_string(),
                pod.resource_version,
                pod.text.value.as_deref().map(str::to_owned),
            )),
            Change::Remove(uid) => of_profile.removed.push(uid.to_string()),
            Change::Commit => of_profile.is_whole = true,
            Change::Close => {}
            other => panic!("{other:?}"),
        }
    }
    told
}

/// A whole list.
fn told(pods: &[(&str, u64, Option<&str>)]) -> Told {
    let applied = pods.iter().map(|(uid, version, value)| (uid.to_string(), *version, value.map(str::to_owned)));
    Told { applied: applied.collect(), removed: Vec::new(), is_whole: true }
}

/// A list that is not whole.
fn told_in_part(pods: &[(&str, u64, Option<&str>)], removed: &[&str]) -> Told {
    Told { is_whole: false, removed: removed.iter().map(|uid| uid.to_string()).collect(), ..told(pods) }
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

    // What the bad file held stays, and the list that is not whole takes nothing away.
    folder.write("a.yaml", "kind: [");
    folder.write("c.yaml", &pod("r"));
    while health.error().is_none() {
        let third = round(&mut events, 3).await;
        if third["app"].applied.is_empty() {
            continue; // one of the two files was not written yet
        }
        assert_eq!(third["app"], told_in_part(&[("default/r", 3, Some("W10="))], &[]));
        assert_eq!(third["dubbo"], told_in_part(&[("default/q", 1, Some("W10="))], &[]));
        while health.error().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(health.error().is_some_and(|error| error.contains("a.yaml")));

    // A reread without a change tells the same, with the same versions; what other files no longer hold goes.
    fs::remove_file(folder.0.join("c.yaml")).expect("the file");
    reread.notify_one();
    let again = round(&mut events, 3).await;
    assert_eq!(again["app"], told_in_part(&[], &["default/r"]));
    assert_eq!(again["dubbo"], told_in_part(&[("default/q", 1, Some("W10="))], &["default/r"]));

    // A bad document harms no other of its file, and takes none away.
    folder.write("a.yaml", &format!("{}---\nkind: [\n---\n{}", pod("s"), pod("t")));
    let fifth = loop {
        let told = round(&mut events, 3).await;
        if told["app"].applied.len() == 2 {
            break told;
        }
    };
    assert!(!fifth["app"].is_whole && fifth["app"].removed.is_empty(), "{fifth:?}");

    // A Pod that a selector finds no more goes, also where the list is not whole.
    folder.write("a.yaml", &format!("{}---\nkind: [\n", pod("p").replace("app.io-value", "other")));
    let sixth = loop {
        let told = round(&mut events, 3).await;
        if !told["app"].removed.is_empty() {
            break told;
        }
    };
    assert_eq!((&sixth["app"].applied[..], &sixth["app"].removed[..]), (&[][..], &["default/p".to_owned()][..]));

    // Once it is mended the list is whole, and what it does not name is gone.
    folder.write("a.yaml", &pod("s"));
    let whole = loop {
        let told = round(&mut events, 3).await;
        if told["app"].is_whole {
            break told;
        }
    };
    assert_eq!(whole["app"].applied.iter().map(|(uid, ..)| &**uid).collect::<Vec<_>>(), ["default/s"]);

    fs::remove_file(folder.0.join("a.yaml")).expect("the file");
    fs::remove_file(folder.0.join("b.yaml")).expect("the file");
    while !round(&mut events, 3).await["all"].applied.is_empty() {}

    drop(events);
    timeout(Duration::from_secs(20), task).await.expect("it ends").expect("in peace");
}

/// An editor or `>` empties a file before it writes it again: an empty file removes no Pod that it had. A comment does.
#[tokio::test]
async fn an_emptied_file_keeps_its_pods() {
    let folder = Folder::new("emptied");
    let file = folder.write("a.yaml", &pod("p"));
    folder.write("b.yaml", &pod("q"));
    let health = Arc::new(SourceHealth::new(Instant::now()));
    let reread = Arc::new(Notify::new());
    let (sender, mut events) = channel(1);
    let manifests = Manifests::new(vec![folder.0.clone()], vec![profile("all", "")]);
    let task = tokio::spawn(manifests.run(sender, health.clone(), reread.clone()));
    assert_eq!(round(&mut events, 1).await["all"], told(&[("default/p", 1, None), ("default/q", 1, None)]));

    // A byte order mark and a line end are no text either.
    for text in [&b""[..], b"\xff\xfe", b"\xef\xbb\xbf\n", b"\xff\xfe\r\0\n\0", b"\n"] {
        fs::write(&file, text).expect("an empty file");
        reread.notify_one();
        assert_eq!(round(&mut events, 1).await["all"], told_in_part(&[("default/q", 1, None)], &[]), "{text:?}");
    }
    while health.error().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = health.error().expect("an error");
    assert!(error.contains("a.yaml: the file is empty, and its Pods stay"), "{error}");

    fs::write(&file, pod("p")).expect("a file");
    while round(&mut events, 1).await["all"] != told(&[("default/p", 1, None), ("default/q", 1, None)]) {}

    fs::write(&file, "# no Pods\n").expect("a file");
    while round(&mut events, 1).await["all"] != told(&[("default/q", 1, None)]) {}
    drop(events);
    timeout(Duration::from_secs(20), task).await.expect("it ends").expect("in peace");
}

/// A program writes a file piece by piece: it is read once it is whole, and no part of it is published before.
#[tokio::test]
async fn a_file_that_is_being_written_is_not_read() {
    const PODS: usize = 60;
    let folder = Folder::new("pieces");
    let file = folder.write("a.yaml", &pod("p0"));
    let health = Arc::new(SourceHealth::new(Instant::now()));
    let (sender, mut events) = channel(1);
    let manifests = Manifests::new(vec![folder.0.clone()], vec![profile("all", "")]);
    let task = tokio::spawn(manifests.run(sender, health, Arc::new(Notify::new())));
    assert_eq!(round(&mut events, 1).await["all"].applied.len(), 1);
    for attempt in 1.. {
        let file = file.clone();
        let writer = tokio::task::spawn_blocking(move || {
            let mut longest_pause = Duration::ZERO;
            let mut output = fs::File::create(&file).expect("a file");
            let mut last = Instant::now();
            for at in 0..PODS {
                output.write_all(format!("{}---\n", pod(&format!("p{at}"))).as_bytes()).expect("room");
                longest_pause = longest_pause.max(last.elapsed());
                last = Instant::now();
                std::thread::sleep(Duration::from_millis(30));
            }
            longest_pause
        });
        let first = round(&mut events, 1).await["all"].applied.len();
        let longest_pause = writer.await.expect("it ends");
        if longest_pause < Duration::from_millis(200) {
            assert_eq!(first, PODS, "it was read before it was whole");
            break;
        }
        assert!(attempt < 5, "the machine is too busy: {longest_pause:?}");
        let mut last = first;
        while last < PODS {
            last = round(&mut events, 1).await["all"].applied.len();
        }
    }
    drop(events);
    timeout(Duration::from_secs(20), task).await.expect("it ends").expect("in peace");
}

/// A Pod that is made anew under its name takes the old one's place, also if the old one's file is bad now.
#[tokio::test]
async fn a_pod_with_a_new_uid_replaces_the_old_one() {
    let folder = Folder::new("anew");
    let with = |uid: &str| format!("kind: Pod\nmetadata: {{name: p, uid: {uid}}}\n");
    folder.write("b.yaml", &with("old"));
    let health = Arc::new(SourceHealth::new(Instant::now()));
    let reread = Arc::new(Notify::new());
    let (sender, mut events) = channel(1);
    let manifests = Manifests::new(vec![folder.0.clone()], vec![profile("all", "")]);
    let task = tokio::spawn(manifests.run(sender, health.clone(), reread.clone()));
    assert_eq!(round(&mut events, 1).await["all"], told(&[("old", 1, None)]));

    folder.write("b.yaml", &with("new"));
    while round(&mut events, 1).await["all"].applied.first().is_none_or(|(uid, ..)| uid != "new") {}

    folder.write("b.yaml", "kind: [");
    folder.write("a.yaml", &with("newest"));
    let last = loop {
        let told = round(&mut events, 1).await.remove("all").expect("a list");
        if !told.removed.is_empty() {
            break told;
        }
    };
    assert_eq!((last.applied[0].0.as_str(), &last.removed[..]), ("newest", &["new".to_owned()][..]));
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
        .args(["--exact", "events::standard_input_is_read_once"])
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
