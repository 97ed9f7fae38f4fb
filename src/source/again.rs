//! Pods that are asked for again: what they said was read once and not kept.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::SourceId;

/// The most Pods that one source is asked for at once. Those that are not asked for now are asked for later.
pub const WANTED_MAX: usize = 64;

/// A Pod that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its uid: a Pod of the same name that has another one is not meant.
    pub uid: String,
}

/// Whom to ask for a Pod: one for each source.
#[derive(Clone, Debug, Default)]
pub struct Tellers(Vec<(SourceId, Teller)>);

/// Who tells a source's Pods again.
#[derive(Clone, Debug)]
pub enum Teller {
    /// A task that asks the API server for each.
    Cluster(mpsc::Sender<Wanted>),
    /// A reader of files, which reads all of them.
    Files(Arc<Notify>),
}

impl Tellers {
    /// Adds a source.
    pub fn add(&mut self, source: SourceId, teller: Teller) {
        self.0.push((source, teller));
    }

    /// Asks a source for a Pod; false where it has been asked for as many as it may be.
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
