//! Tables of events with their times, and when each is applied.

use std::time::Instant;

use super::*;
use crate::writer::tests::pod_of;

/// Plays a script with a manual clock: at each step's millisecond its words arrive.
///
/// `a1@ns` is the first version of the Pod `a` in the namespace `ns`, and `-a` its removal. `[`, `]` and `!` are
/// `Begin`, `Commit` and `Abort`. A word that ends in `'` comes from another source. Returns what is applied, with its
/// time.
fn play(steps: &[(u64, &str)], until: u64) -> Vec<String> {
    let (mut queue, mut applied) = (FairQueue::default(), Vec::new());
    for ms in 0..=until {
        let now = Duration::from_millis(ms);
        let mut ready = Vec::new();
        for word in steps.iter().filter(|(at, _)| *at == ms).flat_map(|(_, words)| words.split_whitespace()) {
            queue.push(event(word), now, &mut ready);
        }
        queue.pop_due(now, &mut ready);
        assert!(queue.due_at().is_none_or(|due| due > now), "all that is due is taken: so little is no slice");
        applied.extend(ready.iter().map(|event| format!("{ms}:{}", word_of(event))));
    }
    assert!(queue.is_empty() && queue.due.is_empty());
    applied
}

fn event(word: &str) -> Event {
    let (word, profile) = word.strip_suffix('\'').map_or((word, "p"), |word| (word, "q"));
    let change = match (word, word.strip_prefix('-')) {
        ("[", _) => Change::Begin,
        ("]", _) => Change::Commit,
        ("!", _) => Change::Abort,
        (")", _) => Change::Close,
        (_, Some(uid)) => Change::Remove(uid.into()),
        (word, None) => {
            let (pod, namespace) = word.split_once('@').unwrap_or((word, "ns"));
            pod_of(namespace, &pod[..1], pod[1..].parse().expect("a version"), None)
        }
    };
    event_of(change, profile)
}

fn event_of(change: Change, profile: &str) -> Event {
    let source = SourceId { cluster: "c".into(), profile: profile.into(), namespace: None };
    Event { source, change, received: Instant::now(), decoded: None }
}

fn word_of(event: &Event) -> String {
    let word = match &event.change {
        Change::Begin => "[".into(),
        Change::Commit => "]".into(),
        Change::Abort => "!".into(),
        Change::Close => ")".into(),
        Change::Remove(uid) => format!("-{uid}"),
        Change::Apply(pod) | Change::Refetched(pod) => format!("{}{}", pod.uid, pod.resource_version),
    };
    let mark = if &*event.source.profile == "q" { "'" } else { "" };
    word + mark
}

#[test]
fn changes_are_applied_in_their_time() {
    for (what, steps, expected) in [
        ("a first change waits for nothing", vec![(5, "a1 b1"), (6, "c1")], "5:a1 5:b1 6:c1"),
        ("the latest wins", vec![(0, "a1"), (1, "a2"), (50, "a3"), (99, "a4")], "0:a1 100:a4"),
        ("at once is one", vec![(0, "a1 a2 a3")], "0:a3"),
        ("a slow one is never delayed", vec![(0, "a1"), (100, "a2"), (200, "a3")], "0:a1 100:a2 200:a3"),
        ("who waited rests again", vec![(0, "a1"), (90, "a2"), (150, "a3"), (201, "a4")], "0:a1 100:a2 200:a3 300:a4"),
        ("others do not wait for it", vec![(0, "a1"), (1, "a2"), (2, "b1 a3"), (50, "c1")], "0:a1 2:b1 50:c1 100:a3"),
        ("an end is a change", vec![(0, "a1"), (1, "-a"), (2, "b1"), (3, "-b"), (4, "b2")], "0:a1 2:b1 100:-a 102:b2"),
        ("an end comes first", vec![(0, "-a"), (1, "a2"), (2, "-a"), (3, "a3")], "0:-a 100:a3"),
        ("sources apart", vec![(0, "a1 a1'"), (1, "a2"), (2, "-a'"), (3, "a3")], "0:a1 0:a1' 100:-a' 100:a3"),
        (
            "a list passes",
            vec![(0, "[ a1 b1 ]"), (1, "a2"), (2, "[ a2 b2 ]")],
            "0:[ 0:a1 0:b1 0:] 1:a2 2:[ 2:a2 2:b2 2:]",
        ),
        ("what waits comes before a list", vec![(0, "a1"), (1, "a2"), (2, "["), (9, "]")], "0:a1 2:a2 2:[ 9:]"),
        ("of its source alone", vec![(0, "a1 a1'"), (1, "a2 a2'"), (2, "[ ]")], "0:a1 0:a1' 2:a2 2:[ 2:] 100:a2'"),
        ("a list that broke off", vec![(0, "[ a1 !"), (1, "a2"), (2, "a3")], "0:[ 0:a1 0:! 1:a2 101:a3"),
        ("no other source's list", vec![(0, "[' a1"), (1, "a2"), (2, "]'")], "0:[' 0:a1 2:]' 100:a2"),
    ] {
        let applied = play(&steps, 400).join(" ");
        // Within a millisecond the list's words come first, because they wait for no turn.
        assert_eq!(applied, expected, "{what}");
    }
}

