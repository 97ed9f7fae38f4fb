//! Places for connections: so many in all, and so many a client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    /// No more entries than there are connections.
    taken: Mutex<HashMap<IpAddr, u32>>,
}

/// One connection's place; dropping it frees the place.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    /// None for whoever is not counted by itself.
    client: Option<IpAddr>,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Seats {
    /// So many in all, and so many for each client.
    pub fn new(all_max: u32, per_client_max: u32) -> Seats {
        let free = Arc::new(Semaphore::new(all_max as usize));
        Seats { free, all_max, per_client_max, taken: Mutex::default() }
    }

    /// A place for a client's connection, waited for until there is one; none where the client has its share already.
    pub async fn take(self: &Arc<Seats>, client: IpAddr, is_trusted: bool) -> Option<Seat> {
        let seat = self.count(client, is_trusted)?;
        let place = self.free.clone().acquire_owned().await.ok()?;
        Some(seat.with(place))
    }

    /// The same at once or not at all.
    pub fn try_take(self: &Arc<Seats>, client: IpAddr, is_trusted: bool) -> Option<Seat> {
        let seat = self.count(client, is_trusted)?;
        let place = self.free.clone().try_acquire_owned().ok()?;
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
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let held = taken.entry(client).or_default();
            if *held >= self.per_client_max {
                return None;
            }
            *held += 1;
        }
        Some(Seat { seats: self.clone(), client, place: Mutex::new(None) })
    }
}

impl Seat {
    fn with(self, place: OwnedSemaphorePermit) -> Seat {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        self
    }

    /// Gives the place back among all; it counts as the client's still.
    pub fn outlast(&self) {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = taken.get_mut(&client) {
            *held -= 1;
            if *held == 0 {
                taken.remove(&client);
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
    use super::*;

    #[tokio::test]
    async fn each_client_has_its_share_and_all_have_theirs() {
        let seats = Arc::new(Seats::new(4, 2));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let take = |client: &str, is_trusted| seats.try_take(ip(client), is_trusted);
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
        assert!(seats.taken.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_outlasts_counts_for_the_client_alone() {
        let seats = Arc::new(Seats::new(1, 1));
        let lasting = seats.take([10, 0, 0, 1].into(), false).await.unwrap();
        lasting.outlast();
        assert!(seats.try_take([10, 0, 0, 1].into(), false).is_none());
        assert!(seats.try_take([10, 0, 0, 2].into(), false).is_some());
    }
}
