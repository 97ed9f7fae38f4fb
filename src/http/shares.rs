//! Counts how many of something each client has, with a limit per client and one for all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The limits, and what is taken.
#[derive(Debug)]
pub(super) struct Shares {
    all_max: u32,
    per_client_max: u32,
    taken: Mutex<TakenShares>,
}

#[derive(Debug, Default)]
struct TakenShares {
    all: u32,
    /// At most `all` entries.
    by_client: HashMap<IpAddr, u32>,
}

/// The limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitReached {
    /// That of all clients together.
    All,
    /// That of this client.
    Client,
}

/// What one holder has taken. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    client: Option<IpAddr>,
    count: u32,
}

impl Shares {
    pub(super) fn new(all_max: u32, per_client_max: u32) -> Arc<Shares> {
        Arc::new(Shares { all_max, per_client_max, taken: Mutex::default() })
    }

    /// Takes `count` for a client. `None` is a trusted client, which counts only against the limit of all.
    pub(super) fn take(self: &Arc<Shares>, client: Option<IpAddr>, count: u32) -> Result<Share, LimitReached> {
        let mut taken = self.taken();
        if let Some(client) = client {
            let held = taken.by_client.get(&client).copied().unwrap_or_default();
            if held.saturating_add(count) > self.per_client_max {
                return Err(LimitReached::Client);
            }
        }
        if taken.all.saturating_add(count) > self.all_max {
            return Err(LimitReached::All);
        }
        taken.all += count;
        if let Some(client) = client {
            *taken.by_client.entry(client).or_default() += count;
        }
        Ok(Share { shares: self.clone(), client, count })
    }

    fn taken(&self) -> MutexGuard<'_, TakenShares> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all -= self.count;
        let Some(client) = self.client else { return };
        if let Some(held) = taken.by_client.get_mut(&client) {
            *held -= self.count;
            if *held == 0 {
                taken.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_share_and_all_have_theirs() {
        let shares = Shares::new(10, 4);
        let client = |n: u8| Some(IpAddr::from([10, 0, 0, n]));
        let take = |client, count| shares.take(client, count);
        let first = take(client(1), 3).expect("a share");
        assert_eq!(take(client(1), 2).err(), Some(LimitReached::Client));
        let _more = take(client(1), 1).expect("the last of its share");
        let _second = take(client(2), 4).expect("another client's");
        assert_eq!(take(client(3), 3).err(), Some(LimitReached::All));
        assert_eq!(take(None, 3).err(), Some(LimitReached::All), "a trusted client counts against the limit of all");
        drop(first);
        let trusted = take(None, 5).expect("a trusted client has no limit of its own");
        assert_eq!(take(client(3), 1).err(), Some(LimitReached::All));
        drop((trusted, _more, _second));
        assert!(shares.taken().by_client.is_empty() && shares.taken().all == 0, "nothing is left");
    }
}
