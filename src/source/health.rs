//! The state of a source: the source writes it, metrics and `/readyz` read it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why a source had to reopen its watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The server ended the watch properly, as it does at the requested timeout.
    Ended,
    /// The server ended the watch properly, but long before that timeout and without any event.
    Empty,
    /// The resource version was too old, or newer than the server's after a restore: a relist follows.
    Expired,
    /// Nothing was received for too long.
    Silent,
    /// The connection broke, or the body ended inside an object.
    Broken,
    /// The response was not one of a Kubernetes API server.
    Garbage,
    /// The server refused the request.
    Refused,
    /// There was no connection.
    Unreachable,
}

impl Restart {
    /// In the order of the counters.
    pub const ALL: [Restart; 8] = [
        Restart::Ended,
        Restart::Empty,
        Restart::Expired,
        Restart::Silent,
        Restart::Broken,
        Restart::Garbage,
        Restart::Refused,
        Restart::Unreachable,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Restart::Ended => "ended",
            Restart::Empty => "empty",
            Restart::Expired => "expired",
            Restart::Silent => "silent",
            Restart::Broken => "broken",
            Restart::Garbage => "garbage",
            Restart::Refused => "refused",
            Restart::Unreachable => "unreachable",
        }
    }
}

/// The state of one source, shared with its readers.
#[derive(Debug)]
pub struct SourceHealth {
    started: Instant,
    /// Milliseconds from `started` to the last frame, plus one. 0: no frame yet.
    heard: AtomicU64,
    /// Milliseconds from `started` to the last moment at which the published Pods were known to be complete, plus one.
    whole: AtomicU64,
    restarts: [AtomicU64; Restart::ALL.len()],
    lists: AtomicU64,
    skipped: AtomicU64,
    synced: AtomicBool,
    error: Mutex<Option<String>>,
}

impl SourceHealth {
    /// The state of a source without a frame. `started` is the start of the process.
    pub fn new(started: Instant) -> SourceHealth {
        SourceHealth {
            started,
            heard: AtomicU64::new(0),
            whole: AtomicU64::new(0),
            restarts: Default::default(),
            lists: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            synced: AtomicBool::new(false),
            error: Mutex::new(None),
        }
    }

    /// Time since the last frame, even of a list that broke off. `None` before the first.
    pub fn silence(&self) -> Option<Duration> {
        self.since(&self.heard)
    }

    /// Time since the published Pods were last known to be complete. `None` before the first whole list.
    pub fn age(&self) -> Option<Duration> {
        self.since(&self.whole)
    }

    fn since(&self, moment: &AtomicU64) -> Option<Duration> {
        let ms = moment.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(ms)))
    }

    /// How often the watch was reopened for this reason.
    pub fn restarts(&self, reason: Restart) -> u64 {
        self.restarts[reason as usize].load(Ordering::Relaxed)
    }

    /// The number of whole lists, including the first.
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// The number of objects that could not be read as a Pod.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Whether a list was ever whole.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// The current error, as text. `None` if there is none.
    pub fn error(&self) -> Option<String> {
        self.lock_error().clone()
    }

    /// Records that anything was received.
    pub(super) fn record_frame(&self) {
        self.mark(&self.heard, Instant::now());
    }

    /// Records proof that the published Pods were complete at this moment.
    pub(super) fn confirm(&self, at: Instant) {
        self.record_frame();
        self.mark(&self.whole, at);
    }

    /// Moves a time forward, never back.
    fn mark(&self, moment: &AtomicU64, at: Instant) {
        let ms = u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX - 1);
        moment.fetch_max(ms + 1, Ordering::Relaxed);
    }

    /// Counts a reopened watch.
    pub(super) fn count_restart(&self, reason: Restart) {
        self.restarts[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts skipped objects.
    pub(super) fn count_skipped(&self, objects: u64) {
        self.skipped.fetch_add(objects, Ordering::Relaxed);
    }

    /// Counts a whole list.
    pub(super) fn commit(&self) {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.synced.store(true, Ordering::Release);
    }

    /// Sets or clears the error. Returns whether it changed, so that a lasting fault is one log line.
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
    fn each_reason_has_its_counter() {
        for (index, reason) in Restart::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.label());
        }
    }

    #[test]
    fn silence_starts_with_the_first_frame_and_age_with_the_first_proof() {
        let seconds = Duration::from_secs;
        let started = Instant::now().checked_sub(seconds(100)).expect("a machine that is up for so long");
        let health = SourceHealth::new(started);
        assert_eq!((health.silence(), health.age()), (None, None));
        health.record_frame();
        assert!(health.silence().is_some_and(|silence| silence < seconds(5)));
        assert_eq!(health.age(), None, "a frame alone proves nothing");
        health.confirm(started + seconds(40));
        let is_of_then = |age| age >= seconds(60) && age < seconds(65);
        assert!(health.age().is_some_and(is_of_then), "{:?}", health.age());
        assert!(health.silence().is_some_and(|silence| silence < seconds(5)));
        health.confirm(started + seconds(30));
        assert!(health.age().is_some_and(is_of_then), "an older proof changes nothing: {:?}", health.age());
    }

    #[test]
    fn a_repeated_error_is_logged_once() {
        let health = SourceHealth::new(Instant::now());
        let steps =
            [(None, false), (Some("a"), true), (Some("a"), false), (Some("b"), true), (None, true), (None, false)];
        for (error, is_news) in steps {
            assert_eq!(health.set_error(error.map(str::to_owned)), is_news, "{error:?}");
            assert_eq!(health.error().as_deref(), error);
        }
    }
}
