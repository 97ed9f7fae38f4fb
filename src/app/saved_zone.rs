//! Saves the zone, and serves the saved one after a restart while the cluster is unreachable.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::{ServeConfig, StateOptions};
use crate::index::Index;
use crate::snapshot::{PublishedZone, Snapshot, ZoneSettings};
use crate::source::{SourceId, Sources};
use crate::state::{self, StateCounters, StateError, StateSaver};
use crate::zones::Zones;

/// Waits for the first sync, and serves the saved zone if there is none in time. The first sync replaces the saved zone.
///
/// If the saved zone cannot be served, this logs the reason and keeps the file.
pub(super) async fn restore(
    state: StateOptions,
    config: ServeConfig,
    settings: Arc<ZoneSettings>,
    zones: Arc<Zones>,
    sources: Vec<SourceId>,
    zone: Arc<PublishedZone>,
) {
    let wait = tokio::time::sleep(state.wait);
    let origin = config.zone.to_string();
    let read = tokio::task::spawn_blocking(move || {
        let index = Index::new(settings, zones, sources.clone());
        state::load(&state.folder, index, &origin, &sources, now(), state.age_max)
    });
    let loaded = match read.await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(StateError::Absent)) => return tracing::info!("no zone of an earlier run is saved yet"),
        Ok(Err(error)) => return tracing::error!("the zone of the last run is not served: {error}"),
        Err(error) => return tracing::error!("the zone of the last run cannot be read: {error}"),
    };
    wait.await;
    let mut is_served = false;
    zone.snapshot.rcu(|shown| {
        is_served = !shown.is_synced;
        match is_served {
            true => Arc::new(Snapshot { zones: shown.zones.clone(), ..Snapshot::clone(&loaded) }),
            false => shown.clone(),
        }
    });
    if is_served {
        let age_s = loaded.heard_at.map(|heard_at| now().saturating_sub(heard_at));
        tracing::warn!(
            pods = loaded.tally.pods,
            age_s,
            "the cluster does not answer, so the zone of the last run is served"
        );
    }
}

/// Continues the serial of the last run, if that saved one: the clock may have gone back since.
pub(super) fn continue_serial(config: &ServeConfig, index: &mut Index) {
    let serial = config.state.as_ref().and_then(|own| state::serial(&own.folder, &config.zone.to_string()));
    if let Some(serial) = serial {
        index.continue_from(serial);
    }
}

/// Starts the task that saves the zone.
pub(super) fn start_saving(
    state: &StateOptions,
    sources: &Arc<Sources>,
    zone: &Arc<PublishedZone>,
    counters: Arc<StateCounters>,
) -> Arc<StateSaver> {
    let of_age = sources.clone();
    let age = move || of_age.age();
    let saver = StateSaver::new(state.folder.clone(), sources.ids(), zone.clone(), counters, age);
    let saver = Arc::new(saver);
    tokio::spawn(saver.clone().run());
    saver
}

/// Unix time in seconds.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
