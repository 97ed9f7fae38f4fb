//! Each fault of a watch, played by a scripted server on loopback: the next request, and the events that are sent.
//! Every script is played in both encodings.

mod encode;
mod fruitless;
mod play;
mod registrars;

use std::time::Duration;

use self::encode::CUT;
use self::play::Reply::{Cut, Hangup, Late, Mute, Open, Status, Whole};
use self::play::{Outcome, Step, play, play_for};
use crate::source::health::Restart;
use crate::source::kube::body::BodyEncoding;

fn pod(uid: &str, version: u64) -> String {
    format!(r#"{{"metadata":{{"name":"n","namespace":"ns","uid":"{uid}","resourceVersion":"{version}"}}}}"#)
}

fn event(kind: &str, uid: &str, version: u64) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{}}}\n", pod(uid, version))
}

fn bookmark(version: u64) -> String {
    format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"Pod\",\"metadata\":{{\"resourceVersion\":\"{version}\"}}}}}}\n"
    )
}

fn end(version: u64) -> String {
    bookmark(version).replace("\"}}}", "\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}")
}

fn error(code: u16, message: &str) -> String {
    format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status(code, message))
}

fn status(code: u16, message: &str) -> String {
    format!(r#"{{"kind":"Status","code":{code},"reason":"R","message":"{message}"}}"#)
}

fn list(version: u64, more: &str, pods: &[String]) -> String {
    let items = pods.join(",");
    format!(
        r#"{{"kind":"PodList","metadata":{{"resourceVersion":"{version}","continue":"{more}"}},"items":[{items}]}}"#
    )
}

/// A list of one Pod, with which most scripts begin.
fn listed() -> Step {
    (STREAM, Whole(event("ADDED", "u1", 5) + &end(7)))
}

/// The requests, by the text that they contain.
const STREAM: &str = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion= ";
const PAGE: &str = "?labelSelector=a%3Db&limit=500 ";
const WHOLE: &str = "?labelSelector=a%3Db ";
const VERSION: &str = "fieldSelector";
const WATCH_7: &str = "allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=7 ";
const WATCH_9: &str = "allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=9 ";

/// Plays a script in both encodings at once, and checks the events and the counters.
async fn check(name: &str, script: Vec<Step>, told: &str, restarts: &[(Restart, u64)]) -> [Outcome; 2] {
    let (protobuf, json) = tokio::join!(play(script.clone(), BodyEncoding::Protobuf), play(script, BodyEncoding::Json));
    let outcomes = [(BodyEncoding::Protobuf, protobuf), (BodyEncoding::Json, json)];
    outcomes.map(|(encoding, outcome)| {
        assert_eq!(outcome.told, told, "{name} in {encoding:?}");
        for reason in Restart::ALL {
            let expected = restarts.iter().find(|(r, _)| *r == reason).map_or(0, |(_, count)| *count);
            assert_eq!(outcome.health.restarts(reason), expected, "{name} in {encoding:?}: {}", reason.label());
        }
        outcome
    })
}

#[tokio::test]
async fn lists_by_stream_and_watches_on() {
    let changes = event("MODIFIED", "u1", 8) + &event("DELETED", "u1", 8) + &event("ADDED", "u2", 8) + &bookmark(9);
    let script = vec![
        listed(),
        (WATCH_7, Late(changes)),
        (WATCH_9, Late(String::new())),
        (VERSION, Whole(list(9, "", &[]))),
        (WATCH_9, Open(String::new())),
    ];
    for outcome in check("plain", script, "begin u1@5 commit u1@8 -u1 u2@8", &[(Restart::Ended, 2)]).await {
        assert_eq!((outcome.health.lists(), outcome.health.error()), (1, None));
        assert!(outcome.health.is_synced());
    }
}

#[tokio::test]
async fn only_the_first_list_is_decoded_by_the_watch() {
    let told =
        |kind, version| event(kind, "u1", version).replace("\"uid\"", "\"annotations\":{\"k\":\"W10=\"},\"uid\"");
    let script = vec![
        (STREAM, Whole(told("ADDED", 5) + &event("ADDED", "u2", 6) + &end(7))),
        (WATCH_7, Whole(told("MODIFIED", 8) + &error(410, "too old"))),
        (STREAM, Whole(told("ADDED", 8) + &end(9))),
        (WATCH_9, Open(String::new())),
    ];
    let expected = "begin u1@5! u2@6 commit u1@8 begin u1@8 commit";
    check("decoded", script, expected, &[(Restart::Expired, 1)]).await;
}

#[tokio::test]
async fn each_profile_of_a_selector_gets_each_event_of_one_watch() {
    let changes = event("MODIFIED", "u1", 8) + &event("DELETED", "u1", 9);
    for encoding in [BodyEncoding::Protobuf, BodyEncoding::Json] {
        let script = vec![listed(), (WATCH_7, Open(changes.clone()))];
        let told = play_for(&["p", "q"], script, encoding).await.told;
        let [p, q] = ["p", "q"].map(|profile| {
            let events = told.split(' ').filter_map(|event| event.strip_prefix(profile)?.strip_prefix(':'));
            events.collect::<Vec<_>>().join(" ")
        });
        assert_eq!((p.as_str(), &p), ("begin u1@5 commit u1@8 -u1", &q), "{encoding:?}: {told}");
    }
}

/// Events of other sources before the list's first object may be newer than that object.
#[tokio::test]
async fn a_list_begins_before_the_server_is_asked() {
    for reply in [Mute, Open(String::new())] {
        check("asked", vec![(STREAM, reply)], "begin", &[]).await;
    }
}

#[tokio::test]
async fn lists_in_pages_if_streams_are_refused() {
    for refusal in [
        Status(422, "", status(422, "sendInitialEvents: Forbidden")),
        Status(400, "", status(400, "unknown parameter")),
        Whole(error(500, "required storage feature RequestWatchProgress is disabled")),
    ] {
        let pages = [
            (PAGE, Whole(list(7, "t", &[pod("u1", 5)]))),
            ("&limit=500&continue=t ", Whole(list(7, "", &[pod("u2", 6)]))),
        ];
        let relist = [
            (WATCH_7, Status(410, "", status(410, "old"))),
            (STREAM, refusal.clone()), // another server may answer, or this one may have been upgraded
            (PAGE, Whole(list(9, "", &[]))),
            (WATCH_9, Open(String::new())),
        ];
        let script = [(STREAM, refusal)].into_iter().chain(pages).chain(relist).collect();
        let told = "begin abort begin u1@5 u2@6 commit begin abort begin commit";
        check("pages", script, told, &[(Restart::Expired, 1)]).await;
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_is_aborted_and_started_again() {
    let half = format!("{}{CUT}", list(7, "", &[pod("u1", 5), pod("u2", 6)]));
    let refuse = || (STREAM, Status(422, "", status(422, "no")));
    let whole = || (WHOLE, Whole(list(9, "", &[pod("u2", 6)])));
    let page = |more| (PAGE, Whole(list(7, more, &[pod("u1", 5)])));
    let cases: Vec<(&str, Vec<Step>, &str, Restart)> = vec![
        (
            "expired token",
            vec![refuse(), page("t"), ("continue=t", Status(410, "", status(410, "old"))), whole()],
            "begin abort begin u1@5 abort begin u2@6 commit",
            Restart::Expired,
        ),
        (
            "truncated",
            vec![refuse(), (PAGE, Whole(half.clone())), page("")],
            "begin abort begin u1@5 abort begin u1@5 commit",
            Restart::Broken,
        ),
        (
            "cut",
            vec![refuse(), (PAGE, Cut(half.clone())), page("")],
            "begin abort begin u1@5 abort begin u1@5 commit",
            Restart::Broken,
        ),
        (
            "silent",
            vec![refuse(), (PAGE, Open(half)), page("")],
            "begin abort begin u1@5 abort begin u1@5 commit",
            Restart::Silent,
        ),
        (
            "circle",
            vec![refuse(), page("t"), ("continue=t", Whole(list(7, "t", &[]))), page("")],
            "begin abort begin u1@5 abort begin u1@5 commit",
            Restart::Garbage,
        ),
        (
            "silent stream",
            vec![(STREAM, Open(event("ADDED", "u1", 5))), page("")],
            "begin u1@5 abort begin u1@5 commit",
            Restart::Silent,
        ),
        (
            "ended stream",
            vec![(STREAM, Whole(event("ADDED", "u1", 5))), page("")],
            "begin u1@5 abort begin u1@5 commit",
            Restart::Broken,
        ),
        (
            "expired stream",
            vec![(STREAM, Whole(event("ADDED", "u1", 5) + &error(410, "old"))), page("")],
            "begin u1@5 abort begin u1@5 commit",
            Restart::Expired,
        ),
        (
            "other kind",
            vec![refuse(), (PAGE, Whole(list(7, "", &[pod("u1", 5)]).replace("PodList", "NodeList"))), page("")],
            "begin abort begin abort begin u1@5 commit",
            Restart::Garbage,
        ),
        (
            "HTML",
            vec![refuse(), (PAGE, Whole("<html>".into())), page("")],
            "begin abort begin abort begin u1@5 commit",
            Restart::Garbage,
        ),
        (
            "no version",
            vec![refuse(), (PAGE, Whole(list(0, "", &[]))), page("")],
            "begin abort begin abort begin u1@5 commit",
            Restart::Garbage,
        ),
        ("mute", vec![(STREAM, Mute), page("")], "begin abort begin u1@5 commit", Restart::Silent),
        ("hangup", vec![(STREAM, Hangup), listed()], "begin abort begin u1@5 commit", Restart::Unreachable),
    ];
    for (name, mut script, told, restart) in cases {
        script.push(("timeoutSeconds", Open(String::new())));
        check(name, script, told, &[(restart, 1)]).await;
    }
}

#[tokio::test]
async fn an_unusable_version_leads_to_a_relist() {
    let version = |version| (VERSION, Whole(list(version, "", &[])));
    type Case = (&'static str, Vec<Step>, &'static [(Restart, u64)]);
    let cases: Vec<Case> = vec![
        ("410", vec![(WATCH_7, Status(410, "", status(410, "old")))], &[(Restart::Expired, 1)]),
        ("410 without a Status", vec![(WATCH_7, Status(410, "", String::new()))], &[(Restart::Expired, 1)]),
        ("410 as an event", vec![(WATCH_7, Whole(error(410, "old")))], &[(Restart::Expired, 1)]),
        (
            "from the future",
            vec![(WATCH_7, Status(504, "", status(504, "Too large resource version: 7, current: 1")))],
            &[(Restart::Expired, 1)],
        ),
        (
            "granted, but undone",
            vec![(WATCH_7, Hangup), version(6)],
            &[(Restart::Unreachable, 1), (Restart::Expired, 1)],
        ),
    ];
    for (name, steps, restarts) in cases {
        let script = [listed()].into_iter().chain(steps);
        let relist = [(STREAM, Whole(end(9))), (WATCH_9, Open(String::new()))];
        check(name, script.chain(relist).collect(), "begin u1@5 commit begin commit", restarts).await;
    }
}

#[tokio::test]
async fn a_watch_resumes_after_the_last_event_whatever_ended_it() {
    let good = event("MODIFIED", "u1", 8) + &bookmark(9);
    let half = format!("{}{CUT}", event("MODIFIED", "u1", 10));
    let service = event("MODIFIED", "u1", 10).replace("{\"metadata", "{\"kind\":\"Service\",\"metadata");
    let cases = [
        ("truncated", Whole(format!("{good}{half}")), Restart::Broken),
        ("cut", Cut(good.clone()), Restart::Broken),
        ("silent", Open(good.clone()), Restart::Silent),
        ("silent inside an event", Open(format!("{good}{half}")), Restart::Silent),
        ("ended early", Whole(good.clone()), Restart::Ended),
        ("HTML", Whole(format!("{good}<html>")), Restart::Garbage),
        ("other kind", Whole(format!("{good}{service}")), Restart::Garbage),
        ("no event", Whole(format!("{good}{{\"a\":1}}")), Restart::Garbage),
        ("ERROR without a Status", Whole(format!("{good}{{\"type\":\"ERROR\",\"object\":{{}}}}")), Restart::Garbage),
        ("ERROR", Whole(good.clone() + &error(500, "etcd went away")), Restart::Refused),
    ];
    for (name, reply, restart) in cases {
        let script = vec![
            listed(),
            (WATCH_7, reply),
            (VERSION, Whole(list(9, "", &[]))),
            (WATCH_9, Open(event("DELETED", "u1", 11))),
        ];
        check(name, script, "begin u1@5 commit u1@8 -u1", &[(restart, 1)]).await;
    }
}

#[tokio::test]
async fn an_event_older_than_the_requested_version_is_dropped() {
    let replayed = event("ADDED", "u0", 3) + &event("MODIFIED", "u1", 4) + &event("DELETED", "u0", 6) + &bookmark(6);
    let script = vec![
        listed(),
        (WATCH_7, Whole(replayed.clone() + &event("MODIFIED", "u1", 9) + &replayed)),
        (VERSION, Whole(list(9, "", &[]))),
        (WATCH_9, Open(replayed + &event("DELETED", "u1", 10))),
    ];
    check("replay", script, "begin u1@5 commit u1@9 -u1", &[(Restart::Ended, 1)]).await;
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_skipped_and_counted() {
    let poison = r#"{"metadata":{"name":[],"uid":7}},{"metadata":null},null,{"spec":"\ud800"}"#;
    let items = [pod("u1", 5), poison.to_owned(), pod("u2", 6)];
    let script = vec![
        (STREAM, Status(422, "", String::new())),
        (PAGE, Whole(list(7, "", &items))),
        (
            WATCH_7,
            Open(
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"8\"}}}\n".to_owned()
                    + &event("ADDED", "u3", 9),
            ),
        ),
    ];
    for outcome in check("poison", script, "begin abort begin u1@5 u2@6 commit u3@9", &[]).await {
        assert_eq!(outcome.health.skipped(), 5);
    }
}

#[tokio::test]
async fn a_forbidden_request_is_reported_and_recovers() {
    let script = vec![(STREAM, Status(403, "", status(403, "pods is forbidden"))), (STREAM, Open(String::new()))];
    for outcome in check("403", script, "begin abort begin", &[(Restart::Refused, 1)]).await {
        let error = outcome.health.error().expect("an error");
        for part in ["may not list pods in all namespaces", "ClusterRole", "[get, list, watch]", "pods is forbidden"] {
            assert!(error.contains(part), "{error}");
        }
    }
    let refuse = |code| (STREAM, Status(code, "", status(code, "no")));
    let script = vec![
        refuse(403),
        refuse(401),
        refuse(503),
        listed(),
        (WATCH_7, Status(403, "", status(403, "no"))),
        (VERSION, Whole(list(7, "", &[]))),
        (WATCH_7, Open(bookmark(9))),
    ];
    for outcome in
        check("recovered", script, "begin abort begin abort begin abort begin u1@5 commit", &[(Restart::Refused, 4)])
            .await
    {
        assert_eq!(outcome.health.error(), None);
    }
}

#[tokio::test]
async fn waits_as_long_as_it_is_asked_to() {
    for code in [429, 503] {
        let script = vec![(STREAM, Status(code, "retry-after: 1\r\n", String::new())), listed()];
        for outcome in check("Retry-After", script, "begin abort begin u1@5 commit", &[(Restart::Refused, 1)]).await {
            assert!(outcome.took >= Duration::from_secs(1), "{:?}", outcome.took);
        }
    }
}

#[tokio::test]
async fn asks_in_json_if_protobuf_is_refused() {
    let script = vec![
        ("resourceVersion= application/vnd.kubernetes.protobuf, application/json", Status(406, "", String::new())),
        ("resourceVersion= application/json", Whole(event("ADDED", "u1", 5) + &end(7))),
        ("resourceVersion=7 application/json", Open(String::new())),
    ];
    check("406", script, "begin u1@5 commit", &[]).await;
}
