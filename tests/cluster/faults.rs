//! Faults of a watch before the real API server, one by one: the last known answers continue, and changes meanwhile show once
//! the fault is over. `tests/WATCH_FAULTS.md` has the test of each fault.

use std::time::{Duration, Instant};

use domain::base::iana::Rtype;

use super::faults_slow;
use crate::harness::ask::{Ask, Reply};
use crate::harness::cluster::Cluster;
use crate::harness::faults::{End, Fault, FaultyWay, Point};
use crate::harness::kubelet::{Namespace, Pod, annotation};
use crate::harness::process::http_get;
use crate::harness::server::Server;
use crate::harness::{eventually, within_a_second};

/// How long a fault may have effects after its end: waits between attempts depend only on their number.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A server that watches one test's namespace through a faulty proxy.
pub(super) struct Site {
    pub(super) namespace: Namespace,
    pub(super) way: FaultyWay,
    pub(super) server: Server,
}

impl Site {
    pub(super) fn new(stem: &str) -> Site {
        let cluster = Cluster::shared();
        let way = FaultyWay::start(cluster, cluster.own_client());
        Site::by(cluster.namespace(stem), way, &[])
    }

    /// Starts a server behind this proxy, with further arguments. It has one profile, so that only its watch meets the faults.
    pub(super) fn by(namespace: Namespace, way: FaultyWay, more: &[&str]) -> Site {
        let config = crate::harness::process::scratch("config").join("callsign.toml");
        let profile = "[[profile]]\nname = \"app\"\nselector = \"app.io/label=app.io-value\"\n\
            annotation = \"app.io/annotation\"\n";
        std::fs::write(&config, profile).expect("write a configuration");
        let (config, kubeconfig) = (config.to_str().expect("a path"), way.kubeconfig());
        let args = ["--config", config, "--kubeconfig", &kubeconfig, "--namespace", &namespace.name];
        let server = Server::start(&[&args[..], more].concat());
        Site { namespace, way, server }
    }

    pub(super) fn ask(&self) -> Reply {
        greeters(&self.namespace).udp(self.server.dns)
    }

    /// Checks that DNS has the greeters at exactly these ports.
    pub(super) fn shows(&self, ports: &[u16]) -> Result<(), String> {
        is_at(&self.ask(), ports)
    }

    /// Waits until DNS has them at these ports. Until then the answer must be the previous one.
    #[track_caller]
    pub(super) fn becomes(&self, before: &[u16], ports: &[u16]) -> Duration {
        eventually(PATIENCE, || {
            let reply = self.ask();
            let result = is_at(&reply, ports);
            assert!(result.is_ok() || is_at(&reply, before).is_ok(), "neither {before:?} nor {ports:?}: {reply:?}");
            result
        })
    }

    /// The number of restarts of the watch for a reason.
    pub(super) fn restarts(&self, reason: &str) -> u64 {
        metric(&self.server, "callsign_source_restarts_total{", &format!("reason=\"{reason}\""))
    }

    /// The number of whole lists.
    pub(super) fn relists(&self) -> u64 {
        metric(&self.server, "callsign_source_relists_total{", "")
    }
}

/// The integer part of a metric's value, from the first line with this beginning and this text.
pub(super) fn metric(server: &Server, name: &str, label: &str) -> u64 {
    value(server, name, label) as u64
}

/// A gauge's value, from the first line with this beginning.
pub(super) fn gauge(server: &Server, name: &str) -> f64 {
    value(server, name, "")
}

fn value(server: &Server, name: &str, label: &str) -> f64 {
    let (_, text) = http_get(server.http, "/metrics").expect("metrics");
    let line = text.lines().find(|line| line.starts_with(name) && line.contains(label));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} {label} in\n{text}"))
}

/// The question for the greeters of a namespace.
pub(super) fn greeters(namespace: &Namespace) -> Ask {
    Ask::new(&format!("_rpc._tcp.org.acme.greeter.{}.rpc.cluster.local.", namespace.name), Rtype::SRV).edns(1232)
}