#[test]
fn namespaces_take_turns() {
    let applied = play(&[(0, "a1@x b1@x c1@x d1@x e1@y f1@y g1@z")], 200);
    assert_eq!(applied.join(" "), "0:a1 0:e1 0:g1 0:b1 0:f1 0:c1 0:d1");
}

#[test]
fn a_small_change_waits_for_at_most_one_large_change() {
    let (mut queue, mut ready) = (FairQueue::default(), Vec::new());
    let large: Arc<str> = "x".repeat(LARGE_LEN_MIN).into();
    for uid in ["a", "b", "c", "d"] {
        let change = pod_of(&format!("hostile-{uid}"), uid, 1, Some(large.clone()));
        queue.push(event_of(change, "p"), Duration::ZERO, &mut ready);
    }
    queue.pop_due(Duration::ZERO, &mut ready);
    queue.push(event("f1@fair"), Duration::ZERO, &mut ready);
    queue.push(event("g1@hostile-d"), Duration::ZERO, &mut ready);
    assert_eq!(queue.due_at(), Some(Duration::ZERO));
    for _ in 0..3 {
        queue.pop_due(Duration::ZERO, &mut ready);
    }
    assert_eq!(ready.iter().map(word_of).collect::<Vec<_>>(), ["a1", "f1", "g1", "b1", "c1", "d1"]);
}

#[test]
fn a_change_that_grows_while_it_waits_is_large() {
    let (mut queue, mut ready) = (FairQueue::default(), Vec::new());
    let large: Arc<str> = "x".repeat(LARGE_LEN_MIN).into();
    for (uid, version) in [("a", 1), ("b", 1), ("c", 1)] {
        queue.push(event_of(pod_of(uid, uid, version, None), "p"), Duration::ZERO, &mut ready);
    }
    for uid in ["a", "b"] {
        queue.push(event_of(pod_of(uid, uid, 2, Some(large.clone())), "p"), Duration::ZERO, &mut ready);
    }
    queue.pop_due(Duration::ZERO, &mut ready);
    assert_eq!(ready.iter().map(word_of).collect::<Vec<_>>(), ["c1", "a2"]);
    queue.pop_due(Duration::ZERO, &mut ready);
    assert_eq!(ready.iter().map(word_of).collect::<Vec<_>>(), ["c1", "a2", "b2"]);
}

#[test]
fn waiting_changes_are_bounded_and_all_due_within_a_pause() {
    let mut queue = FairQueue::default();
    let large: Arc<str> = "x".repeat(ANNOTATION_LEN_MAX).into();
    let mut ready = Vec::new();
    let mut version = 0;
    let mut send = |queue: &mut FairQueue, uid: &str, ready: &mut Vec<Event>| {
        version += 1;
        let change = pod_of("hostile", uid, version, Some(large.clone()));
        queue.push(event_of(change, "p"), Duration::ZERO, ready);
    };
    for _ in 0..10_000 {
        send(&mut queue, "a", &mut ready);
    }
    let one = ANNOTATION_LEN_MAX + CHANGE_LEN;
    let all = queue.capacity_left() + 1;
    assert_eq!((queue.waiting_len, all), (one, WAITING_LEN_MAX / one), "one change of a Pod waits");
    let pods = (0..).map(|number| format!("pod-{number}")).take_while(|uid| {
        send(&mut queue, uid, &mut ready);
        queue.capacity_left() > 0
    });
    assert_eq!(pods.count(), all - 2, "one more is the bound");
    assert!(ready.is_empty() && queue.waiting_len <= WAITING_LEN_MAX);
    // Another namespace's change waits for one large change.
    queue.push(event("z1@other"), Duration::ZERO, &mut ready);
    queue.pop_due(Duration::ZERO, &mut ready);
    assert_eq!((word_of(&ready[0]).as_str(), ready.len()), ("z1", 2));
    let mut slices = 1;
    while !queue.is_empty() {
        queue.pop_due(Duration::ZERO, &mut ready);
        slices += 1;
    }
    assert_eq!((slices, ready.len(), queue.capacity_left()), (all, all + 1, all));
    queue.pop_due(PAUSE, &mut ready);
    assert!(queue.pods.is_empty() && queue.pauses.is_empty() && queue.due.is_empty(), "nothing is remembered");
}
