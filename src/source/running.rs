//! The running sources of a process, and the state of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
#[cfg(feature = "server")]
use tokio::sync::Notify;
use tokio::sync::mpsc;

#[cfg(feature = "server")]
use super::files::Manifests;
use super::health::SourceHealth;
use super::kube::Watch;
use super::refetch::{REFETCH_MAX, RefetchSender, RefetchSenders};
use super::{Event, SourceId, WatchProfile};

/// The name of the watched cluster in source labels.
const CLUSTER: &str = "kubernetes";

/// Running sources. The task of each ends when the receiver of the events is dropped.
#[derive(Debug, Default)]
pub struct Sources {
    watches: Vec<(SourceId, Arc<SourceHealth>)>,
    /// Only the server reads manifests.
    manifests: Vec<(SourceId, Arc<SourceHealth>)>,
    refetch_senders: RefetchSenders,
}

impl Sources {
    /// Starts one watch for each selector and namespace. `None` is all namespaces. Profiles with the same selector share a
    /// watch.
    pub fn watch(
        &mut self,
        client: &Client,
        namespaces: &[Option<Arc<str>>],
        profiles: &[WatchProfile],
        events: &mpsc::Sender<Event>,
    ) {
        let started = Instant::now();
        for namespace in namespaces {
            let mut watches = Vec::with_capacity(profiles.len());
            for of_selector in by_selector(profiles) {
                let watch = Watch::new(CLUSTER.into(), of_selector, namespace.clone());
                let health = Arc::new(SourceHealth::new(started));
                let (sender, wanted) = mpsc::channel(REFETCH_MAX);
                for id in watch.ids() {
                    watches.push((id.clone(), health.clone()));
                    self.refetch_senders.add(id.clone(), RefetchSender::Cluster(sender.clone()));
                }
                tokio::spawn(watch.clone().refetch(client.clone(), events.clone(), wanted));
                tokio::spawn(watch.run(client.clone(), events.clone(), health));
            }
            // In the order of the profiles, whichever share a watch.
            watches.sort_by_key(|(id, _)| profiles.iter().position(|profile| profile.name == id.profile));
            self.watches.append(&mut watches);
        }
    }

    /// Starts to read manifests, again whenever they change and whenever `reread` says so.
    #[cfg(feature = "server")]
    pub fn read(&mut self, manifests: Manifests, events: mpsc::Sender<Event>, reread: Arc<Notify>) {
        let health = Arc::new(SourceHealth::new(Instant::now()));
        self.manifests = manifests.ids().map(|id| (id, health.clone())).collect();
        manifests.ids().for_each(|id| self.refetch_senders.add(id, RefetchSender::Files(reread.clone())));
        tokio::spawn(manifests.run(events, health, reread));
    }

    /// Each source with its state.
    pub fn states(&self) -> impl Iterator<Item = &(SourceId, Arc<SourceHealth>)> {
        self.watches.iter().chain(&self.manifests)
    }

    /// The sources that send events.
    pub fn ids(&self) -> Vec<SourceId> {
        self.states().map(|(id, _)| id.clone()).collect()
    }

    /// The sources' handles that ask for a Pod again.
    pub fn refetch_senders(&self) -> RefetchSenders {
        self.refetch_senders.clone()
    }

    /// The age of the data: the largest age of any watch, counted from when its Pods were last known to be complete.
    /// Manifest files do not count.
    pub fn age(&self) -> Option<Duration> {
        self.watches.iter().filter_map(|(_, health)| health.age()).max()
    }

    /// The current errors of the sources, as text for a person.
    pub fn errors(&self) -> String {
        let errors = self.states().filter_map(|(_, health)| health.error());
        errors.collect::<Vec<_>>().join("; ")
    }
}

/// The profiles of each selector, in the order of the first of each.
fn by_selector(profiles: &[WatchProfile]) -> Vec<Vec<WatchProfile>> {
    let mut watches: Vec<Vec<WatchProfile>> = Vec::new();
    for profile in profiles {
        match watches.iter_mut().find(|watch| watch[0].selector == profile.selector) {
            Some(watch) => watch.push(profile.clone()),
            None => watches.push(vec![profile.clone()]),
        }
    }
    watches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::Encoding;

    #[test]
    fn profiles_share_a_watch_by_their_selectors() {
        let profile = |name: &str, selector: &str| {
            WatchProfile::new(name, selector.parse().expect("a selector"), Some("k"), Encoding::Pairs { plain: None })
        };
        let profiles = [profile("a", "x=y"), profile("b", "z"), profile("c", "x=y"), profile("d", "x")];
        let names = |watch: Vec<WatchProfile>| watch.iter().map(|profile| profile.name.to_string()).collect::<String>();
        assert_eq!(by_selector(&profiles).into_iter().map(names).collect::<Vec<_>>(), ["ac", "b", "d"]);
    }
}