/// Whether an answer has endpoints at exactly these ports.
pub(super) fn is_at(reply: &Reply, ports: &[u16]) -> Result<(), String> {
    let mut found: Vec<u16> = reply.answer.iter().filter_map(|one| one.split(' ').nth(6)?.parse().ok()).collect();
    found.sort_unstable();
    let is_it = reply.rcode == "NOERROR" && found == ports;
    is_it.then_some(()).ok_or_else(|| format!("wanted {ports:?}, got {} {found:?}", reply.rcode))
}

pub(super) fn at(port: u16) -> String {
    annotation(&[("interface", "org.acme.Greeter"), ("port", &port.to_string())])
}

/// A greeter at the namespace's `host`-th address.
pub(super) fn greeter(namespace: &Namespace, name: &str, host: u8, port: u16) -> Pod {
    let pod = namespace.pod(name);
    pod.run(&[&namespace.ip(host)]);
    pod.register(&at(port));
    pod
}

/// Every fault of a request.
fn faults(point: Point) -> Vec<Fault> {
    let status = Fault::status;
    let html = |code| Fault::Answer(code, None, "text/html", "<html>Bad Gateway</html>".into());
    let json = |body: &str| Fault::Answer(200, None, "application/json", body.into());
    let protobuf = || Fault::Answer(200, None, "application/vnd.kubernetes.protobuf;stream=watch", "k8s\0?".into());
    // An empty list, which is no fault of a list.
    let fallen = (point == Point::Version).then_some(Fault::Fallen);
    let wait = Fault::Answer(429, Some(("retry-after", "1")), "text/plain", "slow down".into());
    let all = vec![
        status(400, "BadRequest", "no"),
        status(401, "Unauthorized", "no"),
        status(403, "Forbidden", "no"),
        status(404, "NotFound", "no"),
        status(410, "Expired", "too old resource version: 1 (2)"),
        wait,
        status(500, "InternalError", "etcdserver: leader changed"),
        html(502),
        status(503, "ServiceUnavailable", "apiserver is shutting down"),
        status(504, "Timeout", "Too large resource version: 9, current: 1"),
        status(504, "Timeout", "request timed out"),
        html(200),
        json(""),
        json("{"),
        json("{\"kind\":\"NodeList\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{}]}"),
        json("{\"type\":\"ERROR\",\"object\":{}}"),
        json("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}"),
        protobuf(),
        Fault::Hangup,
        Fault::Mute(Duration::from_millis(300)),
        Fault::Delay(Duration::from_millis(300)),
        Fault::After(0, End::Cut),
        Fault::After(0, End::Whole),
        Fault::After(77, End::Cut),
        Fault::After(77, End::Whole),
        Fault::After(77, End::Garbage),
        Fault::After(77, End::Stall(Duration::from_millis(300))),
        Fault::Drip(500),
    ];
    all.into_iter().chain(fallen).collect()
}

/// Causes each fault once at a kind of request, each followed by a change of the Pod.
fn each_fault(point: Point) {
    faults_slow::begin();
    let site = Site::new("faults");
    let pod = greeter(&site.namespace, "greeter-0", 1, 1000);
    eventually(PATIENCE, || site.shows(&[1000]));
    let mut longest = Duration::ZERO;
    for (port, fault) in (1001..).step_by(2).zip(faults(point)) {
        let met = || site.way.counts().get(&fault.name()).copied().unwrap_or_default();
        // The 410 that leads to the list counts under the same reason as the fault of that name.
        let is_twice = point == Point::List && fault.name() == "410";
        let enough = met() + 1 + u64::from(is_twice);
        let mut meets = Some(fault.clone());
        let mut expires = point == Point::List;
        site.way.decide(move |asked, _| match asked {
            Point::Watch if expires => {
                expires = false;
                Some(Fault::status(410, "Expired", "too old"))
            }
            asked if asked == point => meets.take(),
            _ => None,
        });
        site.way.cut();
        pod.register(&at(port));
        longest = longest.max(site.becomes(&[port - 1], &[port]));
        // The change may have arrived before the cut. Then the fault is still to come.
        eventually(PATIENCE, || match met() {
            count if count >= enough => Ok(()),
            _ => Err(format!("{fault:?} did not happen")),
        });
        // A watch that brings something. Without it each further list would come later.
        site.way.decide(|_, _| None);
        pod.register(&at(port + 1));
        site.becomes(&[port], &[port + 1]);
    }
    if point == Point::Version {
        assert!(site.restarts("expired") >= 1, "a version that fell is not seen");
    }
    eprintln!("{point:?}: {:?}; the longest took {longest:?}", site.way.counts());
    assert_eq!(site.server.get("/readyz").0, 200);
}

