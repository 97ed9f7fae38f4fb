//! A heartbeat that one task sends and another checks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest time between two beats: many times what the largest batch of changes takes.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// When a task last sent a heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    started: Instant,
    /// In milliseconds since `started`.
    last: AtomicU64,
}

impl Default for Heartbeat {
    fn default() -> Heartbeat {
        Heartbeat::since(Instant::now())
    }
}

impl Heartbeat {
    /// The heartbeat of a task that started at this time.
    pub fn since(started: Instant) -> Heartbeat {
        Heartbeat { started, last: AtomicU64::new(0) }
    }

    /// Sends a heartbeat.
    pub fn beat(&self) {
        self.last.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether the last heartbeat is recent enough.
    pub fn is_recent(&self) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last) < SILENCE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_task_is_noticed() {
        let since = |silence: Duration| Heartbeat::since(Instant::now().checked_sub(silence).expect("up that long"));
        let heartbeat = since(SILENCE_MAX + Duration::from_secs(1));
        assert!(!heartbeat.is_recent());
        heartbeat.beat();
        assert!(heartbeat.is_recent());
        assert!(since(SILENCE_MAX / 2).is_recent(), "not yet");
    }
}
