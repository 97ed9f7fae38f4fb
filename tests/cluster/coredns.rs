//! The answers that a cluster's clients get, through CoreDNS with the stub of `deploy/`.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

use domain::base::iana::Rtype;

use crate::harness::ask::{Ask, Edns};
use crate::harness::cluster::Cluster;
use crate::harness::coredns::CoreDns;
use crate::harness::dig::Dig;
use crate::harness::eventually;
use crate::harness::kubelet::{POD_NETWORK, annotation};
use crate::harness::process::{free_address, free_port};
use crate::harness::server::Server;
use crate::harness::tls::{Authority, Mounted, SERVER_NAME};

/// CoreDNS's metrics for an upstream that does not answer: failed health probes, and queries with every upstream down.
const FAILURES: [&str; 2] = ["coredns_proxy_healthcheck_failures_total", "coredns_forward_healthcheck_broken_total"];

/// How long a cache may keep an answer without data, in seconds.
const NEGATIVE_TTL: u64 = 5;

/// A name that no Pod has registered.
const NOBODY: &str = "_tri._tcp.org.acme.nobody.default.rpc.cluster.local.";

/// CoreDNS's label for an answer without data, which it caches by its SOA.
fn assert_negative(reply: &Dig, status: &str) {
    reply.shows(status, &[]).unwrap();
    let soa = reply.authority.first().unwrap_or_else(|| panic!("no SOA:\n{}", reply.text));
    assert!(soa.contains(" IN SOA "), "{soa}");
}

#[test]
fn the_stub_starts_without_a_server_and_reports_it() {
    let core = CoreDns::start(free_address());
    let reply = core.dig(&["SRV", NOBODY]);
    assert_eq!(reply.status, "SERVFAIL", "{}", reply.text);
    assert_eq!(core.dig(&["A", "example.org."]).status, "REFUSED", "it serves the zone alone");
    // The metrics of `assert_never_down` do move when a server is down.
    eventually(Duration::from_secs(10), || match FAILURES.map(|metric| core.metric(metric)) {
        [probes, all_down] if probes > 0.0 && all_down > 0.0 => Ok(()),
        counts => {
            core.dig(&["SRV", NOBODY]);
            Err(format!("{FAILURES:?} are {counts:?}"))
        }
    });
    assert!(core.log().contains("[ERROR]"), "{}", core.log());
}

#[test]
fn clients_behind_the_stub_get_the_servers_answers() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("stub");
    let ips = [1, 2].map(|host| namespace.ip(host));
    for (ip, group) in ips.iter().zip(["gray", "blue"]) {
        let pairs = [("interface", "org.acme.Greeter"), ("protocol", "tri"), ("port", "20880"), ("group", group)];
        namespace.endpoint(&format!("greeter-{group}"), &[ip], &pairs);
    }
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--all-namespaces", "--reverse", POD_NETWORK]);
    let core = CoreDns::start(server.dns);
    let service = format!("org.acme.greeter.{}.rpc.cluster.local.", namespace.name);
    let target = |ip: &str| format!("{}.p.rpc.cluster.local.", ip.replace('.', "-"));

    let any = core.dig(&["SRV", &format!("_tri._tcp.{service}")]);
    assert_eq!(any.data(), [target(&ips[0]), target(&ips[1])].map(|target| format!("0 100 20880 {target}")));
    let gray = format!("_tri._tcp.org.acme.greeter.g-gray.{}.rpc.cluster.local.", namespace.name);
    assert_eq!(core.dig(&["SRV", &gray]).data(), [format!("0 100 20880 {}", target(&ips[0]))]);
    let txt = core.dig(&["TXT", &gray]);
    assert_eq!(txt.answer.len(), 1, "{}", txt.text);
    assert!(txt.answer[0].contains("\"pod=greeter-gray\"") && txt.answer[0].contains("\"group=gray\""), "{}", txt.text);
    assert_eq!(core.dig(&["A", &service]).data(), ips);
    assert_eq!(core.dig(&["A", &target(&ips[0])]).data(), [ips[0].as_str()]);
    assert_eq!(core.dig(&["-x", &ips[0]]).data(), [format!("greeter-gray.{}.pod.rpc.cluster.local.", namespace.name)]);

    assert_negative(
        &core.dig(&["SRV", &format!("_tri._tcp.nobody.{}.rpc.cluster.local.", namespace.name)]),
        "NXDOMAIN",
    );
    assert_negative(&core.dig(&["AAAA", &service]), "NOERROR");
    assert_negative(&core.dig(&["-x", &namespace.ip(99)]), "NXDOMAIN");
    assert_never_down(&core);
}

