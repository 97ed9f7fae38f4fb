//! A response on its way to the client: what it takes until the last byte is sent, and whether the client reads it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures_util::task::AtomicWaker;

use super::WRITE_WAIT;
use super::connection_guard::ConnectionGuard;
use super::shares::{LimitReached, Share, Shares};
use super::stream_tasks::StreamTask;
use super::uncounted::EndResponse;

/// The time limit of a list, a scrape or an event, to its last byte.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// How long an ended response may still exist.
const END_WAIT: Duration = Duration::from_secs(1);

/// The kind of a request, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A health check: short, and always answered.
    Probe,
    /// The metrics: always answered.
    Scrape,
    /// A stream of events.
    Stream,
    /// Any other request.
    List,
}

impl RequestKind {
    pub(super) fn of(path: &str) -> RequestKind {
        match path {
            "/livez" | "/readyz" => RequestKind::Probe,
            "/metrics" => RequestKind::Scrape,
            "/v1/watch" => RequestKind::Stream,
            _ => RequestKind::List,
        }
    }
}

/// A response, from the request's head until its last byte is sent.
#[derive(Debug)]
pub(super) struct PendingResponse {
    guard: Arc<ConnectionGuard>,
    kind: RequestKind,
    /// The bytes of the request's head.
    head_len: usize,
    /// The task that sends it. `None` over HTTP/1.1, where it has the connection for itself.
    task: Option<StreamTask>,
    began: Instant,
    /// When it was ended early.
    ended_at: OnceLock<Instant>,
    /// Pieces that the transport has received and not sent.
    unsent: AtomicUsize,
    /// Wakes the task that waits until all pieces are sent.
    all_sent: AtomicWaker,
    /// When a piece was last handed over or sent, in milliseconds since the connection began.
    progressed_at: AtomicU64,
    /// The start of each event whose last byte is not sent.
    events: Mutex<VecDeque<Instant>>,
    share: Mutex<Option<HeldShares>>,
}

/// The shares that a response takes: its own, and for a stream the one that the streams of its connection have
/// together.
type HeldShares = (Share, Option<Arc<Share>>);

impl PendingResponse {
    /// The response of the task that calls this.
    pub(super) fn begin(guard: Arc<ConnectionGuard>, kind: RequestKind, head_len: usize) -> Arc<PendingResponse> {
        let pending = Arc::new(PendingResponse {
            kind,
            head_len,
            task: StreamTask::current(),
            began: Instant::now(),
            ended_at: OnceLock::new(),
            unsent: AtomicUsize::new(0),
            all_sent: AtomicWaker::new(),
            progressed_at: AtomicU64::new(guard.now()),
            events: Mutex::default(),
            share: Mutex::default(),
            guard,
        });
        pending.guard.response_began(Arc::downgrade(&pending));
        pending
    }

    pub(super) fn kind(&self) -> RequestKind {
        self.kind
    }

    pub(super) fn address(&self) -> IpAddr {
        self.guard.address
    }

    /// The client that it counts against. `None` if the client is trusted.
    pub(super) fn client(&self) -> Option<IpAddr> {
        self.guard.client
    }

    /// The client, trusted or not.
    pub(super) fn client_or_address(&self) -> IpAddr {
        self.client().unwrap_or(self.guard.address)
    }

    /// The share of its connection while that carries streams.
    pub(super) fn connection_share(&self, shares: &Arc<Shares>) -> Result<Arc<Share>, LimitReached> {
        self.guard.share(shares, self.head_len)
    }

    pub(super) fn has_share(&self) -> bool {
        self.share.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Keeps shares until the response is sent.
    pub(super) fn hold(&self, share: Share, connection: Option<Arc<Share>>) {
        *self.share.lock().unwrap_or_else(PoisonError::into_inner) = Some((share, connection));
        self.guard.response_counted(self.kind);
    }

    /// Counts an event that is handed over. [`PendingResponse::end_event`] counts the oldest one as sent.
    pub(super) fn begin_event(&self) {
        self.events().push_back(Instant::now());
    }

    pub(super) fn end_event(&self) {
        self.events().pop_front();
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wraps a piece so that it reports when it is sent.
    pub(super) fn track(self: &Arc<PendingResponse>, bytes: Bytes) -> Bytes {
        self.unsent.fetch_add(1, Ordering::Relaxed);
        self.record_progress();
        Bytes::from_owner(TrackedBytes { bytes, pending: self.clone() })
    }

    fn record_progress(&self) {
        self.progressed_at.store(self.guard.now(), Ordering::Relaxed);
    }

    /// Whether its task has to stay until all pieces are sent: h2 cannot reset a stream whose last piece it has.
    pub(super) fn holds_task(&self) -> bool {
        self.task.is_some() && self.unsent.load(Ordering::Acquire) > 0
    }

    /// Waits until the task no longer has to stay.
    pub(super) fn poll_sent(&self, cx: &Context<'_>) -> Poll<()> {
        self.all_sent.register(cx.waker()); // first, so that a piece sent between the two lines is noticed
        if self.holds_task() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Whether the client reads nothing, or has taken too long for all of it.
    pub(super) fn is_stalled(&self) -> bool {
        let rests = Duration::from_millis(self.guard.now().saturating_sub(self.progressed_at.load(Ordering::Relaxed)));
        let is_unread = self.unsent.load(Ordering::Relaxed) > 0 && rests > WRITE_WAIT;
        let began = if self.kind == RequestKind::Stream { self.events().front().copied() } else { Some(self.began) };
        is_unread || began.is_some_and(|began| began.elapsed() > ANSWER_WAIT)
    }

    /// Whether it still exists after it was ended: the socket takes nothing either.
    pub(super) fn is_stuck(&self) -> bool {
        self.ended_at.get().is_some_and(|ended_at| ended_at.elapsed() > END_WAIT)
    }

    /// Ends the response, once. Over HTTP/1.1 this ends the connection.
    pub(super) fn end(&self) {
        if self.ended_at.set(Instant::now()).is_err() {
            return;
        }
        self.guard.count_unread();
        match &self.task {
            Some(task) => task.end(),
            None => self.guard.end(),
        }
    }
}

impl EndResponse for PendingResponse {
    fn end(&self) {
        PendingResponse::end(self);
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        let share = self.share.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.guard.response_ended(share.map(|_| self.kind));
    }
}

/// A piece of a response, in the transport's hands.
struct TrackedBytes {
    bytes: Bytes,
    pending: Arc<PendingResponse>,
}

impl AsRef<[u8]> for TrackedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for TrackedBytes {
    fn drop(&mut self) {
        self.pending.record_progress();
        if self.pending.unsent.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.pending.all_sent.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::clients::permits::{ConnectionPermits, PREFIX6};

    #[tokio::test]
    async fn a_stream_is_stalled_by_an_event_that_is_not_read_in_time() {
        let client = IpAddr::from([10, 0, 0, 1]);
        let permit = Arc::new(ConnectionPermits::new(1, 1, PREFIX6)).take(client, false).await.expect("a place");
        let pending = PendingResponse::begin(
            ConnectionGuard::new(client, Some(client), permit, Arc::default()),
            RequestKind::Stream,
            0,
        );
        let long_ago = Instant::now().checked_sub(ANSWER_WAIT + Duration::from_secs(1)).expect("a time");
        pending.events().push_back(long_ago);
        pending.begin_event();
        assert!(pending.is_stalled(), "some of it may have been read of late");
        pending.end_event();
        assert!(!pending.is_stalled(), "the next one has its own time");
        pending.end_event();
        assert!(!pending.is_stalled() && pending.events().is_empty());
    }
}
