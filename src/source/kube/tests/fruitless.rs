//! Watches that bring nothing, and the proofs that the zone is complete.

use std::time::Duration;

use super::encode::CUT;
use super::play::Reply::{Cut, Hangup, Late, Open, Status, Whole};
use super::play::{Reply, Step};
use super::{PAGE, STREAM, VERSION, WATCH_7, WATCH_9, bookmark, check, end, error, event, list, listed, pod, status};
use crate::source::health::Restart;

/// The server is at our version.
fn at(version: u64) -> Step {
    (VERSION, Whole(list(version, "", &[])))
}

/// A first list, and then `count` watches of one kind.
fn watches(reply: &Reply, count: usize) -> Vec<Step> {
    let mut script = vec![listed()];
    for n in 0..count {
        if n > 0 {
            script.push(at(7));
        }
        script.push((WATCH_7, reply.clone()));
    }
    script
}

#[tokio::test]
async fn three_watches_that_bring_nothing_lead_to_a_list() {
    let half = format!("{}{CUT}", event("MODIFIED", "u1", 8));
    let cases = [
        ("an end behind the head", Whole(String::new()), Restart::Empty),
        ("a length of 0", Status(200, "", String::new()), Restart::Empty),
        ("no chunk", Cut(String::new()), Restart::Empty),
        ("204", Status(204, "", String::new()), Restart::Empty),
        ("what was told before", Whole(event("ADDED", "u0", 3) + &bookmark(6)), Restart::Empty),
        ("a bookmark of our own version", Whole(bookmark(7)), Restart::Empty),
        ("half an event", Whole(half.clone()), Restart::Broken),
        ("a broken connection", Cut(half), Restart::Broken),
        ("silence", Open(String::new()), Restart::Silent),
        ("HTML", Whole("<html>".into()), Restart::Garbage),
        ("an ERROR", Whole(error(500, "no")), Restart::Refused),
        ("500", Status(500, "", status(500, "no")), Restart::Refused),
    ];
    for (name, reply, restart) in cases {
        let relist = [(STREAM, Whole(end(9))), (WATCH_9, Open(bookmark(10)))];
        let script = watches(&reply, 3).into_iter().chain(relist).collect();
        for outcome in check(name, script, "begin u1@5 commit begin commit", &[(restart, 3)]).await {
            let error = outcome.health.error();
            assert!(error.as_ref().is_some_and(|text| text.contains("three in a row")), "{name}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_blocks_only_watches_leads_to_a_relist_and_an_outage_to_none() {
    let bad_gateway = || Status(502, "", "<html>".into());
    for (name, reply, restart) in [("hangup", Hangup, Restart::Unreachable), ("502", bad_gateway(), Restart::Refused)] {
        let relist = [(STREAM, Whole(end(9))), (WATCH_9, Open(bookmark(10)))];
        let script = watches(&reply, 3).into_iter().chain(relist).collect();
        check(name, script, "begin u1@5 commit begin commit", &[(restart, 3)]).await;
        let outage = std::iter::repeat_n((VERSION, reply.clone()), 4);
        let after = [at(7), (WATCH_7, Open(event("MODIFIED", "u1", 8)))];
        let script = watches(&reply, 1).into_iter().chain(outage).chain(after).collect();
        check(name, script, "begin u1@5 commit u1@8", &[(restart, 5)]).await;
    }
}

#[tokio::test]
async fn a_watch_that_lasts_its_time_proves_the_zone_and_one_that_brings_an_event_resumes() {
    let empty = Whole(String::new());
    let lives = [(STREAM, Whole(end(9))), (WATCH_9, Late(String::new())), at(9), (WATCH_9, empty.clone()), at(9)];
    let script = watches(&empty, 3).into_iter().chain(lives).chain([(WATCH_9, Open(bookmark(10)))]);
    let restarts = [(Restart::Empty, 4), (Restart::Ended, 1)];
    for outcome in check("lives", script.collect(), "begin u1@5 commit begin commit", &restarts).await {
        assert_eq!(outcome.health.error(), None);
    }
    let brings =
        [at(7), (WATCH_7, Whole(bookmark(9))), at(9), (WATCH_9, empty.clone()), at(9), (WATCH_9, empty.clone())];
    let goes_on = [at(9), (WATCH_9, Open(event("DELETED", "u1", 11)))];
    let script = watches(&empty, 2).into_iter().chain(brings).chain(goes_on);
    check("brings", script.collect(), "begin u1@5 commit -u1", &restarts).await;
}

/// A proxy cuts each idle connection sooner than the longer watches end.
#[tokio::test]
async fn a_proxy_that_cuts_idle_watches_leaves_a_quiet_zone_proved() {
    let long = "allowWatchBookmarks=true&timeoutSeconds=2&resourceVersion=7 ";
    let idle = || Late(String::new());
    let round = || [(long, idle()), at(7), (WATCH_7, idle()), at(7)];
    let end = [(long, Open(String::new()))];
    let script: Vec<Step> = [listed()].into_iter().chain(round()).chain(round()).chain(end).collect();
    let play = |encoding| super::play::play_at(super::play::IDLE_CUT, script.clone(), encoding);
    let (one, other) = tokio::join!(play(super::BodyEncoding::Protobuf), play(super::BodyEncoding::Json));
    for outcome in [one, other] {
        let restarts = [Restart::Empty, Restart::Ended].map(|reason| outcome.health.restarts(reason));
        assert_eq!((outcome.told.as_str(), restarts), ("begin u1@5 commit", [2, 2]));
        assert_eq!(outcome.health.error(), None);
    }
}

#[tokio::test]
async fn only_a_whole_list_an_event_or_a_full_watch_proves_that_the_zone_is_whole() {
    // Before each reply nothing but a head is received for a second.
    let quiet = Duration::from_millis(800);
    let cases = [
        ("an event", vec![(WATCH_7, Open(event("MODIFIED", "u1", 8)))], true),
        ("a bookmark", vec![(WATCH_7, Open(bookmark(9)))], true),
        ("a lived watch", vec![(WATCH_7, Late(String::new())), at(7), (WATCH_7, Open(String::new()))], true),
        ("a list", vec![(WATCH_7, Status(410, "", String::new())), listed(), (WATCH_7, Open(String::new()))], true),
        ("a head", vec![(WATCH_7, Open(String::new()))], false),
        ("an early end", vec![(WATCH_7, Whole(String::new()))], false),
        ("an early end behind old news", vec![(WATCH_7, Whole(bookmark(7)))], false),
        ("old news", vec![(WATCH_7, Open(event("ADDED", "u0", 3)))], false),
        ("an ERROR", vec![(WATCH_7, Whole(error(500, "no")))], false),
        (
            "half a list",
            vec![(WATCH_7, Status(410, "", String::new())), (STREAM, Open(event("ADDED", "u1", 5)))],
            false,
        ),
        (
            "a page",
            vec![
                (WATCH_7, Status(410, "", String::new())),
                (STREAM, Status(422, "", String::new())),
                (PAGE, Whole(list(7, "t", &[pod("u1", 5)]))),
                ("continue=t", Open(String::new())),
            ],
            false,
        ),
    ];
    for (name, steps, is_proof) in cases {
        let script: Vec<Step> = [listed(), (WATCH_7, Open(String::new())), at(7)].into_iter().chain(steps).collect();
        let (one, other) = tokio::join!(
            super::play::play(script.clone(), super::BodyEncoding::Protobuf),
            super::play::play(script, super::BodyEncoding::Json)
        );
        for outcome in [one, other] {
            let unproved_for = outcome.unproved_for.expect("a whole list");
            assert_eq!(unproved_for < quiet, is_proof, "{name}: {unproved_for:?}");
        }
    }
}

#[tokio::test]
async fn a_list_proves_the_zone_as_of_its_request() {
    let script = vec![
        (STREAM, Status(422, "", String::new())),
        (PAGE, Late(list(7, "", &[pod("u1", 5)]))),
        (WATCH_7, Open(String::new())),
    ];
    for outcome in check("slow", script, "begin abort begin u1@5 commit", &[]).await {
        assert!(
            outcome.unproved_for.is_some_and(|age| age >= Duration::from_millis(500)),
            "{:?}",
            outcome.unproved_for
        );
    }
}
