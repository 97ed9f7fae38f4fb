//! Connection limits: N connections in total, and N for each client. A connection takes a place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The default for the most connections at once at a listen address.
pub const ALL_MAX: u32 = 1024;

/// The default for the most connections at once from one client.
pub const PER_CLIENT_MAX: u32 = 128;

/// The default for the number of leading bits of an IPv6 address that identify a client: a host may use any address of a
/// /64 (RFC 7934).
pub const PREFIX6: u8 = 64;

/// The places of one listen address, and the clients that hold them.
#[derive(Debug)]
pub struct ConnectionPermits {
    free: Arc<Semaphore>,
    all_max: u32,
    per_client_max: u32,
    prefix6: u8,
    started: Instant,
    taken: Mutex<TakenPermits>,
}

/// The clients and connections that hold places. There are at most as many entries as connections.
#[derive(Debug, Default)]
struct TakenPermits {
    by_client: HashMap<IpAddr, u32>,
    /// The connections whose place may be reclaimed.
    holders: HashMap<usize, Arc<PermitHolder>>,
}

/// What a new connection needs to know about one that holds a place.
#[derive(Debug, Default)]
struct PermitHolder {
    /// The time of its last message, in milliseconds since [`ConnectionPermits::started`].
    active_at: AtomicU64,
    is_reclaimed: AtomicBool,
    /// The number of calls of [`ConnectionPermit::pin_place`] that wait for their [`ConnectionPermit::unpin_place`].
    /// Above 0, the place is not reclaimed.
    pins: AtomicU32,
    reclaim_notice: Notify,
}

/// One connection's place. Dropping it frees the place.
#[derive(Debug)]
pub struct ConnectionPermit {
    permits: Arc<ConnectionPermits>,
    /// `None` for a trusted client: no limit of its own applies to it, and its places are not reclaimed.
    own: Option<ClientShare>,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

#[derive(Debug)]
struct ClientShare {
    client: IpAddr,
    holder: Arc<PermitHolder>,
}

impl ConnectionPermits {
    /// `all_max` places in total, and at most `per_client_max` for one client. `prefix6` bits of an IPv6 address identify a
    /// client.
    pub fn new(all_max: u32, per_client_max: u32, prefix6: u8) -> ConnectionPermits {
        let free = Arc::new(Semaphore::new(all_max as usize));
        ConnectionPermits { free, all_max, per_client_max, prefix6, started: Instant::now(), taken: Mutex::default() }
    }

    /// Takes a place for a client's connection, and waits until one is free. `None` if the client has all of its places.
    ///
    /// If all places are taken, this reclaims the place of the connection that has been silent the longest.
    pub async fn take(self: &Arc<ConnectionPermits>, client: IpAddr, is_trusted: bool) -> Option<ConnectionPermit> {
        let permit = self.count(client, is_trusted)?;
        let place = match self.free.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                self.reclaim_silent();
                self.free.clone().acquire_owned().await.ok()?
            }
        };
        Some(permit.with(place))
    }

    /// Whether less than half of the places are free.
    pub fn are_scarce(&self) -> bool {
        self.free.available_permits() < self.all_max as usize / 2
    }

    /// Waits until every place is free.
    pub async fn all_free(&self) {
        let _ = self.free.acquire_many(self.all_max).await;
    }

    /// Counts one more connection of a client. `None` if the client has its most.
    fn count(self: &Arc<ConnectionPermits>, client: IpAddr, is_trusted: bool) -> Option<ConnectionPermit> {
        let client = (!is_trusted).then(|| client_of(client, self.prefix6));
        if let Some(client) = client {
            let mut taken = self.taken();
            let held = taken.by_client.entry(client).or_default();
            if *held >= self.per_client_max {
                return None;
            }
            *held += 1;
        }
        let own = client.map(|client| ClientShare { client, holder: Arc::default() });
        Some(ConnectionPermit { permits: self.clone(), own, place: Mutex::new(None) })
    }

    fn reclaim_silent(&self) {
        let taken = self.taken();
        let holders = taken.holders.values().filter(|holder| holder.is_reclaimable());
        if let Some(silent) = holders.min_by_key(|holder| holder.active_at.load(Ordering::Relaxed)) {
            silent.is_reclaimed.store(true, Ordering::Relaxed);
            silent.reclaim_notice.notify_one();
        }
    }

    fn taken(&self) -> MutexGuard<'_, TakenPermits> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PermitHolder {
    fn is_reclaimable(&self) -> bool {
        !self.is_reclaimed.load(Ordering::Relaxed) && self.pins.load(Ordering::Relaxed) == 0
    }
}

