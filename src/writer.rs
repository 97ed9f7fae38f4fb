//! The task that turns the sources' events into snapshots. Only it holds the index.

mod fair_queue;
mod missing;
mod refusals;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, watch};
use tokio::task::{block_in_place, yield_now};
use tokio::time::sleep;

use crate::changes::Changes;
use crate::heartbeat::Heartbeat;
use crate::index::{Difference, Index, Now};
use crate::snapshot::{PublishedZone, Snapshot};
use crate::source::Event;
use crate::source::refetch::RefetchSenders;
use crate::zones::Zones;

use fair_queue::FairQueue;
use missing::RefetchQueue;
use refusals::RefusalLog;

/// The most events that wait: one batch. A faster source waits, and so does the API server's socket.
pub const QUEUE_LEN_MAX: usize = BATCH_MAX;

/// The most events in one snapshot. Under churn many changes share a snapshot, and none waits long.
const BATCH_MAX: usize = 256;

/// The most bytes of annotations in one snapshot, plus one annotation. What they replace stays in memory until then,
/// and a large list must not double everything.
const SLICE_LEN_MAX: usize = 2 * 1024 * 1024;

/// A batch of at least this many events takes long to apply: a millisecond or more.
const LONG_BATCH_LEN_MIN: usize = 32;

/// The same in bytes of annotations: one Pod may write as much as a hundred others.
const LONG_BATCH_BYTES_MIN: usize = 16 * 1024;

/// How often an idle writer sends its heartbeat.
const BEAT: Duration = Duration::from_secs(1);

/// The writer's inputs, and the sources that it can ask for Pods.
pub struct Inputs {
    /// The events of all sources.
    pub events: mpsc::Receiver<Event>,
    /// The static zones. A reload sends new ones.
    pub zones: watch::Receiver<Arc<Zones>>,
    /// The senders that ask a source for a Pod again.
    pub refetch_senders: RefetchSenders,
}

/// Applies events until no source can send any more, and publishes each snapshot to `zone` and `changes`. Calls `observe_lag` with the
/// time from an event's receipt to the snapshot that shows it.
pub async fn run(
    mut index: Index,
    inputs: Inputs,
    zone: Arc<PublishedZone>,
    changes: Arc<Changes>,
    heartbeat: Arc<Heartbeat>,
    observe_lag: impl Fn(Duration),
) {
    let started = Instant::now();
    let Inputs { mut events, mut zones, refetch_senders } = inputs;
    let mut refetch_queue = RefetchQueue::new(refetch_senders);
    let mut last = zone.snapshot.load_full();
    let (mut queue, mut refusals) = (FairQueue::default(), RefusalLog::default());
    let mut is_open = true;
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut ready = Vec::with_capacity(BATCH_MAX);
    let mut received = Vec::with_capacity(BATCH_MAX);
    while is_open || !queue.is_empty() || !ready.is_empty() {
        heartbeat.beat();
        let is_all_taken_in = ready.is_empty();
        let capacity = if is_all_taken_in { queue.capacity_left().min(BATCH_MAX) } else { 0 };
        let due = [index.serial_due(), queue.due_at(), Some(started.elapsed() + BEAT)].into_iter().flatten().min();
        let due = due.filter(|_| is_all_taken_in);
        tokio::select! {
            taken = events.recv_many(&mut batch, capacity), if is_open && capacity > 0 => is_open = taken > 0,
            Ok(()) = zones.changed() => index.set_zones(zones.borrow_and_update().clone()),
            () = wait_or_yield(due.unwrap_or_default().saturating_sub(started.elapsed())) => {}
        }
        let clock = started.elapsed();
        batch.drain(..).for_each(|event| queue.push(event, clock, &mut ready));
        if is_all_taken_in {
            queue.pop_due(clock, &mut ready);
        }
        refusals.end_window(clock);
        refetch_queue.request_missing(&index, clock);
        let (count, bytes) = slice_of(&ready);
        received.clear();
        received.extend(ready[..count].iter().map(|event: &Event| event.received));
        let is_long = count >= LONG_BATCH_LEN_MIN || bytes >= LONG_BATCH_BYTES_MIN;
        let mut apply_slice = || {
            ready
                .drain(..count)
                .for_each(|Event { source, change, decoded, .. }| index.apply_decoded(&source, change, decoded));
            index.publish(now(started))
        };
        let published = if is_long { in_place(apply_slice) } else { apply_slice() };
        let Some((snapshot, difference)) = published else { continue };
        let before = std::mem::replace(&mut last, snapshot.clone());
        publish(&zone, &snapshot);
        changes.publish(&before, &snapshot, &difference);
        // The first lists are not visible before they end, so their Pods have no lag.
        if before.is_synced {
            received.iter().for_each(|received| observe_lag(received.elapsed()));
        }
        log_publication(&before, &snapshot, &difference);
        if before.is_synced {
            refusals.report(&difference);
        } else if snapshot.is_synced {
            refusals.report_all(&snapshot);
        }
    }
}

/// How much of what is ready goes into the next snapshot: the number of changes, and their bytes.
fn slice_of(ready: &[Event]) -> (usize, usize) {
    let mut bytes = 0;
    let fits = |event: &&Event| {
        let is_first = bytes == 0;
        let with_it = bytes + fair_queue::len_of(event);
        let fits = is_first || with_it <= SLICE_LEN_MAX;
        bytes = if fits { with_it } else { bytes };
        fits
    };
    let count = ready.iter().take_while(fits).count();
    (count, bytes)
}

/// Waits, or if the wait is zero, lets other tasks run once.
async fn wait_or_yield(wait: Duration) {
    match wait.is_zero() {
        true => yield_now().await,
        false => sleep(wait).await,
    }
}

/// Runs `work` while the runtime's other tasks move to other threads. The source that filled the batch woke this task
/// on its own thread, and would otherwise wait there until the work is done.
fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}

/// Publishes a snapshot for answers. An unsynced snapshot does not replace the zone of an earlier run, but its static
/// zones do.
fn publish(zone: &PublishedZone, snapshot: &Arc<Snapshot>) {
    zone.snapshot.rcu(|shown| match shown.is_synced && !snapshot.is_synced {
        true => Arc::new(Snapshot { zones: snapshot.zones.clone(), ..Snapshot::clone(shown) }),
        false => snapshot.clone(),
    });
}

fn now(started: Instant) -> Now {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: started.elapsed(), wall_eighths: (unix.as_millis() / 125) as u32 }
}

/// Logs the first sync, and on level debug every snapshot.
fn log_publication(before: &Snapshot, after: &Snapshot, difference: &Difference) {
    if after.is_synced && !before.is_synced {
        let (pods, services, endpoints) = (after.tally.pods, after.service_count(), after.tally.endpoints);
        tracing::info!(pods, services, endpoints, serial = after.serial, "synced: all Pods are known");
    }
    tracing::debug!(
        revision = after.revision,
        serial = after.serial,
        services = difference.services.len(),
        pods = difference.pods.len(),
        addresses = difference.addresses.len(),
        "published"
    );
}

#[cfg(test)]
mod tests;
