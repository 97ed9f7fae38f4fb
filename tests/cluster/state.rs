//! A restart while the API server is away: the server serves the zone of the last run, marked stale, until it reaches the
//! cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::faults::{self, Site, at, is_at};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::faults::{Fault, FaultyWay, Point};
use crate::harness::kubelet::{Namespace, Pod};
use crate::harness::process::{free_port, scratch};
use crate::harness::server::Server;

const PATIENCE: Duration = Duration::from_secs(20);
const GREETER: [(&str, &str); 3] = [("interface", "org.acme.Greeter"), ("protocol", "tri"), ("port", "20880")];

/// A server that watches a namespace through a port where the API server may be unreachable.
struct Run<'n> {
    namespace: &'n Namespace,
    port: u16,
    folder: PathBuf,
}

impl Run<'_> {
    fn launch(&self, more: &[&str]) -> Server {
        let kubeconfig = Cluster::shared().kubeconfig_to(self.port);
        let folder = self.folder.to_str().expect("a plain path");
        let args = ["--kubeconfig", &kubeconfig, "--namespace", &self.namespace.name, "--state-dir", folder];
        Server::launch(&[env!("CARGO_BIN_EXE_callsign")], &[&args, more].concat())
    }

    fn name(&self) -> String {
        format!("_tri._tcp.org.acme.greeter.{}.rpc.cluster.local.", self.namespace.name)
    }

    fn endpoints(&self, server: &Server) -> (String, usize, bool) {
        let reply = server.dig(&["SRV", &self.name()]);
        let is_stale = reply.text.contains("EDE: 3");
        (reply.status, reply.answer.len(), is_stale)
    }

    #[track_caller]
    fn shows(&self, server: &Server, status: &str, count: usize, is_stale: bool) {
        let expected = (status.to_owned(), count, is_stale);
        eventually(PATIENCE, || match self.endpoints(server) {
            seen if seen == expected => Ok(()),
            seen => Err(format!("{seen:?}, not {expected:?}\n{}", server.log())),
        });
    }
}

fn greeter(namespace: &Namespace, number: u8) -> Pod {
    namespace.endpoint(&format!("greeter-{number}"), &[&namespace.ip(number)], &GREETER)
}

#[test]
fn a_restart_while_the_api_server_is_away() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("state");
    let run = Run { namespace: &namespace, port: free_port(), folder: scratch("state") };
    let pods = [greeter(&namespace, 1), greeter(&namespace, 2)];
    let proxy = cluster.proxy(run.port);

    // There is no saved zone yet, and the server saves it at its end.
    let mut first = run.launch(&[]);
    first.wait_for("/readyz");
    run.shows(&first, "NOERROR", 2, false);
    first.signal(Signal::SIGTERM);
    assert!(first.ended(PATIENCE).expect("its end").success());
    let file = run.folder.join("zone.state");
    assert!(file.exists(), "{}", first.log());

    // The API server is away. Meanwhile one Pod comes and one goes.
    drop(proxy);
    let start = Instant::now();
    let mut second = run.launch(&["--state-wait", "2"]);
    second.wait_for("/livez");
    assert_eq!(run.endpoints(&second), ("SERVFAIL".into(), 0, false), "it waits first");
    second.wait_for("/readyz");
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    run.shows(&second, "NOERROR", 2, true);
    let nothing = second.dig(&["SRV", "nope.rpc.cluster.local."]);
    assert!(nothing.status == "NXDOMAIN" && nothing.text.contains("EDE: 19"), "{}", nothing.text);
    assert_eq!(second.get("/v1/endpoints?interface=org.acme.Greeter").0, 200);
    assert_eq!(second.get("/v1/watch?interface=org.acme.Greeter").0, 503);
    assert!(second.log().contains("the zone of the last run is served"), "{}", second.log());
    pods[0].delete();
    let _new = [greeter(&namespace, 3), greeter(&namespace, 4)];

    // A kill leaves the saved zone. A third run may save only a zone from the cluster.
    let before = fs::read(&file).expect("the saved zone");
    second.signal(Signal::SIGKILL);
    second.ended(PATIENCE).expect("its end");
    assert_eq!(fs::read(&file).expect("the saved zone"), before);

    // Old and torn files are reported and not served.
    for (args, spoil, told) in [
        (["--state-max-age", "1"], None, "last heard from"),
        (["--state-max-age", "86400"], Some(before.len() / 2), "torn"),
    ] {
        fs::write(&file, &before[..spoil.unwrap_or(before.len())]).expect("write");
        let refused = run.launch(&[&args[..], &["--state-wait", "0"]].concat());
        eventually(PATIENCE, || match refused.log().contains(told) && refused.log().contains("zone.state") {
            true => Ok(()),
            false => Err(refused.log()),
        });
        assert_eq!(run.endpoints(&refused).0, "SERVFAIL", "{told}");
        assert_eq!(refused.get("/readyz").0, 503, "{told}");
    }

    // The API server is back: the cluster's zone replaces the saved one.
    fs::write(&file, &before).expect("write");
    let third = run.launch(&["--state-wait", "0"]);
    run.shows(&third, "NOERROR", 2, true);
    let _proxy = cluster.proxy(run.port);
    run.shows(&third, "NOERROR", 3, false);
    eventually(PATIENCE, || match fs::read(&file).expect("the saved zone") == before {
        false => Ok(()),
        true => Err("the new zone is not saved"),
    });
}

