//! A subscription: first the whole set, then changes, however rarely it is polled.
//!
//! A subscriber has the last set that it received, and the source has the current set. An update is the difference
//! between the two. So a slow subscriber costs no more than a fast one, delays nobody, and never misses the last
//! state.

#![warn(missing_docs)]

#[cfg(feature = "watch")]
use super::own_watch::{WatchSubscription, WatchUpdate};
use super::streams::StreamSubscription;
use super::{Change, Endpoint, Set};

/// An update of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Update {
    /// The whole set. It comes once, first.
    Set(Set),
    /// The difference from the updates before. It is never empty.
    Change(Change),
}

/// A subscription to the ready endpoints of an interface.
pub struct Subscription {
    received: Option<Set>,
    source: SetSource,
}

/// The source of a subscription's sets.
enum SetSource {
    /// The task that follows a server's stream.
    Streamed(StreamSubscription),
    /// The process's own watch.
    #[cfg(feature = "watch")]
    Watched(WatchSubscription),
}

impl Subscription {
    pub(super) fn streamed(listening: StreamSubscription) -> Subscription {
        Subscription { received: None, source: SetSource::Streamed(listening) }
    }

    #[cfg(feature = "watch")]
    pub(super) fn watched(watched: WatchSubscription) -> Subscription {
        Subscription { received: None, source: SetSource::Watched(watched) }
    }

    /// Waits for the next update. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Update {
        loop {
            let update = match &mut self.source {
                SetSource::Streamed(StreamSubscription { latest, .. }) => {
                    if latest.changed().await.is_err() {
                        std::future::pending::<()>().await; // the task ends before us only with the runtime
                    }
                    latest.borrow_and_update().as_ref().and_then(|set| update_since(self.received.as_ref(), set))
                }
                #[cfg(feature = "watch")]
                SetSource::Watched(watched) => match watched.next().await {
                    WatchUpdate::Set(set) => update_since(self.received.as_ref(), &set),
                    WatchUpdate::Change(change) => Some(Update::Change(change)),
                },
            };
            let Some(update) = update else { continue };
            match &update {
                Update::Set(set) => self.received = Some(set.clone()),
                Update::Change(change) => self.received.get_or_insert_default().apply(change.clone()),
            }
            return update;
        }
    }

    /// The endpoints after the last update, in order and each once.
    pub fn endpoints(&self) -> &[Endpoint] {
        self.received.as_ref().map(|set| &*set.endpoints).unwrap_or_default()
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("endpoints", &self.endpoints().len()).finish_non_exhaustive()
    }
}

/// The update from the received set to a new one. `None` if they are equal.
fn update_since(received: Option<&Set>, set: &Set) -> Option<Update> {
    let Some(received) = received else { return Some(Update::Set(set.clone())) };
    let change = received.change_to(set);
    (!change.is_empty()).then_some(Update::Change(change))
}
