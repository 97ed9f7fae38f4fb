//! The API server and etcd are killed, stopped, started again, and restored from an older state.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::faults::{at, greeter, greeters, is_at, metric};
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::server::Server;

/// The bound after the API server is ready again: waits between attempts have grown meanwhile, to at most 10 s.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn an_api_server_is_killed_and_comes_back() {
    let cluster = Cluster::shared();
    let api_server = cluster.another_api_server();
    let namespace = cluster.namespace("killed");
    let pod = greeter(&namespace, "greeter-0", 1, 1000);
    let kubeconfig = cluster.kubeconfig_to(api_server.port);
    let server = Server::start(&["--kubeconfig", &kubeconfig, "--namespace", &namespace.name]);
    let is_shown = |port| is_at(&greeters(&namespace).udp(server.dns), &[port]);
    eventually(PATIENCE, || is_shown(1000));
    api_server.kill();
    pod.register(&at(1001)); // through the cluster's other API server
    sleep(Duration::from_millis(300));
    is_shown(1000).expect("what was known");
    api_server.start_again();
    cluster.wait_until_ready(&api_server);
    let took = eventually(PATIENCE, || is_shown(1001));
    eprintln!("converged {took:?} after the API server was ready");
    // It no longer has the old versions: an ERROR event with 410, in a response with status 200.
    assert!(metric(&server, "callsign_source_restarts_total{", "reason=\"expired\"") >= 1, "{}", server.log());
    let relists = metric(&server, "callsign_source_relists_total{", "");
    assert!(relists <= 1 + 2, "{relists} lists of one watch for one restart: a storm");
    assert_eq!((server.get("/readyz").0, server.get("/livez").0), (200, 200));
}

#[test]
fn etcd_is_stopped_killed_and_restored_from_an_older_state() {
    let cluster = Cluster::own();
    let namespace = cluster.namespace("etcd");
    let (kept, undone) = (greeter(&namespace, "greeter-0", 1, 1000), greeter(&namespace, "greeter-1", 2, 2000));
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--namespace", &namespace.name]);
    let is_shown = |ports: &[u16]| is_at(&greeters(&namespace).udp(server.dns), ports);
    is_shown(&[1000, 2000]).expect("a first list");

    cluster.etcd.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(2));
    is_shown(&[1000, 2000]).expect("what was known");
    cluster.etcd.signal(Signal::SIGCONT);
    kept.register(&at(1001));
    eventually(PATIENCE, || is_shown(&[1001, 2000]));

    cluster.etcd.kill();
    sleep(Duration::from_millis(300));
    is_shown(&[1001, 2000]).expect("what was known");
    cluster.etcd.back_up();
    cluster.etcd.start_again();
    cluster.wait_until_ready(&cluster.api_server);
    for port in 1002..1030 {
        kept.register(&at(port));
    }
    undone.delete();
    greeter(&namespace, "greeter-2", 3, 3000);
    eventually(PATIENCE, || is_shown(&[1029, 3000]));

    // Kubernetes' procedure: all API servers are down while etcd is restored. callsign's version is then in the future, and for
    // a long time no event would be newer.
    cluster.api_server.kill();
    cluster.etcd.kill();
    cluster.etcd.restore();
    cluster.etcd.start_again();
    is_shown(&[1029, 3000]).expect("what was known");
    cluster.api_server.start_again();
    cluster.wait_until_ready(&cluster.api_server);
    let took = eventually(PATIENCE, || is_shown(&[1001, 2000]));
    eprintln!("converged {took:?} after the API server was ready");
    kept.register(&at(1002));
    eventually(PATIENCE, || is_shown(&[1002, 2000]));
    cluster.api_server.kill();
    cluster.etcd.kill();
}
