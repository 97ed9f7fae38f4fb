//! The memory that events take until their clients have read them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most KiB of events that are made and not yet read.
const ALL_KIB_MAX: u32 = 32 * 1024;

/// The most KiB of one client. A longer event takes all of it.
const PER_CLIENT_KIB_MAX: u32 = ALL_KIB_MAX / 2;

/// The bytes of events that may be unread.
#[derive(Debug)]
pub(super) struct EventBudget {
    all: Arc<Semaphore>,
    /// At most one entry per client that has streams or reservations.
    clients: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// A client's part of the budget.
#[derive(Clone, Debug)]
pub(super) struct ClientBudget {
    all: Arc<Semaphore>,
    /// `None` if the client is trusted.
    own: Option<Arc<Semaphore>>,
}

/// A reservation for `len` bytes. Dropping it returns them.
#[derive(Debug)]
pub(super) struct EventReservation {
    len: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Default for EventBudget {
    fn default() -> EventBudget {
        EventBudget { all: Arc::new(Semaphore::new(ALL_KIB_MAX as usize)), clients: Mutex::default() }
    }
}

impl EventBudget {
    /// The part of a client. `None` is a trusted client.
    pub(super) fn for_client(&self, client: Option<IpAddr>) -> ClientBudget {
        let own = client.map(|client| {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(own) = clients.get(&client).and_then(Weak::upgrade) {
                return own;
            }
            clients.retain(|_, own| own.strong_count() > 0);
            let own = Arc::new(Semaphore::new(PER_CLIENT_KIB_MAX as usize));
            clients.insert(client, Arc::downgrade(&own));
            own
        });
        ClientBudget { all: self.all.clone(), own }
    }
}

impl ClientBudget {
    /// Reserves `len` bytes without waiting: `held` if it is enough, or else a new reservation. `None` if too few are free.
    pub(super) fn try_reserve(&self, held: Option<EventReservation>, len: usize) -> Option<EventReservation> {
        held.filter(|held| held.len >= len).or_else(|| {
            let permits = self.needs(len).map(|(part, kib)| part.try_acquire_many_owned(kib).ok());
            Some(EventReservation { len, permits: permits.collect::<Option<_>>()? })
        })
    }

    /// Reserves `len` bytes, and waits its turn. It waits for the client's own part first, so that no client fills the queue for the
    /// shared budget.
    pub(super) async fn reserve(&self, len: usize) -> EventReservation {
        let mut permits = Vec::with_capacity(2);
        for (part, kib) in self.needs(len) {
            permits.extend(part.acquire_many_owned(kib).await.ok()); // never closed
        }
        EventReservation { len, permits }
    }

    fn needs(&self, len: usize) -> impl Iterator<Item = (Arc<Semaphore>, u32)> {
        let kib = u32::try_from(len.div_ceil(1024)).unwrap_or(u32::MAX);
        let own = self.own.iter().map(move |own| (own.clone(), kib.min(PER_CLIENT_KIB_MAX)));
        own.chain([(self.all.clone(), kib.min(ALL_KIB_MAX))])
    }
}

impl EventReservation {
    /// The permits, to be held as long as the bytes.
    pub(super) fn permits(self) -> Vec<OwnedSemaphorePermit> {
        self.permits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const OWN: usize = PER_CLIENT_KIB_MAX as usize * 1024;

    #[tokio::test]
    async fn each_client_has_its_part_and_waits_for_it() {
        let events = EventBudget::default();
        let budget = |n: u8| events.for_client(Some(IpAddr::from([10, 0, 0, n])));
        let first = budget(1).try_reserve(None, OWN - 1024).expect("a reservation");
        assert!(budget(1).try_reserve(None, 1025).is_none(), "another stream of the same client");
        let second = budget(1).try_reserve(None, 1).expect("a KiB is left");
        let waiting = budget(1);
        let mut wait = std::pin::pin!(waiting.reserve(OWN));
        assert!(timeout(Duration::from_millis(20), &mut wait).await.is_err());
        let other = budget(2).try_reserve(None, OWN).expect("another client's part");
        assert!(
            budget(3).try_reserve(None, 1).is_none() && events.for_client(None).try_reserve(None, 1).is_none(),
            "all of it is taken"
        );
        drop((first, second));
        let held = wait.await;
        assert!(waiting.try_reserve(None, 1).is_none());
        assert!(
            waiting.try_reserve(Some(held), OWN + 1).is_none(),
            "the held reservation is too small, and was returned"
        );
        drop(other);
        assert!(waiting.try_reserve(None, OWN * 9).is_some(), "an event longer than the client's part takes all of it");
        assert_eq!(events.all.available_permits(), ALL_KIB_MAX as usize);
    }
}
