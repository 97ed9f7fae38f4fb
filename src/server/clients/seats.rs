//! Places for connections: so many in all, and so many a client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The most connections at once at an address, unless set otherwise.
pub const ALL_MAX: u32 = 1024;

/// The most of one client, unless set otherwise.
pub const PER_CLIENT_MAX: u32 = 128;

/// How much of an IPv6 address tells clients apart: a host has a whole /64 to choose from (RFC 7934).
const IPV6_PREFIX: u32 = 64;

/// The places, and who holds how many.
#[derive(Debug)]
pub struct Seats {
    free: Arc<Semaphore>,
    all_max: u32,
    per_client_max: u32,
    started: Instant,
    taken: Mutex<Taken>,
}

/// Who holds places; no more entries than there are connections.
#[derive(Debug, Default)]
struct Taken {
    by_client: HashMap<IpAddr, u32>,
    /// Those whose place may be asked for.
    holders: HashMap<usize, Arc<Holder>>,
}

/// A connection as whoever looks for a place sees it.
#[derive(Debug, Default)]
struct Holder {
    /// When it was last heard of, in milliseconds of [`Seats::started`].
    heard_at: AtomicU64,
    is_asked: AtomicBool,
    asked: Notify,
}

/// One connection's place; dropping it frees the place.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    /// None for whoever is trusted: it is not counted by itself, and its place is not asked for.
    own: Option<Own>,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

#[derive(Debug)]
struct Own {
    client: IpAddr,
    holder: Arc<Holder>,
}

impl Seats {
    /// So many in all, and so many for each client.
    pub fn new(all_max: u32, per_client_max: u32) -> Seats {
        let free = Arc::new(Semaphore::new(all_max as usize));
        Seats { free, all_max, per_client_max, started: Instant::now(), taken: Mutex::default() }
    }

