//! Response rate limiting: it bounds the UDP replies to each network, so that forged queries cannot flood it.
//!
//! Each network has a bucket. It drains at the rate, and holds the replies of one second. The buckets are a table of fixed
//! size, and a keyed hash chooses one: a million networks need no more memory than one, and two networks in one bucket
//! share its rate. A bucket is one number, the time at which it is empty (the generic cell rate algorithm), so threads
//! need no lock.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The number of buckets. They take 512 KiB. If all networks of a large cluster attack, a few share each bucket.
const BUCKETS: usize = 1 << 16;

/// The leading bits of an address that identify a network: the prefixes by which BIND and NSD count replies.
const IPV4_PREFIX: u32 = 24;
const IPV6_PREFIX: u32 = 56;

/// A bucket holds the replies of this time.
const BURST: Duration = Duration::from_secs(1);

/// One in this many replies beyond the rate is sent, empty, so that a real client can turn to TCP or use a cookie.
const SLIP: u64 = 2;

/// The reply rate of each network.
#[derive(Debug)]
pub struct RateLimit {
    /// The nanoseconds that one reply adds to a bucket.
    interval_ns: u64,
    started: Instant,
    keys: RandomState,
    /// The time at which each bucket is empty, in nanoseconds since `started`.
    buckets: Box<[AtomicU64]>,
    beyond: AtomicU64,
}

/// The decision about one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the rate: send it.
    Within,
    /// Beyond the rate: send an empty one.
    Slipped,
    /// Beyond the rate: send none.
    Beyond,
}

impl RateLimit {
    /// A limit of N replies a second for each network.
    pub fn new(per_second: NonZeroU32) -> RateLimit {
        RateLimit {
            interval_ns: 1_000_000_000 / u64::from(per_second.get()),
            started: Instant::now(),
            keys: RandomState::new(),
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            beyond: AtomicU64::new(0),
        }
    }

    /// Counts one reply to the client's network, now.
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

/// The part of an address that identifies its network.
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
    fn one_second_of_replies_at_once_and_then_the_rate() {
        let limit = RateLimit::new(NonZeroU32::new(RATE).unwrap());
        assert_eq!(taken(&limit, "10.0.0.1", 0, 300), [100, 100, 100], "every second one beyond it slips");
        assert_eq!(taken(&limit, "10.0.0.200", 0, 1)[0], 0, "a neighbour of the same network");
        assert_eq!(taken(&limit, "10.0.0.1", 500, 200)[0], 50);
        assert_eq!(taken(&limit, "10.0.0.1", 60_000, 200)[0], 100, "a long rest saves up no more");
        assert_eq!(taken(&limit, "fd00::1", 60_000, 100)[0], 100);
        assert_eq!(taken(&limit, "fd00:0:0:ff::1", 60_000, 1)[0], 0, "the same /56");
    }

    #[test]
    fn each_of_many_networks_has_its_own_rate() {
        let limit = RateLimit::new(NonZeroU32::new(1).unwrap());
        let within = (0..1_000_u32).filter(|n| {
            let client = std::net::Ipv4Addr::from(0x0a00_0000 + (n << 8));
            limit.take_at(client.into(), Duration::ZERO) == Verdict::Within
        });
        let within = within.count();
        assert!(within > 970, "{within} of 1,000: by chance some eight share a bucket");
    }
}
