//! Watches from a resource version on.

use std::time::Instant;

use super::WatchTask;
use super::body::BodyShape;
use super::fault::WatchFault;
use super::list::event;
use super::request::{BodyTimeout, PodsRequest};
use crate::backoff::jitter;
use crate::source::health::Restart;

impl WatchTask {
    /// Watches until the server ends the watch at the requested timeout. Every fault is an error. The position moves
    /// with each event, so that the next request continues after the last whole one.
    pub(super) async fn watch(&mut self, from: &str) -> Result<(), WatchFault> {
        self.has_moved = false;
        if self.is_unproved {
            self.prove(from).await?;
        }
        let timeouts = self.watch.timeouts;
        // Shorter by up to a quarter, so that the watches of all profiles and replicas do not end together.
        let is_short = self.is_after_outage || self.fruitless.is_suspected();
        let longest = if is_short { timeouts.short_watch } else { timeouts.watch };
        let timeout = longest - jitter(longest / 4);
        let started = Instant::now();
        let uri = self.uri(PodsRequest::Watch { from, timeout });
        let body_timeout = BodyTimeout::Until(started + timeout + timeouts.grace);
        let mut response = self.fetch(&uri, BodyShape::Sequence, timeouts.header, body_timeout).await?;
        self.health.record_frame();
        self.is_unproved = true;
        let encoding = response.splitter.encoding();
        let mut reached: Option<u64> = from.parse().ok();
        while response.fill().await? {
            self.received = response.received();
            while let Some(piece) = response.splitter.next()? {
                let (event, version) = event(piece, encoding, &self.watch.profiles)?;
                let number: Option<u64> = version.as_ref().and_then(|version| version.parse().ok());
                if number.zip(reached).is_some_and(|(number, reached)| number < reached) {
                    continue; // an old event: applying it again would bring back Pods that are gone
                }
                reached = number.or(reached);
                self.apply(event).await?;
                if version.is_some() && version != self.position {
                    self.position = version;
                    self.advance();
                }
            }
        }
        if started.elapsed() + timeouts.early < timeout {
            return Err(if self.has_moved { WatchFault::EndedEarly } else { WatchFault::Empty });
        }
        self.health.count_restart(Restart::Ended);
        self.has_just_answered = false;
        self.fruitless.forget();
        self.recover(Instant::now());
        Ok(())
    }

    /// Called when the watch reaches a newer version: everything up to it is known.
    fn advance(&mut self) {
        self.has_moved = true;
        self.is_unproved = false;
        self.relist_backoff.reset();
        self.fruitless.end_row();
        self.recover(self.received);
    }

    /// Makes sure that the server has reached our position. It grants a watch from a version that it has not reached,
    /// and leaves out all events up to that version; after etcd was restored from a backup, that may last for ever. So
    /// it is asked after each fault, and after each watch that brought nothing.
    async fn prove(&mut self, position: &str) -> Result<(), WatchFault> {
        // Versions that are not numbers cannot be compared. No known server has them.
        let Ok(position) = position.parse::<u64>() else { return Ok(()) };
        let timeouts = self.watch.timeouts;
        let uri = self.uri(PodsRequest::Version);
        let mut response =
            self.fetch(&uri, BodyShape::List, timeouts.header, BodyTimeout::Between(timeouts.quiet)).await?;
        while response.fill().await? {
            while response.splitter.next()?.is_some() {}
        }
        let (current, _) = response.splitter.envelope()?.end()?;
        match current.parse::<u64>() {
            Ok(current) if current < position => Err(WatchFault::Undone { current, position }),
            _ => {
                self.is_unproved = false;
                self.has_just_answered = true;
                Ok(())
            }
        }
    }
}
