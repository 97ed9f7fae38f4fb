//! The highest load that this machine can produce: memory stays flat, everything else continues, and a restart loses no query.
//!
//! Each test puts load on the server for some seconds, or for `CALLSIGN_LOAD_SECONDS`.

use std::fs;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use nix::sys::signal::Signal;

use crate::harness::alone::alone;
use crate::harness::ask::Ask;
use crate::harness::cluster::Cluster;
use crate::harness::coredns::{CoreDns, SERVICE_ADDRESS, stub};
use crate::harness::eventually;
use crate::harness::kubelet::Namespace;
use crate::harness::process::{output, scratch};
use crate::harness::server::Server;

/// The default length of a load.
const SECONDS: u64 = 8;

/// How much memory may grow under load, in KiB: buffers that were never full before.
const GROWTH_MAX: u64 = 8 * 1024;

const PODS: u8 = 12;
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

#[allow(clippy::disallowed_methods, reason = "an option of this test, not of the program")]
fn seconds() -> u64 {
    std::env::var("CALLSIGN_LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS)
}

fn fields(port: u16) -> [(&'static str, String); 3] {
    [("interface", "org.acme.Greeter".into()), ("protocol", "tri".into()), ("port", port.to_string())]
}

fn service(namespace: &Namespace) -> String {
    format!("_tri._tcp.org.acme.greeter.{}.rpc.cluster.local.", namespace.name)
}

/// A namespace of some greeters, and a server that watches it.
fn start(stem: &str, more: &[&str]) -> (Namespace, Vec<crate::harness::kubelet::Pod>, Server) {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace(stem);
    let pods = (1..=PODS).map(|n| {
        let fields = fields(20880);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
        namespace.endpoint(&format!("greeter-{n}"), &[&namespace.ip(n)], &fields)
    });
    let pods = pods.collect();
    let args = ["--kubeconfig", cluster.kubeconfig(), "--namespace", &namespace.name];
    let server = Server::start(&[&args[..], more].concat());
    (namespace, pods, server)
}

/// CoreDNS in front of several servers, without its cache, so that each query reaches a server. No Service keeps queries
/// from a replica that is not ready here, so `failover` does, as `deploy/README.md` says.
fn coredns_before(upstreams: &[SocketAddr]) -> CoreDns {
    let all: Vec<String> = upstreams.iter().map(SocketAddr::to_string).collect();
    let block = stub("coredns-stub.Corefile");
    let (before, cache) = block.split_once("    cache ").expect("a cache");
    let (_, behind) = cache.split_once("\n    }\n").expect("its end");
    let block = format!("{before}{behind}");
    let from = format!("forward . {SERVICE_ADDRESS} {{\n");
    let replaced = block.replace(&from, &format!("forward . {} {{\n        failover SERVFAIL\n", all.join(" ")));
    assert_ne!(replaced, block);
    CoreDns::start_with(&replaced)
}

/// A ready server at the addresses of one that has ended.
fn start_at(dns: SocketAddr, http: SocketAddr, args: &[&str]) -> Server {
    let mut server = Server::launch_at(dns, http, &[env!("CARGO_BIN_EXE_callsign")], args);
    server.wait_for("/readyz");
    server
}

/// dnsperf's report of its run.
struct Load {
    completed: u64,
    lost: u64,
    noerror: u64,
}

/// Sends queries in the background, for a time or until every question was sent once.
fn dnsperf(server: SocketAddr, questions: &Path, more: &[&str]) -> JoinHandle<Load> {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    let own = ["-s", &ip, "-p", &port, "-d", questions.to_str().expect("a plain path"), "-e", "-b", "1232", "-c", "8"];
    let args: Vec<String> = own.iter().chain(more).map(|&arg| arg.to_owned()).collect();
    spawn(move || {
        let text = output("dnsperf", &args);
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
            let word = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            word.unwrap_or_else(|| panic!("no {name} in\n{text}"))
        };
        let codes = text.lines().find_map(|line| line.trim().strip_prefix("Response codes:")).unwrap_or_default();
        let noerror = codes.split_whitespace().skip_while(|word| *word != "NOERROR").nth(1);
        let noerror = noerror.and_then(|count| count.parse().ok()).unwrap_or_default();
        Load { completed: number("Queries completed:"), lost: number("Queries lost:"), noerror }
    })
}

fn questions(lines: impl Iterator<Item = String>) -> PathBuf {
    let path = scratch("questions").join("questions");
    let mut file = BufWriter::new(fs::File::create(&path).expect("a file"));
    lines.for_each(|line| writeln!(file, "{line}").expect("write"));
    file.flush().expect("write");
    path
}

pub(super) fn resident_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number")
}

