//! A thousand events a second, sent to the writer like a source's: none is lost, the last state counts, and many changes share
//! a snapshot. The test prints the speed, and only asserts that the writer keeps up.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callsign::changes::Changes;
use callsign::index::Index;
use callsign::metrics::Metrics;
use callsign::registration::ProfileText;
use callsign::snapshot::{PublishedZone, Snapshot};
use callsign::source::refetch::RefetchSenders;
use callsign::source::{Change, Event, Phase, Pod, PodStatus, SourceId};
use callsign::writer::{self, Inputs, QUEUE_LEN_MAX};
use data_encoding::BASE64;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::harness::alone::alone;
use crate::harness::budget::zone::{Zone, source};

/// Events come like an API server's frames: several together, many times a second.
const TOGETHER: usize = 100;
const TICK: Duration = Duration::from_millis(100);

/// Many times the usual time, so that it is enough on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running writer, and the channel to it.
struct Running {
    source: SourceId,
    events: mpsc::Sender<Event>,
    zone: Arc<PublishedZone>,
    metrics: Arc<Metrics>,
}

impl Running {
    /// Starts a writer after a first list without Pods.
    async fn start() -> Running {
        let (source, empty) = (source(), Zone::empty().snapshot);
        let zone = Arc::new(PublishedZone::new(empty.clone()));
        let metrics = Arc::new(Metrics::new("0", "0"));
        let zones = empty.zones.clone();
        let index = Index::new(empty.settings.clone(), zones.clone(), vec![source.clone()]);
        let (events, incoming) = mpsc::channel(QUEUE_LEN_MAX);
        let inputs =
            Inputs { events: incoming, zones: watch::channel(zones).1, refetch_senders: RefetchSenders::default() };
        let of_lag = metrics.clone();
        let observe_lag = move |lag| of_lag.observe_event_lag(lag);
        let changes = Arc::new(Changes::new(0));
        tokio::spawn(writer::run(index, inputs, zone.clone(), changes, Arc::default(), observe_lag));
        let running = Running { source, events, zone, metrics };
        running.send(Change::Begin).await;
        running.send(Change::Commit).await;
        running.until("the first list", |snapshot| snapshot.is_synced).await;
        running
    }

    async fn send(&self, change: Change) {
        let event = Event { source: self.source.clone(), change, received: Instant::now(), decoded: None };
        self.events.send(event).await.expect("a writer");
    }

    /// Sends all events at a thousand a second.
    async fn tell(&self, changes: impl Iterator<Item = Change>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst); // late ticks are caught up
        for (at, change) in changes.enumerate() {
            if at % TOGETHER == 0 {
                ticks.tick().await;
            }
            self.send(change).await;
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) {
        let wait = async {
            while !is_so(&self.zone.snapshot.load()) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} is not shown"));
    }

    fn revision(&self) -> u64 {
        self.zone.snapshot.load().revision
    }

