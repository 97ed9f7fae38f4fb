//! A whole cluster of ordinary charts by the profile `labels`, and the same Pods by the profile `app`: the first sync, its
//! memory, and queries.

use std::thread::sleep;
use std::time::{Duration, Instant};

use callsign::source::kube::BodyEncoding;

use super::load::{Peer, ROUNDS as LOAD_ROUNDS, rounds, side};
use super::process;
use super::questions::{Questions, edns};
use super::report::{Sample, table};
use super::side::{CLIENTS, Load, ROUND_SECONDS, SERVER, Side};
use super::sync::{REST, ROUNDS, download};
use super::world::{CHARTS, write_charts};
use crate::harness::charts::{PORTLESS_EVERY, REPLICAS, chart_of};
use crate::harness::cluster::Cluster;
use crate::harness::process::http_get;
use crate::harness::server::Server;

/// The profiles and their label selectors.
const SIDES: [(&str, &str); 2] = [("labels", "app.kubernetes.io/name"), ("app", "app.io/label=app.io-value")];

/// How often a start looks whether the server is ready.
const POLL: Duration = Duration::from_millis(2);

/// The result of one start: seconds and bytes.
struct Run {
    curl: f64,
    list: f64,
    sync: f64,
    sync_cpu: f64,
    peak: f64,
    rest: f64,
    /// What the server has then: Pods, endpoints, refused ones, and the lines of its log.
    counts: [u64; 4],
}

/// Writes this many Pods, measures, and prints the tables.
pub(crate) fn measure(cluster: &'static Cluster, pods: usize) {
    write_charts(cluster, pods);
    let mut runs = SIDES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (side, runs) in SIDES.iter().zip(&mut runs) {
            runs.push(run(cluster, side));
        }
    }
    let mib = |bytes: f64| format!("{:.1}", bytes / 1_048_576.0);
    let rows = SIDES.iter().zip(&runs).map(|((name, _), runs)| {
        let sample = |part: fn(&Run) -> f64| Sample::new(&runs.iter().map(part).collect::<Vec<_>>());
        let (curl, sync) = (sample(|run| run.curl), sample(|run| run.sync));
        let figures = [
            (*name).to_owned(),
            mib(sample(|run| run.list).median()),
            curl.spread(2),
            sync.spread(2),
            format!("{:.2}", sync.median() / curl.median()),
            format!("{:.2}", sample(|run| run.sync_cpu).median()),
            mib(sample(|run| run.peak).median()),
            mib(sample(|run| run.rest).median()),
        ];
        [figures.to_vec(), runs[0].counts.map(|count| count.to_string()).to_vec()].concat()
    });
    table(
        &format!(
            "A cluster of charts: {pods} Pods, the same for both profiles; median of {ROUNDS} rounds (least–most)"
        ),
        &[
            "profile",
            "MiB of LIST",
            "curl, s",
            "first sync, s",
            "× curl",
            "its CPU, s",
            "peak MiB",
            "MiB at rest",
            "Pods",
            "endpoints",
            "refused",
            "log lines",
        ],
        rows,
    );
    queries(cluster, pods);
}

fn args<'c>(cluster: &'c Cluster, profile: &'c str) -> [&'c str; 5] {
    ["--kubeconfig", cluster.kubeconfig(), "--all-namespaces", "--profiles", profile]
}

/// Downloads the list with curl, and starts a server that reads the same list.
fn run(cluster: &Cluster, (profile, selector): &(&str, &str)) -> Run {
    let (curl, list) = download(cluster, BodyEncoding::Protobuf, "/api/v1/pods", selector);
    let started = Instant::now();
    let server = Server::launch(&[env!("CARGO_BIN_EXE_callsign")], &args(cluster, profile));
    while !http_get(server.http, "/readyz").is_ok_and(|(status, _)| status == 200) {
        sleep(POLL);
    }
    let (sync, used, peak) = (started.elapsed(), process::cpu_time(server.id()), process::memory(server.id()).peak);
    sleep(REST);
    let refused = server.get("/metrics").1;
    let refused = refused.lines().filter(|line| line.starts_with("callsign_registrations_refused{"));
    let refused = refused.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    let [pods, endpoints] = ["callsign_pods", "callsign_endpoints"].map(|name| server.metric(name));
    Run {
        curl,
        list,
        sync: sync.as_secs_f64(),
        sync_cpu: used.user + used.system,
        peak: peak as f64,
        rest: process::memory(server.id()).resident as f64,
        counts: [pods, endpoints, refused, server.log().lines().count() as u64],
    }
}

/// Asks both servers for the releases that have a port with a name.
fn queries(cluster: &'static Cluster, pods: usize) {
    let named = |n: usize| n + n / (PORTLESS_EVERY - 1);
    let name = |n: usize| {
        let release = named(n);
        format!("_http._tcp.{}.g-release--{release}.{CHARTS}.rpc.cluster.local.", chart_of(release))
    };
    let releases = pods / REPLICAS / PORTLESS_EVERY * (PORTLESS_EVERY - 1);
    let questions = Questions::write(releases, edns(Vec::new()), name);
    let servers = SIDES.map(|(profile, _)| {
        let program: Vec<&str> = SERVER.into_iter().chain([env!("CARGO_BIN_EXE_callsign")]).collect();
        let mut server = Server::launch(&program, &args(cluster, profile));
        server.wait_for("/readyz");
        questions.check(server.dns);
        (profile, server)
    });
    let mut sides = servers.each_ref().map(|(profile, server)| {
        let peer: Peer = (profile, server.dns, server.id());
        side(&peer, &questions.file, Load::Udp)
    });
    rounds(&mut sides);
    let what = format!(
        "Queries for {releases} releases of {REPLICAS} endpoints over UDP, EDNS 1232, from {CLIENTS} sockets; median of \
         {LOAD_ROUNDS} rounds of {ROUND_SECONDS} s (least–most)"
    );
    table(&what, &Side::HEAD, sides.iter().map(Side::row));
}
