//! The sidecar: registers a server that another process has started, while it is ready.

use std::io;
use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use super::signals::{Ends, Signals};
use super::{Keeper, Offer, Probe, Wanted};

/// The time between two probes.
const LOOK: Duration = Duration::from_millis(500);

/// The number of failed probes in a row that withdraw the server. A single one may have met a full backlog.
const MISSES_MAX: u32 = 2;

/// Registers these offers while the server is ready and withdraws them while it is not. At a signal that asks it to
/// end, it withdraws them and returns.
///
/// # Errors
/// The system does not deliver signals.
pub async fn run(probe: &Probe, keeper: &Keeper, offers: &[Offer], ends: &Ends) -> io::Result<()> {
    let mut signals = Signals::listen(ends)?;
    let (offered, withdrawn) = (Wanted::Offers(offers.into()), Wanted::Withdrawn(offers.into()));
    // Entries of an earlier run are right only if the server is ready.
    keeper.want(if probe.is_ready().await { offered.clone() } else { withdrawn.clone() });
    tokio::select! {
        () = watch(probe, keeper, &offered, &withdrawn) => {}
        () = async { while !ends.has(signals.next().await) {} } => {}
    }
    info!("asked to end: withdrawing");
    keeper.withdraw_at_last(withdrawn).await;
    Ok(())
}

async fn watch(probe: &Probe, keeper: &Keeper, offered: &Wanted, withdrawn: &Wanted) {
    let mut misses = 0;
    loop {
        misses = if probe.is_ready().await { 0 } else { misses + 1 };
        if misses == 0 {
            keeper.want(offered.clone());
        } else if misses >= MISSES_MAX {
            keeper.want(withdrawn.clone());
        }
        sleep(LOOK).await;
    }
}
