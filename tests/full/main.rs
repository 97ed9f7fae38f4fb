//! Two hostile namespaces fill the default quotas and then rewrite everything. The process stays below the memory limit
//! in `deploy/`.
//!
//! It is a separate binary, because it has the image's allocator and reads the highest memory of its whole process.

#[path = "../harness"]
mod harness {
    pub(crate) mod budget {
        pub(crate) mod provider;
        pub(crate) mod shapes;
        pub(crate) mod zone;
    }
}

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callsign::changes::Changes;
use callsign::config::{DEFAULT_BYTES_MAX, DEFAULT_NAMESPACE_BYTES_MAX};
use callsign::index::Index;
use callsign::registration::Reason;
use callsign::snapshot::{PublishedZone, Snapshot, ZoneSettings};
use callsign::source::refetch::{REFETCH_MAX, RefetchSender, RefetchSenders};
use callsign::source::{Change, Event, Pod};
use callsign::writer::{self, Inputs, QUEUE_LEN_MAX};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::harness::budget::shapes::{SHAPES, Shape, shaped};
use crate::harness::budget::zone::{Zone, settings, source};

/// The image's allocator. The limit in `deploy/` is for the image. What glibc keeps of freed memory varies from machine to
/// machine.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The server's other memory: waiting changes, lists in progress, connections, its program. See ARCHITECTURE.md.
const OTHERS: u64 = 256 * 1024 * 1024;

/// The longest time that any step may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// The namespaces: one with long names, one with Pods that wait for a node. Each has more Pods than its quota admits.
const NAMESPACES: [(&str, &str, bool); 2] =
    [("long", "1,000 of a long group and version", true), ("pending", "1,000 of a long group and version", false)];

/// A running writer, and the channel to it.
struct Running {
    events: mpsc::Sender<Event>,
    zone: Arc<PublishedZone>,
}

impl Running {
    fn start() -> Running {
        let bounds = ZoneSettings {
            namespace_bytes_max: DEFAULT_NAMESPACE_BYTES_MAX,
            bytes_max: DEFAULT_BYTES_MAX,
            ..settings()
        };
        let empty = Zone::empty();
        let zone = Arc::new(PublishedZone::new(empty.snapshot.clone()));
        let zones = empty.snapshot.zones.clone();
        let index = Index::new(Arc::new(bounds), zones.clone(), vec![source()]);
        let (events, incoming) = mpsc::channel(QUEUE_LEN_MAX);
        let (sender, mut wanted) = mpsc::channel(REFETCH_MAX);
        let mut refetch_senders = RefetchSenders::default();
        refetch_senders.add(source(), RefetchSender::Cluster(sender));
        let inputs = Inputs { events: incoming, zones: watch::channel(zones).1, refetch_senders };
        tokio::spawn(writer::run(index, inputs, zone.clone(), Arc::new(Changes::new(0)), Arc::default(), |_| {}));
        tokio::spawn(async move { while wanted.recv().await.is_some() {} }); // no Pod is admitted again here
        Running { events, zone }
    }

    async fn send(&self, change: Change) {
        let event = Event { source: source(), change, received: Instant::now(), decoded: None };
        self.events.send(event).await.expect("a writer");
    }

    /// Sends all Pods in one list: a quarter more than the quotas admit, half of it in each namespace.
    async fn list(&self, version: u64) {
        self.send(Change::Begin).await;
        for (namespace, shape, is_running) in NAMESPACES {
            let shape = shape_of(shape);
            let pods = DEFAULT_BYTES_MAX * 5 / 8 / cost(shape) + 1;
            for number in 0..pods as usize {
                let anew = number + version as usize * 100_000; // every text in it changes
                let told = shaped(shape, namespace, anew, is_running);
                let Pod { uid, name, status, .. } = shaped(("", |_| Vec::new()), namespace, number, is_running);
                self.send(Change::Apply(Box::new(Pod { uid, name, status, resource_version: version, ..told }))).await;
            }
        }
        self.send(Change::Commit).await;
        self.until(|snapshot| snapshot.is_synced && snapshot.revision > 0).await;
    }

    async fn until(&self, is_so: impl Fn(&Snapshot) -> bool) {
        let started = Instant::now();
        while self.events.capacity() < QUEUE_LEN_MAX || !is_so(&self.zone.snapshot.load()) {
            assert!(started.elapsed() < PATIENCE, "the writer is behind");
            sleep(Duration::from_millis(50)).await;
        }
        sleep(Duration::from_secs(2)).await; // the last events that it applied
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hostile_namespaces_at_the_default_bounds_fit_the_memory_of_deploy() {
    let limit = limit_of_deploy();
    let running = Running::start();
    running.list(1).await;
    let snapshot = running.zone.snapshot.load_full();
    let tally = &snapshot.tally;
    assert!(tally.bytes > DEFAULT_BYTES_MAX, "{tally:?}");
    let kept: u64 = snapshot.pods().filter(|pod| !pod.registrations.is_empty()).map(|pod| pod.cost()).sum();
    assert!(kept <= DEFAULT_BYTES_MAX && kept > DEFAULT_BYTES_MAX * 98 / 100, "{kept}");
    assert!(tally.refused[&Reason::ServerFull] > 10, "{tally:?}");
    let rest = memory("VmRSS");
    let first = memory("VmHWM");
    drop(snapshot);
    running.list(2).await;
    let (again, peak) = (memory("VmRSS"), memory("VmHWM"));
    let mib = |bytes: u64| bytes / 1024 / 1024;
    eprintln!(
        "kept {} MiB; resident {} MiB (at most {} MiB), after a list of Pods that have all changed {} MiB, at most {} MiB, of {} MiB",
        mib(kept),
        mib(rest),
        mib(first),
        mib(again),
        mib(peak),
        mib(limit)
    );
    assert!(peak + OTHERS <= limit, "at most {} MiB, and others {} MiB, of {} MiB", mib(peak), mib(OTHERS), mib(limit));
}

/// The kind with this name.
fn shape_of(name: &str) -> Shape {
    *SHAPES.iter().find(|shape| shape.0 == name).expect("a shape")
}

/// The cost of a Pod of a shape.
fn cost(shape: Shape) -> u64 {
    let mut zone = Zone::empty();
    zone.list([shaped(shape, "one", 0, true)]);
    zone.snapshot.tally.bytes
}

/// `resources.limits.memory` of the server's container, in bytes.
fn limit_of_deploy() -> u64 {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/deployment.yaml")).expect("the manifest");
    let limits = text.split_once("limits:").expect("limits").1;
    let memory = limits.split_once("memory:").expect("a limit of memory").1.lines().next().expect("a line").trim();
    let size: callsign::config::ByteSize = memory.parse().expect("a size");
    size.0
}

/// A line of the process's status, in bytes.
fn memory(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).expect("the line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
