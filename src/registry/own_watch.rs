//! A process's own watch: the sources, the index and the recent changes of a server, without the server.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::api::{Filter, WatchedChange, WatchedSet};
use crate::changes::{self, Changes, Gap, TooManySubscriptions};
use crate::index::Index;
use crate::snapshot::{DEFAULT_ZONE, PublishedZone, Snapshot, ZoneSettings};
use crate::source::{Sources, default_profiles};
use crate::writer::{self, Inputs};
use crate::zones::Zones;

/// A running watch. Dropping it ends the watch.
pub(super) struct OwnWatch {
    zone: Arc<PublishedZone>,
    changes: Arc<Changes>,
    /// The writer task. The sources end with it, because it receives their events.
    writer: AbortHandle,
}

impl OwnWatch {
    /// Starts to list and watch the Pods of some namespaces.
    pub(super) fn start(client: &Client, namespaces: &[Arc<str>]) -> OwnWatch {
        let origin = DEFAULT_ZONE.parse().expect("a name"); // subscribers see no names
        let settings = Arc::new(ZoneSettings::of_zone(origin));
        let zones = Arc::new(Zones::none(settings.origin.clone()));
        let zone = Arc::new(PublishedZone::new(Arc::new(Snapshot::empty(settings.clone(), zones.clone()))));
        let (events, incoming) = mpsc::channel(writer::QUEUE_LEN_MAX);
        let namespaces: Vec<_> = namespaces.iter().cloned().map(Some).collect();
        let profiles = default_profiles();
        let mut sources = Sources::default();
        sources.watch(client, &namespaces, &profiles, &events);
        let index = Index::new(settings, zones.clone(), sources.ids()).of_profiles(&profiles);
        let changes = Arc::new(Changes::new(RandomState::new().hash_one(std::process::id())));
        let (_, zones) = watch::channel(zones);
        let inputs = Inputs { events: incoming, zones, refetch_senders: sources.refetch_senders() };
        let observe_lag = |_| {}; // a library has no metrics
        let run = writer::run(index, inputs, zone.clone(), changes.clone(), Arc::default(), observe_lag);
        OwnWatch { zone, changes, writer: tokio::spawn(run).abort_handle() }
    }

    pub(super) fn subscribe(self: &Arc<Self>, filter: Filter) -> Result<WatchSubscription, TooManySubscriptions> {
        Ok(WatchSubscription { place: self.changes.subscribe(filter)?, own_watch: self.clone() })
    }
}

impl Drop for OwnWatch {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// A subscription to the process's own watch.
pub(super) struct WatchSubscription {
    place: changes::ChangeSubscription,
    own_watch: Arc<OwnWatch>,
}

pub(super) enum WatchUpdate {
    Set(WatchedSet),
    Change(WatchedChange),
}

impl WatchSubscription {
    /// Waits for the next update. The first is the set of the first whole list.
    pub(super) async fn next(&mut self) -> WatchUpdate {
        loop {
            match self.place.take_changes() {
                Ok(Some(change)) => return WatchUpdate::Change(change),
                Ok(None) => self.place.changed().await,
                Err(Gap) => {
                    let snapshot = self.own_watch.zone.snapshot.load_full();
                    self.place.start_from(snapshot.revision);
                    return WatchUpdate::Set(WatchedSet::of(&snapshot, &self.place.topic().filter));
                }
            }
        }
    }
}
