//! The sidecar: registers a server that another process has started, while it is ready.

use std::io;
use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use super::signals::{EndSignals, Signals};
use super::{Keeper, Offer, Probe, WantedEntries};

/// The time between two probes.
const LOOK: Duration = Duration::from_millis(500);

/// The number of failed probes in a row that withdraw the server. A single one may have met a full backlog.
const MISSES_MAX: u32 = 2;

/// Registers these offers while the server is ready and withdraws them while it is not. At a signal that asks it to
/// end, it withdraws them and returns.
///
/// # Errors
/// The system does not deliver signals.
pub async fn run(probe: &Probe, keeper: &Keeper, offers: &[Offer], ends: &EndSignals) -> io::Result<()> {
    let mut signals = Signals::listen(ends)?;
    let (offered, withdrawn) = (WantedEntries::Offers(offers.into()), WantedEntries::Withdrawn(offers.into()));
    // Entries of an earlier run are right only if the server is ready.
    keeper.request(if probe.is_ready().await { offered.clone() } else { withdrawn.clone() });
    tokio::select! {
        () = watch(probe, keeper, &offered, &withdrawn) => {}
        () = async { while !ends.has(signals.next().await) {} } => {}
    }
    info!("asked to end: withdrawing");
    keeper.withdraw_and_flush(withdrawn).await;
    Ok(())
}

async fn watch(probe: &Probe, keeper: &Keeper, offered: &WantedEntries, withdrawn: &WantedEntries) {
    let mut misses = 0;
    loop {
        misses = if probe.is_ready().await { 0 } else { misses + 1 };
        if misses == 0 {
            keeper.request(offered.clone());
        } else if misses >= MISSES_MAX {
            keeper.request(withdrawn.clone());
        }
        sleep(LOOK).await;
    }
}