/// The number of clients that ask for addresses, and the least number of them that each of the three endpoints must get. By
/// chance, one of the three gets fewer in one run of some 20,000.
const CLIENTS: usize = 60;
const FEWEST_CLIENTS: usize = 6;

#[test]
fn clients_behind_the_stub_spread_over_the_addresses() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("spread");
    let ips = [1, 2, 3].map(|host| namespace.ip(host));
    for (n, ip) in ips.iter().enumerate() {
        let pairs = [("interface", "org.acme.Greeter"), ("protocol", "grpc"), ("port", "20880")];
        namespace.endpoint(&format!("greeter-{n}"), &[ip], &pairs);
    }
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"]);
    let core = CoreDns::start(server.dns);
    let name = format!("org.acme.greeter.{}.rpc.cluster.local.", namespace.name);
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..CLIENTS {
        let reply = core.dig(&["A", &name]);
        assert_eq!(reply.data(), ips, "{}", reply.text);
        let address = reply.answer[0].rsplit(' ').next().unwrap_or_default().to_owned();
        *first.entry(address).or_default() += 1;
    }
    assert!(first.len() == ips.len() && first.values().all(|count| *count >= FEWEST_CLIENTS), "{first:?}");
    // SRV has one order for all of them, as the documents say.
    let name = format!("_grpc._tcp.{name}");
    let target = |record: &String| record.rsplit(' ').next().unwrap_or_default().to_owned();
    let orders: BTreeSet<Vec<String>> =
        (0..10).map(|_| core.dig(&["SRV", &name]).answer.iter().map(target).collect()).collect();
    assert_eq!(orders.len(), 1, "{orders:?}");
    // `loadbalance` keeps OPT as the last record, as HAProxy needs it. The first reply comes from the server, because the cache
    // stores a name with the DO flag separately. The second comes from the cache.
    for _ in 0..2 {
        // DO, the first EDNS flag.
        let edns = Edns { size: 1232, flags: 0x8000, ..Edns::default() };
        let reply = Ask::new(&name, Rtype::SRV).opt(edns).udp(core.dns);
        assert_eq!((reply.answer.len(), reply.additional.len(), reply.edns.is_some()), (3, 3, true), "{reply:?}");
    }
    assert_never_down(&core);
}

#[test]
fn the_stub_can_forward_over_tls() {
    let authority = Authority::new();
    let (certificate, key, _) = authority.issue();
    let mut mounted = Mounted::new(&certificate, &key);
    let tls = free_address();
    let pods = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/manifests");
    let (listen, certificate, key) = (tls.to_string(), mounted.file("tls.crt"), mounted.file("tls.key"));
    let args = ["--manifests", pods, "--listen-tls", &listen, "--tls-cert", &certificate, "--tls-key", &key];
    let server = Server::start(&args);
    let core = CoreDns::start_tls(tls, &authority.file, SERVER_NAME);
    let name = "_rpc._tcp.org.acme.greeter.default.rpc.cluster.local.";
    let (through, own) = (core.dig(&["SRV", name]), server.dig(&["SRV", name]));
    assert!(!own.answer.is_empty(), "{}", own.text);
    assert_eq!((through.status.as_str(), through.data()), ("NOERROR", own.data()), "{}", through.text);
    assert_negative(&core.dig(&["SRV", NOBODY]), "NXDOMAIN");
    // A renewed certificate interrupts no client. The names are new, so that CoreDNS cannot answer from its cache.
    let (renewed, key, shown) = authority.issue();
    mounted.turn(&renewed, &key);
    eventually(Duration::from_secs(5), || match authority.connect(tls).certificate() == shown {
        true => Ok(()),
        false => Err("the old certificate"),
    });
    for n in 0..20 {
        assert_negative(&core.dig(&["A", &format!("n{n}.default.rpc.cluster.local.")]), "NXDOMAIN");
    }
    assert_never_down(&core);
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.contains("qtype=\"A\",transport=\"tls\",rcode=\"NXDOMAIN\"} 20"), "{metrics}");
}

