//! The registrations of a process. Each lives as long as its guard.

#![warn(missing_docs)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{RegisterError, Registration};
use crate::register::{Keeper, WantedEntries};

/// All registrations of a process, and the keeper that writes them.
pub(super) struct Registrations {
    keeper: Keeper,
    held: Mutex<HeldRegistrations>,
}

#[derive(Default)]
struct HeldRegistrations {
    /// The number of registrations so far.
    count: u64,
    /// The registrations whose guards exist, by number.
    registrations: Vec<(u64, Registration)>,
}

impl Registrations {
    pub(super) fn new(keeper: Keeper) -> Registrations {
        Registrations { keeper, held: Mutex::default() }
    }

    pub(super) fn add(self: &Arc<Self>, registration: Registration) -> Guard {
        let mut held = self.held();
        held.count += 1;
        let number = held.count;
        held.registrations.push((number, registration));
        self.request(&held);
        Guard { registrations: self.clone(), number }
    }

    pub(super) async fn flush(&self) -> Result<(), RegisterError> {
        self.keeper.flush().await
    }

    fn remove(&self, number: u64) {
        let mut held = self.held();
        held.registrations.retain(|(of, _)| *of != number);
        self.request(&held);
    }

    /// The caller holds the lock, so that requests arrive in the order of the changes.
    fn request(&self, held: &HeldRegistrations) {
        let wanted: Vec<Registration> = held.registrations.iter().map(|(_, one)| one.clone()).collect();
        self.keeper.request(if wanted.is_empty() {
            WantedEntries::Nothing
        } else {
            WantedEntries::Offers(wanted.into())
        });
    }

    /// A panic cannot leave the data inconsistent, so a poisoned lock is still usable.
    fn held(&self) -> MutexGuard<'_, HeldRegistrations> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registration. Dropping it queues the withdrawal; [`super::Registry::shutdown`] waits for that.
#[must_use = "dropping the guard withdraws the registration"]
pub struct Guard {
    registrations: Arc<Registrations>,
    number: u64,
}

impl Guard {
    /// Waits until the Pod has all wanted registrations, including this one.
    ///
    /// # Errors
    /// The first error that retries cannot mend. The write is retried all the same.
    pub async fn registered(&self) -> Result<(), RegisterError> {
        self.registrations.keeper.written_or_failed().await
    }

    /// Withdraws, and waits until the API server has acknowledged it.
    ///
    /// # Errors
    /// As for [`Guard::registered`].
    pub async fn withdraw(self) -> Result<(), RegisterError> {
        let registrations = self.registrations.clone();
        drop(self);
        registrations.keeper.written_or_failed().await
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.registrations.remove(self.number);
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("number", &self.number).finish_non_exhaustive()
    }
}
