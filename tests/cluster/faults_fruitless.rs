//! Watches that bring nothing and lists that break off, for ever: the zone follows through lists, or its answers are marked
//! stale.

use std::time::{Duration, Instant};

use super::faults::{PATIENCE, Site, at, extended_error, greeter, grows_old, is_at, metric};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::faults::{End, Fault, FaultyWay, Point};

/// The line that the log has once, while watches bring nothing.
const COMPLAINT: &str = "three in a row brought nothing";

/// Every kind of watch that ends at once, while all other requests pass.
fn empty_watches() -> Vec<Fault> {
    let answer = |media_type| Fault::Answer(200, None, media_type, String::new());
    vec![
        Fault::After(0, End::Whole),
        answer("application/json"),
        answer("application/vnd.kubernetes.protobuf;stream=watch"),
        answer("text/html"),
        Fault::Answer(204, None, "application/json", String::new()),
        Fault::After(0, End::Cut),
        Fault::Hangup,
        Fault::Answer(502, None, "text/html", "<html>Bad Gateway</html>".into()),
    ]
}

#[test]
fn watches_that_end_at_once_and_empty_lead_to_lists() {
    for fault in empty_watches() {
        let site = Site::new("fruitless");
        let pod = greeter(&site.namespace, "greeter-0", 1, 1000);
        eventually(PATIENCE, || site.shows(&[1000]));
        let (lists, started) = (site.relists(), Instant::now());
        let met = fault.clone();
        site.way.decide(move |point, _| (point == Point::Watch).then(|| met.clone()));
        site.way.cut();
        pod.register(&at(1001));
        eventually(PATIENCE, || site.shows(&[1001]));
        pod.register(&at(1002));
        let took = eventually(Duration::from_secs(15), || site.shows(&[1002]));
        // One list at once, and then after 0.5 to 1 s, 1 to 2 s, 2 to 4 s …
        let most = 2 + (2.0 * started.elapsed().as_secs_f64() + 1.0).log2().ceil() as u64;
        let lists = site.relists() - lists;
        eprintln!("{fault:?}: shown by a list after {took:?}; {lists} lists in {:?}", started.elapsed());
        assert!((2..=most).contains(&lists), "{lists} lists in {:?}, at most {most}", started.elapsed());
        let is_empty = !matches!(fault, Fault::After(_, End::Cut) | Fault::Hangup | Fault::Answer(502, ..));
        assert!(!is_empty || site.restarts("empty") >= 6, "{}", site.server.log());
        assert_eq!(site.server.log().matches(COMPLAINT).count(), 1, "a line a change: {}", site.server.log());
        site.way.decide(|_, _| None);
        pod.register(&at(1003));
        eventually(Duration::from_secs(15), || site.shows(&[1003]));
    }
}

#[test]
fn lists_that_break_off_for_ever_prove_nothing() {
    let cluster = Cluster::shared();
    let expired = Fault::status(410, "Expired", "too old resource version: 1 (2)");
    let cases = [
        (expired.clone(), Fault::After(77, End::Cut)),
        (expired.clone(), Fault::After(77, End::Whole)),
        (expired, Fault::After(2_000, End::Stall(Duration::from_millis(500)))),
        (Fault::After(0, End::Whole), Fault::After(77, End::Garbage)),
    ];
    for (watch, list) in cases {
        let way = FaultyWay::start(cluster, cluster.own_client());
        let site = Site::by(cluster.namespace("broken"), way, &["--stale-after", "2", "--max-stale", "5"]);
        let pods: Vec<_> = (1..=9).map(|n| greeter(&site.namespace, &format!("greeter-{n}"), n, 1000)).collect();
        let all = [1000; 9];
        eventually(PATIENCE, || site.shows(&all));
        let meet = (watch.clone(), list.clone());
        site.way.decide(move |point, _| match point {
            Point::Watch => Some(meet.0.clone()),
            Point::List => Some(meet.1.clone()),
            Point::Version | Point::Pod => None,
        });
        site.way.cut();
        grows_old(&site, &all);
        assert!(site.way.asked(Point::List) > 2, "{watch:?} and {list:?}: lists must have been asked for");
        assert_eq!(site.server.get("/readyz").0, 200);
        pods[0].register(&at(1001));
        site.way.decide(|_, _| None);
        let heals = || {
            let reply = site.ask();
            is_at(&reply, &[1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1001])?;
            extended_error(&reply).map_or(Ok(()), |code| Err(format!("EDE {code}")))
        };
        let took = eventually(Duration::from_secs(20), heals);
        eprintln!("{watch:?} and {list:?}: fresh {took:?} after their end");
    }
}

#[test]
fn a_quiet_cluster_is_fresh_soon_after_an_outage() {
    let cluster = Cluster::shared();
    let way = FaultyWay::start(cluster, cluster.own_client());
    let site = Site::by(cluster.namespace("quiet"), way, &["--stale-after", "15"]);
    greeter(&site.namespace, "greeter-0", 1, 1000);
    eventually(PATIENCE, || site.shows(&[1000]));
    site.way.close();
    let is_marked = |code| {
        site.shows(&[1000])?;
        let now = extended_error(&site.ask());
        if now == code { Ok(()) } else { Err(format!("{now:?}, {}", site.server.log())) }
    };
    eventually(Duration::from_secs(20), || is_marked(Some(3)));
    let lists = site.relists();
    site.way.open();
    // A wait of at most 10 s, and a watch of at most 10 s that brings nothing and lasts its full time.
    let took = eventually(Duration::from_secs(25), || is_marked(None));
    eprintln!("fresh {took:?} after the outage");
    assert_eq!(site.relists(), lists, "no list was needed");
    assert!(metric(&site.server, "callsign_source_age_seconds{", "") < 15);
}
