//! The sidecar: registers a server that it has not started, for as long as it is there.

use std::io;
use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use super::signals::{Ends, Signals};
use super::{Keeper, Offer, Probe, Wanted};

/// How often it is looked whether the server is there.
const LOOK: Duration = Duration::from_millis(500);

/// How many looks in a row must find nothing: one alone may have met a full backlog.
const MISSES_MAX: u32 = 2;

/// Registers these offers whenever the server is there and withdraws whenever it is not, until it is asked to end;
/// then withdraws.
///
/// # Errors
/// The system gives no signals.
pub async fn run(probe: &Probe, keeper: &Keeper, offers: &[Offer], ends: &Ends) -> io::Result<()> {
    let mut signals = Signals::listen(ends)?;
    let (offered, withdrawn) = (Wanted::Offers(offers.into()), Wanted::Withdrawn(offers.into()));
    // What an earlier run has left holds only if the server is there.
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
