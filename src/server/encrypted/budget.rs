//! The memory that one connection may take: its queries until they are answered, its replies until they are read.
//!
//! The windows of HTTP/2 and QUIC limit neither. Reading reopens a window even if the bytes are kept, and a reply is
//! composed whole, however little of it the client accepts.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::server::tcp::MESSAGE_WAIT;

/// The longest message with its length prefix.
const LEN_MAX: u32 = 2 + 65535;

/// The most bytes of queries, and the most bytes of replies: four of the longest messages each.
const BUDGET: usize = 4 * LEN_MAX as usize;

/// The bytes that one connection may still buffer.
#[derive(Debug)]
pub(super) struct ConnectionBudget {
    queries: Arc<Semaphore>,
    replies: Arc<Semaphore>,
    /// The current replies hold a reference to it; see [`ConnectionBudget::stalled`].
    generation: ArcSwap<()>,
}

/// The connection may buffer no more bytes of queries.
pub(super) struct BudgetExceeded;

impl ConnectionBudget {
    pub(super) fn new() -> ConnectionBudget {
        let [queries, replies] = [BUDGET; 2].map(|len| Arc::new(Semaphore::new(len)));
        ConnectionBudget { queries, replies, generation: ArcSwap::default() }
    }

    /// A reservation for queries, of no bytes at first.
    pub(super) fn reserve(&self) -> Reservation {
        Reservation { budget: self.queries.clone(), permit: None }
    }

    /// An empty query.
    pub(super) fn query(&self) -> BufferedQuery {
        BufferedQuery { message: Vec::new(), reservation: self.reserve() }
    }

    /// Waits until the budget admits the longest reply, composes the reply, and returns the rest to the budget. `None` if other replies
    /// are unread for too long, or the budget is closed.
    pub(super) async fn reply<T>(&self, compose: impl FnOnce(&mut Vec<u8>) -> T) -> Option<(T, Bytes)> {
        let longest = self.replies.clone().acquire_many_owned(LEN_MAX);
        let mut longest = timeout(MESSAGE_WAIT, longest).await.ok()?.ok()?;
        let mut message = Vec::new();
        let composed = compose(&mut message);
        message.shrink_to_fit();
        let reservation = longest.split(message.len())?;
        let reply = BufferedReply { message, _held: reservation, _generation: self.generation.load_full() };
        Some((composed, Bytes::from_owner(reply)))
    }

    /// Composes no more replies, because the client no longer reads them.
    pub(super) fn close(&self) {
        self.replies.close();
    }

    /// Returns once a reply has been unread for at least [`MESSAGE_WAIT`] and at most twice that.
    ///
    /// Replies are not timed individually: each check looks whether any reply from before the last check still exists.
    pub(super) async fn stalled(&self) {
        let mut before = Weak::new();
        loop {
            sleep(MESSAGE_WAIT).await;
            if before.strong_count() > 0 {
                return;
            }
            before = Arc::downgrade(&self.generation.swap(Arc::default()));
        }
    }
}

/// A part of the budget for queries. Dropping it returns the part.
pub(super) struct Reservation {
    budget: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Reserves more bytes, without waiting. Unread bytes fill the windows meanwhile, and queries that hold a part and wait
    /// for more would deadlock.
    pub(super) fn grow(&mut self, len: usize) -> Result<(), BudgetExceeded> {
        let len = u32::try_from(len).map_err(|_| BudgetExceeded)?;
        let more = self.budget.clone().try_acquire_many_owned(len).map_err(|_| BudgetExceeded)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }

    /// Returns all of it to the budget.
    pub(super) fn clear(&mut self) {
        self.permit = None;
    }
}

/// The received part of a query, within its connection's budget.
pub(super) struct BufferedQuery {
    message: Vec<u8>,
    reservation: Reservation,
}

impl BufferedQuery {
    /// Appends a copy of the next part: the part may be a few bytes of a large buffer.
    pub(super) fn extend(&mut self, part: &[u8]) -> Result<(), BudgetExceeded> {
        self.reservation.grow(part.len())?;
        self.message.extend_from_slice(part);
        Ok(())
    }
}

impl Deref for BufferedQuery {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.message
    }
}

/// A reply. It counts against its connection's budget until its last byte is sent or dropped.
struct BufferedReply {
    message: Vec<u8>,
    _held: OwnedSemaphorePermit,
    _generation: Arc<()>,
}

impl AsRef<[u8]> for BufferedReply {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}
