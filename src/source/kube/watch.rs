//! A watch from a resource version on.

use std::time::Instant;

use super::Run;
use super::backoff::jitter;
use super::fault::Fault;
use super::json::Shape;
use super::request::{self, Ask, Patience};
use crate::source::health::Restart;

impl Run {
    /// Watches until the server ends it, as it is asked to; every fault is an error. The position moves with each event,
    /// so that whatever follows goes on behind the last whole one.
    pub(super) async fn watch(&mut self, from: &str) -> Result<(), Fault> {
        let pace = self.watch.pace;
        // Shorter by up to a quarter, so that the watches of all profiles and replicas do not end together.
        let timeout = pace.watch - jitter(pace.watch / 4);
        let started = Instant::now();
        let uri = self.uri(Ask::Watch { from, timeout });
        let patience = Patience::Until(started + timeout + pace.grace);
        let mut answer = request::ask(&self.client, &uri, Shape::Sequence, pace.header, patience).await?;
        // On a quiet cluster this head and the end are all that a watch brings: a server sends no bookmark of the version
        // that the watch began with.
        if !self.is_doubted {
            self.hear();
        }
        while answer.fill().await? {
            while let Some(piece) = answer.splitter.next()? {
                let frame = self.frame(piece)?;
                self.apply(frame.event).await?;
                if let Some(version) = frame.version {
                    self.position = Some(version);
                }
                self.relist_backoff.reset();
                self.recover();
            }
        }
        // Seconds are whole ones at the server.
        if started.elapsed() + pace.grace < timeout {
            return Err(Fault::EndedEarly);
        }
        self.health.count_restart(Restart::Ended);
        self.recover();
        Ok(())
    }
}
