//! Tests the event lag, and that one busy Pod does not delay others.

use std::sync::Mutex;

use super::*;
use crate::registration::ProfileText;
use crate::snapshot::ZoneSettings;
use crate::source::{Change, Event, Pod, PodStatus, SourceId};

fn pod(uid: &str) -> Change {
    pod_of("ns", uid, 1, None)
}

/// The state of a Pod with this annotation.
pub(super) fn pod_of(namespace: &str, uid: &str, resource_version: u64, annotation: Option<Arc<str>>) -> Change {
    let (namespace, name, status) = (namespace.into(), uid.into(), PodStatus::default());
    let text = ProfileText { value: annotation, parts: None };
    Change::Apply(Box::new(Pod { namespace, name, uid: uid.into(), resource_version, status, text }))
}

/// A large annotation in two versions, each with 64 services that the other does not have.
fn large_annotation(version: usize) -> Arc<str> {
    let pairs = (0..64).map(|number| {
        let note = "x".repeat(2_048);
        format!(r#"{{"k":"interface","v":"a.I{version}x{number}"}},{{"k":"port","v":1}},{{"k":"n","v":"{note}"}}"#)
    });
    let json = format!("[{}]", pairs.collect::<Vec<_>>().join(","));
    let annotation = data_encoding::BASE64.encode(json.as_bytes());
    assert!((150_000..crate::registration::ANNOTATION_LEN_MAX).contains(&annotation.len()), "{}", annotation.len());
    annotation.into()
}

/// A running writer, and the channel to it.
struct Running {
    source: SourceId,
    events: mpsc::Sender<Event>,
    zone: Arc<PublishedZone>,
    lags: Arc<Mutex<Vec<Duration>>>,
}

impl Running {
    fn start() -> Running {
        let settings = Arc::new(ZoneSettings::of_tests());
        let zones = Arc::new(Zones::none(settings.origin.clone()));
        let source = SourceId { cluster: "c".into(), profile: "p".into(), namespace: None };
        let zone = Arc::new(PublishedZone::new(Arc::new(Snapshot::empty(settings.clone(), zones.clone()))));
        let lags = Arc::<Mutex<Vec<Duration>>>::default();
        let observed = lags.clone();
        let observe_lag = move |lag| observed.lock().expect("the lags").push(lag);
        let index = Index::new(settings, zones.clone(), vec![source.clone()]);
        let (events, incoming) = mpsc::channel(QUEUE_LEN_MAX);
        let (_, zones) = watch::channel(zones);
        let changes = Arc::new(Changes::new(0));
        let inputs = Inputs { events: incoming, zones, refetch_senders: RefetchSenders::default() };
        tokio::spawn(run(index, inputs, zone.clone(), changes, Arc::default(), observe_lag));
        Running { source, events, zone, lags }
    }

    async fn send(&self, change: Change, age: Duration) {
        let received = Instant::now().checked_sub(age).expect("the clock is older than a test");
        let event = Event { source: self.source.clone(), change, received, decoded: None };
        self.events.send(event).await.expect("a writer");
    }

    /// Waits for a synced snapshot with this many Pods.
    async fn holds(&self, pods: usize) {
        let is_there = || {
            let snapshot = self.zone.snapshot.load();
            snapshot.is_synced && snapshot.tally.pods == pods
        };
        while !is_there() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The observed lags.
    fn lags(&self) -> Vec<Duration> {
        self.lags.lock().expect("the lags").clone()
    }
}

#[tokio::test]
async fn an_events_lag_is_counted_from_its_receipt_and_not_before_the_first_sync() {
    let seconds = Duration::from_secs;
    let steps = async {
        let writer = Running::start();
        for change in [Change::Begin, pod("a"), Change::Commit] {
            writer.send(change, seconds(3)).await;
        }
        writer.holds(1).await;
        assert_eq!(writer.lags().len(), 0, "the first list");
        writer.send(pod("b"), seconds(3)).await;
        writer.holds(2).await;
        // The lag is observed just after the snapshot is swapped in.
        while writer.lags().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let lags = writer.lags();
        assert!(matches!(lags[..], [lag] if lag >= seconds(3)), "{lags:?}");
    };
    tokio::time::timeout(seconds(20), steps).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_always_changes_delays_others_by_at_most_a_tenth_of_a_second() {
    const OTHERS: usize = 20;
    const DELAY_MAX: Duration = Duration::from_millis(100);
    let writer = Running::start();
    for change in [Change::Begin, Change::Commit] {
        writer.send(change, Duration::ZERO).await;
    }
    writer.holds(0).await;
    let (source, events) = (writer.source.clone(), writer.events.clone());
    let sent = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let versions = [0, 1].map(large_annotation);
    let count = sent.clone();
    let flood = tokio::spawn(async move {
        for version in 1.. {
            let change = pod_of("hostile", "hostile", version, Some(versions[version as usize % 2].clone()));
            let event = Event { source: source.clone(), change, received: Instant::now(), decoded: None };
            if events.send(event).await.is_err() {
                return;
            }
            count.store(version, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    writer.holds(1).await;
    let (started, mut delays) = (Instant::now(), Vec::new());
    for number in 0..OTHERS {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let begun = Instant::now();
        writer.send(pod(&format!("other-{number}")), Duration::ZERO).await;
        tokio::time::timeout(Duration::from_secs(20), writer.holds(number + 2)).await.expect("in time");
        delays.push(begun.elapsed());
    }
    flood.abort();
    let rate = sent.load(std::sync::atomic::Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    delays.sort();
    let revisions = writer.zone.snapshot.load().revision as f64 / started.elapsed().as_secs_f64();
    eprintln!("{rate:.0} changes a second, {revisions:.0} snapshots; others' delays {delays:?}");
    assert!(rate > 1_000.0, "{rate} changes a second");
    // Nine of ten, because a busy machine may be late once.
    assert!(delays[OTHERS * 9 / 10] < DELAY_MAX, "{delays:?}");
}
