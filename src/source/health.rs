//! What a source tells of itself: read by metrics and by `/readyz`, written by the source alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why a source had to open its watch again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The server ended it in good order, as it does at the timeout that we ask for.
    Ended,
    /// The resource version was too old, or from a future that was undone: a relist follows.
    Expired,
    /// Nothing came for too long.
    Silent,
    /// The connection broke, or the body stopped inside an object.
    Broken,
    /// What came was not what a Kubernetes API server says.
    Garbage,
    /// The server said no.
    Refused,
    /// There was no connection.
    Unreachable,
}

impl Restart {
    /// All reasons, in the order of their counters.
    pub const ALL: [Restart; 7] = [
        Restart::Ended,
        Restart::Expired,
        Restart::Silent,
        Restart::Broken,
        Restart::Garbage,
        Restart::Refused,
        Restart::Unreachable,
    ];

    /// Its label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Restart::Ended => "ended",
            Restart::Expired => "expired",
            Restart::Silent => "silent",
            Restart::Broken => "broken",
            Restart::Garbage => "garbage",
            Restart::Refused => "refused",
            Restart::Unreachable => "unreachable",
        }
    }
}

/// The state of one source, shared with whoever wants to know.
#[derive(Debug)]
pub struct SourceHealth {
    started: Instant,
    /// Milliseconds from `started` to the last frame, plus one; 0 while there was none.
    heard: AtomicU64,
    restarts: [AtomicU64; Restart::ALL.len()],
    lists: AtomicU64,
    skipped: AtomicU64,
    synced: AtomicBool,
    error: Mutex<Option<String>>,
}

impl SourceHealth {
    /// The health of a source that has not been heard of yet; `started` is when the process started.
    pub fn new(started: Instant) -> SourceHealth {
        SourceHealth {
            started,
            heard: AtomicU64::new(0),
            restarts: Default::default(),
            lists: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            synced: AtomicBool::new(false),
            error: Mutex::new(None),
        }
    }

    /// How long ago the last object, event or bookmark came; none while nothing has come.
    pub fn silence(&self) -> Option<Duration> {
        let heard_ms = self.heard.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(heard_ms)))
    }

    /// How often the watch was opened again for this reason.
    pub fn restarts(&self, reason: Restart) -> u64 {
        self.restarts[reason as usize].load(Ordering::Relaxed)
    }

    /// Lists that were whole, the first one included.
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// Objects that could not be read as a Pod.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Whether a list was whole; stays so.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// What is wrong now, for people; none where all is well.
    pub fn error(&self) -> Option<String> {
        self.lock_error().clone()
    }

    /// Something came.
    pub(super) fn hear(&self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.heard.store(ms + 1, Ordering::Relaxed);
    }

    /// The watch is to be opened again.
    pub(super) fn count_restart(&self, reason: Restart) {
        self.restarts[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// An object was skipped.
    pub(super) fn count_skipped(&self, objects: u64) {
        self.skipped.fetch_add(objects, Ordering::Relaxed);
    }

    /// A list was whole.
    pub(super) fn commit(&self) {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.synced.store(true, Ordering::Release);
    }

    /// Sets or clears what is wrong. True if that is news, so that a lasting fault is one line in the log.
    pub(super) fn set_error(&self, error: Option<String>) -> bool {
        let mut current = self.lock_error();
        let is_news = *current != error;
        *current = error;
        is_news
    }

    fn lock_error(&self) -> MutexGuard<'_, Option<String>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stand_at_their_reason() {
        for (index, reason) in Restart::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.label());
        }
    }

    #[test]
    fn silence_starts_with_the_first_frame() {
        let health = SourceHealth::new(Instant::now());
        assert_eq!(health.silence(), None);
        health.hear();
        assert!(health.silence().is_some_and(|silence| silence < Duration::from_secs(5)));
    }

    #[test]
    fn the_same_error_is_no_news() {
        let health = SourceHealth::new(Instant::now());
        let steps =
            [(None, false), (Some("a"), true), (Some("a"), false), (Some("b"), true), (None, true), (None, false)];
        for (error, is_news) in steps {
            assert_eq!(health.set_error(error.map(str::to_owned)), is_news, "{error:?}");
            assert_eq!(health.error().as_deref(), error);
        }
    }
}
