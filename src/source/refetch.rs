//! Pods that the index asks a source to send again, because their annotations were dropped from memory.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::SourceId;

/// The most Pods that wait for one source at once. The index asks for others later.
pub const REFETCH_MAX: usize = 64;

/// A Pod that the index asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefetchRequest {
    pub namespace: Arc<str>,
    pub name: String,
    /// A Pod of the same name with another uid does not count.
    pub uid: String,
}

/// The senders of requests, one per source.
#[derive(Clone, Debug, Default)]
pub struct RefetchSenders(Vec<(SourceId, RefetchSender)>);

/// Sends requests to a source.
#[derive(Clone, Debug)]
pub enum RefetchSender {
    /// To a task that requests each Pod from the API server.
    Cluster(mpsc::Sender<RefetchRequest>),
    /// To a reader of files, which reads all files again.
    Files(Arc<Notify>),
}

impl RefetchSenders {
    pub fn add(&mut self, source: SourceId, sender: RefetchSender) {
        self.0.push((source, sender));
    }

    /// Asks a source for a Pod. Returns false if too many Pods already wait for it.
    pub fn ask(&self, source: &SourceId, wanted: RefetchRequest) -> bool {
        match self.0.iter().find(|(id, _)| id == source) {
            Some((_, RefetchSender::Cluster(sender))) => sender.try_send(wanted).is_ok(),
            Some((_, RefetchSender::Files(reread))) => {
                reread.notify_one();
                true
            }
            None => false,
        }
    }
}