#[test]
fn every_fault_at_the_start_of_a_watch() {
    each_fault(Point::Watch);
}

#[test]
fn every_fault_in_a_list() {
    each_fault(Point::List);
}

#[test]
fn every_fault_when_the_version_is_asked_for() {
    each_fault(Point::Version);
}

#[test]
fn a_pod_deleted_while_the_connection_was_cut_is_gone() {
    // Once through the missed events, and once through a list after the server has forgotten them.
    for refusals in [0, 1] {
        let site = Site::new("deleted");
        let (gone, replaced) =
            (greeter(&site.namespace, "greeter-0", 1, 1000), greeter(&site.namespace, "greeter-1", 2, 1001));
        eventually(PATIENCE, || site.shows(&[1000, 1001]));
        let relists = site.relists();
        site.way.close();
        gone.delete();
        replaced.delete();
        greeter(&site.namespace, "greeter-1", 3, 1003);
        site.shows(&[1000, 1001]).expect("what was known");
        site.way.next(Point::Watch, (0..refusals).map(|_| Fault::status(410, "Expired", "too old")));
        site.way.open();
        eventually(PATIENCE, || site.shows(&[1003]));
        assert_eq!(site.relists() - relists, refusals);
        let old = format!("greeter-0.{}.pod.rpc.cluster.local.", site.namespace.name);
        // A Pod's second change, its end after its deletionTimestamp, may wait its turn.
        within_a_second(|| match Ask::new(&old, Rtype::A).udp(site.server.dns).rcode.as_str() {
            "NXDOMAIN" => Ok(()),
            rcode => Err(format!("{old} is {rcode}")),
        });
    }
}

#[test]
fn a_stale_api_server_brings_no_pod_back() {
    // Without the check the deleted Pod would exist again until its deletion arrived again too.
    let site = Site::new("stale");
    let pod = greeter(&site.namespace, "greeter-0", 1, 1000);
    for port in 2000..2020 {
        greeter(&site.namespace, "greeter-1", 2, port).delete();
    }
    within_a_second(|| site.shows(&[1000]));
    for back in [3, 10, 60] {
        let mut versions = Some(back);
        site.way.decide(move |point, version| match point {
            Point::Watch => versions.take().zip(version).map(|(back, version)| Fault::Replay(version - back)),
            _ => None,
        });
        let replays = site.way.counts().get("replay").copied().unwrap_or_default();
        site.way.cut();
        let end = Instant::now() + Duration::from_millis(700);
        while Instant::now() < end {
            site.shows(&[1000]).expect("nothing was changed");
        }
        assert_eq!(site.way.counts()["replay"], replays + 1);
    }
    pod.register(&at(1001));
    site.becomes(&[1000], &[1001]);
}

/// Waits until the answers with these ports are stale (EDE 3) and then too old (SERVFAIL, EDE 22). For a server with
/// `--stale-after 2 --max-stale 5`.
pub(super) fn grows_old(site: &Site, ports: &[u16]) {
    let mut seen = Vec::new();
    eventually(Duration::from_secs(15), || {
        let reply = site.ask();
        assert!(reply.rcode == "SERVFAIL" || is_at(&reply, ports).is_ok(), "{reply:?}");
        let now = (reply.rcode.clone(), extended_error(&reply));
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        if reply.rcode == "SERVFAIL" { Ok(()) } else { Err("it is not too old yet") }
    });
    let states = [("NOERROR", None), ("NOERROR", Some(3)), ("SERVFAIL", Some(22))];
    assert_eq!(seen, states.map(|(rcode, error)| (rcode.to_owned(), error)));
    assert!(metric(&site.server, "callsign_source_age_seconds{", "") >= 5);
}

