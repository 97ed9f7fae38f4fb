//! The first list: the time until the zone is whole, and its memory, for each way to ask for the list.
//!
//! Each run is a separate process: this benchmark, started with [`COMMAND`] and a way. It runs callsign's watch, index and
//! writer without sockets. For comparison `curl` downloads the same list whole.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callsign::changes::Changes;
use callsign::cluster::client;
use callsign::config::{Environment, ServeConfig};
use callsign::heartbeat::Heartbeat;
use callsign::index::Index;
use callsign::registration;
use callsign::snapshot::{PublishedZone, Snapshot};
use callsign::source::WatchProfile;
use callsign::source::health::SourceHealth;
use callsign::source::kube::{BodyEncoding, Method, Watch};
use callsign::source::refetch::RefetchSenders;
use callsign::writer::{self, Inputs};
use callsign::zones::Zones;
use callsign::{app, cli};
use clap::Parser;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::process;
use super::report::{Sample, table};
use super::world::{LARGE_INTERFACES, SYNC};
use crate::harness::cluster::Cluster;
use crate::harness::process::output;

/// The argument that makes this program the client.
pub(crate) const COMMAND: &str = "sync-client";

/// How often each way is measured.
pub(crate) const ROUNDS: usize = 3;

/// How long the client rests before its memory counts as memory at rest.
pub(crate) const REST: Duration = Duration::from_secs(3);

const SELECTOR: &str = "dubbo.io/label in (dubbo.io-value, dubbo.io.provider, dubbo.io.consumer)";

/// The ways to ask.
const WAYS: [(&str, BodyEncoding, Method); 6] = [
    ("JSON, whole", BodyEncoding::Json, Method::Whole),
    ("JSON, pages of 500", BodyEncoding::Json, Method::Pages),
    ("JSON, streaming list", BodyEncoding::Json, Method::Streaming),
    ("protobuf, whole", BodyEncoding::Protobuf, Method::Whole),
    ("protobuf, pages of 500", BodyEncoding::Protobuf, Method::Pages),
    ("protobuf, streaming list", BodyEncoding::Protobuf, Method::Streaming),
];

/// The result of one run: seconds and bytes.
struct Run {
    first: f64,
    first_cpu: f64,
    peak: f64,
    rest: f64,
    relist: f64,
    relist_peak: f64,
}

/// Measures with this many Pods, which exist already, and prints the table.
pub(crate) fn measure(cluster: &'static Cluster, pods: usize) {
    let mut runs: Vec<Vec<Run>> = WAYS.iter().map(|_| Vec::new()).collect();
    let mut downloads = [(Vec::new(), 0.0), (Vec::new(), 0.0)];
    for round in 0..ROUNDS {
        for (of_encoding, (seconds, bytes)) in
            [BodyEncoding::Json, BodyEncoding::Protobuf].into_iter().zip(&mut downloads)
        {
            let path = format!("/api/v1/namespaces/{SYNC}/pods");
            let (took, len) = download(cluster, of_encoding, &path, SELECTOR);
            seconds.push(took);
            *bytes = len;
        }
        for (way, runs) in runs.iter_mut().enumerate() {
            runs.push(run(cluster, way, pods));
        }
        eprintln!("round {} of {ROUNDS} is over", round + 1);
    }
    let mib = |bytes: f64| format!("{:.1}", bytes / 1_048_576.0);
    let rows = WAYS.iter().zip(&runs).map(|((name, encoding, _), runs)| {
        let (seconds, bytes) = &downloads[usize::from(*encoding == BodyEncoding::Protobuf)];
        let median = |part: fn(&Run) -> f64| Sample::new(&runs.iter().map(part).collect::<Vec<_>>()).median();
        let curl = Sample::new(seconds);
        let firsts = Sample::new(&runs.iter().map(|run| run.first).collect::<Vec<_>>());
        let (peak, rest) = (median(|run| run.peak), median(|run| run.rest));
        vec![
            (*name).to_owned(),
            mib(*bytes),
            curl.spread(2),
            firsts.spread(2),
            format!("{:.2}", firsts.median() / curl.median()),
            format!("{:.2}", median(|run| run.first_cpu)),
            mib(peak),
            mib(rest),
            format!("{:.2}", peak / rest),
            format!("{:.2}", median(|run| run.relist)),
            format!("{:.2}", median(|run| run.relist_peak) / rest),
        ]
    });
    table(
        &format!(
            "First sync: {pods} Pods, {LARGE_INTERFACES} registrations each; median of {ROUNDS} rounds (least–most)"
        ),
        &[
            "asked for in",
            "MiB of LIST",
            "curl, s",
            "first sync, s",
            "× curl",
            "its CPU, s",
            "peak MiB",
            "MiB at rest",
            "peak / rest",
            "relist, s",
            "relist's peak / rest",
        ],
        rows,
    );
}