    /// The number of applied events, and their mean lag.
    fn lags(&self) -> (u64, Duration) {
        let snapshot = self.zone.snapshot.load_full();
        let text = self.metrics.encode(&snapshot, &[], 0);
        let value = |name: &str| {
            let start = format!("callsign_event_lag_seconds_{name} ");
            text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<f64>().ok()).expect("a metric")
        };
        let count = value("count");
        (count as u64, Duration::from_secs_f64(value("sum") / count.max(1.0)))
    }

    /// Waits until this many events were applied, and returns their mean lag. They count after their snapshot.
    async fn has_taken(&self, events: u64) -> Duration {
        let wait = async {
            while self.lags().0 < events {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("all events are counted");
        let (count, lag) = self.lags();
        assert_eq!(count, events, "each is counted once");
        lag
    }

    /// The published port of each Pod, by the Pod's number.
    fn ports(&self) -> Vec<(usize, u16)> {
        let snapshot = self.zone.snapshot.load_full();
        let number = |pod: &str| pod.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
        let mut ports: Vec<_> = snapshot
            .pods()
            .flat_map(|pod| pod.registrations.iter().map(move |one| (number(pod.name()), one.port)))
            .collect();
        ports.sort_unstable();
        ports
    }
}

/// A Pod that registers this port. Four Pods share an interface.
fn pod(number: usize, version: u64, port: u16) -> Change {
    let json = format!(r#"[{{"k":"interface","v":"a.I{}"}},{{"k":"port","v":{port}}}]"#, number / 4);
    let status = PodStatus {
        phase: Phase::Running,
        ready: true,
        pod_ips: [IpAddr::from(Ipv4Addr::from(0x0af4_0000 + number as u32))].into_iter().collect(),
        start_time: Some(1),
        ..PodStatus::default()
    };
    Change::Apply(Box::new(Pod {
        namespace: format!("n{}", number % 10).into(),
        name: format!("pod-{number}").into(),
        uid: format!("uid-{number}").into(),
        resource_version: version,
        status,
        text: ProfileText::of_value(BASE64.encode(json.as_bytes())),
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_pods_come_in_ten_seconds_and_none_is_lost() {
    let _alone = alone();
    const PODS: usize = 10_000;
    let writer = Running::start().await;
    let (started, before) = (Instant::now(), writer.revision());
    writer.tell((0..PODS).map(|number| pod(number, 1, 1000 + (number % 7) as u16))).await;
    let told = started.elapsed();
    writer.until("the last Pod", |snapshot| snapshot.tally.pods == PODS).await;
    let snapshots = writer.revision() - before;
    let lag = writer.has_taken(PODS as u64).await;
    eprintln!(
        "{PODS} Pods in {told:?}, shown {:?} later; {snapshots} snapshots, mean lag {lag:?}",
        started.elapsed() - told
    );
    // With a full queue the sources would have waited.
    assert!(told < 2 * TICK * (PODS / TOGETHER) as u32, "{told:?}");
    let expected: Vec<_> = (0..PODS).map(|number| (number, 1000 + (number % 7) as u16)).collect();
    assert_eq!(writer.ports(), expected);
    assert_eq!(writer.zone.snapshot.load().tally.endpoints, PODS);
    assert!(snapshots <= PODS as u64 / 4, "{snapshots} snapshots: what comes together is shown together");
    assert!(lag < Duration::from_secs(3), "{lag:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_thousand_changes_a_second_the_last_change_of_each_pod_is_served() {
    let _alone = alone();
    const PODS: usize = 50;
    const CHANGES: usize = 3_000;
    /// The most decodings of a Pod in a second, with one at each end.
    const PACE: u64 = 10;
    let writer = Running::start().await;
    writer.tell((0..PODS).map(|number| pod(number, 1, 1))).await;
    writer.until("all Pods", |snapshot| snapshot.tally.pods == PODS).await;
    let (started, before) = (Instant::now(), writer.revision());
    let port = |change: usize| 1000 + change as u16;
    writer.tell((0..CHANGES).map(|change| pod(change % PODS, 2 + change as u64, port(change)))).await;
    let last = |number: usize| port(CHANGES - PODS + number);
    let is_last = |snapshot: &Snapshot| {
        let ports = snapshot.pods().flat_map(|pod| pod.registrations.iter().map(|one| one.port));
        ports.filter(|port| *port >= last(0)).count() == PODS
    };
    writer.until("the last change of each", is_last).await;
    let (took, snapshots) = (started.elapsed(), writer.revision() - before);
    let (count, lag) = writer.lags();
    eprintln!("{CHANGES} changes in {took:?}: {count} read, {snapshots} snapshots, mean lag {lag:?}");
    assert_eq!(writer.ports(), (0..PODS).map(|number| (number, last(number))).collect::<Vec<_>>());
    let read_max = PODS as u64 * (PACE * (took.as_secs() + 1) + 2);
    assert!(count <= read_max.min(CHANGES as u64), "{count} were read, of {read_max} at most");
    assert!(snapshots < CHANGES as u64 / 4, "{snapshots} snapshots");
}
