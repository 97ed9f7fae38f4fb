//! The state of a connection: its place among the others, and its running responses.
//!
//! A connection has a place among those that have neither list nor stream ([`super::CONNECTIONS_MAX`]). If all places
//! are taken, the connection that was silent the longest loses its own. The kind of a request is known once its head
//! is read: a list keeps the place, a stream gives it back, and a probe changes nothing.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Notify;

use super::counters::HttpCounters;
use super::pending::{PendingResponse, RequestKind};
use super::shares::{LimitReached, Share, Shares};
use crate::server::clients::permits::ConnectionPermit;

/// An HTTP/1.1 connection keeps the buffer of its head. A connection with a stream counts once more for each this many
/// bytes of it.
const HEAD_LEN_COUNTED: usize = 16 * 1024;

/// The state of a connection.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    pub(super) address: IpAddr,
    /// The client that it counts against. `None` if the client is trusted.
    pub(super) client: Option<IpAddr>,
    permit: ConnectionPermit,
    began: Instant,
    is_http2: AtomicBool,
    streams: AtomicUsize,
    lists: AtomicUsize,
    /// Its share while it carries streams. Each stream holds it.
    share: Mutex<Weak<Share>>,
    /// Its running responses.
    responses: Mutex<Vec<Weak<PendingResponse>>>,
    /// A response began or ended.
    changed: Notify,
    cut: Notify,
    counters: Arc<HttpCounters>,
}

impl ConnectionGuard {
    pub(super) fn new(
        address: IpAddr,
        client: Option<IpAddr>,
        permit: ConnectionPermit,
        counters: Arc<HttpCounters>,
    ) -> Arc<ConnectionGuard> {
        Arc::new(ConnectionGuard {
            address,
            client,
            permit,
            began: Instant::now(),
            is_http2: AtomicBool::default(),
            streams: AtomicUsize::default(),
            lists: AtomicUsize::default(),
            share: Mutex::default(),
            responses: Mutex::default(),
            changed: Notify::new(),
            cut: Notify::new(),
            counters,
        })
    }

    /// Waits until another connection needs the place.
    pub(super) async fn reclaimed(&self) {
        loop {
            self.permit.reclaimed().await;
            if self.streams.load(Ordering::Relaxed) > 0 {
                self.permit.release_place(); // the connection took the place back just before the stream began
            } else if self.lists.load(Ordering::Relaxed) > 0 {
                self.permit.decline_reclaim();
            } else {
                return;
            }
        }
    }

    /// Waits until a response begins or ends.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until the connection has to end because its client does not read.
    pub(super) async fn ended(&self) {
        self.cut.notified().await;
    }

    /// Ends the connection.
    pub(super) fn end(&self) {
        self.cut.notify_one();
    }

    /// Counts a response that ends because its client does not read.
    pub(super) fn count_unread(&self) {
        self.counters.slow_reader();
    }

    /// Called when a request arrives.
    pub(super) fn request_arrived(&self, is_http2: bool) {
        self.permit.record_activity();
        self.is_http2.store(is_http2, Ordering::Relaxed);
    }

    /// Called when a response begins.
    pub(super) fn response_began(&self, pending: Weak<PendingResponse>) {
        let mut responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.retain(|other| other.strong_count() > 0);
        responses.push(pending);
        drop(responses);
        self.changed.notify_one();
    }

    /// Called when a response of this kind has taken its share.
    pub(super) fn response_counted(&self, kind: RequestKind) {
        match kind {
            RequestKind::Stream => {
                self.streams.fetch_add(1, Ordering::Relaxed);
                self.permit.release_place();
            }
            _ => {
                self.lists.fetch_add(1, Ordering::Relaxed);
                self.permit.pin_place();
            }
        }
    }

    /// Called when a response ends. It gives back the share of this kind, if the response had one.
    pub(super) fn response_ended(&self, held: Option<RequestKind>) {
        match held {
            Some(RequestKind::Stream) => _ = self.streams.fetch_sub(1, Ordering::Relaxed),
            Some(_) => {
                self.lists.fetch_sub(1, Ordering::Relaxed);
                self.permit.unpin_place();
            }
            None => {}
        }
        self.changed.notify_one();
    }

    /// The share of the connection while it carries streams. The first stream takes it.
    pub(super) fn share(&self, shares: &Arc<Shares>, head_len: usize) -> Result<Arc<Share>, LimitReached> {
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = share.upgrade() {
            return Ok(share);
        }
        let more = if self.is_http2.load(Ordering::Relaxed) { 0 } else { head_len / HEAD_LEN_COUNTED };
        let taken = Arc::new(shares.take(self.client, u32::try_from(more).unwrap_or(u32::MAX).saturating_add(1))?);
        *share = Arc::downgrade(&taken);
        Ok(taken)
    }

    /// The running responses.
    pub(super) fn live(&self) -> Vec<Arc<PendingResponse>> {
        let mut responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.retain(|pending| pending.strong_count() > 0);
        responses.iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn is_idle(&self) -> bool {
        let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.iter().all(|pending| pending.strong_count() == 0)
    }

    /// Whether a response can stall unnoticed by the socket, or take too long.
    pub(super) fn needs_checks(&self) -> bool {
        let is_any = |count: &AtomicUsize| count.load(Ordering::Relaxed) > 0;
        self.is_http2.load(Ordering::Relaxed) || is_any(&self.lists) || is_any(&self.streams)
    }

    /// Whether the connection has its place, or has got it back.
    pub(super) fn keep_or_retake(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0 || self.permit.retake_place()
    }

    /// The time since the connection began, in milliseconds.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