impl ConnectionPermit {
    fn with(self, place: OwnedSemaphorePermit) -> ConnectionPermit {
        self.record_activity();
        *self.place() = Some(place);
        if let Some(own) = &self.own {
            self.permits.taken().holders.insert(own.number(), own.holder.clone());
        }
        self
    }

    /// Records that the client sent something.
    pub fn record_activity(&self) {
        if let Some(own) = &self.own {
            let at = self.permits.started.elapsed().as_millis();
            own.holder.active_at.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Waits until the place is reclaimed. If the client is trusted, that is never.
    pub async fn reclaimed(&self) {
        match &self.own {
            Some(own) => own.holder.reclaim_notice.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Frees the place, while the connection stays open and still counts as the client's.
    pub fn release_place(&self) {
        if let Some(own) = &self.own {
            self.permits.taken().holders.remove(&own.number());
        }
        drop(self.place().take());
    }

    /// Takes a place again after [`ConnectionPermit::release_place`]. Returns false if none is free.
    pub fn retake_place(&self) -> bool {
        let mut place = self.place();
        if place.is_none() {
            *place = self.permits.free.clone().try_acquire_owned().ok();
            if let (Some(_), Some(own)) = (&*place, &self.own) {
                own.holder.is_reclaimed.store(false, Ordering::Relaxed);
                self.permits.taken().holders.insert(own.number(), own.holder.clone());
            }
        }
        place.is_some()
    }

    /// Keeps the place from being reclaimed while the connection has work. Each call needs one of
    /// [`ConnectionPermit::unpin_place`].
    pub fn pin_place(&self) {
        if let Some(own) = &self.own {
            own.holder.pins.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the effect of one [`ConnectionPermit::pin_place`].
    pub fn unpin_place(&self) {
        if let Some(own) = &self.own {
            own.holder.pins.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Refuses to give up the place, because work arrived just before it was reclaimed. Reclaims another one instead.
    pub fn decline_reclaim(&self) {
        self.permits.reclaim_silent();
        if let Some(own) = &self.own {
            own.holder.is_reclaimed.store(false, Ordering::Relaxed);
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientShare {
    /// A number that is unique among the holders.
    fn number(&self) -> usize {
        Arc::as_ptr(&self.holder).addr()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some(own) = &self.own else { return };
        let mut taken = self.permits.taken();
        taken.holders.remove(&own.number());
        if let Some(held) = taken.by_client.get_mut(&own.client) {
            *held -= 1;
            if *held == 0 {
                taken.by_client.remove(&own.client);
            }
        }
    }
}

/// The client that an address belongs to: itself, or the first `prefix6` bits of an IPv6 address.
pub fn client_of(address: IpAddr, prefix6: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix6.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A place that is there without a wait.
    fn take_at_once(permits: &Arc<ConnectionPermits>, client: IpAddr, is_trusted: bool) -> Option<ConnectionPermit> {
        match pin!(permits.take(client, is_trusted)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => permit,
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn each_client_has_its_share_and_all_have_theirs() {
        let permits = Arc::new(ConnectionPermits::new(4, 2, PREFIX6));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let take = |client: &str, is_trusted| take_at_once(&permits, ip(client), is_trusted);
        let first = [take("10.0.0.1", false), take("::ffff:10.0.0.1", false)];
        assert!(first.iter().all(Option::is_some));
        assert!(take("10.0.0.1", false).is_none(), "its share is taken");
        let second = take("fd00::1", false);
        assert!(second.is_some() && permits.are_scarce(), "one of four is left");
        let third = take("fd00::1:0:0:2", false);
        assert!(third.is_some() && take("fd00::3", false).is_none(), "a /64 is one client, and all are taken");
        drop(first);
        assert!(take("fd00::3", false).is_none(), "a /64 has its share");
        let trusted: Vec<_> = (0..2).map(|_| take("fd00::3", true)).collect();
        assert!(trusted.iter().all(Option::is_some) && take("10.0.0.9", true).is_none(), "four in all");
        drop((second, third, trusted));
        permits.all_free().await;
        assert!(permits.taken().by_client.is_empty() && permits.taken().holders.is_empty());
    }

    #[tokio::test]
    async fn a_connection_with_work_keeps_its_place_and_an_idle_one_does_not() {
        let permits = Arc::new(ConnectionPermits::new(2, 2, PREFIX6));
        let [busy, other] = [1, 2].map(|n| take_at_once(&permits, [10, 0, 0, n].into(), false).expect("a place"));
        let is_reclaimed = async |permit: &ConnectionPermit| {
            tokio::time::timeout(std::time::Duration::ZERO, permit.reclaimed()).await.is_ok()
        };
        busy.pin_place();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        other.record_activity();
        assert!(take_at_once(&permits, [10, 0, 0, 3].into(), false).is_none());
        assert!(!is_reclaimed(&busy).await && is_reclaimed(&other).await, "the silent one has work");
        busy.unpin_place();
        other.decline_reclaim();
        assert!(is_reclaimed(&busy).await, "another one is asked instead");
        busy.release_place();
        assert!(busy.retake_place() && busy.retake_place(), "a place is free");
        busy.release_place();
        let third = take_at_once(&permits, [10, 0, 0, 3].into(), false).expect("the place that was given back");
        assert!(!busy.retake_place(), "none is free");
        drop(third);
        assert!(busy.retake_place());
    }

    #[test]
    fn a_client_is_an_address_or_a_prefix_of_it() {
        for (address, prefix6, expected) in [
            ("fd00:1:2:3:4:5:6:7", 128, "fd00:1:2:3:4:5:6:7"),
            ("fd00:1:2:3:4:5:6:7", 127, "fd00:1:2:3:4:5:6:6"),
            ("fd00:1:2:3:4:5:6:7", 64, "fd00:1:2:3::"),
            ("fd00:1:2:3:4:5:6:7", 56, "fd00:1:2::"),
            ("fd00:1:2:3:4:5:6:7", 1, "8000::"),
            ("10.0.0.7", 1, "10.0.0.7"),
            ("::ffff:10.0.0.7", 64, "10.0.0.7"),
        ] {
            let expected: IpAddr = expected.parse().expect("an address");
            assert_eq!(client_of(address.parse().expect("an address"), prefix6), expected, "{address}/{prefix6}");
        }
        let permits = Arc::new(ConnectionPermits::new(4, 1, 128));
        let neighbours =
            ["fd00::1", "fd00::2"].map(|ip| take_at_once(&permits, ip.parse().expect("an address"), false));
        assert!(neighbours.iter().all(Option::is_some), "with /128 each address is a client");
        assert!(take_at_once(&permits, "fd00::2".parse().expect("an address"), false).is_none());
    }

    #[tokio::test]
    async fn the_connection_that_was_silent_the_longest_gives_up_its_place() {
        let permits = Arc::new(ConnectionPermits::new(4, 4, PREFIX6));
        let take = |n: u8, is_trusted| take_at_once(&permits, [10, 0, 0, n].into(), is_trusted);
        let [trusted, lasting, spoke, silent] =
            [(1, true), (2, false), (3, false), (4, false)].map(|(n, is_trusted)| take(n, is_trusted).unwrap());
        lasting.release_place();
        let late = take(5, false).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        [&spoke, &late].iter().for_each(|permit| permit.record_activity());
        let is_reclaimed = async |permit: &ConnectionPermit| {
            tokio::time::timeout(std::time::Duration::ZERO, permit.reclaimed()).await.is_ok()
        };
        assert!(!is_reclaimed(&silent).await);
        assert!(take(6, false).is_none(), "the place is not free yet");
        assert!(is_reclaimed(&silent).await);
        for other in [&trusted, &lasting, &spoke, &late] {
            assert!(!is_reclaimed(other).await);
        }
        let (next, ()) = tokio::join!(permits.take([10, 0, 0, 7].into(), false), async { drop(silent) });
        assert!(next.is_some());
        assert!(is_reclaimed(&spoke).await || is_reclaimed(&late).await, "one more was asked for the one that came");
    }

    #[tokio::test]
    async fn a_connection_without_a_place_counts_only_for_its_client() {
        let permits = Arc::new(ConnectionPermits::new(1, 1, PREFIX6));
        let lasting = permits.take([10, 0, 0, 1].into(), false).await.unwrap();
        lasting.release_place();
        assert!(take_at_once(&permits, [10, 0, 0, 1].into(), false).is_none());
        assert!(take_at_once(&permits, [10, 0, 0, 2].into(), false).is_some());
    }
}
