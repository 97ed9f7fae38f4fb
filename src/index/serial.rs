//! The SOA's serial: Unix time in eighths of a second, modulo 2³² (RFC 1982).

use std::time::Duration;

/// The shortest time between two serials: eight a second at most.
const STEP: Duration = Duration::from_millis(125);

/// The current time. The caller reads the clocks, because the index is pure.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time since some start; never goes back.
    pub monotonic: Duration,
    /// Unix time in eighths of a second, modulo 2³².
    pub wall_eighths: u32,
}

/// Decides when the serial moves and to what.
#[derive(Debug, Default)]
pub(super) struct Serial {
    /// An answer has changed since the serial last moved.
    pub is_due: bool,
    moved_at: Option<Duration>,
}

impl Serial {
    /// Returns the next serial if one is due and may be published now.
    ///
    /// That is the clock's value, or the last serial plus one if the clock is not ahead of it. The clock can fall
    /// behind because it was set back, or because a fast run of changes overtook it.
    pub fn advance(&mut self, last: u32, now: Now) -> Option<u32> {
        if !self.is_due || self.due_at().is_some_and(|due| now.monotonic < due) {
            return None;
        }
        self.is_due = false;
        self.moved_at = Some(now.monotonic);
        let is_first = last == 0;
        let is_ahead = is_first || (now.wall_eighths.wrapping_sub(last) as i32) > 0;
        Some(if is_ahead { now.wall_eighths } else { last.wrapping_add(1) })
    }

    /// When the serial may move for a change that is due.
    pub fn due_at(&self) -> Option<Duration> {
        self.is_due.then(|| self.moved_at.map_or(Duration::ZERO, |moved| moved + STEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(millis: u64, wall_eighths: u32) -> Now {
        Now { monotonic: Duration::from_millis(millis), wall_eighths }
    }

    #[test]
    fn moves_only_for_a_change_and_at_most_eight_times_a_second() {
        let mut serial = Serial::default();
        assert_eq!(serial.advance(0, now(0, 4_000_000_000)), None);
        serial.is_due = true;
        assert_eq!(serial.advance(0, now(0, 4_000_000_000)), Some(4_000_000_000));
        serial.is_due = true;
        assert_eq!(serial.advance(4_000_000_000, now(124, 4_000_000_001)), None);
        assert_eq!(serial.due_at(), Some(Duration::from_millis(125)));
        assert_eq!(serial.advance(4_000_000_000, now(125, 4_000_000_001)), Some(4_000_000_001));
        assert_eq!(serial.due_at(), None);
    }

    #[test]
    fn never_goes_back_and_wraps() {
        let mut serial = Serial::default();
        for (last, wall, next) in [(100, 50, 101), (100, 100, 101), (u32::MAX, 3, 3), (u32::MAX, u32::MAX, 0)] {
            serial.is_due = true;
            serial.moved_at = None;
            assert_eq!(serial.advance(last, now(0, wall)), Some(next), "{last} at {wall}");
        }
    }
}
