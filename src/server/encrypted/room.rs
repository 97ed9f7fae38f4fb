//! What one connection may hold of memory: its queries until they are answered, its replies until they are read.
//!
//! The windows of HTTP/2 and QUIC bound neither: what is read opens a window again, whether or not it is kept, and a
//! reply is composed whole, however little of it the client lets us send.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::server::stream::MESSAGE_WAIT;

/// The longest message, and its length before it.
const LEN_MAX: u32 = 2 + 65535;

/// How much there may be of queries, and how much of replies: four of the longest.
const ROOM: usize = 4 * LEN_MAX as usize;

/// The room of one connection.
#[derive(Debug)]
pub(super) struct Room {
    queries: Arc<Semaphore>,
    replies: Arc<Semaphore>,
    /// Who holds it is a reply of the moment; see [`Room::stalled`].
    generation: ArcSwap<()>,
}

/// There is no more room for queries.
pub(super) struct Full;

impl Room {
    pub(super) fn new() -> Room {
        let [queries, replies] = [ROOM; 2].map(|len| Arc::new(Semaphore::new(len)));
        Room { queries, replies, generation: ArcSwap::default() }
    }

    /// Some of the room for queries: nothing yet.
    pub(super) fn hold(&self) -> Held {
        Held { room: self.queries.clone(), permit: None }
    }

    /// A query of which nothing has come yet.
    pub(super) fn query(&self) -> Query {
        Query { message: Vec::new(), held: self.hold() }
    }

    /// Composes a reply once there is room for the longest, and gives back what it does not take; none where others
    /// wait for their readers for too long, or the room is closed.
    pub(super) async fn reply<T>(&self, compose: impl FnOnce(&mut Vec<u8>) -> T) -> Option<(T, Bytes)> {
        let longest = self.replies.clone().acquire_many_owned(LEN_MAX);
        let mut longest = timeout(MESSAGE_WAIT, longest).await.ok()?.ok()?;
        let mut message = Vec::new();
        let composed = compose(&mut message);
        message.shrink_to_fit();
        let held = longest.split(message.len())?;
        let reply = Reply { message, _held: held, _generation: self.generation.load_full() };
        Some((composed, Bytes::from_owner(reply)))
    }

    /// Has no more replies composed: no one is left to read them.
    pub(super) fn close(&self) {
        self.replies.close();
    }

    /// Ends when a reply has waited for its reader for [`MESSAGE_WAIT`], and before it has for twice that.
    ///
    /// Replies are not timed one by one: now and then it is seen whether any is left of those that were there the time
    /// before.
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

/// What is held of the room for queries, until it is dropped.
pub(super) struct Held {
    room: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Holds so many bytes more.
    ///
    /// No one waits for them: what is not read meanwhile fills the windows, and those that have some and want more would
    /// wait for each other.
    pub(super) fn grow(&mut self, len: usize) -> Result<(), Full> {
        let len = u32::try_from(len).map_err(|_| Full)?;
        let more = self.room.clone().try_acquire_many_owned(len).map_err(|_| Full)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }

    /// Gives all of it back.
    pub(super) fn clear(&mut self) {
        self.permit = None;
    }
}

/// What has come of a query, in its connection's room.
pub(super) struct Query {
    message: Vec<u8>,
    held: Held,
}

impl Query {
    /// Appends what comes next: a copy, since what was read may be a few bytes of a large buffer.
    pub(super) fn extend(&mut self, part: &[u8]) -> Result<(), Full> {
        self.held.grow(part.len())?;
        self.message.extend_from_slice(part);
        Ok(())
    }
}

impl Deref for Query {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.message
    }
}

/// A reply, in its connection's room until the last of its bytes is sent or given up.
struct Reply {
    message: Vec<u8>,
    _held: OwnedSemaphorePermit,
    _generation: Arc<()>,
}

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}