#[test]
fn the_clusters_zone_replaces_the_saved_one_whole() {
    const PODS: u16 = 20;
    let cluster = Cluster::shared();
    let folder = scratch("state-whole");
    let args = ["--state-dir", folder.to_str().expect("a plain path"), "--state-wait", "0"];
    let mut first = Site::by(cluster.namespace("state-whole"), FaultyWay::start(cluster, cluster.own_client()), &args);
    let before: Vec<u16> = (1000..1000 + PODS).collect();
    let pods: Vec<_> = (1..)
        .zip(&before)
        .map(|(host, port)| faults::greeter(&first.namespace, &format!("greeter-{port}"), host, *port))
        .collect();
    eventually(PATIENCE, || first.shows(&before));
    first.server.signal(Signal::SIGTERM);
    assert!(first.server.ended(PATIENCE).expect("its end").success());

    // Meanwhile half of the Pods move, and one goes.
    let Site { namespace, way, .. } = first;
    way.close();
    let moved = pods.iter().zip(2000..).take(usize::from(PODS) / 2);
    moved.for_each(|(pod, port)| pod.register(&at(port)));
    pods.last().expect("a Pod").delete();
    let after: Vec<u16> = (1000 + PODS / 2..1000 + PODS - 1).chain(2000..2000 + PODS / 2).collect();

    // The list is so slow that many queries come during it.
    let second = Site::by(namespace, way, &args);
    second.way.decide(|point, _| (point == Point::List).then_some(Fault::Drip(2_000)));
    second.way.open();
    let mut asked_in_list = 0;
    eventually(PATIENCE, || {
        let reply = second.ask();
        let is_stale = reply.edns.as_ref().expect("OPT").options.contains(&(15, vec![0, 3]));
        let is_old = is_at(&reply, &before).is_ok();
        assert!(!is_old || is_stale, "the saved zone, without a mark: {reply:?}");
        if !is_old {
            is_at(&reply, &after).unwrap_or_else(|error| panic!("neither zone: {error}"));
        }
        asked_in_list += u32::from(second.way.counts().contains_key("drip") && is_old);
        // The mark may stay for a moment, until the server checks the clock.
        if is_stale { Err("it is marked stale".to_owned()) } else { Ok(()) }
    });
    assert!(asked_in_list >= 10, "{asked_in_list} questions while the list came");
}

#[test]
fn a_disk_that_cannot_be_written_has_no_other_effect() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("state-full");
    let _pod = greeter(&namespace, 1);
    let nowhere = Path::new("/proc/self/no-such-folder");
    let run = Run { namespace: &namespace, port: free_port(), folder: nowhere.into() };
    let _proxy = cluster.proxy(run.port);
    let mut server = run.launch(&[]);
    server.wait_for("/readyz");
    run.shows(&server, "NOERROR", 1, false);
    server.signal(Signal::SIGTERM);
    assert!(server.ended(PATIENCE).expect("its end").success());
    assert!(server.log().contains("the zone is not saved"), "{}", server.log());
}