    /// A place for a client's connection, waited for until there is one; none where the client has its share already.
    ///
    /// Where all are taken, the connection that has been silent the longest is asked for its place.
    pub async fn take(self: &Arc<Seats>, client: IpAddr, is_trusted: bool) -> Option<Seat> {
        let seat = self.count(client, is_trusted)?;
        let place = match self.free.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                self.ask_the_silent();
                self.free.clone().acquire_owned().await.ok()?
            }
        };
        Some(seat.with(place))
    }

    /// Whether less than half of the places are left.
    pub fn are_scarce(&self) -> bool {
        self.free.available_permits() < self.all_max as usize / 2
    }

    /// Waits until nobody holds a place.
    pub async fn all_free(&self) {
        let _ = self.free.acquire_many(self.all_max).await;
    }

    /// One more of a client's; none beyond its share.
    fn count(self: &Arc<Seats>, client: IpAddr, is_trusted: bool) -> Option<Seat> {
        let client = (!is_trusted).then(|| key(client));
        if let Some(client) = client {
            let mut taken = self.taken();
            let held = taken.by_client.entry(client).or_default();
            if *held >= self.per_client_max {
                return None;
            }
            *held += 1;
        }
        let own = client.map(|client| Own { client, holder: Arc::default() });
        Some(Seat { seats: self.clone(), own, place: Mutex::new(None) })
    }

    fn ask_the_silent(&self) {
        let taken = self.taken();
        let holders = taken.holders.values().filter(|holder| !holder.is_asked.load(Ordering::Relaxed));
        if let Some(silent) = holders.min_by_key(|holder| holder.heard_at.load(Ordering::Relaxed)) {
            silent.is_asked.store(true, Ordering::Relaxed);
            silent.asked.notify_one();
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn with(self, place: OwnedSemaphorePermit) -> Seat {
        self.heard();
        *self.place() = Some(place);
        if let Some(own) = &self.own {
            self.seats.taken().holders.insert(own.number(), own.holder.clone());
        }
        self
    }

    /// The client has said something.
    pub fn heard(&self) {
        if let Some(own) = &self.own {
            let at = self.seats.started.elapsed().as_millis();
            own.holder.heard_at.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Waits until the place is asked for; for ever where the client is trusted.
    pub async fn asked(&self) {
        match &self.own {
            Some(own) => own.holder.asked.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Gives the place back among all, so that it is not asked for; it counts as the client's still.
    pub fn outlast(&self) {
        if let Some(own) = &self.own {
            self.seats.taken().holders.remove(&own.number());
        }
        drop(self.place().take());
    }

    fn place(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    /// Tells the holders of places apart.
    fn number(&self) -> usize {
        Arc::as_ptr(&self.holder).addr()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(own) = &self.own else { return };
        let mut taken = self.seats.taken();
        taken.holders.remove(&own.number());
        if let Some(held) = taken.by_client.get_mut(&own.client) {
            *held -= 1;
            if *held == 0 {
                taken.by_client.remove(&own.client);
            }
        }
    }
}

/// What a client is told apart by.
fn key(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> IPV6_PREFIX << IPV6_PREFIX).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A place that is there without a wait.
    fn take_at_once(seats: &Arc<Seats>, client: IpAddr, is_trusted: bool) -> Option<Seat> {
        match pin!(seats.take(client, is_trusted)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(seat) => seat,
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn each_client_has_its_share_and_all_have_theirs() {
        let seats = Arc::new(Seats::new(4, 2));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let take = |client: &str, is_trusted| take_at_once(&seats, ip(client), is_trusted);
        let first = [take("10.0.0.1", false), take("::ffff:10.0.0.1", false)];
        assert!(first.iter().all(Option::is_some));
        assert!(take("10.0.0.1", false).is_none(), "its share is taken");
        let second = take("fd00::1", false);
        assert!(second.is_some() && seats.are_scarce(), "one of four is left");
        let third = take("fd00::1:0:0:2", false);
        assert!(third.is_some() && take("fd00::3", false).is_none(), "a /64 is one client, and all are taken");
        drop(first);
        assert!(take("fd00::3", false).is_none(), "a /64 has its share");
        let trusted: Vec<_> = (0..2).map(|_| take("fd00::3", true)).collect();
        assert!(trusted.iter().all(Option::is_some) && take("10.0.0.9", true).is_none(), "four in all");
        drop((second, third, trusted));
        seats.all_free().await;
        assert!(seats.taken().by_client.is_empty() && seats.taken().holders.is_empty());
    }

    #[tokio::test]
    async fn the_place_of_whoever_was_silent_the_longest_is_asked_for() {
        let seats = Arc::new(Seats::new(4, 4));
        let take = |n: u8, is_trusted| take_at_once(&seats, [10, 0, 0, n].into(), is_trusted);
        let [trusted, lasting, spoke, silent] =
            [(1, true), (2, false), (3, false), (4, false)].map(|(n, is_trusted)| take(n, is_trusted).unwrap());
        lasting.outlast();
        let late = take(5, false).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        [&spoke, &late].iter().for_each(|seat| seat.heard());
        let is_asked = async |seat: &Seat| tokio::time::timeout(std::time::Duration::ZERO, seat.asked()).await.is_ok();
        assert!(!is_asked(&silent).await);
        assert!(take(6, false).is_none(), "the place is not free yet");
        assert!(is_asked(&silent).await);
        for other in [&trusted, &lasting, &spoke, &late] {
            assert!(!is_asked(other).await);
        }
        let (next, ()) = tokio::join!(seats.take([10, 0, 0, 7].into(), false), async { drop(silent) });
        assert!(next.is_some());
        assert!(is_asked(&spoke).await || is_asked(&late).await, "one more was asked for the one that came");
    }

    #[tokio::test]
    async fn who_outlasts_counts_for_the_client_alone() {
        let seats = Arc::new(Seats::new(1, 1));
        let lasting = seats.take([10, 0, 0, 1].into(), false).await.unwrap();
        lasting.outlast();
        assert!(take_at_once(&seats, [10, 0, 0, 1].into(), false).is_none());
        assert!(take_at_once(&seats, [10, 0, 0, 2].into(), false).is_some());
    }
}
