//! Response rate limiting: how many replies by UDP a network may draw, so that a stranger who pretends to be there cannot
//! bury it.
//!
//! Every network has a bucket that empties at the rate and holds one second's worth. Buckets are a table of fixed size,
//! found by a keyed hash: a million networks cost no more memory than one, and two that share a bucket share its rate. A
//! bucket is one number, the time at which it will be empty (the generic cell rate algorithm), so that threads need no
//! lock.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Buckets: half a megabyte, and a handful of networks to each under an attack from all of a large cluster's.
const BUCKETS: usize = 1 << 16;

/// A network: what BIND and NSD count replies by.
const IPV4_PREFIX: u32 = 24;
const IPV6_PREFIX: u32 = 56;

/// What a bucket holds: the replies of so long.
const BURST: Duration = Duration::from_secs(1);

/// Of the replies beyond the rate one in so many goes out short, so that a true client learns where to turn.
const SLIP: u64 = 2;

/// How many replies each network may draw.
#[derive(Debug)]
pub struct RateLimit {
    /// Nanoseconds that a reply takes of a bucket.
    interval_ns: u64,
    started: Instant,
    keys: RandomState,
    /// Nanoseconds since the start at which each is empty.
    buckets: Box<[AtomicU64]>,
    beyond: AtomicU64,
}

/// What a reply may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go out.
    Within,
    /// Go out short: it is beyond the rate.
    Slipped,
    /// Stay: it is beyond the rate.
    Beyond,
}

impl RateLimit {
    /// So many replies a second for each network.
    pub fn new(per_second: NonZeroU32) -> RateLimit {
        RateLimit {
            interval_ns: 1_000_000_000 / u64::from(per_second.get()),
            started: Instant::now(),
            keys: RandomState::new(),
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            beyond: AtomicU64::new(0),
        }
    }

    /// Takes one reply of the client's network, now.
    pub fn take(&self, client: IpAddr) -> Verdict {
        self.take_at(client, self.started.elapsed())
    }

    fn take_at(&self, client: IpAddr, since_start: Duration) -> Verdict {
        let place = self.keys.hash_one(network(client)) as usize % BUCKETS;
        let Some(bucket) = self.buckets.get(place) else { return Verdict::Within };
        let now = since_start.as_nanos() as u64;
        let burst = BURST.as_nanos() as u64;
        let fill = |empty_at: u64| {
            let filled = empty_at.max(now) + self.interval_ns;
            (filled <= now + burst).then_some(filled)
        };
        if bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fill).is_ok() {
            return Verdict::Within;
        }
        match self.beyond.fetch_add(1, Ordering::Relaxed) % SLIP {
            0 => Verdict::Slipped,
            _ => Verdict::Beyond,
        }
    }
}

/// The part of an address that tells networks apart.
fn network(client: IpAddr) -> (bool, u64) {
    match client {
        IpAddr::V4(address) => (false, (u32::from(address) >> (32 - IPV4_PREFIX)).into()),
        IpAddr::V6(address) => (true, (u128::from(address) >> (128 - IPV6_PREFIX)) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 100;

    fn taken(limit: &RateLimit, client: &str, millis: u64, times: usize) -> [usize; 3] {
        let client = client.parse().unwrap();
        let mut counts = [0; 3];
        for _ in 0..times {
            counts[limit.take_at(client, Duration::from_millis(millis)) as usize] += 1;
        }
        counts
    }

    #[test]
    fn a_second_s_worth_at_once_and_then_the_rate() {
        let limit = RateLimit::new(NonZeroU32::new(RATE).unwrap());
        assert_eq!(taken(&limit, "10.0.0.1", 0, 300), [100, 100, 100], "every second one beyond it slips");
        assert_eq!(taken(&limit, "10.0.0.200", 0, 1)[0], 0, "a neighbour of the same network");
        assert_eq!(taken(&limit, "10.0.0.1", 500, 200)[0], 50);
        assert_eq!(taken(&limit, "10.0.0.1", 60_000, 200)[0], 100, "a long rest saves up no more");
        assert_eq!(taken(&limit, "fd00::1", 60_000, 100)[0], 100);
        assert_eq!(taken(&limit, "fd00:0:0:ff::1", 60_000, 1)[0], 0, "the same /56");
    }

    #[test]
    fn many_networks_each_have_their_own() {
        let limit = RateLimit::new(NonZeroU32::new(1).unwrap());
        let within = (0..1_000_u32).filter(|n| {
            let client = std::net::Ipv4Addr::from(0x0a00_0000 + (n << 8));
            limit.take_at(client.into(), Duration::ZERO) == Verdict::Within
        });
        let within = within.count();
        assert!(within > 970, "{within} of 1,000: by chance some eight share a bucket");
    }
}