/// Downloads the whole list of a label selector with curl. Returns seconds and bytes.
pub(crate) fn download(cluster: &Cluster, encoding: BodyEncoding, path: &str, selector: &str) -> (f64, f64) {
    let text = fs::read_to_string(cluster.kubeconfig()).expect("callsign's kubeconfig");
    let config: Value = serde_json::from_str(&text).expect("a kubeconfig of JSON");
    let part = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).expect("a kubeconfig's part").to_owned();
    let selector: String = form_urlencoded::byte_serialize(selector.as_bytes()).collect();
    let url = format!("{}{path}?labelSelector={selector}", part("/clusters/0/cluster/server"));
    let accept = match encoding {
        BodyEncoding::Json => "application/json",
        BodyEncoding::Protobuf => "application/vnd.kubernetes.protobuf",
    };
    let arguments = [
        "-sSf",
        "-o",
        "/dev/null",
        "-w",
        "%{time_total} %{size_download}",
        "--cacert",
        &part("/clusters/0/cluster/certificate-authority"),
        "-H",
        &format!("Authorization: Bearer {}", part("/users/0/user/token")),
        "-H",
        &format!("Accept: {accept}"),
        &url,
    ]
    .map(str::to_owned);
    let printed = output("curl", arguments);
    let (seconds, bytes) = printed.trim().split_once(' ').expect("two numbers");
    (seconds.parse().expect("seconds"), bytes.parse().expect("bytes"))
}

fn run(cluster: &Cluster, way: usize, pods: usize) -> Run {
    let program = std::env::current_exe().expect("this program");
    let printed = output(program, [COMMAND, &way.to_string(), &pods.to_string(), cluster.kubeconfig()]);
    let numbers: Vec<f64> = printed.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let [first, first_cpu, peak, rest, relist, relist_peak] = numbers[..] else { panic!("not six numbers: {printed}") };
    Run { first, first_cpu, peak, rest, relist, relist_peak }
}

/// Runs the client: lists in the given way, rests, lists again, and prints the six numbers of a [`Run`].
pub(crate) fn client_main(way: &str, pods: &str, kubeconfig: &str) {
    let pods = pods.parse().expect("a number of Pods");
    let (_, encoding, method) = WAYS[way.parse::<usize>().expect("a way's number")];
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(list_twice(kubeconfig, pods, encoding, method));
}

async fn list_twice(kubeconfig: &str, pods: usize, encoding: BodyEncoding, method: Method) {
    let pid = std::process::id();
    let used = || process::cpu_time(pid).user + process::cpu_time(pid).system;
    let started = Instant::now();
    let (client, _) = client(Some(Path::new(kubeconfig)), None).await.expect("a client");
    let selector = SELECTOR.parse().expect("a selector");
    let pairs = registration::Encoding::Pairs { plain: None };
    let profile = WatchProfile::new("dubbo", selector, Some("dubbo.io/annotation"), pairs);
    let watch = Watch::new("kubernetes".into(), vec![profile], Some(SYNC.into())).preferring(encoding, method);
    let (events, incoming) = mpsc::channel(writer::QUEUE_LEN_MAX);
    let zone = start_writer(&watch, incoming);

    let health = Arc::new(SourceHealth::new(Instant::now()));
    let first = tokio::spawn(watch.clone().run(client.clone(), events.clone(), health.clone()));
    while !zone.snapshot.load().is_synced {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (first_seconds, first_cpu) = (started.elapsed().as_secs_f64(), used());
    let peak = process::memory(pid).peak;
    assert_eq!(zone.snapshot.load().tally.endpoints, pods * LARGE_INTERFACES, "not all endpoints");
    tokio::time::sleep(REST).await;
    let rest = process::memory(pid).resident;

    first.abort();
    // Linux resets the peak to the current resident memory.
    fs::write("/proc/self/clear_refs", "5").expect("reset the peak");
    let started = Instant::now();
    tokio::spawn(watch.run(client, events.clone(), health.clone())); // as the same source, which has sent a list before
    while health.lists() < 2 || events.capacity() < events.max_capacity() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let relist = started.elapsed().as_secs_f64();
    let relist_peak = process::memory(pid).peak;
    println!("{first_seconds} {first_cpu} {peak} {rest} {relist} {relist_peak}");
}

/// Starts the index's task. Returns the zone that it publishes to.
fn start_writer(watch: &Watch, incoming: mpsc::Receiver<callsign::source::Event>) -> Arc<PublishedZone> {
    let cli::Command::Serve(arguments) = cli::Cli::parse_from(["callsign", "serve"]).command else { unreachable!() };
    let environment = Environment::of_variables([]).expect("an environment");
    let config = ServeConfig::load(*arguments, &environment).expect("a configuration");
    let settings = Arc::new(app::zone_settings(&config).expect("settings"));
    let zones = Arc::new(Zones::none(settings.origin.clone()));
    let zone = Arc::new(PublishedZone::new(Arc::new(Snapshot::empty(settings.clone(), zones.clone()))));
    let index = Index::new(settings, zones.clone(), watch.ids().to_vec());
    let (_, zones) = watch::channel(zones);
    let changes = Arc::new(Changes::new(0));
    let inputs = Inputs { events: incoming, zones, refetch_senders: RefetchSenders::default() };
    tokio::spawn(writer::run(index, inputs, zone.clone(), changes, Arc::new(Heartbeat::default()), |_| {}));
    zone
}
