//! A sign of life that one task gives and another looks at.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest that a beat may take: what the largest batch of changes costs, many times over.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// When a task last showed that it turns.
#[derive(Debug)]
pub struct Pulse {
    started: Instant,
    /// Milliseconds since the start.
    last: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse::since(Instant::now())
    }
}

impl Pulse {
    /// Of a task that began then.
    pub fn since(started: Instant) -> Pulse {
        Pulse { started, last: AtomicU64::new(0) }
    }

    /// The task turns.
    pub fn beat(&self) {
        self.last.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether it turned of late.
    pub fn is_beating(&self) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last) < SILENCE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_stands_still_is_seen() {
        let since = |silence: Duration| Pulse::since(Instant::now().checked_sub(silence).expect("up that long"));
        let pulse = since(SILENCE_MAX + Duration::from_secs(1));
        assert!(!pulse.is_beating());
        pulse.beat();
        assert!(pulse.is_beating());
        assert!(since(SILENCE_MAX / 2).is_beating(), "not yet");
    }
}
