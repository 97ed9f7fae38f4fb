//! Watches that bring nothing: when a list takes their place.
//!
//! A gateway that cannot stream ends each watch at once, well-formed and empty. Nothing in such an answer is wrong, and a
//! client that believes it never learns of a change. The server's own version is no proof: Leases and Events move it each
//! second. So a row of such watches leads to a list, and the next row to another one, each time later than before.
//!
//! A proxy that cuts an idle connection looks the same, where its timeout is shorter than a watch and nothing happens. So
//! behind a watch that brings nothing, each one is asked to end after a short time, until one does: that proves the zone.

use std::time::{Duration, Instant};

use super::backoff::jitter;

/// So many watches in a row that bring nothing lead to a list.
const ROW: u32 = 3;

/// The least time between the first such list and the second one. Each wait after it is twice as long.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait between two such lists.
const LAST: Duration = Duration::from_secs(600);

/// What is known of the watches of one source.
#[derive(Debug, Default)]
pub(super) struct Fruitless {
    /// Watches in a row that brought nothing, since the last list.
    row: u32,
    /// How many lists such a row has led to since a watch lived its time.
    lists: u32,
    /// No such list comes before this moment.
    not_before: Option<Instant>,
}

impl Fruitless {
    /// A watch ended before its time and brought nothing. True if a list is due.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        self.row = self.row.saturating_add(1);
        let is_due = self.row >= ROW && self.not_before.is_none_or(|due| now >= due);
        if is_due {
            let longest = FIRST.saturating_mul(2u32.saturating_pow(self.lists)).min(LAST);
            self.lists = self.lists.saturating_add(1);
            // From the half on, so that no wait is shorter than the one before.
            self.not_before = Some(now + longest / 2 + jitter(longest / 2));
            self.row = 0;
        }
        is_due
    }

    /// A watch brought something.
    pub(super) fn end_row(&mut self) {
        self.row = 0;
    }

    /// A watch lived its time: what it did not tell did not happen.
    pub(super) fn forget(&mut self) {
        *self = Fruitless::default();
    }

    /// The last watch brought nothing, or a row has led to a list and no watch has lived its time since.
    pub(super) fn is_suspected(&self) -> bool {
        self.row > 0 || self.is_lasting()
    }

    /// Whether a row has led to a list, and no watch has lived its time since.
    pub(super) fn is_lasting(&self) -> bool {
        self.lists > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds between the lists of so many watches, one each `every`, none of which brings anything.
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
        // Seldom watches: each row of three is a list.
        assert!(waits(Duration::from_secs(1000), 30).iter().all(|wait| *wait == 3000.0));
    }

    #[test]
    fn what_a_watch_brings_does_not_shorten_the_wait() {
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