/// The number of queries over UDP since the server's start. Checks that no query met a panic.
fn queries(server: &Server) -> u64 {
    let metrics = server.get("/metrics").1;
    assert!(metrics.lines().any(|line| line == "callsign_panics_total 0"), "{metrics}");
    let counts = metrics.lines().filter(|line| line.starts_with("callsign_queries_total{") && line.contains("udp"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn a_saturating_udp_load_is_answered() {
    let _alone = alone();
    let (namespace, pods, server) = start("saturated", &[]);
    let name = service(&namespace);
    let file = questions([format!("{name} SRV"), format!("{name} TXT"), format!("x.{name} SRV")].into_iter());
    dnsperf(server.dns, &file, &["-q", "2000", "-l", "1"]).join().expect("a load"); // fills its buffers once
    let before = resident_kib(&server);
    let length = seconds().to_string();
    let load = dnsperf(server.dns, &file, &["-q", "2000", "-l", &length]);
    let (mut steps, mut slowest) = (0_u16, Duration::ZERO);
    while !load.is_finished() {
        steps += 1;
        assert_eq!(server.get("/livez").0, 200);
        assert_eq!(Ask::new(&name, Rtype::SRV).tcp(server.dns).answer.len(), usize::from(PODS), "over TCP");
        // The watch keeps up: DNS shows a Pod's change.
        let fields = fields(20880 + steps);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
        pods[0].register(&crate::harness::kubelet::annotation(&fields));
        let port = format!(" {} ", 20880 + steps);
        let waited = eventually(Duration::from_secs(5), || {
            let answer = Ask::new(&name, Rtype::SRV).tcp(server.dns).answer;
            if answer.iter().any(|line| line.contains(&port)) {
                Ok(())
            } else {
                Err(format!("no {port} in {answer:?}"))
            }
        });
        slowest = slowest.max(waited);
        sleep(Duration::from_millis(100));
    }
    let load = load.join().expect("a load");
    let after = resident_kib(&server);
    eprintln!(
        "{} queries, {} lost; {steps} changes seen, the slowest after {slowest:?}; {before} KiB before, {after} after",
        load.completed, load.lost
    );
    assert!(load.completed > 10_000 && load.lost * 100 < load.completed, "{} lost", load.lost);
    assert!(queries(&server) > load.completed / 2, "and none was given up");
    assert!(steps >= 5, "{steps} changes");
    assert!(after < before + GROWTH_MAX, "{before} KiB before, {after} after");
}

/// bad-input 34.
#[test]
fn a_million_random_names() {
    let _alone = alone();
    let (namespace, _pods, server) = start("random", &[]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut number = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let zone = format!("{}.rpc.cluster.local.", namespace.name);
    let file = questions((0..1_000_000).map(|_| format!("x{:x}.y{:x}.{zone} SRV", number(), number() % 99)));
    dnsperf(server.dns, &file, &["-q", "500", "-l", "1"]).join().expect("a load");
    let before = resident_kib(&server);
    let load = dnsperf(server.dns, &file, &["-q", "500", "-n", "1"]).join().expect("a load");
    let after = resident_kib(&server);
    eprintln!("{} names, {} lost; {before} KiB before, {after} after", load.completed, load.lost);
    assert!(load.completed + load.lost >= 1_000_000 && load.noerror == 0);
    assert!(queries(&server) > load.completed / 2, "and none was given up");
    assert!(after < before + GROWTH_MAX / 4, "{before} KiB before, {after} after");
}

/// bad-input 48: two replicas behind CoreDNS's `forward`, restarted one after the other.
#[test]
fn a_rolling_restart_loses_no_query() {
    let _alone = alone();
    let (namespace, _pods, first) = start("replicas", &["--lame-duck", "3"]);
    let cluster = Cluster::shared();
    let args = ["--kubeconfig", cluster.kubeconfig(), "--namespace", &namespace.name, "--lame-duck", "3"];
    let second = Server::start(&args);
    let coredns = coredns_before(&[first.dns, second.dns]);
    let file = questions([format!("{} SRV", service(&namespace))].into_iter());
    let load = dnsperf(coredns.dns, &file, &["-Q", "2000", "-q", "200", "-l", "22"]);
    sleep(Duration::from_secs(2));
    let mut replicas = [Some(first), Some(second)];
    let mut asked = Vec::new();
    for replica in &mut replicas {
        let mut old = replica.take().expect("a replica");
        let (dns, http) = (old.dns, old.http);
        asked.push(queries(&old));
        let start = Instant::now();
        old.signal(Signal::SIGTERM);
        assert!(old.ended(PATIENCE).expect("its end").success());
        assert!(start.elapsed() >= Duration::from_secs(3));
        sleep(Duration::from_millis(500));
        *replica = Some(start_at(dns, http, &args));
        sleep(Duration::from_secs(2));
    }
    let load = load.join().expect("a load");
    asked.extend(replicas.iter().flatten().map(queries));
    eprintln!("{} queries, {} lost, {} answered; the replicas' {asked:?}", load.completed, load.lost, load.noerror);
    assert!(load.completed > 20_000, "{}", load.completed);
    assert_eq!((load.lost, load.noerror), (0, load.completed));
    // Before their restarts and after.
    assert!(asked.iter().all(|queries| *queries > 1_000), "{asked:?}");
}
