//! Change to answer while many other Pods change, in a large cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};

use super::change::{CHANGES, Kind, MOVING, PAUSE, behind_table};
use super::process;
use super::world;
use crate::harness::budget::provider::Provider;
use crate::harness::cluster::Cluster;
use crate::harness::server::Server;

/// Pods that change each second. Each changes all of its registrations, and loses one or two.
const RATE: usize = 200;

/// The most concurrent writes.
const WRITES_MAX: usize = 16;

/// The run fails if the zone is not whole within this time.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Measures with this many Pods, which exist already, and prints the table.
pub(crate) fn measure(cluster: &'static Cluster, pods: usize, has_small: bool) {
    if !has_small {
        world::create_small(cluster);
        world::write_single(cluster, MOVING, 0);
    }
    let args = ["--kubeconfig", cluster.kubeconfig(), "--all-namespaces"];
    let callsign = Server::start_within(START_PATIENCE, &args);
    let client = cluster.admin();
    let titles = ["at rest", "under churn", "at rest again"];
    let mut kinds = titles.map(|title| Kind::annotation(cluster, title, callsign.dns));
    let mut step = 0;
    let mut round = |kind: &mut Kind| {
        for _ in 0..CHANGES {
            sleep(PAUSE);
            step += 1;
            kind.change(cluster, &client, step);
        }
    };
    round(&mut kinds[0]);
    let before = process::memory(callsign.id());
    let (churn, started) = (Churn::start(cluster, pods), Instant::now());
    sleep(Duration::from_secs(2));
    let lags = Lags::of(&callsign);
    round(&mut kinds[1]);
    let lags = Lags::of(&callsign).since(&lags);
    let (changed, took) = (churn.stop(), started.elapsed().as_secs_f64());
    let after = process::memory(callsign.id());
    sleep(Duration::from_secs(3));
    round(&mut kinds[2]);
    behind_table(&format!("of one Pod's namespace, beside {pods} Pods of 5 registrations,"), &kinds);
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    println!(
        "\n{changed} Pods changed in {took:.1} s of churn, {:.0} a second. The server held {:.0} MiB before it and {:.0} \
         after, {:.0} at most since its start.",
        changed as f64 / took,
        mib(before.resident),
        mib(after.resident),
        mib(after.peak),
    );
    println!(
        "From the receipt of an event to the zone that shows it, as the server counts it under churn: {}.",
        lags.text()
    );
}

/// How many events the zone showed within which time of their receipt, by the server's histogram.
struct Lags(Vec<(String, u64)>);

impl Lags {
    fn of(server: &Server) -> Lags {
        let (_, text) = server.get("/metrics");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix("callsign_event_lag_seconds_bucket{le=\"")?.split_once("\"} ")?;
            Some((bound.to_owned(), count.parse().ok()?))
        };
        Lags(text.lines().filter_map(bucket).collect())
    }

    fn since(&self, before: &Lags) -> Lags {
        let less = |((bound, now), (_, then)): (&(String, u64), &(String, u64))| (bound.clone(), now - then);
        Lags(self.0.iter().zip(&before.0).map(less).collect())
    }

    /// The share within each bound, up to the bound that includes all events.
    fn text(&self) -> String {
        let all = self.0.last().map_or(0, |(_, count)| *count);
        let last = self.0.iter().position(|(_, count)| *count == all).unwrap_or_default();
        let share =
            |(bound, count): &(String, u64)| format!("{:.1} % in {bound} s", 100.0 * *count as f64 / all as f64);
        let shares: Vec<String> = self.0[..=last].iter().filter(|(_, count)| *count > 0).map(share).collect();
        format!("{} of {all} events", shares.join(", "))
    }
}

/// A task that changes Pods one after another until it is stopped.
struct Churn {
    is_over: Arc<AtomicBool>,
    changed: Arc<AtomicUsize>,
}

impl Churn {
    fn start(cluster: &'static Cluster, pods: usize) -> Churn {
        let churn = Churn { is_over: Arc::default(), changed: Arc::default() };
        let (is_over, changed) = (churn.is_over.clone(), churn.changed.clone());
        let (client, provider) = (cluster.admin(), Arc::new(Provider::recorded()));
        cluster.spawn(async move {
            let mut turn = interval(Duration::from_secs(1) / RATE as u32);
            turn.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let room = Arc::new(Semaphore::new(WRITES_MAX));
            for number in 0.. {
                turn.tick().await;
                let place = room.clone().acquire_owned().await.expect("a place");
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (client, provider, changed) = (client.clone(), provider.clone(), changed.clone());
                tokio::spawn(async move {
                    // Spread over the cluster, and each Pod once.
                    world::turn_sync(client, &provider, number * 7919 % pods, number + 1).await;
                    changed.fetch_add(1, Ordering::Relaxed);
                    drop(place);
                });
            }
        });
        churn
    }

    fn stop(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.changed.load(Ordering::Relaxed)
    }
}
