//! A subscription: the whole set first, then what changes of it, however late it is asked.
//!
//! What is kept for a subscriber is the set that it was told and the set as it is, and what is told next is the difference
//! between the two: so a slow subscriber costs no more than a fast one, holds up nobody, and never misses the last state.

#![warn(missing_docs)]

use super::own::{News, Watched};
use super::streams::Listening;
use super::{Change, Endpoint, Set};

/// What a subscription tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The whole set, once and first.
    Set(Set),
    /// What is different from what was told before; never empty.
    Change(Change),
}

/// The ready endpoints of an interface, and what changes of them.
pub struct Subscription {
    told: Option<Set>,
    feed: Feed,
}

/// Where it hears of them.
enum Feed {
    /// From the task that follows a server's stream.
    Streamed(Listening),
    /// From the process's own watch.
    Watched(Watched),
}

impl Subscription {
    pub(super) fn streamed(listening: Listening) -> Subscription {
        Subscription { told: None, feed: Feed::Streamed(listening) }
    }

    pub(super) fn watched(watched: Watched) -> Subscription {
        Subscription { told: None, feed: Feed::Watched(watched) }
    }

    /// Waits for what is new since it was asked last. A wait that is dropped loses nothing.
    pub async fn next(&mut self) -> Update {
        loop {
            let update = match &mut self.feed {
                Feed::Streamed(Listening { latest, .. }) => {
                    if latest.changed().await.is_err() {
                        std::future::pending::<()>().await; // only a runtime that ends stops the task before us
                    }
                    latest.borrow_and_update().as_ref().and_then(|set| since(self.told.as_ref(), set))
                }
                Feed::Watched(watched) => match watched.next().await {
                    News::Set(set) => since(self.told.as_ref(), &set),
                    News::Change(change) => Some(Update::Change(change)),
                },
            };
            let Some(update) = update else { continue };
            match &update {
                Update::Set(set) => self.told = Some(set.clone()),
                Update::Change(change) => self.told.get_or_insert_default().apply(change.clone()),
            }
            return update;
        }
    }

    /// The endpoints as they were told last, in order and each once.
    pub fn endpoints(&self) -> &[Endpoint] {
        self.told.as_ref().map(|set| &*set.endpoints).unwrap_or_default()
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("endpoints", &self.endpoints().len()).finish_non_exhaustive()
    }
}

/// What tells a subscriber of a set; none where it knows it.
fn since(told: Option<&Set>, set: &Set) -> Option<Update> {
    let Some(told) = told else { return Some(Update::Set(set.clone())) };
    let change = told.change_to(set);
    (!change.is_empty()).then_some(Update::Change(change))
}
