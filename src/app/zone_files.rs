//! Reads the zone files, and reads them again when they change.

use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;

use super::ReloadSignals;
use crate::config::ServeConfig;
use crate::poll::{Fingerprint, POLL_INTERVAL, settled};
use crate::zones::{ZoneListing, Zones};

/// Reads the zones of the folder. Logs the errors of each file.
fn load(config: &ServeConfig) -> Arc<Zones> {
    match &config.zones {
        Some(folder) => read(&Zones::none(config.zone.clone()), folder, config),
        None => Arc::new(Zones::none(config.zone.clone())),
    }
}

/// Reads the zones now, and again on each change of a file and each SIGHUP.
pub(super) fn watch(config: &ServeConfig, rereads: Arc<ReloadSignals>) -> watch::Receiver<Arc<Zones>> {
    let before = config.zones.as_deref().map(Fingerprint::below);
    let (zones, receiver) = watch::channel(load(config));
    if let (Some(folder), Some(before)) = (config.zones.clone(), before) {
        tokio::spawn(keep(zones, folder, before, config.clone(), rereads));
    }
    receiver
}

async fn keep(
    zones: watch::Sender<Arc<Zones>>,
    folder: PathBuf,
    mut before: Fingerprint,
    config: ServeConfig,
    rereads: Arc<ReloadSignals>,
) {
    loop {
        let is_asked = tokio::select! {
            () = rereads.zones.notified() => true,
            () = sleep(POLL_INTERVAL) => false,
        };
        let mut now = Fingerprint::below(&folder);
        if !is_asked && now != before {
            now = settled(now, || ready(Fingerprint::below(&folder))).await;
        }
        if is_asked || now != before {
            let current = zones.borrow().clone();
            zones.send_replace(read(&current, &folder, &config));
            before = now;
        }
    }
}

/// Reads the zones again. A bad file leaves its old zone in service.
fn read(current: &Zones, folder: &std::path::Path, config: &ServeConfig) -> Arc<Zones> {
    let (zones, errors) = current.reload(folder);
    errors.iter().for_each(|error| tracing::error!("{error}"));
    zones.warnings().for_each(|warning| tracing::warn!("{warning}"));
    for hidden in zones.hidden_below(&config.zone.key()) {
        tracing::warn!(zone = %hidden, "the static zone hides the names of Pods below it");
    }
    if let Ok(ZoneListing { zone_files: 0, passed_over, .. }) = zones.listing(folder) {
        let (folder, others) = (folder.display(), passed_over.len());
        tracing::warn!(%folder, others, "no zone file in the folder: a zone file is named <origin>.zone");
    }
    tracing::info!(folder = %folder.display(), zones = zones.iter().count(), "static zones read");
    Arc::new(zones)
}