/// The code of an answer's extended error (RFC 8914).
pub(super) fn extended_error(reply: &Reply) -> Option<u8> {
    let option = reply.edns.as_ref()?.options.iter().find(|(code, _)| *code == 15)?;
    option.1.get(1).copied()
}

#[test]
fn answers_continue_and_are_marked_stale() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("old");
    let pod = greeter(&namespace, "greeter-0", 1, 1000);
    let way = FaultyWay::start(cluster, cluster.own_client());
    let site = Site::by(namespace, way, &["--stale-after", "2", "--max-stale", "5"]);
    site.shows(&[1000]).expect("a first list");
    site.way.close();
    grows_old(&site, &[1000]);
    assert!(metric(&site.server, "callsign_source_age_seconds{", "") >= 5);
    assert_eq!((site.server.get("/readyz").0, site.server.get("/livez").0), (200, 200), "it stays in its Service");
    let log = site.server.log();
    assert!(log.lines().count() < 15 && !log.contains("ERROR"), "one line a change, not one an attempt: {log}");
    pod.register(&at(1001));
    site.way.open();
    eventually(Duration::from_secs(15), || site.shows(&[1001]));
}

#[test]
fn a_role_in_one_namespace_is_enough_and_may_be_granted_late() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("role");
    greeter(&namespace, "greeter-0", 1, 1000);
    let kubectl = |args: &[&str]| cluster.kubectl(&[&["-n", &namespace.name], args].concat());
    kubectl(&["create", "serviceaccount", "reader"]);
    let kubeconfig = cluster.kubeconfig_of(&namespace.name, "reader");
    let mut server = Server::launch(
        &[env!("CARGO_BIN_EXE_callsign")],
        &["--kubeconfig", &kubeconfig, "--namespace", &namespace.name],
    );
    server.wait_for("/livez");
    let says = |word: &str| if server.log().contains(word) { Ok(()) } else { Err(server.log()) };
    eventually(PATIENCE, || says("may not list pods in namespace"));
    assert_eq!((server.get("/readyz").0, greeters(&namespace).udp(server.dns).rcode.as_str()), (503, "SERVFAIL"));
    kubectl(&["create", "role", "reader", "--verb", "get,list,watch", "--resource", "pods"]);
    let account = format!("{}:reader", namespace.name);
    kubectl(&["create", "rolebinding", "reader", "--role", "reader", "--serviceaccount", &account]);
    eventually(Duration::from_secs(15), || is_at(&greeters(&namespace).udp(server.dns), &[1000]));
    assert_eq!(server.log().matches("may not list").count(), 2, "one line a watch: {}", server.log());
}

#[test]
fn replicas_see_events_at_different_times_and_stay_consistent() {
    let site = Site::new("replicas");
    let pod = greeter(&site.namespace, "greeter-0", 1, 1000);
    let args = ["--kubeconfig", Cluster::shared().kubeconfig(), "--namespace", &site.namespace.name];
    let other = Server::start(&args);
    let serial = |server: &Server| {
        let reply = Ask::new("rpc.cluster.local.", Rtype::SOA).udp(server.dns);
        reply.answer[0].split(' ').nth(6).and_then(|serial| serial.parse::<u32>().ok()).expect("a serial")
    };
    let mut last = [0, 0];
    for port in 1001..1006 {
        eventually(PATIENCE, || site.shows(&[port - 1]));
        site.way.freeze();
        pod.register(&at(port));
        within_a_second(|| is_at(&greeters(&site.namespace).udp(other.dns), &[port]));
        site.shows(&[port - 1]).expect("the other one's time has stopped");
        site.way.open();
        site.becomes(&[port - 1], &[port]);
        for (last, server) in last.iter_mut().zip([&site.server, &other]) {
            // The serial moves at most eight times a second, so it may move a moment later.
            within_a_second(|| match serial(server) {
                next if next == *last => Err(format!("still {last}")),
                next if next.wrapping_sub(*last) < 1 << 31 => {
                    *last = next;
                    Ok(())
                }
                next => panic!("{last} is followed by {next}"),
            });
        }
    }
}
