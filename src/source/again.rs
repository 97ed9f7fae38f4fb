//! Pods that the index asks a source to send again, because their annotations were dropped from memory.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::SourceId;

/// The most Pods that wait for one source at once. The index asks for others later.
pub const WANTED_MAX: usize = 64;

/// A Pod that the index asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub namespace: Arc<str>,
    pub name: String,
    /// A Pod of the same name with another uid does not count.
    pub uid: String,
}

/// The senders of requests, one per source.
#[derive(Clone, Debug, Default)]
pub struct Tellers(Vec<(SourceId, Teller)>);

/// Sends requests to a source.
#[derive(Clone, Debug)]
pub enum Teller {
    /// To a task that requests each Pod from the API server.
    Cluster(mpsc::Sender<Wanted>),
    /// To a reader of files, which reads all files again.
    Files(Arc<Notify>),
}

impl Tellers {
    pub fn add(&mut self, source: SourceId, teller: Teller) {
        self.0.push((source, teller));
    }

    /// Asks a source for a Pod. Returns false if too many Pods already wait for it.
    pub fn ask(&self, source: &SourceId, wanted: Wanted) -> bool {
        match self.0.iter().find(|(id, _)| id == source) {
            Some((_, Teller::Cluster(sender))) => sender.try_send(wanted).is_ok(),
            Some((_, Teller::Files(reread))) => {
                reread.notify_one();
                true
            }
            None => false,
        }
    }
}