#[test]
fn a_set_too_big_for_udp_comes_whole_over_tcp() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("big");
    let ports: Vec<String> = (20_000..20_100).map(|port: u16| port.to_string()).collect();
    let pairs: Vec<(&str, &str)> = ports
        .iter()
        .flat_map(|port| [("interface", "org.acme.Greeter"), ("protocol", "tri"), ("port", port.as_str())])
        .collect();
    let pod = namespace.pod("greeter-0");
    pod.run(&[&namespace.ip(1)]);
    pod.register(&annotation(&pairs));
    let server = Server::start(&["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"]);
    let core = CoreDns::start(server.dns);
    let name = format!("_tri._tcp.org.acme.greeter.{}.rpc.cluster.local.", namespace.name);

    // Every EDNS size that a client may have, and no EDNS.
    for size in ["+noedns", "+bufsize=512", "+bufsize=1232", "+bufsize=4096"] {
        let cut = core.dig(&["SRV", &name, size, "+ignore"]);
        assert!(cut.has_flag("tc"), "{size}: {}", cut.text);
        assert_eq!(cut.status, "NOERROR", "{size}: {}", cut.text);
        assert!(cut.answer.len() < ports.len(), "{size}: {}", cut.text);
    }
    let whole = core.dig(&["SRV", &name]);
    assert!(whole.text.contains("retrying in TCP"), "{}", whole.text);
    assert_eq!(whole.answer.len(), ports.len(), "{}", whole.text);
    assert!(!whole.has_flag("tc"), "{}", whole.text);
    assert_never_down(&core);
}

#[test]
fn a_change_shows_through_the_cache_within_its_ttl() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("cached");
    let pairs = [("interface", "org.acme.Greeter"), ("protocol", "tri"), ("port", "20880")];
    let pod = namespace.endpoint("greeter-0", &[&namespace.ip(1)], &pairs);
    let name = format!("_tri._tcp.org.acme.greeter.{}.rpc.cluster.local.", namespace.name);
    // One second is less than CoreDNS's default minimum of five.
    for ttl in [1, 5] {
        pod.set_ready(true);
        let server =
            Server::start(&["--kubeconfig", cluster.kubeconfig(), "--all-namespaces", "--ttl", &ttl.to_string()]);
        let core = CoreDns::start(server.dns);
        let shows = |count: usize| {
            let reply = core.dig(&["SRV", &name]);
            if reply.answer.len() == count { Ok(()) } else { Err(reply.text) }
        };
        // In addition to the TTL, a second for the change to reach the server, and half a second for dig and a busy machine.
        let patience = |ttl: u64| Duration::from_millis(1_500 + 1_000 * ttl);
        shows(1).unwrap();
        pod.set_ready(false);
        eventually(patience(ttl), || shows(0));
        pod.set_ready(true);
        eventually(patience(NEGATIVE_TTL), || shows(1));
    }
}

#[test]
fn a_server_that_has_not_synced_is_not_marked_down() {
    // The API server is unreachable: nothing listens on this port.
    let kubeconfig = Cluster::shared().kubeconfig_to(free_port());
    let mut server =
        Server::launch(&[env!("CARGO_BIN_EXE_callsign")], &["--kubeconfig", &kubeconfig, "--all-namespaces"]);
    server.wait_for("/livez");
    assert_eq!(server.get("/readyz").0, 503);

    let core = CoreDns::start(server.dns);
    for _ in 0..5 {
        core.dig(&["SRV", NOBODY]).shows("SERVFAIL", &[]).unwrap();
        // Longer than the half second between health probes.
        sleep(Duration::from_millis(600));
    }
    assert_never_down(&core);
}

/// Checks that CoreDNS has never found its upstream unhealthy, and has logged no error about it.
#[track_caller]
fn assert_never_down(core: &CoreDns) {
    for metric in FAILURES {
        assert_eq!(core.metric(metric), 0.0, "{metric}\n{}", core.log());
    }
    assert!(core.metric("coredns_proxy_request_duration_seconds_count") > 0.0, "it did ask the server");
    assert!(!core.log().contains("[ERROR]"), "{}", core.log());
}
