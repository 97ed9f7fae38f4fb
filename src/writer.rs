//! The task that turns what sources say into snapshots: it alone holds the index.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::changes::Changes;
use crate::index::{Difference, Index, Now};
use crate::pulse::Pulse;
use crate::server::Responder;
use crate::snapshot::{PodRecord, Snapshot};
use crate::source::Arrival;
use crate::zones::Zones;

/// The most that waits to be taken in, a batch; a source that is faster waits too, and the API server's socket with it.
pub const QUEUE_LEN_MAX: usize = BATCH_MAX;

/// The most that is taken in before it is published: under churn many changes share a snapshot, and none waits long.
const BATCH_MAX: usize = 256;

/// How often the writer shows that it turns while there is nothing to do.
const BEAT: Duration = Duration::from_secs(1);

/// Takes in what comes until no source can send any more.
pub async fn run(
    mut index: Index,
    mut events: mpsc::Receiver<Arrival>,
    mut zones: watch::Receiver<Arc<Zones>>,
    responder: Arc<Responder>,
    changes: Arc<Changes>,
    pulse: Arc<Pulse>,
) {
    let started = Instant::now();
    let mut last = responder.snapshot.load_full();
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut received = Vec::with_capacity(BATCH_MAX);
    loop {
        pulse.beat();
        let wait = index.serial_due().map_or(BEAT, |due| due.saturating_sub(started.elapsed()).min(BEAT));
        tokio::select! {
            taken = events.recv_many(&mut batch, BATCH_MAX) => if taken == 0 { return },
            Ok(()) = zones.changed() => index.set_zones(zones.borrow_and_update().clone()),
            () = sleep(wait) => {}
        }
        received.clear();
        received.extend(batch.iter().map(|arrival: &Arrival| arrival.received));
        batch.drain(..).for_each(|arrival| index.apply_decoded(arrival.event, arrival.decoded));
        let Some((snapshot, difference)) = index.publish(now(started)) else { continue };
        let before = std::mem::replace(&mut last, snapshot.clone());
        show(&responder, &snapshot);
        changes.publish(&before, &snapshot, &difference);
        // Nothing of the first lists shows before their end, so their Pods have no lag.
        if before.is_synced {
            received.iter().for_each(|received| responder.metrics.observe_event_lag(received.elapsed()));
        }
        report(&before, &snapshot, &difference);
    }
}

/// Lets a snapshot be answered from. One that does not know all Pods yet does not take the place of an earlier run's, but
/// its static zones do.
fn show(responder: &Responder, snapshot: &Arc<Snapshot>) {
    responder.snapshot.rcu(|shown| match shown.is_synced && !snapshot.is_synced {
        true => Arc::new(Snapshot { zones: snapshot.zones.clone(), ..Snapshot::clone(shown) }),
        false => snapshot.clone(),
    });
}

fn now(started: Instant) -> Now {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: started.elapsed(), wall_eighths: (unix.as_millis() / 125) as u32 }
}

/// One line for the first sync, and one for each registration that is newly refused.
fn report(before: &Snapshot, after: &Snapshot, difference: &Difference) {
    if after.is_synced && !before.is_synced {
        let (pods, services, endpoints) = (after.tally.pods, after.service_count(), after.tally.endpoints);
        tracing::info!(pods, services, endpoints, serial = after.serial, "all Pods are known: ready");
    }
    tracing::debug!(
        revision = after.revision,
        serial = after.serial,
        services = difference.services.len(),
        pods = difference.pods.len(),
        addresses = difference.addresses.len(),
        "published"
    );
    for slot in &difference.pods {
        let Some(pod) = after.pod(*slot) else { continue };
        let old = before.pod(*slot).filter(|old| is_same(old, pod));
        let known: Vec<_> = old.map(|old| old.refusals().collect()).unwrap_or_default();
        for refused in pod.refusals().filter(|refused| !known.contains(refused)) {
            let (namespace, name, profile) = (&*pod.namespace, pod.name(), &*refused.profile);
            let (offset, key, reason) = (refused.offset, refused.key.unwrap_or_default(), refused.reason);
            tracing::warn!(?namespace, pod = ?name, ?profile, offset, key, %reason, "registration refused");
        }
    }
}

fn is_same(old: &PodRecord, new: &PodRecord) -> bool {
    old.uid() == new.uid() && old.cluster == new.cluster
}

#[cfg(test)]
mod tests;
