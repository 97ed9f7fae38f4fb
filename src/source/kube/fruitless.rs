//! Watches that bring nothing: when a relist replaces them.
//!
//! A gateway that cannot stream ends each watch at once, well-formed and empty. Nothing in such a response is wrong,
//! and a client that trusts it misses every change. The server's own version is no proof, because Leases and Events
//! move it every second. So a row of such watches leads to a relist, and the next row to another one, each time later
//! than before.
//!
//! A proxy that cuts idle connections looks the same if its timeout is shorter than a watch and nothing happens. So
//! after a watch that brings nothing, the next ones request a short timeout until one lasts its time, which proves the
//! zone.

use std::time::{Duration, Instant};

use crate::backoff::jitter;

/// This many watches in a row that bring nothing lead to a relist.
const ROW: u32 = 3;

/// The shortest time between the first such relist and the second. Each later wait is twice as long.
const FIRST: Duration = Duration::from_secs(1);

/// The longest time between two such relists.
const LAST: Duration = Duration::from_secs(600);

/// The record of one source's watches.
#[derive(Debug, Default)]
pub(super) struct Fruitless {
    /// Watches in a row that brought nothing, since the last relist.
    row: u32,
    /// Relists by such rows since a watch lasted its time.
    lists: u32,
    /// The earliest time of the next such relist.
    not_before: Option<Instant>,
}

impl Fruitless {
    /// Counts a watch that ended early and brought nothing. Returns whether a relist is due.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        self.row = self.row.saturating_add(1);
        let is_due = self.row >= ROW && self.not_before.is_none_or(|due| now >= due);
        if is_due {
            let longest = FIRST.saturating_mul(2u32.saturating_pow(self.lists)).min(LAST);
            self.lists = self.lists.saturating_add(1);
            // Jitter covers only the second half, so that no wait is shorter than the one before.
            self.not_before = Some(now + longest / 2 + jitter(longest / 2));
            self.row = 0;
        }
        is_due
    }

    /// Ends the row: a watch brought something.
    pub(super) fn end_row(&mut self) {
        self.row = 0;
    }

    /// Clears the record: a watch lasted its time, so it missed nothing.
    pub(super) fn forget(&mut self) {
        *self = Fruitless::default();
    }

    /// Whether the last watch brought nothing, or [`Fruitless::is_lasting`].
    pub(super) fn is_suspected(&self) -> bool {
        self.row > 0 || self.is_lasting()
    }

    /// Whether a row has led to a relist, and no watch has lasted its time since.
    pub(super) fn is_lasting(&self) -> bool {
        self.lists > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds between the relists if `watches` watches, one each `every`, bring nothing.
    fn waits(every: Duration, watches: u32) -> Vec<f64> {
        let (mut fruitless, start) = (Fruitless::default(), Instant::now());
        let moments = (0..watches).map(|n| start + every * n);
        let lists: Vec<Instant> = moments.filter(|now| fruitless.count(*now)).collect();
        lists.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }

    #[test]
    fn the_wait_between_lists_doubles_up_to_ten_minutes() {
        let waits = waits(Duration::from_millis(100), 40_000);
        let longest = (0..).map(|n| f64::from(1u32 << n).min(600.0));
        for (n, (wait, longest)) in waits.iter().zip(longest).enumerate() {
            assert!((longest / 2.0..=longest + 0.2).contains(wait), "wait {n} is {wait} of {longest}");
        }
        assert!((14..=22).contains(&waits.len()), "{waits:?}");
        assert!(waits.last().is_some_and(|last| *last >= 300.0));
    }

    #[test]
    fn three_in_a_row_lead_to_a_list() {
        let (mut fruitless, now) = (Fruitless::default(), Instant::now());
        assert_eq!([(); 3].map(|()| fruitless.count(now)), [false, false, true]);
        assert!(fruitless.is_lasting());
        fruitless.forget();
        assert!(!fruitless.is_lasting());
        assert_eq!([(); 2].map(|()| fruitless.count(now)), [false, false]);
        fruitless.end_row();
        assert_eq!([(); 3].map(|()| fruitless.count(now)), [false, false, true]);
        // Rare watches: each row of three is a relist.
        assert!(waits(Duration::from_secs(1000), 30).iter().all(|wait| *wait == 3000.0));
    }

    #[test]
    fn an_event_of_a_watch_does_not_shorten_the_wait() {
        let (mut fruitless, mut now) = (Fruitless::default(), Instant::now());
        let mut lists = 0;
        for _ in 0..6000 {
            lists += u32::from(fruitless.count(now));
            lists += u32::from(fruitless.count(now));
            lists += u32::from(fruitless.count(now));
            fruitless.end_row();
            now += Duration::from_millis(100);
        }
        assert!((9..=12).contains(&lists), "{lists} lists in ten minutes");
    }
}
